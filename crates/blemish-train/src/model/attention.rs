//! Multi-head self-attention and cross-attention with packed projections.

use burn::module::Module;
use burn::tensor::Tensor;

use super::init::Init;
use super::linear::Linear;
use crate::ops;

/// Self-attention (Vaswani et al. 2017).
#[derive(Module, Debug)]
pub struct Attention {
    /// `[D, 3 D]`: queries, keys, values.
    pub qkv: Linear,
    /// `[D, D]`
    pub proj: Linear,
    num_heads: usize,
}

impl Attention {
    /// `dim` must be a multiple of `num_heads`.
    pub fn new(dim: usize, num_heads: usize, init: &mut Init<'_>) -> Self {
        Self { qkv: Linear::new(dim, 3 * dim, init), proj: Linear::new(dim, dim, init), num_heads }
    }

    /// # Shapes
    /// `[B, N, D]` -> `[B, N, D]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.proj.forward(ops::self_attention(self.qkv.forward(x), self.num_heads))
    }
}

/// Attention of the decoder's tokens to the aggregated features.
#[derive(Module, Debug)]
pub struct CrossAttention {
    /// `[D, D]`
    pub q: Linear,
    /// `[D_kv, 2 D]`: keys, values.
    pub kv: Linear,
    /// `[D, D]`
    pub proj: Linear,
    num_heads: usize,
}

impl CrossAttention {
    /// Queries of width `dim`, keys and values made from width `kv_dim`.
    pub fn new(dim: usize, kv_dim: usize, num_heads: usize, init: &mut Init<'_>) -> Self {
        Self {
            q: Linear::new(dim, dim, init),
            kv: Linear::new(kv_dim, 2 * dim, init),
            proj: Linear::new(dim, dim, init),
            num_heads,
        }
    }

    /// # Shapes
    /// `x: [B, N, D]`, `features: [B, M, D_kv]` -> `[B, N, D]`
    pub fn forward(&self, x: Tensor<3>, features: Tensor<3>) -> Tensor<3> {
        let q = self.q.forward(x);
        let kv = self.kv.forward(features);
        self.proj.forward(ops::cross_attention(q, kv, self.num_heads))
    }
}

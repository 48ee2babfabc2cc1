//! One pre-norm decoder layer: self-attention, cross-attention on the aggregated features, MLP.

use blemish::config::ModelConfig;
use burn::module::Module;
use burn::tensor::Tensor;

use super::attention::{Attention, CrossAttention};
use super::init::Init;
use super::mlp::Mlp;
use super::norm::Norm;

/// `x += attn(norm1(x)); x += cross_attn(norm2(x), features); x += mlp(norm3(x))`.
#[derive(Module, Debug)]
pub struct DecoderLayer {
    norm1: Norm,
    attn: Attention,
    norm2: Norm,
    cross_attn: CrossAttention,
    norm3: Norm,
    mlp: Mlp,
}

impl DecoderLayer {
    /// A layer of the decoder's width.
    pub fn new(config: &ModelConfig, init: &mut Init<'_>) -> Self {
        let (dim, heads) = (config.decoder_embed_dim, config.decoder_num_heads);
        Self {
            norm1: Norm::new(config.norm, dim, config.dyt_alpha as f32, init),
            attn: Attention::new(dim, heads, init),
            norm2: Norm::new(config.norm, dim, config.dyt_alpha as f32, init),
            cross_attn: CrossAttention::new(dim, config.embed_dim, heads, init),
            norm3: Norm::new(config.norm, dim, config.dyt_alpha as f32, init),
            mlp: Mlp::new(dim, config.decoder_mlp_dim(), init),
        }
    }

    /// # Shapes
    /// `x: [B, N, D]`, `features: [B, M, D_encoder]` -> `[B, N, D]`
    pub fn forward(&self, x: Tensor<3>, features: Tensor<3>) -> Tensor<3> {
        let x = x.clone() + self.attn.forward(self.norm1.forward(x));
        let x = x.clone() + self.cross_attn.forward(self.norm2.forward(x), features);
        x.clone() + self.mlp.forward(self.norm3.forward(x))
    }
}

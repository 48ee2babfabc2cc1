//! One pre-norm encoder layer.

use blemish::config::ModelConfig;
use burn::module::Module;
use burn::tensor::Tensor;

use super::attention::Attention;
use super::init::Init;
use super::mlp::Mlp;
use super::norm::Norm;

/// `x += attn(norm1(x)); x += mlp(norm2(x))`.
#[derive(Module, Debug)]
pub struct EncoderLayer {
    norm1: Norm,
    attn: Attention,
    norm2: Norm,
    mlp: Mlp,
}

impl EncoderLayer {
    /// A layer of the encoder's width.
    pub fn new(config: &ModelConfig, init: &mut Init<'_>) -> Self {
        let dim = config.embed_dim;
        Self {
            norm1: Norm::new(config.norm, dim, config.dyt_alpha as f32, init),
            attn: Attention::new(dim, config.num_heads, init),
            norm2: Norm::new(config.norm, dim, config.dyt_alpha as f32, init),
            mlp: Mlp::new(dim, config.mlp_dim(), init),
        }
    }

    /// # Shapes
    /// `[B, N, D]` -> `[B, N, D]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let x = x.clone() + self.attn.forward(self.norm1.forward(x));
        x.clone() + self.mlp.forward(self.norm2.forward(x))
    }
}

//! Multi-scale feature aggregation: what the decoder attends to.

use burn::module::Module;
use burn::tensor::Tensor;

use super::init::Init;
use super::linear::Linear;

/// Each tap of the encoder through its own linear map, concatenated, mixed by a 1 x 1 convolution (a linear
/// map per token), and projected.
#[derive(Module, Debug)]
pub struct Aggregation {
    taps: Vec<Linear>,
    combine: Linear,
    proj: Linear,
}

impl Aggregation {
    /// Three taps of width `dim`.
    pub fn new(dim: usize, init: &mut Init<'_>) -> Self {
        Self {
            taps: (0..3).map(|_| Linear::new(dim, dim, init)).collect(),
            combine: Linear::new(3 * dim, dim, init),
            proj: Linear::new(dim, dim, init),
        }
    }

    /// # Shapes
    /// three of `[B, N, D]` -> `[B, N, D]`
    pub fn forward(&self, taps: Vec<Tensor<3>>) -> Tensor<3> {
        let mapped = self.taps.iter().zip(taps).map(|(linear, tap)| linear.forward(tap)).collect();
        self.proj.forward(self.combine.forward(Tensor::cat(mapped, 2)))
    }
}

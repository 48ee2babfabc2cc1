//! The two-layer perceptron of a transformer layer.

use burn::module::Module;
use burn::tensor::Tensor;

use super::init::Init;
use super::linear::Linear;
use crate::ops;

/// `fc2(gelu(fc1(x)))`.
#[derive(Module, Debug)]
pub struct Mlp {
    /// `[D, hidden]`
    pub fc1: Linear,
    /// `[hidden, D]`
    pub fc2: Linear,
}

impl Mlp {
    /// Width `dim`, hidden width `hidden`.
    pub fn new(dim: usize, hidden: usize, init: &mut Init<'_>) -> Self {
        Self { fc1: Linear::new(dim, hidden, init), fc2: Linear::new(hidden, dim, init) }
    }

    /// # Shapes
    /// `[.., D]` -> `[.., D]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let Linear { weight, bias } = &self.fc2;
        ops::gelu_linear(self.fc1.forward(x), weight.val(), bias.val())
    }
}

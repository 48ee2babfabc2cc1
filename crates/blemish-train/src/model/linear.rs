//! The linear layer; weights are stored `[in, out]`, so that `x W` needs no transpose.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::init::Init;
use crate::ops;

/// `x W + b`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[in, out]`
    pub weight: Param<Tensor<2>>,
    /// `[out]`
    pub bias: Param<Tensor<1>>,
}

impl Linear {
    /// Xavier-uniform weights, zero bias.
    pub fn new(inputs: usize, outputs: usize, init: &mut Init<'_>) -> Self {
        Self { weight: init.xavier(inputs, outputs), bias: init.constant([outputs], 0.0) }
    }

    /// Zero weights and bias: an output layer that starts silent.
    pub fn zero(inputs: usize, outputs: usize, init: &mut Init<'_>) -> Self {
        Self { weight: init.constant([inputs, outputs], 0.0), bias: init.constant([outputs], 0.0) }
    }

    /// # Shapes
    /// `[.., in]` -> `[.., out]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        ops::linear(x, self.weight.val(), self.bias.val())
    }
}

//! The normalisation layer: dynamic tanh, or layer normalisation for comparison.

use blemish::config;
use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::init::Init;
use crate::ops;

/// DyT, `gamma tanh(alpha x) + beta` (Zhu et al., "Transformers without Normalization", 2025, equation 1),
/// or layer normalisation, which has no `alpha`.
#[derive(Module, Debug)]
pub struct Norm {
    /// `[1]`; present for DyT only.
    pub alpha: Option<Param<Tensor<1>>>,
    /// `[D]`
    pub gamma: Param<Tensor<1>>,
    /// `[D]`
    pub beta: Param<Tensor<1>>,
}

impl Norm {
    /// A norm whose `alpha`, if it has one, starts at the given value.
    pub fn new(kind: config::Norm, dim: usize, alpha: f32, init: &mut Init<'_>) -> Self {
        Self {
            alpha: (kind == config::Norm::Dyt).then(|| init.constant([1], alpha)),
            gamma: init.constant([dim], 1.0),
            beta: init.constant([dim], 0.0),
        }
    }

    /// # Shapes
    /// `[.., D]` -> `[.., D]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match &self.alpha {
            Some(alpha) => ops::dyt(x, alpha.val(), self.gamma.val(), self.beta.val()),
            None => ops::layer_norm(x, self.gamma.val(), self.beta.val()),
        }
    }
}

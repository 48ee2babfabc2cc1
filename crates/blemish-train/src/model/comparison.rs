//! The layers that make a map of how an image differs from good references.

use blemish::parts::comparison::levels::{HIDDEN, INPUTS};
use burn::module::Module;
use burn::tensor::Tensor;

use super::init::Init;
use super::patch_embed::Conv3x3;
use crate::ops;

/// Three convolutions: what comes after the residual stays shallow (ResAD, arXiv 2410.20047).
#[derive(Module, Debug)]
pub struct Comparison {
    convs: Vec<Conv3x3>,
}

impl Comparison {
    /// From [`INPUTS`] planes to one.
    pub fn new(init: &mut Init<'_>) -> Self {
        let widths = [INPUTS, HIDDEN, HIDDEN, 1];
        Self { convs: widths.windows(2).map(|w| Conv3x3::new(w[0], w[1], 1, init)).collect() }
    }

    /// # Shapes
    /// `[B, H/4, W/4, INPUTS]` -> `[B, H/4, W/4, 1]`, a defect logit
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let last = self.convs.len() - 1;
        self.convs.iter().enumerate().fold(x, |x, (i, conv)| {
            let x = conv.forward(x);
            if i < last { ops::gelu(x) } else { x }
        })
    }
}

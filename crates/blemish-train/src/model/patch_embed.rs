//! How pixels become tokens: one linear map per patch, or a convolutional stem.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::init::Init;
use super::linear::Linear;
use super::patchify::patchify;
use crate::ops;

/// One linear map per patch (Dosovitskiy et al. 2021, equation 1).
#[derive(Module, Debug)]
pub struct LinearEmbed {
    /// `[p p C, D]`
    pub proj: Linear,
    patch_size: usize,
}

impl LinearEmbed {
    /// Patches of side `patch_size` with `channels` to width `dim`.
    pub fn new(patch_size: usize, channels: usize, dim: usize, init: &mut Init<'_>) -> Self {
        Self { proj: Linear::new(patch_size * patch_size * channels, dim, init), patch_size }
    }

    /// # Shapes
    /// `[B, H, W, C]` -> `[B, N, D]`
    pub fn forward(&self, images: Tensor<4>) -> Tensor<3> {
        self.proj.forward(patchify(images, self.patch_size))
    }
}

/// A 3 x 3 convolution with padding 1.
#[derive(Module, Debug)]
pub struct Conv3x3 {
    /// `[9 C_in, C_out]`, (row, column, channel)
    pub weight: Param<Tensor<2>>,
    /// `[C_out]`
    pub bias: Param<Tensor<1>>,
    stride: usize,
}

impl Conv3x3 {
    /// Kaiming-uniform weights, zero bias.
    pub fn new(inputs: usize, outputs: usize, stride: usize, init: &mut Init<'_>) -> Self {
        Self { weight: init.kaiming(9 * inputs, outputs), bias: init.constant([outputs], 0.0), stride }
    }

    /// # Shapes
    /// `[B, H, W, C_in]` -> `[B, H / stride, W / stride, C_out]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        ops::conv3x3(x, self.weight.val(), self.bias.val(), self.stride)
    }

    /// Of `up`, its pixels shuffled, with `level` beside it; stride 1.
    ///
    /// # Shapes
    /// `up: [B, H / 2, W / 2, 2 C_in]`, `level: [B, H, W, C_in / 2]` -> `[B, H, W, C_out]`
    pub(crate) fn forward_joined(&self, up: Tensor<4>, level: Tensor<4>) -> Tensor<4> {
        ops::joined_conv3x3(up, level, self.weight.val(), self.bias.val())
    }
}

/// Four convolutions of stride 2 (Xiao et al., "Early Convolutions Help Transformers See Better", 2021). The
/// first three levels also go to the pyramid head.
#[derive(Module, Debug)]
pub struct Stem {
    convs: Vec<Conv3x3>,
}

impl Stem {
    /// `channels` -> `dims` at strides 2, 4, 8 -> `embed_dim` at stride 16.
    pub fn new(channels: usize, dims: &[usize], embed_dim: usize, init: &mut Init<'_>) -> Self {
        let widths: Vec<usize> = [&[channels], dims, &[embed_dim]].concat();
        Self { convs: widths.windows(2).map(|w| Conv3x3::new(w[0], w[1], 2, init)).collect() }
    }

    /// Tokens at stride 16, and the levels at strides 2, 4, 8.
    ///
    /// # Shapes
    /// `[B, H, W, C]` -> `[B, N, D]`, `[B, H/2, W/2, dims[0]]`, ..
    pub fn forward(&self, images: Tensor<4>) -> (Tensor<3>, Vec<Tensor<4>>) {
        let mut levels = Vec::with_capacity(3);
        let mut x = images;
        for (i, conv) in self.convs.iter().enumerate() {
            x = conv.forward(x);
            if i + 1 < self.convs.len() {
                x = ops::gelu(x);
                levels.push(x.clone());
            }
        }
        let [b, h, w, d] = x.dims();
        (x.reshape([b, h * w, d]), levels)
    }
}

//! How tokens become pixels: one linear map per patch, or a pyramid of pixel shuffles and convolutions.

use burn::module::Module;
use burn::tensor::Tensor;

use super::init::Init;
use super::linear::Linear;
use super::patch_embed::Conv3x3;
use super::patchify::unpatchify;
use crate::ops;

/// One linear map per patch.
#[derive(Module, Debug)]
pub struct LinearHead {
    /// `[D, p p C]`
    pub proj: Linear,
    patch_size: usize,
}

impl LinearHead {
    /// Width `dim` to patches of side `patch_size` with `channels`.
    pub fn new(dim: usize, patch_size: usize, channels: usize, init: &mut Init<'_>) -> Self {
        Self { proj: Linear::new(dim, patch_size * patch_size * channels, init), patch_size }
    }

    /// # Shapes
    /// `[B, N, D]` -> `[B, H, W, C]`
    pub fn forward(&self, tokens: Tensor<3>, image_size: [usize; 2]) -> Tensor<4> {
        unpatchify(self.proj.forward(tokens), self.patch_size, image_size)
    }
}

/// From stride 16 to 1: at each level a linear map, a pixel shuffle, the stem's level beside it, a 3 x 3
/// convolution and GELU; last a linear map and a pixel shuffle to full size.
#[derive(Module, Debug)]
pub struct PyramidHead {
    up: Vec<Linear>,
    fuse: Vec<Conv3x3>,
    out: Linear,
}

impl PyramidHead {
    /// `dims` are the stem's widths at strides 2, 4, 8; `skips` says whether the stem's levels come in.
    pub fn new(dim: usize, dims: &[usize], outputs: usize, skips: bool, init: &mut Init<'_>) -> Self {
        let (mut up, mut fuse) = (Vec::new(), Vec::new());
        let mut width = dim;
        for &d in dims.iter().rev() {
            up.push(Linear::new(width, 4 * d, init));
            fuse.push(Conv3x3::new(if skips { 2 * d } else { d }, d, 1, init));
            width = d;
        }
        Self { up, fuse, out: Linear::zero(width, 4 * outputs, init) }
    }

    /// # Shapes
    /// `tokens: [B, H/16, W/16, D]`, `levels` as from [`Stem::forward`](super::patch_embed::Stem::forward)
    /// or empty -> `[B, H, W, outputs]`
    pub fn forward(&self, tokens: Tensor<4>, levels: Vec<Tensor<4>>) -> Tensor<4> {
        self.forward_maps(tokens, levels).0
    }

    /// [`forward`](Self::forward), and the map of every level after its GELU, the coarsest first.
    ///
    /// # Shapes
    /// as [`forward`](Self::forward) -> `[B, H, W, outputs]`, `[B, H/8, W/8, dims[2]]`, ..
    pub(crate) fn forward_maps(
        &self,
        tokens: Tensor<4>,
        levels: Vec<Tensor<4>>,
    ) -> (Tensor<4>, Vec<Tensor<4>>) {
        let maps = self.maps(tokens.clone(), levels, self.up.len());
        let finest = maps.last().cloned().unwrap_or(tokens);
        (ops::pixel_shuffle(self.out.forward(finest)), maps)
    }

    /// The maps of the `count` coarsest levels after their GELU, the coarsest first.
    ///
    /// # Shapes
    /// as [`forward`](Self::forward) -> `[B, H/8, W/8, dims[2]]`, ..
    pub fn maps(&self, tokens: Tensor<4>, mut levels: Vec<Tensor<4>>, count: usize) -> Vec<Tensor<4>> {
        let mut x = tokens;
        let mut maps = Vec::with_capacity(count);
        for (up, fuse) in self.up.iter().zip(&self.fuse).take(count) {
            let up = up.forward(x);
            x = ops::gelu(match levels.pop() {
                Some(level) => fuse.forward_joined(up, level),
                None => fuse.forward(ops::pixel_shuffle(up)),
            });
            maps.push(x.clone());
        }
        maps
    }
}

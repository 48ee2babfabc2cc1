//! Mean squared error: of the whole image, or of the hidden patches only (He et al. 2022).

use blemish::engine::Mask;
use burn::tensor::{Tensor, TensorData};

use crate::ops;

/// Mean squared error over every value.
///
/// # Shapes
/// `[B, H, W, C]`, `[B, H, W, C]` -> `[1]`
pub fn mse(prediction: Tensor<4>, target: Tensor<4>) -> Tensor<1> {
    ops::squared_error(prediction, target)
}

/// Mean squared error over the values of hidden patches.
///
/// # Shapes
/// `[B, H, W, C]`, `[B, H, W, C]` -> `[1]`
pub fn masked_mse(prediction: Tensor<4>, target: Tensor<4>, mask: &Mask, patch_size: usize) -> Tensor<1> {
    let [b, h, w, c] = prediction.dims();
    let hidden = TensorData::new(mask.pixels(patch_size), [b, h, w, 1]);
    let hidden = Tensor::<4>::from_data(hidden, &prediction.device());
    let count = (mask.hidden_count() * mask.batch() * patch_size * patch_size * c) as f64;
    let difference = prediction - target;
    (difference.clone() * difference * hidden).sum() / count
}

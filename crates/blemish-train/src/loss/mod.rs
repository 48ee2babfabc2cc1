//! What training minimises. All losses are means, so that they do not grow with batch or image size.

mod focal;
mod mse;
mod ssim;

pub use focal::focal_with_logits;
pub use mse::{masked_mse, mse};
pub use ssim::{ssim, ssim_map};

use blemish::engine::Mask;
use burn::tensor::Tensor;

/// The pre-training loss, `(1 - w) masked MSE + w (1 - SSIM)`; SSIM of the whole reconstruction.
///
/// # Shapes
/// `prediction, target: [B, H, W, C]` -> `[1]`
pub fn reconstruction(
    prediction: Tensor<4>,
    target: Tensor<4>,
    mask: &Mask,
    patch_size: usize,
    ssim_weight: f64,
) -> Tensor<1> {
    let squared = masked_mse(prediction.clone(), target.clone(), mask, patch_size);
    with_ssim(squared, prediction, target, ssim_weight)
}

/// `(1 - w) squared + w (1 - SSIM)`, `[1]`; without a weight SSIM is not computed.
pub(crate) fn with_ssim(
    squared: Tensor<1>,
    prediction: Tensor<4>,
    target: Tensor<4>,
    weight: f64,
) -> Tensor<1> {
    if weight == 0.0 {
        return squared;
    }
    squared * (1.0 - weight) + (ssim(prediction, target).neg() + 1.0) * weight
}

/// `log(1 + exp(x))`, of any size of `x`.
pub fn softplus<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    (x.clone().abs().neg().exp() + 1.0).log() + x.clamp_min(0.0)
}

/// `log(sum(exp(x)))` of every row, shifted by the largest so that nothing overflows.
///
/// # Shapes
/// `[n, m]` -> `[n, 1]`
pub fn log_sum_exp(x: Tensor<2>) -> Tensor<2> {
    let largest = x.clone().max_dim(1).detach();
    (x - largest.clone()).exp().sum_dim(1).log() + largest
}

/// `[B, H, W, C] -> [B * C, H, W]`
fn planes(x: Tensor<4>) -> Tensor<3> {
    let [n, h, w, c] = x.dims();
    x.permute([0, 3, 1, 2]).reshape([n * c, h, w])
}

//! Binary cross-entropy of the defect logit.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;

/// Mean binary cross-entropy, `max(z, 0) - z t + ln(1 + exp(-|z|))`, which never overflows.
///
/// # Shapes
/// `logit, target: [B, H, W, 1]`, targets 0 or 1 -> `[1]`
pub fn bce_with_logits(logit: Tensor<4>, target: Tensor<4>) -> Tensor<1> {
    let tail = logit.clone().abs().neg().exp().log1p();
    (relu(logit.clone()) - logit * target + tail).mean()
}

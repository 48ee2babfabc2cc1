//! Structural similarity (Wang et al. 2004, equation 13).

use burn::tensor::Tensor;

use super::planes;
use crate::ops::blur_valid;

/// Side of the Gaussian window.
const WINDOW: usize = 11;
const SIGMA: f64 = 1.5;
const C1: f64 = 0.01 * 0.01;
const C2: f64 = 0.03 * 0.03;

/// Mean SSIM over all valid 11 x 11 Gaussian windows (sigma 1.5) of all channels; data range 1.
///
/// # Shapes
/// `[B, H, W, C]`, `[B, H, W, C]` -> `[1]`; height and width at least 11
pub fn ssim(a: Tensor<4>, b: Tensor<4>) -> Tensor<1> {
    ssim_map(a, b).mean()
}

/// SSIM of every valid window.
///
/// # Shapes
/// `[B, H, W, C]`, `[B, H, W, C]` -> `[B * C, H - 10, W - 10]`
pub fn ssim_map(a: Tensor<4>, b: Tensor<4>) -> Tensor<3> {
    let kernel = window();
    let blur = |x: Tensor<3>| blur_valid(x, &kernel);
    let (a, b) = (planes(a), planes(b));
    let (mean_a, mean_b) = (blur(a.clone()), blur(b.clone()));
    let mean_ab = mean_a.clone() * mean_b.clone();
    let means = mean_a.clone() * mean_a + mean_b.clone() * mean_b;
    let squares = blur(a.clone() * a.clone() + b.clone() * b.clone());
    let covariance = blur(a * b) - mean_ab.clone();
    let numerator = (mean_ab * 2.0 + C1) * (covariance * 2.0 + C2);
    let denominator = (means.clone() + C1) * (squares - means + C2);
    numerator / denominator
}

/// The normalised 1-D Gaussian of the window.
pub fn window() -> Vec<f32> {
    let half = (WINDOW / 2) as f64;
    let raw: Vec<f64> =
        (0..WINDOW).map(|i| (-(i as f64 - half).powi(2) / (2.0 * SIGMA * SIGMA)).exp()).collect();
    let sum: f64 = raw.iter().sum();
    raw.iter().map(|v| (v / sum) as f32).collect()
}

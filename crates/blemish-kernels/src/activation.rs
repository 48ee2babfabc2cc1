//! The activation function.

use super::math;
use super::simd::{map, zip_map};
use std::f32::consts::FRAC_1_SQRT_2;

/// `1 / sqrt(2 pi)`.
const DENSITY: f32 = 0.398_942_3;

/// GELU, exact: `x * (1 + erf(x / sqrt 2)) / 2` (Hendrycks and Gimpel, 2016).
pub fn gelu_forward(x: &[f32], y: &mut [f32]) {
    map(x, y, gelu);
}

/// `dx = dy * (cdf(x) + x * pdf(x))`, of the standard normal distribution.
pub fn gelu_backward(x: &[f32], dy: &[f32], dx: &mut [f32]) {
    zip_map(x, dy, dx, |x, dy| {
        let cdf = math::erf(x * FRAC_1_SQRT_2).mul_add(0.5, 0.5);
        let pdf = DENSITY * math::exp(-0.5 * x * x);
        dy * x.mul_add(pdf, cdf)
    });
}

/// One value of [`gelu_forward`].
#[inline(always)]
pub fn gelu(x: f32) -> f32 {
    let half = 0.5 * x;
    half.mul_add(math::erf(x * FRAC_1_SQRT_2), half)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, differences, random, wide};
    use super::*;

    /// `forward` and `backward` of one element-wise function against `plain`.
    fn check(
        plain: impl Fn(f64) -> f64,
        forward: impl Fn(&[f32], &mut [f32]),
        backward: impl Fn(&[f32], &[f32], &[f32], &mut [f32]),
    ) {
        let x: Vec<f32> = random(203, 1).iter().map(|x| 5.0 * x).collect();
        let dy = random(x.len(), 2);
        let (mut y, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        forward(&x, &mut y);
        let all = |x: &[f64]| -> Vec<f64> { x.iter().map(|&x| plain(x)).collect() };
        assert_close(&y, &all(&wide(&x)), 1e-6);
        backward(&x, &y, &dy, &mut dx);
        assert_close(&dx, &differences(&x, &dy, all), 5e-6);
    }

    /// GELU by integrating the normal density (Simpson's rule).
    fn gelu_f64(x: f64) -> f64 {
        let density = |t: f64| (-0.5 * t * t).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let steps = 400;
        let h = x / f64::from(steps);
        let inner: f64 =
            (1..steps).map(|i| density(f64::from(i) * h) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
        x * (0.5 + h / 3.0 * (density(0.0) + inner + density(x)))
    }

    #[test]
    fn gelu_matches_f64() {
        check(gelu_f64, gelu_forward, |x, _, dy, dx| gelu_backward(x, dy, dx));
    }
}

//! The losses of the second stage and their gradients, each a mean over all elements.

use super::math::{exp, ln_1p};
use super::reduce::sum_of;
use super::simd::zip_map;

/// The mean of `(x - y)^2`.
pub fn squared_forward(x: &[f32], y: &[f32]) -> f32 {
    mean(x, y, |x, y| (x - y) * (x - y))
}

/// `dx = dy * 2 (x - y) / len`; that of `y` is the opposite.
pub fn squared_backward(x: &[f32], y: &[f32], grad: f32, dx: &mut [f32]) {
    let factor = 2.0 * grad / x.len() as f32;
    zip_map(x, y, dx, |x, y| factor * (x - y));
}

/// The mean of `(1 - p)^gamma * -ln p`, where `p` is the probability that `logit` gives to the truth, `target` 0 or 1.
pub fn focal_forward(logit: &[f32], target: &[f32], gamma: f32) -> f32 {
    mean(logit, target, |logit, target| {
        let Focal { weight, entropy, .. } = Focal::of(logit * sign(target), gamma);
        weight * entropy
    })
}

/// The gradient of the logit.
pub fn focal_backward(logit: &[f32], target: &[f32], gamma: f32, grad: f32, dx: &mut [f32]) {
    let factor = grad / logit.len() as f32;
    zip_map(logit, target, dx, |logit, target| {
        let sign = sign(target);
        let Focal { weight, entropy, wrong } = Focal::of(logit * sign, gamma);
        // Of -weight * (gamma (1 - wrong) entropy + wrong), by the margin.
        -factor * sign * weight * (gamma * (1.0 - wrong)).mul_add(entropy, wrong)
    });
}

/// 1 for a target of 1, -1 for 0.
#[inline(always)]
fn sign(target: f32) -> f32 {
    target.mul_add(2.0, -1.0)
}

/// What the loss of a margin is made of: positive where the logit has the right sign.
struct Focal {
    /// `(1 - p)^gamma`
    weight: f32,
    /// `-ln p`
    entropy: f32,
    /// `1 - p`
    wrong: f32,
}

impl Focal {
    #[inline(always)]
    fn of(margin: f32, gamma: f32) -> Self {
        let z = exp(-margin.abs());
        let rest = ln_1p(z);
        let larger = 1.0 / (1.0 + z);
        // ln(1 - p) = -(margin+ + ln(1 + z)): no overflow, and exact where 1 - p is tiny.
        Self {
            weight: exp(-gamma * (margin.max(0.0) + rest)),
            entropy: (-margin).max(0.0) + rest,
            wrong: if margin > 0.0 { z * larger } else { larger },
        }
    }
}

#[inline(always)]
fn mean(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32 + Sync + Copy) -> f32 {
    (sum_of(a, b, f) / a.len() as f64) as f32
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, differences, random, wide};
    use super::*;

    #[test]
    fn squared_matches_f64() {
        let (x, y) = (random(40_001, 1), random(40_001, 2));
        let plain = |x: &[f64]| {
            let sum: f64 = x.iter().zip(wide(&y)).map(|(x, y)| (x - y) * (x - y)).sum();
            sum / x.len() as f64
        };
        assert!((f64::from(squared_forward(&x, &y)) / plain(&wide(&x)) - 1.0).abs() < 1e-6);
        let (x, y) = (&x[..50], &y[..50]);
        let mut dx = vec![9.0; 50];
        squared_backward(x, y, 3.0, &mut dx);
        let expected: Vec<f64> = wide(x).iter().zip(wide(y)).map(|(x, y)| 6.0 * (x - y) / 50.0).collect();
        assert_close(&dx, &expected, 1e-6);
    }

    #[test]
    fn focal_matches_f64() {
        let logit: Vec<f32> = random(200, 1).iter().map(|x| 12.0 * x).chain([0.0, 30.0, -30.0]).collect();
        let target: Vec<f32> = random(203, 2).iter().map(|&x| f32::from(x > 0.0)).collect();
        for gamma in [0.0, 1.5, 2.0] {
            let plain = |logit: &[f64]| {
                let terms = logit.iter().zip(&target).map(|(z, &t)| {
                    let margin = if t == 1.0 { *z } else { -z };
                    let entropy = (-margin).max(0.0) + (-margin.abs()).exp().ln_1p();
                    (1.0 / (1.0 + margin.exp())).powf(f64::from(gamma)) * entropy
                });
                vec![terms.sum::<f64>() / logit.len() as f64]
            };
            let loss = f64::from(focal_forward(&logit, &target, gamma));
            assert!((loss / plain(&wide(&logit))[0] - 1.0).abs() < 1e-6, "{gamma}");
            let mut dx = vec![9.0; logit.len()];
            focal_backward(&logit, &target, gamma, 2.0, &mut dx);
            assert_close(&dx, &differences(&logit, &[2.0], plain), 1e-5);
        }
    }

    #[test]
    fn extreme_logits_are_finite() {
        let (logit, target) = ([1e4, -1e4, f32::MAX, f32::MIN], [0.0, 1.0, 1.0, 0.0]);
        let loss = focal_forward(&logit, &target, 2.0);
        assert!((loss - 5e3).abs() < 1.0, "{loss}");
        let mut dx = [9.0; 4];
        focal_backward(&logit, &target, 2.0, 1.0, &mut dx);
        assert_eq!(dx, [0.25, -0.25, 0.0, 0.0]);
    }
}

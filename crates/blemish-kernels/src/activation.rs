//! Element-wise functions and softmax.

use super::math;
use super::simd::{CHUNK, map, max, run, sum, zip_map};
use rayon::prelude::*;
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

/// `tanh(x)`.
pub fn tanh_forward(x: &[f32], y: &mut [f32]) {
    map(x, y, math::tanh);
}

/// `dx = dy * (1 - y * y)`, from the output.
pub fn tanh_backward(y: &[f32], dy: &[f32], dx: &mut [f32]) {
    zip_map(y, dy, dx, |y, dy| dy * (1.0 - y * y));
}

/// The logistic function `1 / (1 + exp(-x))`.
pub fn sigmoid_forward(x: &[f32], y: &mut [f32]) {
    map(x, y, |x| 0.5f32.mul_add(math::tanh(0.5 * x), 0.5));
}

/// `dx = dy * y * (1 - y)`, from the output.
pub fn sigmoid_backward(y: &[f32], dy: &[f32], dx: &mut [f32]) {
    zip_map(y, dy, dx, |y, dy| dy * y * (1.0 - y));
}

/// `y += x`.
pub fn add_assign(y: &mut [f32], x: &[f32]) {
    assert_eq!(x.len(), y.len());
    y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| {
        run(
            #[inline(always)]
            || {
                for (y, &x) in y.iter_mut().zip(x) {
                    *y += x;
                }
            },
        );
    });
}

/// `y[i, :] += bias`.
pub fn add_bias(y: &mut [f32], bias: &[f32]) {
    let rows = CHUNK.div_ceil(bias.len());
    y.par_chunks_mut(rows * bias.len()).for_each(|y| {
        run(
            #[inline(always)]
            || {
                for row in y.chunks_exact_mut(bias.len()) {
                    for (y, &b) in row.iter_mut().zip(bias) {
                        *y += b;
                    }
                }
            },
        );
    });
}

/// Softmax of every row of `width` values, in place.
pub fn softmax_forward(x: &mut [f32], width: usize) {
    x.par_chunks_mut(CHUNK.div_ceil(width) * width).for_each(|x| {
        run(
            #[inline(always)]
            || {
                for row in x.chunks_exact_mut(width) {
                    let top = max(row);
                    for x in row.iter_mut() {
                        *x = math::exp(*x - top);
                    }
                    let scale = 1.0 / sum(row);
                    for x in row.iter_mut() {
                        *x *= scale;
                    }
                }
            },
        );
    });
}

/// `dx = y * (dy - sum(dy * y))` per row of `width` values, from the output.
pub fn softmax_backward(y: &[f32], dy: &[f32], dx: &mut [f32], width: usize) {
    assert_eq!((y.len(), dy.len()), (dx.len(), dx.len()));
    let chunk = CHUNK.div_ceil(width) * width;
    dx.par_chunks_mut(chunk).zip(y.par_chunks(chunk).zip(dy.par_chunks(chunk))).for_each(|(dx, (y, dy))| {
        run(
            #[inline(always)]
            || {
                let rows = y.chunks_exact(width).zip(dy.chunks_exact(width));
                for (dx, (y, dy)) in dx.chunks_exact_mut(width).zip(rows) {
                    for (dx, (&y, &dy)) in dx.iter_mut().zip(y.iter().zip(dy)) {
                        *dx = y * dy;
                    }
                    let total = sum(dx);
                    for (dx, &y) in dx.iter_mut().zip(y) {
                        *dx = (-total).mul_add(y, *dx);
                    }
                }
            },
        );
    });
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
    fn element_wise_functions_match_f64() {
        check(gelu_f64, gelu_forward, |x, _, dy, dx| gelu_backward(x, dy, dx));
        check(f64::tanh, tanh_forward, |_, y, dy, dx| tanh_backward(y, dy, dx));
        check(|x| 1.0 / (1.0 + (-x).exp()), sigmoid_forward, |_, y, dy, dx| sigmoid_backward(y, dy, dx));
    }

    #[test]
    fn softmax_matches_f64() {
        for width in [1, 7, 64, 101] {
            let x: Vec<f32> = random(3 * width, 1).iter().map(|x| 20.0 * x).collect();
            let dy = random(x.len(), 2);
            let plain = |x: &[f64]| -> Vec<f64> {
                x.chunks(width)
                    .flat_map(|row| {
                        let total: f64 = row.iter().map(|x| x.exp()).sum();
                        row.iter().map(move |x| x.exp() / total).collect::<Vec<_>>()
                    })
                    .collect()
            };
            let (mut y, mut dx) = (x.clone(), vec![0.0; x.len()]);
            softmax_forward(&mut y, width);
            assert_close(&y, &plain(&wide(&x)), 2e-6);
            softmax_backward(&y, &dy, &mut dx, width);
            assert_close(&dx, &differences(&x, &dy, plain), 5e-6);
        }
    }

    #[test]
    fn additions() {
        let (x, b) = (random(24, 1), random(6, 2));
        let mut y = x.clone();
        add_assign(&mut y, &x);
        add_bias(&mut y, &b);
        for (i, &y) in y.iter().enumerate() {
            assert_eq!(y, x[i] + x[i] + b[i % 6]);
        }
    }
}

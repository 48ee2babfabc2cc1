//! Dynamic tanh, `y = gamma * tanh(alpha * x) + beta` (Zhu et al., "Transformers without Normalization", 2025, eq. 4).

use super::math::tanh;
use super::reduce::{add_parts, rows_per_part};
use super::simd::{CHUNK, run};
use rayon::prelude::*;

/// `y = gamma * tanh(alpha * x) + beta`.
///
/// # Shapes
/// - `x`, `y`: `[rows, D]`
/// - `gamma`, `beta`: `[D]`
pub fn dyt_forward(x: &[f32], alpha: f32, gamma: &[f32], beta: &[f32], y: &mut [f32]) {
    let width = gamma.len();
    assert_eq!((x.len(), beta.len()), (y.len(), width));
    let chunk = CHUNK.div_ceil(width) * width;
    y.par_chunks_mut(chunk).zip(x.par_chunks(chunk)).for_each(|(y, x)| {
        run(
            #[inline(always)]
            || {
                for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
                    for ((y, &x), (&gamma, &beta)) in y.iter_mut().zip(x).zip(gamma.iter().zip(beta)) {
                        *y = gamma.mul_add(tanh(alpha * x), beta);
                    }
                }
            },
        );
    });
}

/// Gradients of the parameters of a DyT or a layer norm.
#[derive(Debug)]
pub struct ScaleGradients<'a> {
    /// Of `gamma`, `[D]`.
    pub gamma: &'a mut [f32],
    /// Of `beta`, `[D]`.
    pub beta: &'a mut [f32],
}

/// Writes `dx` and the gradients of `gamma` and `beta`; returns that of `alpha`.
pub fn dyt_backward(
    x: &[f32],
    alpha: f32,
    gamma: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    gradients: ScaleGradients<'_>,
) -> f32 {
    let width = gamma.len();
    assert_eq!((x.len(), dy.len()), (dx.len(), dx.len()));
    let chunk = rows_per_part(x.len() / width) * width;
    let parts: Vec<Vec<f32>> = dx
        .par_chunks_mut(chunk)
        .zip(x.par_chunks(chunk).zip(dy.par_chunks(chunk)))
        .map(|(dx, (x, dy))| {
            let mut sums = vec![0.0; 3 * width];
            let (d_gamma, rest) = sums.split_at_mut(width);
            let (d_beta, d_alpha) = rest.split_at_mut(width);
            run(
                #[inline(always)]
                || {
                    let rows = x.chunks_exact(width).zip(dy.chunks_exact(width));
                    for (dx, (x, dy)) in dx.chunks_exact_mut(width).zip(rows) {
                        let (gamma, x, dy, dx) =
                            (&gamma[..width], &x[..width], &dy[..width], &mut dx[..width]);
                        let (d_gamma, d_beta, d_alpha) =
                            (&mut d_gamma[..width], &mut d_beta[..width], &mut d_alpha[..width]);
                        for i in 0..width {
                            let t = tanh(alpha * x[i]);
                            let inner = dy[i] * gamma[i] * (1.0 - t * t);
                            dx[i] = alpha * inner;
                            d_gamma[i] += dy[i] * t;
                            d_beta[i] += dy[i];
                            d_alpha[i] += inner * x[i];
                        }
                    }
                },
            );
            sums
        })
        .collect();
    let mut sums = vec![0.0; 3 * width];
    add_parts(&parts, &mut sums);
    gradients.gamma.copy_from_slice(&sums[..width]);
    gradients.beta.copy_from_slice(&sums[width..2 * width]);
    sums[2 * width..].iter().map(|&x| f64::from(x)).sum::<f64>() as f32
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, differences, random, wide};
    use super::*;

    #[test]
    fn forward_and_backward_match_f64() {
        let (rows, width, alpha) = (71, 13, 0.7f32);
        let x: Vec<f32> = random(rows * width, 1).iter().map(|x| 4.0 * x).collect();
        let (gamma, beta, dy) = (random(width, 2), random(width, 3), random(rows * width, 4));
        let plain = |x: &[f64], alpha: f64, gamma: &[f64], beta: &[f64]| -> Vec<f64> {
            x.iter()
                .enumerate()
                .map(|(i, x)| gamma[i % width] * (alpha * x).tanh() + beta[i % width])
                .collect()
        };
        let (x64, gamma64, beta64, alpha64) = (wide(&x), wide(&gamma), wide(&beta), f64::from(alpha));
        let mut y = vec![0.0; x.len()];
        dyt_forward(&x, alpha, &gamma, &beta, &mut y);
        assert_close(&y, &plain(&x64, alpha64, &gamma64, &beta64), 1e-6);

        let (mut dx, mut d_gamma, mut d_beta) = (vec![0.0; x.len()], vec![0.0; width], vec![0.0; width]);
        let gradients = ScaleGradients { gamma: &mut d_gamma, beta: &mut d_beta };
        let d_alpha = dyt_backward(&x, alpha, &gamma, &dy, &mut dx, gradients);
        assert_close(&dx, &differences(&x, &dy, |x| plain(x, alpha64, &gamma64, &beta64)), 5e-6);
        assert_close(&d_gamma, &differences(&gamma, &dy, |g| plain(&x64, alpha64, g, &beta64)), 5e-6);
        assert_close(&d_beta, &differences(&beta, &dy, |b| plain(&x64, alpha64, &gamma64, b)), 5e-6);
        let expected = differences(&[alpha], &dy, |alpha| plain(&x64, alpha[0], &gamma64, &beta64));
        // 923 terms of both signs that nearly cancel.
        assert_close(&[d_alpha], &expected, 1e-4);
    }
}

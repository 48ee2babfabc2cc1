//! Layer normalisation over the last dimension (Ba et al., 2016).

use super::dyt::ScaleGradients;
use super::reduce::{add_parts, rows_per_part};
use super::simd::{CHUNK, fold, run, sum};
use rayon::prelude::*;

/// Mean and reciprocal standard deviation, `1 / sqrt(var + eps)`, of a row.
#[inline(always)]
pub fn moments(x: &[f32], eps: f32) -> (f32, f32) {
    let scale = 1.0 / x.len() as f32;
    let mean = sum(x) * scale;
    let square = |acc: f32, x: f32| (x - mean).mul_add(x - mean, acc);
    let variance = fold(x, 0.0, square, |a, b| a + b) * scale;
    (mean, 1.0 / (variance + eps).sqrt())
}

/// `y = gamma * (x - mean) / sqrt(var + eps) + beta` per row.
///
/// # Shapes
/// - `x`, `y`: `[rows, D]`
/// - `gamma`, `beta`: `[D]`
pub fn layer_norm_forward(x: &[f32], gamma: &[f32], beta: &[f32], eps: f32, y: &mut [f32]) {
    let width = gamma.len();
    assert_eq!((x.len(), beta.len()), (y.len(), width));
    let chunk = CHUNK.div_ceil(width) * width;
    y.par_chunks_mut(chunk).zip(x.par_chunks(chunk)).for_each(|(y, x)| {
        run(
            #[inline(always)]
            || {
                for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
                    let (mean, scale) = moments(x, eps);
                    for ((y, &x), (&gamma, &beta)) in y.iter_mut().zip(x).zip(gamma.iter().zip(beta)) {
                        *y = ((x - mean) * scale).mul_add(gamma, beta);
                    }
                }
            },
        );
    });
}

/// Writes `dx` and the gradients of `gamma` and `beta`.
pub fn layer_norm_backward(
    x: &[f32],
    gamma: &[f32],
    eps: f32,
    dy: &[f32],
    dx: &mut [f32],
    gradients: ScaleGradients<'_>,
) {
    let width = gamma.len();
    assert_eq!((x.len(), dy.len()), (dx.len(), dx.len()));
    let chunk = rows_per_part(x.len() / width) * width;
    let parts: Vec<Vec<f32>> = dx
        .par_chunks_mut(chunk)
        .zip(x.par_chunks(chunk).zip(dy.par_chunks(chunk)))
        .map(|(dx, (x, dy))| {
            let mut sums = vec![0.0; 2 * width];
            let (d_gamma, d_beta) = sums.split_at_mut(width);
            // Two rows of work space: the normalised row, and the gradient that reaches it, times itself.
            let mut normal = vec![0.0; width];
            let mut product = vec![0.0; width];
            run(
                #[inline(always)]
                || {
                    let rows = x.chunks_exact(width).zip(dy.chunks_exact(width));
                    for (dx, (x, dy)) in dx.chunks_exact_mut(width).zip(rows) {
                        let (mean, scale) = moments(x, eps);
                        let (gamma, x, dy, dx) =
                            (&gamma[..width], &x[..width], &dy[..width], &mut dx[..width]);
                        let (d_gamma, d_beta) = (&mut d_gamma[..width], &mut d_beta[..width]);
                        let (normal, product) = (&mut normal[..width], &mut product[..width]);
                        for i in 0..width {
                            normal[i] = (x[i] - mean) * scale;
                            dx[i] = dy[i] * gamma[i];
                            product[i] = dx[i] * normal[i];
                            d_gamma[i] += dy[i] * normal[i];
                            d_beta[i] += dy[i];
                        }
                        let mean_gradient = sum(dx) / width as f32;
                        let mean_product = sum(product) / width as f32;
                        for i in 0..width {
                            dx[i] = scale * (dx[i] - mean_gradient - normal[i] * mean_product);
                        }
                    }
                },
            );
            sums
        })
        .collect();
    let mut sums = vec![0.0; 2 * width];
    add_parts(&parts, &mut sums);
    gradients.gamma.copy_from_slice(&sums[..width]);
    gradients.beta.copy_from_slice(&sums[width..]);
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, differences, random, wide};
    use super::*;

    #[test]
    fn forward_and_backward_match_f64() {
        let (rows, eps) = (41, 1e-5f32);
        for width in [3, 48, 65] {
            let x: Vec<f32> = random(rows * width, 1).iter().map(|x| 3.0 * x + 1.0).collect();
            let (gamma, beta, dy) = (random(width, 2), random(width, 3), random(rows * width, 4));
            let plain = |x: &[f64], gamma: &[f64], beta: &[f64]| -> Vec<f64> {
                x.chunks(width)
                    .flat_map(|row| {
                        let n = width as f64;
                        let mean = row.iter().sum::<f64>() / n;
                        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
                        let scale = 1.0 / (variance + f64::from(eps)).sqrt();
                        (0..width).map(|i| gamma[i] * (row[i] - mean) * scale + beta[i]).collect::<Vec<_>>()
                    })
                    .collect()
            };
            let (x64, gamma64, beta64) = (wide(&x), wide(&gamma), wide(&beta));
            let mut y = vec![0.0; x.len()];
            layer_norm_forward(&x, &gamma, &beta, eps, &mut y);
            assert_close(&y, &plain(&x64, &gamma64, &beta64), 1e-5);

            let (mut dx, mut d_gamma, mut d_beta) = (vec![0.0; x.len()], vec![0.0; width], vec![0.0; width]);
            let gradients = ScaleGradients { gamma: &mut d_gamma, beta: &mut d_beta };
            layer_norm_backward(&x, &gamma, eps, &dy, &mut dx, gradients);
            assert_close(&dx, &differences(&x, &dy, |x| plain(x, &gamma64, &beta64)), 1e-4);
            assert_close(&d_gamma, &differences(&gamma, &dy, |g| plain(&x64, g, &beta64)), 1e-5);
            assert_close(&d_beta, &differences(&beta, &dy, |b| plain(&x64, &gamma64, b)), 1e-5);
        }
    }
}

//! Sums over rows, cut into parts by the shape alone and added in order: the same bits on any number of threads.

use super::simd;
use rayon::prelude::*;

/// The most parts that a sum over rows is cut into.
const PARTS: usize = 16;
/// The fewest rows of a part.
const MIN_ROWS: usize = 32;

/// Rows per part of a sum over `rows` rows.
pub(crate) fn rows_per_part(rows: usize) -> usize {
    rows.div_ceil(PARTS).max(MIN_ROWS)
}

/// Adds the parts in order: `out[i] = sum over p of parts[p][i]`.
pub(crate) fn add_parts(parts: &[Vec<f32>], out: &mut [f32]) {
    out.fill(0.0);
    simd::run(
        #[inline(always)]
        || {
            for part in parts {
                for (out, &value) in out.iter_mut().zip(part) {
                    *out += value;
                }
            }
        },
    );
}

/// `out[j] = sum over i of x[i, j]` for a contiguous `[rows, out.len()]`: the gradient of a bias.
pub(crate) fn column_sum(x: &[f32], out: &mut [f32]) {
    let cols = out.len();
    let part_rows = rows_per_part(x.len() / cols);
    let parts: Vec<Vec<f32>> = x
        .par_chunks(part_rows * cols)
        .map(|x| {
            let mut sums = vec![0.0; cols];
            simd::run(
                #[inline(always)]
                || {
                    for row in x.chunks_exact(cols) {
                        for (sum, &value) in sums.iter_mut().zip(row) {
                            *sum += value;
                        }
                    }
                },
            );
            sums
        })
        .collect();
    add_parts(&parts, out);
}

/// The sum of squares, in `f64` across blocks: for the norm of a gradient.
pub fn sum_squares(x: &[f32]) -> f64 {
    sum_of(x, x, |x, _| x * x)
}

/// The sum of `f(a[i], b[i])`, in `f64` across blocks.
#[inline(always)]
pub(crate) fn sum_of(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32 + Sync + Copy) -> f64 {
    const BLOCK: usize = 1024;
    assert_eq!(a.len(), b.len());
    let parts: Vec<f64> = a
        .par_chunks(simd::CHUNK)
        .zip(b.par_chunks(simd::CHUNK))
        .map(|(a, b)| {
            simd::run(
                #[inline(always)]
                || {
                    let (mut terms, mut total) = ([0.0; BLOCK], 0.0);
                    for (a, b) in a.chunks(BLOCK).zip(b.chunks(BLOCK)) {
                        let terms = &mut terms[..a.len()];
                        for (term, (&a, &b)) in terms.iter_mut().zip(a.iter().zip(b)) {
                            *term = f(a, b);
                        }
                        total += f64::from(simd::sum(terms));
                    }
                    total
                },
            )
        })
        .collect();
    parts.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, random};
    use super::*;

    #[test]
    fn sums_match_f64() {
        for (rows, cols) in [(1, 1), (7, 3), (1000, 24), (5000, 5)] {
            let x = random(rows * cols, 1);
            let mut out = vec![0.0; cols];
            column_sum(&x, &mut out);
            let expected: Vec<f64> =
                (0..cols).map(|j| (0..rows).map(|i| f64::from(x[i * cols + j])).sum()).collect();
            assert_close(&out, &expected, 1e-5);
            let squares: f64 = x.iter().map(|&x| f64::from(x).powi(2)).sum();
            assert!((sum_squares(&x) / squares - 1.0).abs() < 1e-5);
        }
    }
}

//! Matrix products of whole matrices, threaded over the rows of the output.

use super::panels::{Matrix, with_packed};
use super::product::{Init, Product, Segment};
use super::scratch;
use rayon::prelude::*;

/// Depth of a pass: a panel of 24 columns of it takes 24 KiB, which stays in a first-level cache.
const DEPTH: usize = 256;
/// Depth of a pass when the left matrix is transposed: every step of it touches another cache line.
const DEPTH_TRANSPOSED: usize = 128;
/// Rows of the output per task: 96 x 256 left elements take 96 KiB of a second-level cache.
const ROWS: usize = 96;

/// `out = init + a * b`, with `a` `[m, k]`, `k >= 1`, `b` `[k, n]` and `out` a contiguous `[m, n]`.
pub fn matmul(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, [m, k, n]: [usize; 3], init: Init<'_>) {
    assert_eq!(out.len(), m * n);
    if out.is_empty() {
        return;
    }
    let transposed = a.col_step != 1;
    let depth = if transposed { DEPTH_TRANSPOSED } else { DEPTH };
    with_packed(b, k, n, |panels| {
        out.par_chunks_mut(ROWS * n).enumerate().for_each(|(task, out)| {
            let rows = out.len() / n;
            let start = a.offset + task * ROWS * a.row_step;
            scratch::with(if transposed { depth * rows } else { 0 }, |copy| {
                let mut init = init;
                for k0 in (0..k).step_by(depth) {
                    let depth = depth.min(k - k0);
                    let first = start + k0 * a.col_step;
                    // Rows of a power of two floats would all fall into the same few sets of the cache: copy them.
                    for (i, copy) in copy.chunks_exact_mut(rows).take(depth).enumerate() {
                        copy.copy_from_slice(&a.data[first + i * a.col_step..][..rows]);
                    }
                    let (x, x_row, x_k, at) =
                        if transposed { (&*copy, 1, rows, 0) } else { (a.data, a.row_step, 1, first) };
                    Product {
                        x,
                        x_line: 0,
                        x_row,
                        x_k,
                        segments: &[Segment { x: at, k0, k: depth }],
                        panels,
                        init,
                        lines: 1,
                        rows,
                        out: &mut *out,
                        out_line: 0,
                        out_row: n,
                    }
                    .run();
                    init = Init::Accumulate;
                }
            });
        });
    });
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, random, wide};
    use super::*;

    #[test]
    fn any_layout_and_size_matches_f64() {
        for [m, k, n] in [[1, 1, 1], [5, 3, 2], [33, 70, 41], [101, 300, 65], [6, 513, 16], [97, 2, 3]] {
            let (a, b, bias) = (random(m * k, 1), random(k * n, 2), random(n, 3));
            for (a_transposed, b_transposed, kind) in
                [(false, false, 0), (true, false, 1), (false, true, 2), (true, true, 0)]
            {
                let left = |i: usize, p: usize| if a_transposed { a[p * m + i] } else { a[i * k + p] };
                let right = |p: usize, j: usize| if b_transposed { b[j * k + p] } else { b[p * n + j] };
                let mut out = random(m * n, 4);
                let before = wide(&out);
                let expected: Vec<f64> = (0..m * n)
                    .map(|at| {
                        let (i, j) = (at / n, at % n);
                        let start = [0.0, f64::from(bias[j]), before[at]][kind];
                        start + (0..k).map(|p| f64::from(left(i, p)) * f64::from(right(p, j))).sum::<f64>()
                    })
                    .collect();
                let a = if a_transposed { Matrix::rows(&a, m).transposed() } else { Matrix::rows(&a, k) };
                let b = if b_transposed { Matrix::rows(&b, k).transposed() } else { Matrix::rows(&b, n) };
                let init = [Init::Zero, Init::Bias(&bias), Init::Accumulate][kind];
                matmul(&mut out, a, b, [m, k, n], init);
                assert_close(&out, &expected, 1e-5);
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours() {
        let [m, k, n] = [203, 300, 40];
        let (a, b) = (random(m * k, 1), random(k * n, 2));
        let mut all = vec![0.0; m * n];
        matmul(&mut all, Matrix::rows(&a, k), Matrix::rows(&b, n), [m, k, n], Init::Zero);
        let mut one = vec![0.0; n];
        matmul(&mut one, Matrix::rows(&a[17 * k..18 * k], k), Matrix::rows(&b, n), [1, k, n], Init::Zero);
        assert_eq!(one, all[17 * n..18 * n]);
    }
}

//! The bf16 [matrix product](crate::matmul) of whole matrices, threaded over the rows of the output.

use super::{Product16, pairs, with_packed_in, zip};
use crate::panels::Matrix;
use crate::precision::Precision;
use crate::product::{Init, Segment};
use crate::scratch;
use rayon::prelude::*;

/// Words of a pass: a panel of 32 columns of it takes 24 KiB.
const DEPTH: usize = 192;
/// Words of a pass when the left matrix is transposed: every step of it touches another cache line.
const DEPTH_TRANSPOSED: usize = 128;
/// Rows of the output per task.
const ROWS: usize = 96;

/// `out = init + a * b`, factors rounded to bf16: see [`matmul`](crate::matmul::matmul).
///
/// `k` is even, unless `a` is transposed and `b` is not. A transposed `b` has no gaps.
pub fn matmul(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, [m, k, n]: [usize; 3], init: Init<'_>) {
    assert_eq!(out.len(), m * n);
    if out.is_empty() {
        return;
    }
    let transposed = a.col_step != 1;
    assert!(k.is_multiple_of(2) || (transposed && b.col_step == 1), "bf16 numbers come in pairs");
    let words = k.div_ceil(2);
    let depth = if transposed { DEPTH_TRANSPOSED } else { DEPTH };
    with_packed_in(Precision::Bf16, b, k, n, |panels| {
        out.par_chunks_mut(ROWS * n).enumerate().for_each(|(task, out)| {
            let rows = out.len() / n;
            let start = a.offset + task * ROWS * a.row_step;
            scratch::with(rows * if transposed { depth } else { words }, |left| {
                if !transposed {
                    for (i, left) in left.chunks_exact_mut(words).enumerate() {
                        pairs(&a.data[start + i * a.row_step..][..k], left);
                    }
                }
                let mut init = init;
                for k0 in (0..words).step_by(depth) {
                    let depth = depth.min(words - k0);
                    let (x_row, x_k, at) = if transposed {
                        columns(a, start, 2 * k0..k, &mut left[..depth * rows], rows);
                        (1, rows, 0)
                    } else {
                        (words, 1, k0)
                    };
                    Product16 {
                        x: left,
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

/// Pairs columns `columns` of a transposed matrix, `rows` of each, from element `start` on; fills all of `words`.
fn columns(a: Matrix<'_>, start: usize, columns: std::ops::Range<usize>, words: &mut [f32], rows: usize) {
    for (words, column) in words.chunks_exact_mut(rows).zip(columns.clone().step_by(2)) {
        let first = &a.data[start + column * a.col_step..][..rows];
        if column + 1 < columns.end {
            zip(first, &a.data[start + (column + 1) * a.col_step..][..rows], words);
        } else {
            scratch::with(rows, |zeros| {
                zeros.fill(0.0);
                zip(first, zeros, words);
            });
        }
    }
}

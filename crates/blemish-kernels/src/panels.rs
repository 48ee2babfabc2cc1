//! The right-hand matrix of a product, repacked so that the inner loop reads it front to back.

use super::{scratch, simd};
use rayon::prelude::*;

/// Vectors per panel; the last panel takes 1 to 3, so that a single one is left over only where there is no other.
///
/// A tile of 6 rows x 2 vectors, or 3 x 3, fills the 16 registers of AVX2, and one of 12 x 2 or 8 x 3 the 32 of AVX-512.
/// (4 x 3 would fit AVX2 too, but the compiler wants a register more and spills: half the speed.)
const PANEL_VECTORS: usize = 2;

/// The number of panels of a matrix of `n` columns.
fn count(n: usize, lanes: usize) -> usize {
    (n.div_ceil(lanes) / PANEL_VECTORS).max(1)
}

/// First column and columns of panel `index`.
#[inline(always)]
fn columns(index: usize, n: usize, lanes: usize) -> (usize, usize) {
    let first = index * PANEL_VECTORS * lanes;
    let cols = if index + 1 == count(n, lanes) { n - first } else { PANEL_VECTORS * lanes };
    (first, cols)
}

/// A matrix `[rows, cols]` inside a slice: one of the two steps is 1.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// Where the matrix lives.
    pub data: &'a [f32],
    /// Index of its first element.
    pub offset: usize,
    /// Distance between two rows.
    pub row_step: usize,
    /// Distance between two columns.
    pub col_step: usize,
}

impl<'a> Matrix<'a> {
    /// A contiguous `[rows, cols]`.
    pub fn rows(data: &'a [f32], cols: usize) -> Self {
        Self { data, offset: 0, row_step: cols, col_step: 1 }
    }

    /// The same elements, read as the transposed matrix.
    pub fn transposed(self) -> Self {
        Self { row_step: self.col_step, col_step: self.row_step, ..self }
    }
}

/// A packed `[k, n]` matrix: panels of 2 vectors of columns, each `k` rows deep; the last has 1 to 3 vectors and is
/// filled up with zeros to whole ones.
#[derive(Clone, Copy, Debug)]
pub struct Panels<'a> {
    data: &'a [f32],
    k: usize,
    n: usize,
    lanes: usize,
}

impl<'a> Panels<'a> {
    /// How many floats a packed `[k, n]` takes.
    pub fn len(k: usize, n: usize) -> usize {
        k * n.next_multiple_of(simd::lanes())
    }

    /// Reads `data`, which [`pack`] has filled, as a packed `[k, n]`.
    pub fn new(data: &'a [f32], k: usize, n: usize) -> Self {
        assert_eq!(data.len(), Self::len(k, n));
        Self { data, k, n, lanes: simd::lanes() }
    }

    /// The number of panels.
    pub fn count(&self) -> usize {
        count(self.n, self.lanes)
    }

    /// Panel `index`.
    #[inline(always)]
    pub fn get(&self, index: usize) -> Panel<'a> {
        let (first, cols) = columns(index, self.n, self.lanes);
        let width = cols.next_multiple_of(self.lanes);
        Panel { data: &self.data[first * self.k..][..width * self.k], first, cols, width }
    }
}

/// One panel of [`Panels`].
#[derive(Clone, Copy, Debug)]
pub struct Panel<'a> {
    /// `[k, width]`.
    pub data: &'a [f32],
    /// The first column.
    pub first: usize,
    /// Columns.
    pub cols: usize,
    /// Columns, filled up to whole vectors.
    pub width: usize,
}

/// Floats of a packed matrix from which all threads pack it.
const SHARED: usize = 64 * 1024;

/// Calls `work(first column, columns, panel)` for every panel of a packed `[k, n]`.
pub(crate) fn each_panel(
    out: &mut [f32],
    k: usize,
    n: usize,
    work: impl Fn(usize, usize, &mut [f32]) + Sync,
) {
    let lanes = simd::lanes();
    assert_eq!(out.len(), k * n.next_multiple_of(lanes));
    let shared = out.len() >= SHARED;
    let mut rest = out;
    let panels = (0..count(n, lanes)).map(|index| {
        let (first, cols) = columns(index, n, lanes);
        let (panel, others) = std::mem::take(&mut rest).split_at_mut(k * cols.next_multiple_of(lanes));
        rest = others;
        (first, cols, panel)
    });
    if shared {
        let panels: Vec<_> = panels.collect();
        panels.into_par_iter().for_each(|(first, cols, panel)| work(first, cols, panel));
    } else {
        panels.for_each(|(first, cols, panel)| work(first, cols, panel));
    }
}

/// Packs rows `at .. at + rows` of a packed `[k, n]` from the matrix `source` of `[rows, n]`.
pub fn pack(out: &mut [f32], k: usize, n: usize, at: usize, rows: usize, source: Matrix<'_>) {
    each_panel(out, k, n, |first, cols, panel| {
        let width = panel.len() / k;
        let panel = &mut panel[at * width..][..rows * width];
        if source.col_step == 1 {
            for (row, out) in panel.chunks_exact_mut(width).enumerate() {
                let start = source.offset + row * source.row_step + first;
                out[..cols].copy_from_slice(&source.data[start..start + cols]);
                out[cols..].fill(0.0);
            }
        } else {
            assert_eq!(source.row_step, 1, "one step of a matrix is 1");
            if cols < width {
                panel.fill(0.0);
            }
            for col in 0..cols {
                let start = source.offset + (first + col) * source.col_step;
                let values = &source.data[start..start + rows];
                for (out, &value) in panel.chunks_exact_mut(width).zip(values) {
                    out[col] = value;
                }
            }
        }
    });
}

/// Calls `work` with `source`, `[k, n]`, packed in a scratch buffer.
pub(crate) fn with_packed<R>(
    source: Matrix<'_>,
    k: usize,
    n: usize,
    work: impl FnOnce(Panels<'_>) -> R,
) -> R {
    scratch::with(Panels::len(k, n), |buffer| {
        pack(buffer, k, n, 0, k, source);
        work(Panels::new(buffer, k, n))
    })
}

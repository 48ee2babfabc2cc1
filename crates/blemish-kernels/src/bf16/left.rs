//! A [`Product`] described in floats and computed in either precision.

use super::{Product16, pairs, row_pairs};
use crate::panels::{Matrix, Panels, each_panel, pack, with_packed};
use crate::precision::Precision;
use crate::product::{Product, Segment};
use crate::scratch;

impl Product<'_> {
    /// Computes it in `precision`. With [`Precision::Bf16`] the panels hold words, `x_k` is 1, and every step and run
    /// of the left side is even.
    pub fn run_in(self, precision: Precision) {
        if precision == Precision::F32 {
            return self.run();
        }
        assert_eq!(self.x_k, 1, "words are made of neighbours");
        let half = |s: &Segment| Segment { x: s.x / 2, k0: s.k0 / 2, k: s.k / 2 };
        let segments: Vec<Segment> = self.segments.iter().map(half).collect();
        let run = self.segments.iter().map(|s| s.x + s.k).max().unwrap_or(0);
        let len = (self.lines - 1) * self.x_line + (self.rows - 1) * self.x_row + run;
        let (x_line, x_row) = (self.x_line / 2, self.x_row / 2);
        scratch::with(len / 2, |words| {
            pairs(&self.x[..len], words);
            Product { x: words, x_line, x_row, segments: &segments, ..self }.run_words();
        });
    }

    /// The [`Product16`] of the same fields: `x` and the panels hold words, which steps and runs count.
    pub fn run_words(self) {
        let Self { x, x_line, x_row, x_k, segments, panels, init, lines, rows, out, out_line, out_row } =
            self;
        Product16 { x, x_line, x_row, x_k, segments, panels, init, lines, rows, out, out_line, out_row }
            .run();
    }
}

/// `with_packed` of a `[k, n]` in `precision`: of words with [`Precision::Bf16`]. `k` is even then where `source` is
/// transposed; else a last row without a partner is paired with 0.
pub fn with_packed_in<R>(
    precision: Precision,
    source: Matrix<'_>,
    k: usize,
    n: usize,
    work: impl FnOnce(Panels<'_>) -> R,
) -> R {
    if precision == Precision::F32 {
        return with_packed(source, k, n, work);
    }
    let depth = k.div_ceil(2);
    scratch::with(Panels::len(depth, n), |packed| {
        pack_in(precision, packed, k, n, source);
        work(Panels::new(packed, depth, n))
    })
}

/// Packs a whole `[k, n]` in `precision`, [`Precision::depth`] rows deep: see [`with_packed_in`].
pub fn pack_in(precision: Precision, packed: &mut [f32], k: usize, n: usize, source: Matrix<'_>) {
    let depth = precision.depth(k);
    if precision == Precision::F32 {
        pack(packed, k, n, 0, k, source);
    } else if source.col_step == 1 {
        each_panel(packed, depth, n, |first, cols, panel| {
            let width = panel.len() / depth;
            for (pair, out) in panel.chunks_exact_mut(width).enumerate() {
                let last = (2 * pair + 1).min(k - 1);
                let from = |row: usize| source.offset + row * source.row_step + first;
                let (words, filler) = out.split_at_mut(cols);
                row_pairs(&source.data[from(2 * pair)..from(last) + cols], source.row_step, cols, words);
                filler.fill(0.0);
            }
        });
    } else {
        assert!(source.row_step == 1 && k.is_multiple_of(2), "words are made of neighbours");
        scratch::with(depth * n, |words| {
            for (column, words) in words.chunks_exact_mut(depth).enumerate() {
                pairs(&source.data[source.offset + column * source.col_step..][..k], words);
            }
            pack(packed, depth, n, 0, depth, Matrix::rows(words, depth).transposed());
        });
    }
}

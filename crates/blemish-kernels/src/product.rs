//! The one matrix product: a tile of the output stays in registers while a row of the left matrix meets a packed panel.

use super::panels::Panels;
use pulp::bytemuck::cast;
use pulp::{Arch, Simd, WithSimd};
use std::ops::Range;

/// Rows of a block where the left matrix is transposed: a multiple of every tile's height.
const TRANSPOSED_ROWS: usize = 24;

/// What an output element starts from.
#[derive(Clone, Copy, Debug)]
pub enum Init<'a> {
    /// 0.
    Zero,
    /// The bias of its column.
    Bias(&'a [f32]),
    /// What is there.
    Accumulate,
}

/// A run of the inner dimension: rows `k0 .. k0 + k` of the panels meet the left elements from index `x` on.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// Offset into the left data.
    pub x: usize,
    /// First packed row.
    pub k0: usize,
    /// Length.
    pub k: usize,
}

/// `out[l, i, j] = init + sum over segments s and k of x[s.x + l*x_line + i*x_row + k*x_k] * panels[s.k0 + k, j]`,
/// for `l < lines`, `i < rows` and every column `j` of the panels; element `(l, i, j)` of `out` lies at
/// `l*out_line + i*out_row + j`.
///
/// One of `x_row` and `x_k` is 1; rows may overlap, as the pixels of a convolution do. The order of the
/// additions of an element depends on its segments alone: not on `rows`, nor on where the element lies.
#[derive(Debug)]
pub struct Product<'a> {
    /// The left data.
    pub x: &'a [f32],
    /// Step between lines of the left data.
    pub x_line: usize,
    /// Step between rows of the left data.
    pub x_row: usize,
    /// Step along the inner dimension of the left data.
    pub x_k: usize,
    /// How the inner dimension is read.
    pub segments: &'a [Segment],
    /// The right matrix.
    pub panels: Panels<'a>,
    /// What the sums start from.
    pub init: Init<'a>,
    /// Lines.
    pub lines: usize,
    /// Rows of a line.
    pub rows: usize,
    /// The output.
    pub out: &'a mut [f32],
    /// Step between lines of the output.
    pub out_line: usize,
    /// Step between rows of the output.
    pub out_row: usize,
}

impl Product<'_> {
    /// Computes it, on this thread.
    pub fn run(self) {
        Arch::new().dispatch(self);
    }
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // Where the left matrix is transposed, each step along the inner dimension touches another cache line: keep
        // few rows, whose lines stay in the first-level cache, and let the panels pass by. Else keep a panel.
        let (line_block, row_block) =
            if self.x_k == 1 { (self.lines, self.rows) } else { (1, TRANSPOSED_ROWS) };
        for line in (0..self.lines).step_by(line_block.max(1)) {
            for row in (0..self.rows).step_by(row_block.max(1)) {
                let lines = line..(line + line_block).min(self.lines);
                let rows = row..(row + row_block).min(self.rows);
                for index in 0..self.panels.count() {
                    self.block(simd, index, lines.clone(), rows.clone());
                }
            }
        }
    }
}

impl Product<'_> {
    #[inline(always)]
    fn block<S: Simd>(&mut self, simd: S, index: usize, lines: Range<usize>, rows: Range<usize>) {
        // Rows x vectors accumulators, the vectors of a panel row and a left element or two fill the registers.
        match (S::REGISTER_COUNT >= 32, self.panels.get(index).width / S::F32_LANES) {
            (false, 3) => self.tiles::<S, 3, 3>(simd, index, lines, rows),
            (false, 2) => self.tiles::<S, 6, 2>(simd, index, lines, rows),
            (false, _) => self.tiles::<S, 8, 1>(simd, index, lines, rows),
            (true, 3) => self.tiles::<S, 8, 3>(simd, index, lines, rows),
            (true, 2) => self.tiles::<S, 12, 2>(simd, index, lines, rows),
            (true, _) => self.tiles::<S, 12, 1>(simd, index, lines, rows),
        }
    }

    #[inline(always)]
    fn tiles<S: Simd, const ROWS: usize, const VECTORS: usize>(
        &mut self,
        simd: S,
        index: usize,
        lines: Range<usize>,
        rows: Range<usize>,
    ) {
        for line in lines {
            let mut row = rows.start;
            while row + ROWS <= rows.end {
                self.tile::<S, ROWS, VECTORS>(simd, index, line, row);
                row += ROWS;
            }
            while ROWS > 4 && row + 4 <= rows.end {
                self.tile::<S, 4, VECTORS>(simd, index, line, row);
                row += 4;
            }
            while row + 2 <= rows.end {
                self.tile::<S, 2, VECTORS>(simd, index, line, row);
                row += 2;
            }
            if row < rows.end {
                self.tile::<S, 1, VECTORS>(simd, index, line, row);
            }
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize, const VECTORS: usize>(
        &mut self,
        simd: S,
        index: usize,
        line: usize,
        row: usize,
    ) {
        let panel = self.panels.get(index);
        let out = &mut self.out[line * self.out_line + row * self.out_row + panel.first..];
        let mut acc = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
        match self.init {
            Init::Zero => {}
            Init::Bias(bias) => acc = [load(simd, &bias[panel.first..][..panel.cols]); ROWS],
            Init::Accumulate => {
                for (r, acc) in acc.iter_mut().enumerate() {
                    *acc = load(simd, &out[r * self.out_row..][..panel.cols]);
                }
            }
        }
        for segment in self.segments {
            let packed = &panel.data[segment.k0 * panel.width..][..segment.k * panel.width];
            let packed = pulp::as_arrays::<VECTORS, _>(S::as_simd_f32s(packed).0).0;
            let x = &self.x[segment.x + line * self.x_line + row * self.x_row..];
            if self.x_k == 1 {
                let rows: [&[f32]; ROWS] = std::array::from_fn(|r| &x[r * self.x_row..][..packed.len()]);
                acc = multiply(simd, acc, packed, |k| std::array::from_fn(|r| rows[r][k]));
            } else {
                assert_eq!(self.x_row, 1, "one step of the left matrix is 1");
                acc = multiply(simd, acc, packed, |k| {
                    let x = &x[k * self.x_k..][..ROWS];
                    std::array::from_fn(|r| x[r])
                });
            }
        }
        for (r, acc) in acc.iter().enumerate() {
            store(simd, &mut out[r * self.out_row..][..panel.cols], acc);
        }
    }
}

/// `acc[r] += sum over k of left(k)[r] * packed[k]`.
#[inline(always)]
fn multiply<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    mut acc: [[S::f32s; VECTORS]; ROWS],
    packed: &[[S::f32s; VECTORS]],
    left: impl Fn(usize) -> [f32; ROWS],
) -> [[S::f32s; VECTORS]; ROWS] {
    for (k, right) in packed.iter().enumerate() {
        let left = left(k);
        for r in 0..ROWS {
            let x = simd.splat_f32s(left[r]);
            for v in 0..VECTORS {
                acc[r][v] = fused(simd, x, right[v], acc[r][v]);
            }
        }
    }
    acc
}

/// `a * b + c`, rounded once: so that processors without fused products give what the others give. There the product, exact in
/// `f64`, is added in `f64`, which differs from a sum rounded once in fewer than one of a hundred million cases.
#[inline(always)]
fn fused<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
    if S::F32_LANES > 1 {
        return simd.mul_add_e_f32s(a, b, c);
    }
    let [a, b, c] = [a, b, c].map(|v| f64::from(cast::<_, f32>(v)));
    cast((a * b + c) as f32)
}

/// Reads a row of a tile; what lies beyond its end reads as 0.
#[inline(always)]
fn load<S: Simd, const VECTORS: usize>(simd: S, from: &[f32]) -> [S::f32s; VECTORS] {
    match S::as_simd_f32s(from).0.first_chunk::<VECTORS>() {
        Some(vectors) => *vectors,
        None => std::array::from_fn(|v| simd.partial_load_f32s(&from[(v * S::F32_LANES).min(from.len())..])),
    }
}

/// Writes a row of a tile, as far as `to` goes.
#[inline(always)]
fn store<S: Simd, const VECTORS: usize>(simd: S, to: &mut [f32], vectors: &[S::f32s; VECTORS]) {
    if let Some(to) = S::as_mut_simd_f32s(to).0.first_chunk_mut::<VECTORS>() {
        *to = *vectors;
        return;
    }
    for (to, &vector) in to.chunks_mut(S::F32_LANES).zip(vectors) {
        simd.partial_store_f32s(to, vector);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_fused_products_sums_are_rounded_once_too() {
        let step = 1.0 + f32::EPSILON * 1024.0;
        let (a, b, c) = (step, step, -1.0 - f32::EPSILON * 2048.0);
        assert_eq!(a * b + c, 0.0, "rounded twice, it is lost");
        assert_eq!(fused(pulp::Scalar, a, b, c), a.mul_add(b, c));
        // Overflow and what is no number are as in f32.
        assert_eq!(fused(pulp::Scalar, f32::MAX, 2.0, 0.0), f32::INFINITY);
        assert!(fused(pulp::Scalar, f32::INFINITY, 0.0, 1.0).is_nan());
        // Values of all sizes, by a multiplicative generator.
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f32::from_bits(0x3000_0000 + (state >> 1) % 0x1800_0000 + (state & 0x8000_0000))
        };
        for _ in 0..100_000 {
            let (a, b, c) = (next(), next(), next());
            assert_eq!(fused(pulp::Scalar, a, b, c), a.mul_add(b, c), "{a} {b} {c}");
        }
    }
}

//! The matrix product of bf16 numbers with 32-bit sums, through AVX512-BF16 where the machine has it.
//!
//! Two bf16 numbers that follow each other along the inner dimension share a 32-bit word, which travels as the bits of
//! an `f32`: buffers, [`Panels`] and [`pack`](super::panels::pack) are those of the other kernels, with half the inner
//! dimension. Words are only ever copied, never calculated with.
#![expect(
    unsafe_code,
    reason = "the instructions have no safe interface; they are called in this folder only"
)]

#[cfg(target_arch = "x86_64")]
mod avx512;
mod left;
mod matmul;
#[cfg(test)]
mod tests;

pub use self::left::{pack_in, with_packed_in};
pub use self::matmul::matmul;

use super::panels::{Panel, Panels};
use super::product::{Init, Segment};
use super::simd;
use pulp::bytemuck::{cast_slice, cast_slice_mut};

/// Whether this machine multiplies bf16 numbers itself.
pub fn available() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512bf16")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512bw")
        && simd::lanes() == 16;
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// The bits of the nearest bf16 number, ties to even; subnormal numbers become 0, as they do in the instructions.
#[inline(always)]
fn round(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    let exponent = bits & 0x7f80_0000;
    if exponent == 0 {
        bits >> 16 & 0x8000
    } else if exponent == 0x7f80_0000 && bits & 0x007f_ffff != 0 {
        bits >> 16 | 0x40
    } else {
        rounded
    }
}

/// The nearest bf16 number, ties to even; subnormal numbers become 0.
pub fn rounded(x: f32) -> f32 {
    f32::from_bits(round(x) << 16)
}

/// `words[i]` = `x[2 i]`, `x[2 i + 1]`.
pub fn pairs(x: &[f32], words: &mut [f32]) {
    assert_eq!(x.len(), 2 * words.len());
    #[cfg(target_arch = "x86_64")]
    if available() {
        // SAFETY: the features are there.
        unsafe { avx512::pairs(x, words) };
        return;
    }
    plain_pairs(x, words);
}

fn plain_pairs(x: &[f32], words: &mut [f32]) {
    let words: &mut [u32] = cast_slice_mut(words);
    simd::run(
        #[inline(always)]
        || {
            for (word, x) in words.iter_mut().zip(x.as_chunks::<2>().0) {
                *word = round(x[0]) | round(x[1]) << 16;
            }
        },
    );
}

/// Words of rows `2 i` and `2 i + 1` of `x`, whose rows are `step` apart: `words[i, j] = x[2 i, j], x[2 i + 1, j]` for
/// `j < width`. Where the last row has no partner, its partner is 0.
pub fn row_pairs(x: &[f32], step: usize, width: usize, words: &mut [f32]) {
    for (words, rows) in words.chunks_exact_mut(width).zip(x.chunks(2 * step)) {
        let first = &rows[..width];
        match rows.get(step..step + width) {
            Some(second) => zip(first, second, words),
            None => {
                let words: &mut [u32] = cast_slice_mut(words);
                words.iter_mut().zip(first).for_each(|(word, &a)| *word = round(a));
            }
        }
    }
}

/// `words[i]` = `a[i]`, `b[i]`.
pub fn zip(a: &[f32], b: &[f32], words: &mut [f32]) {
    assert_eq!((a.len(), b.len()), (words.len(), words.len()));
    #[cfg(target_arch = "x86_64")]
    if available() {
        // SAFETY: the features are there.
        unsafe { avx512::zip(a, b, words) };
        return;
    }
    plain_zip(a, b, words);
}

fn plain_zip(a: &[f32], b: &[f32], words: &mut [f32]) {
    let words: &mut [u32] = cast_slice_mut(words);
    simd::run(
        #[inline(always)]
        || {
            for (word, (&a, &b)) in words.iter_mut().zip(a.iter().zip(b)) {
                *word = round(a) | round(b) << 16;
            }
        },
    );
}

/// A [`Product`](super::product::Product) whose left data and panels are words of two bf16 numbers: offsets, steps and
/// lengths along the inner dimension count words. Sums and output are 32-bit floats.
#[derive(Debug)]
pub struct Product16<'a> {
    /// The left data.
    pub x: &'a [f32],
    /// Step between lines of the left data.
    pub x_line: usize,
    /// Step between rows of the left data.
    pub x_row: usize,
    /// Step along the inner dimension of the left data. It or `x_row` is 1.
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

impl Product16<'_> {
    /// Computes it, on this thread.
    pub fn run(mut self) {
        #[cfg(target_arch = "x86_64")]
        if available() {
            // SAFETY: the features are there.
            unsafe { avx512::run(&mut self) };
            return;
        }
        self.plain();
    }

    /// The same with ordinary arithmetic.
    fn plain(&mut self) {
        simd::run(
            #[inline(always)]
            || {
                for index in 0..self.panels.count() {
                    let panel = self.panels.get(index);
                    for line in 0..self.lines {
                        for row in 0..self.rows {
                            self.plain_row(panel, line, row);
                        }
                    }
                }
            },
        );
    }

    #[inline(always)]
    fn plain_row(&mut self, panel: Panel<'_>, line: usize, row: usize) {
        /// The widest panel of any machine.
        const WIDEST: usize = 48;
        let at = line * self.out_line + row * self.out_row + panel.first;
        let out = &mut self.out[at..at + panel.cols];
        let mut acc = [0.0f32; WIDEST];
        match self.init {
            Init::Zero => {}
            Init::Bias(bias) => acc[..panel.cols].copy_from_slice(&bias[panel.first..][..panel.cols]),
            Init::Accumulate => acc[..panel.cols].copy_from_slice(out),
        }
        let acc = &mut acc[..panel.width];
        for segment in self.segments.iter().filter(|segment| segment.k > 0) {
            let left = &self.x[segment.x + line * self.x_line + row * self.x_row..];
            let left = left[..(segment.k - 1) * self.x_k + 1].iter().step_by(self.x_k);
            let right = &panel.data[segment.k0 * panel.width..][..segment.k * panel.width];
            for (left, right) in left.zip(right.chunks_exact(panel.width)) {
                let [a, b] = halves(*left);
                for (acc, &right) in acc.iter_mut().zip(right) {
                    let [c, d] = halves(right);
                    *acc = b.mul_add(d, a.mul_add(c, *acc));
                }
            }
        }
        out.copy_from_slice(&acc[..panel.cols]);
    }
}

/// The two numbers of a word.
#[inline(always)]
pub fn halves(word: f32) -> [f32; 2] {
    let bits = word.to_bits();
    [f32::from_bits(bits << 16), f32::from_bits(bits & 0xffff_0000)]
}

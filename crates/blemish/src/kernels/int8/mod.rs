//! Products of 8-bit integers with exact 32-bit sums, through AVX512-VNNI where the machine has it.
//!
//! Every row of the left side and every column of the right one has a scale of its own, that of its largest value: a value
//! is at most half a 127th of that off. Four numbers that follow each other along the inner dimension share a 32-bit word,
//! which travels as the bits of an `f32`, as in [`bf16`](super::bf16). Sums of integers have no order, so the result is
//! the same on every machine.
#![expect(
    unsafe_code,
    reason = "the instructions have no safe interface; they are called in this folder only"
)]

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(test)]
mod tests;

use pulp::bytemuck::{cast, cast_slice, cast_slice_mut};

use super::aligned::Aligned;
use super::panels::{Matrix, Panel, Panels, pack};
use super::{scratch, simd};

/// The largest integer on either side.
const LARGEST: f32 = 127.0;
/// The instruction multiplies unsigned numbers with signed ones: what is added to those of the left side.
const OFFSET: i32 = 128;
/// Adding it to a number leaves the nearest integer, and [`OFFSET`], in the low bits: 1.5 * 2^23 and that.
const ROUND: f32 = 12_582_912.0 + OFFSET as f32;
/// Numbers in a word.
const WORD: usize = 4;
/// What the largest value counts as at least: its inverse must be a number.
const SMALLEST: f32 = 1e-30;

/// Whether this machine multiplies 8-bit integers itself.
pub fn available() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512vnni")
        && is_x86_feature_detected!("avx512f")
        && simd::lanes() == 16;
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// `x W + b` with `W` in 8-bit integers, packed; rows of `x` are rounded as they come.
#[derive(Debug)]
pub struct Linear8 {
    inputs: usize,
    packed: Aligned,
    /// Of each column, `[outputs]`.
    scales: Vec<f32>,
    /// What [`OFFSET`] adds to the sum of each column, taken off: what is added to the sums.
    starts: Vec<i32>,
    bias: Vec<f32>,
}

/// What a [`Linear8`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// `x W + b`
    Set,
    /// That added to what is there.
    Add,
}

impl Linear8 {
    /// Rounds and packs `w`, `[inputs, bias.len()]`; `inputs` is a multiple of 4.
    pub fn new(w: &[f32], bias: Vec<f32>) -> Self {
        let outputs = bias.len();
        let inputs = w.len() / outputs;
        assert!(inputs.is_multiple_of(WORD) && w.len() == inputs * outputs, "words of four");
        let (mut largest, mut factors) = (vec![SMALLEST; outputs], vec![0.0; outputs]);
        let (mut words, mut starts) = (vec![0.0; w.len() / WORD], vec![0; outputs]);
        simd::run(
            #[inline(always)]
            || {
                for row in w.chunks_exact(outputs) {
                    largest.iter_mut().zip(row).for_each(|(largest, w)| *largest = larger(*largest, w.abs()));
                }
                factors.iter_mut().zip(&largest).for_each(|(factor, largest)| *factor = LARGEST / largest);
                for (rows, words) in w.chunks_exact(WORD * outputs).zip(words.chunks_exact_mut(outputs)) {
                    let words: &mut [u32] = cast_slice_mut(words);
                    for (i, row) in rows.chunks_exact(outputs).enumerate() {
                        for (((word, start), w), factor) in
                            words.iter_mut().zip(&mut starts).zip(row).zip(&factors)
                        {
                            let value = (w.mul_add(*factor, ROUND).to_bits() & 0xff) as i32 - OFFSET;
                            *start -= OFFSET * value;
                            *word |= (value as u32 & 0xff) << (8 * i);
                        }
                    }
                }
            },
        );
        let depth = inputs / WORD;
        let mut packed = Aligned::zeros(Panels::len(depth, outputs));
        pack(&mut packed, depth, outputs, 0, depth, Matrix::rows(&words, outputs));
        Self {
            inputs,
            packed,
            scales: largest.iter().map(|largest| largest / LARGEST).collect(),
            starts,
            bias,
        }
    }

    /// Columns of the output.
    pub fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Contiguous rows `x` to contiguous rows `out`. A row with a value that is no number gives none.
    pub fn rows(&self, x: &[f32], write: Write, out: &mut [f32]) {
        let rows = x.len() / self.inputs;
        assert_eq!((x.len(), out.len()), (rows * self.inputs, rows * self.outputs()));
        scratch::with(x.len() / WORD + rows, |buffer| {
            let (words, scales) = buffer.split_at_mut(x.len() / WORD);
            rounded(x, self.inputs, words, scales);
            let mut product = Product8 { linear: self, words, scales, write, out };
            #[cfg(target_arch = "x86_64")]
            if available() {
                // SAFETY: the features are there.
                unsafe { avx512::run(&mut product) };
                return;
            }
            product.plain();
        });
    }
}

/// The larger one, or what is no number.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b <= a { a } else { b }
}

/// Rows of `width` values as words, and the scale of each row.
fn rounded(x: &[f32], width: usize, words: &mut [f32], scales: &mut [f32]) {
    let bytes: &mut [u8] = cast_slice_mut(words);
    simd::run(
        #[inline(always)]
        || {
            for ((x, bytes), scale) in x.chunks_exact(width).zip(bytes.chunks_exact_mut(width)).zip(scales) {
                // Sizes are ordered as their bits are, and what is no number is above them all.
                let bits = x.iter().fold(SMALLEST.to_bits(), |most, x| most.max(x.abs().to_bits()));
                let largest = f32::from_bits(bits);
                *scale = largest / LARGEST;
                let factor = LARGEST / largest;
                for (byte, x) in bytes.iter_mut().zip(x) {
                    *byte = x.mul_add(factor, ROUND).to_bits() as u8;
                }
            }
        },
    );
}

/// Rounded rows on their way through a [`Linear8`].
struct Product8<'a> {
    linear: &'a Linear8,
    words: &'a [f32],
    scales: &'a [f32],
    write: Write,
    out: &'a mut [f32],
}

impl Product8<'_> {
    /// Rows of words.
    fn depth(&self) -> usize {
        self.linear.inputs / WORD
    }

    /// With ordinary arithmetic.
    fn plain(&mut self) {
        /// The widest panel of any machine.
        const WIDEST: usize = 48;
        let panels = Panels::new(&self.linear.packed, self.depth(), self.linear.outputs());
        for index in 0..panels.count() {
            let panel = panels.get(index);
            for (row, words) in self.words.chunks_exact(self.depth()).enumerate() {
                let mut sums = [0; WIDEST];
                for (word, right) in words.iter().zip(panel.data.chunks_exact(panel.width)) {
                    let left: [u8; WORD] = cast(*word);
                    for (sum, right) in sums.iter_mut().zip(cast_slice::<f32, [i8; WORD]>(right)) {
                        for (&a, &b) in left.iter().zip(right) {
                            *sum += i32::from(a) * i32::from(b);
                        }
                    }
                }
                self.finish(panel, row, &sums);
            }
        }
    }

    /// Writes a row of a panel from its sums.
    #[inline(always)]
    fn finish(&mut self, panel: Panel<'_>, row: usize, sums: &[i32]) {
        let Linear8 { starts, scales, bias, .. } = self.linear;
        let columns = panel.first..panel.first + panel.cols;
        let out = &mut self.out[row * bias.len()..][columns.clone()];
        let scale = self.scales[row];
        let parameters = starts[columns.clone()].iter().zip(&scales[columns.clone()]).zip(&bias[columns]);
        for ((out, sum), ((start, column), bias)) in out.iter_mut().zip(sums).zip(parameters) {
            let before = if self.write == Write::Add { *out } else { 0.0 };
            *out = ((sum + start) as f32).mul_add(scale * column, *bias) + before;
        }
    }
}

//! Products of 8-bit integers with exact 32-bit sums, through AVX512-VNNI where the machine has it.
//!
//! Every row of the left side and every column of the right one has a scale of its own, that of its largest value: a value
//! is at most half a 127th of that off. Four numbers that follow each other along the inner dimension share a 32-bit word,
//! which travels as the bits of an `f32`, as in [`bf16`](super::bf16). Elsewhere the integers are multiplied as floats, as
//! fast as those; up to 1040 of them are summed exactly, so the result is the same.
#![expect(
    unsafe_code,
    reason = "the instructions have no safe interface; they are called in this folder only"
)]

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(test)]
mod tests;

use std::ops::Range;

use pulp::bytemuck::{cast_slice, cast_slice_mut};

use super::aligned::Aligned;
use super::panels::{Matrix, Panels, pack};
use super::product::{Init, Product, Segment};
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
    packed: Packed,
    /// Of each column, `[outputs]`.
    scales: Vec<f32>,
    bias: Vec<f32>,
}

/// The integers of a right side, packed.
#[derive(Debug)]
enum Packed {
    /// Four to a word, and for each column what [`OFFSET`] adds to its sum, to be taken off.
    Words(Aligned, Vec<i32>),
    /// As floats.
    Floats(Aligned),
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
        Self::packed(w, bias, available())
    }

    /// The same, as words or as floats.
    fn packed(w: &[f32], bias: Vec<f32>, words: bool) -> Self {
        let outputs = bias.len();
        let inputs = w.len() / outputs;
        assert!(inputs.is_multiple_of(WORD) && w.len() == inputs * outputs, "words of four");
        let mut largest = vec![SMALLEST; outputs];
        simd::run(
            #[inline(always)]
            || {
                for row in w.chunks_exact(outputs) {
                    largest.iter_mut().zip(row).for_each(|(largest, w)| *largest = larger(*largest, *w));
                }
            },
        );
        let factors: Vec<f32> = largest.iter().map(|largest| LARGEST / largest).collect();
        let mut offsets = vec![0; outputs];
        let depth = if words { inputs / WORD } else { inputs };
        let mut integers = vec![0.0; depth * outputs];
        let rounded = |w: f32, factor: f32| (w.mul_add(factor, ROUND).to_bits() & 0xff) as i32 - OFFSET;
        simd::run(
            #[inline(always)]
            || {
                if !words {
                    for (row, out) in w.chunks_exact(outputs).zip(integers.chunks_exact_mut(outputs)) {
                        let values = row.iter().zip(&factors).map(|(w, factor)| rounded(*w, *factor) as f32);
                        out.iter_mut().zip(values).for_each(|(out, value)| *out = value);
                    }
                    return;
                }
                for (rows, words) in w.chunks_exact(WORD * outputs).zip(integers.chunks_exact_mut(outputs)) {
                    let words: &mut [u32] = cast_slice_mut(words);
                    for (i, row) in rows.chunks_exact(outputs).enumerate() {
                        let values = row.iter().zip(&factors).map(|(w, factor)| rounded(*w, *factor));
                        for ((word, offset), value) in words.iter_mut().zip(&mut offsets).zip(values) {
                            *offset += OFFSET * value;
                            *word |= (value as u32 & 0xff) << (8 * i);
                        }
                    }
                }
            },
        );
        let mut packed = Aligned::zeros(Panels::len(depth, outputs));
        pack(&mut packed, depth, outputs, 0, depth, Matrix::rows(&integers, outputs));
        let packed = if words { Packed::Words(packed, offsets) } else { Packed::Floats(packed) };
        let scales = largest.iter().map(|largest| largest / LARGEST).collect();
        Self { inputs, packed, scales, bias }
    }

    /// Columns of the output.
    pub fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Contiguous rows `x` to contiguous rows `out`. A row with NaN gives NaN.
    pub fn rows(&self, x: &[f32], write: Write, out: &mut [f32]) {
        let rows = x.len() / self.inputs;
        assert_eq!((x.len(), out.len()), (rows * self.inputs, rows * self.outputs()));
        scratch::with(x.len() / WORD + rows, |buffer| {
            let (words, scales) = buffer.split_at_mut(x.len() / WORD);
            rounded(x, self.inputs, words, scales);
            let mut product = Product8 { linear: self, words, scales, write, out };
            match &self.packed {
                Packed::Words(packed, offsets) => product.words(packed, offsets),
                Packed::Floats(packed) => product.floats(packed),
            }
        });
    }
}

/// `most`, which is not below 0, or the size of `x` if that is larger. Sizes are ordered as their bits are, and NaN is
/// above them all.
#[inline(always)]
fn larger(most: f32, x: f32) -> f32 {
    f32::from_bits(most.to_bits().max(x.abs().to_bits()))
}

/// Rows of `width` values as words, and the scale of each row.
fn rounded(x: &[f32], width: usize, words: &mut [f32], scales: &mut [f32]) {
    let bytes: &mut [u8] = cast_slice_mut(words);
    simd::run(
        #[inline(always)]
        || {
            for ((x, bytes), scale) in x.chunks_exact(width).zip(bytes.chunks_exact_mut(width)).zip(scales) {
                let largest = x.iter().fold(SMALLEST, |most, x| larger(most, *x));
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
    /// By the instructions.
    fn words(&mut self, packed: &[f32], offsets: &[i32]) {
        assert!(available(), "words are packed where there are instructions for them");
        // SAFETY: the features are there.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            avx512::run(self, Panels::new(packed, self.linear.inputs / WORD, self.linear.outputs()), offsets);
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (packed, offsets);
    }

    /// With the integers as floats.
    fn floats(&mut self, packed: &[f32]) {
        let (inputs, outputs, rows) = (self.linear.inputs, self.linear.outputs(), self.scales.len());
        let bytes: &[u8] = cast_slice(self.words);
        scratch::with(bytes.len() + rows * outputs, |buffer| {
            let (values, sums) = buffer.split_at_mut(bytes.len());
            simd::run(
                #[inline(always)]
                || values.iter_mut().zip(bytes).for_each(|(v, &byte)| *v = f32::from(byte) - OFFSET as f32),
            );
            let segments = &[Segment { x: 0, k0: 0, k: inputs }];
            let panels = Panels::new(packed, inputs, outputs);
            let (x_line, x_row, x_k, out_line, out_row) = (0, inputs, 1, 0, outputs);
            let (init, lines) = (Init::Zero, 1);
            Product {
                x: values,
                x_line,
                x_row,
                x_k,
                segments,
                panels,
                init,
                lines,
                rows,
                out: sums,
                out_line,
                out_row,
            }
            .run();
            for (row, sums) in sums.chunks_exact(outputs).enumerate() {
                self.finish(0..outputs, row, sums.iter().copied());
            }
        });
    }

    /// Writes some columns of a row from their sums.
    #[inline(always)]
    fn finish(&mut self, columns: Range<usize>, row: usize, sums: impl Iterator<Item = f32>) {
        let Linear8 { scales, bias, .. } = self.linear;
        let out = &mut self.out[row * bias.len()..][columns.clone()];
        let scale = self.scales[row];
        for (((out, sum), column), bias) in
            out.iter_mut().zip(sums).zip(&scales[columns.clone()]).zip(&bias[columns])
        {
            let before = if self.write == Write::Add { *out } else { 0.0 };
            *out = sum.mul_add(scale * column, *bias) + before;
        }
    }
}

//! The matrix product of bf16 numbers with 32-bit sums, through AVX512-BF16 where the machine has it.
//!
//! Two bf16 numbers that follow each other along the inner dimension share a 32-bit word, which travels as the bits of
//! an `f32`: buffers, [`Panels`] and [`pack`](super::panels::pack) are those of the other kernels, with half the inner
//! dimension. Words are only ever copied, never calculated with.
#![expect(unsafe_code, reason = "the instructions have no safe interface; they are called in this file only")]

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
    let words: &mut [u32] = cast_slice_mut(words);
    simd::run(
        #[inline(always)]
        || {
            for (words, rows) in words.chunks_exact_mut(width).zip(x.chunks(2 * step)) {
                let first = &rows[..width];
                match rows.get(step..step + width) {
                    Some(second) => {
                        for (word, (&a, &b)) in words.iter_mut().zip(first.iter().zip(second)) {
                            *word = round(a) | round(b) << 16;
                        }
                    }
                    None => words.iter_mut().zip(first).for_each(|(word, &a)| *word = round(a)),
                }
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
        for segment in self.segments {
            let left = &self.x[segment.x + line * self.x_line + row * self.x_row..][..segment.k];
            let right = &panel.data[segment.k0 * panel.width..][..segment.k * panel.width];
            for (left, right) in left.iter().zip(right.chunks_exact(panel.width)) {
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
fn halves(word: f32) -> [f32; 2] {
    let bits = word.to_bits();
    [f32::from_bits(bits << 16), f32::from_bits(bits & 0xffff_0000)]
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::*;
    use std::arch::x86_64::*;
    use std::mem::transmute;

    /// Lanes of a vector.
    const LANES: usize = 16;

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    pub fn pairs(x: &[f32], words: &mut [f32]) {
        let (blocks, rest) = x.as_chunks::<{ 2 * LANES }>();
        let (outs, out_rest) = words.as_chunks_mut::<LANES>();
        for (x, out) in blocks.iter().zip(outs) {
            // SAFETY: `x` holds 32 floats and `out` 16 words; `__m512bh` and `__m512i` are both 64 bytes of plain data.
            unsafe {
                let (low, high) = (_mm512_loadu_ps(x.as_ptr()), _mm512_loadu_ps(x.as_ptr().add(LANES)));
                let both: __m512i = transmute(_mm512_cvtne2ps_pbh(high, low));
                _mm512_storeu_si512(out.as_mut_ptr().cast(), both);
            }
        }
        plain_pairs(rest, out_rest);
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    pub fn run(product: &mut Product16<'_>) {
        for index in 0..product.panels.count() {
            let panel = product.panels.get(index);
            // A last vector that is at most half full costs half.
            let half = panel.width - panel.cols >= LANES / 2;
            match (panel.width / LANES, half) {
                (3, false) => tiles::<8, 3, 0>(product, panel),
                (3, true) => tiles::<8, 2, 1>(product, panel),
                (2, false) => tiles::<12, 2, 0>(product, panel),
                (2, true) => tiles::<12, 1, 1>(product, panel),
                (_, false) => tiles::<12, 1, 0>(product, panel),
                (_, true) => tiles::<12, 0, 1>(product, panel),
            }
        }
    }

    /// Tiles of `ROWS` rows, and `FULL` vectors of 16 and `HALF` of 8 columns.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    fn tiles<const ROWS: usize, const FULL: usize, const HALF: usize>(
        product: &mut Product16<'_>,
        panel: Panel<'_>,
    ) {
        for line in 0..product.lines {
            let mut row = 0;
            while row + ROWS <= product.rows {
                tile::<ROWS, FULL, HALF>(product, panel, line, row);
                row += ROWS;
            }
            while row + 4 <= product.rows {
                tile::<4, FULL, HALF>(product, panel, line, row);
                row += 4;
            }
            while row < product.rows {
                tile::<1, FULL, HALF>(product, panel, line, row);
                row += 1;
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    fn tile<const ROWS: usize, const FULL: usize, const HALF: usize>(
        product: &mut Product16<'_>,
        panel: Panel<'_>,
        line: usize,
        row: usize,
    ) {
        let width = (FULL + HALF) * LANES;
        assert!(panel.width == width && panel.cols > 0 && panel.cols <= width);
        let mut full = [[_mm512_setzero_ps(); FULL]; ROWS];
        let mut half = [[_mm256_setzero_ps(); HALF]; ROWS];
        // Lanes of each vector that exist.
        let lanes = |v: usize| panel.cols.saturating_sub(v * LANES).min(LANES) as u32;
        let masks: [__mmask16; 4] = std::array::from_fn(|v| ((1u32 << lanes(v)) - 1) as __mmask16);
        let half_mask = masks[FULL] as __mmask8;
        let (x_row, out_row) = (product.x_row, product.out_row);
        let at = line * product.out_line + row * out_row + panel.first;
        let out = &mut product.out[at..][..(ROWS - 1) * out_row + panel.cols];
        let start: Option<(&[f32], usize)> = match product.init {
            Init::Zero => None,
            Init::Bias(bias) => Some((&bias[panel.first..][..panel.cols], 0)),
            Init::Accumulate => Some((out, out_row)),
        };
        if let Some((from, step)) = start {
            for r in 0..ROWS {
                let from = &from[r * step..][..panel.cols];
                // SAFETY: masked lanes beyond `panel.cols` are not touched, and `from` has that many floats.
                unsafe {
                    for v in 0..FULL {
                        full[r][v] = _mm512_maskz_loadu_ps(masks[v], from.as_ptr().wrapping_add(v * LANES));
                    }
                    for acc in &mut half[r] {
                        *acc = _mm256_maskz_loadu_ps(half_mask, from.as_ptr().wrapping_add(FULL * LANES));
                    }
                }
            }
        }
        for segment in product.segments {
            let right: &[u32] = cast_slice(&panel.data[segment.k0 * width..][..segment.k * width]);
            let left = &product.x[segment.x + line * product.x_line + row * x_row..];
            let left: &[u32] = cast_slice(&left[..(ROWS - 1) * x_row + segment.k]);
            let rows: [&[u32]; ROWS] = std::array::from_fn(|r| &left[r * x_row..][..segment.k]);
            for (k, right) in right.chunks_exact(width).enumerate() {
                // SAFETY: `right` holds `FULL + HALF` vectors of 16 words, `rows[r]` more than `k`; all types that are
                // transmuted are plain data of equal size.
                unsafe {
                    let vectors: [__m512bh; FULL] = std::array::from_fn(|v| {
                        transmute(_mm512_loadu_si512(right.as_ptr().add(v * LANES).cast()))
                    });
                    let halves: [__m256bh; HALF] = std::array::from_fn(|_| {
                        transmute(_mm256_loadu_si256(right.as_ptr().add(FULL * LANES).cast()))
                    });
                    for r in 0..ROWS {
                        let left = _mm512_set1_epi32(*rows[r].get_unchecked(k) as i32);
                        for v in 0..FULL {
                            full[r][v] = _mm512_dpbf16_ps(
                                full[r][v],
                                transmute::<__m512i, __m512bh>(left),
                                vectors[v],
                            );
                        }
                        for h in 0..HALF {
                            let left = _mm512_castsi512_si256(left);
                            half[r][h] =
                                _mm256_dpbf16_ps(half[r][h], transmute::<__m256i, __m256bh>(left), halves[h]);
                        }
                    }
                }
            }
        }
        for r in 0..ROWS {
            let to = &mut out[r * out_row..][..panel.cols];
            // SAFETY: masked lanes beyond `panel.cols` are not touched, and `to` has that many floats.
            unsafe {
                for v in 0..FULL {
                    _mm512_mask_storeu_ps(to.as_mut_ptr().wrapping_add(v * LANES), masks[v], full[r][v]);
                }
                for &acc in &half[r] {
                    _mm256_mask_storeu_ps(to.as_mut_ptr().wrapping_add(FULL * LANES), half_mask, acc);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::panels::{Matrix, pack};
    use super::super::testing::{assert_close, random, wide};
    use super::*;

    fn rounded(x: &[f32]) -> Vec<f32> {
        x.iter().map(|&x| f32::from_bits(round(x) << 16)).collect()
    }

    #[test]
    fn rounding_is_that_of_the_instructions() {
        let ties = [
            1.0 + 1.0 / 256.0,
            1.0 + 3.0 / 256.0,
            -1.0 - 1.0 / 256.0,
            f32::MAX,
            f32::MIN,
            f32::INFINITY,
            0.0,
        ];
        let x: Vec<f32> = random(57, 1).into_iter().chain(ties).collect();
        let mut words = [vec![0.0; 32], vec![0.0; 32]];
        pairs(&x, &mut words[0]);
        plain_pairs(&x, &mut words[1]);
        let [ours, plain] = words.map(|words| words.iter().map(|w| w.to_bits()).collect::<Vec<_>>());
        assert_eq!(ours, plain);
        assert_eq!(round(1.0 + 1.0 / 256.0), 0x3f80);
        assert_eq!(round(1.0 + 3.0 / 256.0), 0x3f82);
        assert!(f32::from_bits(round(f32::NAN) << 16).is_nan());
        for (&x, rounded) in x.iter().zip(rounded(&x)) {
            assert!(x == rounded || (x - rounded).abs() <= x.abs() / 256.0 || rounded.is_infinite());
        }
    }

    #[test]
    fn any_size_matches_f64() {
        for n in [1, 7, 8, 9, 16, 24, 25, 40, 48, 65, 72] {
            for [rows, k, gap] in [[1, 2, 0], [5, 6, 2], [13, 34, 4], [31, 70, 0]] {
                let lines = 2;
                let (x_row, x_line) = (k + gap, 2 * rows * (k + gap));
                let (x, w) = (random(lines * x_line, 1), random(k * n, 2));
                let (bias, before) = (random(n, 3), random(lines * rows * n, 4));
                let (mut x_words, mut w_words) = (vec![0.0; x.len() / 2], vec![0.0; w.len() / 2]);
                pairs(&x, &mut x_words);
                row_pairs(&w, n, n, &mut w_words);
                let mut packed = vec![0.0; Panels::len(k / 2, n)];
                pack(&mut packed, k / 2, n, 0, k / 2, Matrix::rows(&w_words, n));
                let (x64, w64) = (wide(&rounded(&x)), wide(&rounded(&w)));
                for (kind, init) in [Init::Zero, Init::Bias(&bias), Init::Accumulate].into_iter().enumerate()
                {
                    let expected: Vec<f64> = (0..lines * rows * n)
                        .map(|at| {
                            let (line, row, j) = (at / (rows * n), at / n % rows, at % n);
                            let start = [0.0, f64::from(bias[j]), f64::from(before[at])][kind];
                            let left = &x64[line * x_line + row * x_row..];
                            start + (0..k).map(|p| left[p] * w64[p * n + j]).sum::<f64>()
                        })
                        .collect();
                    // Two runs of the inner dimension, as a convolution has.
                    let first = k / 4;
                    let segments = [
                        Segment { x: 0, k0: 0, k: first },
                        Segment { x: first, k0: first, k: k / 2 - first },
                    ];
                    for plain in [false, true] {
                        let mut out = before.clone();
                        let mut product = Product16 {
                            x: &x_words,
                            x_line: x_line / 2,
                            x_row: x_row / 2,
                            segments: &segments,
                            panels: Panels::new(&packed, k / 2, n),
                            init,
                            lines,
                            rows,
                            out: &mut out,
                            out_line: rows * n,
                            out_row: n,
                        };
                        if plain {
                            product.plain()
                        } else {
                            product.run()
                        }
                        assert_close(&out, &expected, 2e-6);
                    }
                }
            }
        }
    }

    #[test]
    fn an_odd_row_is_paired_with_zero() {
        let x = [1.0, 2.0, 9.0, 3.0, 4.0, 9.0, 5.0, 6.0];
        let mut words = [0.0; 4];
        row_pairs(&x, 3, 2, &mut words);
        let values: Vec<f32> = words.iter().flat_map(|&w| halves(w)).collect();
        assert_eq!(values, [1.0, 3.0, 2.0, 4.0, 5.0, 0.0, 6.0, 0.0]);
    }
}

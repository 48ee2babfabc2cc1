//! The instructions themselves: a tile of the output stays in registers while rows of words meet a packed panel.

use super::*;
use std::arch::x86_64::*;
use std::mem::transmute;
use std::ops::Range;

/// Lanes of a vector.
const LANES: usize = 16;
/// Rows of a block where the left matrix is transposed: a multiple of every tile's height.
const TRANSPOSED_ROWS: usize = 24;

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
pub fn zip(a: &[f32], b: &[f32], words: &mut [f32]) {
    let (outs, out_rest) = words.as_chunks_mut::<LANES>();
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (out, (a, b)) in outs.iter_mut().zip(a.iter().zip(b)) {
        // SAFETY: `a`, `b` and `out` hold 16 numbers each; `__m256bh` and `__m256i` are both 32 bytes of plain data.
        unsafe {
            let [a, b] = [a, b].map(|x| {
                let rounded: __m256i = transmute(_mm512_cvtneps_pbh(_mm512_loadu_ps(x.as_ptr())));
                _mm512_cvtepu16_epi32(rounded)
            });
            let both = _mm512_or_si512(a, _mm512_slli_epi32::<16>(b));
            _mm512_storeu_si512(out.as_mut_ptr().cast(), both);
        }
    }
    plain_zip(a_rest, b_rest, out_rest);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub fn run(product: &mut Product16<'_>) {
    if product.x_k == 1 {
        for index in 0..product.panels.count() {
            panel::<false>(product, index, 0..product.lines, 0..product.rows);
        }
        return;
    }
    // Each step along the inner dimension touches another cache line: keep few rows, and let the panels pass by.
    for line in 0..product.lines {
        for row in (0..product.rows).step_by(TRANSPOSED_ROWS) {
            let rows = row..(row + TRANSPOSED_ROWS).min(product.rows);
            for index in 0..product.panels.count() {
                panel::<true>(product, index, line..line + 1, rows.clone());
            }
        }
    }
}

/// Some rows of some lines meet a panel.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn panel<const TRANSPOSED: bool>(
    product: &mut Product16<'_>,
    index: usize,
    lines: Range<usize>,
    rows: Range<usize>,
) {
    let panel = product.panels.get(index);
    // A last vector that is at most half full costs half.
    let half = panel.width - panel.cols >= LANES / 2;
    match (panel.width / LANES, half) {
        (3, false) => tiles::<8, 3, 0, TRANSPOSED>(product, panel, lines, rows),
        (3, true) => tiles::<8, 2, 1, TRANSPOSED>(product, panel, lines, rows),
        (2, false) => tiles::<12, 2, 0, TRANSPOSED>(product, panel, lines, rows),
        (2, true) => tiles::<12, 1, 1, TRANSPOSED>(product, panel, lines, rows),
        (_, false) => tiles::<12, 1, 0, TRANSPOSED>(product, panel, lines, rows),
        (_, true) => tiles::<12, 0, 1, TRANSPOSED>(product, panel, lines, rows),
    }
}

/// Tiles of `ROWS` rows, and `FULL` vectors of 16 and `HALF` of 8 columns.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn tiles<const ROWS: usize, const FULL: usize, const HALF: usize, const TRANSPOSED: bool>(
    product: &mut Product16<'_>,
    panel: Panel<'_>,
    lines: Range<usize>,
    rows: Range<usize>,
) {
    for line in lines {
        let mut row = rows.start;
        while row + ROWS <= rows.end {
            tile::<ROWS, FULL, HALF, TRANSPOSED>(product, panel, line, row);
            row += ROWS;
        }
        while row + 4 <= rows.end {
            tile::<4, FULL, HALF, TRANSPOSED>(product, panel, line, row);
            row += 4;
        }
        while row < rows.end {
            tile::<1, FULL, HALF, TRANSPOSED>(product, panel, line, row);
            row += 1;
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn tile<const ROWS: usize, const FULL: usize, const HALF: usize, const TRANSPOSED: bool>(
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
    let (x_row, x_k, out_row) = (product.x_row, product.x_k, product.out_row);
    assert!(if TRANSPOSED { x_row == 1 } else { x_k == 1 }, "one step of the left matrix is 1");
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
    for segment in product.segments.iter().filter(|segment| segment.k > 0) {
        let right: &[u32] = cast_slice(&panel.data[segment.k0 * width..][..segment.k * width]);
        let left = &product.x[segment.x + line * product.x_line + row * x_row..];
        let left: &[u32] = cast_slice(&left[..(ROWS - 1) * x_row + (segment.k - 1) * x_k + 1]);
        let rows: [&[u32]; ROWS] =
            std::array::from_fn(|r| if TRANSPOSED { left } else { &left[r * x_row..] });
        for (k, right) in right.chunks_exact(width).enumerate() {
            // SAFETY: `right` holds `FULL + HALF` vectors of 16 words; `left` reaches to element `segment.k - 1` of row
            // `ROWS - 1`; all types that are transmuted are plain data of equal size.
            unsafe {
                let vectors: [__m512bh; FULL] = std::array::from_fn(|v| {
                    transmute(_mm512_loadu_si512(right.as_ptr().add(v * LANES).cast()))
                });
                let halves: [__m256bh; HALF] = std::array::from_fn(|_| {
                    transmute(_mm256_loadu_si256(right.as_ptr().add(FULL * LANES).cast()))
                });
                for r in 0..ROWS {
                    let at = if TRANSPOSED { k * x_k + r } else { k };
                    let left = _mm512_set1_epi32(*rows[r].get_unchecked(at) as i32);
                    for v in 0..FULL {
                        full[r][v] =
                            _mm512_dpbf16_ps(full[r][v], transmute::<__m512i, __m512bh>(left), vectors[v]);
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

//! The instructions themselves: a tile of sums stays in registers while rows of words meet a packed panel.

use super::super::panels::Panel;
use super::*;
use std::arch::x86_64::*;

/// Lanes of a vector.
const LANES: usize = 16;

#[target_feature(enable = "avx512f,avx512vnni")]
pub fn run(product: &mut Product8<'_>, panels: Panels<'_>, offsets: &[i32]) {
    for index in 0..panels.count() {
        let panel = panels.get(index);
        let offsets = &offsets[panel.first..][..panel.cols];
        match panel.width / LANES {
            3 => tiles::<8, 3>(product, panel, offsets),
            2 => tiles::<12, 2>(product, panel, offsets),
            _ => tiles::<12, 1>(product, panel, offsets),
        }
    }
}

/// Tiles of `ROWS` rows and `VECTORS` vectors of columns.
#[target_feature(enable = "avx512f,avx512vnni")]
fn tiles<const ROWS: usize, const VECTORS: usize>(
    product: &mut Product8<'_>,
    panel: Panel<'_>,
    offsets: &[i32],
) {
    let (mut row, rows) = (0, product.scales.len());
    while row + ROWS <= rows {
        tile::<ROWS, VECTORS>(product, panel, offsets, row);
        row += ROWS;
    }
    while row + 4 <= rows {
        tile::<4, VECTORS>(product, panel, offsets, row);
        row += 4;
    }
    while row < rows {
        tile::<1, VECTORS>(product, panel, offsets, row);
        row += 1;
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn tile<const ROWS: usize, const VECTORS: usize>(
    product: &mut Product8<'_>,
    panel: Panel<'_>,
    offsets: &[i32],
    row: usize,
) {
    let (depth, width) = (product.linear.inputs / WORD, VECTORS * LANES);
    assert!(panel.width == width && panel.data.len() == depth * width);
    let words: &[i32] = cast_slice(&product.words[row * depth..][..ROWS * depth]);
    let rows: [&[i32]; ROWS] = std::array::from_fn(|r| &words[r * depth..][..depth]);
    let mut sums = [[_mm512_setzero_si512(); VECTORS]; ROWS];
    for (k, right) in panel.data.chunks_exact(width).enumerate() {
        // SAFETY: `right` holds `VECTORS` vectors of 16 words, and every row has `depth` words, as many as the panel has rows.
        unsafe {
            let right: [__m512i; VECTORS] =
                std::array::from_fn(|v| _mm512_loadu_si512(right.as_ptr().add(v * LANES).cast()));
            for r in 0..ROWS {
                let left = _mm512_set1_epi32(*rows[r].get_unchecked(k));
                for v in 0..VECTORS {
                    sums[r][v] = _mm512_dpbusd_epi32(sums[r][v], left, right[v]);
                }
            }
        }
    }
    // By way of memory, once: what follows may not keep the sums from staying in registers.
    let mut finished = [[[0i32; LANES]; VECTORS]; ROWS];
    for r in 0..ROWS {
        for v in 0..VECTORS {
            // SAFETY: it has room for 16 integers.
            unsafe { _mm512_storeu_si512(finished[r][v].as_mut_ptr().cast(), sums[r][v]) };
        }
    }
    let columns = panel.first..panel.first + panel.cols;
    for (r, sums) in finished.iter().enumerate() {
        let sums = sums.as_flattened().iter().zip(offsets).map(|(sum, offset)| (sum - offset) as f32);
        product.finish(columns.clone(), row + r, sums);
    }
}

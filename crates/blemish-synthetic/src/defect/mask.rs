//! Which pixels a defect visibly changed.

use blemish::Image;

/// A pixel belongs to the mask if a channel differs from the clean photo by more than this (about 4 of 255 levels), or
/// if it lies in a gap of at most two pixels between such pixels. Outside the mask no channel differs by more.
pub const VISIBLE: f32 = 0.016;

/// The fewest visibly changed pixels of a defect.
pub(crate) const VISIBLE_PIXELS: usize = 8;

/// The mask of `image` against `clean`, and how many of its pixels visibly differ.
pub(crate) fn mask(image: &Image, clean: &Image) -> (Vec<u8>, usize) {
    let seen: Vec<u8> = image
        .pixels
        .chunks_exact(image.channels)
        .zip(clean.pixels.chunks_exact(image.channels))
        .map(|(a, b)| u8::from(a.iter().zip(b).any(|(a, b)| (a - b).abs() > VISIBLE)))
        .collect();
    let count = seen.iter().map(|&v| usize::from(v)).sum();
    (close(image.height, image.width, &seen), count)
}

/// Morphological closing by a square of 3 px: widened by one pixel, then narrowed by one.
fn close(height: usize, width: usize, mask: &[u8]) -> Vec<u8> {
    let wide = enlarge(height, width, mask);
    let outside: Vec<u8> = wide.iter().map(|v| 1 - v).collect();
    let narrow = enlarge(height, width, &outside);
    mask.iter().zip(narrow).map(|(seen, outside)| seen | (1 - outside)).collect()
}

/// The mask widened by one pixel in every direction.
pub(crate) fn enlarge(height: usize, width: usize, mask: &[u8]) -> Vec<u8> {
    let mut rows = mask.to_vec();
    for (row, out) in mask.chunks_exact(width).zip(rows.chunks_exact_mut(width)) {
        for x in 0..width {
            out[x] = row[x] | row[x.saturating_sub(1)] | row[(x + 1).min(width - 1)];
        }
    }
    let mut wide = rows.clone();
    for y in 0..height {
        let (up, down) = (y.saturating_sub(1) * width, (y + 1).min(height - 1) * width);
        for x in 0..width {
            wide[y * width + x] |= rows[up + x] | rows[down + x];
        }
    }
    wide
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_closed_and_a_point_stays_a_point() {
        let mut mask = vec![0; 9 * 9];
        mask[4 * 9 + 3] = 1;
        assert_eq!(close(9, 9, &mask), mask);
        mask[4 * 9 + 5] = 1;
        assert_eq!(close(9, 9, &mask)[4 * 9 + 4], 1);
    }
}

//! Pixel shuffle by 2, channels last: every pixel's channels become a 2 x 2 block of pixels.
//!
//! Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural
//! Network", 2016. Channel order here: `(dy, dx, c)`, so that what moves together lies together (PyTorch: `(c, dy, dx)`).

use rayon::prelude::*;

/// `y[b, 2i + dy, 2j + dx, c] = x[b, i, j, (dy, dx, c)]`.
///
/// # Shapes
/// - `x`: `[B, H, W, 4C]`
/// - `y`: `[B, 2H, 2W, C]`
pub fn pixel_shuffle(x: &[f32], y: &mut [f32], width: usize, channels: usize) {
    assert_eq!(x.len(), y.len());
    let line = 4 * width * channels;
    y.par_chunks_mut(line).zip(x.par_chunks(line)).for_each(|(y, x)| {
        let (above, below) = y.split_at_mut(line / 2);
        for (j, x) in x.chunks_exact(4 * channels).enumerate() {
            let at = 2 * j * channels..2 * (j + 1) * channels;
            above[at.clone()].copy_from_slice(&x[..2 * channels]);
            below[at].copy_from_slice(&x[2 * channels..]);
        }
    });
}

/// The inverse of [`pixel_shuffle`], and its backward: `[B, 2H, 2W, C]` to `[B, H, W, 4C]`.
pub fn pixel_unshuffle(y: &[f32], x: &mut [f32], width: usize, channels: usize) {
    assert_eq!(x.len(), y.len());
    let line = 4 * width * channels;
    x.par_chunks_mut(line).zip(y.par_chunks(line)).for_each(|(x, y)| {
        let (above, below) = y.split_at(line / 2);
        for (j, x) in x.chunks_exact_mut(4 * channels).enumerate() {
            let at = 2 * j * channels..2 * (j + 1) * channels;
            x[..2 * channels].copy_from_slice(&above[at.clone()]);
            x[2 * channels..].copy_from_slice(&below[at]);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::testing::random;
    use super::*;

    #[test]
    fn shuffles_by_definition_and_back() {
        let (batch, height, width, channels) = (2, 3, 5, 3);
        let x = random(batch * height * width * 4 * channels, 1);
        let mut y = vec![0.0; x.len()];
        pixel_shuffle(&x, &mut y, width, channels);
        for (at, &value) in x.iter().enumerate() {
            let (pixel, rest) = (at / (4 * channels), at % (4 * channels));
            let (row, j) = (pixel / width, pixel % width);
            let (dy, dx, c) = (rest / (2 * channels), rest / channels % 2, rest % channels);
            assert_eq!(y[((2 * row + dy) * 2 * width + 2 * j + dx) * channels + c], value);
        }
        let mut back = vec![0.0; x.len()];
        pixel_unshuffle(&y, &mut back, width, channels);
        assert_eq!(back, x);
    }
}

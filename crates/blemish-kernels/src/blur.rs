//! Separable Gaussian smoothing: of anomaly maps (same size), and of images inside the SSIM loss (valid part only).

use super::simd::run;
use rayon::prelude::*;

/// A normalised Gaussian of `2 * radius + 1` taps.
pub(crate) fn gaussian_kernel(sigma: f32, radius: usize) -> Vec<f32> {
    let weight = |i: usize| (-0.5 * ((i as f64 - radius as f64) / f64::from(sigma)).powi(2)).exp();
    let total: f64 = (0..=2 * radius).map(weight).sum();
    (0..=2 * radius).map(|i| (weight(i) / total) as f32).collect()
}

/// `out[i] += weight * x[i]`.
#[inline(always)]
fn add_scaled(out: &mut [f32], x: &[f32], weight: f32) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = x.mul_add(weight, *out);
    }
}

/// Smooths every plane with `kernel` along both axes, where it lies wholly inside.
///
/// # Shapes
/// - `planes`: `[P, H, W]`, `H` and `W` at least `kernel.len()`
/// - `out`: `[P, H - K + 1, W - K + 1]`
pub fn blur_valid(planes: &[f32], height: usize, width: usize, kernel: &[f32], out: &mut [f32]) {
    let (out_height, out_width) = (height + 1 - kernel.len(), width + 1 - kernel.len());
    assert_eq!(planes.len() / (height * width), out.len() / (out_height * out_width));
    planes.par_chunks(height * width).zip(out.par_chunks_mut(out_height * out_width)).for_each(
        |(plane, out)| {
            let mut column = vec![0.0; width];
            run(
                #[inline(always)]
                || {
                    out.fill(0.0);
                    for (y, out) in out.chunks_exact_mut(out_width).enumerate() {
                        column.fill(0.0);
                        for (row, &weight) in plane[y * width..].chunks_exact(width).zip(kernel) {
                            add_scaled(&mut column, row, weight);
                        }
                        for (t, &weight) in kernel.iter().enumerate() {
                            add_scaled(out, &column[t..], weight);
                        }
                    }
                },
            );
        },
    );
}

/// The adjoint of [`blur_valid`], its backward: `dy` `[P, H - K + 1, W - K + 1]` to `dx` `[P, H, W]`.
pub fn blur_valid_adjoint(dy: &[f32], height: usize, width: usize, kernel: &[f32], dx: &mut [f32]) {
    let (out_height, out_width) = (height + 1 - kernel.len(), width + 1 - kernel.len());
    assert_eq!(dx.len() / (height * width), dy.len() / (out_height * out_width));
    dy.par_chunks(out_height * out_width).zip(dx.par_chunks_mut(height * width)).for_each(|(dy, dx)| {
        let mut spread = vec![0.0; width];
        run(
            #[inline(always)]
            || {
                dx.fill(0.0);
                for (y, dy) in dy.chunks_exact(out_width).enumerate() {
                    spread.fill(0.0);
                    for (t, &weight) in kernel.iter().enumerate() {
                        add_scaled(&mut spread[t..], dy, weight);
                    }
                    for (row, &weight) in dx[y * width..].chunks_exact_mut(width).zip(kernel) {
                        add_scaled(row, &spread, weight);
                    }
                }
            },
        );
    });
}

/// Smooths a map `[H, W]`, keeping its size: radius `4 * sigma` rounded, borders reflected about the pixels' edges
/// (`d c b a | a b c d | d c b a`), as SciPy's `gaussian_filter` does by default. `sigma = 0` copies.
pub fn blur_same_reflect(map: &[f32], height: usize, width: usize, sigma: f32) -> Vec<f32> {
    assert_eq!(map.len(), height * width);
    let radius = (4.0 * sigma + 0.5) as usize;
    let kernel = if radius == 0 { vec![1.0] } else { gaussian_kernel(sigma, radius) };
    let (padded_height, padded_width) = (height + 2 * radius, width + 2 * radius);
    let mut padded = Vec::with_capacity(padded_height * padded_width);
    for y in 0..padded_height {
        let row = &map[reflect(y, radius, height) * width..][..width];
        padded.extend((0..radius).map(|x| row[reflect(x, radius, width)]));
        padded.extend_from_slice(row);
        padded.extend((radius + width..padded_width).map(|x| row[reflect(x, radius, width)]));
    }
    let mut out = vec![0.0; map.len()];
    blur_valid(&padded, padded_height, padded_width, &kernel, &mut out);
    out
}

/// The place in `0..len` that place `i` of a border-extended axis shows.
fn reflect(i: usize, radius: usize, len: usize) -> usize {
    // `radius` may exceed `len`: shift by whole periods of 2 * len first.
    let i = (i + (radius / (2 * len) + 1) * 2 * len - radius) % (2 * len);
    i.min(2 * len - 1 - i)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, random, wide};
    use super::*;

    #[test]
    fn valid_blur_and_its_adjoint_match_f64() {
        let (planes, height, width) = (3, 14, 17);
        let kernel: Vec<f32> = random(5, 1);
        let (out_height, out_width) = (height - 4, width - 4);
        let (x, dy) = (random(planes * height * width, 2), random(planes * out_height * out_width, 3));
        let (mut y64, mut dx64) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
        for at in 0..dy.len() {
            let (p, row, col) = (at / (out_height * out_width), at / out_width % out_height, at % out_width);
            for tap in 0..25 {
                let from = (p * height + row + tap / 5) * width + col + tap % 5;
                let weight = f64::from(kernel[tap / 5]) * f64::from(kernel[tap % 5]);
                y64[at] += weight * f64::from(x[from]);
                dx64[from] += weight * f64::from(dy[at]);
            }
        }
        let (mut y, mut dx) = (vec![9.0; dy.len()], vec![9.0; x.len()]);
        blur_valid(&x, height, width, &kernel, &mut y);
        blur_valid_adjoint(&dy, height, width, &kernel, &mut dx);
        assert_close(&y, &y64, 1e-5);
        assert_close(&dx, &dx64, 1e-5);
    }

    #[test]
    fn same_size_blur_reflects() {
        // Radius 8 exceeds both sides: several reflections.
        let (height, width, sigma) = (5, 3, 2.0);
        let map = random(height * width, 1);
        let kernel = wide(&gaussian_kernel(sigma, 8));
        let place = |i: isize, len: isize| {
            let mut i = i;
            while i < 0 || i >= len {
                i = if i < 0 { -1 - i } else { 2 * len - 1 - i };
            }
            i as usize
        };
        let mut expected = vec![0.0; map.len()];
        for (at, value) in expected.iter_mut().enumerate() {
            for tap in 0..17 * 17 {
                let y = place((at / width) as isize + (tap / 17) as isize - 8, height as isize);
                let x = place((at % width) as isize + (tap % 17) as isize - 8, width as isize);
                *value += kernel[tap / 17] * kernel[tap % 17] * f64::from(map[y * width + x]);
            }
        }
        assert_close(&blur_same_reflect(&map, height, width, sigma), &expected, 1e-5);
        assert_eq!(blur_same_reflect(&map, height, width, 0.0), map);
        let flat = blur_same_reflect(&[0.5; 63], 7, 9, 1.3);
        assert!(flat.iter().all(|v| (v - 0.5).abs() < 1e-6));
    }
}

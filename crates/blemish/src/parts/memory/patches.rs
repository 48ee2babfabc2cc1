//! Patches of an image on a grid of places, and their principal components.

use std::ops::Range;

use crate::image::Image;
use blemish_kernels::matmul::matmul;
use blemish_kernels::panels::Matrix;
use blemish_kernels::product::Init;

/// Cells of a patch along each side.
pub const PATCH: usize = 8;
/// Distance between places, pixels, but for scales above it.
const STEP: usize = 4;
/// Rounds of subspace iteration: the leading components of photographs are far apart.
const ROUNDS: usize = 40;

/// Patches of one scale on one size of image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Pixels averaged into a cell, along each side.
    pub scale: usize,
    /// Cells between places.
    pub step: usize,
    /// Rows of places.
    pub rows: usize,
    /// Columns of places.
    pub columns: usize,
    /// Channels of the image.
    pub channels: usize,
}

impl Grid {
    /// The grid of an image `[height, width, channels]`, both sides multiples of 8.
    ///
    /// Places are 4 pixels apart; at scale 4 and above, two cells.
    pub fn new(scale: usize, [height, width]: [usize; 2], channels: usize) -> Self {
        let step = if scale >= STEP { 2 } else { STEP / scale };
        let count = |side: usize| (side / scale).div_ceil(step);
        Self { scale, step, rows: count(height), columns: count(width), channels }
    }

    /// The number of places.
    pub fn places(&self) -> usize {
        self.rows * self.columns
    }

    /// Values of a patch.
    pub fn values(&self) -> usize {
        PATCH * PATCH * self.channels
    }

    /// Every patch of `image`, `[places, values]`; beyond the border the image is mirrored.
    pub fn patches(&self, image: &Image) -> Vec<f32> {
        self.patches_of(0..self.rows, image)
    }

    /// The image of cells, `[height, width]`, that `patches` of every place make together: where they overlap their mean, what is
    /// near a patch's middle weighing more.
    pub fn joined(&self, [height, width]: [usize; 2], patches: &[f32]) -> Image {
        let mut image = Image::filled(height, width, self.channels, 0.0);
        let mut weights = vec![0.0; height * width];
        let before = (PATCH - self.step.min(PATCH)) / 2;
        let weight = |d: usize| 1.0 - ((2 * d + 1) as f32 / PATCH as f32 - 1.0).abs();
        for (place, patch) in patches.chunks_exact(self.values()).enumerate() {
            let corner = [place / self.columns * self.step, place % self.columns * self.step];
            for (i, pixel) in patch.chunks_exact(self.channels).enumerate() {
                let (dy, dx) = (i / PATCH, i % PATCH);
                let (Some(y), Some(x)) =
                    ((corner[0] + dy).checked_sub(before), (corner[1] + dx).checked_sub(before))
                else {
                    continue;
                };
                if y < height && x < width {
                    let share = weight(dy) * weight(dx);
                    weights[y * width + x] += share;
                    let out = &mut image.pixels[(y * width + x) * self.channels..][..self.channels];
                    out.iter_mut().zip(pixel).for_each(|(out, v)| *out += share * v);
                }
            }
        }
        for (pixel, weight) in image.pixels.chunks_exact_mut(self.channels).zip(weights) {
            pixel.iter_mut().for_each(|v| *v /= weight.max(f32::MIN_POSITIVE));
        }
        image
    }

    /// As [`patches`](Self::patches), for places in these rows alone.
    pub(crate) fn patches_of(&self, rows: Range<usize>, image: &Image) -> Vec<f32> {
        let cells = image.averaged(self.scale);
        let mut out = Vec::with_capacity(rows.len() * self.columns * self.values());
        let before = (PATCH - self.step.min(PATCH)) / 2;
        let mirror = |at: usize, offset: usize, side: usize| -> usize {
            let at = (at + offset) as isize - before as isize;
            let last = side as isize - 1;
            let at = if at < 0 { -at } else { at };
            (if at > last { 2 * last - at } else { at }).clamp(0, last) as usize
        };
        for row in rows {
            for column in 0..self.columns {
                for dy in 0..PATCH {
                    let y = mirror(row * self.step, dy, cells.height);
                    for dx in 0..PATCH {
                        let x = mirror(column * self.step, dx, cells.width);
                        let at = (y * cells.width + x) * self.channels;
                        out.extend_from_slice(&cells.pixels[at..at + self.channels]);
                    }
                }
            }
        }
        out
    }
}

/// The leading principal components of some patches.
#[derive(Clone, Debug, PartialEq)]
pub struct Components {
    /// The mean patch.
    pub mean: Vec<f32>,
    /// Orthonormal columns (or what was learnt in their place), `[values, components]`.
    pub basis: Vec<f32>,
}

impl Components {
    /// Of `patches`, `[n, values]`; never more components than values.
    pub fn new(patches: &[f32], values: usize, components: usize) -> Self {
        let count = components.min(values);
        let n = patches.len() / values;
        let mean = mean_of(patches, values);
        let centred: Vec<f32> = patches.iter().enumerate().map(|(i, v)| v - mean[i % values]).collect();
        let mut covariance = vec![0.0; values * values];
        let rows = Matrix::rows(&centred, values);
        matmul(&mut covariance, rows.transposed(), rows, [values, n, values], Init::Zero);
        // Subspace iteration from the coordinates' own directions, smoothed apart by a fixed wave.
        let mut basis: Vec<f32> = (0..values * count).map(|i| (i as f32 * 0.7 + 1.0).sin()).collect();
        orthonormal(&mut basis, values, count);
        for _ in 0..ROUNDS {
            let mut next = vec![0.0; basis.len()];
            let sizes = [values, values, count];
            matmul(
                &mut next,
                Matrix::rows(&covariance, values),
                Matrix::rows(&basis, count),
                sizes,
                Init::Zero,
            );
            orthonormal(&mut next, values, count);
            basis = next;
        }
        Self { mean, basis }
    }

    /// With a `basis` that is known, `[values, components]`, around the mean of `patches`, `[n, values]`.
    pub(crate) fn with_basis(patches: &[f32], values: usize, basis: Vec<f32>) -> Self {
        Self { mean: mean_of(patches, values), basis }
    }

    /// Puts them together; `None` where `basis` is not `[mean.len(), components]` with at least one component.
    pub(crate) fn from_parts(mean: Vec<f32>, basis: Vec<f32>) -> Option<Self> {
        let fits = !mean.is_empty() && !basis.is_empty() && basis.len().is_multiple_of(mean.len());
        fits.then_some(Self { mean, basis })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.basis.len() / self.mean.len()
    }

    /// What `patches`, `[n, values]`, are in them: `[n, components]`.
    pub fn project(&self, patches: &[f32]) -> Vec<f32> {
        let (values, count) = (self.mean.len(), self.count());
        let n = patches.len() / values;
        let mut shift = vec![0.0; count];
        for (mean, row) in self.mean.iter().zip(self.basis.chunks_exact(count)) {
            shift.iter_mut().zip(row).for_each(|(shift, b)| *shift -= mean * b);
        }
        let mut out = vec![0.0; n * count];
        let (rows, basis) = (Matrix::rows(patches, values), Matrix::rows(&self.basis, count));
        matmul(&mut out, rows, basis, [n, values, count], Init::Bias(&shift));
        out
    }

    /// The patches that `projected`, `[n, components]`, stand for: `[n, values]`.
    pub(crate) fn patches(&self, projected: &[f32]) -> Vec<f32> {
        let (values, count) = (self.mean.len(), self.count());
        let n = projected.len() / count;
        let mut out = vec![0.0; n * values];
        let (rows, basis) = (Matrix::rows(projected, count), Matrix::rows(&self.basis, count));
        matmul(&mut out, rows, basis.transposed(), [n, count, values], Init::Bias(&self.mean));
        out
    }
}

/// The mean of `patches`, `[n, values]`.
fn mean_of(patches: &[f32], values: usize) -> Vec<f32> {
    let mut sums = vec![0.0f64; values];
    for patch in patches.chunks_exact(values) {
        sums.iter_mut().zip(patch).for_each(|(sum, &v)| *sum += f64::from(v));
    }
    let n = (patches.len() / values).max(1);
    sums.iter().map(|sum| (sum / n as f64) as f32).collect()
}

/// Gram and Schmidt, twice over for rounding; a column that vanishes stays zero.
fn orthonormal(basis: &mut [f32], rows: usize, columns: usize) {
    for column in 0..columns {
        for _ in 0..2 {
            for earlier in 0..column {
                let dot: f64 = (0..rows)
                    .map(|r| f64::from(basis[r * columns + column]) * f64::from(basis[r * columns + earlier]))
                    .sum();
                (0..rows)
                    .for_each(|r| basis[r * columns + column] -= dot as f32 * basis[r * columns + earlier]);
            }
        }
        let length: f64 =
            (0..rows).map(|r| f64::from(basis[r * columns + column]).powi(2)).sum::<f64>().sqrt();
        let factor = if length > 1e-12 { (1.0 / length) as f32 } else { 0.0 };
        (0..rows).for_each(|r| basis[r * columns + column] *= factor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_lie_around_their_places() {
        let pixels = (0..16 * 24).map(|i| (i % 24) as f32 + 100.0 * (i / 24) as f32).collect();
        let image = Image { height: 16, width: 24, channels: 1, pixels };
        let grid = Grid::new(1, [16, 24], 1);
        assert_eq!((grid.rows, grid.columns, grid.scale * grid.step, grid.values()), (4, 6, 4, 64));
        let patches = grid.patches(&image);
        assert_eq!(patches.len(), 24 * 64);
        // The place (1, 2) owns the pixels (4..8, 8..12); its patch reaches two further each way.
        let patch = &patches[(6 + 2) * 64..][..64];
        assert_eq!((patch[0], patch[63]), (206.0, 913.0));
        // The first place's patch is mirrored at the border.
        assert_eq!(patches[0], 202.0);
        let grid = Grid::new(4, [16, 24], 1);
        assert_eq!((grid.rows, grid.columns, grid.scale * grid.step), (2, 3, 8));
        assert_eq!(grid.patches(&Image::filled(16, 24, 1, 0.25)), vec![0.25; 6 * 64]);
    }

    #[test]
    fn patches_joined_are_the_image() {
        let pixels: Vec<f32> = (0..16 * 24 * 3).map(|i| (i as f32 * 0.3).sin()).collect();
        let image = Image { height: 16, width: 24, channels: 3, pixels };
        for scale in [1, 2] {
            let (grid, cells) = (Grid::new(scale, [16, 24], 3), image.averaged(scale));
            let joined = grid.joined([cells.height, cells.width], &grid.patches(&image));
            assert!(joined.pixels.iter().zip(&cells.pixels).all(|(a, b)| (a - b).abs() < 1e-5), "{scale}");
        }
    }

    #[test]
    fn components_find_the_directions_of_variance() {
        // Points on a plane in four dimensions, around (1, 2, 3, 4): nothing is lost in two components.
        let (a, b) = ([0.5, 0.5, 0.5, 0.5], [0.5, -0.5, 0.5, -0.5]);
        let points: Vec<f32> = (0..50)
            .flat_map(|i| {
                let (u, v) = ((i as f32 * 0.9).sin() * 3.0, (i as f32 * 0.37).cos());
                (0..4).map(move |k| (k + 1) as f32 + u * a[k] + v * b[k])
            })
            .collect();
        let components = Components::new(&points, 4, 2);
        let projected = components.project(&points);
        let back = components.patches(&projected);
        assert!(back.iter().zip(&points).all(|(a, b)| (a - b).abs() < 1e-4));
        for i in 0..49 {
            let distance = |x: &[f32], d: usize| -> f32 {
                (0..d).map(|k| (x[i * d + k] - x[(i + 1) * d + k]).powi(2)).sum::<f32>().sqrt()
            };
            assert!((distance(&points, 4) - distance(&projected, 2)).abs() < 1e-4, "{i}");
        }
        assert_eq!(Components::new(&points, 4, 9).count(), 4);
    }

    /// `cargo test --release -p blemish --lib -- --ignored subspace --nocapture`: milliseconds beside nalgebra's.
    #[test]
    #[ignore = "a measurement"]
    fn subspace_iteration_beside_all_eigenvectors() {
        let (values, n) = (192, 4000);
        let patches: Vec<f32> = (0..n * values).map(|i| ((i * i % 7919) as f32 * 0.01).sin()).collect();
        let time = |work: &dyn Fn()| {
            let once = || {
                let start = std::time::Instant::now();
                work();
                1e3 * start.elapsed().as_secs_f64()
            };
            (0..5).map(|_| once()).fold(f64::INFINITY, f64::min)
        };
        let own = time(&|| assert_eq!(Components::new(&patches, values, 32).count(), 32));
        let matrix = nalgebra::DMatrix::from_row_slice(n, values, &patches).cast::<f64>();
        let covariance = matrix.tr_mul(&matrix);
        let theirs = time(&|| assert_eq!(covariance.clone().symmetric_eigen().eigenvalues.len(), values));
        println!("{own:.1} ms with the covariance, {theirs:.1} ms for nalgebra's eigenvectors alone");
    }
}

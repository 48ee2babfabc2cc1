//! Vectors of good images, and the distance to the nearest of them.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::super::memory::k_centres;
use super::super::places::{squared_distance, squared_length};
use crate::error::Result;
use crate::good::Progress;
use blemish_kernels::matmul::matmul;
use blemish_kernels::panels::Matrix;
use blemish_kernels::product::Init;

/// Vectors that are kept of a surface.
const KEPT: usize = 4096;
/// Vectors of a surface that those are chosen from.
const CHOSEN_FROM: usize = 16_384;
/// Vectors that are kept of each place.
const KEPT_AT_PLACE: usize = 32;
/// Cells that a place may be away from its reference, either way.
const REACH: usize = 1;

/// Vectors of good images.
#[derive(Clone, Debug, PartialEq)]
pub struct Bank {
    vectors: Vec<f32>,
    squares: Vec<f32>,
    count: usize,
    /// How many are kept of each place; `None` where they are compared anywhere.
    each: Option<usize>,
}

impl Bank {
    fn new(vectors: Vec<f32>, count: usize, each: Option<usize>) -> Self {
        let squares = vectors.chunks_exact(count).map(squared_length).collect();
        Self { vectors, squares, count, each }
    }

    /// A greedy coreset of all vectors, `[places, count]` of each image.
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn anywhere(images: &[Vec<f32>], count: usize, progress: &Progress<'_>) -> Result<Self> {
        let mut all: Vec<&[f32]> = images.iter().flat_map(|image| image.chunks_exact(count)).collect();
        let (some, _) = all.partial_shuffle(&mut ChaCha8Rng::seed_from_u64(1), CHOSEN_FROM);
        progress.check()?;
        let some: Vec<f32> = some.iter().copied().flatten().copied().collect();
        let chosen = k_centres(&some, count, KEPT);
        let vectors = chosen.into_iter().flat_map(|i| some[i * count..][..count].iter().copied());
        Ok(Self::new(vectors.collect(), count, None))
    }

    /// A greedy coreset of each place's vectors.
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn by_place(
        images: &[Vec<f32>],
        grid: [usize; 2],
        count: usize,
        progress: &Progress<'_>,
    ) -> Result<Self> {
        let (places, each) = (grid[0] * grid[1], KEPT_AT_PLACE.min(images.len()));
        let mut vectors = vec![0.0; places * each * count];
        vectors.par_chunks_exact_mut(each * count).enumerate().try_for_each(|(place, out)| {
            progress.check()?;
            let here: Vec<f32> =
                images.iter().flat_map(|image| &image[place * count..][..count]).copied().collect();
            for (out, i) in out.chunks_exact_mut(count).zip(k_centres(&here, count, each)) {
                out.copy_from_slice(&here[i * count..][..count]);
            }
            Ok(())
        })?;
        Ok(Self::new(vectors, count, Some(each)))
    }

    /// From the vectors of a surface; `None` where their number does not fit.
    pub fn from_vectors(vectors: Vec<f32>, count: usize) -> Option<Self> {
        let fits = !vectors.is_empty() && vectors.len().is_multiple_of(count);
        fits.then(|| Self::new(vectors, count, None))
    }

    /// From the vectors of all places; `None` where their number does not fit.
    pub fn from_places(vectors: Vec<f32>, grid: [usize; 2], count: usize) -> Option<Self> {
        let places = grid[0] * grid[1];
        let fits = !vectors.is_empty() && vectors.len().is_multiple_of(places * count);
        let each = vectors.len() / (places * count);
        fits.then(|| Self::new(vectors, count, Some(each)))
    }

    /// All vectors.
    pub fn vectors(&self) -> &[f32] {
        &self.vectors
    }

    /// Distance of every place's query, `[places, count]`, to the nearest vector.
    pub fn distances(&self, queries: &[f32], grid: [usize; 2]) -> Vec<f32> {
        match self.each {
            None => self.anywhere_distances(queries),
            Some(each) => self.near_distances(queries, grid, each),
        }
    }

    fn anywhere_distances(&self, queries: &[f32]) -> Vec<f32> {
        /// Queries at a time, whose products stay in a cache.
        const BLOCK: usize = 64;
        let rows = self.squares.len();
        let block = |queries: &[f32]| -> Vec<f32> {
            let n = queries.len() / self.count;
            let mut products = vec![0.0; n * rows];
            let (a, b) =
                (Matrix::rows(queries, self.count), Matrix::rows(&self.vectors, self.count).transposed());
            matmul(&mut products, a, b, [n, self.count, rows], Init::Zero);
            let least = |products: &[f32]| {
                products.iter().zip(&self.squares).map(|(p, s)| s - 2.0 * p).fold(f32::INFINITY, f32::min)
            };
            let pairs = queries.chunks_exact(self.count).zip(products.chunks_exact(rows));
            pairs.map(|(query, products)| (least(products) + squared_length(query)).max(0.0).sqrt()).collect()
        };
        queries.par_chunks(BLOCK * self.count).flat_map_iter(block).collect()
    }

    fn near_distances(&self, queries: &[f32], [rows, columns]: [usize; 2], each: usize) -> Vec<f32> {
        let at = |place: usize| {
            let query = &queries[place * self.count..][..self.count];
            let (y, x) = (place / columns, place % columns);
            let mut least = f32::INFINITY;
            for ny in y.saturating_sub(REACH)..(y + REACH + 1).min(rows) {
                for nx in x.saturating_sub(REACH)..(x + REACH + 1).min(columns) {
                    let start = (ny * columns + nx) * each * self.count;
                    for vector in self.vectors[start..start + each * self.count].chunks_exact(self.count) {
                        least = least.min(squared_distance(query, vector));
                    }
                }
            }
            least.sqrt()
        };
        (0..rows * columns).into_par_iter().map(at).collect()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn the_nearest_is_found_anywhere_and_near() {
        let stop = AtomicBool::new(false);
        let progress = Progress::new(&|_| {}, &stop);
        // One row of four places, one value each; two images.
        let images = [vec![0.0, 1.0, 2.0, 3.0], vec![0.5, 1.0, 2.0, 9.0]];
        let queries = [9.0, 1.25, 2.0, 0.0];
        let near = Bank::by_place(&images, [1, 4], 1, &progress).unwrap();
        assert_eq!(near.distances(&queries, [1, 4]), [8.0, 0.25, 0.0, 2.0]);
        let anywhere = Bank::anywhere(&images, 1, &progress).unwrap();
        let distances = anywhere.distances(&queries, [1, 4]);
        assert!(
            distances.iter().zip([0.0, 0.25, 0.0, 0.0]).all(|(a, b)| (a - b).abs() < 1e-3),
            "{distances:?}"
        );
        let again = Bank::from_places(near.vectors().to_vec(), [1, 4], 1).unwrap();
        assert_eq!(again, near);
        assert!(
            Bank::from_places(vec![1.0; 3], [1, 4], 1).is_none() && Bank::from_vectors(vec![], 1).is_none()
        );
    }
}

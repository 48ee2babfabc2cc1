//! Vectors of good images, and the distance to the nearest of them.

use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::super::memory::k_centres;
use super::super::nearest::{Searched, nearest_near};
use super::super::places::squared_distance;
use super::seen::Seen;
use crate::error::Result;
use crate::good::Progress;

/// Vectors that are kept of a surface.
const KEPT: usize = 4096;
/// Vectors of a surface that those are chosen from.
const CHOSEN_FROM: usize = 16_384;
/// Vectors that are kept of each place.
const KEPT_AT_PLACE: usize = 32;
/// Bytes of vectors that are held at a time where they are compared by place, about.
pub const BUDGET: usize = 64 << 20;
/// Cells that a place may be away from its reference, either way.
const REACH: usize = 1;

/// Vectors of good images.
#[derive(Clone, Debug, PartialEq)]
pub struct Bank {
    vectors: Searched,
    count: usize,
    /// How many are kept of each place; `None` where they are compared anywhere.
    each: Option<usize>,
}

impl Bank {
    fn new(vectors: Vec<f32>, count: usize, each: Option<usize>) -> Self {
        Self { vectors: Searched::new(vectors, count), count, each }
    }

    /// A greedy coreset of all vectors of the images `of`.
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::Error::Interrupted), [`Error::Io`](crate::Error::Io).
    pub fn anywhere(seen: &Seen, of: &[usize], count: usize, progress: &Progress<'_>) -> Result<Self> {
        let places = seen.length() / count;
        let all = of.len() * places;
        let mut chosen = sample(&mut ChaCha8Rng::seed_from_u64(1), all, CHOSEN_FROM.min(all)).into_vec();
        chosen.sort_unstable();
        let mut some = Vec::with_capacity(chosen.len() * count);
        for of_one in chosen.chunk_by(|a, b| a / places == b / places) {
            progress.check()?;
            let vectors = seen.get(of[of_one[0] / places], 0, seen.length())?;
            some.extend(of_one.iter().flat_map(|i| &vectors[i % places * count..][..count]));
        }
        let kept = k_centres(&some, count, KEPT);
        let vectors = kept.into_iter().flat_map(|i| some[i * count..][..count].iter().copied());
        Ok(Self::new(vectors.collect(), count, None))
    }

    /// A greedy coreset of each place's vectors in the images `of`, band by band of places, so that
    /// about `budget` bytes of vectors are held at a time.
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::Error::Interrupted), [`Error::Io`](crate::Error::Io).
    pub fn by_place(
        seen: &Seen,
        of: &[usize],
        grid: [usize; 2],
        count: usize,
        budget: usize,
        progress: &Progress<'_>,
    ) -> Result<Self> {
        let (places, each) = (grid[0] * grid[1], KEPT_AT_PLACE.min(of.len()));
        let mut vectors = vec![0.0; places * each * count];
        let band = (budget / (of.len() * count * size_of::<f32>())).clamp(1, places);
        for (k, out) in vectors.chunks_mut(band * each * count).enumerate() {
            let length = out.len() / each;
            let images: Vec<Vec<f32>> =
                of.iter().map(|&i| seen.get(i, k * band * count, length)).collect::<Result<_>>()?;
            out.par_chunks_exact_mut(each * count).enumerate().try_for_each(|(place, out)| {
                progress.check()?;
                let here: Vec<f32> =
                    images.iter().flat_map(|image| &image[place * count..][..count]).copied().collect();
                for (out, i) in out.chunks_exact_mut(count).zip(k_centres(&here, count, each)) {
                    out.copy_from_slice(&here[i * count..][..count]);
                }
                Ok(())
            })?;
        }
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
        self.vectors.vectors()
    }

    /// Distance of every place's query, `[places, count]`, to the nearest vector.
    pub fn distances(&self, queries: &[f32], grid: [usize; 2]) -> Vec<f32> {
        let nearest = match self.each {
            None => self.vectors.nearest(queries, &|_| false),
            Some(each) => nearest_near(queries, self.vectors(), grid, each, self.count, REACH, &|_| false),
        };
        let pairs = queries.chunks_exact(self.count).zip(nearest);
        pairs.map(|(query, i)| squared_distance(query, self.vectors.vector(i)).sqrt()).collect()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn the_nearest_is_found_anywhere_and_near_and_a_band_at_a_time_is_the_same() {
        let stop = AtomicBool::new(false);
        let progress = Progress::new(&|_| {}, &stop);
        // One row of four places, one value each; three images, of which two are fitted on.
        let images = [[0.0, 1.0, 2.0, 3.0], [7.0; 4], [0.5, 1.0, 2.0, 9.0]];
        let seen = Seen::of(&images.map(Vec::from)).unwrap();
        let queries = [9.0, 1.25, 2.0, 0.0];
        let near = Bank::by_place(&seen, &[0, 2], [1, 4], 1, BUDGET, &progress).unwrap();
        assert_eq!(near.distances(&queries, [1, 4]), [8.0, 0.25, 0.0, 2.0]);
        assert_eq!(Bank::by_place(&seen, &[0, 2], [1, 4], 1, 1, &progress).unwrap(), near);
        let anywhere = Bank::anywhere(&seen, &[0, 2], 1, &progress).unwrap();
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

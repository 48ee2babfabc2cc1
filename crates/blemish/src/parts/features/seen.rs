//! What good images show, described once, whatever folds they are in.

use std::collections::HashMap;

use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;

use super::super::memory::k_centres;
use super::super::nearest::Searched;
use super::nearest_distances;
use crate::error::Result;
use crate::good::{GoodImages, Progress};
use crate::image::Image;
use crate::spill::Spill;

/// Vectors that are kept.
const KEPT: usize = 4096;
/// Vectors that those are chosen from.
const CHOSEN_FROM: usize = 16_384;

/// Images that a distance's unit is taken from, at most.
const LOOKED_AT: usize = 16;

/// What is kept of good images.
#[derive(Clone, Debug)]
pub struct Remembered {
    /// Vectors.
    pub bank: Searched,
    /// What a distance to them is divided by: the most that good images show, so that 1 is about that.
    pub unit: f32,
}

/// The vectors of images, `[places, count]` each, outside memory.
#[derive(Debug)]
pub struct Seen {
    /// The number of each image, by what [`GoodImages::key`] calls it.
    numbers: HashMap<(usize, usize), usize>,
    vectors: Spill,
}

impl Seen {
    /// The vectors that `of` gives for every image.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn new(
        images: &GoodImages<'_>,
        of: impl Fn(&Image) -> Vec<f32> + Sync,
        progress: &Progress<'_>,
    ) -> Result<Self> {
        let (mut vectors, mut written) = (Spill::new()?, Ok(()));
        images.for_each(progress, of, |own| {
            if written.is_ok() {
                written = vectors.push(&own);
            }
        })?;
        written?;
        Ok(Self { numbers: (0..images.len()).map(|i| (images.key(i), i)).collect(), vectors })
    }

    /// Whether it has the vectors of all these images.
    pub fn holds(&self, images: &GoodImages<'_>) -> bool {
        (0..images.len()).all(|i| self.numbers.contains_key(&images.key(i)))
    }

    /// A greedy coreset of all vectors of `images`, which it [holds](Self::holds), of `count` values each.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn remembered(
        &self,
        images: &GoodImages<'_>,
        count: usize,
        progress: &Progress<'_>,
    ) -> Result<Remembered> {
        let of: Vec<usize> = (0..images.len()).map(|i| self.numbers[&images.key(i)]).collect();
        let places = self.vectors.length(0) / count;
        let all = of.len() * places;
        let mut chosen = sample(&mut ChaCha8Rng::seed_from_u64(1), all, CHOSEN_FROM.min(all)).into_vec();
        chosen.sort_unstable();
        let mut some = Vec::with_capacity(chosen.len() * count);
        for of_one in chosen.chunk_by(|a, b| a / places == b / places) {
            progress.check()?;
            let vectors = self.vectors.get(of[of_one[0] / places])?;
            some.extend(of_one.iter().flat_map(|i| &vectors[i % places * count..][..count]));
        }
        let kept = k_centres(&some, count, KEPT);
        let vectors = kept.iter().flat_map(|&i| &some[i * count..][..count]).copied();
        let bank = Searched::new(vectors.collect(), count);
        // The image that each vector is of.
        let owners: Vec<usize> = kept.into_iter().map(|i| chosen[i] / places).collect();
        let unit = self.unit(&of, &bank, &owners, progress)?;
        Ok(Remembered { bank, unit })
    }

    /// The mean, over some images, of the furthest that one of its places is from what the others show; 1 where that says nothing.
    fn unit(&self, of: &[usize], bank: &Searched, owners: &[usize], progress: &Progress<'_>) -> Result<f32> {
        let looked: Vec<usize> = (0..of.len()).step_by(of.len().div_ceil(LOOKED_AT).max(1)).collect();
        let mut sum = 0.0;
        for &image in &looked {
            progress.check()?;
            if owners.iter().all(|&owner| owner == image) {
                return Ok(1.0);
            }
            let distances = nearest_distances(bank, &self.vectors.get(of[image])?, &|i| owners[i] == image);
            sum += distances.into_iter().fold(0.0, f32::max);
        }
        let mean = sum / looked.len() as f32;
        Ok(if mean > 0.0 { mean } else { 1.0 })
    }
}

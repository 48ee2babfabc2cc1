//! What good images show, described once, whatever folds they are in.

use std::collections::HashMap;

use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;

use super::super::memory::k_centres;
use super::super::nearest::Searched;
use crate::error::Result;
use crate::good::{GoodImages, Progress};
use crate::image::Image;
use crate::spill::Spill;

/// Vectors that are kept.
const KEPT: usize = 4096;
/// Vectors that those are chosen from.
const CHOSEN_FROM: usize = 16_384;

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
    pub fn coreset(
        &self,
        images: &GoodImages<'_>,
        count: usize,
        progress: &Progress<'_>,
    ) -> Result<Searched> {
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
        let vectors = kept.into_iter().flat_map(|i| some[i * count..][..count].iter().copied());
        Ok(Searched::new(vectors.collect(), count))
    }
}

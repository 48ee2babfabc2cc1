//! What good images show, described once, whatever folds they are in.

use std::collections::HashMap;

use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;

use super::super::by_place::{BUDGET, ByPlace, Choice};
use super::super::memory::k_centres;
use super::super::nearest::Searched;
use super::bank::{Bank, Layout, Owners};
use crate::error::Result;
use crate::good::{GoodImages, Progress};
use crate::image::Image;
use crate::spill::Spill;

/// Vectors that are kept where they are compared anywhere.
const KEPT: usize = 4096;
/// Vectors that those are chosen from.
const CHOSEN_FROM: usize = 16_384;
/// Vectors of each place that are kept where they are compared by place.
const KEPT_AT_PLACE: usize = 64;

/// Images that a distance's unit is taken from, at most.
const LOOKED_AT: usize = 16;

/// What is kept of good images.
#[derive(Clone, Debug)]
pub struct Remembered {
    /// Vectors.
    pub bank: Bank,
    /// What a distance to them is divided by: the most that good images show, so that 1 is about that.
    pub unit: f32,
}

/// The vectors of images, outside memory.
#[derive(Debug)]
pub struct Seen {
    /// The number of each image, by what [`GoodImages::key`] calls it.
    numbers: HashMap<(usize, usize), usize>,
    /// Of each group of levels: `[places, length]` an image.
    groups: Vec<Spill>,
}

impl Seen {
    /// The vectors that `of` gives for every image, one array for each of so many groups.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn new(
        groups: usize,
        images: &GoodImages<'_>,
        of: impl Fn(&Image) -> Vec<Vec<f32>> + Sync,
        progress: &Progress<'_>,
    ) -> Result<Self> {
        let mut spills: Vec<Spill> = (0..groups).map(|_| Spill::new()).collect::<Result<_>>()?;
        let mut written = Ok(());
        images.for_each(progress, of, |own| {
            if written.is_ok() {
                written = spills.iter_mut().zip(&own).try_for_each(|(spill, own)| spill.push(own));
            }
        })?;
        written?;
        Ok(Self { numbers: (0..images.len()).map(|i| (images.key(i), i)).collect(), groups: spills })
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether it has the vectors of all these images.
    pub fn holds(&self, images: &GoodImages<'_>) -> bool {
        (0..images.len()).all(|i| self.numbers.contains_key(&images.key(i)))
    }

    /// What is kept of a group's vectors of `images`, which it [holds](Self::holds), in `unit` where that is known.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn remembered(
        &self,
        group: usize,
        images: &GoodImages<'_>,
        layout: Layout,
        unit: Option<f32>,
        progress: &Progress<'_>,
    ) -> Result<Remembered> {
        let vectors = &self.groups[group];
        let of: Vec<usize> = (0..images.len()).map(|i| self.numbers[&images.key(i)]).collect();
        let get = |image: usize| vectors.get(of[image]);
        let lengthened = |image: usize| Ok(layout.lengthened(get(image)?));
        let (anywhere, of_anywhere) = anywhere(of.len(), layout.long(), &lengthened, progress)?;
        let mut bank = Bank { layout, anywhere, by_place: None };
        let mut owners = Owners { anywhere: of_anywhere, by_place: Vec::new() };
        if let Some(grid) = layout.places {
            let choice = Choice {
                grid,
                count: layout.length,
                images: of.len(),
                keep: KEPT_AT_PLACE,
                budget: BUDGET,
                progress,
            };
            let row = grid[1] * layout.length;
            let (by_place, of_places) =
                ByPlace::chosen(&choice, |i, rows| vectors.part(of[i], rows.start * row..rows.end * row))?;
            (bank.by_place, owners.by_place) = (Some(by_place), of_places);
        }
        let unit = match unit {
            Some(unit) => unit,
            None => most(&bank, &owners, of.len(), &get, progress)?,
        };
        Ok(Remembered { bank, unit })
    }
}

/// A greedy coreset of the vectors of so many images, of `length` values each, and the image that each is of.
fn anywhere(
    images: usize,
    length: usize,
    vectors: &dyn Fn(usize) -> Result<Vec<f32>>,
    progress: &Progress<'_>,
) -> Result<(Searched, Vec<usize>)> {
    let places = vectors(0)?.len() / length;
    let all = images * places;
    let mut chosen = sample(&mut ChaCha8Rng::seed_from_u64(1), all, CHOSEN_FROM.min(all)).into_vec();
    chosen.sort_unstable();
    let mut some = Vec::with_capacity(chosen.len() * length);
    for of_one in chosen.chunk_by(|a, b| a / places == b / places) {
        progress.check()?;
        let own = vectors(of_one[0] / places)?;
        some.extend(of_one.iter().flat_map(|i| &own[i % places * length..][..length]));
    }
    let kept = k_centres(&some, length, KEPT);
    let bank = kept.iter().flat_map(|&i| &some[i * length..][..length]).copied().collect();
    let owners = kept.into_iter().map(|i| chosen[i] / places).collect();
    Ok((Searched::new(bank, length), owners))
}

/// The mean, over some of so many images, of the furthest that one of its places is from what the others show; 1 where that says
/// nothing.
fn most(
    bank: &Bank,
    owners: &Owners,
    images: usize,
    vectors: &dyn Fn(usize) -> Result<Vec<f32>>,
    progress: &Progress<'_>,
) -> Result<f32> {
    let looked: Vec<usize> = (0..images).step_by(images.div_ceil(LOOKED_AT).max(1)).collect();
    let mut sum = 0.0;
    for &image in &looked {
        progress.check()?;
        let Some(furthest) = bank.furthest_of(image, vectors(image)?, owners) else { return Ok(1.0) };
        sum += furthest;
    }
    let mean = sum / looked.len() as f32;
    Ok(if mean > 0.0 { mean } else { 1.0 })
}

//! What good images show, described once, whatever folds they are in.

use std::collections::HashMap;

use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;

use super::super::by_place::{BUDGET, ByPlace, Choice};
use super::super::memory::k_centres;
use super::super::nearest::Searched;
use super::bank::{Bank, Layout, Owners, part_of};
use super::regions::Regions;
use crate::error::Result;
use crate::good::{GoodImages, Progress};
use crate::image::Image;
use crate::spill::Spill;

/// Vectors that are kept where they are compared anywhere.
const KEPT: usize = 4096;
/// The same of regions, which there are fewer of.
const KEPT_OF_REGIONS: usize = 1024;
/// Vectors that those are chosen from.
const CHOSEN_FROM: usize = 16_384;
/// Vectors of each place that are kept where they are compared by place.
const KEPT_AT_PLACE: usize = 64;

/// Images that a distance's unit is taken from, at most.
const LOOKED_AT: usize = 16;

/// Vectors of images of several kinds, outside memory.
#[derive(Debug)]
pub struct Seen {
    /// The number of each image, by what [`GoodImages::key`] calls it.
    numbers: HashMap<(usize, usize), usize>,
    /// Of each kind `[places, length]` an image.
    kinds: Vec<Spill>,
}

/// The vectors of one kind of some of the images.
pub struct Vectors<'a> {
    spill: &'a Spill,
    /// The number of each image in it, and the view that it is of: a view may be seen in pieces.
    of: Vec<(usize, usize)>,
    layout: Layout,
    /// How they are brought before they are kept and compared.
    brought: Option<&'a Regions>,
}

impl Seen {
    /// The vectors that `of` gives for every image, one array for each of so many kinds.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn new(
        kinds: usize,
        images: &GoodImages<'_>,
        of: impl Fn(&Image) -> Vec<Vec<f32>> + Sync,
        progress: &Progress<'_>,
    ) -> Result<Self> {
        let mut spills: Vec<Spill> = (0..kinds).map(|_| Spill::new()).collect::<Result<_>>()?;
        let mut written = Ok(());
        images.for_each(progress, of, |own| {
            if written.is_ok() {
                written = spills.iter_mut().zip(&own).try_for_each(|(spill, own)| spill.push(own));
            }
        })?;
        written?;
        Ok(Self { numbers: (0..images.len()).map(|i| (images.key(i), i)).collect(), kinds: spills })
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether it has the vectors of all these images.
    pub fn holds(&self, images: &GoodImages<'_>) -> bool {
        (0..images.len()).all(|i| self.numbers.contains_key(&images.key(i)))
    }

    /// The vectors of one kind of `images`, which it [holds](Self::holds).
    pub fn vectors(&self, kind: usize, images: &GoodImages<'_>, layout: Layout) -> Vectors<'_> {
        let keys = (0..images.len()).map(|i| images.key(i));
        let of = keys.map(|key| (self.numbers[&key], key.0)).collect();
        Vectors { spill: &self.kinds[kind], of, layout, brought: None }
    }
}

impl<'a> Vectors<'a> {
    /// The same, as the means of regions are compared.
    pub fn whitened(self, regions: &'a Regions) -> Self {
        Self { brought: Some(regions), ..self }
    }

    /// How many images they are of.
    pub fn images(&self) -> usize {
        self.of.len()
    }

    /// Those of an image, `[places, length]`.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub fn of(&self, image: usize) -> Result<Vec<f32>> {
        let own = self.spill.get(self.of[image].0)?;
        Ok(match self.brought {
            Some(regions) => regions.whitened(&own),
            None => own,
        })
    }

    /// What is kept of them, and the view that each is of.
    ///
    /// # Errors
    /// As [`of`](Self::of), [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn kept(&self, progress: &Progress<'_>) -> Result<(Bank, Owners)> {
        let (layout, views) =
            (self.layout, |own: Vec<usize>| own.into_iter().map(|i| self.of[i].1).collect());
        let lengthened = |image: usize| Ok(layout.lengthened(self.of(image)?));
        let keep = if self.brought.is_some() { KEPT_OF_REGIONS } else { KEPT };
        let (anywhere, own) = anywhere(self.images(), layout, keep, &lengthened, progress)?;
        let mut bank = Bank { layout, anywhere, by_place: None };
        let mut owners = Owners { anywhere: views(own), by_place: Vec::new() };
        if let Some(grid) = layout.places {
            let choice = Choice {
                grid,
                count: layout.length,
                images: self.images(),
                keep: KEPT_AT_PLACE,
                budget: BUDGET,
                progress,
            };
            let row = grid[1] * layout.length;
            let (by_place, own) = ByPlace::chosen(&choice, |i, rows| {
                let values = rows.start * row..rows.end * row;
                match self.brought {
                    Some(_) => Ok(self.of(i)?[values].to_vec()),
                    None => self.spill.part(self.of[i].0, values),
                }
            })?;
            (bank.by_place, owners.by_place) = (Some(by_place), views(own));
        }
        Ok((bank, owners))
    }

    /// Of some images the distance of every vector to the nearest one that is kept of other views; none where there are no others.
    ///
    /// # Errors
    /// As [`kept`](Self::kept).
    pub fn unseen(&self, bank: &Bank, owners: &Owners, progress: &Progress<'_>) -> Result<Vec<Vec<f32>>> {
        let looked = (0..self.images()).step_by(self.images().div_ceil(LOOKED_AT).max(1));
        let of = |image: usize| {
            progress.check()?;
            Ok(bank.distances_without(self.of[image].1, self.of(image)?, owners))
        };
        let all: Option<Vec<_>> = looked.map(of).collect::<Result<_>>()?;
        Ok(all.unwrap_or_default())
    }
}

/// A greedy coreset of the vectors of so many images, and the image that each is of.
fn anywhere(
    images: usize,
    layout: Layout,
    keep: usize,
    vectors: &dyn Fn(usize) -> Result<Vec<f32>>,
    progress: &Progress<'_>,
) -> Result<(Searched, Vec<usize>)> {
    let length = layout.long();
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
    let mut kept = k_centres(&some, length, keep, progress)?;
    // Those of a part of the view together, so that a search can leave out what lies far away.
    if layout.places.is_some() {
        kept.sort_by_key(|&i| part_of(&some[i * length..][..length]));
    }
    let bank = kept.iter().flat_map(|&i| &some[i * length..][..length]).copied().collect();
    let owners = kept.into_iter().map(|i| chosen[i] / places).collect();
    Ok((Searched::new(bank, length), owners))
}

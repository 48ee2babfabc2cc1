//! A memory of good patches, place by place, and how far an image's patches are from the nearest of them.
//!
//! PatchCore (Roth et al. 2022) keeps pretrained features of good images and scores by the nearest one. Here the features
//! are the principal components of the patches themselves, and a patch is compared only with what good products show at that
//! place (and its neighbours): where every product has the same pose, that is what tells a missing thread from a shaft.

mod k_centres;
mod patches;

use rayon::prelude::*;

pub(super) use self::k_centres::k_centres;
pub use self::patches::Components;
use self::patches::{Grid, PATCH};
use super::by_place::{BUDGET, ByPlace, Choice};
use super::{DetectorPart, Expected, FitInput, put, take};
use crate::config::Config;
use crate::engine::Weights;
use crate::error::Result;
use crate::image::Image;

/// Principal components that describe a patch.
const COMPONENTS: usize = 32;
/// Patches that the principal components are computed from, at most.
const SAMPLE: usize = 40_000;

/// Patches of good images of one size.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    size: [usize; 2],
    /// Where patches lie.
    grid: Grid,
    /// What describes them.
    components: Components,
    /// The kept ones.
    bank: ByPlace,
}

impl DetectorPart for Memory {
    fn fit(input: &FitInput<'_>) -> Result<Self> {
        Self::fit_within(BUDGET, input)
    }

    /// The distance of each pixel's patch to the nearest one that is kept of about that place.
    fn map(&self, image: &Image) -> Vec<f32> {
        let Grid { rows: height, columns: width, .. } = self.grid;
        Image { height, width, channels: 1, pixels: self.distances(image) }.enlarged(self.size)
    }

    fn peak(&self, image: &Image, _: &[f32]) -> f32 {
        self.distances(image).into_iter().fold(0.0, f32::max)
    }

    /// The nearest kept patches, laid over each other.
    fn expected(&self, image: &Image) -> Option<Expected> {
        let Grid { scale, channels, .. } = self.grid;
        let [height, width] = self.size;
        let cells = self.grid.joined([height / scale, width / scale], &self.nearest(image));
        let planes: Vec<Vec<f32>> = (0..channels)
            .map(|c| {
                let pixels = cells.pixels.iter().skip(c).step_by(channels).copied().collect();
                Image { channels: 1, pixels, ..cells }.enlarged(self.size)
            })
            .collect();
        let pixels = (0..height * width).flat_map(|i| planes.iter().map(move |plane| plane[i])).collect();
        Some(Expected { title: "nearest good", image: Image { height, width, channels, pixels } })
    }

    fn save(&self, tensors: &mut Weights) {
        let (values, count) = (self.grid.values(), self.components.count());
        put(tensors, "memory.mean", &[values], &self.components.mean);
        put(tensors, "memory.basis", &[values, count], &self.components.basis);
        put(tensors, "memory.prototypes", &[self.grid.places(), self.bank.each(), count], self.bank.kept());
    }

    fn load(tensors: &mut Weights, config: &Config) -> Result<Self, String> {
        let size = config.view_size();
        let grid = grid_of(size, config.data.channels.unwrap_or(3));
        let (mean, basis) = (take(tensors, "memory.mean")?, take(tensors, "memory.basis")?);
        let prototypes = take(tensors, "memory.prototypes")?;
        let components = Components::from_parts(mean, basis).ok_or("its components contradict each other")?;
        let fits = components.mean.len() == grid.values()
            && components.count() == COMPONENTS.min(grid.values())
            && !prototypes.is_empty()
            && prototypes.len().is_multiple_of(grid.places() * components.count());
        if !fits {
            return Err("its patches have another size than the view's".to_owned());
        }
        let bank = ByPlace::new([grid.rows, grid.columns], components.count(), prototypes);
        Ok(Self { size, grid, components, bank })
    }
}

/// Patches are 8 x 8 cells, about a sixteenth of the view wide.
fn grid_of(size: [usize; 2], channels: usize) -> Grid {
    let side = ((size[0] * size[1]) as f64).sqrt();
    let cells = side / 16.0 / PATCH as f64;
    let scale = [1, 2, 4, 8].into_iter().find(|&scale| cells < scale as f64 * f64::sqrt(2.0)).unwrap_or(8);
    Grid::new(scale, size, channels)
}

impl Memory {
    /// Fits with patches of all images held at once in about `budget` bytes, however many images there are. The result does not
    /// depend on it.
    fn fit_within(budget: usize, input: &FitInput<'_>) -> Result<Self> {
        let (images, config) = (input.images, &input.config.memory);
        let grid = grid_of(images.size(), images.channels());
        let (values, places) = (grid.values(), grid.places());
        let step = (images.len() * places).div_ceil(SAMPLE);
        // A step that does not divide the number of places: else every image would be sampled at the same ones.
        let step = (step..).find(|step| *step == 1 || !places.is_multiple_of(*step)).unwrap_or(1);
        let sampled = |i: usize| -> Result<Vec<f32>> {
            input.progress.check()?;
            let first = (i * places).next_multiple_of(step) - i * places;
            let patches = grid.patches(&images.get(i)?);
            Ok(patches.chunks_exact(values).skip(first).step_by(step).flatten().copied().collect())
        };
        let sample: Vec<Vec<f32>> = (0..images.len()).into_par_iter().map(sampled).collect::<Result<_>>()?;
        let components = Components::new(&sample.concat(), values, COMPONENTS);
        drop(sample);
        let choice = Choice {
            grid: [grid.rows, grid.columns],
            count: components.count(),
            images: images.len(),
            keep: config.prototypes,
            budget,
            progress: input.progress,
        };
        let (bank, _) = ByPlace::chosen(&choice, |i, rows| {
            Ok(components.project(&grid.patches_of(rows, &images.get(i)?)))
        })?;
        Ok(Self { size: images.size(), grid, components, bank })
    }

    /// The nearest kept patch within reach of every patch of `image`, `[places, values]`.
    fn nearest(&self, image: &Image) -> Vec<f32> {
        let queries = self.components.project(&self.grid.patches(image));
        let nearest = self.bank.nearest(&queries, &|_| false);
        let nearest: Vec<&[f32]> = nearest.into_iter().map(|i| self.bank.vector(i)).collect();
        self.components.patches(&nearest.concat())
    }

    /// Distance of every patch of `image` to the nearest kept one within reach, `[rows, columns]`.
    fn distances(&self, image: &Image) -> Vec<f32> {
        self.bank.distances(&self.components.project(&self.grid.patches(image)))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::by_place::REACH;
    use super::*;
    use crate::parts::testing::{self, config_of, fitted, fitted_as};

    fn image(seed: usize) -> Image {
        let pixels = (0..32 * 48)
            .map(|i| ((i * 7 + seed * 13) as f32 * 0.11).sin() + (i % 48) as f32 * 0.02)
            .collect();
        Image { height: 32, width: 48, channels: 1, pixels }
    }

    #[test]
    fn distances_are_those_of_the_nearest_within_reach() {
        let images: Vec<Image> = (0..7).map(image).collect();
        let memory: Memory = fitted(&images);
        let query = image(20);
        let (grid, count) = (memory.grid, memory.components.count());
        let projected = memory.components.project(&grid.patches(&query));
        let each = memory.bank.kept().len() / grid.places();
        let expected = |place: usize| {
            let (y, x) = (place / grid.columns, place % grid.columns);
            let near = |other: &usize| {
                (other / grid.columns).abs_diff(y) <= REACH && (other % grid.columns).abs_diff(x) <= REACH
            };
            let candidates = (0..grid.places())
                .filter(near)
                .flat_map(|p| memory.bank.kept()[p * each..][..each].chunks(count));
            let query = &projected[place * count..][..count];
            candidates
                .map(|c| c.iter().zip(query).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt())
                .fold(f32::INFINITY, f32::min)
        };
        for (place, distance) in memory.distances(&query).into_iter().enumerate() {
            assert!((distance - expected(place)).abs() < 2e-3, "{place}: {distance}");
        }
    }

    #[test]
    fn images_in_bands_give_the_same_memory() {
        let images: Vec<Image> = (0..7).map(image).collect();
        let config = config_of(&images[0]);
        let within = |budget: usize| {
            testing::with_input(&images, &config, |input| Memory::fit_within(budget, input)).unwrap()
        };
        let whole = within(BUDGET);
        // A row of places at a time, and three.
        let row = 7 * whole.grid.columns * whole.components.count() * 2;
        assert!(within(1) == whole && within(3 * row) == whole);
    }

    #[test]
    fn what_was_seen_is_near_and_a_spot_is_far_where_it_is() {
        let images: Vec<Image> = (0..8).map(image).collect();
        let memory: Memory = fitted(&images);
        let good = memory.peak(&image(30), &[]);
        assert!(memory.map(&images[3]).iter().all(|&d| d < 0.05 * good));
        let mut corrupted = images[3].clone();
        (0..64).for_each(|i| corrupted.pixels[(12 + i / 8) * 48 + 30 + i % 8] = 5.0);
        let map = memory.map(&corrupted);
        let peak = (0..map.len()).max_by(|&a, &b| map[a].total_cmp(&map[b])).unwrap();
        assert!((8..24).contains(&(peak / 48)) && (26..42).contains(&(peak % 48)), "{peak}");
        assert!(map[peak] > good);
    }

    #[test]
    fn what_is_expected_is_what_was_seen_and_lacks_a_spot() {
        let images: Vec<Image> = (0..8).map(image).collect();
        let memory: Memory = fitted(&images);
        let difference = |a: &Image, b: &Image| {
            a.pixels.iter().zip(&b.pixels).map(|(a, b)| (a - b).abs()).sum::<f32>() / a.pixels.len() as f32
        };
        let Expected { title, image: seen } = memory.expected(&images[3]).unwrap();
        assert_eq!((title, seen.height, seen.width, seen.channels), ("nearest good", 32, 48, 1));
        // Not another of the images that were fitted on.
        assert!(difference(&seen, &images[3]) < 0.2 * difference(&images[5], &images[3]));
        let mut corrupted = images[3].clone();
        (0..64).for_each(|i| corrupted.pixels[(12 + i / 8) * 48 + 30 + i % 8] = 5.0);
        let repaired = memory.expected(&corrupted).unwrap().image;
        let most = repaired.pixels.iter().copied().fold(f32::MIN, f32::max);
        assert!(most < 2.5, "no good image is brighter than 1.94: {most}");
    }

    #[test]
    fn tensors_give_it_back_and_others_are_refused() {
        let images: Vec<Image> = (0..3).map(image).collect();
        let config = config_of(&images[0]);
        let memory: Memory = fitted_as(&images, &config);
        let saved = || {
            let mut tensors = Weights::new();
            memory.save(&mut tensors);
            tensors
        };
        let mut tensors = saved();
        assert_eq!(Memory::load(&mut tensors, &config).unwrap(), memory);
        assert!(tensors.is_empty());
        for name in ["memory.mean", "memory.basis", "memory.prototypes"] {
            let mut tensors = saved();
            tensors.get_mut(name).unwrap().values.pop();
            assert!(Memory::load(&mut tensors, &config).is_err(), "{name}");
            tensors.remove(name);
            assert!(Memory::load(&mut tensors, &config).is_err(), "{name}");
        }
        let mut colour = config.clone();
        colour.data.channels = Some(3);
        assert!(Memory::load(&mut saved(), &colour).is_err());
    }
}

//! The references that images are compared with: vectors of good images, level by level.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::super::memory::k_centres;
use super::super::nearest::{Searched, nearest_near};
use super::super::{put, take};
use super::levels::{GROUPS, INPUTS, LEVELS, LOGIT_SCALE, Level, STRIDE, average, residual, scales};
use super::reader::Reading;
use crate::engine::{FeatureMap, Weights};
use crate::error::Result;
use crate::good::Progress;

/// Vectors that are kept of a level and compared anywhere.
const KEPT: usize = 1536;
/// Vectors that those are chosen from.
const CHOSEN_FROM: usize = 8192;
/// Vectors that are kept of each place.
const KEPT_AT_PLACE: usize = 8;
/// Images whose residuals, among the others, say what good images differ.
const PROBED: usize = 24;

/// The vectors of one level.
#[derive(Clone, Debug, PartialEq)]
struct LevelReferences {
    grid: [usize; 2],
    channels: usize,
    anywhere: Searched,
    /// `[places, each, channels]` and `each`, where the same part is always at the same place.
    near: Option<(Vec<f32>, usize)>,
    /// What squared residuals are divided by, anywhere and near, `[places, GROUPS]` each.
    scales: [Vec<f32>; 2],
}

/// The vectors of all levels, and the mean defect logit.
#[derive(Clone, Debug, PartialEq)]
pub struct References {
    levels: Vec<LevelReferences>,
    /// `[H/4, W/4]`
    mean_logit: Vec<f32>,
}

impl References {
    /// From what the network sees in good images.
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn fit(readings: &[Reading], has_places: bool, progress: &Progress<'_>) -> Result<Self> {
        let levels = LEVELS
            .iter()
            .enumerate()
            .map(|(i, level)| {
                progress.check()?;
                let maps: Vec<&FeatureMap> = readings.iter().map(|reading| &reading.maps[i]).collect();
                LevelReferences::fit(level, &maps, has_places, progress)
            })
            .collect::<Result<Vec<_>>>()?;
        let mut mean_logit = vec![0.0f32; readings[0].logit.len()];
        for reading in readings {
            let weight = 1.0 / readings.len() as f32;
            mean_logit.iter_mut().zip(&reading.logit).for_each(|(mean, v)| *mean += v * weight);
        }
        if !has_places {
            let mean = average(&mean_logit, 1)[0];
            mean_logit.fill(mean);
        }
        Ok(Self { levels, mean_logit })
    }

    /// How an image differs from the references: the planes that the last layers see, `[H/4, W/4, INPUTS]`.
    pub fn planes(&self, reading: &Reading) -> Vec<f32> {
        let [rows, columns] = self.levels[0].grid;
        let mut out = vec![0.0; rows * columns * INPUTS];
        for (i, (level, references)) in LEVELS.iter().zip(&self.levels).enumerate() {
            let times = level.stride / STRIDE;
            let [_, level_columns] = references.grid;
            for (way, values) in references.compare(level, &reading.maps[i]).into_iter().enumerate() {
                let begin = (2 * i + way) * GROUPS;
                for (at, place) in out.chunks_exact_mut(INPUTS).enumerate() {
                    let there = at / columns / times * level_columns + at % columns / times;
                    place[begin..begin + GROUPS].copy_from_slice(&values[there * GROUPS..][..GROUPS]);
                }
            }
        }
        let logits = reading.logit.iter().zip(&self.mean_logit);
        for (place, (logit, mean)) in out.chunks_exact_mut(INPUTS).zip(logits) {
            place[INPUTS - 2] = (logit - mean) / LOGIT_SCALE;
            place[INPUTS - 1] = mean / LOGIT_SCALE;
        }
        out
    }

    /// Rows and columns of [`planes`](Self::planes).
    pub fn grid(&self) -> [usize; 2] {
        self.levels[0].grid
    }

    /// Adds them to a model file's tensors.
    pub fn save(&self, tensors: &mut Weights) {
        for (i, level) in self.levels.iter().enumerate() {
            let name = |what: &str| format!("comparison.{what}.{i}");
            let vectors = level.anywhere.vectors();
            put(tensors, &name("anywhere"), &[vectors.len() / level.channels, level.channels], vectors);
            if let Some((vectors, each)) = &level.near {
                let places = level.grid[0] * level.grid[1];
                put(tensors, &name("near"), &[places, *each, level.channels], vectors);
            }
            for (way, scales) in ["anywhere", "near"].into_iter().zip(&level.scales) {
                put(tensors, &name(&format!("scale_{way}")), &[scales.len() / GROUPS, GROUPS], scales);
            }
        }
        put(tensors, "comparison.usual_logit", &[self.mean_logit.len()], &self.mean_logit);
    }

    /// Takes what [`save`](Self::save) has added, for views of `size` and a network whose levels have `channels`.
    ///
    /// # Errors
    /// A sentence that says what does not fit.
    pub fn load(
        tensors: &mut Weights,
        size: [usize; 2],
        channels: &[usize],
        has_places: bool,
    ) -> Result<Self, String> {
        let mut levels = Vec::with_capacity(LEVELS.len());
        for (i, (level, &channels)) in LEVELS.iter().zip(channels).enumerate() {
            let grid = size.map(|side| side / level.stride);
            let places = grid[0] * grid[1];
            let name = |what: &str| format!("comparison.{what}.{i}");
            let whole = |vectors: Vec<f32>, what: &str, of: usize| {
                let fits = !vectors.is_empty() && vectors.len().is_multiple_of(of);
                if fits { Ok(vectors) } else { Err(format!("{} does not fit the view", name(what))) }
            };
            let anywhere = whole(take(tensors, &name("anywhere"))?, "anywhere", channels)?;
            let near = has_places
                .then(|| whole(take(tensors, &name("near"))?, "near", places * channels))
                .transpose()?;
            let mut scale = |what: &str| {
                let scale = take(tensors, &name(what))?;
                let fits = scale.len() == places * GROUPS && scale.iter().all(|&v| v > 0.0);
                if fits { Ok(scale) } else { Err(format!("{} does not fit the view", name(what))) }
            };
            levels.push(LevelReferences {
                grid,
                channels,
                anywhere: Searched::new(anywhere, channels),
                near: near.map(|vectors| {
                    let each = vectors.len() / (places * channels);
                    (vectors, each)
                }),
                scales: [scale("scale_anywhere")?, scale("scale_near")?],
            });
        }
        let mean_logit = take(tensors, "comparison.usual_logit")?;
        let [rows, columns] = levels[0].grid;
        if mean_logit.len() != rows * columns {
            return Err("comparison.usual_logit does not fit the view".to_owned());
        }
        Ok(Self { levels, mean_logit })
    }
}

impl LevelReferences {
    fn fit(level: &Level, maps: &[&FeatureMap], has_places: bool, progress: &Progress<'_>) -> Result<Self> {
        let (grid, c) = ([maps[0].height, maps[0].width], maps[0].channels);
        let places = grid[0] * grid[1];
        // What is kept, and of which image it is.
        let mut all: Vec<(usize, usize)> =
            (0..maps.len()).flat_map(|i| (0..places).map(move |p| (i, p))).collect();
        let (some, _) = all.partial_shuffle(&mut ChaCha8Rng::seed_from_u64(1), CHOSEN_FROM);
        let vector = |&(i, p): &(usize, usize)| &maps[i].values[p * c..][..c];
        let candidates: Vec<f32> = some.iter().flat_map(vector).copied().collect();
        let chosen = k_centres(&candidates, c, KEPT, progress)?;
        let origin: Vec<usize> = chosen.iter().map(|&i| some[i].0).collect();
        let anywhere = chosen.iter().flat_map(|&i| vector(&some[i])).copied().collect();
        let anywhere = Searched::new(anywhere, c);

        let each = KEPT_AT_PLACE.min(maps.len());
        let near: Vec<(Vec<f32>, Vec<usize>)> = if has_places {
            let at_place = |place: usize| {
                let here: Vec<f32> =
                    maps.iter().flat_map(|map| &map.values[place * c..][..c]).copied().collect();
                let chosen = k_centres(&here, c, each, progress)?;
                Ok((chosen.iter().flat_map(|&i| &here[i * c..][..c]).copied().collect(), chosen))
            };
            (0..places).into_par_iter().map(at_place).collect::<Result<_>>()?
        } else {
            Vec::new()
        };
        let near_origin: Vec<usize> = near.iter().flat_map(|(_, origin)| origin).copied().collect();
        let near: Option<(Vec<f32>, usize)> =
            has_places.then(|| (near.into_iter().flat_map(|(vectors, _)| vectors).collect(), each));

        let mut fitted = Self { grid, channels: c, anywhere, near, scales: [Vec::new(), Vec::new()] };
        let step = maps.len().div_ceil(PROBED).max(1);
        let probes: Vec<usize> = (0..maps.len()).step_by(step).collect();
        let alone = maps.len() == 1;
        let mut means = [vec![0.0f32; places * GROUPS], vec![0.0f32; places * GROUPS]];
        for &probe in &probes {
            progress.check()?;
            // A single image is compared with itself, moved by a place: nothing else says what good images differ.
            let moved = alone.then(|| moved(maps[probe]));
            let map = moved.as_ref().unwrap_or(maps[probe]);
            let own = |i: usize, origin: &[usize]| !alone && origin[i] == probe;
            let residuals = fitted.residuals(level, map, &|i| own(i, &origin), &|i| own(i, &near_origin));
            for (means, residuals) in means.iter_mut().zip(residuals) {
                means.iter_mut().zip(residuals).for_each(|(mean, v)| *mean += v / probes.len() as f32);
            }
        }
        fitted.scales = means.map(|means| scales(&means, grid, GROUPS, has_places));
        Ok(fitted)
    }

    /// Squared residuals anywhere and near, `[places, GROUPS]` each.
    fn residuals(
        &self,
        level: &Level,
        map: &FeatureMap,
        skipped: &(dyn Fn(usize) -> bool + Sync),
        near_skipped: &(dyn Fn(usize) -> bool + Sync),
    ) -> [Vec<f32>; 2] {
        let c = self.channels;
        let of = |found: Vec<usize>, vectors: &[f32]| -> Vec<f32> {
            let pairs = map.values.chunks_exact(c).zip(found);
            pairs.flat_map(|(query, i)| residual(query, &vectors[i * c..][..c])).collect()
        };
        let anywhere = of(self.anywhere.nearest(&map.values, skipped), self.anywhere.vectors());
        let near = match &self.near {
            Some((vectors, each)) => of(
                nearest_near(&map.values, vectors, self.grid, *each, c, level.reach, near_skipped),
                vectors,
            ),
            None => anywhere.clone(),
        };
        [anywhere, near]
    }

    /// Half the logarithms of squared residuals in units of what good images have, anywhere and near, `[places, GROUPS]` each.
    fn compare(&self, level: &Level, map: &FeatureMap) -> [Vec<f32>; 2] {
        let mut all = self.residuals(level, map, &|_| false, &|_| false);
        for (residuals, scales) in all.iter_mut().zip(&self.scales) {
            let scaled = |(v, scale): (&mut f32, &f32)| *v = 0.5 * (*v / scale + super::levels::FLOOR).ln();
            residuals.iter_mut().zip(scales).for_each(scaled);
        }
        all
    }
}

/// A map moved by one place down and to the right.
fn moved(map: &FeatureMap) -> FeatureMap {
    let FeatureMap { height, width, channels, values } = map;
    let at = |y: usize, x: usize| {
        &values[(y.saturating_sub(1) * width + x.saturating_sub(1)) * channels..][..*channels]
    };
    let values = (0..height * width).flat_map(|place| at(place / width, place % width)).copied().collect();
    FeatureMap { values, ..*map }
}

//! What good images teach beside the network, and what good images score that it was not learnt from.

use std::time::Instant;

use burn::tensor::Device;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::split::TrainingData;
use crate::config::{Keep, RunConfig};
use crate::data::{ByteImage, Image};
use crate::error::{Error, Result};
use crate::grain::Grain;
use crate::memory::Memory;
use crate::model::Mae;
use crate::ridges::Ridges;
use crate::score::{Detector, Normal};

/// Training images that ridges and grain are learnt from, at most: from 50 a spread is only known to a tenth of itself.
const SURFACES: usize = 256;
/// One good picture in so many exceeds 1 on the maps of ridges and of grain.
const RARE: usize = 20;
/// Parts of the training images, each of which is scored by what the others teach.
const FOLDS: usize = 5;

/// Memory, ridges and grain, as far as the configuration keeps them, and the units in which they are joined with the
/// network.
pub fn remember(detector: &Detector, data: &TrainingData) -> Normal {
    let (config, normal) = (detector.config(), detector.normal().clone());
    let kept = kept(config);
    if kept == [false; 4] {
        return normal;
    }
    // Units come from images that are not remembered: the held-out ones, else a fold.
    let (seen, unseen) = if data.holdout.is_empty() {
        fold(&data.train, FOLDS - 1)
    } else {
        (data.train.iter().collect(), data.holdout.iter().collect())
    };
    // A network that has no say needs no unit of its own, and is not run.
    let unit = if config.score.hears_network() {
        let largest = maps(detector, &unseen).into_iter().map(|map| map.into_iter().fold(0.0, f32::max));
        largest.sum::<f32>() / unseen.len().max(1) as f32
    } else {
        1.0
    };
    let learnt = learn(config, kept, &seen);
    let unseen = normalised(config, &unseen);
    let (ridges, grain) = match (learnt.ridges, learnt.grain) {
        (Some(ridges), Some(grain)) if data.train.len() >= 2 * FOLDS => {
            let [lines, neighbourhoods] = surface_units(config, &data.train);
            (Some(Ridges { unit: lines, ..ridges }), Some(Grain { unit: neighbourhoods, ..grain }))
        }
        (ridges, grain) => {
            (ridges.map(|ridges| ridges.in_units_of(&unseen)), grain.map(|grain| grain.in_units_of(&unseen)))
        }
    };
    Normal {
        unit: (unit > 0.0).then_some(unit),
        memory: learnt.memory.map(|memory| memory.in_units_of(&unseen)),
        ridges,
        grain,
        ..normal
    }
}

/// Units in which ridges and grain raise equally many false alarms: what one good picture in [`RARE`] has, each judged by
/// what the other folds teach. (In units of the mean, the part with the heavier tail would set the threshold of both.)
fn surface_units(config: &RunConfig, train: &[ByteImage]) -> [f32; 2] {
    let [mut lines, mut neighbourhoods] = [Vec::new(), Vec::new()];
    let largest = |map: Vec<f32>| map.into_iter().fold(0.0, f32::max);
    for i in 0..FOLDS {
        let (seen, unseen) = fold(train, i);
        let learnt = learn(config, [false, false, true, true], &seen);
        let unseen = normalised(config, &unseen);
        if let (Some(ridges), Some(grain)) = (learnt.ridges, learnt.grain) {
            let both = |image: &Image| (largest(ridges.map(image)), largest(grain.map(image)));
            for (line, neighbourhood) in unseen.par_iter().map(both).collect::<Vec<_>>() {
                lines.push(line);
                neighbourhoods.push(neighbourhood);
            }
        }
    }
    [lines, neighbourhoods].map(|mut all: Vec<f32>| {
        all.sort_by(f32::total_cmp);
        all[(all.len() - 1) * (RARE - 1) / RARE].max(f32::MIN_POSITIVE)
    })
}

/// Scores of good images that nothing was learnt from. These are the held-out ones and, where the network, which has seen
/// all training images, is not heard, also every training image, scored by what the other folds teach (cross-conformal
/// prediction, Vovk 2015): a share of false alarms cannot be read off a dozen scores. Where there are neither, the
/// training images must do.
///
/// # Errors
/// A map is not finite.
pub fn good_scores(detector: &Detector, data: &TrainingData) -> Result<Vec<f32>> {
    let (config, normal) = (detector.config(), detector.normal());
    let looked_at = normal.looked_at(config.score.map);
    let network = looked_at[0];
    let mut scores = scored(detector, &data.holdout.iter().collect::<Vec<_>>())?;
    if !network && data.train.len() >= 2 * FOLDS {
        for i in 0..FOLDS {
            let (kept, unseen) = fold(&data.train, i);
            let learnt = learn(config, looked_at, &kept);
            // In the final units, so that scores can be compared.
            let memory = learnt.memory.zip(normal.memory.as_ref());
            let ridges = learnt.ridges.zip(normal.ridges.as_ref());
            let grain = learnt.grain.zip(normal.grain.as_ref());
            let normal = Normal {
                unit: normal.unit,
                memory: memory.map(|(fold, all)| fold.in_units_like(all)),
                ridges: ridges.map(|(fold, all)| Ridges { unit: all.unit, ..fold }),
                grain: grain.map(|(fold, all)| Grain { unit: all.unit, ..fold }),
                heard: normal.heard,
                ..Normal::default()
            };
            let fold = Detector::new(config.clone(), detector.model().clone());
            scores.extend(scored(&fold.with_calibration(normal, Vec::new()), &unseen)?);
        }
    }
    if scores.is_empty() { scored(detector, &data.train.iter().collect::<Vec<_>>()) } else { Ok(scores) }
}

/// Seconds that a training without epochs will take, of which memory, ridges and grain are all: measured on a few of the images.
///
/// `config` must be valid, with `data.channels` set.
pub fn estimate_remembering(config: &RunConfig, data: &TrainingData) -> f64 {
    const PROBED: usize = 8;
    let channels = config.data.channels.unwrap_or(3);
    let rng = &mut ChaCha8Rng::seed_from_u64(0);
    let model = Mae::new(&config.model, config.input_size(), channels, rng, &Device::flex());
    let detector = Detector::new(config.clone(), model);
    let some: Vec<&ByteImage> = data.train.iter().take(PROBED).collect();
    let start = Instant::now();
    let learnt = learn(config, kept(config), &some);
    let learning = start.elapsed();
    let normal = Normal { unit: Some(1.0), heard: kept(config), ..learnt };
    let start = Instant::now();
    maps(&detector.with_calibration(normal, Vec::new()), &some);
    let looking = start.elapsed();
    // Every image is learnt once, then by all folds but its own, for units and again for thresholds, and looked at by that
    // one; validation images are looked at by every part, and by parts together.
    let parts = kept(config).into_iter().filter(|&kept| kept).count();
    let learnt = data.train.len() * (1 + (FOLDS - 1) * parts);
    let looked_at = data.train.len() * parts + data.holdout.len() + data.validation.len() * 2 * parts;
    (learning * learnt as u32 + looking * looked_at as u32).as_secs_f64() / some.len() as f64
}

/// Which of the [parts](crate::score::PARTS) but the network the configuration keeps.
fn kept(config: &RunConfig) -> [bool; 4] {
    let score = &config.score;
    [Keep::Never, score.memory.keep, score.ridges, score.grain].map(|keep| keep == Keep::Always)
}

/// What `images` teach the `wanted` parts, in units of 1.
fn learn(config: &RunConfig, wanted: [bool; 4], images: &[&ByteImage]) -> Normal {
    let images = normalised(config, images);
    let [_, memory, ridges, grain] = wanted;
    let memory = memory.then(|| Memory::fit(&images, &config.score.memory)).flatten();
    let step = images.len().div_ceil(SURFACES).max(1);
    let images: Vec<Image> = images.into_iter().step_by(step).collect();
    let ridges = ridges.then(|| Ridges::fit(&images)).flatten();
    let grain = grain.then(|| Grain::fit(&images)).flatten();
    Normal { memory, ridges, grain, ..Normal::default() }
}

/// All images but those of fold `i`, and those.
fn fold(images: &[ByteImage], i: usize) -> (Vec<&ByteImage>, Vec<&ByteImage>) {
    let (of_it, others): (Vec<_>, Vec<_>) = images.iter().enumerate().partition(|(at, _)| at % FOLDS == i);
    let images = |some: Vec<(usize, _)>| some.into_iter().map(|(_, image)| image).collect();
    (images(others), images(of_it))
}

fn normalised(config: &RunConfig, images: &[&ByteImage]) -> Vec<Image> {
    images.iter().map(|image| config.data.normalize.apply(&image.to_image())).collect()
}

fn scored(detector: &Detector, images: &[&ByteImage]) -> Result<Vec<f32>> {
    let maps = maps(detector, images);
    if maps.iter().flatten().any(|value| !value.is_finite()) {
        return Err(Error::Training("a good image's anomaly map is not finite".to_owned()));
    }
    Ok(maps.iter().map(|map| detector.score(map)).collect())
}

/// The detector's maps of training images.
pub fn maps(detector: &Detector, images: &[&ByteImage]) -> Vec<Vec<f32>> {
    let images: Vec<_> = images.iter().map(|image| image.to_image()).collect();
    detector.anomaly_maps(&images)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::split::Light;
    use super::*;
    use crate::config::Preset;
    use rand::Rng;

    /// Surfaces of 64 x 64 pixels, 12 to learn from and 2 held out, and a detector that remembers them.
    fn remembered(heard: [bool; 4]) -> (Detector, TrainingData) {
        let rng = &mut ChaCha8Rng::seed_from_u64(5);
        let mut image = || ByteImage {
            height: 64,
            width: 64,
            channels: 1,
            pixels: (0..64 * 64).map(|i| (i % 64) as u8 + rng.random_range(60..120)).collect(),
        };
        let data = TrainingData {
            train: (0..12).map(|_| image()).collect(),
            holdout: (0..2).map(|_| image()).collect(),
            validation: Vec::new(),
            template: None,
            problems: Vec::new(),
            light: Light { median: 0.5, spread: 0.1 },
        };
        let mut config = RunConfig::preset(Preset::Light);
        (config.data.channels, config.data.image_size) = (Some(1), [64, 64]);
        config.score.memory.keep = Keep::Always;
        config.score.memory.scales = vec![1];
        let rng = &mut ChaCha8Rng::seed_from_u64(6);
        let model = Mae::new(&config.model, [64, 64], 1, rng, &Device::flex());
        let detector = Detector::new(config, model);
        let normal = Normal { heard, ..remember(&detector, &data) };
        (detector.with_calibration(normal, Vec::new()), data)
    }

    #[test]
    fn training_images_are_scored_by_what_the_others_teach() {
        let (detector, data) = remembered([false, true, false, false]);
        let scores = good_scores(&detector, &data).unwrap();
        assert_eq!(scores.len(), 14);
        assert_eq!(scores[..2], scored(&detector, &data.holdout.iter().collect::<Vec<_>>()).unwrap());
        // It knows them by heart: their own scores would say nothing.
        let known = scored(&detector, &data.train.iter().collect::<Vec<_>>()).unwrap();
        assert!(known.iter().all(|&score| score < 0.1), "{known:?}");
        assert!(scores.iter().all(|&score| (0.5..2.0).contains(&score)), "{scores:?}");
    }

    #[test]
    fn a_network_that_is_heard_has_seen_the_training_images() {
        let (detector, data) = remembered([true, true, false, false]);
        assert_eq!(good_scores(&detector, &data).unwrap().len(), 2);
    }
}

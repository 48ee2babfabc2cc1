//! What good images teach beside the network, and what good images score that it was not learnt from.

use std::time::Instant;

use burn::tensor::Device;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::estimate::peak_memory_mib;
use super::split::TrainingData;
use crate::config::RunConfig;
use crate::data::{ByteImage, Image};
use crate::error::{Error, Result};
use crate::grain::{self, Grain};
use crate::memory::{Grid, Memory};
use crate::model::Mae;
use crate::rarity::Rarity;
use crate::ridges::Ridges;
use crate::score::{Detector, Normal};

/// Training images that ridges and grain are learnt from, at most: from 50 a spread is only known to a tenth of itself.
const SURFACES: usize = 256;
/// Pixels of good pictures that their rarity is taken from, about.
const SAMPLES: usize = 1 << 21;
/// Parts of the training images, each of which is scored by what the others teach.
const FOLDS: usize = 5;

/// All training images but a few, what they teach of surfaces, and those few.
pub struct Fold<'a> {
    seen: Vec<&'a ByteImage>,
    surface: Normal,
    unseen: Vec<&'a ByteImage>,
}

/// Whether so many training images are enough to be judged by each other.
pub fn can_be_folded(images: usize) -> bool {
    images >= 2 * FOLDS
}

/// Every training image is in one of five folds, and is judged by what the others teach. None where training images are
/// few.
pub fn folds<'a>(config: &RunConfig, data: &'a TrainingData) -> Vec<Fold<'a>> {
    let count =
        if config.score.learns_beside_network() && can_be_folded(data.train.len()) { FOLDS } else { 0 };
    let fold = |i| {
        let (seen, unseen) = split(&data.train, i);
        Fold { surface: learn_surface(config, &seen), seen, unseen }
    };
    (0..count).map(fold).collect()
}

/// Memory, ridges and grain, as far as the configuration keeps them, and the units in which they are joined with the
/// network.
pub fn remember(detector: &Detector, data: &TrainingData, folds: &[Fold]) -> Normal {
    let (config, normal) = (detector.config(), detector.normal().clone());
    if !config.score.learns_beside_network() {
        return normal;
    }
    // Units come from images that are not remembered: the held-out ones, else a fold.
    let (seen, unseen) = if data.holdout.is_empty() {
        split(&data.train, FOLDS - 1)
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
    let mut learnt = learn(config, &seen);
    let rarities = match folds {
        [] => rarities(config, &[(&learnt, &unseen)]),
        _ => rarities(config, &folds.iter().map(|fold| (&fold.surface, &fold.unseen)).collect::<Vec<_>>()),
    };
    let unseen = normalised(config, &unseen);
    learnt.memory = learnt.memory.map(|memory| memory.in_units_of(&unseen));
    let [lines, neighbourhoods] = rarities;
    learnt.ridges.iter_mut().for_each(|ridges| ridges.rarity = Some(lines.clone()));
    learnt.grain.iter_mut().for_each(|grain| grain.rarity = Some(neighbourhoods.clone()));
    Normal {
        unit: (unit > 0.0).then_some(unit),
        position: normal.position,
        template: normal.template,
        ..learnt
    }
}

/// How rare values of ridges and of grain are on good pictures, each judged by what others teach.
fn rarities(config: &RunConfig, judged: &[(&Normal, &Vec<&ByteImage>)]) -> [Rarity; 2] {
    let images: usize = judged.iter().map(|(_, images)| images.len()).sum();
    let step = (config.view_size().iter().product::<usize>() * images).div_ceil(SAMPLES).max(1);
    let mut seen = [(); 2].map(|()| (Vec::new(), Vec::new()));
    for (normal, images) in judged {
        let both = |image: &Image| {
            let ridges = normal.ridges.as_ref().map(|ridges| ridges.map(image));
            [ridges, normal.grain.as_ref().map(|grain| grain.map(image))]
        };
        // A few at a time: maps are as large as their pictures.
        for some in normalised(config, images).chunks(8) {
            for maps in some.par_iter().map(both).collect::<Vec<_>>() {
                for ((pixels, largest), map) in seen.iter_mut().zip(maps) {
                    let map = map.unwrap_or_default();
                    pixels.extend(map.iter().step_by(step));
                    largest.push(map.into_iter().fold(0.0, f32::max));
                }
            }
        }
    }
    seen.map(|(pixels, largest)| Rarity::new(pixels, largest))
}

/// Scores of good images by what others teach, as `data.files` lists them. Known are those of the held-out ones and, where
/// the network, which has seen all training images, is not heard, also of every training image, scored by what the other
/// folds teach (cross-conformal prediction, Vovk 2015): a share of false alarms cannot be read off a dozen scores.
///
/// # Errors
/// A map is not finite.
pub fn good_scores(detector: &Detector, data: &TrainingData, folds: &[Fold]) -> Result<Vec<Option<f32>>> {
    let (config, normal) = (detector.config(), detector.normal());
    let [network, ..] = normal.looked_at(&config.score);
    let held_out = scored(detector, &data.holdout.iter().collect::<Vec<_>>())?;
    let mut scores: Vec<Option<f32>> = held_out.into_iter().map(Some).collect();
    scores.resize(scores.len() + data.train.len(), None);
    for (i, Fold { seen, surface, unseen }) in folds.iter().enumerate().filter(|_| !network) {
        // One memory at a time: it is large. In the final units, so that scores can be compared.
        let memory = learn_memory(config, seen);
        let learnt = Normal { memory, ..surface.clone() }.measured_as(normal);
        let fold = Detector::new(config.clone(), detector.model().clone());
        let judged = scored(&fold.with_normal(learnt), unseen)?;
        let places = scores[data.holdout.len()..].iter_mut().skip(i).step_by(FOLDS);
        places.zip(judged).for_each(|(place, score)| *place = Some(score));
    }
    Ok(scores)
}

/// Seconds that memory, ridges and grain will take, all that a training without epochs does, measured on a few of the images;
/// and the process's peak memory in MiB, where the system tells what it was so far.
///
/// `config` must be valid, with `data.channels` set.
pub fn estimate_remembering(config: &RunConfig, data: &TrainingData) -> (f64, Option<f64>) {
    const PROBED: [usize; 2] = [8, 64];
    let channels = config.data.channels.unwrap_or(3);
    let rng = &mut ChaCha8Rng::seed_from_u64(0);
    let model = Mae::new(&config.model, config.input_size(), channels, rng, &Device::flex());
    let detector = Detector::new(config.clone(), model);
    // How many were looked at, and seconds to learn each and to look at it.
    let probe = |images: usize| {
        let some: Vec<&ByteImage> = data.train.iter().take(images).collect();
        let each = |start: Instant| start.elapsed().as_secs_f64() / some.len() as f64;
        let start = Instant::now();
        let learnt = learn(config, &some);
        let learning = each(start);
        let detector = detector.clone().with_normal(learnt);
        let start = Instant::now();
        maps(&detector, &some);
        (some.len() as f64, learning, each(start))
    };
    let [memory, ridges, grain] = config.score.learns();
    let first @ (few, _, looking_few) = probe(PROBED[0]);
    // Before more are probed, which takes memory that `bytes_to_remember` counts.
    let peak = peak_memory_mib();
    // A look takes longer the more a memory remembers; without one, a few images say it all.
    let (many, learning, looking_many) = if memory { probe(PROBED[1]) } else { first };
    let growth = ((looking_many - looking_few) / (many - few).max(1.0)).max(0.0);
    let remembered = data.train.len().min(config.score.memory.prototypes) as f64;
    let looking = looking_many + growth * (remembered - many).max(0.0);
    // Every image is learnt once, then by all folds but its own, and looked at by that one, on surfaces twice: for their
    // scales and for thresholds.
    let looks = 1 + usize::from(ridges || grain);
    let learnt = data.train.len() * FOLDS;
    let looked_at = data.train.len() * looks + data.holdout.len() + data.validation.len();
    let seconds = learning * learnt as f64 + looking * looked_at as f64;
    let more = bytes_to_remember(config, data.train.len()) as f64 / f64::from(1 << 20);
    (seconds, peak.map(|mib| mib + more))
}

/// What the large buffers take while `images` pictures are learnt, beyond what a few need, bytes.
fn bytes_to_remember(config: &RunConfig, images: usize) -> usize {
    const FLOAT: usize = size_of::<f32>();
    let ([memory, ridges, grain], channels) = (config.score.learns(), config.data.channels.unwrap_or(3));
    let pixels: usize = config.view_size().iter().product();
    let pictures = if memory { images } else { images.min(SURFACES) };
    // Without outliers the images are copied.
    let copied = if config.train.contamination > 0.0 { images } else { 0 };
    let mut bytes = pixels * channels * (FLOAT * pictures + copied);
    if memory {
        let shape = &config.score.memory;
        for &scale in &shape.scales {
            let numbers = Grid::new(scale, config.view_size(), channels).places() * shape.components;
            // All pictures' patches in bf16; prototypes in rows and packed, in the detector and in the copy that is written,
            // and as the file has them.
            bytes += numbers * (2 * images + (5 * FLOAT + 2) * shape.prototypes.min(images));
        }
    }
    // Those of every fold are kept until all have been judged, by values in vectors that grow.
    let planes = 2 * usize::from(ridges) + (grain::features(channels) + 1) * usize::from(grain);
    if planes > 0 {
        bytes += FLOAT
            * (pixels * planes * (FOLDS + 1) + 2 * SAMPLES * (usize::from(ridges) + usize::from(grain)));
    }
    bytes
}

/// What `images` teach the parts that are kept, in units of 1.
fn learn(config: &RunConfig, images: &[&ByteImage]) -> Normal {
    Normal { memory: learn_memory(config, images), ..learn_surface(config, images) }
}

/// What `images` teach the memory, if one is kept.
fn learn_memory(config: &RunConfig, images: &[&ByteImage]) -> Option<Memory> {
    let [memory, ..] = config.score.learns();
    memory.then(|| Memory::fit(&normalised(config, images), &config.score.memory)).flatten()
}

/// What `images` teach ridges and grain, as far as they are kept.
fn learn_surface(config: &RunConfig, images: &[&ByteImage]) -> Normal {
    let [_, ridges, grain] = config.score.learns();
    if !ridges && !grain {
        return Normal::default();
    }
    let step = images.len().div_ceil(SURFACES).max(1);
    let some: Vec<&ByteImage> = images.iter().step_by(step).copied().collect();
    let some = normalised(config, &some);
    let ridges = ridges.then(|| Ridges::fit(&some)).flatten();
    let grain = grain.then(|| Grain::fit(&some)).flatten();
    Normal { ridges, grain, ..Normal::default() }
}

/// All images but those of fold `i`, which are every [`FOLDS`]th, and those.
fn split(images: &[ByteImage], i: usize) -> (Vec<&ByteImage>, Vec<&ByteImage>) {
    let (of_it, others): (Vec<_>, Vec<_>) = images.iter().enumerate().partition(|(at, _)| at % FOLDS == i);
    let images = |some: Vec<(usize, _)>| some.into_iter().map(|(_, image)| image).collect();
    (images(others), images(of_it))
}

fn normalised(config: &RunConfig, images: &[&ByteImage]) -> Vec<Image> {
    images.iter().map(|image| config.data.normalize.apply(&image.to_image())).collect()
}

/// The detector's scores of training images.
///
/// # Errors
/// A map is not finite.
pub fn scored(detector: &Detector, images: &[&ByteImage]) -> Result<Vec<f32>> {
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
pub mod tests {
    use super::super::split::Light;
    use super::*;
    use crate::config::{Keep, MapKind, Preset};
    use rand::Rng;

    /// Surfaces of 64 x 64 pixels, 12 to learn from and 2 held out.
    pub fn surfaces() -> TrainingData {
        let rng = &mut ChaCha8Rng::seed_from_u64(5);
        let mut image = || ByteImage {
            height: 64,
            width: 64,
            channels: 1,
            pixels: (0..64 * 64).map(|i| (i % 64) as u8 + rng.random_range(60..120)).collect(),
        };
        let named = |name: &'static str, count| (0..count).map(move |i| format!("{name} {i}").into());
        TrainingData {
            train: (0..12).map(|_| image()).collect(),
            holdout: (0..2).map(|_| image()).collect(),
            files: named("holdout", 2).chain(named("train", 12)).collect(),
            validation: Vec::new(),
            template: None,
            problems: Vec::new(),
            light: Light { median: 0.5, spread: 0.1 },
        }
    }

    /// A configuration for them that keeps a memory, and a network.
    pub fn small(network: Keep) -> (RunConfig, Mae) {
        let mut config = RunConfig::preset(Preset::Light);
        (config.data.channels, config.data.image_size) = (Some(1), [64, 64]);
        (config.score.memory.keep, config.score.network) = (Keep::Always, network);
        config.score.memory.scales = vec![1];
        let rng = &mut ChaCha8Rng::seed_from_u64(6);
        let model = Mae::new(&config.model, [64, 64], 1, rng, &Device::flex());
        (config, model)
    }

    /// Those surfaces, and a detector that remembers them.
    fn remembered(network: Keep) -> (Detector, TrainingData) {
        let (data, (config, model)) = (surfaces(), small(network));
        let detector = Detector::new(config, model);
        let normal = remember(&detector, &data, &folds(detector.config(), &data));
        (detector.with_normal(normal), data)
    }

    #[test]
    fn training_images_are_scored_by_what_the_others_teach() {
        let (detector, data) = remembered(Keep::Never);
        let scores = good_scores(&detector, &data, &folds(detector.config(), &data)).unwrap();
        let scores: Vec<f32> = scores.into_iter().map(Option::unwrap).collect();
        assert_eq!(scores.len(), 14);
        assert_eq!(scores[..2], scored(&detector, &data.holdout.iter().collect::<Vec<_>>()).unwrap());
        // It knows them by heart: their own scores would say nothing.
        let known = scored(&detector, &data.train.iter().collect::<Vec<_>>()).unwrap();
        assert!(known.iter().all(|&score| score < 0.1), "{known:?}");
        assert!(scores.iter().all(|&score| (0.5..2.0).contains(&score)), "{scores:?}");
    }

    #[test]
    fn what_the_scored_map_does_not_look_at_is_not_learnt() {
        let (data, (mut config, model)) = (surfaces(), small(Keep::Always));
        config.score.map = MapKind::Defect;
        assert!(!config.score.learns_beside_network() && folds(&config, &data).is_empty());
        let detector = Detector::new(config, model);
        assert_eq!(remember(&detector, &data, &[]), Normal::default());
    }

    #[test]
    fn a_network_that_is_heard_has_seen_the_training_images() {
        let (detector, data) = remembered(Keep::Always);
        let folds = folds(detector.config(), &data);
        let scores = good_scores(&detector, &data, &folds).unwrap();
        assert!(scores.len() == 14 && scores[..2].iter().all(Option::is_some) && scores[2..] == [None; 12]);
    }
}

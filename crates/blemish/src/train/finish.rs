//! After the last epoch: calibration, thresholds, origin.

use super::split::{Light, TrainingData};
use super::validate::validate;
use super::weigh::weigh;
use crate::config::{Calibration, Keep, RunConfig};
use crate::data::{ByteImage, Image};
use crate::error::{Error, Result};
use crate::format::Provenance;
use crate::history::EpochRecord;
use crate::memory::Memory;
use crate::model::Mae;
use crate::ridges::Ridges;
use crate::score::{Detector, Normal, PositionMap, thresholds};

/// Training images whose maps make the position map.
const POSITION_IMAGES: usize = 64;
/// Training images that ridges are learnt from, at most: from 50 a spread is only known to a tenth of itself.
const RIDGE_IMAGES: usize = 256;

/// Makes the detector: the position map from training images, the thresholds from held-out ones.
///
/// # Errors
/// Scores that are not finite.
pub fn finish(
    config: &RunConfig,
    model: Mae,
    data: &TrainingData,
    history: Vec<EpochRecord>,
    seconds: f64,
) -> Result<Detector> {
    let detector = Detector::new(config.clone(), model);
    let position = (config.score.calibration == Calibration::Position).then(|| {
        let step = data.train.len().div_ceil(POSITION_IMAGES).max(1);
        let some: Vec<&ByteImage> = data.train.iter().step_by(step).collect();
        PositionMap::new(&maps(&detector, &some))
    });
    let detector = detector.with_calibration(
        Normal { position, template: data.template.clone(), ..Normal::default() },
        Vec::new(),
    );
    let normal = remember(config, &detector, data);
    let normal = Normal { weights: weigh(&detector, &normal, &data.validation)?, ..normal };
    let detector = detector.with_calibration(normal.clone(), Vec::new());
    // Without held-out images the training images must do; `thresholds` says how many there were.
    let good: Vec<&ByteImage> =
        if data.holdout.is_empty() { &data.train } else { &data.holdout }.iter().collect();
    let good = maps(&detector, &good);
    if good.iter().flatten().any(|value| !value.is_finite()) {
        return Err(Error::Training("a good image's anomaly map is not finite".to_owned()));
    }
    let scores: Vec<f32> = good.iter().map(|map| detector.score(map)).collect();
    let validation = validate(&detector, &data.validation)?;
    let thresholds = thresholds(&scores, validation.map(|v| v.threshold), &config.score);
    let Light { median, spread } = data.light;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let provenance = Provenance { version, median, spread, seconds, ..Provenance::default() };
    Ok(detector.with_calibration(normal, thresholds).with_origin(provenance, history))
}

/// Fills the memory, where the configuration keeps one, and finds the units in which it is joined with the network.
fn remember(config: &RunConfig, detector: &Detector, data: &TrainingData) -> Normal {
    let mut normal = detector.normal().clone();
    let (memory, ridges) = (config.score.memory.keep == Keep::Always, config.score.ridges == Keep::Always);
    if !memory && !ridges {
        return normal;
    }
    // Units come from images that are not remembered: the held-out ones, else every fifth.
    let (kept, unseen): (Vec<&ByteImage>, Vec<&ByteImage>) = if data.holdout.is_empty() {
        let (unseen, kept): (Vec<_>, Vec<_>) = data.train.iter().enumerate().partition(|(i, _)| i % 5 == 4);
        (
            kept.into_iter().map(|(_, image)| image).collect(),
            unseen.into_iter().map(|(_, image)| image).collect(),
        )
    } else {
        (data.train.iter().collect(), data.holdout.iter().collect())
    };
    let normalised = |images: &[&ByteImage]| -> Vec<Image> {
        images.iter().map(|image| config.data.normalize.apply(&image.to_image())).collect()
    };
    let largest = maps(detector, &unseen).into_iter().map(|map| map.into_iter().fold(0.0, f32::max));
    let unit = largest.sum::<f32>() / unseen.len().max(1) as f32;
    normal.unit = (unit > 0.0).then_some(unit);
    let (kept, unseen) = (normalised(&kept), normalised(&unseen));
    if memory {
        let memory = Memory::fit(&kept, &config.score.memory);
        normal.memory = memory.map(|memory| memory.in_units_of(&unseen));
    }
    if ridges {
        let step = kept.len().div_ceil(RIDGE_IMAGES).max(1);
        let some: Vec<Image> = kept.into_iter().step_by(step).collect();
        normal.ridges = Ridges::fit(&some).map(|ridges| ridges.in_units_of(&unseen));
    }
    normal
}

/// Gives a model that was trained elsewhere its position map, its thresholds and the training images' light: all of
/// them from `data`, whose images need not be those that it has learnt from.
///
/// # Errors
/// Scores that are not finite.
pub fn calibrate(detector: &Detector, data: &TrainingData) -> Result<Detector> {
    let origin = detector.provenance().clone();
    let history = detector.history().to_vec();
    let (config, model) = (detector.config(), detector.model().clone());
    let calibrated = finish(config, model, data, history.clone(), origin.seconds)?;
    let Light { median, spread } = data.light;
    Ok(calibrated.with_origin(Provenance { median, spread, ..origin }, history))
}

fn maps(detector: &Detector, images: &[&ByteImage]) -> Vec<Vec<f32>> {
    let images: Vec<_> = images.iter().map(|image| image.to_image()).collect();
    detector.anomaly_maps(&images)
}

//! After the last epoch: calibration, thresholds, origin.

use std::time::Instant;

use super::remember::{folds, good_scores, maps, remember};
use super::split::{Light, TrainingData};
use super::validate::validate;
use crate::config::{Calibration, RunConfig};
use crate::data::ByteImage;
use crate::error::Result;
use crate::format::Provenance;
use crate::history::EpochRecord;
use crate::model::Mae;
use crate::score::{Detector, Normal, PositionMap, thresholds};

/// Training images whose maps make the position map.
const POSITION_IMAGES: usize = 64;

/// Makes the detector: the position map from training images, the thresholds from good images
/// that were not learnt from.
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
    let started = Instant::now();
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
    let folds = folds(config, data);
    let normal = remember(&detector, data, &folds);
    let detector = detector.with_calibration(normal.clone(), Vec::new());
    let scores = good_scores(&detector, data, &folds)?;
    let validation = validate(&detector, &data.validation)?;
    let thresholds = thresholds(&scores, validation.map(|v| v.threshold), &config.score);
    let Light { median, spread } = data.light;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let seconds = seconds + started.elapsed().as_secs_f64();
    let provenance = Provenance { version, median, spread, seconds, ..Provenance::default() };
    Ok(detector.with_calibration(normal, thresholds).with_origin(provenance, history))
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

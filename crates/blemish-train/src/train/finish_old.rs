//! After the last epoch: calibration, thresholds, origin.

use std::time::Instant;

use super::remember::{can_be_folded, folds, good_scores, maps, remember, scored};
use super::split::{Light, TrainingData};
use super::validate::validate;
use crate::config::{Calibration, RunConfig};
use crate::data::ByteImage;
use crate::error::Result;
use crate::format::{Provenance, StrangeImage};
use crate::history::EpochRecord;
use crate::model::Mae;
use crate::score::{Detector, Normal, PositionMap, thresholds};

/// Training images whose maps make the position map.
const POSITION_IMAGES: usize = 64;

/// Standard deviations, of a normal distribution with the scores' median and upper quartile, from which an image is an
/// outlier. Those of good images reach 2 to 4 (DESIGN.md).
const OUTLIER: f32 = 4.5;
/// Where the upper quartile of a standard normal distribution lies.
const QUARTILE: f32 = 0.6745;
/// Good images that are named as the strangest.
const STRANGEST: usize = 20;

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
    let base = Detector::new(config.clone(), model);
    let position = (config.score.calibration == Calibration::Position).then(|| {
        let step = data.train.len().div_ceil(POSITION_IMAGES).max(1);
        let some: Vec<&ByteImage> = data.train.iter().step_by(step).collect();
        PositionMap::new(&maps(&base, &some))
    });
    let base = base.with_normal(Normal { position, template: data.template.clone(), ..Normal::default() });
    let (mut detector, mut judged) = taught(&base, data)?;
    let mut left_out = outliers(&judged, config.train.contamination);
    let rest = left_out[data.holdout.len()..].iter().filter(|left_out| !**left_out).count();
    if !can_be_folded(rest) {
        left_out.fill(false);
    }
    if left_out.contains(&true) {
        // A memory is large: one at a time.
        drop(detector);
        (detector, judged) = taught_without(&base, data, &left_out)?;
    }
    let strangest = strangest(data, &judged, &left_out);
    let mut scores: Vec<f32> = judged.into_iter().flatten().collect();
    if scores.is_empty() {
        // Nothing else is there: the images that were learnt from must do.
        scores = scored(&detector, &data.train.iter().collect::<Vec<_>>())?;
    }
    let validation = validate(&detector, &data.validation)?;
    let thresholds = thresholds(&scores, validation.map(|v| v.threshold), &config.score);
    let Light { median, spread } = data.light;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let seconds = seconds + started.elapsed().as_secs_f64();
    let provenance = Provenance { version, median, spread, seconds, strangest, ..Provenance::default() };
    Ok(detector.with_thresholds(thresholds).with_origin(provenance, history))
}

/// `base` with what the good images teach it, and what they score by what others teach, as `data.files` lists them.
fn taught(base: &Detector, data: &TrainingData) -> Result<(Detector, Vec<Option<f32>>)> {
    let folds = folds(base.config(), data);
    let detector = base.clone().with_normal(remember(base, data, &folds));
    let scores = good_scores(&detector, data, &folds)?;
    Ok((detector, scores))
}

/// As [`taught`], by all images but some, which have scores all the same.
fn taught_without(
    base: &Detector,
    data: &TrainingData,
    left_out: &[bool],
) -> Result<(Detector, Vec<Option<f32>>)> {
    let (trusted, others) = data.divided(left_out);
    let (detector, scores) = taught(base, &trusted)?;
    let mut of_trusted = scores.into_iter();
    let mut of_others = scored(&detector, &others)?.into_iter().map(Some);
    let score = |&left_out| if left_out { of_others.next() } else { of_trusted.next() };
    Ok((detector, left_out.iter().map(score).map(Option::flatten).collect()))
}

/// The images whose scores' logarithms lie more than [`OUTLIER`] standard deviations above the middle, as the distance of
/// the upper quartile tells them; of these the largest, `most` of all images. None where some have no score.
fn outliers(scores: &[Option<f32>], most: f64) -> Vec<bool> {
    let mut outliers = vec![false; scores.len()];
    let known: Vec<f32> =
        scores.iter().filter_map(|score| score.map(|v| v.max(f32::MIN_POSITIVE).ln())).collect();
    if known.len() < scores.len() || known.is_empty() {
        return outliers;
    }
    let mut order: Vec<usize> = (0..known.len()).collect();
    order.sort_by(|&a, &b| known[b].total_cmp(&known[a]));
    let [quartile, middle] = [4, 2].map(|part| known[order[known.len() / part]]);
    let limit = middle + OUTLIER * (quartile - middle) / QUARTILE;
    let count = (most * known.len() as f64).round() as usize;
    let strange = order.into_iter().take(count).filter(|&i| known[i] > limit);
    strange.for_each(|i| outliers[i] = true);
    outliers
}

/// The good images with the largest scores, as far as they are known.
fn strangest(data: &TrainingData, scores: &[Option<f32>], left_out: &[bool]) -> Vec<StrangeImage> {
    let known = data.files.iter().zip(scores).zip(left_out).filter_map(|((path, &score), &left_out)| {
        Some(StrangeImage { path: path.display().to_string(), score: score?, left_out })
    });
    let mut strange: Vec<StrangeImage> = known.collect();
    strange.sort_by(|a, b| b.score.total_cmp(&a.score));
    strange.truncate(STRANGEST);
    strange
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
    let strangest = calibrated.provenance().strangest.clone();
    Ok(calibrated.with_origin(Provenance { median, spread, strangest, ..origin }, history))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::remember::tests::{small, surfaces};
    use super::*;
    use crate::config::Keep;

    #[test]
    fn an_outlier_teaches_nothing_and_is_named() {
        let mut data = surfaces();
        data.train[5].pixels[64 * 20..64 * 40].fill(255);
        let finished = |contamination| {
            let (mut config, model) = small(Keep::Never);
            config.train.contamination = contamination;
            finish(&config, model, &data, Vec::new(), 0.0).unwrap()
        };
        let [trusting, doubting] = [0.0, 0.1].map(finished);
        for (detector, left_out) in [(&trusting, false), (&doubting, true)] {
            let strangest = &detector.provenance().strangest;
            assert_eq!((strangest[0].path.as_str(), strangest[0].left_out), ("train 5", left_out));
            assert!(strangest[1..].iter().all(|image| !image.left_out), "{strangest:?}");
        }
        // One of them has learnt that picture by heart, the other finds it as strange as any it has not seen.
        let score = |detector| scored(detector, &[&data.train[5]]).unwrap()[0];
        assert!(score(&doubting) > 5.0 * score(&trusting), "{} {}", score(&doubting), score(&trusting));
    }

    #[test]
    fn the_strangest_come_first_and_images_without_a_score_are_not_named() {
        let data = TrainingData { files: ["a", "b", "c", "d"].map(Into::into).into(), ..surfaces() };
        let scores = [Some(0.2), None, Some(0.9), Some(0.4)];
        let named = strangest(&data, &scores, &[false, false, true, false]);
        let named: Vec<_> =
            named.iter().map(|image| (image.path.as_str(), image.score, image.left_out)).collect();
        assert_eq!(named, [("c", 0.9, true), ("d", 0.4, false), ("a", 0.2, false)]);
    }

    #[test]
    fn outliers_lie_far_above_the_quartile_and_are_no_more_than_asked_for() {
        // Logarithms -1 to 1 in steps of 0.1, and one more: the quartile lies 0.6 above the middle, which is 0, so that 4.5
        // standard deviations are 4.003.
        let with = |strange: &[f32]| {
            let usual = (-10..=10).map(|i| i as f32 / 10.0);
            usual.chain(strange.iter().copied()).map(|v| Some(v.exp())).collect::<Vec<_>>()
        };
        let found = |strange: &[f32], most| outliers(&with(strange), most)[21..].to_vec();
        assert_eq!(found(&[4.0], 0.1), [false]);
        assert_eq!(found(&[4.01], 0.1), [true]);
        assert_eq!(found(&[5.0, 4.5, 6.0], 0.1), [true, false, true]);
        assert_eq!(outliers(&with(&[5.0]), 0.0), [false; 22]);
        let mut unknown = with(&[5.0]);
        unknown[3] = None;
        assert_eq!(outliers(&unknown, 0.1), [false; 22]);
    }
}

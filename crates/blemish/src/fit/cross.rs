//! Parts, fitted on some images and calibrated on the others, fold by fold.

use rayon::prelude::*;

use super::progress::Progress;
use super::spill::Spill;
use super::{GoodImages, Prepared};
use crate::calibrate::{Calibration, TailCalibration};
use crate::config::Config;
use crate::detector::{combine, image_score};
use crate::engine::Weights;
use crate::error::{Error, Result};
use crate::parts::{CalibrationRule, FitInput, FittedPart, PartKind, used};

/// Folds of the good images, each of which is scored by what was fitted on the others.
const FOLDS: usize = 5;
/// Pixels of good images that a tail is calibrated on, about.
const SAMPLES: usize = 1 << 21;

/// Calibrated parts, and what each good image scores by parts that were fitted on others.
pub struct CrossFit {
    /// Fitted on all images.
    pub parts: Vec<FittedPart>,
    /// By the number of the view; `None` where it is not known.
    pub scores: Vec<Option<f32>>,
}

/// Whether so many images can score each other.
pub fn is_enough(images: usize) -> bool {
    images >= 2
}

/// Fits every part on `images`, calibrates it on maps of images that it was not fitted on, and scores those.
///
/// # Errors
/// Those of the parts; maps that are not finite.
pub fn cross_fit(
    prepared: &Prepared,
    images: &[usize],
    trained: Option<&Weights>,
    progress: &Progress<'_>,
) -> Result<CrossFit> {
    let config = &prepared.config;
    let kinds: Vec<&'static PartKind> = used(config).collect();
    let pixels = config.view_size().iter().product::<usize>();
    let fit = |which: Vec<usize>| -> Result<Vec<FittedPart>> {
        let good = GoodImages::new(&prepared.views, which);
        let input = FitInput { images: &good, config, trained, progress };
        kinds.iter().map(|kind| FittedPart::fit(kind, &input)).collect()
    };
    let mut parts = fit(images.to_vec())?;
    // What a part has been trained on says nothing about it: then only held-out images count.
    let held_out = prepared.holdout();
    let by_holdout = parts.iter().any(|part| part.part.has_seen_all()) && held_out > 0;
    let folds: Vec<Vec<usize>> = if by_holdout {
        vec![images.iter().copied().filter(|&i| i < held_out).collect()]
    } else {
        let count = if images.len() < 2 * FOLDS { images.len() } else { FOLDS };
        (0..count).map(|k| images.iter().copied().skip(k).step_by(count).collect()).collect()
    };

    let mut samples: Vec<Samples> = kinds.iter().map(|_| Samples::default()).collect();
    let mut maps = Spill::new(pixels * kinds.len())?;
    let mut mapped = Vec::new();
    let step = (pixels * images.len()).div_ceil(SAMPLES).max(1);
    for (done, fold) in folds.iter().enumerate() {
        progress.step("fitting", done, folds.len() + 1)?;
        let rest: Vec<usize> = images.iter().copied().filter(|i| !fold.contains(i)).collect();
        // A single image has no other to be compared with: it stands for itself.
        let others = if by_holdout || rest.is_empty() { None } else { Some(fit(rest)?) };
        let fold_parts = others.as_ref().unwrap_or(&parts);
        for some in fold.chunks(8) {
            progress.check()?;
            let results: Vec<Result<Vec<(Vec<f32>, f32)>>> = some
                .par_iter()
                .map(|&i| {
                    let image = prepared.views.normalised(i)?;
                    Ok(fold_parts.iter().map(|p| (p.part.map(&image), p.part.peak(&image))).collect())
                })
                .collect();
            for (&i, result) in some.iter().zip(results) {
                let result = result?;
                for (samples, (map, peak)) in samples.iter_mut().zip(&result) {
                    samples.pixels.extend(map.iter().step_by(step));
                    samples.largest.push(map.iter().copied().fold(0.0, f32::max));
                    samples.peaks.push(*peak);
                }
                maps.push(&result.into_iter().flat_map(|(map, _)| map).collect::<Vec<f32>>())?;
                mapped.push(i);
            }
        }
    }
    let alone = kinds.len() == 1 && kinds[0].name == "network";
    for (part, samples) in parts.iter_mut().zip(samples) {
        if !alone {
            part.calibration = samples.calibration(part.kind.calibration);
        }
    }

    let mut scores = vec![None; prepared.views.len()];
    let judge = |(at, &i): (usize, &usize)| -> Result<(usize, f32)> {
        let raw = maps.get(at)?;
        let calibrated = raw.chunks_exact(pixels).zip(&parts).map(|(map, part)| {
            let mut map = map.to_vec();
            part.calibration.apply(&mut map);
            map
        });
        let map = combine(&parts, calibrated, config.view_size()[1]);
        Ok((i, finite_score(&map, config)?))
    };
    let judged: Vec<Result<(usize, f32)>> = mapped.par_iter().enumerate().map(judge).collect();
    for result in judged {
        let (i, score) = result?;
        scores[i] = Some(score);
    }
    progress.step("fitting", folds.len() + 1, folds.len() + 1)?;
    Ok(CrossFit { parts, scores })
}

/// What calibrates a part.
#[derive(Default)]
struct Samples {
    pixels: Vec<f32>,
    largest: Vec<f32>,
    peaks: Vec<f32>,
}

impl Samples {
    fn calibration(self, rule: CalibrationRule) -> Calibration {
        match rule {
            CalibrationRule::Tail => Calibration::Tail(TailCalibration::new(self.pixels, self.largest)),
            CalibrationRule::Unit => {
                let sum: f64 = self.peaks.iter().map(|&v| f64::from(v)).sum();
                let mean = sum / self.peaks.len().max(1) as f64;
                Calibration::Unit((mean as f32).max(1e-6))
            }
        }
    }
}

/// The score of a map.
///
/// # Errors
/// [`Error::Training`] for a value that is not finite.
pub fn finite_score(map: &[f32], config: &Config) -> Result<f32> {
    if map.iter().all(|v| v.is_finite()) {
        return Ok(image_score(map, &config.score));
    }
    Err(Error::Training("a good image's anomaly map is not finite".to_owned()))
}

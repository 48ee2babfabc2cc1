//! Parts, fitted on some images and calibrated on the others, fold by fold.

use rayon::prelude::*;

use super::places::{PlaceScale, place_scale};
use super::{LIGHT, Prepared};
use crate::calibrate::robust;
use crate::calibrate::{Calibration, TailCalibration};
use crate::config::Config;
use crate::engine::Weights;
use crate::error::{Error, Result};
use crate::good::{GoodImages, Progress};
use crate::image::Image;
use crate::parts::{CalibrationRule, FitInput, FittedPart, PartKind, used};
use crate::scoring::{combine, ignore, view_score};
use crate::spill::Spill;

/// Folds of the good images, each of which is scored by what was fitted on the others; fewer than twice as many are left out
/// one by one.
const FOLDS: usize = 5;
/// Pixels of good images that a tail is calibrated on, about.
const SAMPLES: usize = 1 << 21;
/// Images whose maps show which places vary more than others.
const PLACE_IMAGES: usize = 64;
/// How far the copies of a single image are shifted, as a share of its shorter side.
const SHIFT: f64 = 1.0 / 128.0;

/// Calibrated parts, and what each good image scores by parts that were fitted on others.
pub struct CrossFit {
    /// Fitted on all images.
    pub parts: Vec<FittedPart>,
    /// By the number of the view; `None` where it is not known.
    pub scores: Vec<Option<f32>>,
    /// Boxes `[y, x, height, width]`, pixels of the view, of what varies far more than the rest.
    pub places: Vec<[usize; 4]>,
}

/// Whether so many images can score each other.
pub(crate) fn is_enough(images: usize) -> bool {
    images >= 2
}

/// Fits every part on `images`, calibrates it on maps of images that it was not fitted on, and scores those.
///
/// Near-duplicates are in one fold. A single image is scored by what was fitted on itself, shifted by a 128th of its side
/// towards the four corners: the next product will not lie better than that.
///
/// # Errors
/// Those of the parts; maps that are not finite.
pub(crate) fn cross_fit(
    prepared: &Prepared,
    images: &[usize],
    trained: Option<&Weights>,
    progress: &Progress<'_>,
) -> Result<CrossFit> {
    let config = &prepared.config;
    let kinds: Vec<&'static PartKind> = used(config).collect();
    let on = |which: Vec<usize>, fit: &dyn Fn(&FitInput<'_>) -> Result<Vec<FittedPart>>| {
        let good = GoodImages::new(&prepared.views, which);
        fit(&FitInput { images: &good, config, builtin: Some(LIGHT), trained, progress })
    };
    let mut parts =
        on(images.to_vec(), &|input| kinds.iter().map(|kind| FittedPart::fit(kind, input)).collect())?;
    // What a part has been trained on says nothing about it: then only held-out images count.
    let held_out = prepared.held_out();
    let by_holdout = parts.iter().any(|part| part.part.has_seen_all()) && !held_out.is_empty();
    let folds = if by_holdout {
        vec![images.iter().copied().filter(|i| held_out.contains(i)).collect()]
    } else {
        folds(images, &prepared.groups)
    };

    let mut probes = Probes { maps: Spill::new()?, images: Vec::new(), peaks: Vec::new() };
    for (done, fold) in folds.iter().enumerate() {
        progress.step("fitting", done, folds.len() + 1)?;
        let rest: Vec<usize> = images.iter().copied().filter(|i| !fold.contains(i)).collect();
        let alone = rest.is_empty();
        let refit = |input: &FitInput<'_>| parts.iter().map(|part| part.refit(input)).collect();
        let others = if by_holdout || alone { None } else { Some(on(rest, &refit)?) };
        let fold_parts = others.as_ref().unwrap_or(&parts);
        for some in fold.chunks(8) {
            progress.check()?;
            let map = |&i: &usize| -> Result<Vec<(Vec<f32>, Vec<f32>)>> {
                let image = prepared.views.normalised(i)?;
                let seen = if alone && !by_holdout { shifted(&image) } else { vec![image] };
                let maps = seen.iter().map(|image| {
                    let maps = fold_parts.iter().flat_map(|p| p.raw_map(image)).collect();
                    (maps, fold_parts.iter().map(|p| p.peak(image)).collect())
                });
                Ok(maps.collect())
            };
            let results: Vec<Result<Vec<_>>> = some.par_iter().map(map).collect();
            for (&i, result) in some.iter().zip(results) {
                for (maps, peaks) in result? {
                    probes.maps.push(&maps)?;
                    probes.images.push(i);
                    probes.peaks.push(peaks);
                }
            }
        }
    }
    let mut places = Vec::new();
    let only_network = kinds.len() == 1 && kinds[0].name == "network";
    for (k, part) in parts.iter_mut().enumerate().filter(|_| !only_network) {
        let has_places = part.kind.calibration == CalibrationRule::Unit && part.kind.name != "network";
        if let (true, Some(size)) = (has_places, config.one_size()) {
            let maps = probes.maps_of(k, kinds.len(), PLACE_IMAGES, prepared.ignored.as_deref())?;
            let scale = place_scale(&maps, size);
            if let Some(PlaceScale { divisors, boxes }) = scale {
                part.place_scale = Some(divisors);
                places.extend(boxes);
            }
        }
        part.calibration = probes.calibration(k, part, prepared.ignored.as_deref())?;
    }
    let scores = probes.scores(&parts, prepared)?;
    progress.step("fitting", folds.len() + 1, folds.len() + 1)?;
    Ok(CrossFit { parts, scores, places })
}

/// `images` in folds, all of one group in one.
pub fn folds(images: &[usize], groups: &[usize]) -> Vec<Vec<usize>> {
    let mut seen: Vec<usize> = Vec::new();
    let places: Vec<usize> = images
        .iter()
        .map(|&i| {
            seen.iter().position(|&group| group == groups[i]).unwrap_or_else(|| {
                seen.push(groups[i]);
                seen.len() - 1
            })
        })
        .collect();
    let count = if seen.len() < 2 * FOLDS { seen.len() } else { FOLDS };
    let fold =
        |k: usize| images.iter().zip(&places).filter(|(_, at)| **at % count == k).map(|(i, _)| *i).collect();
    (0..count).map(fold).collect()
}

/// Copies of an image, shifted towards its four corners; its border is repeated.
fn shifted(image: &Image) -> Vec<Image> {
    let by = ((image.height.min(image.width) as f64 * SHIFT).round() as isize).max(1);
    let copy = |dy: isize, dx: isize| {
        let mut out = image.clone();
        for (at, pixel) in out.pixels.chunks_exact_mut(image.channels).enumerate() {
            let place = |i: usize, by: isize, length: usize| i.saturating_add_signed(by).min(length - 1);
            let (y, x) =
                (place(at / image.width, dy, image.height), place(at % image.width, dx, image.width));
            pixel.copy_from_slice(&image.pixels[(y * image.width + x) * image.channels..][..image.channels]);
        }
        out
    };
    vec![copy(by, by), copy(by, -by), copy(-by, by), copy(-by, -by)]
}

/// What parts that were fitted on others gave for the images.
struct Probes {
    /// The parts' maps, one after the other, uncalibrated.
    maps: Spill,
    /// Of which image.
    images: Vec<usize>,
    /// The parts' peaks.
    peaks: Vec<Vec<f32>>,
}

impl Probes {
    /// The map that part `k` of `parts` gave for probe `i`.
    fn map_of(&self, i: usize, k: usize, parts: usize) -> Result<Vec<f32>> {
        let pixels = self.maps.length(i) / parts;
        Ok(self.maps.get(i)?[k * pixels..][..pixels].to_vec())
    }

    /// Maps of part `k` of `parts`, at most so many, evenly spread.
    fn maps_of(&self, k: usize, parts: usize, most: usize, ignored: Option<&[f32]>) -> Result<Vec<Vec<f32>>> {
        let step = self.images.len().div_ceil(most).max(1);
        let map = |i: usize| {
            let mut map = self.map_of(i, k, parts)?;
            ignore(&mut map, ignored);
            Ok(map)
        };
        (0..self.images.len()).step_by(step).map(map).collect()
    }

    /// The calibration of part `k`. Images whose largest value is an outlier among the others' do not count: one frame without
    /// light must not decide what is normal.
    fn calibration(&self, k: usize, part: &FittedPart, ignored: Option<&[f32]>) -> Result<Calibration> {
        let scaled = part.place_scale.is_some() || ignored.is_some();
        if part.kind.calibration == CalibrationRule::Unit && !scaled {
            return Ok(unit(&self.peaks.iter().map(|peaks| peaks[k]).collect::<Vec<_>>()));
        }
        let parts = self.peaks.first().map_or(1, Vec::len);
        let pixels: usize = (0..self.maps.len()).map(|i| self.maps.length(i) / parts).sum();
        let step = pixels.div_ceil(SAMPLES).max(1);
        let (mut samples, mut largest) = (Vec::new(), Vec::new());
        for i in 0..self.images.len() {
            let mut map = self.map_of(i, k, parts)?;
            part.scale_places(&mut map);
            ignore(&mut map, ignored);
            samples.push(map.iter().copied().step_by(step).collect::<Vec<f32>>());
            largest.push(map.iter().copied().fold(0.0, f32::max));
        }
        if part.kind.calibration == CalibrationRule::Unit {
            return Ok(unit(&largest));
        }
        let outlier = robust::outliers(&largest);
        let kept = |i: &usize| !outlier[*i];
        let samples: Vec<&[f32]> = (0..samples.len()).filter(kept).map(|i| samples[i].as_slice()).collect();
        let largest = (0..largest.len()).filter(kept).map(|i| largest[i]).collect();
        Ok(Calibration::Tail(TailCalibration::new(samples.concat(), largest)))
    }

    /// The score of each image, the largest one where it was seen several times.
    fn scores(&self, parts: &[FittedPart], prepared: &Prepared) -> Result<Vec<Option<f32>>> {
        let config = &prepared.config;
        let score = |at: usize| -> Result<f32> {
            let raw = self.maps.get(at)?;
            let (pixels, [_, width]) = (raw.len() / parts.len(), prepared.views.size_of(self.images[at]));
            let calibrated = raw.chunks_exact(pixels).zip(parts).map(|(map, part)| {
                let mut map = map.to_vec();
                part.calibrate(&mut map);
                map
            });
            let map = combine(parts, calibrated, width, prepared.ignored.as_deref());
            finite_score(&map, config, prepared.sizes[self.images[at]])
        };
        let results: Vec<Result<f32>> = (0..self.images.len()).into_par_iter().map(score).collect();
        let mut scores: Vec<Option<f32>> = vec![None; prepared.views.len()];
        for (&i, score) in self.images.iter().zip(results) {
            let score = score?;
            scores[i] = Some(scores[i].map_or(score, |other| other.max(score)));
        }
        Ok(scores)
    }
}

/// The mean of the peaks that are no outliers.
fn unit(peaks: &[f32]) -> Calibration {
    let outlier = robust::outliers(peaks);
    let kept: Vec<f64> =
        peaks.iter().zip(&outlier).filter(|(_, o)| !**o).map(|(&v, _)| f64::from(v)).collect();
    let mean = kept.iter().sum::<f64>() / kept.len().max(1) as f64;
    Calibration::Unit((mean as f32).max(1e-6))
}

/// The score of the map of an image that had `original` pixels, height and width.
///
/// # Errors
/// [`Error::Training`] for a value that is not finite.
pub(crate) fn finite_score(map: &[f32], config: &Config, original: [usize; 2]) -> Result<f32> {
    if !map.iter().all(|v| v.is_finite()) {
        return Err(Error::Training("a good image's anomaly map is not finite".to_owned()));
    }
    Ok(view_score(map, config, original))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_stay_in_one_fold_and_few_are_left_out_one_by_one() {
        let images: Vec<usize> = (0..12).collect();
        assert_eq!(folds(&images, &images)[1], [1, 6, 11]);
        assert_eq!(folds(&images[..9], &images).len(), 9);
        // 0 0 1 1 2 2 ..: six groups.
        let pairs: Vec<usize> = (0..12).map(|i| i / 2).collect();
        let found = folds(&images, &pairs);
        assert_eq!((found.len(), &found[2][..]), (6, &[4, 5][..]));
        let many: Vec<usize> = (0..60).map(|i| i % 20).collect();
        let found = folds(&(0..60).collect::<Vec<_>>(), &many);
        assert_eq!((found.len(), found.iter().map(Vec::len).sum::<usize>()), (5, 60));
        for fold in &found {
            assert!(fold.iter().all(|i| fold.contains(&((i + 20) % 60))));
        }
        assert_eq!(folds(&[4], &images), [[4]]);
    }

    #[test]
    fn copies_are_shifted_and_keep_their_border() {
        let image = Image { height: 3, width: 3, channels: 1, pixels: (0..9u8).map(f32::from).collect() };
        let copies = shifted(&image);
        assert_eq!(copies.len(), 4);
        assert_eq!(copies[0].pixels, [4.0, 5.0, 5.0, 7.0, 8.0, 8.0, 7.0, 8.0, 8.0]);
        assert_eq!(copies[3].pixels, [0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 3.0, 3.0, 4.0]);
    }

    #[test]
    fn a_unit_is_the_mean_of_what_is_no_outlier() {
        let mut peaks: Vec<f32> = (0..24u8).map(|i| 1.0 + 0.01 * f32::from(i)).collect();
        let Calibration::Unit(before) = unit(&peaks) else { unreachable!() };
        assert!((before - 1.115).abs() < 1e-6);
        peaks.push(500.0);
        assert_eq!(unit(&peaks), Calibration::Unit(before));
    }
}

//! Parts, fitted on some images and calibrated on the others, fold by fold.

use std::collections::HashSet;

use rayon::prelude::*;

use super::places::{PlaceScale, place_scale};
use super::{LIGHT, Prepared};
use crate::calibrate::robust;
use crate::calibrate::{
    Calibration, CommonScale, Moments, PlaceCorrection, Raised, ReadingScale, Side, Standard,
    TailCalibration, roots,
};
use crate::engine::Weights;
use crate::error::{Error, Result};
use crate::good::{GoodImages, Progress};
use crate::image::Image;
use crate::parts::{CalibrationRule, FitInput, FittedPart, PartKind, PlaceRule, used};
use crate::scoring::{halves, ignore};
use crate::spill::Spill;

/// Folds of the good images, each of which is scored by what was fitted on the others; fewer than twice as many are left out
/// one by one.
const FOLDS: usize = 5;
/// Pixels of good images that a tail is calibrated on, about.
const SAMPLES: usize = 1 << 21;
/// Images whose maps show which places vary more than others.
const PLACE_IMAGES: usize = 64;
/// Fewest products whose maps say what a place has on good images: instead of what the maps say, and beside it, where how they spread is
/// asked, too.
const FEWEST_PRODUCTS: usize = 8;
const FEWEST_BESIDE: usize = 20;
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
    // What a part has been trained on says nothing about it: then only held-out images count, as one fold.
    let held_out = prepared.held_out();
    let by_holdout = parts.iter().any(|part| part.part.has_seen_all()) && !held_out.is_empty();
    let folds = if by_holdout {
        vec![images.iter().copied().filter(|i| held_out.contains(i)).collect()]
    } else {
        folds(images, &prepared.groups.of)
    };

    let probed: Vec<usize> = folds.concat();
    let products = probed.iter().map(|&i| prepared.groups.of[i]).collect::<HashSet<_>>().len();
    let by_place = config.one_size().is_some() && config.has_places();
    let compared = |kind: &&PartKind| -> Option<Compared> {
        let beside = matches!((kind.places)(config), PlaceRule::Raised { .. });
        let fewest = if beside { FEWEST_BESIDE } else { FEWEST_PRODUCTS };
        let side = kind.side(config).filter(|_| by_place && products >= fewest)?;
        Some(Compared { side, beside })
    };
    let compared: Vec<Option<Compared>> = kinds.iter().map(compared).collect();
    let mut probes = Probes::new(&compared)?;
    for (done, fold) in folds.iter().enumerate() {
        progress.step("fitting", done, folds.len() + 1)?;
        let rest: Vec<usize> = images.iter().copied().filter(|i| !fold.contains(i)).collect();
        let alone = rest.is_empty();
        let refit = |input: &FitInput<'_>| parts.iter().map(|part| part.refit(input)).collect();
        let others = if alone { None } else { Some(on(rest, &refit)?) };
        let fold_parts = others.as_ref().unwrap_or(&parts);
        for some in fold.chunks(8) {
            progress.check()?;
            let map = |&i: &usize| -> Result<Vec<(Vec<f32>, Vec<f32>)>> {
                let image = prepared.views.normalised(i)?;
                let seen = if alone && !by_holdout { shifted(&image) } else { vec![image] };
                let maps = seen.iter().map(|image| maps_and_peaks(fold_parts, &compared, image));
                Ok(maps.collect())
            };
            let results: Vec<Result<Vec<_>>> = some.par_iter().map(map).collect();
            for (&i, result) in some.iter().zip(results) {
                for (maps, peaks) in result? {
                    probes.push(i, &maps, peaks, prepared)?;
                }
            }
        }
    }
    let mut places = Vec::new();
    let only_network = kinds.len() == 1 && kinds[0].name == "network";
    for (k, part) in parts.iter_mut().enumerate() {
        let divided = (part.kind.places)(config) == PlaceRule::Raised { divided: true };
        if let (true, Some(size)) = (divided, config.one_size()) {
            let maps = probes.maps_of(k, PLACE_IMAGES, prepared)?;
            if let Some(PlaceScale { divisors, boxes }) = place_scale(&maps, size) {
                part.places = PlaceCorrection::Divided(divisors);
                places.extend(boxes);
            }
        }
        if compared[k].is_some_and(|compared| compared.beside) {
            probes.leave_out_unusual(k, prepared)?;
        }
        if let Some((compared, moments)) = &probes.moments[k] {
            let standard = moments.standard(compared.side);
            part.places = if compared.beside {
                let scale = probes.reading_scale(k, &part.places, prepared)?;
                let divisors = match std::mem::take(&mut part.places) {
                    PlaceCorrection::Divided(divisors) => Some(divisors),
                    _ => None,
                };
                PlaceCorrection::Raised(Raised { divisors, standard, scale })
            } else {
                PlaceCorrection::Standardised(standard)
            };
        }
        if !only_network || part.places != PlaceCorrection::None {
            part.calibration = probes.calibration(k, part, prepared)?;
        }
    }
    let halves = probes.halves(&parts, prepared)?;
    let both: (Vec<f32>, Vec<f32>) =
        halves.iter().filter_map(|(shown, apart)| Some((*shown, (*apart)?))).unzip();
    let scale = (!both.0.is_empty()).then(|| CommonScale::new(&both.0, &both.1));
    parts.iter_mut().filter(|part| part.kind.scored_apart).for_each(|part| part.common_scale = scale);
    let score = |&(shown, apart): &(f32, Option<f32>)| match (scale, apart) {
        (Some(scale), Some(apart)) => scale.score(shown, apart),
        _ => shown,
    };
    let scores = probes.largest(halves.iter().map(score), prepared.views.len());
    progress.step("fitting", folds.len() + 1, folds.len() + 1)?;
    Ok(CrossFit { parts, scores, places })
}

/// How a part's maps are compared with those of good images at the same place.
#[derive(Clone, Copy, Debug)]
struct Compared {
    /// Which values are anomalous.
    side: Side,
    /// Beside their values, or instead of them.
    beside: bool,
}

impl Compared {
    /// What of a map, without what is ignored, is compared.
    fn values(self, map: &[f32], prepared: &Prepared) -> Vec<f32> {
        let map = kept(map, prepared);
        if self.beside { roots(&map) } else { map }
    }
}

/// What each part gives for an image: its map, or what is compared by place instead; and its peak where a unit is taken from that, else
/// 0: it may cost another pass.
fn maps_and_peaks(
    parts: &[FittedPart],
    compared: &[Option<Compared>],
    image: &Image,
) -> (Vec<f32>, Vec<f32>) {
    let (mut maps, mut peaks) = (Vec::new(), Vec::new());
    for (part, compared) in parts.iter().zip(compared) {
        let map = match compared {
            Some(Compared { beside: false, .. }) => part.part.comparable(image),
            _ => part.raw_map(image),
        };
        peaks.push(match (part.kind.calibration, compared) {
            (CalibrationRule::Unit, None) => part.part.peak(image, &map),
            _ => 0.0,
        });
        maps.extend(map);
    }
    (maps, peaks)
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
    /// The uncalibrated maps: those of all parts for one probe, then for the next.
    maps: Spill,
    /// Of which image.
    images: Vec<usize>,
    /// The parts' peaks.
    peaks: Vec<Vec<f32>>,
    /// What the maps of each part that is compared by place add up to.
    moments: Vec<Option<(Compared, Moments)>>,
    /// Of each part, the probes whose maps do not count there: one bad frame must not decide what is usual.
    unusual: Vec<Vec<usize>>,
}

impl Probes {
    /// Of no image yet, for parts that are compared by place or are not.
    fn new(compared: &[Option<Compared>]) -> Result<Self> {
        let moments = compared.iter().map(|compared| compared.map(|how| (how, Moments::default()))).collect();
        let unusual = vec![Vec::new(); compared.len()];
        Ok(Self { maps: Spill::new()?, images: Vec::new(), peaks: Vec::new(), moments, unusual })
    }

    /// Adds the parts' maps and peaks of image `i`.
    fn push(&mut self, i: usize, maps: &[f32], peaks: Vec<f32>, prepared: &Prepared) -> Result<()> {
        let pixels = maps.len() / self.moments.len();
        for (map, moments) in maps.chunks_exact(pixels).zip(&mut self.moments) {
            if let Some((compared, moments)) = moments {
                moments.add(&compared.values(map, prepared), 1.0);
            }
            self.maps.push(map)?;
        }
        self.images.push(i);
        self.peaks.push(peaks);
        Ok(())
    }

    /// The map that part `k` gave for probe `i`.
    fn map_of(&self, i: usize, k: usize) -> Result<Vec<f32>> {
        self.maps.get(i * self.moments.len() + k)
    }

    /// Maps of part `k`, at most so many, evenly spread.
    fn maps_of(&self, k: usize, most: usize, prepared: &Prepared) -> Result<Vec<Vec<f32>>> {
        let step = self.images.len().div_ceil(most).max(1);
        (0..self.images.len()).step_by(step).map(|i| Ok(kept(&self.map_of(i, k)?, prepared))).collect()
    }

    /// The map of part `k` for probe `i`, corrected by place. What good images have there is what those of other products
    /// have, as for an image that is not among them; else good images would look better than new ones.
    fn corrected(&self, i: usize, k: usize, part: &FittedPart, prepared: &Prepared) -> Result<Vec<f32>> {
        let mut map = self.map_of(i, k)?;
        match self.beside_others(i, k, prepared)? {
            Some(standard) => part.places.beside(standard).apply(&mut map),
            None => part.places.apply(&mut map),
        }
        Ok(map)
    }

    /// Takes the maps of part `k` whose largest value is an outlier among the others' out of what is usual at a place.
    fn leave_out_unusual(&mut self, k: usize, prepared: &Prepared) -> Result<()> {
        let peak = |i| Ok(kept(&self.map_of(i, k)?, prepared).into_iter().fold(0.0, f32::max));
        let peaks = (0..self.images.len()).map(peak).collect::<Result<Vec<f32>>>()?;
        let outlier = robust::outliers(&peaks);
        self.unusual[k] = (0..peaks.len()).filter(|&i| outlier[i]).collect();
        for &i in &self.unusual[k] {
            let map = self.map_of(i, k)?;
            if let Some((compared, moments)) = &mut self.moments[k] {
                moments.add(&compared.values(&map, prepared), -1.0);
            }
        }
        Ok(())
    }

    /// What probes of other products than that of probe `i` have at each place by part `k`, where it is compared with that.
    fn beside_others(&self, i: usize, k: usize, prepared: &Prepared) -> Result<Option<Standard>> {
        let Some((compared, all)) = &self.moments[k] else { return Ok(None) };
        let mut others = all.clone();
        let product = |probe: usize| prepared.groups.of[self.images[probe]];
        for j in (0..self.images.len()).filter(|&j| product(j) == product(i) && !self.unusual[k].contains(&j))
        {
            others.add(&compared.values(&self.map_of(j, k)?, prepared), -1.0);
        }
        Ok(Some(others.standard(compared.side)))
    }

    /// What brings the maps of part `k` beside those of other products to the scale of the maps corrected by `alone`.
    fn reading_scale(&self, k: usize, alone: &PlaceCorrection, prepared: &Prepared) -> Result<ReadingScale> {
        let peak = |mut map: Vec<f32>, correction: &PlaceCorrection| {
            correction.apply(&mut map);
            kept(&map, prepared).into_iter().fold(0.0, f32::max)
        };
        let peaks = |i: usize| -> Result<(f32, f32)> {
            let map = self.map_of(i, k)?;
            let standard = self.beside_others(i, k, prepared)?;
            let beside = standard.map_or(PlaceCorrection::None, PlaceCorrection::Standardised);
            let beside = peak(roots(&map), &beside);
            Ok((peak(map, alone), beside))
        };
        let usual = (0..self.images.len()).into_par_iter().filter(|i| !self.unusual[k].contains(i));
        let peaks: Vec<(f32, f32)> = usual.map(peaks).collect::<Result<_>>()?;
        let (first, second): (Vec<f32>, Vec<f32>) = peaks.into_iter().unzip();
        Ok(ReadingScale::new(&first, &second))
    }

    /// The calibration of part `k`. Images whose largest value is an outlier among the others' do not count: one frame without
    /// light must not decide what is normal.
    fn calibration(&self, k: usize, part: &FittedPart, prepared: &Prepared) -> Result<Calibration> {
        let ignored = prepared.ignored();
        let as_it_is = part.places == PlaceCorrection::None && ignored.is_none();
        if part.kind.calibration == CalibrationRule::Unit && as_it_is {
            return Ok(unit(&self.peaks.iter().map(|peaks| peaks[k]).collect::<Vec<_>>()));
        }
        let pixels = (0..self.maps.len()).map(|at| self.maps.length(at)).sum::<usize>() / self.moments.len();
        let step = pixels.div_ceil(SAMPLES).max(1);
        let (mut samples, mut largest) = (Vec::new(), Vec::new());
        for i in 0..self.images.len() {
            let mut map = self.corrected(i, k, part, prepared)?;
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

    /// The score of each probe by the shown map and, where parts are scored apart, by theirs.
    fn halves(&self, parts: &[FittedPart], prepared: &Prepared) -> Result<Vec<(f32, Option<f32>)>> {
        let score = |at: usize| -> Result<(f32, Option<f32>)> {
            let calibrated = parts.iter().enumerate().map(|(k, part)| {
                let mut map = self.corrected(at, k, part, prepared)?;
                part.calibration.apply(&mut map);
                Ok(map)
            });
            let maps = calibrated.collect::<Result<Vec<_>>>()?;
            let (original, ignored) = (prepared.sizes[self.images[at]], prepared.ignored());
            let (shown, apart) = halves(parts, maps, &prepared.config, original, ignored);
            Ok((finite(shown.score)?, apart.map(|apart| finite(apart.score)).transpose()?))
        };
        (0..self.images.len()).into_par_iter().map(score).collect()
    }

    /// The score of each image, the largest one where it was seen several times.
    fn largest(&self, scores: impl Iterator<Item = f32>, images: usize) -> Vec<Option<f32>> {
        let mut largest: Vec<Option<f32>> = vec![None; images];
        for (&i, score) in self.images.iter().zip(scores) {
            largest[i] = Some(largest[i].map_or(score, |other| other.max(score)));
        }
        largest
    }
}

/// A map without what is ignored.
fn kept(map: &[f32], prepared: &Prepared) -> Vec<f32> {
    let mut map = map.to_vec();
    ignore(&mut map, prepared.ignored());
    map
}

/// The mean of the peaks that are no outliers.
fn unit(peaks: &[f32]) -> Calibration {
    let outlier = robust::outliers(peaks);
    let kept: Vec<f64> =
        peaks.iter().zip(&outlier).filter(|(_, o)| !**o).map(|(&v, _)| f64::from(v)).collect();
    let mean = kept.iter().sum::<f64>() / kept.len().max(1) as f64;
    Calibration::Unit((mean as f32).max(1e-6))
}

/// A good image's score.
///
/// # Errors
/// [`Error::Training`] where its map has a value that is not finite.
pub(crate) fn finite(score: f32) -> Result<f32> {
    if score.is_finite() {
        return Ok(score);
    }
    Err(Error::Training("a good image's anomaly map is not finite".to_owned()))
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

//! Thresholds from a user's own photos, without fitting: new scores of good images, and what each threshold would find.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::duplicates;
use crate::calibrate::rate::clopper_pearson;
use crate::calibrate::{Threshold, suspected};
use crate::dataset::{Images, Problem};
use crate::detector::Detector;
use crate::error::{Error, Result};
use crate::good::{Progress, Views};
use crate::image::ImageFacts;
use crate::number::some_of;
use crate::view::{Differences, View};

/// Points of the curve, at most.
const POINTS: usize = 200;
/// Images that are in memory at a time.
const AT_ONCE: usize = 16;

/// What a calibration has found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibrated {
    /// The threshold that decides from now on.
    pub threshold: Threshold,
    /// Good images that count; near-duplicates count once.
    pub good: usize,
    /// Good images that are near-duplicates of others.
    pub repeated: usize,
    /// Defective images that were scored.
    pub defective: usize,
    /// Good images that are left out, since the model was fitted on them.
    pub fitted_on: usize,
    /// Good and defective images that are unlike those that the model was fitted on.
    pub unlike: usize,
    /// What an inspector should know of the images, in words.
    pub warnings: Vec<String>,
    /// Images that do not count, and why: unreadable, blank, or far from all other good ones.
    pub problems: Vec<Problem>,
    /// What every threshold would do, from the lowest on.
    pub curve: Vec<CurvePoint>,
}

/// What a threshold would do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// The threshold: an image is defective when its score is at least this.
    pub threshold: f64,
    /// Share of the good images that it rejects.
    pub fpr: f64,
    /// 95 % interval of the false-positive rate on new good images (Clopper and Pearson 1934).
    pub fpr_interval: [f64; 2],
    /// Share of the defective images that it finds, where there are any.
    pub found: Option<f64>,
    /// 95 % interval of that on new defective images.
    pub found_interval: Option<[f64; 2]>,
}

impl Detector {
    /// Sets thresholds anew from photos of good products; nothing is fitted. Their scores replace those of the images that it was
    /// fitted on, which are left out, as they score too low: files are known by their content. `defects` are only shown in the
    /// curve.
    ///
    /// # Errors
    /// No good image that can be used; a file that is among good and defective images; a view that the model does not take.
    pub fn calibrate(&mut self, good: &Images, defects: Option<&Images>) -> Result<Calibrated> {
        if let Some(defects) = defects {
            refuse_in_both(good, defects)?;
        }
        let (mut problems, mut warnings, mut differences) = (Vec::new(), Vec::new(), Differences::default());
        let known = self.provenance().fitted_on(good);
        let (own, new): (Vec<usize>, Vec<usize>) = (0..good.len()).partition(|&i| known[i]);
        let fitted_on = own.len();
        if fitted_on > 0 {
            let those = some_of(fitted_on, good.len(), "good image");
            let those = format!("{those} among those that the model was fitted on");
            if new.is_empty() {
                let reason = format!(
                    "{those}, which score too low to calibrate with: name other photos of good products"
                );
                return Err(Error::data("good images", reason));
            }
            warnings.push(format!("{those}, and left out"));
        }
        let good = &good.some(&new);
        let config = self.config();
        let contamination = config.fit.contamination;
        let mut views = Views::new(config.view_size(), self.channels(), self.normaliser().clone())?;
        let (mut scores, mut sizes) = (Vec::new(), Vec::new());
        self.score_all(good, true, &mut problems, &mut differences, |name, view, size, score| {
            views.push(name, &view.image)?;
            sizes.push(size);
            scores.push(score);
            Ok(())
        })?;
        if scores.is_empty() {
            let reason = problems.first().map_or("there is none".to_owned(), |p| p.reason.clone());
            return Err(Error::data("good images", format!("none can be used to calibrate: {reason}")));
        }
        let stop = AtomicBool::new(false);
        let pixels = self.config().view().usual_pixels_of_image(&sizes);
        let groups = duplicates::groups(&views, pixels, &Progress::new(&|_| {}, &stop))?;
        let outlier = suspected(&scores, contamination);
        let mut own: Vec<Option<f32>> = vec![None; scores.len()];
        for (i, &score) in scores.iter().enumerate() {
            if outlier[i] {
                let reason = format!("scores {score}, far beyond all other good images: is it good?");
                problems.push(Problem::new(&views.names()[i], reason));
            } else {
                let group = &mut own[groups.of[i]];
                *group = Some(group.map_or(score, |other| other.max(score)));
            }
        }
        let own: Vec<f32> = own.into_iter().flatten().collect();
        let mut found = Vec::new();
        if let Some(defects) = defects {
            self.score_all(defects, false, &mut problems, &mut differences, |_, _, _, score| {
                found.push(score);
                Ok(())
            })?;
        }
        let curve = curve(&own, &found);
        let (good, repeated, defective) = (own.len(), groups.repeated(), found.len());
        let left_out = outlier.iter().filter(|&&outlier| outlier).count();
        self.set_good_scores(own, left_out, groups.few_products);
        let (threshold, unlike) = (self.threshold()?, differences.count());
        warnings.extend(differences.in_words("image"));
        Ok(Calibrated { threshold, good, repeated, defective, fitted_on, unlike, warnings, problems, curve })
    }

    /// Hands on the name, registered view, height and width, and score of every image that can be used; blank ones cannot where `with_structure`.
    fn score_all(
        &self,
        images: &Images,
        with_structure: bool,
        problems: &mut Vec<Problem>,
        differences: &mut Differences,
        mut then: impl FnMut(String, View, [usize; 2], f32) -> Result<()>,
    ) -> Result<()> {
        let decoding = self.config().data.decoding();
        let all: Vec<usize> = (0..images.len()).collect();
        for some in all.chunks(AT_ONCE) {
            let score = |&i: &usize| -> Result<Result<(View, f32, ImageFacts), String>> {
                let (image, facts) = images.read_with_facts(i, &decoding)?;
                let framed = self.frame_with(&image, facts)?;
                if let Some(reason) = self.blank(&framed).filter(|_| with_structure) {
                    return Ok(Err(reason.describe().to_owned()));
                }
                let view = self.register(framed.view.clone());
                let score = self.see(&view.image, framed.original_size)?.score;
                Ok(Ok((view, score, facts)))
            };
            for (&i, result) in some.iter().zip(some.par_iter().map(score).collect::<Vec<_>>()) {
                match result {
                    Ok(Ok((view, score, facts))) => {
                        differences.add(&images.name(i), &facts, self.provenance().facts.as_ref());
                        then(images.name(i), view, facts.size, score)?;
                    }
                    Ok(Err(reason)) => problems.push(Problem::new(images.name(i), reason)),
                    Err(error @ (Error::Config { .. } | Error::Model { .. })) => return Err(error),
                    Err(error) => problems.push(Problem::new(images.name(i), error.reason())),
                }
            }
        }
        Ok(())
    }
}

/// Refuses a photo that is named as good and as defective.
fn refuse_in_both(good: &Images, defects: &Images) -> Result<()> {
    let prints = good.fingerprints().into_iter().enumerate();
    let known: HashMap<u64, usize> = prints.filter_map(|(i, print)| Some((print?, i))).collect();
    let both = |(i, print): (usize, Option<u64>)| Some((i, *known.get(&print?)?));
    match defects.fingerprints().into_iter().enumerate().find_map(both) {
        Some((defect, i)) => {
            let reason = format!(
                "is the same photo as {}, which is named as good: take it out of the good or of the defective images",
                good.name(i)
            );
            Err(Error::data(defects.name(defect), reason))
        }
        None => Ok(()),
    }
}

/// A point for every score that occurs, the next number above all included, thinned.
fn curve(good: &[f32], defective: &[f32]) -> Vec<CurvePoint> {
    let mut all: Vec<f32> = good.iter().chain(defective).copied().collect();
    all.sort_unstable_by(f32::total_cmp);
    all.dedup();
    if let Some(largest) = all.last().copied() {
        all.push(largest.next_up());
    }
    let step = all.len().div_ceil(POINTS).max(1);
    let kept = all.iter().enumerate().filter(|(i, _)| i % step == 0 || i + 1 == all.len());
    let share = |scores: &[f32], threshold: f32| scores.iter().filter(|s| **s >= threshold).count();
    kept.map(|(_, &threshold)| {
        let (alarms, found) = (share(good, threshold), share(defective, threshold));
        let some = !defective.is_empty();
        CurvePoint {
            threshold: f64::from(threshold),
            fpr: alarms as f64 / good.len().max(1) as f64,
            fpr_interval: clopper_pearson(alarms, good.len()),
            found: some.then(|| found as f64 / defective.len() as f64),
            found_interval: some.then(|| clopper_pearson(found, defective.len())),
        }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_by_hand() {
        let points = curve(&[1.0, 2.0, 3.0, 4.0], &[3.0, 9.0]);
        let rates: Vec<(f64, f64, Option<f64>)> =
            points.iter().map(|p| (p.threshold, p.fpr, p.found)).collect();
        let above = f64::from(9.0f32.next_up());
        assert_eq!(
            rates,
            [
                (1.0, 1.0, Some(1.0)),
                (2.0, 0.75, Some(1.0)),
                (3.0, 0.5, Some(1.0)),
                (4.0, 0.25, Some(0.5)),
                (9.0, 0.0, Some(0.5)),
                (above, 0.0, Some(0.0))
            ]
        );
        assert_eq!(points[4].fpr_interval, clopper_pearson(0, 4));
        assert!(curve(&[1.0], &[]).iter().all(|p| p.found.is_none()));
        let many: Vec<f32> = (0..5000).map(|v| v as f32).collect();
        assert!((100..=POINTS + 1).contains(&curve(&many, &[]).len()));
    }
}

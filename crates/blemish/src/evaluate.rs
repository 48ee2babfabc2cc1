//! A detector and a data set: what was found, as an [`Evaluation`], and what the report shows of it.
//!
//! Images are read, scored and let go, a few at a time; maps lie in a temporary file. Per image, memory holds its scores, its
//! row and the runs of its mask.

mod scored;

use std::path::PathBuf;
use std::time::Instant;

use rayon::prelude::*;

use self::scored::{Scored, row_of};
use crate::dataset::{
    DataSet, Images, Label, LoadOptions, LoadedImage, OnError, Problem, Sample, load, load_masks,
};
use crate::detector::Detector;
use crate::error::{Error, Result};
use crate::evaluation::{Counts, DataSummary, Evaluation, ImageRow, ModelSummary, ShortcutAudit};
use crate::image::{Image, Statistics, equalising, image_statistics};
use crate::metrics::{auroc, roc_curve};
use crate::number::some_of;
use crate::prediction::{Reason, Verdict};
use crate::report::{Curves, GalleryItem, Listed, Report, select_gallery, shown_and_listed};
use crate::view::{Differences, View};

/// AUPRO is integrated up to this false-positive rate (Bergmann et al. 2021).
#[doc(hidden)]
pub const FPR_LIMIT: f64 = 0.3;
/// Images of each group in the report's gallery.
const GALLERY: usize = 4;
/// Images that are in memory at a time.
const AT_ONCE: usize = 16;

/// How an evaluation is made.
#[derive(Clone, Debug, Default)]
pub struct EvaluateOptions {
    /// What happens at an image that cannot be used.
    pub on_error: OnError,
    /// The model file's path, for the report.
    pub model_path: String,
    /// Which images were scored and which chose checkpoint and thresholds, in words; empty: as the model says.
    pub split: String,
}

/// An evaluation together with the maps it was made from.
pub struct Evaluated {
    /// What was measured.
    pub evaluation: Evaluation,
    scored: Scored,
    pro_curve: Vec<(f64, f64)>,
}

/// What a detector makes of an image.
#[derive(Clone, Copy)]
struct Decided {
    verdict: Verdict,
    reason: Reason,
    inspected: f32,
}

/// Scores `samples` of `set` (its test images, usually) and measures.
///
/// # Errors
/// No sample; an image or mask that cannot be used under [`OnError::Stop`]; a model without thresholds.
pub fn evaluate(
    detector: &Detector,
    set: &DataSet,
    samples: &[Sample],
    options: &EvaluateOptions,
) -> Result<Evaluated> {
    if samples.is_empty() {
        return Err(Error::data(&set.root, "holds no test image to evaluate on"));
    }
    let config = detector.config();
    let size = config.data.image_size;
    let loading = LoadOptions {
        image_size: size,
        view: config.view(),
        channels: detector.channels(),
        max_pixels: config.data.max_pixels,
        range: config.data.range,
        on_error: options.on_error,
    };
    let threshold = detector.threshold()?;
    let origin = detector.provenance();
    let (mut scored, mut equalised) = (Scored::new()?, Scored::new()?);
    let (mut rows, mut light): (Vec<ImageRow>, Vec<Statistics>) = (Vec::new(), Vec::new());
    let (mut problems, mut bad_masks, mut first_error) = (Vec::new(), Vec::new(), None);
    let mut differences = Differences::default();
    let mut seconds = 0.0;
    for some in samples.chunks(AT_ONCE) {
        let started = Instant::now();
        let images = read(some, &loading, &mut problems, &mut first_error)?;
        let seen: Vec<(View, Result<Seen>)> =
            images.par_iter().map(|image| Seen::first(detector, image)).collect();
        seconds += started.elapsed().as_secs_f64();
        let statistics: Vec<Statistics> =
            images.par_iter().map(|image| image_statistics(&image.framed.image)).collect();
        let equally =
            |((image, (registered, _)), own): ((&LoadedImage, &(View, Result<Seen>)), &Statistics)| {
                let mut view = registered.image.clone();
                equalising(own, origin.median, origin.spread).apply(&mut view);
                view.pixels.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
                Seen::new(detector, image, registered, &view)
            };
        let others: Vec<Result<Seen>> = images.par_iter().zip(&seen).zip(&statistics).map(equally).collect();
        let (masks, bad) = load_masks(&images, &loading)?;
        bad_masks.extend(bad);
        for ((((image, (_, seen)), other), mask), own) in
            images.iter().zip(seen).zip(others).zip(masks).zip(statistics)
        {
            let (seen, other) = (seen?, other?);
            let defective = image.sample.label == Label::Defective;
            let size = [image.framed.image.height, image.framed.image.width];
            scored.push(&seen.map, size, seen.score, defective, mask.as_ref())?;
            equalised.push(&other.map, size, other.score, defective, mask.as_ref())?;
            rows.push(row_of(&image.sample, defective, seen.score, seen.decided));
            let name = image.sample.path.display().to_string();
            differences.add(&name, &image.framed.facts, origin.facts.as_ref());
            light.push(own);
        }
    }
    if rows.is_empty() {
        return Err(first_error.unwrap_or_else(|| Error::data(&set.root, "no test image could be used")));
    }
    let paths: Vec<PathBuf> = rows.iter().map(|row| PathBuf::from(&row.path)).collect();
    let known = origin.fitted_on(&Images::from(paths));
    let mut warnings = fitted_on(&known, &scored.defective);
    warnings.extend(differences.in_words("image"));
    let mut notes = scored.notes();
    if let Some(scale) = config.view().scale {
        notes.push(format!("maps are compared with masks at the images' own sizes, times {scale}"));
    }
    notes.extend(set.note.clone());
    notes.extend(threshold.warning.clone());
    let (metrics, pro_curve) = scored.metrics(threshold.value)?;
    let evaluation = Evaluation {
        model: ModelSummary {
            path: options.model_path.clone(),
            preset: config.preset.name().to_owned(),
            parts: detector.active_parts(),
            fitted: origin.fitted.clone(),
            version: origin.version.clone(),
        },
        data: DataSummary {
            path: set.root.display().to_string(),
            category: set.category.clone(),
            layout: set.layout.name().to_owned(),
        },
        split: if options.split.is_empty() { origin.split.clone() } else { options.split.clone() },
        resolution: size,
        fpr_limit: FPR_LIMIT,
        seed: config.seed,
        metrics,
        threshold: threshold.value,
        threshold_rule: threshold.rule.name().to_owned(),
        images_per_second: Some(rows.len() as f64 / seconds),
        counts: Counts {
            good: scored.defective.iter().filter(|d| !**d).count(),
            defective: scored.defective.iter().filter(|d| **d).count(),
            skipped: problems.len(),
            fitted_on: known.iter().filter(|known| **known).count(),
            unlike: differences.count(),
        },
        shortcut_audit: audit(&light, &scored.defective),
        equalised: Some(equalised.metrics(threshold.value)?.0),
        thresholds: detector.thresholds().iter().map(|t| scored.threshold_row(t, *t == threshold)).collect(),
        per_kind: scored.per_kind(&rows, threshold.value)?,
        images: rows,
        warnings,
        notes,
        problems: set.problems.iter().chain(&problems).chain(&bad_masks).cloned().collect(),
    };
    Ok(Evaluated { evaluation, scored, pro_curve })
}

/// What is to be said of test images that the model was fitted on.
fn fitted_on(known: &[bool], defective: &[bool]) -> Vec<String> {
    let sentence = |is_defective: bool, what: &str, so: &str| {
        let of_kind = || known.iter().zip(defective).filter(|(_, own)| **own == is_defective);
        let (some, all) = (of_kind().filter(|(known, _)| **known).count(), of_kind().count());
        let those = some_of(some, all, &format!("{what} test image"));
        (some > 0).then(|| format!("{those} among those that the model was fitted on: {so}"))
    };
    let good = "the false-alarm rate and AUROC say nothing about new ones; test with others";
    let bad = "it takes what they show for normal; take them out of the training images and fit anew";
    sentence(false, "good", good).into_iter().chain(sentence(true, "defective", bad)).collect()
}

/// Reads some samples, and says which could not be.
///
/// # Errors
/// The first one's, under [`OnError::Stop`]; settings that cannot be.
fn read(
    samples: &[Sample],
    loading: &LoadOptions,
    problems: &mut Vec<Problem>,
    first_error: &mut Option<Error>,
) -> Result<Vec<LoadedImage>> {
    // One by one: a chunk of which nothing can be used is no error of the whole.
    let results: Vec<_> =
        samples.par_iter().map(|sample| load(std::slice::from_ref(sample), loading)).collect();
    let mut images = Vec::new();
    for (sample, result) in samples.iter().zip(results) {
        match result {
            Ok(loaded) => {
                images.extend(loaded.images);
                problems.extend(loaded.problems);
            }
            Err(error) if loading.on_error == OnError::Stop || matches!(error, Error::Config { .. }) => {
                return Err(error);
            }
            Err(error) => {
                problems.push(Problem::new(&sample.path, error.reason()));
                first_error.get_or_insert(error);
            }
        }
    }
    Ok(images)
}

/// What is kept of an image.
struct Seen {
    map: Vec<f32>,
    score: f32,
    decided: Decided,
}

impl Seen {
    /// Registers an image, and scores it.
    fn first(detector: &Detector, image: &LoadedImage) -> (View, Result<Self>) {
        let registered = detector.register(image.framed.view.clone());
        let seen = Self::new(detector, image, &registered, &registered.image);
        (registered, seen)
    }

    /// Scores what an image shows, or shows in other light, as it was registered.
    fn new(detector: &Detector, image: &LoadedImage, registered: &View, view: &Image) -> Result<Self> {
        let framed = &image.framed;
        let seen = detector.see(view, framed.original_size)?;
        let (score, verdict, reason) = detector.decision(seen.score, framed)?;
        let map = registered.to_frame(seen.map, [framed.image.height, framed.image.width])?;
        Ok(Self { map, score, decided: Decided { verdict, reason, inspected: detector.inspected(framed) } })
    }
}

impl Evaluated {
    /// The report's content; `detector` is the one that was evaluated. The images of the gallery are read once more.
    ///
    /// # Errors
    /// An image that can no longer be read; the temporary file.
    pub fn report<'a>(&'a self, detector: &'a Detector) -> Result<Report<'a>> {
        let Scored { scores, defective, .. } = &self.scored;
        let (mut good_scores, mut defective_scores) = (Vec::new(), Vec::new());
        for (&score, &defective) in scores.iter().zip(defective) {
            if defective { &mut defective_scores } else { &mut good_scores }.push(f64::from(score));
        }
        let roc = roc_curve(scores, defective).unwrap_or_default();
        let curves = Curves {
            roc: roc.iter().map(|p| (p.fpr, p.tpr)).collect(),
            pro: self.pro_curve.clone(),
            good_scores,
            defective_scores,
        };
        let threshold = self.evaluation.threshold;
        let doubles: Vec<f64> = scores.iter().map(|&s| f64::from(s)).collect();
        let [shown, listed] = shown_and_listed(select_gallery(&doubles, defective, threshold, GALLERY));
        let listed = listed.into_iter().map(|(group, i)| {
            let row = &self.evaluation.images[i];
            Listed {
                group,
                file: row.path.clone(),
                kind: row.kind.clone(),
                score: doubles[i],
                remark: row.remark(),
            }
        });
        let gallery = shown
            .into_iter()
            .map(|(group, i)| {
                let (row, map) = (&self.evaluation.images[i], self.scored.map(i)?);
                let framed = detector.read(row.path.as_ref())?;
                let size = [framed.image.height, framed.image.width];
                let expected = detector.expected(&framed, size);
                Ok(GalleryItem {
                    group,
                    file: row.path.clone(),
                    kind: row.kind.clone(),
                    score: doubles[i],
                    remark: row.remark(),
                    image: framed.image.to_bytes(),
                    expected: expected.map(|expected| (expected.title, expected.image.to_bytes())),
                    outlined_from: detector.outlined_from(scores[i], &map)?,
                    map,
                    mask: self.scored.mask(i).filter(|mask| mask.count() > 0),
                })
            })
            .collect::<Result<_>>()?;
        let map_threshold = detector.map_threshold()?;
        let origin = detector.provenance();
        let mut provenance = Vec::new();
        provenance.extend(origin.profile.iter().map(|fact| ("Training images".to_owned(), fact.clone())));
        if let Some(estimate) = &origin.estimate {
            let found = estimate.in_words().join("; ");
            let images = estimate.images;
            let text = format!(
                "{found} (generated defects on {images} good images that were not fitted on; real ones may be fainter)"
            );
            provenance.push(("Estimated at training".to_owned(), text));
        }
        if !origin.data.is_empty() {
            provenance.push(("Fitted on".to_owned(), format!("{} ({})", origin.data, origin.category)));
        }
        if origin.seconds > 0.0 {
            provenance.push(("Time of the fit".to_owned(), format!("{:.1} minutes", origin.seconds / 60.0)));
        }
        Ok(Report {
            evaluation: &self.evaluation,
            history: detector.history(),
            curves,
            gallery,
            listed: listed.collect(),
            map_threshold,
            map_scale_max: 2.0 * map_threshold,
            provenance,
            config: detector.config().to_toml()?,
        })
    }
}

/// How far brightness or contrast alone tells good images from defective ones; undefined where there are not both.
#[doc(hidden)]
pub fn shortcut_audit(images: &[&LoadedImage]) -> ShortcutAudit {
    let defective: Vec<bool> = images.iter().map(|l| l.sample.label == Label::Defective).collect();
    let statistics: Vec<Statistics> = images.iter().map(|l| image_statistics(&l.framed.image)).collect();
    audit(&statistics, &defective)
}

fn audit(statistics: &[Statistics], defective: &[bool]) -> ShortcutAudit {
    let of = |f: fn(&Statistics) -> f32| auroc(&statistics.iter().map(f).collect::<Vec<_>>(), defective).ok();
    ShortcutAudit::new(of(|s| s.mean), of(|s| s.spread), of(|s| s.high_frequency))
}

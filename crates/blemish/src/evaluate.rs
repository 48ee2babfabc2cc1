//! A detector and a data set: what was found, as an [`Evaluation`], and what the report shows of it.

use std::time::Instant;

use rayon::prelude::*;

use crate::image::{Statistics, equalising, image_statistics};
use crate::dataset::{DataSet, Label, LoadOptions, LoadedImage, OnError, Sample, load, load_masks};
use crate::image::{Image, PixelMask};
use crate::view::View;
use crate::error::{Error, Result};
use crate::evaluation::{
    Counts, DataSummary, Evaluation, KindRow, Metrics, ModelSummary, Rate, ShortcutAudit, ThresholdRow,
};
use crate::metrics::{
    Confusion, aupro, auroc, f1_all_positive, f1_at, f1_max, pixel_auroc, pro_curve, roc_curve,
};
use crate::report::{Curves, GalleryItem, Listed, Report, select_gallery, shown_and_listed};
use crate::detector::Detector;
use crate::calibrate::Threshold;

/// AUPRO is integrated up to this false-positive rate (Bergmann et al. 2021).
pub const FPR_LIMIT: f64 = 0.3;
/// Pictures of each group in the report's gallery.
const GALLERY: usize = 4;

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

/// An evaluation together with the images it was made from.
pub struct Evaluated {
    /// What was measured.
    pub evaluation: Evaluation,
    images: Vec<LoadedImage>,
    scored: Scored,
}

/// Maps, scores and ground truth of a set of images, in one order.
struct Scored {
    maps: Vec<Vec<f32>>,
    scores: Vec<f32>,
    defective: Vec<bool>,
    masks: Vec<Option<PixelMask>>,
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
    let started = Instant::now();
    let config = detector.config();
    let loading = LoadOptions {
        image_size: config.data.image_size,
        view: config.view(),
        channels: detector.channels(),
        max_pixels: config.data.max_pixels,
        range: config.data.range,
        on_error: options.on_error,
    };
    let loaded = load(samples, &loading)?;
    if loaded.images.is_empty() {
        return Err(Error::data(&set.root, "no test image could be used"));
    }
    let views: Vec<View> = loaded.images.par_iter().map(|l| detector.register(l.framed.view.clone())).collect();
    let pictures: Vec<Image> = views.iter().map(|view| view.image.clone()).collect();
    let mut scored = Scored::new(detector, &views, &pictures)?;
    let seconds = started.elapsed().as_secs_f64();

    let size = detector.config().data.image_size;
    let (masks, bad_masks) = load_masks(&loaded.images, &loading)?;
    scored.masks = masks;
    scored.defective = loaded.images.iter().map(|l| l.sample.label == Label::Defective).collect();
    let threshold = detector.threshold()?;
    let mut notes = scored.notes();
    notes.extend(set.note.clone());
    let origin = detector.provenance();
    let light: Vec<Statistics> =
        loaded.images.iter().map(|l| image_statistics(&l.framed.image)).collect();
    let equalise = |(mut view, own): (Image, &Statistics)| {
        equalising(own, origin.median, origin.spread).apply(&mut view);
        view.pixels.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
        view
    };
    let equalised: Vec<Image> = pictures.into_iter().zip(&light).map(equalise).collect();
    let equalised = Scored {
        defective: scored.defective.clone(),
        masks: scored.masks.clone(),
        ..Scored::new(detector, &views, &equalised)?
    };
    if !origin.profile.is_empty() {
        notes.extend(origin.profile.iter().map(|fact| format!("training images: {fact}")));
    }
    let evaluation = Evaluation {
        model: ModelSummary {
            path: options.model_path.clone(),
            preset: detector.config().preset.name().to_owned(),
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
        seed: detector.config().seed,
        metrics: scored.metrics(threshold.value)?,
        threshold: threshold.value,
        threshold_rule: threshold.rule.name().to_owned(),
        images_per_second: Some(views.len() as f64 / seconds),
        counts: Counts {
            good: scored.defective.iter().filter(|d| !**d).count(),
            defective: scored.defective.iter().filter(|d| **d).count(),
            skipped: loaded.problems.len(),
        },
        shortcut_audit: audit(&light, &scored.defective),
        equalised: Some(equalised.metrics(threshold.value)?),
        thresholds: detector.thresholds().iter().map(|t| scored.threshold_row(t, *t == threshold)).collect(),
        per_kind: scored.per_kind(&loaded.images, threshold.value)?,
        notes,
        problems: set.problems.iter().chain(&loaded.problems).chain(&bad_masks).cloned().collect(),
    };
    Ok(Evaluated { evaluation, images: loaded.images, scored })
}

impl Evaluated {
    /// The report's content; `detector` is the one that was evaluated.
    ///
    /// # Errors
    /// None in practice: the configuration must be serialisable.
    pub fn report<'a>(&'a self, detector: &'a Detector) -> Result<Report<'a>> {
        let Scored { maps, scores, defective, masks } = &self.scored;
        let (mut good_scores, mut defective_scores) = (Vec::new(), Vec::new());
        for (&score, &defective) in scores.iter().zip(defective) {
            if defective { &mut defective_scores } else { &mut good_scores }.push(f64::from(score));
        }
        let (map_refs, mask_refs) = self.scored.known();
        let roc = roc_curve(scores, defective).unwrap_or_default();
        let curves = Curves {
            roc: roc.iter().map(|p| (p.fpr, p.tpr)).collect(),
            pro: pro_curve(&map_refs, &mask_refs, FPR_LIMIT).unwrap_or_default(),
            good_scores,
            defective_scores,
        };
        let threshold = self.evaluation.threshold;
        let doubles: Vec<f64> = scores.iter().map(|&s| f64::from(s)).collect();
        let [shown, listed] = shown_and_listed(select_gallery(&doubles, defective, threshold, GALLERY));
        let listed = listed.into_iter().map(|(group, i)| {
            let sample = &self.images[i].sample;
            let (file, kind) = (sample.path.display().to_string(), sample.kind.clone());
            Listed { group, file, kind, score: doubles[i] }
        });
        let gallery = shown
            .into_iter()
            .map(|(group, i)| {
                Ok(GalleryItem {
                    group,
                    file: self.images[i].sample.path.display().to_string(),
                    kind: self.images[i].sample.kind.clone(),
                    score: doubles[i],
                    image: self.images[i].framed.image.to_bytes(),
                    map: maps[i].clone(),
                    outlined_from: detector.outlined_from(scores[i], &maps[i])?,
                    mask: masks[i].clone().filter(|m| m.count() > 0),
                })
            })
            .collect::<Result<_>>()?;
        let map_threshold = detector.map_threshold()?;
        let origin = detector.provenance();
        let mut provenance = Vec::new();
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

impl Scored {
    /// Scores `images`, which lie in the whole pictures as `views` do.
    fn new(detector: &Detector, views: &[View], images: &[Image]) -> Result<Self> {
        let maps = detector.anomaly_maps(images);
        maps.iter().try_for_each(|map| detector.check(map))?;
        let scores = maps.iter().map(|map| detector.score(map)).collect();
        let frame = detector.config().data.image_size;
        let framed = maps.into_iter().zip(views).map(|(map, view)| view.to_frame(map, frame));
        Ok(Self { maps: framed.collect::<Result<_>>()?, scores, defective: Vec::new(), masks: Vec::new() })
    }

    /// Maps and masks of the images whose ground truth is known.
    fn known(&self) -> (Vec<&[f32]>, Vec<&PixelMask>) {
        let pairs = self.maps.iter().zip(&self.masks);
        pairs.filter_map(|(map, mask)| Some((map.as_slice(), mask.as_ref()?))).unzip()
    }

    fn has_both(&self) -> bool {
        self.defective.contains(&true) && self.defective.contains(&false)
    }

    fn has_regions(&self) -> bool {
        self.masks.iter().flatten().any(|mask| mask.count() > 0)
    }

    /// Why a metric will be missing.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.defective.contains(&true) {
            notes.push("no defective image: nothing that needs one is defined".to_owned());
        }
        if !self.defective.contains(&false) {
            notes.push("no good image: nothing that needs one is defined".to_owned());
        }
        let defective = format!("{} defective images", self.defective.iter().filter(|d| **d).count());
        let without = self.masks.iter().filter(|m| m.is_none()).count();
        if without > 0 {
            notes.push(format!("without a mask, and left out of pixel metrics: {without} of {defective}"));
        }
        let pairs = self.masks.iter().zip(&self.defective);
        let empty = pairs.filter(|(m, d)| **d && m.as_ref().is_some_and(|m| m.count() == 0)).count();
        if empty > 0 {
            notes.push(format!("with a mask that is empty at this resolution: {empty} of {defective}"));
        }
        notes
    }

    fn metrics(&self, threshold: f64) -> Result<Metrics> {
        let Self { scores, defective, .. } = self;
        let confusion = Confusion::at(scores, defective, threshold)?;
        let mut metrics = Metrics {
            false_alarms: Rate::new(confusion.fp, confusion.fp + confusion.tn),
            detections: Rate::new(confusion.tp, confusion.tp + confusion.fn_),
            ..Metrics::default()
        };
        if self.has_both() {
            metrics.image_auroc = Some(auroc(scores, defective)?);
            metrics.f1 = Some(f1_at(scores, defective, threshold)?);
            metrics.f1_max = Some(f1_max(scores, defective)?.f1);
            metrics.f1_all_positive = Some(f1_all_positive(defective)?);
        }
        if self.has_regions() {
            let (maps, masks) = self.known();
            metrics.pixel_auroc = Some(pixel_auroc(&maps, &masks)?);
            metrics.aupro = Some(aupro(&maps, &masks, FPR_LIMIT)?);
        }
        Ok(metrics)
    }

    fn threshold_row(&self, threshold: &Threshold, used: bool) -> ThresholdRow {
        let at = |defective: bool| {
            let of_kind = || self.scores.iter().zip(&self.defective).filter(move |(_, d)| **d == defective);
            let flagged = of_kind().filter(|(s, _)| f64::from(**s) >= threshold.value).count();
            Rate::new(flagged, of_kind().count())
        };
        ThresholdRow {
            name: threshold.rule.name().to_owned(),
            value: threshold.value,
            rule: threshold.how.clone(),
            used,
            target_fpr: threshold.target_fpr,
            false_alarms: at(false),
            detections: at(true),
        }
    }

    fn per_kind(&self, images: &[LoadedImage], threshold: f64) -> Result<Vec<KindRow>> {
        let defective = images.iter().filter(|l| l.sample.label == Label::Defective);
        let mut kinds: Vec<&str> = defective.map(|l| l.sample.kind.as_str()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let row = |kind: &str| {
            let chosen: Vec<usize> =
                (0..images.len()).filter(|&i| !self.defective[i] || images[i].sample.kind == kind).collect();
            let part = Self {
                maps: chosen.iter().map(|&i| self.maps[i].clone()).collect(),
                scores: chosen.iter().map(|&i| self.scores[i]).collect(),
                defective: chosen.iter().map(|&i| self.defective[i]).collect(),
                masks: chosen.iter().map(|&i| self.masks[i].clone()).collect(),
            };
            let metrics = part.metrics(threshold)?;
            Ok(KindRow {
                kind: kind.to_owned(),
                image_auroc: metrics.image_auroc,
                detections: metrics.detections,
                aupro: metrics.aupro,
            })
        };
        kinds.into_iter().map(row).collect()
    }
}

/// How far brightness or contrast alone tells good images from defective ones; undefined where there are not both.
pub fn shortcut_audit(images: &[&LoadedImage]) -> ShortcutAudit {
    let defective: Vec<bool> = images.iter().map(|l| l.sample.label == Label::Defective).collect();
    let statistics: Vec<Statistics> =
        images.iter().map(|l| image_statistics(&l.framed.image)).collect();
    audit(&statistics, &defective)
}

fn audit(statistics: &[Statistics], defective: &[bool]) -> ShortcutAudit {
    let of = |f: fn(&Statistics) -> f32| auroc(&statistics.iter().map(f).collect::<Vec<_>>(), defective).ok();
    ShortcutAudit::new(of(|s| s.mean), of(|s| s.spread), of(|s| s.high_frequency))
}

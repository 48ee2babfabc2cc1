//! The detector: images in, verdicts out.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use crate::calibrate::{Threshold, Thresholds};
use crate::config::{Config, Reduce, ScoreConfig, ThresholdRule};
use crate::error::{Error, Result};
use crate::history::EpochRecord;
use crate::hysteresis::{NORMAL_MAX, propagate};
use crate::image::{Image, ImageView, decode};
use crate::metrics::{Region, regions};
use crate::model_file::{ModelFile, Provenance};
use crate::parts::FittedPart;
use crate::view::{Framed, Template, View};

/// Share of a map's largest values that a surface's score is the mean of.
const TOP_SHARE: f64 = 0.003;

/// Good or defective.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The score is below the threshold.
    Good,
    /// The score is at least the threshold.
    Defective,
}

/// The detector's answer for one image.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Prediction {
    /// The image's score, higher = more defective.
    pub score: f32,
    /// The threshold that it was compared with.
    pub threshold: f32,
    /// Good or defective.
    pub verdict: Verdict,
    /// Connected regions of the map at or above [`outlined_from`](Self::outlined_from), in pixels of the image, the most
    /// anomalous first; none on a good image.
    pub regions: Vec<Region>,
    /// The anomaly map of the whole image, `[H, W]` at [`map_size`](Self::map_size), row by row.
    pub map: Vec<f32>,
    /// Height and width of the map.
    pub map_size: [usize; 2],
    /// From which value on a pixel of a defective image belongs to a region; infinite on a good image.
    pub outlined_from: f32,
}

impl Prediction {
    /// Whether the score is at least the threshold.
    pub fn is_defective(&self) -> bool {
        self.verdict == Verdict::Defective
    }
}

/// What was fitted on good images, and what decides.
#[derive(Debug)]
pub struct Detector {
    config: Config,
    template: Option<Template>,
    parts: Vec<FittedPart>,
    thresholds: Thresholds,
    provenance: Provenance,
    history: Vec<EpochRecord>,
    /// The model file, where there is one: what errors name.
    path: Option<PathBuf>,
}

impl Detector {
    /// Puts a detector together: settled configuration, mean image that views are registered to, fitted parts, scores of good
    /// images, origin.
    pub fn new(
        config: Config,
        template: Option<Template>,
        parts: Vec<FittedPart>,
        good_scores: Vec<f32>,
        provenance: Provenance,
    ) -> Self {
        let thresholds = Thresholds::new(good_scores);
        Self { config, template, parts, thresholds, provenance, history: Vec::new(), path: None }
    }

    /// Loads a model file.
    ///
    /// # Errors
    /// [`Error::Model`] that says what is wrong with the file, or [`Error::Io`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let detector = ModelFile::load(path)?.into_detector().map_err(|reason| Error::model(path, reason))?;
        Ok(Self { path: Some(path.to_path_buf()), ..detector })
    }

    /// Loads the bytes of a model file.
    ///
    /// # Errors
    /// [`Error::Model`] that says what is wrong with them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let name = Path::new("the model");
        ModelFile::from_bytes(name, bytes)?.into_detector().map_err(|reason| Error::model(name, reason))
    }

    /// Writes the model file, whole or not at all, and reads it back.
    ///
    /// # Errors
    /// [`Error::Io`] with the path; [`Error::Model`] for what could not be loaded again, such as values that are not finite.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        ModelFile::of(self).save(path.as_ref())
    }

    /// Scores and locates.
    ///
    /// # Errors
    /// An image without pixels, and what [`predict_framed`](Self::predict_framed) says.
    pub fn predict(&self, image: ImageView<'_>) -> Result<Prediction> {
        self.predict_framed(&self.frame(&image.to_image(self.channels())?)?)
    }

    /// Reads an image file, then scores and locates.
    ///
    /// # Errors
    /// Those of [`read`](Self::read) and [`predict_framed`](Self::predict_framed).
    pub fn predict_file(&self, path: impl AsRef<Path>) -> Result<Prediction> {
        self.predict_framed(&self.read(path.as_ref())?)
    }

    /// Reads an image file as the detector takes it.
    ///
    /// # Errors
    /// Those of [`decode()`].
    pub fn read(&self, path: &Path) -> Result<Framed> {
        self.frame(&decode(path, &self.config.data.decoding())?)
    }

    /// An image as the detector takes it.
    ///
    /// # Errors
    /// An image without pixels.
    pub fn frame(&self, image: &Image) -> Result<Framed> {
        Framed::new(image, self.config.data.image_size, &self.config.view())
    }

    /// Registers a view to the good images' mean, where views are.
    pub fn register(&self, view: View) -> View {
        match &self.template {
            Some(template) => view.registered(template),
            None => view,
        }
    }

    /// Anomaly maps, `[H, W]` each, of registered views.
    pub fn anomaly_maps(&self, views: &[Image]) -> Vec<Vec<f32>> {
        let map = |view: &Image| anomaly_map(&self.parts, &self.config.data.normalize.apply(view));
        views.par_iter().map(map).collect()
    }

    /// Refuses a map with a value that is not finite, which no threshold would reject.
    ///
    /// # Errors
    /// [`Error::Model`].
    pub fn check(&self, map: &[f32]) -> Result<()> {
        if map.iter().all(|value| value.is_finite()) {
            return Ok(());
        }
        Err(self.unusable("gives an anomaly map that is not finite: its weights cannot be right"))
    }

    fn unusable(&self, reason: &str) -> Error {
        Error::model(self.path.as_deref().unwrap_or(Path::new("the model")), reason)
    }

    /// The score of a view's map.
    pub fn score(&self, map: &[f32]) -> f32 {
        image_score(map, &self.config.score)
    }

    /// Scores and locates; regions are given in the pixels of the original image.
    ///
    /// # Errors
    /// The view has another size or channel count than the model, the model has no threshold, or gives no numbers.
    pub fn predict_framed(&self, image: &Framed) -> Result<Prediction> {
        let ([h, w], channels) = (self.config.view_size(), self.channels());
        let view = &image.view.image;
        if [view.height, view.width, view.channels] != [h, w, channels] {
            let reason = format!("the view must be {h} x {w} with {channels} channels");
            return Err(Error::config("data.image_size", reason));
        }
        let threshold = self.threshold()?.value as f32;
        let view = self.register(image.view.clone());
        let map = self.anomaly_maps(std::slice::from_ref(&view.image)).remove(0);
        self.check(&map)?;
        let score = self.score(&map);
        let map_size @ [h, w] = self.config.data.image_size;
        let map = view.to_frame(map, map_size)?;
        let verdict = if score >= threshold { Verdict::Defective } else { Verdict::Good };
        let scale = [image.original_size[0] as f32 / h as f32, image.original_size[1] as f32 / w as f32];
        let outlined_from = self.outlined_from(score, &map)?;
        let found = match verdict {
            Verdict::Good => Vec::new(),
            Verdict::Defective => regions(&map, h, w, f64::from(outlined_from))?,
        };
        let regions = found.into_iter().map(|region| region.scaled(scale)).collect();
        Ok(Prediction { score, threshold, verdict, regions, map, map_size, outlined_from })
    }

    /// The threshold that decides: that of the rule `score.threshold`.
    ///
    /// # Errors
    /// The model holds no scores of good images.
    pub fn threshold(&self) -> Result<Threshold> {
        self.thresholds.of(&self.config.score).map_err(|reason| self.unusable(&reason))
    }

    /// From which value on a pixel of a map counts as part of a defect: the threshold, but nothing that is normal on good
    /// images where maps are propagated, which raises pixels to that.
    ///
    /// # Errors
    /// As [`threshold`](Self::threshold).
    pub fn map_threshold(&self) -> Result<f32> {
        let threshold = self.threshold()?.value as f32;
        Ok(if propagates(&self.parts) { threshold.max(NORMAL_MAX) } else { threshold })
    }

    /// From which value on a pixel of `map`, an image's in its frame, belongs to a region where the image has this score: the
    /// map threshold, less where a defective image's score or map does not reach that; no value does on a good image.
    ///
    /// # Errors
    /// As [`threshold`](Self::threshold).
    pub fn outlined_from(&self, score: f32, map: &[f32]) -> Result<f32> {
        if score < self.threshold()?.value as f32 {
            return Ok(f32::INFINITY);
        }
        // Brought back to the frame, the map may have lost its peak.
        let peak = map.iter().copied().fold(f32::MIN, f32::max);
        Ok(self.map_threshold()?.min(score).min(peak))
    }

    /// Decides by another rule: any target false-positive rate, percentile or number of deviations.
    ///
    /// # Errors
    /// A rate that is no rate; a model without scores of good images.
    pub fn choose_threshold(&mut self, rule: ThresholdRule, fpr: Option<f64>) -> Result<()> {
        let mut score = self.config.score.clone();
        (score.threshold, score.fpr) = (rule, fpr.unwrap_or(score.fpr));
        let mut config = self.config.clone();
        config.score = score;
        config.validate()?;
        self.config = config;
        self.thresholds.follow_rule();
        self.threshold().map(|_| ())
    }

    /// Decides by this score.
    pub fn set_threshold(&mut self, value: f32) {
        self.thresholds.fix(value);
    }

    /// Scores of the good images by what others were fitted on.
    pub fn good_scores(&self) -> &[f32] {
        self.thresholds.good_scores()
    }

    /// The threshold of every rule, at the usual rates.
    pub fn thresholds(&self) -> Vec<Threshold> {
        self.thresholds.all(&self.config.score)
    }

    /// The settled configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Channels of the images that it takes.
    pub fn channels(&self) -> usize {
        self.config.data.channels.unwrap_or(3)
    }

    /// The fitted parts.
    pub fn parts(&self) -> &[FittedPart] {
        &self.parts
    }

    /// The mean of the registered good images.
    pub fn template(&self) -> Option<&Template> {
        self.template.as_ref()
    }

    /// Names of the parts that contribute to the score.
    pub fn active_parts(&self) -> String {
        self.parts.iter().map(|part| part.kind.title).collect::<Vec<_>>().join(", ")
    }

    /// Where the model came from.
    pub fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// The network's training, epoch by epoch; empty where none was trained.
    pub fn history(&self) -> &[EpochRecord] {
        &self.history
    }

    /// The same detector with its origin written down.
    #[must_use]
    pub fn with_origin(mut self, provenance: Provenance, history: Vec<EpochRecord>) -> Self {
        (self.provenance, self.history) = (provenance, history);
        self
    }
}

/// The joint map of a normalised view: at each pixel the largest of what the parts give, propagated.
pub fn anomaly_map(parts: &[FittedPart], image: &Image) -> Vec<f32> {
    let maps: Vec<Vec<f32>> = parts.par_iter().map(|part| part.map(image)).collect();
    combine(parts, maps.into_iter(), image.width)
}

/// Joins the calibrated maps of `parts`.
pub fn combine(parts: &[FittedPart], maps: impl Iterator<Item = Vec<f32>>, width: usize) -> Vec<f32> {
    let mut joint = maps
        .reduce(|mut joint, other| {
            for (v, other) in joint.iter_mut().zip(other) {
                // A value that is not a number stays visible.
                if other > *v || other.is_nan() {
                    *v = other;
                }
            }
            joint
        })
        .unwrap_or_default();
    if propagates(parts) {
        propagate(&mut joint, width);
    }
    joint
}

/// Whether maps are propagated: where values are calibrated, so that 1 is the most that is normal.
fn propagates(parts: &[FittedPart]) -> bool {
    parts.iter().any(|part| part.kind.name != "network")
}

/// The image's score: the largest value of its map, or the mean of the largest 0.3 % (at least one).
pub fn image_score(map: &[f32], score: &ScoreConfig) -> f32 {
    match score.reduce {
        Reduce::Max | Reduce::Auto => map.iter().copied().fold(f32::MIN, f32::max),
        Reduce::TopMean => {
            let count = ((map.len() as f64 * TOP_SHARE).round() as usize).clamp(1, map.len());
            let mut values = map.to_vec();
            let split = values.len() - count;
            values.select_nth_unstable_by(split, f32::total_cmp);
            values[split..].iter().sum::<f32>() / count as f32
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_by_hand() {
        let map: Vec<f32> = (0..1000u16).map(f32::from).collect();
        let score = |reduce| image_score(&map, &ScoreConfig { reduce, ..ScoreConfig::default() });
        assert_eq!([score(Reduce::Max), score(Reduce::TopMean)], [999.0, 998.0]);
    }
}

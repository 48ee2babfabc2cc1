//! The detector: a model file at work.

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Device;
use rayon::prelude::*;
use serde::Serialize;

use super::anomaly_map::{anomaly_maps, image_score};
use super::calibrate::Threshold;
use super::near::{STRANGE, heed_neighbours};
use super::normal::Normal;
use super::scorer::Scorer;
use crate::config::{MapKind, RunConfig, ThresholdRule};
use crate::data::{DecodeOptions, Image, Picture, View, decode};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::format::{ModelFile, Provenance};
use crate::history::EpochRecord;
use crate::metrics::{Region, regions};
use crate::model::Mae;

/// What the detector says.
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
pub struct Prediction {
    /// The image's score, higher = more defective.
    pub score: f32,
    /// The threshold that it was compared with.
    pub threshold: f32,
    /// Good or defective.
    pub verdict: Verdict,
    /// [`Detector::map_threshold`].
    pub map_threshold: f32,
    /// [`Detector::outlined_from`].
    pub outlined_from: f32,
    /// Connected regions of the map at or above that, in pixels of the original image; none on a good image.
    pub regions: Vec<Region>,
    /// The calibrated anomaly map of the whole image, `[H, W]` at `data.image_size`.
    pub map: Vec<f32>,
}

/// A loaded model with its calibration and thresholds.
#[derive(Clone, Debug)]
pub struct Detector {
    config: RunConfig,
    model: Scorer,
    normal: Normal,
    thresholds: Vec<Threshold>,
    provenance: Provenance,
    history: Vec<EpochRecord>,
    /// The model file, where there is one: what errors name.
    path: Option<PathBuf>,
}

impl Detector {
    /// Loads a model file.
    ///
    /// # Errors
    /// Those of [`ModelFile::load`], and parameters that do not fit the stated configuration.
    pub fn load(path: &Path, device: &Device) -> Result<Self> {
        let detector =
            Self::from_file(ModelFile::load(path)?, device).map_err(|reason| Error::model(path, reason))?;
        Ok(Self { path: Some(path.to_path_buf()), ..detector })
    }

    /// Puts a detector together from a file's content.
    ///
    /// # Errors
    /// A sentence that names the parameter that does not fit.
    pub fn from_file(file: ModelFile, device: &Device) -> Result<Self, String> {
        let channels = file.config.data.channels.ok_or("data.channels is not set")?;
        let model = Mae::unset(&file.config.model, file.config.input_size(), channels, device);
        let arithmetic = file.config.score.precision.unwrap_or_default();
        // Packed at once where it is needed, else when it is asked for.
        let scorer = if file.normal.looked_at(&file.config.score)[0] {
            Scorer::load(model, file.weights, arithmetic)?
        } else {
            Scorer::new(model.with_weights(file.weights)?, arithmetic)
        };
        Ok(Self {
            model: scorer,
            config: file.config,
            normal: file.normal,
            thresholds: file.thresholds,
            provenance: file.provenance,
            history: file.history,
            path: None,
        })
    }

    /// A detector around a trained model, without calibration or thresholds.
    pub fn new(config: RunConfig, model: Mae) -> Self {
        Self {
            model: Scorer::new(model.valid(), config.score.precision.unwrap_or_default()),
            config,
            normal: Normal::default(),
            thresholds: Vec::new(),
            provenance: Provenance::default(),
            history: Vec::new(),
            path: None,
        }
    }

    /// The content of its model file.
    pub fn to_file(&self) -> ModelFile {
        ModelFile {
            config: self.config.clone(),
            weights: self.model.weights(),
            normal: self.normal.clone(),
            thresholds: self.thresholds.clone(),
            provenance: self.provenance.clone(),
            history: self.history.clone(),
        }
    }

    /// The same detector with other knowledge of good images, for which its thresholds are void.
    pub fn with_normal(mut self, normal: Normal) -> Self {
        self.normal = normal;
        self.thresholds = Vec::new();
        self
    }

    /// The same detector with other thresholds.
    pub fn with_thresholds(mut self, thresholds: Vec<Threshold>) -> Self {
        self.thresholds = thresholds;
        self
    }

    /// The same detector with its origin written down.
    pub fn with_origin(mut self, provenance: Provenance, history: Vec<EpochRecord>) -> Self {
        self.provenance = provenance;
        self.history = history;
        self
    }

    /// Reads an image as the model wants it: channels, size, view.
    ///
    /// # Errors
    /// Those of [`decode()`].
    pub fn read(&self, path: &Path) -> Result<Picture> {
        let options =
            DecodeOptions { max_pixels: self.config.data.max_pixels, channels: self.config.data.channels };
        Picture::new(&decode(path, &options)?, self.config.data.image_size, &self.config.view())
    }

    /// Lays a view exactly upon the training images, where the detector has learnt how they lie.
    pub fn align(&self, view: View) -> View {
        match &self.normal.template {
            Some(template) => view.aligned(template),
            None => view,
        }
    }

    /// Calibrated anomaly maps, `[H, W]` each, of aligned views at the model's size and channels.
    pub fn anomaly_maps(&self, images: &[Image]) -> Vec<Vec<f32>> {
        let images: Vec<Image> = images.iter().map(|image| self.config.data.normalize.apply(image)).collect();
        let Normal { memory, ridges, grain, .. } = &self.normal;
        let [network, remembered, lines, neighbourhoods] = self.normal.looked_at(&self.config.score);
        let mut maps = if network { self.network_maps(&images) } else { vec![Vec::new(); images.len()] };
        maps.par_iter_mut().zip(&images).for_each(|(map, image)| {
            let (lines, neighbourhoods) = rayon::join(
                || ridges.as_ref().filter(|_| lines).map(|ridges| ridges.map(image)),
                || grain.as_ref().filter(|_| neighbourhoods).map(|grain| grain.map(image)),
            );
            let remembered = memory.as_ref().filter(|_| remembered).map(|memory| memory.map(image));
            let others = [lines, neighbourhoods, remembered];
            let alone = others.iter().all(Option::is_none);
            others.into_iter().flatten().for_each(|other| keep_larger(map, other));
            if !alone {
                heed_neighbours(map, image.width);
            }
        });
        maps
    }

    /// The network's part, in its unit where it has one and other parts may stand beside it.
    fn network_maps(&self, images: &[Image]) -> Vec<Vec<f32>> {
        let mut maps = anomaly_maps(&self.model, images, &self.config.score);
        if let Some(position) = &self.normal.position {
            maps.iter_mut().for_each(|map| position.apply(map));
        }
        if let Some(unit) = self.normal.unit.filter(|_| self.config.score.map == MapKind::Fused) {
            maps.iter_mut().flatten().for_each(|v| *v /= unit);
        }
        maps
    }

    /// Refuses a map with a value that is no number, which no threshold would reject: weights can be finite and yet
    /// so large that what follows from them is not.
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

    /// The score of a calibrated map.
    pub fn score(&self, map: &[f32]) -> f32 {
        image_score(map, &self.config.score)
    }

    /// Scores and locates; regions are given in the pixels of the original image.
    ///
    /// # Errors
    /// The view has another size or channel count than the model, the model has no threshold, or gives no numbers.
    pub fn predict(&self, picture: &Picture) -> Result<Prediction> {
        let ([h, w], channels) = (self.config.view_size(), self.model.channels());
        let view = &picture.view.image;
        if [view.height, view.width, view.channels] != [h, w, channels] {
            let reason = format!("the view must be {h} x {w} with {channels} channels");
            return Err(Error::config("data.view.size", reason));
        }
        let threshold = self.threshold()?.value as f32;
        let view = self.align(picture.view.clone());
        let map = self.anomaly_maps(&[view.image.to_image()]).remove(0);
        self.check(&map)?;
        let score = self.score(&map);
        let [h, w] = self.config.data.image_size;
        let map = view.to_frame(map, [h, w])?;
        let original = picture.original_size;
        let verdict = if score >= threshold { Verdict::Defective } else { Verdict::Good };
        let scale = [original[0] as f32 / h as f32, original[1] as f32 / w as f32];
        let map_threshold = self.map_threshold()?;
        let outlined_from = self.outlined_from(score, &map)?;
        let found = match verdict {
            Verdict::Good => Vec::new(),
            Verdict::Defective => regions(&map, h, w, f64::from(outlined_from))?,
        };
        let regions = found.into_iter().map(|region| region.scaled(scale)).collect();
        Ok(Prediction { score, threshold, verdict, map_threshold, outlined_from, regions, map })
    }

    /// The threshold that decides: that of `score.threshold`, for `far` at the rate `score.far`.
    ///
    /// # Errors
    /// The model has no threshold of that rule.
    pub fn threshold(&self) -> Result<&Threshold> {
        let score = &self.config.score;
        let rate = (score.threshold == ThresholdRule::Far).then_some(score.far);
        self.thresholds
            .iter()
            .find(|t| t.rule == score.threshold && (rate.is_none() || t.stated_rate == rate))
            .ok_or_else(|| self.unusable(&self.without_threshold()))
    }

    /// From which value on a pixel of the map is taken for a part of a defect: the threshold, but nothing that is usual on
    /// good pictures where neighbours are heeded, since they are raised to that.
    ///
    /// # Errors
    /// As [`threshold`](Self::threshold).
    pub fn map_threshold(&self) -> Result<f32> {
        let threshold = self.threshold()?.value as f32;
        let [_, others @ ..] = self.normal.looked_at(&self.config.score);
        Ok(if others.contains(&true) { threshold.max(STRANGE) } else { threshold })
    }

    /// From which value on a pixel of `map`, an image's in its frame, is outlined where the image has this score: the map
    /// threshold, less where a defective image's score or map does not reach that; no value is on a good image.
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

    /// What to say where the threshold that should decide is missing.
    fn without_threshold(&self) -> String {
        let named = |t: &Threshold| match t.stated_rate {
            Some(rate) => format!("{} at {rate}", t.rule.name()),
            None => t.rule.name().to_owned(),
        };
        let held: Vec<String> = self.thresholds.iter().map(named).collect();
        let score = &self.config.score;
        let rule = match score.threshold {
            ThresholdRule::Far => format!("far at {}", score.far),
            other => other.name().to_owned(),
        };
        if held.is_empty() {
            "holds no threshold: it was never calibrated on good images".to_owned()
        } else {
            format!("does not hold this threshold ({rule}); it holds: {}", held.join(", "))
        }
    }

    /// Chooses another of the stored thresholds.
    ///
    /// # Errors
    /// The model holds none of that rule (at that rate).
    pub fn choose_threshold(&mut self, rule: ThresholdRule, far: Option<f64>) -> Result<()> {
        self.config.score.threshold = rule;
        if let Some(far) = far {
            self.config.score.far = far;
        }
        self.threshold().map(|_| ())
    }

    /// The network's forward pass without gradients, where it runs on a CPU.
    pub fn engine(&self) -> Option<&Engine> {
        self.model.engine()
    }

    /// All stored thresholds.
    pub fn thresholds(&self) -> &[Threshold] {
        &self.thresholds
    }

    /// The effective configuration.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// The network.
    pub fn model(&self) -> &Mae {
        &self.model
    }

    /// Where the model came from.
    pub fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// The training, epoch by epoch.
    pub fn history(&self) -> &[EpochRecord] {
        &self.history
    }

    /// What it knows of good images beside the network.
    pub fn normal(&self) -> &Normal {
        &self.normal
    }

    /// Whether maps are calibrated by position.
    pub fn is_position_calibrated(&self) -> bool {
        self.normal.position.is_some()
    }
}

/// The larger of both at every pixel; what is no number stays visible.
fn keep_larger(map: &mut Vec<f32>, other: Vec<f32>) {
    if map.is_empty() {
        *map = other;
        return;
    }
    for (v, other) in map.iter_mut().zip(other) {
        if other > *v || other.is_nan() {
            *v = other;
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::config::Preset;

    /// A small network with random weights, and its thresholds.
    fn detector(flips: bool) -> Detector {
        let mut config = RunConfig::preset(Preset::Light);
        (config.model.depth, config.model.embed_dim, config.data.channels) = (1, 48, Some(1));
        (config.data.image_size, config.score.map, config.score.flips) = ([64, 64], MapKind::Defect, flips);
        let rng = &mut ChaCha8Rng::seed_from_u64(3);
        let model = Mae::new(&config.model, [64, 64], 1, rng, &Device::flex());
        let model =
            model.update(|_, values| values.iter_mut().for_each(|v| *v += rng.random_range(-0.1..0.1)));
        let thresholds = super::super::thresholds(&[0.1, 0.2, 0.3], None, &config.score);
        Detector::new(config, model).with_thresholds(thresholds)
    }

    #[test]
    fn nothing_is_outlined_on_what_is_judged_good() {
        let detector = detector(false);
        let threshold = detector.threshold().unwrap().value as f32;
        let (below, above) = (threshold * 0.9, threshold * 1.1);
        assert_eq!(detector.outlined_from(below, &[2.0]).unwrap(), f32::INFINITY);
        assert_eq!(detector.outlined_from(above, &[0.0, 2.0]).unwrap(), threshold);
        assert_eq!(detector.outlined_from(above, &[0.0, below]).unwrap(), below);
    }

    #[test]
    fn with_flips_a_mirrored_image_has_the_mirrored_map() {
        let rng = &mut ChaCha8Rng::seed_from_u64(4);
        let pixels = (0..64 * 64).map(|_| rng.random()).collect();
        let image = Image { height: 64, width: 64, channels: 1, pixels };
        let sides = [false, true];
        let difference = |flips| {
            let detector = detector(flips);
            let maps = detector.anomaly_maps(&[image.clone(), image.mirrored(sides)]);
            let mirrored = Image { pixels: maps[0].clone(), ..image }.mirrored(sides);
            let pairs = mirrored.pixels.iter().zip(&maps[1]);
            pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
        };
        assert!(difference(false) > 1e-3);
        assert!(difference(true) < 1e-5);
    }
}

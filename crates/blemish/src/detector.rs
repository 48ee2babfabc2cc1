//! The detector: images in, verdicts out.

use std::path::{Path, PathBuf};

use crate::calibrate::{Threshold, Thresholds};
use crate::config::{Config, ThresholdRule};
use crate::error::{Error, Result};
use crate::history::EpochRecord;
use crate::hysteresis::NORMAL_MAX;
use crate::image::{BlankReason, Image, ImageFacts, ImageView, PixelMask, decode_with_facts};
use crate::metrics::{outlined, regions};
use crate::parts::{Expected, FittedPart};
use crate::prediction::{Prediction, Reason, Verdict};
use crate::provenance::Provenance;
#[doc(hidden)]
pub use crate::scoring::view_score;
use crate::scoring::{Seen, propagates, see};
use crate::view::{Framed, Normaliser, Template, View, unlike};

/// What was fitted on good images, and what decides.
#[derive(Debug)]
pub struct Detector {
    config: Config,
    /// What makes of a view what the parts see; it knows what views are registered to, and what is ignored.
    normaliser: Normaliser,
    parts: Vec<FittedPart>,
    thresholds: Thresholds,
    /// What `thresholds` say under `config`: the threshold that decides, and the one from which a person does.
    decided: [Result<Threshold, String>; 2],
    provenance: Provenance,
    history: Vec<EpochRecord>,
    /// The model file, where there is one: what errors name.
    path: Option<PathBuf>,
}

impl Detector {
    /// Puts a detector together: settled configuration, what makes of a view what the parts see, fitted parts, scores of good
    /// images, origin.
    #[doc(hidden)]
    pub fn new(
        config: Config,
        normaliser: Normaliser,
        parts: Vec<FittedPart>,
        good_scores: Vec<f32>,
        provenance: Provenance,
    ) -> Self {
        let thresholds = Thresholds::new(good_scores)
            .leaving_out(provenance.left_out)
            .of_few_products(provenance.few_products);
        let decided = [Err(String::new()), Err(String::new())];
        let (history, path) = (Vec::new(), None);
        let mut detector = Self { config, normaliser, parts, thresholds, decided, provenance, history, path };
        detector.decide();
        detector
    }

    fn decide(&mut self) {
        let score = &self.config.score;
        let review = match score.review_fpr {
            Some(rate) if !self.thresholds.good_scores().is_empty() => Ok(self.thresholds.at_rate(rate)),
            _ => Err("has no threshold for review".to_owned()),
        };
        self.decided = [self.thresholds.of(score), review];
    }

    /// The same detector, which errors call by its file.
    pub(crate) fn at(self, path: &Path) -> Self {
        Self { path: Some(path.to_path_buf()), ..self }
    }

    /// Scores and locates.
    ///
    /// # Errors
    /// An image without pixels, or with more than `data.max_pixels`; a buffer that does not hold it; and what
    /// [`predict_framed`](Self::predict_framed) says.
    pub fn predict(&self, image: ImageView<'_>) -> Result<Prediction> {
        let bits = image.bits();
        self.require_size(image.size())?;
        let mut image = image.to_image(self.channels())?;
        if let (Some(range), true) = (self.config.data.range, bits > 8) {
            image = image.in_range(range);
        }
        let facts = ImageFacts::new(&image, bits);
        self.predict_framed(&self.frame_with(&image, facts)?)
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
    /// Those of [`decode()`](crate::image::decode).
    #[doc(hidden)]
    pub fn read(&self, path: &Path) -> Result<Framed> {
        let (image, facts) = decode_with_facts(path, &self.config.data.decoding())?;
        self.frame_with(&image, facts)
    }

    /// An image as the detector takes it.
    ///
    /// # Errors
    /// An image without pixels, or with more than `data.max_pixels`.
    #[doc(hidden)]
    pub fn frame(&self, image: &Image) -> Result<Framed> {
        let image = self.taken(image)?;
        Framed::new(&image, ImageFacts::of(&image), self.config.data.image_size, &self.config.view())
    }

    /// As [`frame`](Self::frame), of an image whose file is like `facts`.
    ///
    /// # Errors
    /// As [`frame`](Self::frame).
    #[doc(hidden)]
    pub fn frame_with(&self, image: &Image, facts: ImageFacts) -> Result<Framed> {
        Framed::new(&self.taken(image)?, facts, self.config.data.image_size, &self.config.view())
    }

    /// An image in the detector's channels, unless it is too large.
    fn taken(&self, image: &Image) -> Result<Image> {
        self.require_size([image.height, image.width])?;
        image.clone().with_channels(self.channels())
    }

    /// Refuses an image of more than `data.max_pixels`, before memory for it in `f32` is asked for.
    fn require_size(&self, [height, width]: [usize; 2]) -> Result<()> {
        let most = self.config.data.max_pixels;
        if (height as u64).saturating_mul(width as u64) <= most {
            return Ok(());
        }
        let reason = format!(
            "{width} x {height} are more pixels than the {most} that the model takes (the setting `data.max_pixels` when it is \
             fitted)"
        );
        Err(Error::config("image", reason))
    }

    /// What makes of a registered view what the parts see.
    pub(crate) fn normaliser(&self) -> &Normaliser {
        &self.normaliser
    }

    /// Registers a view to the good images' mean, where views are.
    #[doc(hidden)]
    pub fn register(&self, view: View) -> View {
        match self.normaliser.template() {
            Some(template) => view.registered(template),
            None => view,
        }
    }

    /// What the parts say of a registered view of an image of `original` height and width.
    ///
    /// # Errors
    /// [`Error::Model`]: a value that is not finite, which no threshold would reject.
    #[doc(hidden)]
    pub fn see(&self, view: &Image, original: [usize; 2]) -> Result<Seen> {
        let image = self.normaliser.apply(view);
        let seen = see(&self.parts, &image, &self.config, original, self.ignored());
        if seen.score.is_finite() {
            return Ok(seen);
        }
        Err(self.unusable("gives an anomaly map that is not finite: its weights cannot be right"))
    }

    /// What a good product looks like in the image's place, at `size` (height, width) of the whole image: a network's
    /// reconstruction, or the nearest good patches; grey where nothing is inspected. `None` where no part knows it, as on
    /// surfaces. It is for people to look at: nothing is decided by it.
    #[doc(hidden)]
    pub fn expected(&self, image: &Framed, size: [usize; 2]) -> Option<Expected> {
        let view = self.register(image.view.clone());
        let normalised = self.normaliser.apply(&view.image);
        let Expected { title, image } = self.parts.iter().find_map(|part| part.expected(&normalised))?;
        let mut expected = image;
        self.normaliser.affine(&view.image).inverse().apply(&mut expected);
        Some(Expected { title, image: view.in_frame(&expected, size, 0.5) })
    }

    fn unusable(&self, reason: &str) -> Error {
        Error::model(self.path.as_deref().unwrap_or(Path::new("the model")), reason)
    }

    /// Scores and locates; regions are given in the pixels of the original image.
    ///
    /// # Errors
    /// The view has another size or channel count than the model, the model has no threshold, or gives no numbers.
    #[doc(hidden)]
    pub fn predict_framed(&self, image: &Framed) -> Result<Prediction> {
        let ([h, w], channels) = (self.config.view().size_of(image.original_size), self.channels());
        let view = &image.view.image;
        if [view.height, view.width, view.channels] != [h, w, channels] {
            let reason = format!("the view must be {h} x {w} with {channels} channels");
            return Err(Error::config("data.image_size", reason));
        }
        let threshold = self.threshold()?.value as f32;
        let view = self.register(image.view.clone());
        let Seen { map, score: raw } = self.see(&view.image, image.original_size)?;
        let map_size @ [h, w] = [image.image.height, image.image.width];
        let map = view.to_frame(map, map_size)?;
        let (score, verdict, reason) = self.decision(raw, image)?;
        let outlined_from = match reason {
            Reason::Anomaly => self.outlined_from(score, &map)?,
            _ => f32::INFINITY,
        };
        let scale = [image.original_size[0] as f32 / h as f32, image.original_size[1] as f32 / w as f32];
        let mut found = match reason {
            Reason::Anomaly => {
                let shown = outlined(&map, w, outlined_from);
                let shown: Vec<f32> = map
                    .iter()
                    .zip(shown)
                    .map(|(&v, shown)| if shown { v } else { f32::NEG_INFINITY })
                    .collect();
                regions(&shown, h, w, f64::from(outlined_from))?
            }
            _ => Vec::new(),
        };
        let largest = found.iter().map(|region| region.area).max();
        found = found.into_iter().map(|region| region.scaled(scale)).collect();
        // What the map lost on its way back to the frame must not leave a defect without an outline.
        let least = largest.map_or(0, |area| ((area as f32 * scale[0] * scale[1]).round() as usize).max(1));
        found.retain(|region| region.area >= self.config.score.min_area.min(least));
        let review_threshold = self.review_threshold().map(|review| review.value as f32);
        let inspected = self.inspected(image);
        let unlike =
            self.provenance.facts.as_ref().map_or_else(Vec::new, |facts| unlike(&image.facts, facts));
        Ok(Prediction {
            score,
            threshold,
            review_threshold,
            verdict,
            reason,
            inspected,
            unlike,
            regions: found,
            map,
            map_size,
            outlined_from,
        })
    }

    /// The score, verdict and reason of an image whose map has the score `raw`.
    ///
    /// A frame that shows nothing, or no product where every good image has one, is defective whatever its map says, which
    /// was made for images of the product: its score is raised to the threshold.
    ///
    /// # Errors
    /// The model has no threshold.
    pub(crate) fn decision(&self, raw: f32, image: &Framed) -> Result<(f32, Verdict, Reason)> {
        let threshold = self.threshold()?.value as f32;
        let missing = image.product_found == Some(false) && self.provenance.always_found;
        let unseen = match self.blank(image) {
            Some(_) => Some(Reason::Blank),
            None => missing.then_some(Reason::NoProduct),
        };
        if let Some(reason) = unseen {
            return Ok((raw.max(threshold), Verdict::Defective, reason));
        }
        let review = self.review_threshold().map_or(f32::INFINITY, |review| review.value as f32);
        Ok(match raw {
            _ if raw >= threshold => (raw, Verdict::Defective, Reason::Anomaly),
            _ if raw >= review => (raw, Verdict::Review, Reason::Anomaly),
            _ => (raw, Verdict::Good, Reason::Normal),
        })
    }

    /// Why an image shows nothing, by itself or beside the good images.
    pub(crate) fn blank(&self, image: &Framed) -> Option<BlankReason> {
        image.blank.or_else(|| self.provenance.facts.as_ref()?.blank(&image.facts))
    }

    /// The share of an image that is inspected: within the view, and not ignored.
    pub fn inspected(&self, image: &Framed) -> f32 {
        let kept = self
            .ignored()
            .map_or(1.0, |mask| mask.iter().filter(|v| **v == 0.0).count() as f32 / mask.len().max(1) as f32);
        image.inspected * kept
    }

    /// The threshold that decides: that of the rule `score.threshold`.
    ///
    /// # Errors
    /// The model holds no scores of good images.
    pub fn threshold(&self) -> Result<Threshold> {
        self.decided[0].clone().map_err(|reason| self.unusable(&reason))
    }

    /// The threshold from which on a person decides, where `score.review_fpr` asks for one.
    pub fn review_threshold(&self) -> Option<&Threshold> {
        self.decided[1].as_ref().ok()
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
    /// map threshold, less where the score or the map of a defective image, or of one to be reviewed, does not reach that; no
    /// value does on a good image.
    ///
    /// # Errors
    /// As [`threshold`](Self::threshold).
    #[doc(hidden)]
    pub fn outlined_from(&self, score: f32, map: &[f32]) -> Result<f32> {
        let review = self.review_threshold().map_or(f64::INFINITY, |review| review.value);
        if f64::from(score) < self.threshold()?.value.min(review) {
            return Ok(f32::INFINITY);
        }
        // Brought back to the frame, the map may have lost its peak.
        let peak = map.iter().copied().fold(f32::MIN, f32::max);
        Ok(self.map_threshold()?.min(score).min(peak))
    }

    /// Decides by another rule, and, with the rule `fpr`, at another target false-positive rate (1e-6 or more, below 1); a threshold that
    /// was [set](Self::set_threshold) no longer decides.
    ///
    /// # Errors
    /// A rate outside that range, or not below that of `score.review_fpr`; a model without scores of good images.
    pub fn choose_threshold(&mut self, rule: ThresholdRule, fpr: Option<f64>) -> Result<()> {
        let mut score = self.config.score.clone();
        (score.threshold, score.fpr) = (rule, fpr.unwrap_or(score.fpr));
        let mut config = self.config.clone();
        config.score = score;
        config.validate()?;
        self.config = config;
        self.thresholds.release();
        self.decide();
        self.threshold().map(|_| ())
    }

    /// Takes images of up to this many pixels (`data.max_pixels`).
    pub fn set_max_pixels(&mut self, most: u64) {
        self.config.data.max_pixels = most;
    }

    /// Decides by this score, whatever the rule.
    pub fn set_threshold(&mut self, value: f32) {
        self.thresholds.fix(value);
        self.decide();
    }

    /// Images between the threshold of this false-positive rate and the one that decides are to be reviewed by a person.
    /// `None`: no image is.
    ///
    /// # Errors
    /// A rate that is not above that of the threshold that decides, or no rate.
    pub fn choose_review(&mut self, fpr: Option<f64>) -> Result<()> {
        let mut config = self.config.clone();
        config.score.review_fpr = fpr;
        config.validate()?;
        self.config = config;
        self.decide();
        Ok(())
    }

    /// Scores of good images that thresholds are computed from hereafter, how many were left out as suspected outliers, and of how few
    /// products the images may be.
    pub(crate) fn set_good_scores(&mut self, scores: Vec<f32>, left_out: usize, few_products: Option<usize>) {
        self.thresholds = Thresholds::new(scores).leaving_out(left_out).of_few_products(few_products);
        (self.provenance.left_out, self.provenance.few_products) = (left_out, few_products);
        self.decide();
    }

    /// Ignores what `mask` marks (1): the whole view, at any size. Thresholds stay those of good images that were scored with
    /// it: [`calibrate`](Self::calibrate) sets them anew.
    ///
    /// # Errors
    /// A mask that leaves nothing.
    pub fn ignore(&mut self, mask: &PixelMask) -> Result<()> {
        let size = self.config.size_of_masks()?;
        self.normaliser = self.normaliser.clone().ignoring(mask.of_view(size)?, size[1]);
        Ok(())
    }

    /// 1 where nothing is to be found, `[H, W]` of the view.
    pub fn ignored(&self) -> Option<&[f32]> {
        self.normaliser.ignored()
    }

    /// Scores of the good images by what others were fitted on.
    pub fn good_scores(&self) -> &[f32] {
        self.thresholds.good_scores()
    }

    /// The threshold of every rule; that of the rule `fpr` at the set rate, 0.05 and 0.01.
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
    #[doc(hidden)]
    pub fn parts(&self) -> &[FittedPart] {
        &self.parts
    }

    /// The mean of the registered good images.
    #[doc(hidden)]
    pub fn template(&self) -> Option<&Template> {
        self.normaliser.template()
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
    #[doc(hidden)]
    pub fn history(&self) -> &[EpochRecord] {
        &self.history
    }

    /// The same detector with its origin written down.
    #[must_use]
    #[doc(hidden)]
    pub fn with_origin(mut self, provenance: Provenance, history: Vec<EpochRecord>) -> Self {
        (self.provenance, self.history) = (provenance, history);
        self
    }
}

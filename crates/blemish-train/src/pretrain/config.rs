//! What a pre-training is made of.

use serde::{Deserialize, Serialize};

use crate::config::RunConfig;
use crate::masking::MaskConfig;
use blemish::config::{ModelConfig, Preset};
use blemish::{Error, Result};

/// Channels of the images: always three, grey ones replicated, so that one set of weights serves every product.
pub const CHANNELS: usize = 3;

/// The settings of a pre-training: with the number of steps, all that its result depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainConfig {
    /// The network.
    pub model: ModelConfig,
    /// Height and width that the positional tables are stored for.
    pub image_size: [usize; 2],
    /// What masked reconstruction hides.
    pub mask: MaskConfig,
    /// Seed of weights, images and masks.
    pub seed: u64,
    /// Scenes per step at 128 x 128 pixels; larger images are fewer, so that a step has about as many pixels; at least 1.
    pub batch_size: usize,
    /// Image sides of a step with their shares, which sum to 1; sides are multiples of 16, 32 to 1024.
    pub sides: Vec<(usize, f64)>,
    /// Share of the scenes that hold a defect, 0 to 1.
    pub defective: f64,
    /// Peak learning rate of AdamW, above 0 and at most 1.
    pub learning_rate: f64,
    /// Steps of linear warm-up before the cosine.
    pub warmup: usize,
    /// Decoupled weight decay, 0 to 10.
    pub weight_decay: f64,
    /// Gradients are scaled down to this global norm; 0: never.
    pub clip_norm: f64,
    /// Decay of the moving average of the weights, which is what is exported; 0 to below 1.
    pub ema_decay: f64,
    /// The parts of the loss.
    pub objective: ObjectiveConfig,
}

/// The parts of the loss: their weights, at least 0, and what they are made of. A part of weight 0 is not added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectiveConfig {
    /// Weight of masked reconstruction.
    pub masked: f64,
    /// Share of the step's scenes that masked reconstruction sees, 0 to 1.
    pub masked_share: f64,
    /// Share of `1 - SSIM` in masked reconstruction, 0 to 1.
    pub ssim: f64,
    /// Weight of the repair of defects.
    pub repair: f64,
    /// Weight of the defect logit's focal loss.
    pub locate: f64,
    /// Focusing exponent of the focal losses, at least 0.
    pub focal_gamma: f64,
    /// Weight of the ranking of defective places above good ones, by their distance to a good photo of the scene.
    pub retrieve: f64,
    /// Weight of the contrast, which tells a scene's reference from those of other scenes.
    pub contrast: f64,
    /// Its temperature, 0.001 to 10.
    pub temperature: f64,
}

impl Default for PretrainConfig {
    fn default() -> Self {
        let preset = RunConfig::preset(Preset::Light);
        Self {
            model: preset.detector.model,
            image_size: [256, 256],
            mask: preset.mask,
            seed: 0,
            batch_size: 8,
            sides: vec![(128, 0.8), (192, 0.12), (256, 0.08)],
            defective: 0.7,
            learning_rate: 1e-3,
            warmup: 200,
            weight_decay: 1e-2,
            clip_norm: 1.0,
            ema_decay: 0.999,
            objective: ObjectiveConfig::default(),
        }
    }
}

impl Default for ObjectiveConfig {
    fn default() -> Self {
        Self {
            masked: 0.5,
            masked_share: 0.25,
            ssim: 0.2,
            repair: 5.0,
            locate: 10.0,
            focal_gamma: 2.0,
            retrieve: 0.5,
            contrast: 0.1,
            temperature: 0.1,
        }
    }
}

/// A setting of a pre-training that must be so.
pub(super) fn require(ok: bool, field: &str, reason: &str) -> Result<()> {
    if ok { Ok(()) } else { Err(Error::config(format!("pretrain.{field}"), reason)) }
}

impl PretrainConfig {
    /// # Errors
    /// [`Error::Config`] naming the first field that is out of range.
    pub fn validate(&self) -> Result<()> {
        let mut run = RunConfig::preset(Preset::Light);
        (run.detector.model, run.mask) = (self.model.clone(), self.mask.clone());
        (run.detector.data.image_size, run.detector.data.channels) = (self.image_size, Some(CHANNELS));
        run.validate()?;
        require((1..=4096).contains(&self.batch_size), "batch_size", "must be 1 to 4096")?;
        let patch = self.model.patch_size;
        let fits = |side: usize| side.is_multiple_of(patch) && (2 * patch..=1024).contains(&side);
        let sides = self.sides.iter().all(|(side, share)| fits(*side) && *share >= 0.0);
        let total: f64 = self.sides.iter().map(|(_, share)| share).sum();
        require(
            sides && (total - 1.0).abs() < 1e-6,
            "sides",
            "must be multiples of the patch, shares summing to 1",
        )?;
        let within = |v: f64, low: f64, high: f64| v >= low && v <= high;
        require(within(self.defective, 0.0, 1.0), "defective", "must be 0 to 1")?;
        require(within(self.learning_rate, 1e-9, 1.0), "learning_rate", "must be above 0 and at most 1")?;
        require(within(self.weight_decay, 0.0, 10.0), "weight_decay", "must be 0 to 10")?;
        require(within(self.clip_norm, 0.0, 1e9), "clip_norm", "must not be negative")?;
        require(self.ema_decay >= 0.0 && self.ema_decay < 1.0, "ema_decay", "must be 0 to below 1")?;
        let o = &self.objective;
        for (value, name) in [
            (o.masked, "masked"),
            (o.repair, "repair"),
            (o.locate, "locate"),
            (o.focal_gamma, "focal_gamma"),
            (o.retrieve, "retrieve"),
            (o.contrast, "contrast"),
        ] {
            require(within(value, 0.0, 1e6), &format!("objective.{name}"), "must not be negative")?;
        }
        require(within(o.masked_share, 0.0, 1.0), "objective.masked_share", "must be 0 to 1")?;
        require(within(o.ssim, 0.0, 1.0), "objective.ssim", "must be 0 to 1")?;
        require(within(o.temperature, 1e-3, 10.0), "objective.temperature", "must be 0.001 to 10")
    }

    /// Scenes of a step whose images have this side.
    pub fn scenes(&self, side: usize) -> usize {
        (self.batch_size * 128 * 128 / (side * side)).max(2)
    }
}

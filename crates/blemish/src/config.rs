//! The run configuration: presets, loading, overrides and validation.
//!
//! Plain serde structures with unknown fields refused. [`RunConfig::preset`] gives a complete configuration,
//! [`RunConfig::load`] lays a TOML file over it, [`RunConfig::set`] lays one `key=value` over that, and
//! [`RunConfig::validate`] is the one place that says which combinations cannot work. The effective
//! configuration is stored in every model file.

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use crate::augment::{DefectConfig, GeometricConfig, Normalize, PhotometricConfig};
use crate::error::{Error, Result};

/// Everything that shapes a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// The preset that this configuration started from.
    pub preset: Preset,
    /// Seed of every generator: weights, masks, augmentation, defects, splits.
    pub seed: u64,
    /// How images are read.
    pub data: DataConfig,
    /// The network.
    pub model: ModelConfig,
    /// What is hidden while training.
    pub mask: MaskConfig,
    /// Both training stages.
    pub train: TrainConfig,
    /// From anomaly map to verdict.
    pub score: ScoreConfig,
}

/// A named starting point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// The default: convolutional stem, small encoder, pyramid head, repair of synthetic defects; for 2 CPU cores.
    Light,
    /// The reference system as published, to the last size.
    Diyt,
}

impl Preset {
    /// `light` or `diyt`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Diyt => "diyt",
        }
    }
}

/// How images are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Height and width that every image is resized to, pixels.
    pub image_size: [usize; 2],
    /// 1 (grey) or 3 (RGB); absent: 1 when the training images are grey, otherwise 3.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub channels: Option<usize>,
    /// Per-image normalisation before the model.
    pub normalize: Normalize,
    /// Images with more pixels than this are refused before they are decoded.
    pub max_pixels: u64,
}

/// How pixels become tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PatchEmbed {
    /// One linear map per patch (ViT).
    Linear,
    /// 3 x 3 convolutions of stride 2, whose levels also feed the pyramid head.
    ConvStem,
}

/// How tokens become pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// One linear map per patch.
    Linear,
    /// Pixel shuffles and convolutions from stride 16 back to 1, joined with the stem's levels.
    Pyramid,
}

/// What the head's output means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// The reconstructed pixels.
    Absolute,
    /// A correction that is added to the input's pixels.
    Residual,
}

/// The normalisation layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Dynamic tanh (Zhu et al. 2025).
    Dyt,
    /// Layer normalisation.
    LayerNorm,
}

/// The fixed half of the hybrid positional embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sinusoid {
    /// Row and column, half the width each.
    TwoD,
    /// Row only, as published.
    Row,
}

/// What the decoder's cross-attention sees of hidden patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AggregationKeys {
    /// Nothing: keys and values are the visible tokens only.
    Visible,
    /// Zeros at the hidden places, as published.
    Scattered,
}

/// The network's shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Side of a patch in pixels; also the stride of the tokens.
    pub patch_size: usize,
    /// How pixels become tokens.
    pub patch_embed: PatchEmbed,
    /// Channels of the stem's levels at strides 2, 4, 8 (`conv_stem` only).
    pub stem_dims: Vec<usize>,
    /// Width of the encoder's tokens.
    pub embed_dim: usize,
    /// Encoder layers.
    pub depth: usize,
    /// Encoder attention heads.
    pub num_heads: usize,
    /// Hidden width of the encoder's MLP, over `embed_dim`.
    pub mlp_ratio: f64,
    /// The normalisation layer.
    pub norm: Norm,
    /// The fixed half of the positional embedding.
    pub sinusoid: Sinusoid,
    /// Width of the decoder's tokens.
    pub decoder_embed_dim: usize,
    /// Decoder layers.
    pub decoder_depth: usize,
    /// Decoder attention heads.
    pub decoder_num_heads: usize,
    /// Hidden width of the decoder's MLP, over `decoder_embed_dim`.
    pub decoder_mlp_ratio: f64,
    /// Whether the decoder has a positional embedding of its own.
    pub decoder_pos_embed: bool,
    /// What the decoder sees of hidden patches.
    pub aggregation_keys: AggregationKeys,
    /// How tokens become pixels.
    pub head: Head,
    /// What the head's output means.
    pub output: Output,
    /// Whether the pyramid head also gives a defect logit per pixel.
    pub defect_logit: bool,
}

/// How hidden patches are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskStrategy {
    /// Rectangles, trimmed to the exact count.
    Block,
    /// Single patches, uniformly.
    Random,
}

/// What is hidden while training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaskConfig {
    /// How hidden patches are drawn.
    pub strategy: MaskStrategy,
    /// Share of the patches that is hidden, above 0 and below 1.
    pub mask_ratio: f64,
    /// Smallest side of a block, patches.
    pub block_min: usize,
    /// Largest side of a block, patches; absent: half the grid's shorter side.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub block_max: Option<usize>,
}

/// What a stage learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Fill in hidden patches (masked patches' MSE plus SSIM).
    Masked,
    /// Reproduce the unmasked image (whole-image MSE), as published.
    Reconstruct,
    /// Undo synthetic defects and say where they were.
    Repair,
}

/// One training stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageConfig {
    /// What the stage learns.
    pub task: Task,
    /// Passes over `train.epoch_images` images; 0 leaves the stage out.
    pub epochs: usize,
    /// Peak learning rate of AdamW.
    pub learning_rate: f64,
    /// Epochs of linear warm-up before the cosine.
    pub warmup_epochs: f64,
    /// Validate after this many epochs; 0: never.
    pub validate_every: usize,
    /// Stop after this many epochs without a better loss (pre-training) or AUROC (fine-tuning); 0: never.
    pub patience: usize,
}

/// How the pose of the training images is varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pose {
    /// `fixed` or `free`, whichever the training images show.
    Auto,
    /// Small turns and shifts: the product always lies the same way.
    Fixed,
    /// Any angle and mirror image: the product lies anyhow, or is a texture.
    Free,
    /// As `train.geometric` says.
    Custom,
}

/// Both training stages and what they share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Images per step.
    pub batch_size: usize,
    /// Images per epoch; 0: every training image once. Small sets are repeated.
    pub epoch_images: usize,
    /// Decoupled weight decay; norms, biases and embeddings are left out.
    pub weight_decay: f64,
    /// Gradients are scaled down to this global norm; 0: never.
    pub clip_norm: f64,
    /// Decay of the moving average of the weights that is kept for scoring; 0: none.
    pub ema_decay: f64,
    /// Share of SSIM in the masked loss.
    pub ssim_weight: f64,
    /// Weight of the defect logit's loss beside the repair loss.
    pub locate_weight: f64,
    /// Standard deviation of isotropic noise added to the input and kept in the target (Bauer and Mueller 2025).
    pub noise: f64,
    /// Share of the good training images that is held out for validation and calibration.
    pub holdout: f64,
    /// First stage.
    pub pretrain: StageConfig,
    /// Second stage.
    pub finetune: StageConfig,
    /// How the pose of the training images is varied.
    pub pose: Pose,
    /// Geometric augmentation; with `pose` other than `custom` it follows from that.
    pub geometric: GeometricConfig,
    /// Lighting augmentation.
    pub photometric: PhotometricConfig,
    /// The synthetic defect generator.
    pub defects: DefectConfig,
}

/// Which map is scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MapKind {
    /// Squared error, averaged over channels.
    Squared,
    /// 1 - SSIM, per pixel.
    Ssim,
    /// The geometric mean of the squared error and 1 - SSIM.
    SquaredSsim,
    /// The head's defect probability.
    Defect,
    /// The defect probability joined with the squared error (both calibrated on good images).
    Fused,
}

/// How a map becomes a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduce {
    /// The largest value.
    Max,
    /// The mean of the largest `score.top_fraction` of the values.
    TopFraction,
}

/// How the threshold that decides is chosen; all are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdRule {
    /// Best F1 on the validation set.
    Val,
    /// `score.percentile` of the held-out good scores.
    Percentile,
    /// Mean plus `score.sigmas` standard deviations of the held-out good scores.
    Sigma,
    /// The stated false-alarm rate on held-out good images.
    Far,
}

impl ThresholdRule {
    /// The name by which it is chosen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Val => "val",
            Self::Percentile => "percentile",
            Self::Sigma => "sigma",
            Self::Far => "far",
        }
    }
}

/// Calibration of maps against good images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Calibration {
    /// None: the map as it is.
    None,
    /// Divided by what good images give at that position.
    Position,
    /// `Position` where the training images show a fixed pose, otherwise `None`.
    Auto,
}

/// From anomaly map to verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreConfig {
    /// Which map is scored.
    pub map: MapKind,
    /// 1: the unmasked pass; K > 1: K complementary block masks, joined.
    pub passes: usize,
    /// Standard deviation of the Gaussian that smooths the map, pixels; 0: none.
    pub smooth_sigma: f64,
    /// How a map becomes a score.
    pub reduce: Reduce,
    /// Share of the pixels that `top_fraction` averages.
    pub top_fraction: f64,
    /// Calibration of maps against good images.
    pub calibration: Calibration,
    /// The threshold that decides.
    pub threshold: ThresholdRule,
    /// Percentile of `percentile`, 0 to 100.
    pub percentile: f64,
    /// Factor of `sigma`.
    pub sigmas: f64,
    /// False-alarm rate of `far`.
    pub far: f64,
}

impl RunConfig {
    /// The complete configuration of a preset.
    pub fn preset(preset: Preset) -> Self {
        match preset {
            Preset::Light => Self::light(),
            Preset::Diyt => Self::diyt(),
        }
    }

    fn light() -> Self {
        Self {
            preset: Preset::Light,
            seed: 0,
            data: DataConfig {
                image_size: [256, 256],
                channels: None,
                normalize: Normalize::Robust,
                max_pixels: 100_000_000,
            },
            model: ModelConfig {
                patch_size: 16,
                patch_embed: PatchEmbed::ConvStem,
                stem_dims: vec![24, 48, 96],
                embed_dim: 192,
                depth: 6,
                num_heads: 6,
                mlp_ratio: 2.0,
                norm: Norm::Dyt,
                sinusoid: Sinusoid::TwoD,
                decoder_embed_dim: 128,
                decoder_depth: 1,
                decoder_num_heads: 4,
                decoder_mlp_ratio: 2.0,
                decoder_pos_embed: true,
                aggregation_keys: AggregationKeys::Visible,
                head: Head::Pyramid,
                output: Output::Residual,
                defect_logit: true,
            },
            mask: MaskConfig {
                strategy: MaskStrategy::Block,
                mask_ratio: 0.5,
                block_min: 2,
                block_max: None,
            },
            train: TrainConfig {
                batch_size: 16,
                epoch_images: 320,
                weight_decay: 1e-2,
                clip_norm: 1.0,
                ema_decay: 0.0,
                ssim_weight: 0.2,
                locate_weight: 1.0,
                noise: 0.0,
                holdout: 0.1,
                pretrain: StageConfig {
                    task: Task::Masked,
                    epochs: 4,
                    learning_rate: 1e-3,
                    warmup_epochs: 1.0,
                    validate_every: 0,
                    patience: 0,
                },
                finetune: StageConfig {
                    task: Task::Repair,
                    epochs: 40,
                    learning_rate: 1e-3,
                    warmup_epochs: 1.0,
                    validate_every: 5,
                    patience: 0,
                },
                pose: Pose::Auto,
                geometric: GeometricConfig::default(),
                photometric: PhotometricConfig {
                    gradient: 0.1,
                    gamma: 0.15,
                    blur: 0.1,
                    noise: 0.01,
                    ..PhotometricConfig::default()
                },
                defects: DefectConfig::default(),
            },
            score: ScoreConfig {
                map: MapKind::Defect,
                passes: 1,
                smooth_sigma: 2.0,
                reduce: Reduce::Max,
                top_fraction: 0.001,
                calibration: Calibration::Auto,
                threshold: ThresholdRule::Far,
                percentile: 95.0,
                sigmas: 3.0,
                far: 0.05,
            },
        }
    }

    fn diyt() -> Self {
        let mut config = Self::light();
        config.preset = Preset::Diyt;
        config.data.channels = Some(3);
        config.data.normalize = Normalize::None;
        config.model = ModelConfig {
            patch_size: 16,
            patch_embed: PatchEmbed::Linear,
            stem_dims: Vec::new(),
            embed_dim: 512,
            depth: 16,
            num_heads: 8,
            mlp_ratio: 1.0,
            norm: Norm::Dyt,
            sinusoid: Sinusoid::Row,
            decoder_embed_dim: 256,
            decoder_depth: 2,
            decoder_num_heads: 8,
            decoder_mlp_ratio: 2.0,
            decoder_pos_embed: false,
            aggregation_keys: AggregationKeys::Scattered,
            head: Head::Linear,
            output: Output::Absolute,
            defect_logit: false,
        };
        config.mask.mask_ratio = 0.75;
        config.train.batch_size = 32;
        config.train.epoch_images = 0;
        config.train.clip_norm = 0.0;
        config.train.pretrain = StageConfig {
            task: Task::Masked,
            epochs: 80,
            learning_rate: 5e-5,
            warmup_epochs: 0.0,
            validate_every: 0,
            patience: 20,
        };
        config.train.finetune = StageConfig {
            task: Task::Reconstruct,
            epochs: 40,
            learning_rate: 5e-5,
            warmup_epochs: 0.0,
            validate_every: 5,
            patience: 20,
        };
        config.train.pose = Pose::Custom;
        config.train.photometric = PhotometricConfig::default();
        config.score = ScoreConfig {
            map: MapKind::Squared,
            smooth_sigma: 0.0,
            calibration: Calibration::None,
            threshold: ThresholdRule::Percentile,
            ..config.score
        };
        config
    }

    /// Lays the TOML file at `path` over `self`; fields that it leaves out keep their value.
    ///
    /// # Errors
    /// The file cannot be read, is not TOML, or names a field that does not exist.
    pub fn load(self, path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        let over: toml::Table =
            toml::from_str(&text).map_err(|e| Error::config(path.display().to_string(), e.to_string()))?;
        self.merge(over)
    }

    /// Lays one `key=value` over `self`, such as `model.depth=4` or `score.threshold=val`.
    ///
    /// # Errors
    /// The text has no `=`, the key does not exist, or the value has the wrong type.
    pub fn set(self, assignment: &str) -> Result<Self> {
        let (key, value) = assignment
            .split_once('=')
            .ok_or_else(|| Error::config(assignment, "expected key=value, such as model.depth=4"))?;
        // A bare word is a string: `score.threshold=val` needs no quotes.
        let value = toml::from_str::<toml::Table>(&format!("v = {value}"))
            .ok()
            .and_then(|mut t| t.remove("v"))
            .unwrap_or_else(|| toml::Value::String(value.to_owned()));
        let mut over = toml::Value::Table(toml::Table::new());
        let mut at = &mut over;
        let parts: Vec<&str> = key.split('.').collect();
        for (i, part) in parts.iter().enumerate() {
            let toml::Value::Table(table) = at else { break };
            let next = if i + 1 == parts.len() { value.clone() } else { toml::Table::new().into() };
            at = table.entry((*part).to_owned()).or_insert(next);
        }
        match over {
            toml::Value::Table(table) => self.merge(table),
            _ => Ok(self),
        }
    }

    fn merge(self, over: toml::Table) -> Result<Self> {
        let mut base =
            toml::Table::try_from(&self).map_err(|e| Error::config("configuration", e.to_string()))?;
        lay_over(&mut base, over);
        base.try_into().map_err(|e: toml::de::Error| Error::config("configuration", e.message().to_owned()))
    }

    /// The configuration as TOML.
    ///
    /// # Errors
    /// None in practice; serialisation can fail in principle.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::config("configuration", e.to_string()))
    }

    /// Checks every combination that the types cannot.
    ///
    /// # Errors
    /// [`Error::Config`] that names the first field at fault.
    pub fn validate(&self) -> Result<()> {
        self.data.validate(&self.model)?;
        self.model.validate()?;
        self.mask.validate()?;
        self.train.validate(&self.model)?;
        self.score.validate(&self.model)
    }

    /// Settles what is left to the training images: channels, and the pose with its augmentation.
    pub fn resolve(&mut self, channels: usize, fixed_pose: bool) {
        self.data.channels.get_or_insert(channels);
        let train = &mut self.train;
        if train.pose == Pose::Auto {
            train.pose = if fixed_pose { Pose::Fixed } else { Pose::Free };
        }
        let unchanged = GeometricConfig::default();
        match train.pose {
            Pose::Fixed => {
                train.geometric =
                    GeometricConfig { rotation_degrees: 4.0, scale: 0.03, translate: 0.02, ..unchanged };
            }
            Pose::Free => {
                train.geometric = GeometricConfig {
                    rotation_degrees: 180.0,
                    horizontal_flip: 0.5,
                    vertical_flip: 0.5,
                    scale: 0.05,
                    translate: 0.03,
                    ..unchanged
                };
            }
            Pose::Auto | Pose::Custom => {}
        }
    }

    /// Rows and columns of the token grid.
    pub fn grid(&self) -> [usize; 2] {
        self.data.image_size.map(|s| s / self.model.patch_size)
    }
}

fn lay_over(base: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(value)) => lay_over(inner, value),
            // `1` is a fine way to write the float 1.0.
            (Some(slot @ toml::Value::Float(_)), toml::Value::Integer(i)) => *slot = (i as f64).into(),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

fn require(ok: bool, field: &str, reason: impl Into<String>) -> Result<()> {
    if ok { Ok(()) } else { Err(Error::config(field, reason)) }
}

impl DataConfig {
    fn validate(&self, model: &ModelConfig) -> Result<()> {
        let p = model.patch_size;
        require(p > 0, "model.patch_size", "must be at least 1")?;
        for side in self.image_size {
            let ok = side >= p && side.is_multiple_of(p) && side <= 4096;
            require(ok, "data.image_size", format!("{side} is not a multiple of patch_size {p} up to 4096"))?;
        }
        require(matches!(self.channels, None | Some(1 | 3)), "data.channels", "must be 1 or 3")?;
        require(self.max_pixels > 0, "data.max_pixels", "must be at least 1")
    }
}

impl ModelConfig {
    fn validate(&self) -> Result<()> {
        let width = |dim: usize, heads: usize, which: &str| {
            require(heads > 0 && dim > 0, &format!("model.{which}num_heads"), "must be at least 1")?;
            let ok = dim.is_multiple_of(heads) && dim.is_multiple_of(4);
            let reason = format!("{dim} must be a multiple of 4 and of the {heads} heads");
            require(ok, &format!("model.{which}embed_dim"), reason)
        };
        width(self.embed_dim, self.num_heads, "")?;
        width(self.decoder_embed_dim, self.decoder_num_heads, "decoder_")?;
        require(self.depth >= 3, "model.depth", "needs at least 3 layers, one for each tap")?;
        require(self.depth <= 64, "model.depth", "must be at most 64")?;
        require(self.embed_dim <= 4096, "model.embed_dim", "must be at most 4096")?;
        require(self.decoder_embed_dim <= 4096, "model.decoder_embed_dim", "must be at most 4096")?;
        require((1..=64).contains(&self.decoder_depth), "model.decoder_depth", "must be 1 to 64")?;
        for (ratio, field) in
            [(self.mlp_ratio, "model.mlp_ratio"), (self.decoder_mlp_ratio, "model.decoder_mlp_ratio")]
        {
            require(ratio > 0.0 && ratio <= 16.0, field, "must be above 0 and at most 16")?;
        }
        let pyramid = self.head == Head::Pyramid;
        let stem = self.patch_embed == PatchEmbed::ConvStem;
        if pyramid || stem {
            require(self.patch_size == 16, "model.patch_size", "must be 16 with conv_stem or pyramid")?;
            require(self.stem_dims.len() == 3, "model.stem_dims", "needs 3 widths, for strides 2, 4, 8")?;
            let ok = self.stem_dims.iter().all(|d| (1..=1024).contains(d));
            require(ok, "model.stem_dims", "each must be 1 to 1024")?;
        }
        require(pyramid || !self.defect_logit, "model.defect_logit", "needs head = \"pyramid\"")
    }

    /// After how many layers the three taps are taken: depth/3, 2 depth/3, depth.
    pub fn taps(&self) -> [usize; 3] {
        [self.depth / 3, 2 * self.depth / 3, self.depth]
    }

    /// Hidden width of the encoder's MLP.
    pub fn mlp_dim(&self) -> usize {
        (self.embed_dim as f64 * self.mlp_ratio).round() as usize
    }

    /// Hidden width of the decoder's MLP.
    pub fn decoder_mlp_dim(&self) -> usize {
        (self.decoder_embed_dim as f64 * self.decoder_mlp_ratio).round() as usize
    }
}

impl MaskConfig {
    fn validate(&self) -> Result<()> {
        let ok = self.mask_ratio > 0.0 && self.mask_ratio < 1.0;
        require(ok, "mask.mask_ratio", "must be above 0 and below 1")?;
        require(self.block_min > 0, "mask.block_min", "must be at least 1")?;
        let ok = self.block_max.is_none_or(|m| m >= self.block_min);
        require(ok, "mask.block_max", "must be at least mask.block_min")
    }
}

impl TrainConfig {
    fn validate(&self, model: &ModelConfig) -> Result<()> {
        require(self.batch_size > 0, "train.batch_size", "must be at least 1")?;
        let not_negative =
            |v: f64, field: &str| require(v >= 0.0 && v.is_finite(), field, "must not be negative");
        not_negative(self.weight_decay, "train.weight_decay")?;
        not_negative(self.clip_norm, "train.clip_norm")?;
        not_negative(self.noise, "train.noise")?;
        not_negative(self.locate_weight, "train.locate_weight")?;
        require((0.0..1.0).contains(&self.ema_decay), "train.ema_decay", "must be 0 to below 1")?;
        require((0.0..=1.0).contains(&self.ssim_weight), "train.ssim_weight", "must be 0 to 1")?;
        require((0.0..=0.5).contains(&self.holdout), "train.holdout", "must be 0 to 0.5")?;
        for (stage, name) in [(&self.pretrain, "pretrain"), (&self.finetune, "finetune")] {
            let ok = stage.learning_rate > 0.0 && stage.learning_rate.is_finite();
            require(ok, &format!("train.{name}.learning_rate"), "must be above 0")?;
            not_negative(stage.warmup_epochs, &format!("train.{name}.warmup_epochs"))?;
        }
        let ok = self.pretrain.epochs + self.finetune.epochs > 0;
        require(ok, "train.finetune.epochs", "at least one stage needs an epoch")?;
        let repairs = self.finetune.epochs > 0 && self.finetune.task == Task::Repair;
        require(
            repairs || !model.defect_logit,
            "model.defect_logit",
            "is trained by task = \"repair\" only",
        )?;
        self.geometric.validate()?;
        self.photometric.validate()?;
        self.defects.validate()
    }
}

impl ScoreConfig {
    fn validate(&self, model: &ModelConfig) -> Result<()> {
        require((1..=64).contains(&self.passes), "score.passes", "must be 1 to 64")?;
        require((0.0..=64.0).contains(&self.smooth_sigma), "score.smooth_sigma", "must be 0 to 64")?;
        let ok = self.top_fraction > 0.0 && self.top_fraction <= 1.0;
        require(ok, "score.top_fraction", "must be above 0 and at most 1")?;
        require((0.0..=100.0).contains(&self.percentile), "score.percentile", "must be 0 to 100")?;
        require(self.sigmas.is_finite(), "score.sigmas", "must be a number")?;
        require(self.far > 0.0 && self.far < 1.0, "score.far", "must be above 0 and below 1")?;
        let needs_logit = matches!(self.map, MapKind::Defect | MapKind::Fused);
        require(!needs_logit || model.defect_logit, "score.map", "this map needs model.defect_logit = true")?;
        let ok = !(needs_logit && self.passes > 1);
        require(ok, "score.passes", "the defect logit is read from the unmasked pass: set passes to 1")
    }
}

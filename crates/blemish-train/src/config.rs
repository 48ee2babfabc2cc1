//! Both training stages.

use serde::{Deserialize, Serialize};

use super::{DefectConfig, GeometricConfig, ModelConfig, PhotometricConfig, require};
use blemish::error::Result;
pub use blemish::kernels::precision::Precision;

/// Epochs of the stages where nothing is said: a little masked pre-training, then mostly repair.
const EPOCHS: [usize; 2] = [2, 28];

/// Both training stages and what they share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Images per step.
    pub batch_size: usize,
    /// What a step's large products are computed in: `f32`, or `bf16`, their factors rounded to 8 significant bits and
    /// summed in 32; weights, gradients and all else are 32-bit floats. `bf16` is faster on a CPU with AVX512-BF16,
    /// slower on others, which round the factors alike; GPUs take no notice. Absent: what the machine that trains does
    /// best.
    pub precision: Option<Precision>,
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
    /// Focusing exponent of the defect logit's loss (Lin et al. 2017); 0: plain cross-entropy.
    pub focal_gamma: f64,
    /// Weight of the defect logit's loss beside the repair loss.
    pub locate_weight: f64,
    /// Standard deviation of isotropic noise added to the input and kept in the target (Bauer and Mueller 2025).
    pub noise: f64,
    /// Share of the good training images that is held out for validation and calibration.
    pub holdout: f64,
    /// Share of the good training images that may not be good, 0 to 0.5: of outliers by what the others teach, no more than
    /// this are left out of what memory, ridges and grain learn. Thresholds are asked of all images.
    #[serde(default)]
    pub contamination: f64,
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

/// One training stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageConfig {
    /// What the stage learns.
    pub task: Task,
    /// Passes over `train.epoch_images` images; 0 leaves the stage out. Absent in both stages: as many as the preset has
    /// where the network is heard, none where it is not (`score.network`).
    pub epochs: Option<usize>,
    /// Peak learning rate of AdamW.
    pub learning_rate: f64,
    /// Epochs of linear warm-up before the cosine.
    pub warmup_epochs: f64,
    /// Validate after this many epochs; 0: never.
    pub validate_every: usize,
    /// Stop after this many epochs without a better loss (pre-training) or AUROC (fine-tuning); 0: never.
    pub patience: usize,
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

impl StageConfig {
    /// Passes that the stage makes; before the training images have settled it, 0 where nothing is said.
    pub fn epochs(&self) -> usize {
        self.epochs.unwrap_or(0)
    }
}

impl TrainConfig {
    /// Passes that both stages make.
    pub fn epochs(&self) -> usize {
        self.pretrain.epochs() + self.finetune.epochs()
    }

    /// Whether both stages are left out by name, or by what the images show.
    pub(super) fn leaves_network_untrained(&self) -> bool {
        self.pretrain.epochs == Some(0) && self.finetune.epochs == Some(0)
    }

    /// Settles the epochs that are absent: those of the preset `light`, or none where the network is not heard.
    pub(super) fn settle_epochs(&mut self, heard: bool) {
        let asked = self.pretrain.epochs.or(self.finetune.epochs).is_some();
        let [pretrain, finetune] = if heard || asked { EPOCHS } else { [0, 0] };
        self.pretrain.epochs.get_or_insert(pretrain);
        self.finetune.epochs.get_or_insert(finetune);
    }

    pub(super) fn validate(&self, model: &ModelConfig) -> Result<()> {
        require(self.batch_size > 0, "train.batch_size", "must be at least 1")?;
        let not_negative =
            |v: f64, field: &str| require(v >= 0.0 && v.is_finite(), field, "must not be negative");
        not_negative(self.weight_decay, "train.weight_decay")?;
        not_negative(self.clip_norm, "train.clip_norm")?;
        not_negative(self.noise, "train.noise")?;
        not_negative(self.locate_weight, "train.locate_weight")?;
        not_negative(self.focal_gamma, "train.focal_gamma")?;
        require((0.0..1.0).contains(&self.ema_decay), "train.ema_decay", "must be 0 to below 1")?;
        require((0.0..=1.0).contains(&self.ssim_weight), "train.ssim_weight", "must be 0 to 1")?;
        require((0.0..=0.5).contains(&self.holdout), "train.holdout", "must be 0 to 0.5")?;
        require((0.0..=0.5).contains(&self.contamination), "train.contamination", "must be 0 to 0.5")?;
        for (stage, name) in [(&self.pretrain, "pretrain"), (&self.finetune, "finetune")] {
            let ok = stage.learning_rate > 0.0 && stage.learning_rate.is_finite();
            require(ok, &format!("train.{name}.learning_rate"), "must be above 0")?;
            not_negative(stage.warmup_epochs, &format!("train.{name}.warmup_epochs"))?;
        }
        let repairs = self.finetune.epochs != Some(0) && self.finetune.task == Task::Repair;
        require(
            repairs || self.leaves_network_untrained() || !model.defect_logit,
            "model.defect_logit",
            "is trained by task = \"repair\" only",
        )?;
        self.geometric.validate()?;
        self.photometric.validate()?;
        self.defects.validate()
    }
}

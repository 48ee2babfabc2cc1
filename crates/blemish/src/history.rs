//! What training measured, epoch by epoch, as plain data: a line of `metrics.jsonl`, kept in every model file.

use serde::{Deserialize, Serialize};

/// One of the two stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Masked autoencoding.
    #[default]
    Pretrain,
    /// Reconstruction or repair.
    Finetune,
}

impl Stage {
    /// `pretrain` or `finetune`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pretrain => "pretrain",
            Self::Finetune => "finetune",
        }
    }
}

/// One epoch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// The stage.
    pub stage: Stage,
    /// Number of the epoch within its stage, from 1.
    pub epoch: usize,
    /// Mean training loss.
    pub loss: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Mean global norm of the gradients, before clipping.
    pub gradient_norm: f64,
    /// Wall-clock seconds, validation included.
    pub seconds: f64,
    /// Training speed without validation.
    pub images_per_second: f64,
    /// Image AUROC on the validation set, in epochs that validate.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub val_auroc: Option<f64>,
    /// F1-max on the validation set.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub val_f1: Option<f64>,
    /// AUPRO on the validation set, where it has masks.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub val_aupro: Option<f64>,
    /// The score that gives [`Self::val_f1`]: the dynamic threshold.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub val_threshold: Option<f64>,
    /// Steps that were left out since their loss or gradient was not finite.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub skipped_steps: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

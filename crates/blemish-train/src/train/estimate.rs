//! What a training will take, measured on this machine before it starts.

use std::time::Instant;

use burn::tensor::Device;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::batch::{batch, epoch_images, stage_config};
use super::objective::loss;
use super::optimizer::{AdamW, StepSettings};
use blemish::config::RunConfig;
use blemish::image::ByteImage;
use blemish::history::Stage;
use crate::model::Mae;

/// Time and memory of a training.
#[derive(Clone, Copy, Debug)]
pub struct Estimate {
    /// Images a second of the second stage's steps, their making included.
    pub images_per_second: f64,
    /// Minutes of the whole training at that speed, early stopping and validation aside.
    pub minutes: f64,
    /// Peak memory of this process so far in MiB, the probe's steps included; absent where the system does not say.
    pub memory_mib: Option<f64>,
}

/// Share of a budget that steps may use; the rest is for validation, checkpoints and calibration.
const FOR_STEPS: f64 = 0.92;

/// Times three steps of the last stage that has epochs, on random weights. Their examples are made beforehand here and
/// beside the steps in training, but by the same cores.
///
/// `config.data.channels` absent counts as 3; `images` are the training images, at least one.
pub fn estimate(config: &RunConfig, images: &[ByteImage], device: &Device) -> Estimate {
    let channels = config.data.channels.unwrap_or(3);
    let rng = &mut ChaCha8Rng::seed_from_u64(0);
    let device = device.clone().autodiff();
    let mut model = Mae::new(&config.model, config.input_size(), channels, rng, &device);
    let mut optimizer = AdamW::default();
    let stage = if config.train.finetune.epochs() > 0 { Stage::Finetune } else { Stage::Pretrain };
    let task = stage_config(config, stage).task;
    let settings = StepSettings { learning_rate: 0.0, weight_decay: 0.0, clip_norm: 0.0 };
    let chosen: Vec<usize> = (0..config.train.batch_size).map(|i| i % images.len()).collect();
    let mut fastest = f64::INFINITY;
    for first in [0, 1, 2].map(|step| step * chosen.len()) {
        let start = Instant::now();
        let batch = batch(config, stage, (0, first), images, &chosen);
        let gradients = loss(config, task, &model, batch, rng).backward();
        let gradients = model.gradients(gradients);
        (model, _) = optimizer.step(model, gradients, settings);
        fastest = fastest.min(start.elapsed().as_secs_f64());
    }
    let images_per_second = config.train.batch_size as f64 / fastest;
    let epochs = config.train.epochs();
    let looked_at = epochs * epoch_images(config, images.len());
    Estimate {
        images_per_second,
        minutes: looked_at as f64 / images_per_second / 60.0 / FOR_STEPS,
        memory_mib: peak_memory_mib(),
    }
}

/// Scales both stages' epochs, in their proportion, to what fits into `minutes`. At least one epoch remains.
pub fn scale_to_budget(config: &mut RunConfig, estimate: &Estimate, minutes: f64) {
    let factor = minutes / estimate.minutes.max(1e-9);
    let train = &mut config.train;
    for stage in [&mut train.pretrain, &mut train.finetune] {
        stage.epochs = Some((stage.epochs() as f64 * factor).round() as usize);
        stage.warmup_epochs = (stage.warmup_epochs * factor.min(1.0)).max(0.25);
    }
    if train.epochs() == 0 {
        train.finetune.epochs = Some(1);
    }
}

/// The process's peak resident memory, as Linux tells it.
pub fn peak_memory_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| kib / 1024.0)
}

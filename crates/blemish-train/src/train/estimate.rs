//! What a training will take, measured on this machine before it starts.

use std::time::Instant;

use blemish::Result;
use blemish::history::Stage;
use burn::tensor::Device;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::batch::{Batches, task};
use super::objective::loss;
use super::optimizer::{AdamW, StepSettings};
use crate::config::{MOST_EPOCHS, RunConfig};
use crate::model::Mae;

/// How long a training takes.
#[derive(Clone, Copy, Debug)]
pub struct Estimate {
    /// Epochs of both stages.
    pub epochs: usize,
    /// Images of an epoch.
    pub epoch_images: usize,
    /// Images a second of the last stage's steps, their making included.
    pub images_per_second: f64,
    /// Minutes of the whole training at that speed, early stopping aside.
    pub minutes: f64,
}

/// Share of a training's time that steps take; the rest is for validation and checkpoints.
const FOR_STEPS: f64 = 0.92;
/// Steps that are timed; the fastest counts.
const PROBES: usize = 3;

/// Times three steps of the last stage that has epochs, on random weights. Their examples are made beforehand here and
/// beside the steps in training, but by the same cores.
///
/// # Errors
/// Those of [`Batches::batch`].
pub fn estimate(config: &RunConfig, batches: &Batches<'_>, device: &Device) -> Result<Estimate> {
    let channels = config.detector.data.channels.unwrap_or(3);
    let rng = &mut ChaCha8Rng::seed_from_u64(0);
    let device = device.clone().autodiff();
    let mut model = Mae::new(&config.detector.model, config.detector.view_size(), channels, rng, &device);
    let mut optimizer = AdamW::default();
    let stage = if config.train.finetune.epochs() > 0 { Stage::Finetune } else { Stage::Pretrain };
    let settings = StepSettings { learning_rate: 0.0, weight_decay: 0.0, clip_norm: 0.0 };
    let chosen: Vec<usize> = (0..config.train.batch_size).map(|i| i % batches.available()).collect();
    let mut fastest = f64::INFINITY;
    for step in 0..PROBES {
        let start = Instant::now();
        let batch = batches.batch(stage, 0, step * chosen.len(), &chosen)?;
        let gradients = loss(config, task(config, stage), &model, batch, rng).backward();
        let gradients = model.gradients(gradients);
        (model, _) = optimizer.step(model, gradients, settings);
        fastest = fastest.min(start.elapsed().as_secs_f64());
    }
    Ok(Estimate::new(config, batches.epoch_images(), chosen.len() as f64 / fastest))
}

impl Estimate {
    fn new(config: &RunConfig, epoch_images: usize, images_per_second: f64) -> Self {
        let epochs = config.epochs();
        let minutes = (epochs * epoch_images) as f64 / images_per_second / 60.0 / FOR_STEPS;
        Self { epochs, epoch_images, images_per_second, minutes }
    }

    /// Scales both stages' epochs of `config`, in their proportion, to what fits into `minutes`; the estimate of that. At
    /// least one epoch remains.
    #[must_use]
    pub(super) fn fitted_into(self, minutes: f64, config: &mut RunConfig) -> Self {
        let factor = minutes / self.minutes.max(1e-9);
        let scaled = |epochs: usize| ((epochs as f64 * factor).round() as usize).min(MOST_EPOCHS);
        let train = &mut config.train;
        // The last stage that has epochs keeps one.
        let finetune = train.finetune.epochs();
        train.pretrain.epochs = Some(scaled(train.pretrain.epochs()).max(usize::from(finetune == 0)));
        train.finetune.epochs = Some(scaled(finetune).max(usize::from(finetune > 0)));
        Self::new(config, self.epoch_images, self.images_per_second)
    }
}

/// The most memory that this process has held, MiB; absent where the system does not say.
pub fn peak_memory_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use blemish::config::Preset;

    use super::*;

    #[test]
    fn a_budget_keeps_the_proportion_of_the_stages() {
        let mut config = RunConfig::preset(Preset::Light);
        (config.train.pretrain.epochs, config.train.finetune.epochs) = (Some(20), Some(80));
        let whole = Estimate::new(&config, 320, 32.0);
        assert!((whole.minutes - 1000.0 / 60.0 / FOR_STEPS).abs() < 1e-9);
        let half = whole.fitted_into(0.5 * whole.minutes, &mut config);
        assert_eq!((config.train.pretrain.epochs(), config.train.finetune.epochs()), (10, 40));
        assert!((half.minutes - 0.5 * whole.minutes).abs() < 1e-9);
        let least = whole.fitted_into(1e-6, &mut config);
        assert_eq!((least.epochs, config.train.finetune.epochs()), (1, 1));
    }
}

//! The training loop: two stages, one epoch after the other.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;

use super::batch::{epoch_images, generator, prepare, stage_config};
use super::checkpoint::{Checkpoint, Progress};
use super::event::Event;
use super::finish::finish;
use super::objective::loss;
use super::optimizer::{AdamW, StepSettings};
use super::schedule::Schedule;
use super::split::TrainingData;
use super::validate::{Validation, validate};
use blemish::config::RunConfig;
use blemish::image::ByteImage;
use blemish::error::{Error, Result};
use blemish::history::{EpochRecord, Stage};
use blemish::kernels::buffers;
use crate::model::Mae;
use blemish::engine::Weights;
use blemish::detector::Detector;

/// Around the loop: where to write, whether to go on, when to stop.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// Folder of the run: the checkpoint is kept there. Without one nothing is written.
    pub folder: Option<PathBuf>,
    /// Go on from the folder's checkpoint, if it has one.
    pub resume: bool,
    /// Where to compute.
    pub device: Device,
    /// Set from elsewhere (Ctrl-C) to stop after the current step.
    pub stop: Arc<AtomicBool>,
}

impl TrainOptions {
    /// In memory, from the start, on the CPU.
    pub fn in_memory() -> Self {
        Self { folder: None, resume: false, device: Device::flex(), stop: Arc::default() }
    }
}

/// Trains, calibrates, and gives the detector. `config` must be valid, with `data.channels` set.
///
/// # Errors
/// A loss that is not finite, a checkpoint that cannot be written or resumed, [`Error::Interrupted`].
pub fn train(
    config: &RunConfig,
    data: &TrainingData,
    options: &TrainOptions,
    listener: &mut dyn FnMut(&Event),
) -> Result<Detector> {
    config.validate()?;
    if data.train.is_empty() {
        return Err(Error::config("train.holdout", "no image is left to learn from"));
    }
    let mut run = Run::start(config, options)?;
    let images = Arc::new(data.train.clone());
    for stage in [Stage::Pretrain, Stage::Finetune] {
        run.stage(stage, &images, data, options, listener)?;
    }
    finish(config, run.scoring_model()?, data, run.progress.history, run.progress.seconds)
}

struct Run<'a> {
    config: &'a RunConfig,
    model: Mae,
    optimizer: AdamW,
    ema: Option<Weights>,
    best: Option<Weights>,
    progress: Progress,
}

impl<'a> Run<'a> {
    fn start(config: &'a RunConfig, options: &TrainOptions) -> Result<Self> {
        let device = options.device.clone().autodiff();
        let channels = config.data.channels.unwrap_or(3);
        let rng = &mut generator(config.seed, Stage::Pretrain, 0, usize::MAX - 1);
        let model = Mae::new(&config.model, config.input_size(), channels, rng, &device);
        let resumed = match &options.folder {
            Some(folder) if options.resume => Checkpoint::load(folder, config)?,
            _ => None,
        };
        let Some(checkpoint) = resumed else {
            let progress = Progress {
                config: config.clone(),
                stage: Stage::Pretrain,
                epoch: 0,
                stopped: false,
                best: None,
                best_aupro: 0.0,
                best_epoch: 0,
                step: 0,
                history: Vec::new(),
                seconds: 0.0,
            };
            let ema = (config.train.ema_decay > 0.0).then(|| model.weights());
            return Ok(Self { config, model, optimizer: AdamW::default(), ema, best: None, progress });
        };
        let at = options.folder.as_deref().map(super::checkpoint::path).unwrap_or_default();
        let model = model.with_weights(checkpoint.weights).map_err(|reason| Error::model(at, reason))?;
        let Checkpoint { optimizer, ema, best, progress, .. } = checkpoint;
        Ok(Self { config, model, optimizer, ema, best, progress })
    }

    fn stage(
        &mut self,
        stage: Stage,
        images: &Arc<Vec<ByteImage>>,
        data: &TrainingData,
        options: &TrainOptions,
        listener: &mut dyn FnMut(&Event),
    ) -> Result<()> {
        let epochs = stage_config(self.config, stage).epochs();
        if epochs == 0 || (stage == Stage::Pretrain && self.progress.stage == Stage::Finetune) {
            return Ok(());
        }
        if self.progress.stage != stage {
            self.enter(stage);
        }
        let epoch_images = epoch_images(self.config, images.len());
        let done = self.progress.epoch;
        listener(&Event::StageStarted { stage, done, epochs, epoch_images });
        while self.progress.epoch < epochs && !self.progress.stopped {
            let started = Instant::now();
            let mut record = self.epoch(stage, images, options, listener)?;
            self.judge(stage, data, &mut record)?;
            record.seconds = started.elapsed().as_secs_f64();
            self.progress.seconds += record.seconds;
            self.progress.history.push(record.clone());
            listener(&Event::Epoch(record));
            if let Some(folder) = &options.folder {
                listener(&Event::CheckpointWritten(self.checkpoint().save(folder)?));
            }
            if self.progress.stopped {
                listener(&Event::StoppedEarly { stage, epoch: self.progress.epoch });
            }
        }
        Ok(())
    }

    /// A stage starts from the last one's best weights, with a fresh optimiser.
    fn enter(&mut self, stage: Stage) {
        self.optimizer = AdamW::default();
        self.best = None;
        self.ema = self.ema.is_some().then(|| self.model.weights());
        let progress = &mut self.progress;
        (progress.stage, progress.epoch, progress.step, progress.stopped) = (stage, 0, 0, false);
        (progress.best, progress.best_aupro, progress.best_epoch) = (None, 0.0, 0);
    }

    fn epoch(
        &mut self,
        stage: Stage,
        images: &Arc<Vec<ByteImage>>,
        options: &TrainOptions,
        listener: &mut dyn FnMut(&Event),
    ) -> Result<EpochRecord> {
        let settings = stage_config(self.config, stage);
        let per_epoch = epoch_images(self.config, images.len()).div_ceil(self.config.train.batch_size);
        let schedule = Schedule {
            peak: settings.learning_rate,
            warmup: settings.warmup_epochs * per_epoch as f64,
            total: settings.epochs() * per_epoch,
        };
        let epoch = self.progress.epoch;
        let started = Instant::now();
        let (mut losses, mut norms, mut count, mut learning_rate) = (0.0, 0.0, 0, 0.0);
        for (step, batch) in prepare(self.config, stage, epoch, images).into_iter().enumerate() {
            if options.stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            learning_rate = schedule.learning_rate(self.progress.step);
            let size = batch.size;
            // Masks are drawn apart from what the batches draw: another place, another generator.
            let rng = &mut generator(self.config.seed, stage, epoch, usize::MAX - 2 - step);
            let loss = loss(self.config, settings.task, &self.model, batch, rng);
            let gradients = self.model.gradients(loss.backward());
            let value = f64::from(
                loss.into_data().try_to_vec::<f32>().unwrap_or_default().first().copied().unwrap_or(f32::NAN),
            );
            if !value.is_finite() {
                let reason = format!("the loss is {value} in epoch {} of {}", epoch + 1, stage.name());
                return Err(Error::Training(reason));
            }
            let norm = self.step(gradients, learning_rate);
            if !norm.is_finite() {
                let reason = format!("the gradient is {norm} in epoch {} of {}", epoch + 1, stage.name());
                return Err(Error::Training(reason));
            }
            norms += norm;
            losses += value * size as f64;
            count += size;
            listener(&Event::Step { loss: value, images: size });
        }
        // Validation wants the memory.
        buffers::release();
        self.progress.epoch += 1;
        let steps = per_epoch.max(1) as f64;
        Ok(EpochRecord {
            stage,
            epoch: self.progress.epoch,
            loss: losses / count as f64,
            learning_rate,
            gradient_norm: norms / steps,
            images_per_second: count as f64 / started.elapsed().as_secs_f64(),
            ..EpochRecord::default()
        })
    }

    fn step(&mut self, gradients: Weights, learning_rate: f64) -> f64 {
        let train = &self.config.train;
        let settings =
            StepSettings { learning_rate, weight_decay: train.weight_decay, clip_norm: train.clip_norm };
        let (model, norm) = self.optimizer.step(self.model.clone(), gradients, settings);
        self.model = model;
        self.progress.step += 1;
        if let Some(ema) = &mut self.ema {
            // Young averages follow faster, so that the random start is soon forgotten.
            let step = self.progress.step as f64;
            let decay = train.ema_decay.min((1.0 + step) / (10.0 + step)) as f32;
            for (name, now) in self.model.weights() {
                if let Some(average) = ema.get_mut(&name) {
                    let pairs = average.values.iter_mut().zip(now.values);
                    pairs.for_each(|(a, n)| *a = decay * *a + (1.0 - decay) * n);
                }
            }
        }
        norm
    }

    /// Validates when it is time, keeps the best, and decides whether to stop early.
    fn judge(&mut self, stage: Stage, data: &TrainingData, record: &mut EpochRecord) -> Result<()> {
        let settings = stage_config(self.config, stage);
        let last = self.progress.epoch == settings.epochs();
        let due = settings.validate_every > 0
            && (self.progress.epoch.is_multiple_of(settings.validate_every) || last);
        let validation = if due { self.validate(data)? } else { None };
        if let Some(v) = validation {
            record.val_auroc = Some(v.auroc);
            record.val_f1 = Some(v.f1_max);
            record.val_aupro = v.aupro;
            record.val_threshold = Some(v.threshold);
        }
        // Fine-tuning is judged by AUROC, AUPRO between equals; pre-training, which has none, by its loss.
        let (figure, aupro) = match (stage, validation) {
            (Stage::Finetune, Some(v)) => (v.auroc, v.aupro.unwrap_or(0.0)),
            (Stage::Finetune, None) => return Ok(()),
            (Stage::Pretrain, _) => (-record.loss, 0.0),
        };
        let progress = &mut self.progress;
        if progress.best.is_none_or(|best| (figure, aupro) >= (best, progress.best_aupro)) {
            (progress.best, progress.best_aupro, progress.best_epoch) = (Some(figure), aupro, progress.epoch);
            if stage == Stage::Finetune {
                self.best = Some(self.scoring_weights());
            }
        }
        let progress = &mut self.progress;
        progress.stopped = settings.patience > 0 && progress.epoch - progress.best_epoch >= settings.patience;
        Ok(())
    }

    fn validate(&self, data: &TrainingData) -> Result<Option<Validation>> {
        let model = self.with_weights(self.scoring_weights())?;
        validate(&Detector::new(self.config.clone(), model), &data.validation)
    }

    fn scoring_weights(&self) -> Weights {
        self.ema.clone().unwrap_or_else(|| self.model.weights())
    }

    /// The best validated model, or the last one where nothing was validated.
    fn scoring_model(&self) -> Result<Mae> {
        self.with_weights(self.best.clone().unwrap_or_else(|| self.scoring_weights()))
    }

    fn with_weights(&self, weights: Weights) -> Result<Mae> {
        self.model.valid().with_weights(weights).map_err(Error::Training)
    }

    fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            progress: self.progress.clone(),
            weights: self.model.weights(),
            optimizer: self.optimizer.clone(),
            ema: self.ema.clone(),
            best: self.best.clone(),
        }
    }
}

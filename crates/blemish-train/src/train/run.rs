//! The training loop: two stages, one epoch after the other.

use std::fmt::{self, Display};
use std::sync::atomic::Ordering;
use std::time::Instant;

use blemish::engine::Weights;
use blemish::history::{EpochRecord, Stage};
use blemish::kernels::buffers;
use blemish::parts::network::Network;
use blemish::{Error, Result};

use super::batch::{Batch, Batches, generator, stage_config, task};
use super::checkpoint::{self, Checkpoint, Progress};
use super::event::Event;
use super::fit::TrainOptions;
use super::loader::each_prepared;
use super::objective::loss;
use super::optimizer::{AdamW, StepSettings};
use super::schedule::Schedule;
use super::validate::{Labelled, Validation, validate};
use crate::config::RunConfig;
use crate::model::Mae;

/// What a training gives.
pub struct Trained {
    /// The network's parameters.
    pub weights: Weights,
    /// Which they are.
    pub kept: Kept,
    /// Every epoch.
    pub history: Vec<EpochRecord>,
    /// Seconds of earlier processes of the same run.
    pub seconds_before: f64,
}

/// Which weights a training keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Those of the best validation of fine-tuning.
    BestValidation {
        /// The epoch, from 1.
        epoch: usize,
    },
    /// Those of the last epoch, where fine-tuning was never validated.
    Last {
        /// The stage.
        stage: Stage,
        /// The epoch, from 1.
        epoch: usize,
    },
}

impl Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BestValidation { epoch } => {
                write!(f, "weights of the best validation (epoch {epoch} of {})", Stage::Finetune.name())
            }
            Self::Last { stage, epoch } => {
                let stage = stage.name();
                write!(f, "weights of the last epoch (epoch {epoch} of {stage}), which were not validated")
            }
        }
    }
}

/// A training under way.
pub struct Run<'a> {
    config: &'a RunConfig,
    model: Mae,
    optimizer: AdamW,
    best: Option<Weights>,
    progress: Progress,
    seconds_before: f64,
}

impl<'a> Run<'a> {
    /// Begins anew, from `initial` weights where there are some, or goes on from a checkpoint.
    pub fn start(
        config: &'a RunConfig,
        options: &TrainOptions<'_>,
        checkpoint: Option<Checkpoint>,
        initial: Option<Weights>,
    ) -> Result<Self> {
        let device = options.device.clone().autodiff();
        let (detector, size) = (&config.detector, config.detector.view_size());
        let channels = detector.data.channels.unwrap_or(3);
        let Some(Checkpoint { progress, weights, optimizer, best }) = checkpoint else {
            let rng = &mut generator(detector.seed, Stage::Pretrain, 0, usize::MAX - 1);
            let model = match initial {
                Some(weights) => Mae::unset(&detector.model, size, channels, &device)
                    .with_weights(weights)
                    .map_err(|reason| Error::config("network.init", reason))?,
                None => Mae::new(&detector.model, size, channels, rng, &device),
            };
            let (optimizer, progress) = (AdamW::default(), Progress::new(config));
            return Ok(Self { config, model, optimizer, best: None, progress, seconds_before: 0.0 });
        };
        let at = options.folder.map(|lock| checkpoint::path(lock.folder())).unwrap_or_default();
        let model = Mae::unset(&detector.model, size, channels, &device)
            .with_weights(weights)
            .map_err(|reason| Error::model(at, reason))?;
        let seconds_before = progress.seconds;
        Ok(Self { config, model, optimizer, best, progress, seconds_before })
    }

    /// Runs what is left of both stages.
    pub fn finish(
        mut self,
        batches: &Batches<'_>,
        validation: &[Labelled],
        options: &TrainOptions<'_>,
        listener: &(dyn Fn(Event) + Sync),
    ) -> Result<Trained> {
        for stage in [Stage::Pretrain, Stage::Finetune] {
            self.stage(stage, batches, validation, options, listener)?;
        }
        let progress = self.progress;
        let (weights, kept) = match self.best {
            Some(best) => (best, Kept::BestValidation { epoch: progress.best_epoch }),
            None => (self.model.weights(), Kept::Last { stage: progress.stage, epoch: progress.epoch }),
        };
        Ok(Trained { weights, kept, history: progress.history, seconds_before: self.seconds_before })
    }

    fn stage(
        &mut self,
        stage: Stage,
        batches: &Batches<'_>,
        validation: &[Labelled],
        options: &TrainOptions<'_>,
        listener: &(dyn Fn(Event) + Sync),
    ) -> Result<()> {
        let epochs = stage_config(self.config, stage).epochs();
        if epochs == 0 || (stage == Stage::Pretrain && self.progress.stage == Stage::Finetune) {
            return Ok(());
        }
        if self.progress.stage != stage {
            self.enter(stage);
        }
        let done = self.progress.epoch;
        listener(Event::StageStarted { stage, done, epochs, epoch_images: batches.epoch_images() });
        while self.progress.epoch < epochs && !self.progress.stopped {
            let started = Instant::now();
            let mut record = self.epoch(stage, batches, options, listener)?;
            self.judge(stage, validation, options, &mut record)?;
            record.seconds = started.elapsed().as_secs_f64();
            self.progress.seconds += record.seconds;
            self.progress.history.push(record.clone());
            listener(Event::Epoch(record));
            if let Some(lock) = options.folder {
                listener(Event::CheckpointWritten(self.checkpoint().save(lock.folder())?));
            }
            if self.progress.stopped {
                listener(Event::StoppedEarly { stage, epoch: self.progress.epoch });
            }
        }
        Ok(())
    }

    /// A stage starts from the last weights of the one before, with a fresh optimiser.
    fn enter(&mut self, stage: Stage) {
        self.optimizer = AdamW::default();
        self.best = None;
        let progress = &mut self.progress;
        (progress.stage, progress.epoch, progress.step, progress.stopped) = (stage, 0, 0, false);
        (progress.best, progress.best_aupro, progress.best_epoch) = (None, 0.0, 0);
    }

    fn epoch(
        &mut self,
        stage: Stage,
        batches: &Batches<'_>,
        options: &TrainOptions<'_>,
        listener: &(dyn Fn(Event) + Sync),
    ) -> Result<EpochRecord> {
        let settings = stage_config(self.config, stage);
        let steps = batches.steps();
        let schedule = Schedule {
            peak: settings.learning_rate,
            warmup: self.config.warmup_epochs(settings) * steps as f64,
            total: settings.epochs() * steps,
        };
        let epoch = self.progress.epoch;
        let order = batches.order(stage, epoch);
        let batch_size = self.config.train.batch_size;
        let prepare = |step: usize| {
            let first = step * batch_size;
            batches.batch(stage, epoch, first, &order[first..order.len().min(first + batch_size)])
        };
        let started = Instant::now();
        let mut sum = EpochSum::default();
        each_prepared(steps, prepare, |step, batch| {
            if options.stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let learning_rate = schedule.learning_rate(epoch * steps + step);
            let images = batch.size;
            sum.images += images;
            sum.learning_rate = learning_rate;
            let (loss, norm) = self.step(stage, step, batch, learning_rate);
            if loss.is_finite() && norm.is_finite() {
                sum.counted += images;
                sum.loss += loss * images as f64;
                sum.norm += norm;
                listener(Event::Step { loss, images });
                return Ok(());
            }
            sum.skipped += 1;
            listener(Event::StepSkipped { stage, epoch: epoch + 1, loss, images });
            if 2 * sum.skipped <= steps {
                return Ok(());
            }
            let (epoch, stage, skipped) = (epoch + 1, stage.name(), sum.skipped);
            let reason = format!(
                "diverges: in epoch {epoch} of {stage} the loss ({loss}) or its gradient ({norm}) was not finite in \
                 {skipped} of {steps} steps; another seed or a larger train.batch_size may help"
            );
            Err(Error::Training(reason))
        })?;
        // Validation wants the memory.
        buffers::release();
        if sum.images != batches.epoch_images() {
            let (got, wanted) = (sum.images, batches.epoch_images());
            return Err(Error::Training(format!("an epoch had {got} images, not {wanted}")));
        }
        self.progress.epoch += 1;
        Ok(EpochRecord {
            stage,
            epoch: self.progress.epoch,
            loss: sum.loss / sum.counted as f64,
            learning_rate: sum.learning_rate,
            gradient_norm: sum.norm / (steps - sum.skipped) as f64,
            images_per_second: sum.images as f64 / started.elapsed().as_secs_f64(),
            skipped_steps: sum.skipped,
            ..EpochRecord::default()
        })
    }

    /// The loss and its gradient's norm. Where either is not finite, nothing has changed.
    fn step(&mut self, stage: Stage, step: usize, batch: Batch, learning_rate: f64) -> (f64, f64) {
        let (seed, epoch) = (self.config.detector.seed, self.progress.epoch);
        // Masks are drawn apart from what the batches draw: another place, another generator.
        let rng = &mut generator(seed, stage, epoch, usize::MAX - 2 - step);
        let loss = loss(self.config, task(self.config, stage), &self.model, batch, rng);
        let gradients = self.model.gradients(loss.backward());
        let value = loss.into_data().try_to_vec::<f32>().unwrap_or_default();
        let value = f64::from(value.first().copied().unwrap_or(f32::NAN));
        if !value.is_finite() {
            return (value, f64::NAN);
        }
        let train = &self.config.train;
        let settings =
            StepSettings { learning_rate, weight_decay: train.weight_decay, clip_norm: train.clip_norm };
        let (model, norm) = self.optimizer.step(self.model.clone(), gradients, settings);
        (self.model, self.progress.step) = (model, self.optimizer.step);
        (value, norm)
    }

    /// Validates when it is time, keeps the best, and decides whether to stop early.
    fn judge(
        &mut self,
        stage: Stage,
        validation: &[Labelled],
        options: &TrainOptions<'_>,
        record: &mut EpochRecord,
    ) -> Result<()> {
        let settings = stage_config(self.config, stage);
        let last = self.progress.epoch == settings.epochs();
        let due = settings.validate_every > 0
            && (self.progress.epoch.is_multiple_of(settings.validate_every) || last);
        let validation =
            if due && !validation.is_empty() { Some(self.validate(validation, options)?) } else { None };
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
                self.best = Some(self.model.weights());
            }
        }
        let progress = &mut self.progress;
        progress.stopped = settings.patience > 0 && progress.epoch - progress.best_epoch >= settings.patience;
        Ok(())
    }

    fn validate(&self, images: &[Labelled], options: &TrainOptions<'_>) -> Result<Validation> {
        let config = &self.config.detector;
        let network = Network::new(self.model.weights(), config).map_err(Error::Training)?;
        validate(&network, config, images, options.stop)
    }

    fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            progress: self.progress.clone(),
            weights: self.model.weights(),
            optimizer: self.optimizer.clone(),
            best: self.best.clone(),
        }
    }
}

/// What an epoch sums up.
#[derive(Default)]
struct EpochSum {
    /// Images seen.
    images: usize,
    /// Images of steps that were not skipped.
    counted: usize,
    loss: f64,
    norm: f64,
    learning_rate: f64,
    skipped: usize,
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::AtomicBool;

    use blemish::Image;
    use blemish::config::{Precision, Preset};
    use blemish::fit::Views;

    use super::*;
    use crate::config::Pose;

    const SIZE: usize = 32;

    fn tiny() -> RunConfig {
        let mut config = RunConfig::preset(Preset::Light);
        (config.detector.data.image_size, config.detector.data.channels) = ([SIZE, SIZE], Some(1));
        let model = &mut config.detector.model;
        (model.embed_dim, model.depth, model.num_heads, model.stem_dims) = (16, 3, 2, vec![4, 6, 8]);
        (model.decoder_embed_dim, model.decoder_num_heads) = (16, 2);
        let train = &mut config.train;
        (train.batch_size, train.epoch_images, train.precision) = (1, 0, Some(Precision::F32));
        (train.pretrain.epochs, train.finetune.epochs) = (Some(0), Some(1));
        train.defects.probability = 0.0;
        // Lighting augmentation would make numbers of what is none.
        train.pose = Pose::Published;
        config
    }

    /// Trains on 8 images, so many of which are not finite.
    fn with_broken(broken: usize) -> (Result<Trained>, usize) {
        let (config, stop) = (tiny(), AtomicBool::new(false));
        let mut views = Views::new([SIZE, SIZE], 1, config.detector.data.normalize).unwrap();
        for i in 0..8 {
            let value = |k: usize| if i < broken { f32::NAN } else { ((k * (i + 3)) % 7) as f32 / 7.0 };
            let pixels = (0..SIZE * SIZE).map(value).collect();
            views.push(String::new(), &Image { height: SIZE, width: SIZE, channels: 1, pixels }).unwrap();
        }
        let batches = Batches::new(&config, &views, 0..8, &stop);
        let skipped = Mutex::new(0);
        let listener = |event: Event| {
            if matches!(event, Event::StepSkipped { .. }) {
                *skipped.lock().unwrap() += 1;
            }
        };
        let options = TrainOptions::in_memory(&stop);
        let run = Run::start(&config, &options, None, None).unwrap();
        let trained = run.finish(&batches, &[], &options, &listener);
        (trained, skipped.into_inner().unwrap())
    }

    #[test]
    fn steps_that_are_not_finite_are_skipped_and_counted() {
        let (trained, skipped) = with_broken(2);
        let trained = trained.unwrap();
        assert_eq!((skipped, trained.history[0].skipped_steps), (2, 2));
        assert!(trained.history[0].loss.is_finite() && trained.history[0].gradient_norm.is_finite());
        assert!(trained.weights.values().all(|array| array.values.iter().all(|v| v.is_finite())));
        assert_eq!(trained.kept, Kept::Last { stage: Stage::Finetune, epoch: 1 });
    }

    #[test]
    fn a_training_whose_steps_are_mostly_skipped_is_an_error() {
        let error = with_broken(7).0.map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("epoch 1 of finetune") && error.contains("5 of 8 steps"), "{error}");
    }

    #[test]
    fn a_training_starts_from_the_weights_that_it_is_given() {
        let (config, stop) = (tiny(), AtomicBool::new(false));
        let options = TrainOptions::in_memory(&stop);
        let mut other = config.clone();
        other.detector.seed += 1;
        let weights = Run::start(&other, &options, None, None).unwrap().model.weights();
        let started = Run::start(&config, &options, None, Some(weights.clone())).unwrap();
        assert_eq!(started.model.weights(), weights);
        assert!(Run::start(&config, &options, None, None).unwrap().model.weights() != weights);
        other.detector.model.embed_dim *= 2;
        let error = Run::start(&other, &options, None, Some(weights)).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("network.init"), "{error}");
    }

    #[test]
    fn a_skipped_step_changes_nothing() {
        let (config, stop) = (tiny(), AtomicBool::new(false));
        let mut run = Run::start(&config, &TrainOptions::in_memory(&stop), None, None).unwrap();
        let before = run.model.weights();
        let values = |value| vec![value; SIZE * SIZE];
        let batch = Batch { size: 1, input: values(f32::NAN), target: values(0.5), defect: values(0.0) };
        assert!(run.step(Stage::Finetune, 0, batch.clone(), 1e-3).0.is_nan());
        assert_eq!((run.model.weights(), run.optimizer.step, run.progress.step), (before.clone(), 0, 0));
        let batch = Batch { input: values(0.25), ..batch };
        assert!(run.step(Stage::Finetune, 1, batch, 1e-3).0.is_finite());
        assert!(run.model.weights() != before && run.progress.step == 1);
    }
}

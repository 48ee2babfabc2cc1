//! The loop of a pre-training.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor};

use super::batch::{Batch, Draw, generator, prepare};
use super::checkpoint::{Checkpoint, OBJECTIVE, Progress};
use super::config::{CHANNELS, PretrainConfig};
use super::event::{PretrainEvent, StepRecord};
use super::filters::begin_with_filters;
use super::objective::{Loss, objective};

use crate::model::Mae;
use crate::train::{AdamW, Schedule, StepSettings};
use blemish::config::Precision;
use blemish::engine::Weights;
use blemish::kernels::reduce::sum_squares;
use blemish::pretrained::{Pretrained, PretrainedOrigin};
use blemish::{Error, Result};

/// The file of the weights in a run's folder.
pub const WEIGHTS: &str = "light.safetensors";
/// Steps whose speed says how many fit into the minutes asked for; the first of them are not counted.
const MEASURED: usize = 40;
const UNCOUNTED: usize = 10;
/// Steps that a record is the mean of.
const RECORD: usize = 20;

/// How long a pre-training is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    /// So many steps.
    Steps(usize),
    /// As many steps as fit into so many minutes from now on, by the speed of the first ones.
    Minutes(f64),
}

/// How a pre-training is run; none of it changes what a given number of steps gives.
#[derive(Clone, Debug)]
pub struct PretrainOptions {
    /// Checkpoint and weights go here.
    pub folder: PathBuf,
    /// How long; absent: as long as the run that is resumed.
    pub length: Option<Length>,
    /// Goes on from the folder's checkpoint.
    pub resume: bool,
    /// Weights that a new run starts from, by name; what they lack is drawn.
    pub init: Option<Weights>,
    /// Between checkpoints.
    pub save_every: Duration,
    /// Where it is computed.
    pub device: Device,
    /// What products are computed in.
    pub precision: Precision,
    /// The command that is noted in the weights' file.
    pub command: String,
    /// The commit of the program that is noted there.
    pub commit: Option<String>,
    /// Asks to stop after the current step.
    pub stop: Arc<AtomicBool>,
}

/// Pre-trains, and returns the weights' file.
///
/// # Errors
/// Settings or a checkpoint that cannot be used, files that cannot be written, [`Error::Interrupted`] when asked to stop.
pub fn pretrain(
    config: &PretrainConfig,
    options: &PretrainOptions,
    listener: &mut dyn FnMut(&PretrainEvent),
) -> Result<PathBuf> {
    config.validate()?;
    let mut run = Run::start(config, options)?;
    listener(&PretrainEvent::Started { done: run.progress.step, parameters: run.model.parameter_count() });
    if let Some(steps) = run.progress.steps {
        listener(&PretrainEvent::Length { steps });
    }
    run.steps(options, listener)?;
    run.save(options, listener)
}

struct Run<'a> {
    config: &'a PretrainConfig,
    model: Mae,
    optimizer: AdamW,
    ema: Weights,
    progress: Progress,
}

impl<'a> Run<'a> {
    fn start(config: &'a PretrainConfig, options: &PretrainOptions) -> Result<Self> {
        let device = options.device.clone().autodiff();
        let mut run = if options.resume {
            let mut checkpoint = Checkpoint::load(&options.folder, config)?;
            let optimizer = checkpoint.optimizer();
            let Checkpoint { progress, weights, ema, .. } = checkpoint;
            let model = Mae::unset(&config.model, config.image_size, CHANNELS, &device);
            let bad = |reason| Error::model(super::checkpoint::path(&options.folder), reason);
            let model = model.with_weights(weights).map_err(bad)?;
            Self { config, model, optimizer, ema, progress }
        } else {
            let rng = &mut generator(config.seed, Draw::Weights, 0, 0);
            let model = Mae::new(&config.model, config.image_size, CHANNELS, rng, &device);
            let mut weights = model.weights();
            begin_with_filters(&mut weights);
            if let Some(init) = &options.init {
                weights.extend(init.iter().map(|(name, array)| (name.clone(), array.clone())));
            }
            let bad = |reason| Error::Training(format!("the weights to start from do not fit: {reason}"));
            let model = model.with_weights(weights).map_err(bad)?;
            let ema = model.weights();
            let progress = Progress {
                objective: OBJECTIVE,
                config: config.clone(),
                step: 0,
                steps: None,
                changed: Vec::new(),
                taken: 0,
                scenes: 0,
                seconds: 0.0,
            };
            Self { config, model, optimizer: AdamW::default(), ema, progress }
        };
        match options.length {
            Some(Length::Steps(steps)) => run.set_length(steps),
            // Measured anew, from here on.
            Some(Length::Minutes(_)) => {}
            None if run.progress.steps.is_none() => {
                return Err(Error::config("pretrain.steps", "the number of steps or minutes is needed"));
            }
            None => {}
        }
        Ok(run)
    }

    fn set_length(&mut self, steps: usize) {
        let steps = steps.max(self.progress.step);
        if self.progress.steps.is_some_and(|former| former != steps) {
            self.progress.changed.push([self.progress.step, steps]);
        }
        self.progress.steps = Some(steps);
    }

    fn steps(&mut self, options: &PretrainOptions, listener: &mut dyn FnMut(&PretrainEvent)) -> Result<()> {
        let clock = Clock { began: Instant::now(), before: self.progress.seconds };
        let (mut saved, mut measured) = (Instant::now(), Instant::now());
        let first = self.progress.step;
        let mut minutes = match options.length {
            Some(Length::Minutes(minutes)) => Some(minutes),
            _ => None,
        };
        let mut means = Means::default();
        // As many as could ever be asked for; the receiver is dropped at the end.
        let batches = prepare(self.config, first..usize::MAX);
        while minutes.is_some() || self.progress.steps.is_none_or(|steps| self.progress.step < steps) {
            if options.stop.load(Ordering::Relaxed) {
                self.save(options, listener)?;
                return Err(Error::Interrupted);
            }
            let batch = batches
                .recv()
                .map_err(|_| Error::Training("the thread that draws images ended".to_owned()))?;
            self.step(&batch, options.precision, &mut means, listener);
            self.progress.seconds = clock.seconds();
            let here = self.progress.step - first;
            if here == UNCOUNTED {
                measured = Instant::now();
            }
            if let Some(asked) = minutes.filter(|_| here == MEASURED) {
                let each = measured.elapsed().as_secs_f64() / (MEASURED - UNCOUNTED) as f64;
                let left = (asked * 60.0 - clock.began.elapsed().as_secs_f64()).max(0.0);
                self.set_length(self.progress.step + (left / each) as usize);
                listener(&PretrainEvent::Length { steps: self.progress.steps.unwrap_or_default() });
                minutes = None;
            }
            if self.progress.step.is_multiple_of(RECORD) {
                listener(&PretrainEvent::Steps(means.take(&self.progress)));
            }
            if saved.elapsed() >= options.save_every {
                self.save(options, listener)?;
                saved = Instant::now();
            }
        }
        Ok(())
    }

    fn step(
        &mut self,
        batch: &Batch,
        precision: Precision,
        means: &mut Means,
        listener: &mut dyn FnMut(&PretrainEvent),
    ) {
        let schedule = Schedule {
            peak: self.config.learning_rate,
            warmup: self.config.warmup as f64,
            // Until the length is settled the rate still rises.
            total: self.progress.steps.unwrap_or(usize::MAX),
        };
        let learning_rate = schedule.learning_rate(self.progress.step);
        let model = self.model.at_size(batch.size());
        let Loss { total, parts } = objective(self.config, &model, batch, precision);
        let loss = read(&total);
        let gradients = model.gradients(total.backward());
        let norm = gradients.values().map(|g| sum_squares(&g.values)).sum::<f64>().sqrt();
        drop(model);
        if loss.is_finite() && norm.is_finite() {
            self.update(gradients, learning_rate);
            means.add(loss, norm, learning_rate, parts.iter().map(|(name, part)| (*name, read(part))));
        } else {
            listener(&PretrainEvent::Skipped { step: self.progress.step });
        }
        self.progress.step += 1;
        self.progress.scenes += batch.scenes();
    }

    fn update(&mut self, gradients: Weights, learning_rate: f64) {
        let (weight_decay, clip_norm) = (self.config.weight_decay, self.config.clip_norm);
        let settings = StepSettings { learning_rate, weight_decay, clip_norm };
        let (model, _) = self.optimizer.step(self.model.clone(), gradients, settings);
        self.model = model;
        self.progress.taken += 1;
        // Young averages follow faster, so that the random start is soon forgotten.
        let taken = self.progress.taken as f64;
        let decay = self.config.ema_decay.min((1.0 + taken) / (10.0 + taken)) as f32;
        for (name, now) in self.model.weights() {
            if let Some(average) = self.ema.get_mut(&name) {
                let pairs = average.values.iter_mut().zip(now.values);
                pairs.for_each(|(a, n)| *a = decay * *a + (1.0 - decay) * n);
            }
        }
    }

    /// Writes the checkpoint, and the moving average as weights.
    fn save(&self, options: &PretrainOptions, listener: &mut dyn FnMut(&PretrainEvent)) -> Result<PathBuf> {
        let checkpoint = Checkpoint {
            progress: self.progress.clone(),
            weights: self.model.weights(),
            first: self.optimizer.first.clone(),
            second: self.optimizer.second.clone(),
            ema: self.ema.clone(),
        };
        checkpoint.save(&options.folder)?;
        let path = options.folder.join(WEIGHTS);
        self.export(&path, options)?;
        listener(&PretrainEvent::Saved { step: self.progress.step, weights: path.clone() });
        Ok(path)
    }

    fn export(&self, path: &Path, options: &PretrainOptions) -> Result<()> {
        let Progress { step, steps, scenes, .. } = self.progress;
        let origin = PretrainedOrigin {
            command: options.command.clone(),
            commit: options.commit.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seed: self.config.seed,
            steps: step,
            of_steps: steps,
            changed: self.progress.changed.clone(),
            skipped: step - self.progress.taken,
            images: scenes,
            families: super::scenes::FAMILIES.to_owned(),
            objective: serde_json::to_value(&self.config.objective).unwrap_or_default(),
        };
        let (model, image_size) = (self.config.model.clone(), self.config.image_size);
        let (weights, projections, decoder) = (self.ema.clone(), Vec::new(), Weights::new());
        Pretrained { model, image_size, channels: CHANNELS, weights, projections, decoder, origin }.save(path)
    }
}

/// The time of a run, of which earlier processes may have done a part.
struct Clock {
    began: Instant,
    before: f64,
}

impl Clock {
    fn seconds(&self) -> f64 {
        self.before + self.began.elapsed().as_secs_f64()
    }
}

/// What a record is the mean of.
#[derive(Default)]
struct Means {
    count: usize,
    loss: f64,
    norm: f64,
    learning_rate: f64,
    parts: BTreeMap<String, (f64, usize)>,
    since: Option<(usize, f64)>,
}

impl Means {
    fn add<'a>(
        &mut self,
        loss: f64,
        norm: f64,
        learning_rate: f64,
        parts: impl Iterator<Item = (&'a str, f64)>,
    ) {
        self.count += 1;
        self.loss += loss;
        self.norm += norm;
        self.learning_rate = learning_rate;
        for (name, value) in parts {
            let part = self.parts.entry(name.to_owned()).or_default();
            *part = (part.0 + value, part.1 + 1);
        }
    }

    fn take(&mut self, progress: &Progress) -> StepRecord {
        let count = self.count.max(1) as f64;
        let now = (progress.scenes, progress.seconds);
        let speed = self.since.map(|(scenes, seconds)| (now.0 - scenes) as f64 / (now.1 - seconds).max(1e-9));
        let record = StepRecord {
            step: progress.step,
            steps: progress.steps,
            scenes: progress.scenes,
            loss: self.loss / count,
            parts: self.parts.iter().map(|(name, (sum, n))| (name.clone(), sum / *n as f64)).collect(),
            gradient_norm: self.norm / count,
            learning_rate: self.learning_rate,
            skipped: progress.step - progress.taken,
            scenes_per_second: speed.unwrap_or(now.0 as f64 / now.1.max(1e-9)),
            seconds: progress.seconds,
        };
        *self = Self { since: Some(now), ..Self::default() };
        record
    }
}

fn read(value: &Tensor<1>) -> f64 {
    let values: Vec<f32> = value.clone().into_data().try_into_vec().unwrap_or_default();
    values.first().map_or(f64::NAN, |v| f64::from(*v))
}

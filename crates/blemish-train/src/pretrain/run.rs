//! The loop of a run that learns on generated scenes: schedule, moving average, records and checkpoints.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use burn::tensor::Device;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::batch::prepare;
use super::checkpoint::{Checkpoint, OBJECTIVE, Progress};
use super::event::{PretrainEvent, StepRecord};
use crate::train::{AdamW, Schedule, StepSettings};
use blemish::config::Precision;
use blemish::engine::Weights;
use blemish::kernels::reduce::sum_squares;
use blemish::pretrained::Pretrained;
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

/// What a run learns on generated scenes.
pub(super) trait Learner: Sized {
    /// All that the result of a given number of steps depends on.
    type Config: Clone + PartialEq + Serialize + DeserializeOwned;
    /// What is drawn for a step.
    type Drawn: Send + 'static;

    /// How fast it learns.
    fn rates(&self) -> Rates;
    /// Draws what a step needs: a function of settings and step.
    fn drawing(&self) -> impl Fn(usize) -> Result<Self::Drawn> + Send + 'static;
    /// Generated scenes, the photos of a scene counting as one.
    fn scenes(drawn: &Self::Drawn) -> usize;
    /// What is learnt, by name.
    fn weights(&self) -> Weights;
    /// The loss of what was drawn, and its gradients.
    fn look(&self, drawn: &Self::Drawn) -> Looked;
    /// Follows the gradients.
    fn follow(&mut self, optimizer: &mut AdamW, gradients: Weights, settings: StepSettings);
    /// The weights' file, of the moving average of what is learnt.
    fn learnt(
        &self,
        average: Weights,
        progress: &Progress<Self::Config>,
        options: &PretrainOptions,
    ) -> Pretrained;
}

/// How fast a run learns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    /// Peak of the learning rate, and steps of linear warm-up before its cosine.
    pub learning_rate: f64,
    pub warmup: usize,
    /// Decoupled weight decay, and the norm that gradients are scaled down to; 0: never.
    pub weight_decay: f64,
    pub clip_norm: f64,
    /// Decay of the moving average that is exported.
    pub ema_decay: f64,
}

/// What a look at a step's images says.
#[derive(Default)]
pub(super) struct Looked {
    pub loss: f64,
    /// The parts of the loss, by name, before weighting.
    pub parts: Vec<(&'static str, f64)>,
    pub gradients: Weights,
}

/// Learns, and returns the weights' file. `begin` makes the learner, anew or with what was learnt before.
///
/// # Errors
/// Those of `begin`; a checkpoint that cannot be used, files that cannot be written, [`Error::Interrupted`] when asked to stop.
pub(super) fn run<L: Learner>(
    config: &L::Config,
    options: &PretrainOptions,
    listener: &mut dyn FnMut(&PretrainEvent),
    begin: impl FnOnce(Option<Weights>) -> Result<L, String>,
) -> Result<PathBuf> {
    let mut run = Run::start(config, options, begin)?;
    let parameters = run.ema.values().map(|array| array.values.len()).sum();
    listener(&PretrainEvent::Started { done: run.progress.step, parameters });
    if let Some(steps) = run.progress.steps {
        listener(&PretrainEvent::Length { steps });
    }
    run.steps(options, listener)?;
    run.save(options, listener)
}

struct Run<L: Learner> {
    learner: L,
    optimizer: AdamW,
    ema: Weights,
    progress: Progress<L::Config>,
}

impl<L: Learner> Run<L> {
    fn start(
        config: &L::Config,
        options: &PretrainOptions,
        begin: impl FnOnce(Option<Weights>) -> Result<L, String>,
    ) -> Result<Self> {
        let mut run = if options.resume {
            let mut checkpoint = Checkpoint::load(&options.folder, config)?;
            let optimizer = checkpoint.optimizer();
            let Checkpoint { progress, weights, ema, .. } = checkpoint;
            let bad = |reason| Error::model(super::checkpoint::path(&options.folder), reason);
            Self { learner: begin(Some(weights)).map_err(bad)?, optimizer, ema, progress }
        } else {
            let bad = |reason| Error::Training(format!("the weights to start from do not fit: {reason}"));
            let learner = begin(None).map_err(bad)?;
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
            Self { ema: learner.weights(), learner, optimizer: AdamW::default(), progress }
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
        let all = prepare(self.learner.drawing(), first..usize::MAX);
        while minutes.is_some() || self.progress.steps.is_none_or(|steps| self.progress.step < steps) {
            if options.stop.load(Ordering::Relaxed) {
                self.save(options, listener)?;
                return Err(Error::Interrupted);
            }
            let drawn = all
                .recv()
                .map_err(|_| Error::Training("the thread that draws images ended".to_owned()))??;
            self.step(&drawn, &mut means, listener);
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

    fn step(&mut self, drawn: &L::Drawn, means: &mut Means, listener: &mut dyn FnMut(&PretrainEvent)) {
        let Rates { learning_rate: peak, warmup, weight_decay, clip_norm, ema_decay } = self.learner.rates();
        // Until the length is settled the rate still rises.
        let total = self.progress.steps.unwrap_or(usize::MAX);
        let learning_rate = Schedule { peak, warmup: warmup as f64, total }.learning_rate(self.progress.step);
        let Looked { loss, parts, gradients } = self.learner.look(drawn);
        let norm = gradients.values().map(|g| sum_squares(&g.values)).sum::<f64>().sqrt();
        if loss.is_finite() && norm.is_finite() {
            let settings = StepSettings { learning_rate, weight_decay, clip_norm };
            self.learner.follow(&mut self.optimizer, gradients, settings);
            self.average(ema_decay);
            means.add(loss, norm, learning_rate, parts);
        } else {
            listener(&PretrainEvent::Skipped { step: self.progress.step });
        }
        self.progress.step += 1;
        self.progress.scenes += L::scenes(drawn);
    }

    /// Moves the average towards what is learnt. Young averages follow faster, so that the start is soon forgotten.
    fn average(&mut self, ema_decay: f64) {
        self.progress.taken += 1;
        let taken = self.progress.taken as f64;
        let decay = ema_decay.min((1.0 + taken) / (10.0 + taken)) as f32;
        for (name, now) in self.learner.weights() {
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
            weights: self.learner.weights(),
            first: self.optimizer.first.clone(),
            second: self.optimizer.second.clone(),
            ema: self.ema.clone(),
        };
        checkpoint.save(&options.folder)?;
        let path = options.folder.join(WEIGHTS);
        self.learner.learnt(self.ema.clone(), &self.progress, options).save(&path)?;
        listener(&PretrainEvent::Saved { step: self.progress.step, weights: path.clone() });
        Ok(path)
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
    fn add(&mut self, loss: f64, norm: f64, learning_rate: f64, parts: Vec<(&'static str, f64)>) {
        self.count += 1;
        self.loss += loss;
        self.norm += norm;
        self.learning_rate = learning_rate;
        for (name, value) in parts {
            let part = self.parts.entry(name.to_owned()).or_default();
            *part = (part.0 + value, part.1 + 1);
        }
    }

    fn take<C>(&mut self, progress: &Progress<C>) -> StepRecord {
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

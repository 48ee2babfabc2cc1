//! One training from data set to model file: what `train`, `benchmark` and `demo` share.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use blemish::config::{Align, Config, Use};
use blemish::dataset::{DataSet, Problem};
use blemish::fit::FitEvent;
use blemish::model_file::Provenance;
use blemish::{Detector, Images};
use blemish_synthetic::PhotoDefects;
use blemish_train::{Device, Event, Protocol, RunConfig, TrainOptions, fit};

use crate::args::Split;
use crate::date::today;
use crate::failure::{Failure, Result};
use crate::output::{Output, colours, counted, warn_of};
use crate::progress::{Progress, duration};
use crate::run_folder::{RunFolder, Source};
use crate::settings::{NetworkArgs, Settings};
use crate::stop::Stop;

/// All that a training needs.
pub struct Session {
    /// The data set.
    pub set: DataSet,
    /// Which of its images do what.
    pub source: Source,
    /// The configuration, before the survey of the training images.
    pub config: RunConfig,
    /// Minutes to scale a network's training to.
    pub budget: Option<f64>,
    /// Whether what will be found is estimated, and millimetres a pixel where they are known.
    pub estimate: Option<Option<f64>>,
    /// Where everything is written.
    pub folder: RunFolder,
    /// Where to compute.
    pub device: Device,
    /// Set to stop.
    pub stop: Stop,
}

/// What a training gave.
pub struct Trained {
    /// The detector, as it is in the model file.
    pub detector: Detector,
    /// The model file.
    pub model: PathBuf,
    /// The data set.
    pub set: DataSet,
    /// Which of its images did what.
    pub source: Source,
    /// Good images that were fitted on.
    pub images: usize,
    /// Files that were left out.
    pub problems: Vec<Problem>,
}

impl Session {
    /// A session with the user's settings, or, in a folder whose run goes on, with that run's own.
    ///
    /// # Errors
    /// Settings that cannot work; a run of another product.
    pub fn new(
        set: DataSet,
        source: Source,
        (settings, network): (&Settings, &NetworkArgs),
        folder: RunFolder,
        device: Device,
        stop: Stop,
    ) -> Result<Self> {
        if !folder.is_resumed() {
            let config = settings.config(&set.category, network)?;
            let (budget, estimate) = (network.finetune, None);
            return Ok(Self { set, source, config, budget, estimate, folder, device, stop });
        }
        let (config, source) = folder.load()?;
        let shown = folder.path().display();
        if source.category != set.category {
            let (old, new) = (&source.category, &set.category);
            return Err(Failure::Usage(format!(
                "the run in {shown} is of product '{old}': it cannot go on with '{new}'"
            )));
        }
        if settings.seed.is_some_and(|seed| seed != config.detector.seed) {
            return Err(Failure::Usage(format!("the run in {shown} has seed {}", config.detector.seed)));
        }
        Ok(Self { set, source, config, budget: None, estimate: None, folder, device, stop })
    }

    /// Fits, and writes the model file.
    ///
    /// # Errors
    /// Images or settings that cannot be used; files that cannot be written; Ctrl-C.
    pub fn run(self, output: &Output) -> Result<Trained> {
        warn_of(&self.set.problems);
        if self.folder.is_resumed() {
            tracing::info!("resuming the run in {}", self.folder.path().display());
        }
        // Once more when it is settled: until then it can be resumed, too.
        let begun = self.folder.begin(&self.config, &self.source);
        let fitted = begun.and_then(|()| self.fit(output)).and_then(|(detector, log)| {
            let origin = detector.provenance().clone();
            let history = detector.history().to_vec();
            let provenance = Provenance {
                data: self.source.data.join(", "),
                category: self.source.category.clone(),
                fitted: today(),
                ..origin
            };
            let detector = detector.with_origin(provenance, history);
            detector.save(self.folder.model())?;
            Ok((detector, log, self.folder.finish()?))
        });
        let (detector, log, model) = fitted.inspect_err(|failure| {
            if failure.code() != 130 {
                self.folder.give_up();
            }
        })?;
        let mut problems = self.set.problems.clone();
        problems.extend(log.problems);
        Ok(Trained { detector, model, set: self.set, source: self.source, images: log.images, problems })
    }

    fn fit(&self, output: &Output) -> Result<(Detector, FitLog)> {
        let protocol = match self.source.split {
            Split::Holdout => Protocol::Holdout,
            Split::Diyt => Protocol::Diyt { test: self.set.test.clone() },
        };
        let mask = self.source.masks.mask()?;
        let options = TrainOptions {
            folder: Some(self.folder.lock()),
            resume: self.folder.is_resumed(),
            device: self.device.clone(),
            on_error: self.source.on_error.into(),
            budget: self.budget,
            defects: self.estimate.map(|mm_per_pixel| (&PhotoDefects as _, mm_per_pixel)),
            ignore: mask.as_ref(),
            stop: self.stop.flag(),
        };
        let log = Mutex::new(FitLog::new(output));
        let listener = |event: Event| {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(failure) = log.record(&event, self) {
                // Stops the training; what is then told is this failure.
                log.failed.get_or_insert(failure);
                self.stop.flag().store(true, Ordering::Relaxed);
            }
        };
        let result = fit(&Images::from(&self.set), &self.config, &protocol, &options, &listener);
        let mut log = log.into_inner().unwrap_or_else(PoisonError::into_inner);
        log.progress.clear();
        match (log.failed.take(), result) {
            (Some(failure), _) => {
                self.stop.flag().store(false, Ordering::Relaxed);
                Err(failure)
            }
            (None, result) => Ok((result?, log)),
        }
    }
}

/// What a fit has told.
struct FitLog {
    progress: Progress,
    images: usize,
    problems: Vec<Problem>,
    failed: Option<Failure>,
}

impl FitLog {
    fn new(output: &Output) -> Self {
        Self { progress: Progress::new(output), images: 0, problems: Vec::new(), failed: None }
    }

    fn record(&mut self, event: &Event, session: &Session) -> Result<()> {
        match event {
            Event::Fit(FitEvent::Surveyed { facts }) => {
                self.progress.clear();
                facts.iter().for_each(|fact| tracing::debug!("{fact}"));
            }
            Event::Fit(FitEvent::Prepared { images, problems, config }) => {
                self.progress.clear();
                warn_of(problems);
                self.images = *images;
                self.problems.extend(problems.iter().cloned());
                announce(&session.set.category, *images, problems.len(), config);
            }
            Event::Fit(FitEvent::Warning { text }) => {
                self.progress.clear();
                tracing::warn!("warning: {text}");
            }
            Event::Fit(FitEvent::Step { stage, done, total }) => self.progress.step(stage, *done, *total),
            Event::Settled(config) => session.folder.begin(config, &session.source)?,
            Event::Divided { train, holdout, validation, problems } => {
                warn_of(problems);
                self.problems.extend(problems.iter().cloned());
                tracing::debug!(
                    "the network is trained on {train} images, {holdout} are held out, {validation} validate it"
                );
            }
            Event::Estimated(estimate) => tracing::info!(
                "training the network will take about {}: {} epochs of {} images, {:.1} images/s",
                duration(60.0 * estimate.minutes),
                estimate.epochs,
                estimate.epoch_images,
                estimate.images_per_second
            ),
            event => {
                self.progress.show(event);
                session.folder.log(event)?;
            }
        }
        Ok(())
    }
}

/// What will be fitted on: how many images, of what kind.
fn announce(category: &str, images: usize, left_out: usize, config: &Config) {
    let channels = colours(config.data.channels.unwrap_or(3));
    let skipped = match left_out {
        0 => String::new(),
        n => format!(", {} left out", counted(n, "file", "files")),
    };
    tracing::info!(
        "{category}: {}{skipped}, {channels}: {}",
        counted(images, "good image", "good images"),
        kind(config)
    );
    let [height, width] = config.view_size();
    match config.view().scale {
        Some(scale) => {
            tracing::info!(
                "the images have many sizes: all keep their scale, times {scale}, and none is stretched"
            );
        }
        None => tracing::debug!("preset {}, views of {height} x {width} pixels", config.preset.name()),
    }
    if images == 1 {
        tracing::warn!("warning: a single good image shows nothing of how good images vary: add more");
    }
}

/// What the images show, in words.
fn kind(config: &Config) -> &'static str {
    match () {
        () if config.view().product.is_some() => "a product in arbitrary orientation, which is rectified",
        () if config.data.align == Align::Always => "a product in a fixed pose",
        () if config.texture == Use::Always => "a surface, or a product in any pose",
        () => "a product whose pose varies",
    }
}

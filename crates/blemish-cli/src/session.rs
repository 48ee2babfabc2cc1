//! One training from data set to model file: what `train`, `benchmark` and `demo` share.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use blemish_train::Device;
use blemish::config::{MapKind, RunConfig};
use blemish::dataset::{DataSet, Problem, detect_channels};
use blemish::image::DecodeOptions;
use blemish::model_file::Provenance;
use blemish::view::Profile;
use blemish::detector::Detector;
use blemish_train::train::{self, TrainOptions, TrainingData};

use crate::date::today;
use crate::failure::{Failure, Result};
use crate::output::{Output, colours};
use crate::plan::announce;
use crate::progress::Progress;
use crate::run_folder::{RunFolder, Source};
use crate::settings::Settings;

/// Problems that are named one by one.
const NAMED_PROBLEMS: usize = 10;

/// All that a training needs.
pub struct Session {
    /// The data set.
    pub set: DataSet,
    /// Which of its images do what.
    pub source: Source,
    /// The configuration, before the training images were looked at.
    pub config: RunConfig,
    /// Minutes to scale the epochs to.
    pub budget: Option<f64>,
    /// Where everything is written.
    pub folder: RunFolder,
    /// Where to compute.
    pub device: Device,
    /// Set to stop.
    pub stop: Arc<AtomicBool>,
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
    /// Good images that were learnt from, and that were held out.
    pub images: [usize; 2],
    /// Files that were left out.
    pub problems: Vec<Problem>,
}

impl Session {
    /// A session with the user's settings, or, in a folder whose run goes on, with that run's own.
    pub fn new(
        set: DataSet,
        source: Source,
        settings: &Settings,
        folder: RunFolder,
        device: Device,
        stop: Arc<AtomicBool>,
    ) -> Result<Self> {
        if !folder.is_resumed() {
            let config = settings.config(&set.category)?;
            return Ok(Self { set, source, config, budget: settings.budget, folder, device, stop });
        }
        let (config, source) = folder.load()?;
        let shown = folder.path().display();
        if source.category != set.category {
            let (old, new) = (&source.category, &set.category);
            return Err(Failure::Usage(format!(
                "the run in {shown} learns '{old}': it cannot go on with '{new}'"
            )));
        }
        if settings.seed.is_some_and(|seed| seed != config.seed) {
            return Err(Failure::Usage(format!("the run in {shown} has seed {}", config.seed)));
        }
        Ok(Self { set, source, config, budget: None, folder, device, stop })
    }

    /// Trains, and writes the model file.
    pub fn run(mut self, output: &Output) -> Result<Trained> {
        warn_of(&self.set.problems);
        if self.config.data.channels.is_none() {
            self.config.data.channels = Some(detect_channels(&self.set.train, self.config.data.max_pixels)?);
        }
        self.config.validate()?;
        let profile = self.survey()?;
        let data = self.load()?;
        if self.folder.is_resumed() {
            tracing::info!("resuming the run in {}", self.folder.path().display());
        } else {
            announce(&mut self.config, &data, self.budget, &self.device);
            self.folder.begin(&self.config, &self.source)?;
        }
        let detector = self.train(&data, output)?;
        if self.config.score.map == MapKind::Fused {
            tracing::info!("the score is made of: {}", detector.normal().describe(&detector.config().score));
        }
        let provenance = Provenance {
            data: self.source.data.clone(),
            category: self.source.category.clone(),
            trained: today(),
            split: self.source.protocol().describe(),
            profile: profile.describe(),
            ..detector.provenance().clone()
        };
        let history = detector.history().to_vec();
        let detector = detector.with_origin(provenance, history);
        let model = self.folder.model();
        detector.to_file().save(&model)?;
        let images = [data.train.len(), data.holdout.len()];
        let mut problems = self.set.problems.clone();
        problems.extend(data.problems);
        Ok(Trained { detector, model, set: self.set, source: self.source, images, problems })
    }

    /// Looks at the training images, and settles what depends on them.
    fn survey(&mut self) -> Result<Profile> {
        let config = &mut self.config;
        let decoding = DecodeOptions { max_pixels: config.data.max_pixels, channels: config.data.channels };
        let profile = Profile::survey(&self.set.train, &decoding)?;
        profile.describe().iter().for_each(|fact| tracing::info!("{fact}"));
        config.resolve(config.data.channels.unwrap_or(3), &profile);
        config.validate()?;
        let turns = config.train.geometric.rotation_degrees;
        let [h, w] = config.view_size();
        tracing::info!(
            "preset {}, {h} x {w} pixels{}, {}; augmentation turns images by up to {turns} degrees",
            config.preset.name(),
            if config.view().product.is_some() { " of the turned product" } else { "" },
            colours(config.data.channels.unwrap_or(3))
        );
        if config.data.tiles > 1 && config.score.hears_network() {
            let [h, w] = config.input_size();
            tracing::info!("the network sees tiles of {h} x {w} pixels, which overlap by half");
        }
        Ok(profile)
    }

    fn load(&self) -> Result<TrainingData> {
        let protocol = self.source.protocol();
        let data = TrainingData::load(&self.config, &self.set, &protocol, self.source.on_error.into())?;
        warn_of(&data.problems);
        let [train, holdout, validation] = [data.train.len(), data.holdout.len(), data.validation.len()];
        tracing::info!(
            "{}: {train} good images to learn from, {holdout} held out, {validation} to validate with",
            self.set.category
        );
        tracing::info!("{}", protocol.describe());
        if holdout == 0 {
            tracing::warn!(
                "warning: no good image is held out: the thresholds come from images that the model has learnt, and \
                 may be too low"
            );
        }
        if validation == 0 {
            tracing::warn!("warning: nothing to validate with: the last epoch counts, not the best");
        }
        Ok(data)
    }

    fn train(&self, data: &TrainingData, output: &Output) -> Result<Detector> {
        let options = TrainOptions {
            folder: Some(self.folder.path().to_path_buf()),
            resume: self.folder.is_resumed(),
            device: self.device.clone(),
            stop: Arc::clone(&self.stop),
        };
        let mut progress = Progress::new(output);
        let mut failed = None;
        let result = train::train(&self.config, data, &options, &mut |event| {
            progress.show(event);
            if let Err(failure) = self.folder.log(event) {
                // Stops the training; what it then returns is this failure.
                failed.get_or_insert(failure);
                self.stop.store(true, Ordering::Relaxed);
            }
        });
        progress.clear();
        match (failed, result) {
            (Some(failure), _) => {
                self.stop.store(false, Ordering::Relaxed);
                Err(failure)
            }
            (None, result) => Ok(result?),
        }
    }
}

/// Names files that were left out, not all of them if there are many.
fn warn_of(problems: &[Problem]) {
    for Problem { path, reason } in problems.iter().take(NAMED_PROBLEMS) {
        tracing::warn!("warning: {}: {reason}", path.display());
    }
    if let Some(more) = problems.len().checked_sub(NAMED_PROBLEMS).filter(|&n| n > 0) {
        tracing::warn!("warning: and {more} more files");
    }
}

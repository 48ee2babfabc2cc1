//! From good images to a detector whose network was trained on them.

use std::sync::atomic::AtomicBool;

use blemish::dataset::OnError;
use blemish::fit::{DefectSource, FitEvent, FitOptions, Prepared, prepare};
use blemish::image::PixelMask;
use blemish::model_file::Provenance;
use blemish::{Detector, Error, Images, Result};
use burn::tensor::Device;

use super::batch::Batches;
use super::checkpoint::Checkpoint;
use super::estimate::estimate;
use super::event::Event;
use super::protocol::Protocol;
use super::run::{Run, Trained};
use super::validate::can_validate;
use crate::config::RunConfig;
use crate::lock::RunLock;

/// Around a training: where to write, whether to go on, when to stop.
pub struct TrainOptions<'a> {
    /// Folder of the run: the checkpoint is kept there. Without one nothing is written.
    pub folder: Option<&'a RunLock>,
    /// Go on from the folder's checkpoint, if it has one.
    pub resume: bool,
    /// Where training computes; scoring is always done on the CPU.
    pub device: Device,
    /// What happens at an image that cannot be used.
    pub on_error: OnError,
    /// Minutes that both stages are scaled to, in a training that starts anew.
    pub budget: Option<f64>,
    /// What is not inspected (1), at any size; see [`Prepared::ignore`].
    pub ignore: Option<&'a PixelMask>,
    /// What draws defects for an estimate of what will be found, and millimetres a pixel where they are known.
    pub defects: Option<(&'a dyn DefectSource, Option<f64>)>,
    /// Set from elsewhere (Ctrl-C) to stop: after the current step of a training, within a second elsewhere.
    pub stop: &'a AtomicBool,
}

impl<'a> TrainOptions<'a> {
    /// In memory, from the start, on the CPU, for as long as it takes.
    pub fn in_memory(stop: &'a AtomicBool) -> Self {
        let on_error = OnError::Stop;
        Self {
            folder: None,
            resume: false,
            device: Device::flex(),
            on_error,
            budget: None,
            ignore: None,
            defects: None,
            stop,
        }
    }
}

/// Fits a detector on good images. The network is trained where the settled configuration has epochs for it; otherwise
/// this is [`Detector::fit`] with events and a way to stop.
///
/// # Errors
/// An image that cannot be used under [`OnError::Stop`]; settings that the images rule out; a checkpoint that cannot be
/// written or resumed; a training that diverges; [`Error::Interrupted`].
pub fn fit(
    images: &Images,
    config: &RunConfig,
    protocol: &Protocol,
    options: &TrainOptions<'_>,
    listener: &(dyn Fn(Event) + Sync),
) -> Result<Detector> {
    let mut config = config.clone();
    config.settle_use();
    config.validate()?;
    let tell = |event: FitEvent| listener(Event::Fit(event));
    let fitting = FitOptions { on_error: options.on_error, listener: &tell, stop: options.stop };
    let mut prepared = prepare(images, &config.detector, &fitting)?;
    if let Some(mask) = options.ignore {
        prepared.ignore(mask)?;
    }
    config.detector = prepared.config.clone();
    config.settle(&prepared.survey);
    config.validate()?;
    if config.epochs() == 0 {
        listener(Event::Settled(Box::new(config)));
        let detector = prepared.fit(None, &fitting)?;
        return estimated(detector, &prepared, options, &fitting);
    }
    let trained = train(&mut config, &prepared, protocol, options, listener)?;
    let detector = prepared.fit(Some(&trained.weights), &fitting)?;
    let origin = detector.provenance().clone();
    let origin = Provenance {
        split: format!("{}; {}", protocol.describe(), trained.kept),
        training: config.training_toml()?,
        seconds: origin.seconds + trained.seconds_before,
        ..origin
    };
    estimated(detector.with_origin(origin, trained.history), &prepared, options, &fitting)
}

/// The same detector with an estimate of what it will find, where one is wanted.
fn estimated(
    detector: Detector,
    prepared: &Prepared,
    options: &TrainOptions<'_>,
    fitting: &FitOptions<'_>,
) -> Result<Detector> {
    let Some((source, mm_per_pixel)) = options.defects else { return Ok(detector) };
    let estimate = prepared.estimate_detection(&detector, source, mm_per_pixel, fitting)?;
    let origin = Provenance { estimate, ..detector.provenance().clone() };
    let history = detector.history().to_vec();
    Ok(detector.with_origin(origin, history))
}

/// Runs both stages.
fn train(
    config: &mut RunConfig,
    prepared: &Prepared,
    protocol: &Protocol,
    options: &TrainOptions<'_>,
    listener: &(dyn Fn(Event) + Sync),
) -> Result<Trained> {
    let holdout = prepared.holdout();
    let train = holdout..prepared.views.len();
    if train.is_empty() {
        return Err(Error::config("network.use", "there are too few good images to train a network on"));
    }
    let (validation, problems) = protocol.images(config, prepared, options.on_error)?;
    let divided = Event::Divided { train: train.len(), holdout, validation: validation.len(), problems };
    listener(divided);
    // Without both kinds there is nothing to choose by.
    let validation = if can_validate(&validation) { validation } else { Vec::new() };
    let checkpoint = match options.folder {
        Some(lock) if options.resume => Checkpoint::load(lock.folder(), config)?,
        _ => None,
    };
    if let Some(checkpoint) = &checkpoint {
        config.train.precision = checkpoint.progress.config.train.precision;
    } else {
        let batches = Batches::new(config, &prepared.views, train.clone(), options.stop);
        let mut estimated = estimate(config, &batches, &options.device)?;
        if let Some(minutes) = options.budget {
            estimated = estimated.fitted_into(minutes, config);
        }
        listener(Event::Estimated(estimated));
    }
    listener(Event::Settled(Box::new(config.clone())));
    let batches = Batches::new(config, &prepared.views, train, options.stop);
    let initial = if checkpoint.is_none() { prepared.initial_weights()? } else { None };
    Run::start(config, options, checkpoint, initial)?.finish(&batches, &validation, options, listener)
}

//! What training tells its listeners; the loop knows none of them.

use std::path::PathBuf;

use blemish::dataset::Problem;
use blemish::fit::FitEvent;
use blemish::history::{EpochRecord, Stage};

use super::Estimate;
use crate::config::RunConfig;

/// Something that happened while a detector was trained and fitted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Good images were prepared, or parts fitted.
    Fit(FitEvent),
    /// Nothing is left open in the configuration: with this one a run is resumed.
    Settled(Box<RunConfig>),
    /// The images of a training were divided.
    Divided {
        /// Good images that the network is trained on.
        train: usize,
        /// Good images that it does not see.
        holdout: usize,
        /// Images to validate on.
        validation: usize,
        /// Validation files that cannot be used.
        problems: Vec<Problem>,
    },
    /// What the training will take, measured.
    Estimated(Estimate),
    /// A stage begins, or continues after `done` epochs.
    StageStarted {
        /// The stage.
        stage: Stage,
        /// Epochs that are already behind.
        done: usize,
        /// Epochs in all.
        epochs: usize,
        /// Images of an epoch.
        epoch_images: usize,
    },
    /// A step is done.
    Step {
        /// Its loss.
        loss: f64,
        /// Its images.
        images: usize,
    },
    /// A step was left out, since its loss or its gradient is not finite; the weights are unchanged.
    StepSkipped {
        /// The stage.
        stage: Stage,
        /// Number of the epoch within the stage, from 1.
        epoch: usize,
        /// Its loss.
        loss: f64,
        /// Its images.
        images: usize,
    },
    /// An epoch is done.
    Epoch(EpochRecord),
    /// A stage stopped early after this epoch.
    StoppedEarly {
        /// The stage.
        stage: Stage,
        /// The last epoch.
        epoch: usize,
    },
    /// A checkpoint is on disk.
    CheckpointWritten(PathBuf),
}

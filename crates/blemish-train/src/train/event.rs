//! What training tells its listeners; the loop knows none of them.

use std::path::PathBuf;

use blemish::history::{EpochRecord, Stage};

/// Something that happened while training.
#[derive(Clone, Debug)]
pub enum Event {
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

//! What a pre-training tells its listeners.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Something that happened.
#[derive(Clone, Debug)]
pub enum PretrainEvent {
    /// The run begins, or goes on after `done` steps.
    Started {
        /// Steps that are behind.
        done: usize,
        /// Parameters of the network.
        parameters: usize,
    },
    /// The number of steps is settled.
    Length {
        /// Steps in all.
        steps: usize,
    },
    /// Some steps are done.
    Steps(StepRecord),
    /// A step's loss or gradient is not finite; it changed nothing.
    Skipped {
        /// The step.
        step: usize,
    },
    /// Checkpoint and weights are on disk.
    Saved {
        /// Steps that are behind.
        step: usize,
        /// The weights' file.
        weights: PathBuf,
    },
}

/// Means over some steps: a line of `metrics.jsonl`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Steps that are behind.
    pub step: usize,
    /// Steps in all, where that is settled.
    pub steps: Option<usize>,
    /// Generated scenes that were seen.
    pub scenes: usize,
    /// The loss.
    pub loss: f64,
    /// Its parts, by name, before weighting.
    pub parts: BTreeMap<String, f64>,
    /// Global norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Steps that were skipped since the start.
    pub skipped: usize,
    /// Scenes a second.
    pub scenes_per_second: f64,
    /// Wall-clock seconds since the start, of all processes of the run together.
    pub seconds: f64,
}

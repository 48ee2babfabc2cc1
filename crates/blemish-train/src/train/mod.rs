//! Training: masked pre-training, then fine-tuning, with checkpoints, validation and early stopping.

mod batch;
mod checkpoint;
mod estimate;
mod event;
mod fit;
mod loader;
mod objective;
mod optimizer;
mod protocol;
mod run;
mod schedule;
mod validate;

pub use self::batch::Batch;
pub use self::estimate::{Estimate, peak_memory_mib};
pub use self::event::Event;
pub use self::fit::{TrainOptions, fit};
pub use self::objective::loss;
pub use self::optimizer::{AdamW, StepSettings};
pub use self::protocol::{Protocol, diyt_split};
pub use self::schedule::Schedule;
pub use crate::config::Task;

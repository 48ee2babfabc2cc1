//! Training: masked pre-training, then fine-tuning, with checkpoints, validation and early stopping.

pub mod batch;
mod checkpoint;
mod estimate;
mod event;
mod finish;
mod objective;
mod optimizer;
pub mod pretrain;
mod remember;
mod run;
mod schedule;
mod split;
mod validate;

pub use estimate::{Estimate, estimate, peak_memory_mib, scale_to_budget};
pub use event::Event;
pub use finish::calibrate;
pub use objective::loss;
pub use optimizer::{AdamW, StepSettings};
pub use remember::estimate_remembering;
pub use run::{TrainOptions, train};
pub use schedule::Schedule;
pub use split::{Labelled, Light, Protocol, TrainingData, diyt_split, load_options};
pub use validate::{Validation, validate};

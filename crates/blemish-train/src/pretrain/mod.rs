//! Pre-training on generated images: done once, its weights serve every product.
//!
//! A step sees two photos of each of its scenes ([`batch`]) and minimises masked reconstruction, repair and location of
//! defects, and what finds them by comparison with the other photo ([`objective`], [`retrieve`]); or it sees episodes, which are
//! compared by layers of their own ([`episode`]). Every draw is a function of the seed and the step, so a run that was killed
//! goes on to the same bytes. What is exported is a moving average of the weights.

pub mod batch;
mod checkpoint;
mod compare;
mod config;
pub mod episode;
mod event;
pub mod gate;
pub mod objective;
pub mod pair;
pub mod retrieve;
mod run;
pub mod scenes;
mod tensors;

pub use compare::planes as comparison_planes;
pub use config::{CHANNELS, ObjectiveConfig, PretrainConfig};
pub use event::{PretrainEvent, StepRecord};
pub use run::{Length, PretrainOptions, WEIGHTS, pretrain};

//! Pre-training on generated images: done once, its weights serve every product.
//!
//! The stem begins with plain filters ([`begin_with_filters`]). A step sees three photos of each of its scenes ([`batch`]) and
//! minimises masked reconstruction, repair and location of defects, and what finds them by comparison with a good photo
//! ([`objective`], [`retrieve`]). Every draw is a function of the seed and the step, so a run that was killed goes on to the
//! same bytes. What is exported is a moving average of the weights.

pub mod batch;
mod checkpoint;
mod config;
mod event;
mod filters;
pub mod gate;
mod heads;
mod network;
pub mod objective;
pub mod retrieve;
mod run;
pub mod scenes;
mod tensors;
pub mod triple;

pub use config::{CHANNELS, ObjectiveConfig, PretrainConfig};
pub use event::{PretrainEvent, StepRecord};
pub use filters::begin_with_filters;
pub use heads::{Head, HeadConfig, learn};
pub use network::pretrain;
pub use run::{Length, PretrainOptions, WEIGHTS};

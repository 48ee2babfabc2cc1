//! Pre-training on generated images: done once, its weights serve every product.
//!
//! The stem begins with plain filters ([`begin_with_filters`]). A step sees three photos of each of its scenes ([`batch`]) and
//! minimises masked reconstruction, repair and location of defects, and what finds them by comparison with a good photo
//! ([`objective`], [`retrieve`]); or it sees episodes, which are compared by layers of their own ([`episode`]). Every draw is a
//! function of the seed and the step, so a run that was killed goes on to the same bytes. What is exported is a moving average
//! of the weights.

pub mod batch;
mod checkpoint;
mod compare;
mod config;
pub mod episode;
mod event;
mod filters;
pub mod gate;
pub mod objective;
pub mod retrieve;
mod run;
pub mod scenes;
mod tensors;
pub mod triple;

pub use compare::planes as comparison_planes;
pub use config::{CHANNELS, ObjectiveConfig, PretrainConfig};
pub use event::{PretrainEvent, StepRecord};
pub use filters::begin_with_filters;
pub use run::{Length, PretrainOptions, WEIGHTS, pretrain};

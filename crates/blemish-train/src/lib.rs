//! Training of blemish's masked autoencoder on good images, and import of PyTorch weights.
//!
//! [`fit`] prepares good images, trains the network where the configuration asks for it, and fits a
//! [`Detector`](blemish::Detector), which scores without this crate.
//!
//! ```no_run
//! use std::sync::atomic::AtomicBool;
//!
//! use blemish_train::{Preset, Protocol, RunConfig, TrainOptions};
//!
//! # fn main() -> blemish::Result<()> {
//! let images = blemish::images_in("photos/good")?;
//! let config = RunConfig::preset(Preset::Light);
//! let stop = AtomicBool::new(false);
//! let options = TrainOptions::in_memory(&stop);
//! let detector = blemish_train::fit(&images, &config, &Protocol::Holdout, &options, &|_| {})?;
//! detector.save("part.blemish.safetensors")?;
//! # Ok(())
//! # }
//! ```

mod augment;
mod config;
mod keys;
mod lock;
#[doc(hidden)]
pub mod loss;
mod masking;
#[doc(hidden)]
pub mod model;
#[doc(hidden)]
pub mod ops;
#[doc(hidden)]
pub mod pretrain;
mod pytorch;
mod settings;
#[doc(hidden)]
pub mod train;

pub use blemish::config::Preset;
pub use burn::tensor::Device;

#[doc(hidden)]
pub use crate::augment::DefectConfig;
#[doc(hidden)]
pub use crate::config::Pose;
pub use crate::config::{RunConfig, StageConfig, TrainConfig};
pub use crate::lock::RunLock;
#[doc(hidden)]
pub use crate::masking::draw_mask;
#[doc(hidden)]
pub use crate::masking::{MaskConfig, MaskStrategy};
pub use crate::pytorch::{ImportOptions, Imported, import_pytorch};
pub use crate::settings::settings_table;
#[doc(hidden)]
pub use crate::train::peak_memory_mib;
pub use crate::train::{Estimate, Event, Protocol, TrainOptions, diyt_split, fit};

//! blemish learns what a good product looks like from defect-free photos, then finds and locates what is wrong in
//! the next one. A masked autoencoder, trained from scratch on an ordinary CPU.
//!
//! The way of a picture: [`data`] reads it, [`augment`] varies and spoils it for training, [`train`] fits
//! [`model`] by the measures of [`loss`], [`score`] turns its output into a map, a score and a verdict,
//! [`evaluate`] measures that with [`metrics`], [`report`] shows it, and [`mod@format`] keeps the model in one file.
//!
//! ```no_run
//! use std::path::Path;
//! use blemish::{Device, score::Detector};
//!
//! # fn main() -> blemish::Result<()> {
//! let detector = Detector::load(Path::new("run/model.safetensors"), &Device::flex())?;
//! let picture = detector.read(Path::new("part.png"))?;
//! let prediction = detector.predict(&picture)?;
//! println!("{:?}: {:.3} against {:.3}", prediction.verdict, prediction.score, prediction.threshold);
//! for region in prediction.regions {
//!     println!("{} x {} pixels at ({}, {})", region.width, region.height, region.x, region.y);
//! }
//! # Ok(())
//! # }
//! ```

pub mod augment;
pub mod config;
pub mod data;
pub mod engine;
pub mod error;
pub mod evaluate;
pub mod evaluation;
pub mod format;
pub mod grain;
pub mod history;
pub mod kernels;
pub mod loss;
pub mod memory;
pub mod metrics;
pub mod model;
pub mod ops;
pub mod parallel;
pub mod profile;
pub mod rarity;
pub mod report;
pub mod ridges;
pub mod score;
pub mod train;
mod write;

pub use burn::tensor::Device;

pub use error::{Error, Result};
pub use write::write_whole;

//! blemish learns what a good product looks like from defect-free photos, then finds and locates what is wrong in the next
//! one.
//!
//! ```no_run
//! use blemish::{Config, Detector, ImageView};
//!
//! # fn main() -> blemish::Result<()> {
//! # let (buffer, width, height) = (vec![0; 3], 1, 1);
//! let images = blemish::images_in("photos/good")?; // a folder or data set; or a Vec of images from a camera
//! let detector = Detector::fit(&images, &Config::default())?;
//! detector.save("part.blemish.safetensors")?;
//!
//! let detector = Detector::load("part.blemish.safetensors")?;
//! let prediction = detector.predict(ImageView::rgb8(&buffer, width, height))?;
//! if prediction.is_defective() {
//!     println!("{:.2} {:?}", prediction.score, prediction.regions);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! An image is read by [`image`], framed and registered by [`view`], looked at by [`parts`], calibrated by [`calibrate`];
//! [`Detector`] joins that. [`evaluate`] measures it with [`metrics`], [`report`] shows it.

pub mod calibrate;
pub mod config;
pub mod dataset;
pub mod detector;
pub mod engine;
mod error;
pub mod evaluate;
pub mod evaluation;
pub mod fit;
pub mod found;
pub mod good;
pub mod history;
mod hysteresis;
pub mod image;
pub mod metrics;
pub mod model_file;
pub mod parallel;
pub mod parts;
pub mod pools;
pub mod prediction;
pub mod pretrained;
mod provenance;
pub mod report;
pub mod scoring;
mod spill;
mod tensors;
pub mod view;
mod write;

use std::path::Path;

#[doc(hidden)]
pub use blemish_kernels as kernels;

pub use crate::config::Config;
pub use crate::dataset::Images;
pub use crate::detector::Detector;
pub use crate::error::{Error, Result};
pub use crate::image::{Image, ImageView};
pub use crate::prediction::{Prediction, Reason, Verdict};
pub use crate::write::write_whole;

/// The good images at `path`: those of a data set in any known layout, or all in a folder.
///
/// # Errors
/// [`Error::Io`] if a folder cannot be read, [`Error::Data`] if there is no image.
pub fn images_in(path: impl AsRef<Path>) -> Result<Images> {
    Images::at(path.as_ref())
}

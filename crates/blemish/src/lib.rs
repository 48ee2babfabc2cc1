//! Fits a description of a good product on photos of good ones, then finds and locates what is wrong in the next photo.
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
//! Beyond that:
//!
//! - [`config`]: presets and settings; [`Config::with`] lays settings over them.
//! - [`fit::prepare`]: fitting with progress, a way to stop, and a look at the images first.
//! - [`Detector::thresholds`], [`Detector::calibrate`]: how many good products are rejected.
//! - [`evaluate`]: figures on labelled images ([`dataset`]), as data and as a [`report`]; [`metrics`] by themselves.
//!
//! Modules that only the other crates of this project use are left out here.

#[doc(hidden)]
pub mod backbone;
pub mod calibrate;
pub mod config;
pub mod dataset;
#[doc(hidden)]
pub mod detector;
#[doc(hidden)]
pub mod engine;
mod error;
pub mod evaluate;
pub mod evaluation;
pub mod fit;
pub mod found;
mod good;
mod hash;
#[doc(hidden)]
pub mod history;
mod hysteresis;
pub mod image;
pub mod metrics;
#[doc(hidden)]
pub mod model_file;
mod number;
#[doc(hidden)]
pub mod parallel;
#[doc(hidden)]
pub mod parts;
#[doc(hidden)]
pub mod pools;
#[doc(hidden)]
pub mod prediction;
#[doc(hidden)]
pub mod pretrained;
mod provenance;
mod read;
pub mod report;
#[doc(hidden)]
pub mod scoring;
mod spill;
mod tensors;
#[doc(hidden)]
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
pub use crate::metrics::Region;
pub use crate::prediction::{Prediction, Reason, Verdict};
pub use crate::provenance::Provenance;
#[doc(hidden)]
pub use crate::read::{is_descriptor, read_text, read_whole, require_file};
#[doc(hidden)]
pub use crate::write::{WholeFile, write_whole};

/// The good images at `path`: those of a data set in any known layout, or all in a folder.
///
/// # Errors
/// [`Error::Io`] if a folder cannot be read, [`Error::Data`] if there is no image.
pub fn images_in(path: impl AsRef<Path>) -> Result<Images> {
    Images::at(path.as_ref())
}

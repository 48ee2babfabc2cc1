//! The views of good images that parts are fitted on, and the progress of a fit.

mod images;
mod progress;

pub use self::images::{GoodImages, Views};
pub use self::progress::{FitEvent, Progress};

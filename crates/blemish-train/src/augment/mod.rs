//! Augmentation: pose, lighting, synthetic defects.
//!
//! All of it works on [`blemish::Image`] and a seeded generator, one image at a time on one thread, and knows no
//! tensor library. The usual order is geometric, photometric, defects, normalisation; the mask of a synthetic defect
//! is found after the pose has changed, so masks are never resampled.

mod defects;
mod geometric;
mod noise;
mod photometric;
mod warp;

use std::ops::RangeInclusive;

use blemish::{Error, Result};
use rand::Rng;

pub use self::defects::{DefectConfig, DefectGenerator, Fill};
pub use self::geometric::GeometricConfig;
pub use self::photometric::PhotometricConfig;

/// [`Error::Config`] unless `value` is a number within `range`.
fn within(field: &str, value: f32, range: RangeInclusive<f32>) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    let (low, high) = range.into_inner();
    Err(Error::config(field, format!("{value} is not between {low} and {high}")))
}

/// A uniform draw between `low` and `high`; never panics, whatever their order.
fn uniform(low: f32, high: f32, rng: &mut impl Rng) -> f32 {
    low + (high - low) * rng.random::<f32>()
}

/// A log-uniform draw between two positive numbers.
fn log_uniform(low: f32, high: f32, rng: &mut impl Rng) -> f32 {
    uniform(low.ln(), high.ln(), rng).exp()
}

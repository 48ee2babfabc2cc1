//! Where a model came from.

use serde::{Deserialize, Serialize};

use crate::view::TrainingFacts;

/// Where a model came from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The data set's folder, as it was named.
    pub data: String,
    /// The product.
    pub category: String,
    /// Date of the fit, `YYYY-MM-DD`.
    pub fitted: String,
    /// Version of blemish that made it.
    pub version: String,
    /// Which images were fitted on, validated and calibrated with, in words.
    pub split: String,
    /// Median grey level of the good images, 0 to 1: the target of the equalised figures.
    pub median: f32,
    /// Standard deviation of the good images' grey levels, 0 to 1: the same.
    pub spread: f32,
    /// Wall-clock seconds of the fit.
    pub seconds: f64,
    /// The good images that are least like the rest, the least first.
    pub suspected_outliers: Vec<SuspectedOutlier>,
    /// What the good images look like, and what followed from it, in words.
    pub profile: Vec<String>,
    /// The settings of the network's training, as TOML; empty where none was trained.
    pub training: String,
    /// Sizes, channels, depth and brightness of the good images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<TrainingFacts>,
    /// Whether every good image showed a product, where the detector looks for one: then an image that shows none is defective.
    #[serde(default)]
    pub always_found: bool,
}

/// A good image that is unlike the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuspectedOutlier {
    /// The file.
    pub path: String,
    /// Its score by parts that were fitted on others.
    pub score: f32,
    /// Whether it was left out of the fit (`fit.contamination`).
    pub left_out: bool,
}

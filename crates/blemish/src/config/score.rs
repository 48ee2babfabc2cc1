//! From anomaly map to verdict.

use serde::{Deserialize, Serialize};

use super::require;
use crate::error::{Error, Result};

/// The smallest false-positive rate that can be asked for: a million good images would be needed to show it, and what is
/// extrapolated to a rarer one finds no defect any more.
pub const LEAST_RATE: f64 = 1e-6;

/// Whether this can be asked for as a false-positive rate.
///
/// # Errors
/// A sentence.
pub fn check_rate(rate: f64) -> Result<(), String> {
    if (LEAST_RATE..1.0).contains(&rate) {
        return Ok(());
    }
    Err(format!(
        "must be at least {LEAST_RATE} and below 1: with a rarer rate of false alarms no defect would be found"
    ))
}

/// From anomaly map to verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreConfig {
    /// How a map becomes a score.
    pub reduce: Reduce,
    /// The rule of the threshold that decides.
    pub threshold: ThresholdRule,
    /// Target false-positive rate of the rule `fpr`, [`LEAST_RATE`] or more and below 1.
    pub fpr: f64,
    /// Target false-positive rate of a second, lower threshold, above that of the first: what lies between the two is to be
    /// reviewed by a person. Absent: there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub review_fpr: Option<f64>,
    /// Smallest area of a defect, pixels of the image; smaller regions are ignored in scores and outlines. 0 or 1: every pixel
    /// counts.
    #[serde(default)]
    pub min_area: usize,
}

/// How a map becomes a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduce {
    /// The largest value.
    Max,
    /// The mean of the largest 0.3 % of the values.
    TopMean,
    /// `top_mean` where the texture model is used (surfaces, products in any pose), since stains may be faint but wide; else `max`.
    Auto,
}

/// How the threshold that decides is chosen. All are computed from scores of good images by what others were fitted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdRule {
    /// The target false-positive rate `score.fpr`.
    Fpr,
    /// The 95th percentile, as the published system has it.
    Percentile,
    /// Mean plus 3 standard deviations.
    Sigma,
}

impl ThresholdRule {
    /// The name by which it is chosen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fpr => "fpr",
            Self::Percentile => "percentile",
            Self::Sigma => "sigma",
        }
    }
}

impl Default for ScoreConfig {
    fn default() -> Self {
        Self { reduce: Reduce::Auto, threshold: ThresholdRule::Fpr, fpr: 0.05, review_fpr: None, min_area: 0 }
    }
}

impl ScoreConfig {
    pub(super) fn validate(&self) -> Result<()> {
        check_rate(self.fpr).map_err(|reason| Error::config("score.fpr", reason))?;
        self.review_fpr
            .map_or(Ok(()), check_rate)
            .map_err(|reason| Error::config("score.review_fpr", reason))?;
        let ok = self.review_fpr.is_none_or(|rate| self.threshold != ThresholdRule::Fpr || rate > self.fpr);
        require(ok, "score.review_fpr", "must be above score.fpr: the lower threshold raises more alarms")?;
        require(self.min_area <= 1 << 30, "score.min_area", "must be a number of pixels")
    }
}

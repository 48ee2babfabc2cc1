//! The detector's answer for one image.

use serde::{Deserialize, Serialize};

use crate::metrics::Region;

/// Good, defective, or for a person to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The score is below the threshold.
    Good,
    /// The score is below the threshold, and not below that of `score.review_fpr`.
    Review,
    /// The score is at least the threshold, or the frame shows no product.
    Defective,
}

impl Verdict {
    /// `good`, `review` or `defective`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Review => "review",
            Self::Defective => "defective",
        }
    }
}

/// Why a verdict is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// The score is below every threshold.
    Normal,
    /// The score reaches a threshold.
    Anomaly,
    /// The frame shows nothing: no light, over-exposed, a dead camera; `blemish predict` says so of a frozen one, too.
    Blank,
    /// No product was found in the image, and every good image had one.
    NoProduct,
}

impl Reason {
    /// `normal`, `anomaly`, `blank` or `no_product`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Anomaly => "anomaly",
            Self::Blank => "blank",
            Self::NoProduct => "no_product",
        }
    }
}

/// The detector's answer for one image.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Prediction {
    /// The image's score, higher = more defective. Of an image that is defective whatever its map (see [`Reason`]) it is at
    /// least the threshold, so that `score >= threshold` and the verdict never contradict each other.
    pub score: f32,
    /// The threshold that it was compared with.
    pub threshold: f32,
    /// The lower threshold, from which on a person decides; where there is one.
    pub review_threshold: Option<f32>,
    /// Good, defective, or for a person to decide.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// Share of the image that was inspected, 0 to 1: within the view, and not ignored.
    pub inspected: f32,
    /// How the image differs from those that were fitted on (shape, size, channels, depth, brightness), in words.
    pub unlike: Vec<String>,
    /// Connected regions of the map at or above [`outlined_from`](Self::outlined_from), as far as they reach a quarter of their own
    /// peak, in pixels of the image, the most anomalous first; none on a good image.
    pub regions: Vec<Region>,
    /// The anomaly map of the whole image, `[H, W]` at [`map_size`](Self::map_size), row by row.
    pub map: Vec<f32>,
    /// Height and width of the map.
    pub map_size: [usize; 2],
    /// From which value on a pixel of a defective image belongs to a region, if it also has a quarter of the region's peak; infinite where
    /// none is outlined.
    pub outlined_from: f32,
}

impl Prediction {
    /// Whether the image is defective, and not only to be reviewed.
    pub fn is_defective(&self) -> bool {
        self.verdict == Verdict::Defective
    }
}

//! A prediction as plain data that C can read.

use std::ffi::{CString, c_char};

use blemish::{Prediction, Verdict};

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum BlemishVerdict {
    /// The score is below the threshold.
    Good = 0,
    /// The score is at least the threshold.
    Defective = 1,
    /// A person should look; models of this version do not say so yet.
    Review = 2,
}

/// A connected part of the image that is anomalous: its box, in pixels of the image.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct BlemishRegion {
    /// Leftmost column.
    pub x: u32,
    /// Topmost row.
    pub y: u32,
    /// Columns, at least 1.
    pub width: u32,
    /// Rows, at least 1.
    pub height: u32,
    /// Pixels of the region itself.
    pub area: u64,
    /// The largest value of the map in it.
    pub peak: f32,
}

/// What a prediction says. Pointers lead into the prediction and are good until it is freed.
///
/// Later versions may add members at the end; `struct_size` says how many of them the caller knows.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct BlemishResult {
    /// To be set to `sizeof(blemish_result)` by the caller.
    pub struct_size: usize,
    /// The image's score, higher = more defective.
    pub score: f32,
    /// The threshold that it was compared with.
    pub threshold: f32,
    /// A `blemish_verdict`.
    pub verdict: u32,
    /// From which value of the map on a pixel belongs to a region; infinite on a good image.
    pub outlined_from: f32,
    /// Why, in words, UTF-8; empty on a good image, never null.
    pub reason: *const c_char,
    /// `region_count` regions, the most anomalous first.
    pub regions: *const BlemishRegion,
    /// How many there are; 0 on a good image.
    pub region_count: usize,
    /// The anomaly map of the whole image, `map_height` rows of `map_width` values.
    pub map: *const f32,
    /// Rows of the map.
    pub map_height: usize,
    /// Columns of the map.
    pub map_width: usize,
}

/// A prediction together with what C reads of it.
#[derive(Debug)]
pub struct Stored {
    prediction: Prediction,
    reason: CString,
    regions: Vec<BlemishRegion>,
}

impl Stored {
    /// Of a prediction.
    pub fn new(prediction: Prediction) -> Self {
        let small = |v: usize| u32::try_from(v).unwrap_or(u32::MAX);
        let regions = prediction.regions.iter().map(|region| BlemishRegion {
            x: small(region.x),
            y: small(region.y),
            width: small(region.width),
            height: small(region.height),
            area: region.area as u64,
            peak: region.peak,
        });
        let regions = regions.collect();
        let reason = CString::new(reason(&prediction)).unwrap_or_default();
        Self { prediction, reason, regions }
    }

    /// What it says; the pointers are good while `self` is.
    pub fn result(&self) -> BlemishResult {
        let Prediction { score, threshold, map_size, outlined_from, .. } = self.prediction;
        let verdict = match self.prediction.verdict {
            Verdict::Good => BlemishVerdict::Good,
            Verdict::Defective => BlemishVerdict::Defective,
        };
        BlemishResult {
            struct_size: size_of::<BlemishResult>(),
            score,
            threshold,
            verdict: verdict as u32,
            outlined_from,
            reason: self.reason.as_ptr(),
            regions: self.regions.as_ptr(),
            region_count: self.regions.len(),
            map: self.prediction.map.as_ptr(),
            map_height: map_size[0],
            map_width: map_size[1],
        }
    }
}

/// Why the verdict is what it is; empty on a good image.
fn reason(prediction: &Prediction) -> String {
    if !prediction.is_defective() {
        return String::new();
    }
    format!("the score {:.3} is at least the threshold {:.3}", prediction.score, prediction.threshold)
}

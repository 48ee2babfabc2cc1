//! A prediction as plain data that C can read.

use std::ffi::{CString, c_char};

use blemish::prediction::{Prediction, Verdict};

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum BlemishVerdict {
    /// The score is below the threshold.
    Good = 0,
    /// The score is at least the threshold, or the frame shows no product.
    Defective = 1,
    /// The score is below the threshold, but reaches the lower one from which a person decides.
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
    /// From which value of the map on a pixel belongs to a region, if it also has a quarter of the region's peak; infinite where none is
    /// outlined.
    pub outlined_from: f32,
    /// The lower threshold, from which on a person decides; NaN where there is none.
    pub review_threshold: f32,
    /// Share of the image that was inspected, 0 to 1.
    pub inspected: f32,
    /// Why, a word: "normal", "anomaly", "blank", "no_product"; later versions may have others. Never null.
    pub reason: *const c_char,
    /// `region_count` regions, the most anomalous first.
    pub regions: *const BlemishRegion,
    /// How many there are.
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
        let reason = CString::new(prediction.reason.name()).unwrap_or_default();
        Self { prediction, reason, regions }
    }

    /// What it says; the pointers are good while `self` is.
    pub fn result(&self) -> BlemishResult {
        let Prediction { score, threshold, map_size, outlined_from, inspected, .. } = self.prediction;
        let verdict = match self.prediction.verdict {
            Verdict::Good => BlemishVerdict::Good,
            Verdict::Review => BlemishVerdict::Review,
            Verdict::Defective => BlemishVerdict::Defective,
        };
        BlemishResult {
            struct_size: size_of::<BlemishResult>(),
            score,
            threshold,
            verdict: verdict as u32,
            outlined_from,
            review_threshold: self.prediction.review_threshold.unwrap_or(f32::NAN),
            inspected,
            reason: self.reason.as_ptr(),
            regions: self.regions.as_ptr(),
            region_count: self.regions.len(),
            map: self.prediction.map.as_ptr(),
            map_height: map_size[0],
            map_width: map_size[1],
        }
    }
}

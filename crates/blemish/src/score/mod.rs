//! From a model's output to a verdict: anomaly maps, calibration against good images, thresholds, the detector.

pub mod anomaly_map;
mod calibrate;
mod detector;
mod near;
mod normal;
mod scorer;
mod tiles;

pub use calibrate::{PositionMap, Threshold, thresholds};
pub use detector::{Detector, Prediction, Verdict};
pub use normal::{Normal, PARTS};
pub use scorer::Scorer;
pub use tiles::Tiles;

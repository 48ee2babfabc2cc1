//! How often, how large and how visible synthetic defects are.

use blemish::Result;
use serde::{Deserialize, Serialize};

use super::super::within;

/// How often, how large and how visible synthetic defects are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefectConfig {
    /// Share of the images that get any, 0 to 1.
    pub probability: f32,
    /// Smallest and largest size of one defect as a share of the image, log-uniform, above 0 up to 0.5.
    pub area: [f32; 2],
    /// Weakest and strongest opacity, above 0 up to 1.
    pub opacity: [f32; 2],
}

impl Default for DefectConfig {
    fn default() -> Self {
        // Real defects (MVTec AD, KolektorSDD) cover 0.1 to 1 % of an image of 256 pixels.
        Self { probability: 0.88, area: [0.0008, 0.05], opacity: [0.35, 1.0] }
    }
}

impl DefectConfig {
    /// # Errors
    /// [`Error::Config`](blemish::Error::Config) naming the first field that is out of range.
    pub(crate) fn validate(&self) -> Result<()> {
        within("train.defects.probability", self.probability, 0.0..=1.0)?;
        for (field, range, most) in
            [("train.defects.area", self.area, 0.5), ("train.defects.opacity", self.opacity, 1.0)]
        {
            within(field, range[0], f32::MIN_POSITIVE..=most)?;
            within(field, range[1], range[0]..=most)?;
        }
        Ok(())
    }
}

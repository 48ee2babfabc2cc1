//! Which synthetic defects are made, how large, how visible, how many.

use super::super::within;
use super::{Fill, Shape};
use blemish::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which synthetic defects are made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DefectConfig {
    /// Share of the images that get any, 0 to 1.
    pub probability: f32,
    /// Fewest and most defects on such an image, at least 1.
    pub count: [usize; 2],
    /// Smallest and largest size of one defect as a share of the image, log-uniform, above 0 up to 0.5.
    pub area: [f32; 2],
    /// Weakest and strongest opacity, above 0 up to 1.
    pub opacity: [f32; 2],
    /// Share of the defects that are centred on the product, where it is known; the others lie anywhere.
    pub foreground_bias: f32,
    /// Whether defects are large and opaque in the first epoch, and as small and faint as `area` and `opacity` allow from the
    /// last one on; else they are that from the start.
    pub curriculum: bool,
    /// Change of a value that counts as visible, above 0 up to 0.5: the mask holds the pixels that change by more.
    pub visibility: f32,
    /// How often each shape is drawn; one that is not named is never drawn.
    pub shapes: BTreeMap<Shape, f32>,
    /// How often each fill is drawn; one that is not named is never drawn. Empty: what the training images call for, see
    /// [`DefectConfig::settle`].
    pub fills: BTreeMap<Fill, f32>,
}

impl Default for DefectConfig {
    fn default() -> Self {
        Self {
            probability: 0.88,
            count: [1, 5],
            // Per image, the real defects of the two sets cover 0.1 to 1 % at 256 pixels.
            area: [0.0008, 0.05],
            opacity: [0.35, 1.0],
            foreground_bias: 0.8,
            curriculum: true,
            visibility: 0.04,
            shapes: [
                (Shape::Blob, 3.0),
                (Shape::Noise, 2.0),
                (Shape::Scratch, 2.0),
                (Shape::Rectangle, 1.0),
                (Shape::Scar, 1.0),
                (Shape::Dots, 0.5),
            ]
            .into(),
            fills: Fill::ALL.map(|fill| (fill, 1.0)).into(),
        }
    }
}

impl DefectConfig {
    /// Settles the fills where none are named: all alike, on a surface those that show on one.
    pub fn settle(&mut self, is_surface: bool) {
        if self.fills.is_empty() {
            let drawn = Fill::ALL.into_iter().filter(|fill| !is_surface || fill.shows_on_surfaces());
            self.fills = drawn.map(|fill| (fill, 1.0)).collect();
        }
    }

    /// # Errors
    /// [`Error::Config`] naming the first field that is out of range.
    pub fn validate(&self) -> Result<()> {
        within("augment.defects.probability", self.probability, 0.0..=1.0)?;
        within("augment.defects.foreground_bias", self.foreground_bias, 0.0..=1.0)?;
        within("augment.defects.visibility", self.visibility, f32::MIN_POSITIVE..=0.5)?;
        for (field, range, most) in [("area", self.area, 0.5), ("opacity", self.opacity, 1.0)] {
            let field = format!("augment.defects.{field}");
            within(&field, range[0], f32::MIN_POSITIVE..=most)?;
            within(&field, range[1], range[0]..=most)?;
        }
        if self.count[0] == 0 || self.count[0] > self.count[1] {
            let reason = format!("{:?} is not [fewest, most] with fewest at least 1", self.count);
            return Err(Error::config("augment.defects.count", reason));
        }
        check_weights("augment.defects.shapes", self.shapes.values())?;
        if self.fills.is_empty() {
            Ok(())
        } else {
            check_weights("augment.defects.fills", self.fills.values())
        }
    }
}

/// Weights must be finite, not negative, and not all zero.
fn check_weights<'a>(field: &str, weights: impl Iterator<Item = &'a f32> + Clone) -> Result<()> {
    for &weight in weights.clone() {
        within(field, weight, 0.0..=1e6)?;
    }
    if weights.sum::<f32>() > 0.0 {
        return Ok(());
    }
    Err(Error::config(field, "at least one weight must be above 0"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_survives_toml() {
        let config = DefectConfig::default();
        assert_eq!(toml::from_str::<DefectConfig>(&toml::to_string(&config).unwrap()).unwrap(), config);
        assert_eq!(toml::from_str::<DefectConfig>("fills.flat = 1.0").unwrap().fills.len(), 1);
        assert!(toml::from_str::<DefectConfig>("size = 1.0").is_err());
    }

    #[test]
    fn a_surface_gets_no_defects_that_its_grain_hides() {
        let unset = || DefectConfig { fills: BTreeMap::new(), ..DefectConfig::default() };
        let settled = |mut config: DefectConfig, is_surface| {
            config.settle(is_surface);
            config.fills
        };
        assert_eq!(settled(unset(), false), DefectConfig::default().fills);
        let surface = settled(unset(), true);
        assert!(surface.contains_key(&Fill::Flat) && !surface.contains_key(&Fill::Foreign));
        let chosen = DefectConfig { fills: [(Fill::Warp, 2.0)].into(), ..DefectConfig::default() };
        assert_eq!(settled(chosen.clone(), true), chosen.fills);
    }

    #[test]
    fn validation_names_the_field() {
        DefectConfig::default().validate().unwrap();
        let base = DefectConfig::default;
        let bad = [
            ("area", DefectConfig { area: [0.1, 0.01], ..base() }),
            ("opacity", DefectConfig { opacity: [0.0, 1.0], ..base() }),
            ("count", DefectConfig { count: [3, 2], ..base() }),
            ("fills", DefectConfig { fills: [(Fill::Flat, 0.0)].into(), ..base() }),
            ("shapes", DefectConfig { shapes: [(Shape::Blob, -1.0)].into(), ..base() }),
        ];
        for (field, config) in bad {
            let message = config.validate().unwrap_err().to_string();
            assert!(message.contains(&format!("augment.defects.{field}")), "{message}");
        }
    }
}

//! The run configuration: presets, loading, overrides and validation.
//!
//! Plain serde structures with unknown fields refused. [`RunConfig::preset`] gives a complete configuration,
//! [`RunConfig::load`] lays a TOML file over it, [`RunConfig::set`] lays one `key=value` over that, and
//! [`RunConfig::validate`] is the one place that says which combinations cannot work. The effective
//! configuration is stored in every model file.

mod data;
mod model;
mod presets;
mod score;
mod train;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use self::data::{Align, DataConfig, Fit};
pub use self::model::{
    AggregationKeys, Head, MaskConfig, MaskStrategy, ModelConfig, Norm, Output, PatchEmbed, Sinusoid,
};
pub use self::score::{Arithmetic, Calibration, MapKind, Reduce, ScoreConfig, ThresholdRule};
pub use self::train::{Pose, Precision, StageConfig, Task, TrainConfig};
pub use crate::augment::{DefectConfig, GeometricConfig, Normalize, PhotometricConfig};
use crate::data::Border;
pub use crate::data::ViewConfig;
use crate::error::{Error, Result};
pub use crate::memory::{Keep, MemoryConfig};
use crate::profile::Profile;

/// Everything that shapes a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// The preset that this configuration started from.
    pub preset: Preset,
    /// Seed of every generator: weights, masks, augmentation, defects, splits.
    pub seed: u64,
    /// How images are read.
    pub data: DataConfig,
    /// The network.
    pub model: ModelConfig,
    /// What is hidden while training.
    pub mask: MaskConfig,
    /// Both training stages.
    pub train: TrainConfig,
    /// From anomaly map to verdict.
    pub score: ScoreConfig,
}

/// A named starting point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// The default: convolutional stem, small encoder, pyramid head, repair of synthetic defects; for 2 CPU cores.
    Light,
    /// The reference system as published, to the last size.
    Diyt,
}

impl Preset {
    /// `light` or `diyt`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Diyt => "diyt",
        }
    }
}

impl RunConfig {
    /// The complete configuration of a preset.
    pub fn preset(preset: Preset) -> Self {
        match preset {
            Preset::Light => Self::light(),
            Preset::Diyt => Self::diyt(),
        }
    }

    /// Lays the TOML file at `path` over `self`; fields that it leaves out keep their value.
    ///
    /// # Errors
    /// The file cannot be read, is not TOML, or names a field that does not exist.
    pub fn load(self, path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        let over: toml::Table =
            toml::from_str(&text).map_err(|e| Error::config(path.display().to_string(), e.to_string()))?;
        self.merge(over).map_err(|reason| Error::config(path.display().to_string(), reason))
    }

    /// Lays one `key=value` over `self`, such as `model.depth=4` or `score.threshold=val`.
    ///
    /// # Errors
    /// The text has no `=`, the key does not exist, or the value has the wrong type.
    pub fn set(self, assignment: &str) -> Result<Self> {
        let (key, value) = assignment
            .split_once('=')
            .ok_or_else(|| Error::config(assignment, "expected key=value, such as model.depth=4"))?;
        // A bare word is a string: `score.threshold=val` needs no quotes.
        let value = toml::from_str::<toml::Table>(&format!("v = {value}"))
            .ok()
            .and_then(|mut t| t.remove("v"))
            .unwrap_or_else(|| toml::Value::String(value.to_owned()));
        let mut over = toml::Value::Table(toml::Table::new());
        let mut at = &mut over;
        let parts: Vec<&str> = key.split('.').collect();
        for (i, part) in parts.iter().enumerate() {
            let toml::Value::Table(table) = at else { break };
            let next = if i + 1 == parts.len() { value.clone() } else { toml::Table::new().into() };
            at = table.entry((*part).to_owned()).or_insert(next);
        }
        match over {
            toml::Value::Table(table) => self.merge(table).map_err(|reason| Error::config(key, reason)),
            _ => Ok(self),
        }
    }

    /// The reason why not, with the field where the parser knows it.
    fn merge(self, over: toml::Table) -> Result<Self, String> {
        let mut base = toml::Table::try_from(&self).map_err(|e| e.to_string())?;
        lay_over(&mut base, over);
        base.try_into().map_err(|e: toml::de::Error| e.to_string().trim_end().replace('\n', " "))
    }

    /// The configuration as TOML.
    ///
    /// # Errors
    /// None in practice; serialisation can fail in principle.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::config("configuration", e.to_string()))
    }

    /// Checks every combination that the types cannot.
    ///
    /// # Errors
    /// [`Error::Config`] that names the first field at fault.
    pub fn validate(&self) -> Result<()> {
        self.data.validate(&self.model)?;
        self.model.validate()?;
        self.mask.validate()?;
        self.train.validate(&self.model)?;
        self.score.validate(&self.model)?;
        // While `auto` is not settled, the network may turn out to be unheard.
        let ok = !self.train.leaves_network_untrained()
            || !self.score.hears_network()
            || self.score.network == Keep::Auto;
        require(ok, "train.finetune.epochs", "a network that is heard needs an epoch in one of the stages")
    }

    /// Settles what is left to the training images: channels, view, the pose with its augmentation, the
    /// kinds of synthetic defects, what is looked at beside the network and whether that is heard and trained, the
    /// precision of training and scoring, calibration.
    pub fn resolve(&mut self, channels: usize, profile: &Profile) {
        self.data.channels.get_or_insert(channels);
        if self.data.fit == Fit::Auto && self.data.view.is_none() {
            self.data.view = profile.view(self.data.image_size, self.model.patch_size);
        }
        if self.data.align == Align::Auto {
            self.data.align = if profile.lies_still() { Align::Always } else { Align::Never };
        }
        let turned = self.data.view.as_ref().is_some_and(|view| view.product.is_some());
        let fixed_pose = profile.lies_still() || turned;
        if self.score.calibration == Calibration::Auto {
            let residual = !matches!(self.score.map, MapKind::Defect | MapKind::Memory | MapKind::Fused);
            self.score.calibration =
                if fixed_pose && residual { Calibration::Position } else { Calibration::None };
        }
        if self.score.memory.keep == Keep::Auto {
            self.score.memory.keep = if fixed_pose { Keep::Always } else { Keep::Never };
        }
        for part in [&mut self.score.ridges, &mut self.score.grain] {
            if *part == Keep::Auto {
                *part = if profile.is_texture() { Keep::Always } else { Keep::Never };
            }
        }
        if self.score.reduce == Reduce::Auto {
            let surface = self.score.map == MapKind::Fused && self.score.grain == Keep::Always;
            self.score.reduce = if surface { Reduce::TopFraction } else { Reduce::Max };
        }
        if self.score.network == Keep::Auto {
            let ScoreConfig { memory, ridges, grain, .. } = &self.score;
            let others = [memory.keep, *ridges, *grain].contains(&Keep::Always);
            self.score.network = if others { Keep::Never } else { Keep::Always };
        }
        self.score.precision.get_or_insert_with(Arithmetic::fastest);
        self.train.precision.get_or_insert_with(Precision::fastest);
        if self.score.memory.scales.is_empty() {
            let scale =
                |[height, width]: [usize; 2]| MemoryConfig::scale_for(((height * width) as f64).sqrt());
            let mut scales = vec![scale(self.input_size()), scale(self.view_size())];
            scales.dedup();
            self.score.memory.scales = scales;
        }
        let heard = self.score.hears_network();
        let train = &mut self.train;
        train.settle_epochs(heard);
        train.defects.settle(profile.is_texture());
        if train.pose == Pose::Auto {
            train.pose = if fixed_pose { Pose::Fixed } else { Pose::Free };
        }
        let unchanged = GeometricConfig::default();
        match train.pose {
            Pose::Fixed => {
                train.geometric =
                    GeometricConfig { rotation_degrees: 4.0, scale: 0.03, translate: 0.02, ..unchanged };
            }
            // A surface may have a grain: it is mirrored, hardly turned, and goes on beyond its edges.
            Pose::Free if profile.is_texture() => {
                train.geometric = GeometricConfig {
                    rotation_degrees: 10.0,
                    horizontal_flip: 0.5,
                    vertical_flip: 0.5,
                    scale: 0.05,
                    border: Border::Reflect,
                    ..unchanged
                };
            }
            Pose::Free => {
                train.geometric = GeometricConfig {
                    rotation_degrees: 180.0,
                    horizontal_flip: 0.5,
                    vertical_flip: 0.5,
                    scale: 0.05,
                    translate: 0.03,
                    ..unchanged
                };
            }
            Pose::Auto | Pose::Custom => {}
        }
    }

    /// What the model looks at.
    pub fn view(&self) -> ViewConfig {
        let whole = || ViewConfig { size: self.data.image_size, product: None };
        self.data.view.clone().unwrap_or_else(whole)
    }

    /// Height and width of views and of their maps, pixels.
    pub fn view_size(&self) -> [usize; 2] {
        self.view().size
    }

    /// Height and width of what the network takes in at once, pixels: the view, or one of its tiles.
    pub fn input_size(&self) -> [usize; 2] {
        let patch = self.model.patch_size;
        self.view_size().map(|side| side.div_ceil(self.data.tiles).next_multiple_of(patch))
    }

    /// Rows and columns of the token grid.
    pub fn grid(&self) -> [usize; 2] {
        self.input_size().map(|s| s / self.model.patch_size)
    }
}

fn lay_over(base: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(value)) => lay_over(inner, value),
            // `1` is a fine way to write the float 1.0.
            (Some(slot @ toml::Value::Float(_)), toml::Value::Integer(i)) => *slot = (i as f64).into(),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

fn require(ok: bool, field: &str, reason: impl Into<String>) -> Result<()> {
    if ok { Ok(()) } else { Err(Error::config(field, reason)) }
}

#[cfg(test)]
mod tests;

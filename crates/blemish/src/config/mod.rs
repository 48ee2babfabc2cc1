//! The settings of a detector: presets, loading, overrides and validation.
//!
//! [`Config::preset`] gives a complete configuration, [`Config::with`] lays the settings of a TOML file or of single
//! `key=value` texts over it ([`SETTINGS`] lists what can be set), and [`Config::validate`] is the one place that says which
//! combinations cannot work. The effective configuration is stored in every model file.

mod data;
mod model;
mod overlay;
mod parts;
mod score;
mod settings;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use self::data::{Align, DataConfig, Fit};
#[doc(hidden)]
pub use self::model::{AggregationKeys, Head, ModelConfig, Norm, Output, PatchEmbed, Sinusoid};
pub use self::overlay::Overlay;
pub use self::parts::{FeaturesConfig, FitConfig, MemoryConfig, NetworkConfig, NetworkInit, NetworkMap, Use};
pub use self::score::{LEAST_RATE, Reduce, ScoreConfig, ThresholdRule, check_rate};
pub use self::settings::{SETTINGS, Setting};
use crate::error::{Error, Result};
pub use crate::image::Normalize;
use crate::view::Survey;
#[doc(hidden)]
pub use crate::view::ViewConfig;
pub use blemish_kernels::precision::Arithmetic;
#[doc(hidden)]
pub use blemish_kernels::precision::Precision;

/// Everything that shapes a detector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The preset that this configuration started from.
    pub preset: Preset,
    /// Seed of every random draw.
    pub seed: u64,
    /// How images are read, and their view.
    pub data: DataConfig,
    /// The network's architecture: the preset's, or that of an imported network.
    #[doc(hidden)]
    pub model: ModelConfig,
    /// The network as a detector part.
    pub network: NetworkConfig,
    /// The memory of a pre-trained network's features.
    pub features: FeaturesConfig,
    /// The memory of good patches.
    pub memory: MemoryConfig,
    /// The line filter: `auto` uses it on surfaces.
    pub lines: Use,
    /// The Gaussian texture model: `auto` uses it on surfaces.
    pub texture: Use,
    /// How parts are fitted.
    pub fit: FitConfig,
    /// From anomaly map to verdict.
    pub score: ScoreConfig,
}

/// A named starting point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// The default: convolutional stem, small encoder, pyramid head; for two CPU cores.
    #[default]
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

impl Default for Config {
    fn default() -> Self {
        Self::preset(Preset::Light)
    }
}

impl Config {
    /// The complete configuration of a preset.
    pub fn preset(preset: Preset) -> Self {
        match preset {
            Preset::Light => Self {
                preset,
                seed: 0,
                data: DataConfig::default(),
                model: ModelConfig::light(),
                network: NetworkConfig::default(),
                features: FeaturesConfig::default(),
                memory: MemoryConfig::default(),
                lines: Use::Auto,
                texture: Use::Auto,
                fit: FitConfig::default(),
                score: ScoreConfig::default(),
            },
            Preset::Diyt => Self {
                preset,
                data: DataConfig {
                    channels: Some(3),
                    fit: Fit::Stretch,
                    align: Align::Never,
                    normalize: Normalize::None,
                    ..DataConfig::default()
                },
                model: ModelConfig::diyt(),
                network: NetworkConfig {
                    usage: Use::Always,
                    map: NetworkMap::Reconstruction,
                    smooth_sigma: 0.0,
                    ..NetworkConfig::default()
                },
                features: FeaturesConfig {
                    usage: Use::Never,
                    by_place: Some(false),
                    ..FeaturesConfig::default()
                },
                memory: MemoryConfig { usage: Use::Never, ..MemoryConfig::default() },
                lines: Use::Never,
                texture: Use::Never,
                fit: FitConfig { contamination: 0.0, ..FitConfig::default() },
                score: ScoreConfig {
                    reduce: Reduce::Max,
                    threshold: ThresholdRule::Percentile,
                    ..ScoreConfig::default()
                },
                ..Self::preset(Preset::Light)
            },
        }
    }

    /// The same with these settings.
    ///
    /// # Errors
    /// [`Error::Config`] for a key that is no setting, or a value of the wrong type.
    pub fn with(&self, overlay: &Overlay) -> Result<Self> {
        overlay.apply(self, SETTINGS)
    }

    /// The configuration as TOML, what cannot be set included.
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
        self.data.validate(self.model.patch_size)?;
        self.model.validate(self.view_size())?;
        self.network.validate(&self.model, self.grid())?;
        self.memory.validate()?;
        self.fit.validate()?;
        self.score.validate()?;
        if let (None, Some(setting)) = (self.one_size(), self.needs_one_size()) {
            let reason =
                format!("cannot be set together with `{setting}=always`, which needs images of one size");
            return Err(Error::config("data.view.scale", reason));
        }
        let uses = [self.network.usage, self.features.usage, self.memory.usage, self.lines, self.texture];
        let ok = uses.iter().any(|usage| *usage != Use::Never);
        require(ok, "network.use", "is never, as all other parts are: nothing is left to score with")
    }

    /// Settles what is left to the training images: channels, view, registration, which parts are used, how a map
    /// becomes a score.
    pub fn resolve(&mut self, channels: usize, survey: &Survey) {
        self.data.channels.get_or_insert(channels);
        if self.data.fit == Fit::Auto && self.data.view.is_none() {
            let view = survey.view(self.data.image_size, self.model.patch_size);
            self.data.view = view.filter(|view| view.scale.is_none() || self.needs_one_size().is_none());
        }
        if self.data.align == Align::Auto {
            self.data.align = if survey.has_fixed_pose() { Align::Always } else { Align::Never };
        }
        let rectified = self.data.view.as_ref().is_some_and(|view| view.product.is_some());
        let has_places = survey.has_fixed_pose() || rectified;
        self.memory.usage.settle(has_places);
        // A product in any pose is scored as a surface is: by what it shows anywhere.
        self.lines.settle(!has_places);
        self.texture.settle(!has_places);
        self.features.usage.settle(false);
        let others =
            [self.features.usage, self.memory.usage, self.lines, self.texture].contains(&Use::Always);
        self.network.usage.settle(!others);
        if [self.features.usage, self.network.usage].contains(&Use::Always) {
            self.features.by_place.get_or_insert(has_places);
        }
        if self.score.reduce == Reduce::Auto {
            let surface = self.texture == Use::Always;
            self.score.reduce = if surface { Reduce::TopMean } else { Reduce::Max };
        }
        self.network.precision.get_or_insert_with(Arithmetic::fastest);
    }

    /// The setting, where one was made, that no views of different sizes can be had with: parts that know places, and a network
    /// that is trained on views.
    fn needs_one_size(&self) -> Option<&'static str> {
        match () {
            () if self.memory.usage == Use::Always => Some("memory.use"),
            () if self.network.usage == Use::Always => Some("network.use"),
            () if self.data.align == Align::Always => Some("data.align"),
            () => None,
        }
    }

    /// The view; where none is set, the whole image at `data.image_size`.
    pub fn view(&self) -> ViewConfig {
        self.data.view.clone().unwrap_or_else(|| ViewConfig::whole(self.data.image_size))
    }

    /// Height and width of views and of their maps, pixels; where views have sizes of their own, of the tiles for parts that take
    /// one size only.
    pub fn view_size(&self) -> [usize; 2] {
        self.view().size
    }

    /// Whether views of a settled configuration show the same place of the product at the same pixel.
    pub(crate) fn has_places(&self) -> bool {
        self.features.by_place.unwrap_or(self.memory.usage == Use::Always)
    }

    /// Height and width of all views, pixels; `None` where each has its own.
    pub fn one_size(&self) -> Option<[usize; 2]> {
        let view = self.view();
        view.scale.is_none().then_some(view.size)
    }

    /// The size that masks of what is ignored are brought to.
    ///
    /// # Errors
    /// [`Error::Config`] where images have sizes of their own, so that no mask fits all of them.
    pub fn size_of_masks(&self) -> Result<[usize; 2]> {
        let reason = "one mask cannot say what to ignore in images of many sizes, which keep their scale; cut the images, or set \
                      `data.fit=stretch` to bring all to one shape";
        self.one_size().ok_or_else(|| Error::config("ignore", reason))
    }

    /// The least area that counts, `score.min_area`, in pixels of the view of an image of `original` height and width.
    pub(crate) fn least_area(&self, original: [usize; 2]) -> usize {
        let view = self.view();
        if let Some(scale) = view.scale {
            return ((self.score.min_area as f64 * scale * scale).round() as usize).max(1);
        }
        let [height, width] = original.map(|side| side as f64);
        let covered = match view.product {
            Some([across, along]) => across * along * height.max(width).powi(2),
            None => height * width,
        };
        let pixels = (view.size[0] * view.size[1]) as f64 / covered.max(1.0);
        ((self.score.min_area as f64 * pixels).round() as usize).max(1)
    }

    /// Rows and columns of the token grid.
    pub fn grid(&self) -> [usize; 2] {
        self.view_size().map(|side| side / self.model.patch_size.max(1))
    }
}

/// [`Error::Config`] for `field` unless `ok`.
#[doc(hidden)]
pub fn require(ok: bool, field: &str, reason: impl Into<String>) -> Result<()> {
    if ok { Ok(()) } else { Err(Error::config(field, reason)) }
}

//! Which detector parts are used, and how they are fitted.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Arithmetic, ModelConfig, require};
use crate::error::Result;

/// Whether a part of the detector is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Use {
    /// By a rule, which the setting names, from what the training images show.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Use {
    /// Settles `Auto`.
    pub(super) fn settle(&mut self, used: bool) {
        if *self == Self::Auto {
            *self = if used { Self::Always } else { Self::Never };
        }
    }
}

/// The network as a detector part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Whether it contributes to the score; `auto`: where no other part does.
    #[serde(rename = "use")]
    pub usage: Use,
    /// What it starts from. Where it is not trained on the product, these weights are used as they are.
    #[serde(default, skip_serializing_if = "NetworkInit::is_none")]
    pub init: NetworkInit,
    /// What its map is.
    pub map: NetworkMap,
    /// 1: the unmasked pass; K > 1: K passes (at most one per patch), each of which sees a K-th of the patches, in bands of
    /// about two rows; a patch is scored in one pass, which sees the band beside it and not its own.
    pub passes: usize,
    /// What its products are computed in on a CPU: `f32`; `bf16`, faster with AVX512-BF16; or `int8`, the tokens' linear
    /// maps in 8-bit integers and all else in bf16, fastest with AVX512-VNNI. Other CPUs are slower but round alike.
    /// Absent: what the fitting machine does best.
    pub precision: Option<Arithmetic>,
    /// Standard deviation of the Gaussian that smooths its map, pixels; 0: none. The preset's: it cannot be set.
    #[doc(hidden)]
    pub smooth_sigma: f64,
}

/// What the network's map is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMap {
    /// The head's defect probability.
    Defect,
    /// Squared reconstruction error, averaged over channels.
    Reconstruction,
}

/// What a network starts from; in settings `none`, `pretrained` or the name of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum NetworkInit {
    /// Random weights.
    #[default]
    None,
    /// The weights that come with the program, pre-trained on generated images.
    Pretrained,
    /// Weights of `blemish pretrain`.
    File(PathBuf),
}

impl NetworkInit {
    /// Whether it starts from random weights.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

impl From<String> for NetworkInit {
    fn from(text: String) -> Self {
        match text.as_str() {
            "none" => Self::None,
            "pretrained" => Self::Pretrained,
            _ => Self::File(text.into()),
        }
    }
}

impl From<NetworkInit> for String {
    fn from(init: NetworkInit) -> Self {
        match init {
            NetworkInit::None => "none".to_owned(),
            NetworkInit::Pretrained => "pretrained".to_owned(),
            NetworkInit::File(path) => path.display().to_string(),
        }
    }
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            usage: Use::Auto,
            init: NetworkInit::None,
            map: NetworkMap::Defect,
            passes: 1,
            precision: None,
            smooth_sigma: 1.0,
        }
    }
}

impl NetworkConfig {
    pub(super) fn validate(&self, model: &ModelConfig, grid: [usize; 2]) -> Result<()> {
        let most = (grid[0] * grid[1]).min(64);
        require(
            (1..=most).contains(&self.passes),
            "network.passes",
            format!("must be 1 to {most}, at most one pass per patch"),
        )?;
        require((0.0..=64.0).contains(&self.smooth_sigma), "network.smooth_sigma", "must be 0 to 64")?;
        let defect = self.map == NetworkMap::Defect && self.usage != Use::Never;
        require(!defect || model.defect_logit, "network.map", "defect needs the network of preset light")?;
        let ok = !(defect && self.passes > 1);
        require(
            ok,
            "network.passes",
            "must be 1 with network.map=defect, which is read from the unmasked pass",
        )
    }
}

/// The memory of a pre-trained network's features.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeaturesConfig {
    /// Whether there is one. Beside other parts it is scored apart, and the larger score counts (`docs/experiments/joining.md`).
    #[serde(rename = "use")]
    pub usage: Use,
    /// A file of pre-trained weights, as `blemish pretrain` writes it, or of an EfficientNet-Lite or a ViT as safetensors
    /// (`docs/features.md`), instead of those that come with the program.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub weights: Option<PathBuf>,
    /// Whether the place counts for what the network shows; absent: where there is a memory of patches. It cannot be set: it
    /// follows from the images, and from the preset.
    #[doc(hidden)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by_place: Option<bool>,
}

impl Default for FeaturesConfig {
    fn default() -> Self {
        Self { usage: Use::Always, weights: None, by_place: None }
    }
}

/// The memory of good patches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryConfig {
    /// Whether there is one; `auto`: where the product's pose is fixed or can be rectified.
    #[serde(rename = "use")]
    pub usage: Use,
    /// Patches kept at each place.
    pub prototypes: usize,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self { usage: Use::Auto, prototypes: 128 }
    }
}

impl MemoryConfig {
    pub(super) fn validate(&self) -> Result<()> {
        require((1..=4096).contains(&self.prototypes), "memory.prototypes", "must be 1 to 4096")
    }
}

/// How parts are fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitConfig {
    /// Largest share of the good images that may not be good, 0 to 0.5: of suspected outliers no more than this are left
    /// out of what the parts are fitted on.
    pub contamination: f64,
    /// Share of the good images that a trained network does not see, 0 to 0.5: thresholds come from them. It cannot be set:
    /// an imported network has seen none.
    #[doc(hidden)]
    pub holdout: f64,
}

impl Default for FitConfig {
    fn default() -> Self {
        Self { contamination: 0.1, holdout: 0.1 }
    }
}

impl FitConfig {
    pub(super) fn validate(&self) -> Result<()> {
        require((0.0..=0.5).contains(&self.contamination), "fit.contamination", "must be 0 to 0.5")?;
        require((0.0..=0.5).contains(&self.holdout), "fit.holdout", "must be 0 to 0.5")
    }
}

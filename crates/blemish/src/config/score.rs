//! From anomaly map to verdict.

use serde::{Deserialize, Serialize};

use super::{ModelConfig, require};
use crate::error::Result;
pub use crate::kernels::precision::Arithmetic;
use crate::memory::{Keep, MemoryConfig};

/// From anomaly map to verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreConfig {
    /// Which map is scored.
    pub map: MapKind,
    /// 1: the unmasked pass; K > 1: K passes (at most one per patch), each of which sees a K-th of the patches, in bands
    /// of about two rows; a patch is judged in one pass, which sees the band beside it and not its own. Training hides as
    /// much where `mask.mask_ratio` is 1 - 1 / K.
    pub passes: usize,
    /// What the network's products are computed in on a CPU: `f32`; `bf16`, which is faster on a CPU with AVX512-BF16; or
    /// `int8`, the tokens' linear maps in 8-bit integers and all else in bf16, fastest where there is AVX512-VNNI too. On
    /// other CPUs they are slower, but round alike, so scores do not depend on the machine. Absent: what the machine that
    /// trains does best.
    pub precision: Option<Arithmetic>,
    /// Whether the network also looks at the image's three mirror images, and the four maps are averaged, turned back.
    #[serde(default)]
    pub flips: bool,
    /// Standard deviation of the Gaussian that smooths the map, pixels; 0: none.
    pub smooth_sigma: f64,
    /// How a map becomes a score.
    pub reduce: Reduce,
    /// Share of the pixels that `top_fraction` averages.
    pub top_fraction: f64,
    /// Calibration of the network's maps against good images.
    pub calibration: Calibration,
    /// Whether the network is heard in a fused map beside other parts; `auto`: where there are none.
    #[serde(default = "always")]
    pub network: Keep,
    /// The memory of good patches.
    pub memory: MemoryConfig,
    /// Whether lines and spots that stand out of a surface's grain are looked for; `auto`: on surfaces.
    pub ridges: Keep,
    /// Whether the grain itself is compared with that of good surfaces; `auto`: on surfaces.
    #[serde(default = "never")]
    pub grain: Keep,
    /// The threshold that decides.
    pub threshold: ThresholdRule,
    /// Percentile of `percentile`, 0 to 100.
    pub percentile: f64,
    /// Factor of `sigma`.
    pub sigmas: f64,
    /// False-alarm rate of `far`.
    pub far: f64,
}

/// What models of before there was a choice did.
fn always() -> Keep {
    Keep::Always
}

fn never() -> Keep {
    Keep::Never
}

/// Which map is scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MapKind {
    /// Squared error, averaged over channels.
    Squared,
    /// 1 - SSIM, per pixel.
    Ssim,
    /// The geometric mean of the squared error and 1 - SSIM.
    SquaredSsim,
    /// 1 - similarity of the gradients' magnitudes (Xue et al. 2014), per pixel.
    Gradient,
    /// The head's defect probability.
    Defect,
    /// How far patches are from what good images show at that place, neighbours heeded; needs the memory.
    Memory,
    /// `Defect` (as `score.network` says), `Memory`, ridges and grain, as far as there are any: the largest of them at every
    /// pixel, in units of what good images give at the most, neighbours heeded.
    Fused,
}

/// How a map becomes a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduce {
    /// The largest value.
    Max,
    /// The mean of the largest `score.top_fraction` of the values.
    TopFraction,
    /// `TopFraction` where the grain of a surface is looked at, whose stains may be faint but wide, otherwise `Max`.
    Auto,
}

/// Calibration of maps against good images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Calibration {
    /// None: the map as it is.
    None,
    /// Divided by what good images give at that position.
    Position,
    /// `Position` for maps of differences where the product always lies the same way, otherwise `None`.
    Auto,
}

/// How the threshold that decides is chosen; all are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdRule {
    /// Best F1 on the validation set.
    Val,
    /// `score.percentile` of the held-out good scores.
    Percentile,
    /// Mean plus `score.sigmas` standard deviations of the held-out good scores.
    Sigma,
    /// The stated false-alarm rate on held-out good images.
    Far,
}

impl ThresholdRule {
    /// The name by which it is chosen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Val => "val",
            Self::Percentile => "percentile",
            Self::Sigma => "sigma",
            Self::Far => "far",
        }
    }
}

impl ScoreConfig {
    /// Whether the network has a part in the score, as far as the configuration decides it.
    pub fn hears_network(&self) -> bool {
        match self.map {
            MapKind::Memory => false,
            MapKind::Fused => self.network != Keep::Never,
            _ => true,
        }
    }

    /// Whether memory, ridges and grain are learnt, of which no more is than the scored map looks at.
    pub fn learns(&self) -> [bool; 3] {
        let [memory, ridges, grain] =
            [self.memory.keep, self.ridges, self.grain].map(|keep| keep == Keep::Always);
        match self.map {
            MapKind::Fused => [memory, ridges, grain],
            MapKind::Memory => [memory, false, false],
            _ => [false; 3],
        }
    }

    /// Whether good images teach anything beside the network.
    pub fn learns_beside_network(&self) -> bool {
        self.learns().contains(&true)
    }

    pub(super) fn validate(&self, model: &ModelConfig) -> Result<()> {
        require((1..=64).contains(&self.passes), "score.passes", "must be 1 to 64")?;
        require((0.0..=64.0).contains(&self.smooth_sigma), "score.smooth_sigma", "must be 0 to 64")?;
        let ok = self.top_fraction > 0.0 && self.top_fraction <= 1.0;
        require(ok, "score.top_fraction", "must be above 0 and at most 1")?;
        require((0.0..=100.0).contains(&self.percentile), "score.percentile", "must be 0 to 100")?;
        require(self.sigmas.is_finite(), "score.sigmas", "must be a number")?;
        require(self.far > 0.0 && self.far < 1.0, "score.far", "must be above 0 and below 1")?;
        self.memory.validate()?;
        let memory = self.memory.keep != Keep::Never || self.map != MapKind::Memory;
        require(memory, "score.memory.keep", "score.map = \"memory\" needs one")?;
        let needs_logit = matches!(self.map, MapKind::Defect | MapKind::Fused);
        require(!needs_logit || model.defect_logit, "score.map", "this map needs model.defect_logit = true")?;
        let ok = !(needs_logit && self.passes > 1);
        require(ok, "score.passes", "the defect logit is read from the unmasked pass: set passes to 1")
    }
}

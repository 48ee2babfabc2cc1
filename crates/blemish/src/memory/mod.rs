//! What good products look like, place by place: a bounded memory of patches, and how far a new picture is from it.
//!
//! PatchCore (Roth et al. 2022) keeps pretrained features of good images and scores by the nearest one. Here the
//! features are the principal components of the patches themselves, so nothing is learnt elsewhere, and a patch is
//! compared only with what good products show at that place (and its neighbours): where every product lies alike, that
//! is what tells a missing thread from a shaft. Greedy k-centre selection (Sener and Savarese 2018) bounds the memory.

mod bank;
mod patches;

use serde::{Deserialize, Serialize};

pub use self::bank::{Memory, Scale};
pub use self::patches::{Components, Grid};
use crate::error::{Error, Result};

/// The shape of the memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryConfig {
    /// Whether there is one.
    pub keep: Keep,
    /// Patches are 8 x 8 cells of `scale` x `scale` averaged pixels; one memory for each scale, 1, 2, 4 or 8.
    /// Empty: the one whose patches are about a sixteenth of the view wide, and, where there are tiles, of a tile.
    pub scales: Vec<usize>,
    /// Principal components that describe a patch.
    pub components: usize,
    /// Patches remembered at each place.
    pub prototypes: usize,
    /// Neighbouring places that a patch may have come from, either way.
    pub reach: usize,
}

/// Whether a part of the detector is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// By a rule, which the setting names, from what the training images show.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl MemoryConfig {
    /// The scale whose patches are about a sixteenth of a view that is `side` pixels wide.
    pub fn scale_for(side: f64) -> usize {
        let cells = side / 16.0 / patches::PATCH as f64;
        [1, 2, 4, 8].into_iter().find(|&scale| cells < scale as f64 * f64::sqrt(2.0)).unwrap_or(8)
    }

    /// # Errors
    /// [`Error::Config`] naming the first field that is out of range.
    pub fn validate(&self) -> Result<()> {
        let check = |ok: bool, field: &str, reason: &str| {
            if ok { Ok(()) } else { Err(Error::config(format!("score.memory.{field}"), reason)) }
        };
        let scales = self.scales.iter().all(|s| [1, 2, 4, 8].contains(s));
        check(scales, "scales", "must be some of 1, 2, 4 and 8")?;
        check((1..=64).contains(&self.components), "components", "must be 1 to 64")?;
        check((1..=4096).contains(&self.prototypes), "prototypes", "must be 1 to 4096")?;
        check(self.reach <= 4, "reach", "must be at most 4")
    }
}

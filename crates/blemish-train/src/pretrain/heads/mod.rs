//! What the memory of features adds to a pre-trained network, learnt once on generated scenes while the network stays as it is: the
//! projections, which bring the values that describe a place to fewer, and the reference-conditioned decoder, which looks at what
//! places differ by from the good references that are retrieved for them (`docs/experiments/projection.md`, `decoder.md`).

mod decoder;
mod learning;
mod projections;
mod ranking;
mod scenes;

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::decoder::DecoderHead;
use self::learning::{Learning, Start};
use self::projections::Projections;
use super::config::require;
use super::event::PretrainEvent;
use super::run::{PretrainOptions, Rates, run};
use blemish::parts::features::described::Describer;
use blemish::pretrained::Pretrained;
use blemish::{Error, Result};

/// What is learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// The projections of both groups of levels, from principal components on.
    Projections,
    /// The decoder, for weights that have projections.
    Decoder,
}

impl Head {
    /// Steps after which the curves were flat.
    pub fn steps(self) -> usize {
        match self {
            Self::Projections => 1000,
            Self::Decoder => 400,
        }
    }
}

/// The settings: with the weights and the number of steps, all that the result depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadConfig {
    /// What is learnt.
    pub learn: Head,
    /// Seed of scenes and of what is drawn of them.
    pub seed: u64,
    /// Scenes of a step, 1 to 4096; those whose defect covers no pixel are left out.
    pub batch_size: usize,
    /// Image side, a multiple of 16, 32 to 1024.
    pub side: usize,
    /// Peak learning rate of AdamW, above 0 and at most 1.
    pub learning_rate: f64,
}

impl HeadConfig {
    /// The settings that the built-in weights were learnt with.
    pub fn new(learn: Head) -> Self {
        Self { learn, seed: 0, batch_size: 8, side: 128, learning_rate: 3e-3 }
    }

    /// # Errors
    /// [`Error::Config`] naming the first field that is out of range.
    pub fn validate(&self) -> Result<()> {
        require((1..=4096).contains(&self.batch_size), "batch_size", "must be 1 to 4096")?;
        let fits = self.side.is_multiple_of(16) && (32..=1024).contains(&self.side);
        require(fits, "side", "must be a multiple of 16, 32 to 1024")?;
        let rate = self.learning_rate;
        require((1e-9..=1.0).contains(&rate), "learning_rate", "must be above 0 and at most 1")
    }

    fn rates(&self) -> Rates {
        let weight_decay = match self.learn {
            Head::Projections => 0.0,
            Head::Decoder => 1e-2,
        };
        let learning_rate = self.learning_rate;
        Rates { learning_rate, warmup: 50, weight_decay, clip_norm: 1.0, ema_decay: 0.98 }
    }
}

/// Learns, and returns the weights' file: the network's, with what was learnt. Where a run is resumed `network` is the file in its folder.
///
/// # Errors
/// Settings, weights or a checkpoint that cannot be used, files that cannot be written, [`Error::Interrupted`] when asked to stop.
pub fn learn(
    config: &HeadConfig,
    network: Pretrained,
    options: &PretrainOptions,
    listener: &mut dyn FnMut(&PretrainEvent),
) -> Result<PathBuf> {
    config.validate()?;
    let describer = Arc::new(Describer::new(&network, [config.side; 2]).map_err(Error::Training)?);
    let start = Start { config: config.clone(), network: Arc::new(network), describer };
    match config.learn {
        Head::Projections => {
            run(config, options, listener, |before| Learning::<Projections>::begin(start, options, before))
        }
        Head::Decoder => {
            run(config, options, listener, |before| Learning::<DecoderHead>::begin(start, options, before))
        }
    }
}

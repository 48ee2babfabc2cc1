//! What the pre-trained network sees in a view.

use std::sync::Arc;

use super::levels::{LEVELS, coarse};
use crate::config::Config;
use crate::engine::{Engine, Feature, FeatureMap};
use crate::image::Image;
use crate::pretrained::Pretrained;

/// The pre-trained network on views of one size.
#[derive(Debug)]
pub struct Reader {
    engine: Engine,
    pretrained: Arc<Pretrained>,
    size: [usize; 2],
}

/// The network's levels ([`LEVELS`]) of one view, and its defect logit, means over 4 x 4 pixels.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The levels.
    pub maps: Vec<FeatureMap>,
    /// `[H/4, W/4]`
    pub logit: Vec<f32>,
}

impl Reader {
    /// For views of `size`.
    ///
    /// # Errors
    /// A sentence: weights that do not fit the view, or lack a level or the defect logit.
    pub fn new(size: [usize; 2], pretrained: Arc<Pretrained>, config: &Config) -> Result<Self, String> {
        let engine = pretrained.engine(size, config)?;
        if !LEVELS.iter().all(|level| engine.has(level.feature)) || !pretrained.model.defect_logit {
            return Err("the network lacks a level or the defect logit that the comparison needs".to_owned());
        }
        Ok(Self { engine, pretrained, size })
    }

    /// The network.
    pub fn pretrained(&self) -> &Pretrained {
        &self.pretrained
    }

    /// What it sees in a normalised view.
    pub fn read(&self, image: &Image) -> Reading {
        let wanted: Vec<Feature> = LEVELS.iter().map(|level| level.feature).collect();
        let output = self.engine.forward(&image.in_three_channels(), None, &wanted);
        Reading { maps: output.features, logit: coarse(&output.extra, self.size) }
    }
}

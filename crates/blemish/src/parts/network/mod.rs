//! The masked autoencoder as a detector part: its map is its squared reconstruction error, or
//! the defect probability that it gives each pixel.

use super::{DetectorPart, FitInput};
use crate::config::{Config, NetworkConfig, NetworkMap};
use crate::engine::{Complementary, Engine, Output, Weights, take_prefixed};
use crate::error::{Error, Result};
use crate::image::Image;
use blemish_kernels::blur::blur_same_reflect;

/// How the network's parameters begin among a model file's tensors.
const PREFIX: &str = "network.";

/// A network that is ready to score.
#[derive(Debug)]
pub struct Network {
    engine: Engine,
    weights: Weights,
    config: NetworkConfig,
    grid: [usize; 2],
    trained_here: bool,
}

impl DetectorPart for Network {
    fn fit(input: &FitInput<'_>) -> Result<Self> {
        let Some(weights) = input.trained else {
            let reason =
                "the network has no weights: train it on these images (`--finetune`), or leave it out";
            return Err(Error::config("network.use", reason));
        };
        let network = Self::new(weights.clone(), input.config).map_err(Error::Training)?;
        Ok(Self { trained_here: true, ..network })
    }

    fn map(&self, image: &Image) -> Vec<f32> {
        let output = match self.config.passes {
            1 => self.engine.forward(&image.pixels, None, &[]),
            passes => self.engine.forward_scored(&image.pixels, &Complementary::bands(self.grid, passes)),
        };
        let map: Vec<f32> = match self.config.map {
            NetworkMap::Defect => output.extra.iter().map(|z| 1.0 / (1.0 + (-z).exp())).collect(),
            NetworkMap::Reconstruction => squared_error(&output, image),
        };
        match self.config.smooth_sigma {
            0.0 => map,
            sigma => blur_same_reflect(&map, image.height, image.width, sigma as f32),
        }
    }

    fn has_seen_all(&self) -> bool {
        self.trained_here
    }

    fn save(&self, tensors: &mut Weights) {
        tensors.extend(self.weights.iter().map(|(name, array)| (format!("{PREFIX}{name}"), array.clone())));
    }

    fn load(tensors: &mut Weights, config: &Config) -> Result<Self, String> {
        Self::new(take_prefixed(tensors, PREFIX), config)
    }
}

impl Network {
    /// A network of these weights.
    ///
    /// # Errors
    /// A sentence that names the parameter that does not fit.
    pub fn new(weights: Weights, config: &Config) -> Result<Self, String> {
        let channels = config.data.channels.ok_or("data.channels is not set")?;
        let (size, arithmetic) = (config.view_size(), config.network.precision.unwrap_or_default());
        Ok(Self {
            engine: Engine::new(&config.model, size, channels, &weights, arithmetic)?,
            weights,
            config: config.network.clone(),
            grid: config.grid(),
            trained_here: false,
        })
    }
}

/// Squared error, averaged over channels, `[H, W]`.
fn squared_error(output: &Output, image: &Image) -> Vec<f32> {
    let pairs = output.image.chunks_exact(image.channels).zip(image.pixels.chunks_exact(image.channels));
    let error = |(a, b): (&[f32], &[f32])| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
    pairs.map(|pair| error(pair) / image.channels as f32).collect()
}

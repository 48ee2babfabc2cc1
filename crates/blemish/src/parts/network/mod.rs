//! The masked autoencoder as a detector part: its map is its squared reconstruction error, or
//! the defect probability that it gives each pixel.

use std::sync::Arc;

use super::{DetectorPart, Expected, FitInput, roots};
use crate::config::{Config, NetworkConfig, NetworkInit, NetworkMap};
use crate::engine::{Complementary, Engine, Output, Weights, take_prefixed};
use crate::error::{Error, Result};
use crate::image::Image;
use crate::pretrained::{Pretrained, PretrainedOrigin};
use blemish_kernels::blur::blur_same_reflect;

/// How the network's parameters begin among a model file's tensors.
const PREFIX: &str = "network.";

/// A network that is ready to score.
#[derive(Clone, Debug)]
pub struct Network {
    engine: Arc<Engine>,
    weights: Arc<Weights>,
    config: NetworkConfig,
    grid: [usize; 2],
    trained_here: bool,
    origin: Option<PretrainedOrigin>,
}

/// What a network starts from.
#[derive(Debug)]
pub struct Start {
    /// The weights, for the settled configuration's views.
    pub weights: Weights,
    /// Where they came from.
    pub origin: PretrainedOrigin,
}

impl Start {
    /// What `network.init` names; `None` for random weights. `builtin` are the weights that come with the program.
    ///
    /// # Errors
    /// A file that cannot be read or holds no such weights; [`Error::Config`] for weights of another network.
    pub fn of(config: &Config, builtin: Option<&'static [u8]>) -> Result<Option<Self>> {
        let pretrained = match (&config.network.init, builtin) {
            (NetworkInit::None, _) => return Ok(None),
            (NetworkInit::File(path), _) => Pretrained::load(path)?,
            (NetworkInit::Pretrained, Some(bytes)) => Pretrained::builtin(bytes)?,
            (NetworkInit::Pretrained, None) => {
                return Err(Error::config("network.init", "must name a file: this program has no weights"));
            }
        };
        let channels = config.data.channels.unwrap_or(3);
        let weights = pretrained
            .weights_for(&config.model, config.view_size(), channels)
            .map_err(|reason| Error::config("network.init", reason))?;
        Ok(Some(Self { weights, origin: pretrained.origin }))
    }
}

impl DetectorPart for Network {
    fn fit(input: &FitInput<'_>) -> Result<Self> {
        let start = Start::of(input.config, input.builtin);
        let (weights, origin, trained_here) = match (input.trained, start) {
            // Where it started from is a remark only: that must not cost a training, if the file has gone since.
            (Some(weights), start) => (weights.clone(), start.ok().flatten().map(|start| start.origin), true),
            (None, Err(error)) => return Err(error),
            (None, Ok(Some(start))) => (start.weights, Some(start.origin), false),
            (None, Ok(None)) => {
                let reason = "the network has no weights: train it on these images (`--finetune`), take pre-trained ones \
                              (`network.init`), or leave it out";
                return Err(Error::config("network.use", reason));
            }
        };
        let network = Self::new(weights, input.config).map_err(Error::Training)?;
        Ok(Self { trained_here, origin, ..network })
    }

    /// It is the same whatever images there are: they have no part in its weights.
    fn refit(&self, _: &FitInput<'_>) -> Option<Result<Box<dyn DetectorPart>>> {
        Some(Ok(Box::new(self.clone())))
    }

    fn map(&self, image: &Image) -> Vec<f32> {
        let output = self.output(image);
        let map: Vec<f32> = match self.config.map {
            NetworkMap::Defect => output.extra.iter().map(|z| 1.0 / (1.0 + (-z).exp())).collect(),
            NetworkMap::Reconstruction => squared_error(&output, image),
        };
        self.smoothed(map, image)
    }

    /// The error itself, with its sign, where its map is the squared error: what cannot be reconstructed of good products errs in
    /// the same direction on all of them, and is taken out with their mean.
    fn comparable(&self, image: &Image) -> Vec<f32> {
        match self.config.map {
            NetworkMap::Defect => roots(&self.map(image)),
            NetworkMap::Reconstruction => self.smoothed(signed_error(&self.output(image), image), image),
        }
    }

    /// Its reconstruction, of hidden patches where it scores by complementary masks.
    fn expected(&self, image: &Image) -> Option<Expected> {
        let Image { height, width, channels, .. } = *image;
        let pixels = self.output(image).image;
        Some(Expected { title: "reconstruction", image: Image { height, width, channels, pixels } })
    }

    fn pretrained(&self) -> Option<&PretrainedOrigin> {
        self.origin.as_ref()
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
            engine: Arc::new(Engine::new(&config.model, size, channels, &weights, arithmetic)?),
            weights: Arc::new(weights),
            config: config.network.clone(),
            grid: config.grid(),
            trained_here: false,
            origin: None,
        })
    }

    /// A map of `image`, smoothed.
    fn smoothed(&self, map: Vec<f32>, image: &Image) -> Vec<f32> {
        match self.config.smooth_sigma {
            0.0 => map,
            sigma => blur_same_reflect(&map, image.height, image.width, sigma as f32),
        }
    }

    /// What its map and its reconstruction are read from.
    fn output(&self, image: &Image) -> Output {
        match self.config.passes {
            1 => self.engine.forward(&image.pixels, None, &[]),
            passes => self.engine.forward_scored(&image.pixels, &Complementary::bands(self.grid, passes)),
        }
    }
}

/// The root of the squared error, averaged over channels, with the sign of their sum, `[H, W]`.
fn signed_error(output: &Output, image: &Image) -> Vec<f32> {
    let pairs = output.image.chunks_exact(image.channels).zip(image.pixels.chunks_exact(image.channels));
    let sum = |(a, b): (&[f32], &[f32])| a.iter().zip(b).map(|(a, b)| b - a).sum::<f32>();
    let signs: Vec<f32> = pairs.map(|pair| sum(pair).signum()).collect();
    squared_error(output, image).into_iter().zip(signs).map(|(v, sign)| sign * v.sqrt()).collect()
}

/// Squared error, averaged over channels, `[H, W]`.
fn squared_error(output: &Output, image: &Image) -> Vec<f32> {
    let pairs = output.image.chunks_exact(image.channels).zip(image.pixels.chunks_exact(image.channels));
    let error = |(a, b): (&[f32], &[f32])| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
    pairs.map(|pair| error(pair) / image.channels as f32).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::config::Use;
    use crate::parts::testing::{config_of, fitted_as, with_input};

    const WEIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../weights/light.safetensors");

    fn image(seed: usize) -> Image {
        let pixels = (0..32 * 48).map(|i| ((i * 7 + seed * 13) as f32 * 0.11).sin()).collect();
        Image { height: 32, width: 48, channels: 1, pixels }
    }

    fn frozen(map: NetworkMap, passes: usize) -> Config {
        let mut config = config_of(&image(0));
        (config.network.usage, config.network.map, config.network.passes) = (Use::Always, map, passes);
        config.network.init = NetworkInit::File(WEIGHTS.into());
        config
    }

    #[test]
    fn pre_trained_weights_serve_without_training_and_show_what_they_reconstruct() {
        let images = [image(0), image(1)];
        let config = frozen(NetworkMap::Reconstruction, 3);
        let network: Network = fitted_as(&images, &config);
        // Any good image calibrates it: it has seen none.
        assert!(!network.has_seen_all() && network.pretrained().is_some_and(|origin| origin.steps > 0));
        let expected = network.expected(&images[0]).unwrap();
        let error = |smoothed: &[f32]| smoothed.iter().sum::<f32>();
        let pairs = expected.image.pixels.iter().zip(&images[0].pixels);
        let by_hand = pairs.map(|(a, b)| (a - b) * (a - b)).collect::<Vec<_>>();
        let map = network.map(&images[0]);
        assert!(
            (error(&by_hand) - error(&map)).abs() < 0.1 * error(&map),
            "a map of the same error, smoothed"
        );
        let defect: Network = fitted_as(&images, &frozen(NetworkMap::Defect, 1));
        assert!(defect.map(&images[0]).iter().all(|p| (0.0..=1.0).contains(p)));
        // It is saved and read like any other.
        let mut tensors = Weights::new();
        network.save(&mut tensors);
        let again = Network::load(&mut tensors, &config).unwrap();
        assert!(tensors.is_empty());
        assert_eq!(again.map(&images[1]), network.map(&images[1]));
    }

    #[test]
    fn what_is_compared_by_place_is_the_error_with_its_sign() {
        let mut config = frozen(NetworkMap::Reconstruction, 1);
        config.network.smooth_sigma = 0.0;
        let network: Network = fitted_as(&[image(0), image(1)], &config);
        let (signed, map) = (network.comparable(&image(0)), network.map(&image(0)));
        for (signed, squared) in signed.iter().zip(&map) {
            assert!((signed * signed - squared).abs() < 1e-5 * squared.max(1.0), "{signed} {squared}");
        }
        let expected = network.expected(&image(0)).unwrap().image;
        let pairs = image(0).pixels.into_iter().zip(expected.pixels);
        let errors: Vec<f32> = pairs.map(|(shown, expected)| shown - expected).collect();
        assert!(errors.iter().any(|v| *v > 0.0) && errors.iter().any(|v| *v < 0.0));
        assert!(signed.iter().zip(&errors).all(|(signed, error)| (signed - error).abs() < 1e-4));
        let defect: Network = fitted_as(&[image(0)], &frozen(NetworkMap::Defect, 1));
        let roots = defect.comparable(&image(1));
        assert!(roots.iter().zip(defect.map(&image(1))).all(|(root, p)| (root * root - p).abs() < 1e-6));
    }

    #[test]
    fn without_weights_or_with_others_it_is_refused() {
        let images = [image(0)];
        let mut config = frozen(NetworkMap::Defect, 1);
        let refused = |config: &Config| with_input(&images, config, Network::fit).unwrap_err().to_string();
        config.network.init = NetworkInit::None;
        assert!(refused(&config).contains("network.init"));
        // No weights are built into a test's input.
        config.network.init = NetworkInit::Pretrained;
        assert!(refused(&config).contains("network.init"));
        config = frozen(NetworkMap::Defect, 1);
        config.model.depth = 7;
        assert!(refused(&config).contains("another shape"));
    }
}

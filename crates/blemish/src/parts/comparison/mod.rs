//! The masked autoencoder, pre-trained once on generated images, compares an image with good references.
//!
//! Levels of its stem, encoder and pyramid head describe every place. Each is compared with the nearest place of good images: any,
//! and where the product has the same pose in every view, one at about the same place (PatchCore, Roth et al. 2022). The residuals,
//! in units of what good images differ among themselves, and the defect logit go through the network's last layers, which were
//! trained for it on episodes of generated products ([`levels`]). Nothing of the network is trained on the product.

pub mod levels;
mod reader;
mod references;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use self::levels::{LEVELS, Layers};
use self::reader::{Reader, Reading};
use self::references::References;
use super::features::pretrained;
use super::{DetectorPart, FitInput};
use crate::config::Config;
use crate::engine::{Arithmetic, Weights};
use crate::error::{Error, Result};
use crate::good::Progress;
use crate::image::Image;
use crate::pretrained::{Pretrained, PretrainedOrigin};

/// Images that references are taken from, at most.
const IMAGES: usize = 96;

/// The network, and its references.
#[derive(Debug)]
pub struct Comparison {
    size: [usize; 2],
    reader: Reader,
    layers: Layers,
    references: References,
}

impl DetectorPart for Comparison {
    fn fit(input: &FitInput<'_>) -> Result<Self> {
        let images = input.images.at_most(IMAGES);
        let pretrained = pretrained(input)?;
        let (reader, layers) = network(images.size(), pretrained, input.config).map_err(Error::Training)?;
        let mut readings: Vec<Reading> = Vec::with_capacity(images.len());
        images.for_each(input.progress, |image| reader.read(image), |reading| readings.push(reading))?;
        let references = References::fit(&readings, input.config.has_places(), input.progress)?;
        Ok(Self { size: images.size(), reader, layers, references })
    }

    fn map(&self, image: &Image) -> Vec<f32> {
        let planes = self.references.planes(&self.reader.read(image));
        let [height, width] = self.references.grid();
        let logit = self.layers.forward(planes, [height, width]);
        // log(1 + exp(z)): above 0, and as the logit where that is large.
        let positive = |z: f32| z.max(0.0) + (-z.abs()).exp().ln_1p();
        let pixels = logit.into_iter().map(positive).collect();
        Image { height, width, channels: 1, pixels }.enlarged(self.size)
    }

    fn pretrained(&self) -> Option<&PretrainedOrigin> {
        Some(&self.reader.pretrained().origin)
    }

    fn save(&self, tensors: &mut Weights) {
        self.reader.pretrained().put(tensors, "comparison.network.");
        self.references.save(tensors);
    }

    fn load(tensors: &mut Weights, config: &Config) -> Result<Self, String> {
        let size = config.view_size();
        let pretrained = Arc::new(Pretrained::take(tensors, "comparison.network.")?);
        let (reader, layers) = network(size, Arc::clone(&pretrained), config)?;
        let channels = LEVELS.map(|level| pretrained.channels_of(level.feature));
        let references = References::load(tensors, size, &channels, config.has_places())?;
        Ok(Self { size, reader, layers, references })
    }
}

fn network(
    size: [usize; 2],
    pretrained: Arc<Pretrained>,
    config: &Config,
) -> Result<(Reader, Layers), String> {
    let layers = Layers::new(&pretrained.weights)?;
    Ok((Reader::new(size, pretrained, config)?, layers))
}

/// The maps of `tests` by the references of `good`, normalised views of one size; for measurements.
///
/// # Errors
/// Weights that do not fit.
pub fn compare(
    pretrained: &Pretrained,
    good: &[Image],
    tests: &[Image],
    has_places: bool,
    arithmetic: Arithmetic,
) -> Result<Vec<Image>> {
    let stop = AtomicBool::new(false);
    let progress = Progress::new(&|_| {}, &stop);
    let size = [good[0].height, good[0].width];
    let mut config = Config::default();
    config.network.precision = Some(arithmetic);
    let (reader, layers) = network(size, Arc::new(pretrained.clone()), &config).map_err(Error::Training)?;
    let readings: Vec<Reading> = good.iter().map(|image| reader.read(image)).collect();
    let references = References::fit(&readings, has_places, &progress)?;
    let [height, width] = references.grid();
    let map = |image: &Image| {
        let pixels = layers.forward(references.planes(&reader.read(image)), [height, width]);
        Image { height, width, channels: 1, pixels }
    };
    Ok(tests.iter().map(map).collect())
}

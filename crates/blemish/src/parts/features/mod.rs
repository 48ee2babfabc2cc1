//! A memory of a pre-trained network's features on good images, and how far an image's features are from it.
//!
//! PatchCore (Roth et al. 2022) with the masked autoencoder's own features, levels of the stem, taps of the encoder and maps
//! of the pyramid head, or with those of a [network of the user's own](network); each in units of its own variation on good
//! images, averaged over 3 x 3 cells, joined on one grid.
//! Where the product has the same pose in every view, a place is compared with what good images show at about that place;
//! on surfaces with what they show anywhere.

mod bank;
mod descriptor;
mod network;

use std::sync::Arc;

use rayon::prelude::*;

use self::bank::Bank;
use self::descriptor::Descriptor;
use self::network::FeatureNetwork;
use super::memory::Components;
use super::{DetectorPart, FitInput, put, take};
use crate::config::{Config, Use};
use crate::engine::Weights;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::pretrained::Pretrained;

/// Vectors that the principal components are computed from, at most.
const SAMPLE: usize = 20_000;
/// Principal components that describe a place.
const COMPONENTS: usize = 64;

/// The features of good images.
#[derive(Debug)]
pub struct Features {
    size: [usize; 2],
    descriptor: Descriptor,
    components: Components,
    bank: Bank,
}

impl DetectorPart for Features {
    fn fit(input: &FitInput<'_>) -> Result<Self> {
        let images = input.images;
        let network = FeatureNetwork::of(input)?;
        let descriptor = Descriptor::new(images.size(), network, input.config).map_err(Error::Training)?;
        let descriptor = descriptor.scaled_to(images, input.progress)?;
        let places = descriptor.places();
        let all: Vec<Vec<f32>> = {
            let mut all = Vec::with_capacity(images.len());
            images.for_each(
                input.progress,
                |image| descriptor.describe(image),
                |vectors| all.push(vectors),
            )?;
            all
        };
        let values = descriptor.values();
        let step = (all.len() * places).div_ceil(SAMPLE).max(1);
        let sample: Vec<f32> =
            all.iter().flat_map(|v| v.chunks_exact(values)).step_by(step).flatten().copied().collect();
        let components = Components::new(&sample, values, COMPONENTS);
        let projected: Vec<Vec<f32>> = all.par_iter().map(|vectors| components.project(vectors)).collect();
        let bank = if has_places(input.config) {
            Bank::by_place(&projected, descriptor.grid(), components.count(), input.progress)?
        } else {
            Bank::anywhere(&projected, components.count(), input.progress)?
        };
        Ok(Self { size: images.size(), descriptor, components, bank })
    }

    fn map(&self, image: &Image) -> Vec<f32> {
        let [height, width] = self.descriptor.grid();
        Image { height, width, channels: 1, pixels: self.distances(image) }.enlarged(self.size)
    }

    fn save(&self, tensors: &mut Weights) {
        let values = self.descriptor.values();
        self.descriptor.network().put(tensors, "features.network.");
        put(tensors, "features.mean", &[values], &self.components.mean);
        put(tensors, "features.basis", &[values, self.components.count()], &self.components.basis);
        put(tensors, "features.scale", &[self.descriptor.scale().len()], self.descriptor.scale());
        let vectors = self.bank.vectors();
        put(
            tensors,
            "features.bank",
            &[vectors.len() / self.components.count(), self.components.count()],
            vectors,
        );
    }

    fn load(tensors: &mut Weights, config: &Config) -> Result<Self, String> {
        let size = config.view_size();
        let network = FeatureNetwork::take(tensors, "features.network.")?;
        let descriptor =
            Descriptor::new(size, network, config)?.with_scale(take(tensors, "features.scale")?)?;
        let components =
            Components::from_parts(take(tensors, "features.mean")?, take(tensors, "features.basis")?)
                .filter(|components| components.mean.len() == descriptor.values())
                .ok_or("its components are of another network")?;
        let (vectors, count) = (take(tensors, "features.bank")?, components.count());
        let bank = if has_places(config) {
            Bank::from_places(vectors, descriptor.grid(), count)
        } else {
            Bank::from_vectors(vectors, count)
        };
        Ok(Self { size, descriptor, components, bank: bank.ok_or("its vectors do not fit the view")? })
    }
}

impl Features {
    /// Distance of every place's vector to the nearest one of good images.
    fn distances(&self, image: &Image) -> Vec<f32> {
        self.bank
            .distances(&self.components.project(&self.descriptor.describe(image)), self.descriptor.grid())
    }
}

/// The masked autoencoder that the configuration names, or that comes with the program.
///
/// # Errors
/// Those of reading it; there is none, or it is another network.
pub(super) fn pretrained(input: &FitInput<'_>) -> Result<Arc<Pretrained>> {
    FeatureNetwork::of(input)?.for_comparison()
}

/// Refuses a file of weights that cannot be used, before any image is read.
///
/// # Errors
/// Those of reading it; [`Error::Config`](crate::Error::Config) where it cannot do what the configuration asks of it.
pub(crate) fn require_weights(config: &Config) -> Result<()> {
    if let (Use::Always, Some(path)) = (config.features.usage, &config.features.weights) {
        let network = FeatureNetwork::load(path)?;
        if config.features.compare {
            network.for_comparison()?;
        }
    }
    Ok(())
}

/// Whether views show the same place at the same pixel.
pub(super) fn has_places(config: &Config) -> bool {
    config.memory.usage == Use::Always
}

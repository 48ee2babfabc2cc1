//! A memory of a pre-trained network's features on good images, and how far an image's features are from it.
//!
//! PatchCore (Roth et al. 2022) with the masked autoencoder's own features, levels of the stem, taps of the encoder and maps
//! of the pyramid head, or with those of a network of the user's own; each in units of its own variation on good
//! images, averaged over 3 x 3 cells, joined on one grid.
//! Where the product has the same pose in every view, a vector ends with its place, so that what good images show elsewhere counts as
//! further away; on surfaces they are compared with what good images show anywhere.

mod descriptor;
mod network;
mod seen;

use std::sync::Arc;

use self::descriptor::Descriptor;
use self::network::FeatureNetwork;
use self::seen::Seen;
use super::memory::Components;
use super::nearest::Searched;
use super::places::squared_distance;
use super::{DetectorPart, FitInput, put, take};
use crate::config::{Config, Use};
use crate::engine::{Array, Weights};
use crate::error::{Error, Result};
use crate::image::Image;
use crate::pretrained::{Pretrained, PretrainedOrigin};

/// Images that the levels' variation and the principal components are computed from, at most.
const SAMPLED_ON: usize = 64;
/// Vectors of those, at most.
const SAMPLE: usize = 20_000;
/// Principal components that describe a place.
const COMPONENTS: usize = 64;

/// How far apart, in descriptions, two places are that lie a view's longer side apart.
const AWAY: f32 = 8.0;

/// The features of good images.
#[derive(Debug)]
pub struct Features {
    size: [usize; 2],
    descriptor: Arc<Descriptor>,
    components: Arc<Components>,
    /// Whether a vector ends with its place.
    has_places: bool,
    bank: Searched,
    /// What the images show that it was fitted on; `None` where it was loaded.
    seen: Option<Arc<Seen>>,
}

impl DetectorPart for Features {
    fn fit(input: &FitInput<'_>) -> Result<Self> {
        let images = input.images;
        let network = FeatureNetwork::of(input)?;
        let descriptor = Descriptor::new(images.size(), network, input.config).map_err(Error::Training)?;
        let (values, few) = (descriptor.values(), images.at_most(SAMPLED_ON));
        let step = (few.len() * descriptor.places()).div_ceil(SAMPLE).max(1);
        let mut sample: Vec<f32> = Vec::new();
        few.for_each(
            input.progress,
            |image| descriptor.describe(image),
            |vectors| sample.extend(vectors.chunks_exact(values).step_by(step).flatten()),
        )?;
        let descriptor = descriptor.scaled_to(&mut sample)?;
        let components = Components::new(&sample, values, COMPONENTS);
        let has_places = input.config.has_places();
        let of = |image: &Image| vectors_of(image, &descriptor, &components, has_places);
        let seen = Arc::new(Seen::new(images, of, input.progress)?);
        let bank = seen.coreset(images, length(&components, has_places), input.progress)?;
        let (descriptor, components, seen) = (Arc::new(descriptor), Arc::new(components), Some(seen));
        Ok(Self { size: images.size(), descriptor, components, has_places, bank, seen })
    }

    /// The levels' scale and the principal components stay those of all images: they choose directions, and remember no image.
    fn refit(&self, input: &FitInput<'_>) -> Option<Result<Box<dyn DetectorPart>>> {
        let seen = self.seen.as_ref().filter(|seen| seen.holds(input.images))?;
        let part = |bank: Searched| -> Box<dyn DetectorPart> {
            Box::new(Self {
                descriptor: Arc::clone(&self.descriptor),
                components: Arc::clone(&self.components),
                bank,
                seen: Some(Arc::clone(seen)),
                ..*self
            })
        };
        Some(seen.coreset(input.images, self.bank.channels(), input.progress).map(part))
    }

    fn map(&self, image: &Image) -> Vec<f32> {
        let [height, width] = self.descriptor.grid();
        Image { height, width, channels: 1, pixels: self.distances(image) }.enlarged(self.size)
    }

    fn pretrained(&self) -> Option<&PretrainedOrigin> {
        self.descriptor.network().origin()
    }

    fn save(&self, tensors: &mut Weights) {
        let values = self.descriptor.values();
        self.descriptor.network().put(tensors, "features.network.");
        put(tensors, "features.mean", &[values], &self.components.mean);
        put(tensors, "features.basis", &[values, self.components.count()], &self.components.basis);
        put(tensors, "features.scale", &[self.descriptor.scale().len()], self.descriptor.scale());
        let (vectors, count) = (self.bank.vectors(), self.bank.channels());
        put(tensors, "features.bank", &[vectors.len() / count, count], vectors);
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
        let has_places = config.has_places();
        let count = length(&components, has_places);
        let fits = |bank: &Array| bank.shape.len() == 2 && bank.shape[1] == count && bank.shape[0] > 0;
        if !tensors.get("features.bank").is_some_and(fits) {
            return Err(
                "its vectors are of another network, or of an earlier version: fit it anew".to_owned()
            );
        }
        let vectors = take(tensors, "features.bank")?;
        let (descriptor, components) = (Arc::new(descriptor), Arc::new(components));
        Ok(Self { size, descriptor, components, has_places, bank: Searched::new(vectors, count), seen: None })
    }
}

impl Features {
    /// Distance of every place's vector to the nearest one of good images.
    fn distances(&self, image: &Image) -> Vec<f32> {
        let queries = vectors_of(image, &self.descriptor, &self.components, self.has_places);
        let nearest = self.bank.nearest(&queries, &|_| false);
        let pairs = queries.chunks_exact(self.bank.channels()).zip(nearest);
        pairs.map(|(query, i)| squared_distance(query, self.bank.vector(i)).sqrt()).collect()
    }
}

/// Values of a vector: the components and, where it has one, the place.
fn length(components: &Components, has_places: bool) -> usize {
    components.count() + if has_places { 2 } else { 0 }
}

/// What describes every place of a view, `[places, length]`: principal components and, where views show the same place at the same pixel,
/// the place itself, so that a vector from elsewhere counts as further away the further its place is.
fn vectors_of(image: &Image, descriptor: &Descriptor, components: &Components, has_places: bool) -> Vec<f32> {
    let own = components.project(&descriptor.describe(image));
    if !has_places {
        return own;
    }
    let ([rows, columns], count) = (descriptor.grid(), components.count());
    let step = AWAY / rows.max(columns) as f32;
    let vector = |(place, own): (usize, &[f32])| {
        let at = [place / columns, place % columns].map(|at| at as f32 * step);
        own.iter().copied().chain(at).collect::<Vec<f32>>()
    };
    own.chunks_exact(count).enumerate().flat_map(vector).collect()
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::parts::testing::{config_of, with_input};

    fn image(seed: usize) -> Image {
        let pixels = (0..64 * 64).map(|i| ((i * (7 + seed) + seed * 13) as f32 * 0.11).sin()).collect();
        Image { height: 64, width: 64, channels: 1, pixels }
    }

    #[test]
    fn a_fold_remembers_its_own_images_only_and_place_counts() {
        let images: Vec<Image> = (0..4).map(image).collect();
        let mut config = config_of(&images[0]);
        config.features.weights =
            Some(concat!(env!("CARGO_MANIFEST_DIR"), "/../../weights/light.safetensors").into());
        let largest = |part: &dyn DetectorPart, i: usize| part.peak(&images[i]);
        let peaks = |by_place: bool| {
            config.features.by_place = Some(by_place);
            with_input(&images, &config, |input| {
                let whole = Features::fit(input)?;
                let few = input.images.at_most(2);
                let fold = whole.refit(&FitInput { images: &few, ..*input }).unwrap()?;
                // The first and the third image are the fold's.
                Ok::<_, Error>([0, 1, 2, 3].map(|i| [largest(&whole, i), largest(&*fold, i)]))
            })
            .unwrap()
        };
        let [anywhere, near] = [false, true].map(peaks);
        for [whole, _] in anywhere.iter().chain(&near) {
            assert!(*whole < 1e-3, "{whole}");
        }
        for i in [1, 3] {
            assert!(anywhere[i][1] > 0.1 && near[i][1] >= anywhere[i][1], "{anywhere:?} {near:?}");
        }
        assert!(anywhere[0][1] < 1e-3 && anywhere[2][1] < 1e-3, "{anywhere:?}");
    }
}

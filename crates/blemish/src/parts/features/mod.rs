//! A memory of the pre-trained network's features on good images, and how far an image's features are from it.
//!
//! PatchCore (Roth et al. 2022) with the masked autoencoder's own features: levels of the stem, taps of the encoder and maps
//! of the pyramid head, each in units of its own variation on good images, averaged over 3 x 3 cells, joined on one grid.
//! Where the product has the same pose in every view, a place is compared with what good images show at about that place;
//! on surfaces with what they show anywhere.

mod bank;
mod descriptor;

mod seen;

use std::path::Path;
use std::sync::Arc;

use self::bank::{BUDGET, Bank};
use self::descriptor::Descriptor;
use self::seen::Seen;
use super::memory::Components;
use super::{DetectorPart, FitInput, put, take};
use crate::config::{Config, Use};
use crate::engine::Weights;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::pretrained::Pretrained;

/// Images that the levels' variation and the principal components are computed from, at most.
const SAMPLED_ON: usize = 64;
/// Vectors of those, at most.
const SAMPLE: usize = 20_000;
/// Principal components that describe a place.
const COMPONENTS: usize = 64;

/// The features of good images.
#[derive(Debug)]
pub struct Features {
    size: [usize; 2],
    descriptor: Arc<Descriptor>,
    components: Arc<Components>,
    bank: Bank,
    /// What the images show that it was fitted on; `None` where it was loaded.
    seen: Option<Arc<Seen>>,
}

impl DetectorPart for Features {
    fn fit(input: &FitInput<'_>) -> Result<Self> {
        let images = input.images;
        let pretrained = Arc::new(pretrained(input)?);
        let descriptor = Descriptor::new(images.size(), pretrained, input.config).map_err(Error::Training)?;
        let (values, few) = (descriptor.values(), images.at_most(SAMPLED_ON));
        let step = (few.len() * descriptor.places()).div_ceil(SAMPLE).max(1);
        let mut sample: Vec<f32> = Vec::new();
        few.for_each(
            input.progress,
            |image| descriptor.describe(image),
            |vectors| sample.extend(vectors.chunks_exact(values).step_by(step).flatten()),
        )?;
        let descriptor = descriptor.scaled_to(&mut sample);
        let components = Components::new(&sample, values, COMPONENTS);
        let of = |image: &Image| components.project(&descriptor.describe(image));
        let seen = Arc::new(Seen::new(images, of, input.progress)?);
        let (descriptor, components) = (Arc::new(descriptor), Arc::new(components));
        Self::on(input, images.size(), descriptor, components, seen)
    }

    /// The levels' scale and the principal components stay those of all images: they choose directions, and remember no image.
    fn refit(&self, input: &FitInput<'_>) -> Option<Result<Box<dyn DetectorPart>>> {
        let seen = self.seen.as_ref().filter(|seen| seen.holds(input.images))?;
        let (descriptor, components) = (Arc::clone(&self.descriptor), Arc::clone(&self.components));
        Some(
            Self::on(input, self.size, descriptor, components, Arc::clone(seen))
                .map(|part| Box::new(part) as _),
        )
    }

    fn map(&self, image: &Image) -> Vec<f32> {
        let [height, width] = self.descriptor.grid();
        Image { height, width, channels: 1, pixels: self.distances(image) }.enlarged(self.size)
    }

    fn save(&self, tensors: &mut Weights) {
        let values = self.descriptor.values();
        self.descriptor.pretrained().put(tensors, "features.network.");
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
        let pretrained = Pretrained::take(tensors, "features.network.")?;
        let descriptor = Descriptor::new(size, Arc::new(pretrained), config)?
            .with_scale(take(tensors, "features.scale")?)?;
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
        let bank = bank.ok_or("its vectors do not fit the view")?;
        Ok(Self {
            size,
            descriptor: Arc::new(descriptor),
            components: Arc::new(components),
            bank,
            seen: None,
        })
    }
}

impl Features {
    /// The memory of the images of `input`, which `seen` holds.
    fn on(
        input: &FitInput<'_>,
        size: [usize; 2],
        descriptor: Arc<Descriptor>,
        components: Arc<Components>,
        seen: Arc<Seen>,
    ) -> Result<Self> {
        let of = seen.numbers(input.images);
        let bank = if has_places(input.config) {
            Bank::by_place(&seen, &of, descriptor.grid(), components.count(), BUDGET, input.progress)?
        } else {
            Bank::anywhere(&seen, &of, components.count(), input.progress)?
        };
        Ok(Self { size, descriptor, components, bank, seen: Some(seen) })
    }

    /// Distance of every place's vector to the nearest one of good images.
    fn distances(&self, image: &Image) -> Vec<f32> {
        self.bank
            .distances(&self.components.project(&self.descriptor.describe(image)), self.descriptor.grid())
    }
}

/// The weights that the configuration names, or those that come with the program.
///
/// # Errors
/// Those of reading them; there are none.
pub(super) fn pretrained(input: &FitInput<'_>) -> Result<Pretrained> {
    match (&input.config.features.weights, input.builtin) {
        (Some(path), _) => Pretrained::load(path),
        (None, Some(bytes)) => Pretrained::from_bytes(Path::new("the built-in weights"), bytes),
        (None, None) => Err(Error::config(
            "features.weights",
            "must name a file of pre-trained weights (`blemish pretrain`): this program has none",
        )),
    }
}

/// Whether views show the same place at the same pixel.
pub(super) fn has_places(config: &Config) -> bool {
    config.memory.usage == Use::Always
}

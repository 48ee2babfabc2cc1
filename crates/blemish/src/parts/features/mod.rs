//! A memory of a pre-trained network's features on good images, and how far an image's features are from it.
//!
//! PatchCore (Roth et al. 2022) with the masked autoencoder's own features, or with those of a network of the user's own; each level in
//! units of its own variation on good images, averaged over 3 x 3 cells, joined on one grid. The levels of the stem and those above it
//! (encoder and pyramid head) form two groups, each with a memory of its own: above the stem, a level says as much of what is around
//! a place as of the place. A place is as anomalous as the group says that finds it most anomalous, in units of the most that good
//! images show of it.
//! Where the product has the same pose in every view, a vector ends with its place, so that what good images show elsewhere counts as
//! further away; on surfaces they are compared with what good images show anywhere.

mod descriptor;
mod network;
mod seen;

use std::sync::Arc;

use self::descriptor::{Descriptor, grid_of};
use self::network::FeatureNetwork;
use self::seen::{Remembered, Seen};
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

/// What the tensors of each group's memory begin with. (`features.unit` would be the part's calibration.)
const GROUPS: [&str; 2] = ["features", "features.wide"];

/// How far apart, in descriptions, two places are that lie a view's longer side apart.
const AWAY: f32 = 8.0;

/// The features of good images.
#[derive(Debug)]
pub struct Features {
    size: [usize; 2],
    network: FeatureNetwork,
    /// Whether a vector ends with its place.
    has_places: bool,
    groups: Vec<Group>,
}

/// What a group of levels shows of good images.
#[derive(Clone, Debug)]
struct Group {
    descriptor: Arc<Descriptor>,
    components: Arc<Components>,
    memory: Remembered,
    /// What the images show that it was fitted on; `None` where it was loaded.
    seen: Option<Arc<Seen>>,
}

impl DetectorPart for Features {
    fn fit(input: &FitInput<'_>) -> Result<Self> {
        let network = FeatureNetwork::of(input)?;
        let (size, has_places) = (input.images.size(), input.config.has_places());
        let group = |i: usize| {
            let levels = network.on_views(i, size, input.config).map_err(Error::Training)?;
            Group::fit(Descriptor::new(size, levels), has_places, input)
        };
        let groups = (0..network.groups()).map(group).collect::<Result<_>>()?;
        Ok(Self { size, network, has_places, groups })
    }

    /// The levels' scale and the principal components stay those of all images: they choose directions, and remember no image.
    fn refit(&self, input: &FitInput<'_>) -> Option<Result<Box<dyn DetectorPart>>> {
        let groups: Vec<Result<Group>> =
            self.groups.iter().map(|group| group.refit(input)).collect::<Option<_>>()?;
        let part = |groups| -> Box<dyn DetectorPart> {
            Box::new(Self { groups, network: self.network.clone(), ..*self })
        };
        Some(groups.into_iter().collect::<Result<_>>().map(part))
    }

    fn map(&self, image: &Image) -> Vec<f32> {
        let mut maps = self.groups.iter().map(|group| group.distances(image, self.has_places));
        let mut pixels = maps.next().unwrap_or_default();
        for map in maps {
            pixels.iter_mut().zip(map).for_each(|(most, v)| *most = most.max(v));
        }
        let [height, width] = grid_of(self.size);
        Image { height, width, channels: 1, pixels }.enlarged(self.size)
    }

    fn pretrained(&self) -> Option<&PretrainedOrigin> {
        self.network.origin()
    }

    fn save(&self, tensors: &mut Weights) {
        self.network.put(tensors, "features.network.");
        self.groups.iter().zip(GROUPS).for_each(|(group, name)| group.save(tensors, name));
    }

    fn load(tensors: &mut Weights, config: &Config) -> Result<Self, String> {
        let (size, has_places) = (config.view_size(), config.has_places());
        let network = FeatureNetwork::take(tensors, "features.network.")?;
        let group = |i: usize| {
            let descriptor = Descriptor::new(size, network.on_views(i, size, config)?);
            Group::load(tensors, GROUPS[i], descriptor, has_places)
        };
        let groups = (0..network.groups()).map(group).collect::<Result<_, _>>()?;
        Ok(Self { size, network, has_places, groups })
    }
}

impl Group {
    fn fit(descriptor: Descriptor, has_places: bool, input: &FitInput<'_>) -> Result<Self> {
        let (values, few) = (descriptor.values(), input.images.at_most(SAMPLED_ON));
        let step = (few.len() * descriptor.places()).div_ceil(SAMPLE).max(1);
        let mut sample: Vec<f32> = Vec::new();
        few.for_each(
            input.progress,
            |image| descriptor.describe(image),
            |vectors| sample.extend(vectors.chunks_exact(values).step_by(step).flatten()),
        )?;
        let descriptor = descriptor.scaled_to(&mut sample)?;
        let components = Components::new(&sample, values, COMPONENTS);
        let of = |image: &Image| vectors_of(image, &descriptor, &components, has_places);
        let seen = Arc::new(Seen::new(input.images, of, input.progress)?);
        let memory = seen.remembered(input.images, length(&components, has_places), input.progress)?;
        Ok(Self {
            descriptor: Arc::new(descriptor),
            components: Arc::new(components),
            memory,
            seen: Some(seen),
        })
    }

    /// The same, remembering these images only; `None` where it has [seen](Self::seen) others.
    fn refit(&self, input: &FitInput<'_>) -> Option<Result<Self>> {
        let seen = self.seen.as_ref().filter(|seen| seen.holds(input.images))?;
        let memory = seen.remembered(input.images, self.memory.bank.channels(), input.progress);
        Some(memory.map(|memory| Self { memory, ..self.clone() }))
    }

    /// Distance of every place's vector to the nearest one of good images, in the memory's unit.
    fn distances(&self, image: &Image, has_places: bool) -> Vec<f32> {
        let queries = vectors_of(image, &self.descriptor, &self.components, has_places);
        let distances = nearest_distances(&self.memory.bank, &queries, &|_| false);
        distances.into_iter().map(|distance| distance / self.memory.unit).collect()
    }

    fn save(&self, tensors: &mut Weights, name: &str) {
        let values = self.descriptor.values();
        put(tensors, &format!("{name}.mean"), &[values], &self.components.mean);
        put(tensors, &format!("{name}.basis"), &[values, self.components.count()], &self.components.basis);
        put(tensors, &format!("{name}.scale"), &[self.descriptor.scale().len()], self.descriptor.scale());
        let (vectors, count) = (self.memory.bank.vectors(), self.memory.bank.channels());
        put(tensors, &format!("{name}.bank"), &[vectors.len() / count, count], vectors);
        put(tensors, &format!("{name}.peak"), &[1], &[self.memory.unit]);
    }

    fn load(
        tensors: &mut Weights,
        name: &str,
        descriptor: Descriptor,
        has_places: bool,
    ) -> Result<Self, String> {
        let mut own = |what: &str| {
            take(tensors, &format!("{name}.{what}"))
                .map_err(|reason| format!("{reason}; a model of an earlier version has to be fitted anew"))
        };
        let [scale, mean, basis, unit] = [own("scale")?, own("mean")?, own("basis")?, own("peak")?];
        let descriptor = descriptor.with_scale(scale)?;
        let components = Components::from_parts(mean, basis)
            .filter(|components| components.mean.len() == descriptor.values())
            .ok_or("its components are of another network")?;
        let &[unit] = &unit[..] else { return Err(format!("{name}.peak is not a number")) };
        if !(unit.is_finite() && unit > 0.0) {
            return Err(format!("{name}.peak is not above 0"));
        }
        let bank = format!("{name}.bank");
        let count = length(&components, has_places);
        let fits = |bank: &Array| bank.shape.len() == 2 && bank.shape[1] == count && bank.shape[0] > 0;
        if !tensors.get(&bank).is_some_and(fits) {
            return Err(format!("{bank} holds no vectors of {count} values"));
        }
        let memory = Remembered { bank: Searched::new(take(tensors, &bank)?, count), unit };
        let (descriptor, components) = (Arc::new(descriptor), Arc::new(components));
        Ok(Self { descriptor, components, memory, seen: None })
    }
}

/// Distance of every query to the nearest vector of `bank` that `skipped` does not name.
fn nearest_distances(bank: &Searched, queries: &[f32], skipped: &(dyn Fn(usize) -> bool + Sync)) -> Vec<f32> {
    let pairs = queries.chunks_exact(bank.channels()).zip(bank.nearest(queries, skipped));
    pairs.map(|(query, i)| squared_distance(query, bank.vector(i)).sqrt()).collect()
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
    use crate::parts::testing::{config_of, fitted_as, with_input};

    fn image(seed: usize) -> Image {
        let pixels = (0..64 * 64).map(|i| ((i * (7 + seed) + seed * 13) as f32 * 0.11).sin()).collect();
        Image { height: 64, width: 64, channels: 1, pixels }
    }

    fn config_with_weights(image: &Image) -> Config {
        let mut config = config_of(image);
        config.features.weights =
            Some(concat!(env!("CARGO_MANIFEST_DIR"), "/../../weights/light.safetensors").into());
        config
    }

    #[test]
    fn a_fold_remembers_its_own_images_only() {
        let images: Vec<Image> = (0..4).map(image).collect();
        let config = config_with_weights(&images[0]);
        let peaks = with_input(&images, &config, |input| {
            let whole = Features::fit(input)?;
            let few = input.images.at_most(2);
            let fold = whole.refit(&FitInput { images: &few, ..*input }).unwrap()?;
            // The first and the third image are the fold's.
            Ok::<_, Error>([0, 1, 2, 3].map(|i| [whole.peak(&images[i]), fold.peak(&images[i])]))
        })
        .unwrap();
        assert!(peaks.iter().all(|[whole, _]| *whole < 1e-3), "{peaks:?}");
        assert!([0, 2].iter().all(|&i| peaks[i][1] < 1e-3), "{peaks:?}");
        assert!([1, 3].iter().all(|&i| peaks[i][1] > 0.1), "{peaks:?}");
    }

    #[test]
    fn what_good_images_show_elsewhere_is_further_where_the_place_counts() {
        let images: Vec<Image> = (0..2).map(image).collect();
        let query = image(5);
        let distances = |by_place: bool| -> Vec<f32> {
            let mut config = config_with_weights(&images[0]);
            config.features.by_place = Some(by_place);
            let fitted: Features = fitted_as(&images, &config);
            let of = |group: &Group| {
                let values = group.distances(&query, by_place);
                values.into_iter().map(|v| v * group.memory.unit).collect::<Vec<f32>>()
            };
            fitted.groups.iter().flat_map(of).collect()
        };
        let [anywhere, near] = [false, true].map(distances);
        assert_eq!(anywhere.len(), 2 * 8 * 8);
        assert!(anywhere.iter().zip(&near).all(|(anywhere, near)| *near >= anywhere - 1e-4));
        assert!(anywhere.iter().zip(&near).any(|(anywhere, near)| *near > anywhere + 0.1));
    }

    #[test]
    fn a_group_is_in_units_of_the_most_that_images_show_of_what_others_do_not() {
        let images: Vec<Image> =
            [0.0, 1.0, 5.0].map(|v| Image { pixels: vec![v; 64 * 64], ..image(0) }).into();
        let unit = |images: &[Image]| {
            with_input(images, &config_of(&images[0]), |input| {
                let seen = Seen::new(input.images, |image| vec![image.pixels[0], 0.0], input.progress)?;
                Ok::<_, Error>(seen.remembered(input.images, 1, input.progress)?.unit)
            })
            .unwrap()
        };
        // Every image has a vector 0, too: what the others show furthest from 0, 1 and 5 is 0, 1 and 4 away.
        assert!((unit(&images) - 5.0 / 3.0).abs() < 1e-6);
        // Nothing is compared with itself only.
        assert_eq!((unit(&images[1..2]), unit(&[image(0), image(0)])), (1.0, 1.0));
    }

    #[test]
    fn a_model_file_keeps_both_groups_and_what_does_not_fit_is_refused() {
        let images: Vec<Image> = (0..3).map(image).collect();
        let config = config_with_weights(&images[0]);
        let fitted: Features = fitted_as(&images, &config);
        let mut saved = Weights::new();
        fitted.save(&mut saved);
        let other = image(9);
        let again = Features::load(&mut saved.clone(), &config).unwrap();
        assert_eq!(again.map(&other), fitted.map(&other));
        let refused = |name: &str, values: Option<Vec<f32>>, says: &str| {
            let mut tensors = saved.clone();
            match values {
                Some(values) => {
                    _ = tensors.insert(name.to_owned(), Array { shape: vec![values.len()], values })
                }
                None => _ = tensors.remove(name),
            }
            let reason = Features::load(&mut tensors, &config).unwrap_err();
            assert!(reason.contains(says), "{name}: {reason}");
        };
        refused("features.peak", None, "features.peak is missing; a model of an earlier version");
        refused("features.wide.bank", None, "features.wide.bank holds no vectors of");
        refused("features.wide.peak", Some(vec![0.0]), "features.wide.peak is not above 0");
        refused("features.peak", Some(vec![f32::NAN]), "features.peak is not above 0");
        refused("features.peak", Some(vec![1.0, 1.0]), "features.peak is not a number");
        refused("features.network.stem.convs.2.bias", None, "stem.convs.2.bias is missing");
    }
}

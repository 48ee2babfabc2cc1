//! A memory of a pre-trained network's features on good images, and how far an image's features are from it.
//!
//! PatchCore (Roth et al. 2022) with the masked autoencoder's own features, or with those of a network of the user's own; each level in
//! units of its own variation on good images, averaged over 3 x 3 cells, joined on one grid; of levels that are finer than the grid, the
//! largest values, too. The levels of the stem and those above it (encoder and pyramid head) form two groups, each with a memory of its
//! own: above the stem, a level says as much of what is around a place as of the place. A place is as anomalous as the root of the sum of
//! the squares of both distances, each in units of the most that good images show of it.
//! On surfaces a place is compared with vectors of any place. Where the product has the same pose in every view, also with vectors that are
//! kept of that place and its neighbours, and what is seen elsewhere counts as further away the further its place is.

mod bank;
mod descriptor;
mod network;
mod seen;

use std::sync::Arc;

use self::bank::{Bank, Layout};
use self::descriptor::{Descriptor, Level, grid_of, joined, values_of};
use self::network::{FeatureNetwork, Levels};
use self::seen::{Remembered, Seen};
use super::{DetectorPart, FitInput, put, take};
use crate::config::{Config, Use};
use crate::engine::{FeatureMap, Weights};
use crate::error::{Error, Result};
use crate::image::Image;
use crate::pretrained::{Pretrained, PretrainedOrigin};

/// Images that the levels' variation and the principal components are computed from, at most.
const SAMPLED_ON: usize = 64;
/// Vectors of those, at most.
const SAMPLE: usize = 20_000;

/// What the tensors of each group's memory begin with. (`features.unit` would be the part's calibration.)
const GROUPS: [&str; 2] = ["features", "features.wide"];

/// The features of good images.
#[derive(Debug)]
pub struct Features {
    size: [usize; 2],
    network: FeatureNetwork,
    /// The network on views of that size.
    levels: Arc<Levels>,
    groups: Vec<Group>,
    /// What the images show that it was fitted on; `None` where it was loaded.
    seen: Option<Arc<Seen>>,
}

/// What a group of levels shows of good images.
#[derive(Debug)]
struct Group {
    descriptor: Arc<Descriptor>,
    memory: Remembered,
}

impl DetectorPart for Features {
    fn fit(input: &FitInput<'_>) -> Result<Self> {
        let network = FeatureNetwork::of(input)?;
        let levels = network.on_views(input.images.size(), input.config).map_err(Error::Training)?;
        Self::with(network, Arc::new(levels), input, &[])
    }

    /// Units stay those of all images, so that distances by either are comparable; so do, where they come from many images, the levels' scale
    /// and the principal components, which then remember none of them.
    fn refit(&self, input: &FitInput<'_>) -> Option<Result<Box<dyn DetectorPart>>> {
        let units: Vec<f32> = self.groups.iter().map(|group| group.memory.unit).collect();
        let (network, levels) = (self.network.clone(), Arc::clone(&self.levels));
        let seen = self.seen.as_ref().filter(|seen| seen.len() >= SAMPLED_ON && seen.holds(input.images));
        let part = match seen {
            None => Self::with(network, levels, input, &units),
            Some(seen) => {
                let descriptors = self.groups.iter().map(|group| Arc::clone(&group.descriptor));
                let (size, kept) = (self.size, Some(Arc::clone(seen)));
                groups(seen, input, descriptors, &units).map(|groups| Self {
                    size,
                    network,
                    levels,
                    groups,
                    seen: kept,
                })
            }
        };
        Some(part.map(|part| -> Box<dyn DetectorPart> { Box::new(part) }))
    }

    fn map(&self, image: &Image) -> Vec<f32> {
        let pairs = self.groups.iter().zip(self.levels.maps(image));
        let [height, width] = grid_of(self.size);
        let mut pixels = vec![0.0f32; height * width];
        for (group, levels) in pairs {
            let distances = group.distances(&levels);
            pixels.iter_mut().zip(distances).for_each(|(sum, v)| *sum += v * v);
        }
        pixels.iter_mut().for_each(|v| *v = v.sqrt());
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
        let size = config.view_size();
        let network = FeatureNetwork::take(tensors, "features.network.")?;
        let levels = network.on_views(size, config)?;
        let group = |(levels, name): (&Vec<Level>, &str)| {
            let descriptor = Descriptor::load(grid_of(size), levels, tensors, name)?;
            let layout = layout_of(&descriptor, size, config);
            Group::load(descriptor, layout, tensors, name)
        };
        let groups = levels.groups().iter().zip(GROUPS).map(group).collect::<Result<_, _>>()?;
        Ok(Self { size, network, levels: Arc::new(levels), groups, seen: None })
    }
}

impl Features {
    /// Fitted with the network on views of one size, in units that are known or else found.
    fn with(
        network: FeatureNetwork,
        levels: Arc<Levels>,
        input: &FitInput<'_>,
        units: &[f32],
    ) -> Result<Self> {
        let descriptors = descriptors(input, &levels)?;
        let of = |image: &Image| {
            let pairs = descriptors.iter().zip(levels.maps(image));
            pairs.map(|(descriptor, maps)| descriptor.vectors(&maps)).collect()
        };
        let seen = Seen::new(descriptors.len(), input.images, of, input.progress)?;
        let groups = groups(&seen, input, descriptors.into_iter().map(Arc::new), units)?;
        Ok(Self { size: input.images.size(), network, levels, groups, seen: Some(Arc::new(seen)) })
    }
}

/// What describes a place in each group, from some of the images.
fn descriptors(input: &FitInput<'_>, levels: &Levels) -> Result<Vec<Descriptor>> {
    let (grid, few) = (grid_of(input.images.size()), input.images.at_most(SAMPLED_ON));
    let step = (few.len() * grid[0] * grid[1]).div_ceil(SAMPLE).max(1);
    let mut samples = vec![Vec::new(); levels.groups().len()];
    few.for_each(
        input.progress,
        |image| {
            let pairs = levels.groups().iter().zip(levels.maps(image));
            pairs.map(|(group, maps)| joined(group, &maps, grid)).collect::<Vec<_>>()
        },
        |groups| {
            for ((sample, values), group) in samples.iter_mut().zip(groups).zip(levels.groups()) {
                sample.extend(values.chunks_exact(values_of(group)).step_by(step).flatten());
            }
        },
    )?;
    let pairs = levels.groups().iter().zip(samples);
    pairs.map(|(group, sample)| Descriptor::fit(grid, group, sample)).collect()
}

/// Groups that remember what these images show, in `units`, or in those that the images give where there are none.
fn groups(
    seen: &Seen,
    input: &FitInput<'_>,
    descriptors: impl Iterator<Item = Arc<Descriptor>>,
    units: &[f32],
) -> Result<Vec<Group>> {
    let group = |(i, descriptor): (usize, Arc<Descriptor>)| {
        let layout = layout_of(&descriptor, input.images.size(), input.config);
        let memory = seen.remembered(i, input.images, layout, units.get(i).copied(), input.progress)?;
        Ok(Group { descriptor, memory })
    };
    descriptors.enumerate().map(group).collect()
}

impl Group {
    /// Distance of every place's vector to the nearest one of good images, in the memory's unit.
    fn distances(&self, levels: &[FeatureMap]) -> Vec<f32> {
        let distances = self.memory.bank.distances(self.descriptor.vectors(levels));
        distances.into_iter().map(|distance| distance / self.memory.unit).collect()
    }

    fn save(&self, tensors: &mut Weights, name: &str) {
        self.descriptor.save(tensors, name);
        self.memory.bank.save(tensors, name);
        put(tensors, &format!("{name}.peak"), &[1], &[self.memory.unit]);
    }

    fn load(
        descriptor: Descriptor,
        layout: Layout,
        tensors: &mut Weights,
        name: &str,
    ) -> Result<Self, String> {
        let unit = taken(tensors, &format!("{name}.peak"))?;
        let &[unit] = &unit[..] else { return Err(format!("{name}.peak is not a number")) };
        if !(unit.is_finite() && unit > 0.0) {
            return Err(format!("{name}.peak is not above 0"));
        }
        let memory = Remembered { bank: Bank::load(tensors, name, layout)?, unit };
        Ok(Self { descriptor: Arc::new(descriptor), memory })
    }
}

/// Where places are compared.
fn layout_of(descriptor: &Descriptor, size: [usize; 2], config: &Config) -> Layout {
    let length = descriptor.length();
    Layout { length, places: config.has_places().then(|| grid_of(size)) }
}

/// Takes what a group has saved.
fn taken(tensors: &mut Weights, name: &str) -> Result<Vec<f32>, String> {
    take(tensors, name)
        .map_err(|reason| format!("{reason}; a model of an earlier version has to be fitted anew"))
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
    use crate::engine::Array;
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
            let peak = |map: Vec<f32>| map.into_iter().fold(0.0, f32::max);
            // The first and the third image are the fold's.
            Ok::<_, Error>([0, 1, 2, 3].map(|i| [peak(whole.map(&images[i])), peak(fold.map(&images[i]))]))
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
            let of = |(group, levels): (&Group, Vec<FeatureMap>)| {
                let values = group.distances(&levels);
                values.into_iter().map(|v| v * group.memory.unit).collect::<Vec<f32>>()
            };
            fitted.groups.iter().zip(fitted.levels.maps(&query)).flat_map(of).collect()
        };
        let [anywhere, near] = [false, true].map(distances);
        assert_eq!(anywhere.len(), 2 * 8 * 8);
        // What is kept by place is rounded to bf16, to one part in 256.
        assert!(anywhere.iter().zip(&near).all(|(anywhere, near)| *near > 0.99 * anywhere));
        assert!(anywhere.iter().zip(&near).any(|(anywhere, near)| *near > anywhere + 0.1));
    }

    #[test]
    fn both_groups_count_by_the_root_of_their_summed_squares() {
        let images: Vec<Image> = (0..3).map(image).collect();
        let fitted: Features = fitted_as(&images, &config_with_weights(&images[0]));
        let query = image(5);
        let maps = fitted.levels.maps(&query);
        let levels = fitted.levels.groups().iter().map(|levels| values_of(levels)).collect::<Vec<_>>();
        // Of what is finer than a place means and largest values: 2 (24 + 48) + 96, and 192 + 96 + 2 * 48.
        assert_eq!(levels, [240, 384]);
        let [fine, wide] = [0, 1].map(|i| fitted.groups[i].distances(&maps[i]));
        let pixels: Vec<f32> = fine.iter().zip(&wide).map(|(a, b)| a.hypot(*b)).collect();
        let joined = Image { height: 8, width: 8, channels: 1, pixels }.enlarged([64, 64]);
        assert!(fitted.map(&query).iter().zip(&joined).all(|(a, b)| (a - b).abs() < 1e-4 * b.max(1.0)));
        assert!(fine.iter().zip(&wide).all(|(a, b)| *a > 0.0 && *b > 0.0));
    }

    #[test]
    fn a_group_is_in_units_of_the_most_that_images_show_of_what_others_do_not() {
        let images: Vec<Image> =
            [0.0, 1.0, 5.0].map(|v| Image { pixels: vec![v; 64 * 64], ..image(0) }).into();
        let unit = |images: &[Image]| {
            with_input(images, &config_of(&images[0]), |input| {
                let of = |image: &Image| vec![vec![image.pixels[0], 0.0]];
                let seen = Seen::new(1, input.images, of, input.progress)?;
                Ok::<_, Error>(
                    seen.remembered(
                        0,
                        input.images,
                        Layout { length: 1, places: None },
                        None,
                        input.progress,
                    )?
                    .unit,
                )
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
        let mut config = config_with_weights(&images[0]);
        config.features.by_place = Some(true);
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
        refused("features.wide.bank", None, "features.wide.bank is missing");
        refused(
            "features.wide.bank",
            Some(vec![0.0; 64]),
            "features.wide.bank is of another network or view",
        );
        refused("features.wide.peak", Some(vec![0.0]), "features.wide.peak is not above 0");
        refused("features.peak", Some(vec![f32::NAN]), "features.peak is not above 0");
        refused("features.peak", Some(vec![1.0, 1.0]), "features.peak is not a number");
        refused("features.places", None, "features.places is missing");
        refused(
            "features.wide.places",
            Some(vec![0.0; 64]),
            "features.wide.places is of another network or view",
        );
        refused("features.network.stem.convs.2.bias", None, "stem.convs.2.bias is missing");
    }
}

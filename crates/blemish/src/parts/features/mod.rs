//! A memory of a pre-trained network's features on good images, and how far an image's features are from it.
//!
//! PatchCore (Roth et al. 2022) with the masked autoencoder's own features, or with those of a network of the user's own; each level in
//! units of its own variation on good images, averaged over 3 x 3 cells, joined on one grid; of levels that are finer than the grid, the
//! largest values, too. The levels of the stem and those above it (encoder and pyramid head) form two groups, each with a memory of its
//! own: above the stem, a level says as much of what is around a place as of the place. A place is as anomalous as the root of the sum of
//! the squares of both distances, each in units of the most that good images show of it, corrected by what a small network, learnt once,
//! says of the residuals (`decoder`). A third memory keeps what describes a place in
//! the mean over regions of 64 pixels, for defects that cover much of an image (`regions`).
//! On surfaces a place is compared with vectors of any place. Where the product has the same pose in every view, also with vectors that are
//! kept of that place and its neighbours, and what is seen elsewhere counts as further away the further its place is.

pub mod bank;
pub mod decoder;
pub mod described;
mod descriptor;
mod network;
mod regions;
mod seen;

use std::sync::Arc;

use rayon::prelude::*;

use self::bank::{Bank, Compared, Layout};
use self::decoder::Decoder;
use self::descriptor::{Descriptor, grid_of, joined, values_of};
use self::network::{FeatureNetwork, LevelGroup, Levels};
use self::regions::{Regions, means};
use self::seen::{Seen, Vectors};
use super::{DetectorPart, FitInput, put, take};
use crate::config::{Config, Use};
use crate::engine::Weights;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::pretrained::PretrainedOrigin;

/// Images that the levels' variation and, where nothing was learnt, the principal components are computed from, at most.
const SAMPLED_ON: usize = 64;
/// Vectors of those, at most.
const SAMPLE: usize = 20_000;

/// What the tensors of each group's memory begin with. (`features.unit` would be the part's calibration.)
const GROUPS: [&str; 2] = ["features", "features.wide"];
/// What those of the regions' memory begin with, and the unit of what both groups say together.
const REGIONS: &str = "features.regions";
const JOINT: &str = "features.joint";
/// What those of the decoder begin with.
const DECODER: &str = "features.decoder.";

/// The features of good images.
#[derive(Debug)]
pub struct Features {
    size: [usize; 2],
    network: FeatureNetwork,
    /// The network on views of that size.
    levels: Arc<Levels>,
    groups: Vec<Group>,
    /// The most that good images show of what both groups say together.
    joint: f32,
    /// Where the network's file has one.
    decoder: Option<Arc<Decoder>>,
    far: Far,
    /// What the images show that it was fitted on; `None` where it was loaded.
    seen: Option<Arc<Seen>>,
}

/// What a group of levels shows of good images.
#[derive(Debug)]
struct Group {
    descriptor: Arc<Descriptor>,
    memory: Memory,
}

/// What regions show of good images.
#[derive(Debug)]
struct Far {
    regions: Arc<Regions>,
    memory: Memory,
}

/// What is kept of good images.
#[derive(Debug)]
struct Memory {
    bank: Bank,
    /// What a distance to it is divided by: the most that good images show, so that 1 is about that.
    unit: f32,
}

/// The units of a fit on all images, in which folds measure, too.
#[derive(Clone, Debug)]
struct Units {
    groups: Vec<f32>,
    joint: f32,
    far: f32,
}

impl DetectorPart for Features {
    fn fit(input: &FitInput<'_>) -> Result<Self> {
        let network = FeatureNetwork::of(input)?;
        let levels = network.on_views(input.images.size(), input.config).map_err(Error::Training)?;
        Self::with(network, Arc::new(levels), input, None)
    }

    /// Units stay those of all images, so that distances by either are comparable; so do, where they come from many images, the levels' scale,
    /// what brings their values to fewer and the regions' covariance, which then remember none of them.
    fn refit(&self, input: &FitInput<'_>) -> Option<Result<Box<dyn DetectorPart>>> {
        let groups = self.groups.iter().map(|group| group.memory.unit).collect();
        let units = Units { groups, joint: self.joint, far: self.far.memory.unit };
        let (network, levels) = (self.network.clone(), Arc::clone(&self.levels));
        let seen = self.seen.as_ref().filter(|seen| seen.len() >= SAMPLED_ON && seen.holds(input.images));
        let part = match seen {
            None => Self::with(network, levels, input, Some(units)),
            Some(seen) => {
                let descriptors = self.groups.iter().map(|group| Arc::clone(&group.descriptor)).collect();
                let regions = Some(Arc::clone(&self.far.regions));
                Self::remembering(network, levels, descriptors, regions, Arc::clone(seen), input, Some(units))
            }
        };
        Some(part.map(|part| -> Box<dyn DetectorPart> { Box::new(part) }))
    }

    fn map(&self, image: &Image) -> Vec<f32> {
        let grid @ [height, width] = grid_of(self.size);
        let pairs = self.groups.iter().zip(self.levels.maps(image));
        let vectors: Vec<Vec<f32>> = pairs.map(|(group, maps)| group.descriptor.vectors(&maps)).collect();
        let far = self.far.memory.compared(self.far.regions.whitened(&means(grid, &vectors))).distances;
        let pixels = self.far.regions.joined(self.near(vectors), far);
        Image { height, width, channels: 1, pixels }.enlarged(self.size)
    }

    fn pretrained(&self) -> Option<&PretrainedOrigin> {
        self.network.origin()
    }

    fn save(&self, tensors: &mut Weights) {
        self.network.put(tensors, "features.network.");
        for (group, name) in self.groups.iter().zip(GROUPS) {
            group.descriptor.save(tensors, name);
            group.memory.save(tensors, name);
        }
        put(tensors, JOINT, &[1], &[self.joint]);
        if let Some(decoder) = &self.decoder {
            decoder.save(tensors, DECODER);
        }
        self.far.regions.save(tensors, REGIONS);
        self.far.memory.save(tensors, REGIONS);
    }

    fn load(tensors: &mut Weights, config: &Config) -> Result<Self, String> {
        let size = config.view_size();
        let network = FeatureNetwork::take(tensors, "features.network.")?;
        let levels = network.on_views(size, config)?;
        let grid = grid_of(size);
        let group = |(group, name): (&LevelGroup, &str)| {
            let descriptor = Arc::new(Descriptor::load(grid, &group.levels, tensors, name)?);
            let memory = Memory::load(layout(descriptor.length(), grid, config), tensors, name)?;
            Ok(Group { descriptor, memory })
        };
        let groups = levels.groups().iter().zip(GROUPS).map(group).collect::<Result<Vec<_>, String>>()?;
        let joint = positive(tensors, JOINT)?;
        let length = groups.iter().map(|group| group.descriptor.length()).sum();
        let decoder = Decoder::new(tensors, DECODER, length)?.map(Arc::new);
        tensors.retain(|name, _| !name.starts_with(DECODER));
        let regions = Arc::new(Regions::load(grid, length, tensors, REGIONS)?);
        let memory = Memory::load(layout(length, regions.grid(), config), tensors, REGIONS)?;
        let far = Far { regions, memory };
        let levels = Arc::new(levels);
        Ok(Self { size, network, levels, groups, joint, decoder, far, seen: None })
    }
}

impl Features {
    /// Fitted with the network on views of one size, in units that are known or else found.
    fn with(
        network: FeatureNetwork,
        levels: Arc<Levels>,
        input: &FitInput<'_>,
        units: Option<Units>,
    ) -> Result<Self> {
        let descriptors = descriptors(input, &levels)?;
        let of = |image: &Image| {
            let pairs = descriptors.iter().zip(levels.maps(image));
            let mut all: Vec<Vec<f32>> = pairs.map(|(descriptor, maps)| descriptor.vectors(&maps)).collect();
            all.push(means(grid_of(input.images.size()), &all));
            all
        };
        let seen = Arc::new(Seen::new(descriptors.len() + 1, input.images, of, input.progress)?);
        let descriptors = descriptors.into_iter().map(Arc::new).collect();
        Self::remembering(network, levels, descriptors, None, seen, input, units)
    }

    /// What the images show that were seen, as it is described, in units that are known or else found.
    fn remembering(
        network: FeatureNetwork,
        levels: Arc<Levels>,
        descriptors: Vec<Arc<Descriptor>>,
        regions: Option<Arc<Regions>>,
        seen: Arc<Seen>,
        input: &FitInput<'_>,
        units: Option<Units>,
    ) -> Result<Self> {
        let (images, config, progress) = (input.images, input.config, input.progress);
        let (size, grid) = (images.size(), grid_of(images.size()));
        let length = descriptors.iter().map(|descriptor| descriptor.length()).sum();
        let decoder = network.decoder(length).map_err(Error::Training)?.map(Arc::new);
        let kept = |vectors: &Vectors<'_>| {
            let (bank, owners) = vectors.kept(progress)?;
            let unseen = match &units {
                Some(_) => Vec::new(),
                None => vectors.unseen(&bank, &owners, progress)?,
            };
            Ok::<_, Error>((bank, unseen))
        };
        let of_groups = || {
            let of = |(kind, descriptor): (usize, &Arc<Descriptor>)| {
                kept(&seen.vectors(kind, images, layout(descriptor.length(), grid, config)))
            };
            descriptors.par_iter().enumerate().map(of).collect::<Result<Vec<_>>>()
        };
        let of_regions = || {
            let layout = layout(length, regions::grid_of(grid), config);
            let means = seen.vectors(descriptors.len(), images, layout);
            let regions = match regions {
                Some(regions) => regions,
                None => {
                    let of = |image| means.of(image);
                    Arc::new(Regions::fit(grid, images.len(), config.has_places(), &of)?)
                }
            };
            let (bank, unseen) = kept(&means.whitened(&regions))?;
            Ok::<_, Error>((regions, bank, unseen))
        };
        // The choice of what is kept is a chain of small steps: one after the other would leave most threads idle.
        let (of_groups, of_regions) = rayon::join(of_groups, of_regions);
        let (banks, unseen): (Vec<Bank>, Vec<Vec<Vec<f32>>>) = of_groups?.into_iter().unzip();
        let (regions, far, unseen_far) = of_regions?;
        let units =
            units.unwrap_or_else(|| Units::of(&unseen, regions.unit(mean_peak(&unseen_far), images.len())));
        let pairs = descriptors.into_iter().zip(banks).zip(units.groups);
        let groups = pairs
            .map(|((descriptor, bank), unit)| Group { descriptor, memory: Memory { bank, unit } })
            .collect();
        let far = Far { regions, memory: Memory { bank: far, unit: units.far } };
        let (joint, seen) = (units.joint, Some(seen));
        Ok(Self { size, network, levels, groups, joint, decoder, far, seen })
    }

    /// How anomalous every place is by what describes it in each group, 1 being about the most that good images show.
    fn near(&self, vectors: Vec<Vec<f32>>) -> Vec<f32> {
        let pairs = self.groups.iter().zip(vectors);
        let compared: Vec<Compared> = pairs.map(|(group, vectors)| group.memory.compared(vectors)).collect();
        let mut joint = root_of_squares(compared.iter().map(|own| own.distances.clone()));
        joint.iter_mut().for_each(|v| *v /= self.joint);
        if let Some(decoder) = &self.decoder {
            decoder.correct(&compared, grid_of(self.size), &mut joint);
        }
        joint
    }
}

impl Units {
    /// From what is seen of some images by what is kept of others, of every group, and that of regions.
    fn of(groups: &[Vec<Vec<f32>>], far: f32) -> Self {
        let units: Vec<f32> = groups.iter().map(|maps| mean_peak(maps)).collect();
        let looked = groups.first().map_or(0, Vec::len);
        let joint = |image: usize| {
            let maps = groups.iter().zip(&units);
            root_of_squares(maps.map(|(maps, unit)| maps[image].iter().map(|v| v / unit).collect()))
        };
        let joint = mean_peak(&(0..looked).map(joint).collect::<Vec<_>>());
        Self { groups: units, joint, far }
    }
}

/// The mean over maps of their largest value; 1 where that says nothing.
fn mean_peak(maps: &[Vec<f32>]) -> f32 {
    let peaks = maps.iter().map(|map| map.iter().copied().fold(0.0, f32::max));
    let mean = peaks.sum::<f32>() / maps.len() as f32;
    if mean > 0.0 { mean } else { 1.0 }
}

/// At each place the root of the sum of the maps' squares.
fn root_of_squares(maps: impl Iterator<Item = Vec<f32>>) -> Vec<f32> {
    let squares = maps.map(|map| map.into_iter().map(|v| v * v).collect::<Vec<f32>>());
    let sum = squares.reduce(|mut sum, map| {
        sum.iter_mut().zip(map).for_each(|(sum, v)| *sum += v);
        sum
    });
    sum.unwrap_or_default().into_iter().map(f32::sqrt).collect()
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
            pairs.map(|(group, maps)| joined(&group.levels, &maps, grid)).collect::<Vec<_>>()
        },
        |groups| {
            for ((sample, values), group) in samples.iter_mut().zip(groups).zip(levels.groups()) {
                sample.extend(values.chunks_exact(values_of(&group.levels)).step_by(step).flatten());
            }
        },
    )?;
    let pairs = levels.groups().iter().zip(samples);
    pairs.map(|(group, sample)| Descriptor::fit(grid, group, sample)).collect()
}

impl Memory {
    /// How every vector differs from the nearest one of good images, in its unit.
    fn compared(&self, vectors: Vec<f32>) -> Compared {
        self.bank.compared(vectors).over(self.unit)
    }

    fn save(&self, tensors: &mut Weights, name: &str) {
        self.bank.save(tensors, name);
        put(tensors, &format!("{name}.peak"), &[1], &[self.unit]);
    }

    fn load(layout: Layout, tensors: &mut Weights, name: &str) -> Result<Self, String> {
        let unit = positive(tensors, &format!("{name}.peak"))?;
        Ok(Self { bank: Bank::load(tensors, name, layout)?, unit })
    }
}

/// Where vectors of so many values on a grid are compared.
fn layout(length: usize, grid: [usize; 2], config: &Config) -> Layout {
    Layout { length, places: config.has_places().then_some(grid) }
}

/// Takes a single number above 0.
fn positive(tensors: &mut Weights, name: &str) -> Result<f32, String> {
    match taken(tensors, name)?[..] {
        [value] if value.is_finite() && value > 0.0 => Ok(value),
        [_] => Err(format!("{name} is not above 0")),
        _ => Err(format!("{name} is not a number")),
    }
}

/// Takes what a group has saved.
fn taken(tensors: &mut Weights, name: &str) -> Result<Vec<f32>, String> {
    take(tensors, name)
        .map_err(|reason| format!("{reason}; a model of an earlier version has to be fitted anew"))
}

/// Refuses a file of weights that cannot be used, before any image is read.
///
/// # Errors
/// Those of reading it.
pub(crate) fn require_weights(config: &Config) -> Result<()> {
    if let (Use::Always, Some(path)) = (config.features.usage, &config.features.weights) {
        FeatureNetwork::load(path)?;
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::engine::{Array, FeatureMap};
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
                group.memory.bank.compared(group.descriptor.vectors(&levels)).distances
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
        let levels = fitted.levels.groups().iter().map(|group| values_of(&group.levels)).collect::<Vec<_>>();
        // Of what is finer than a place means and largest values: 2 (24 + 48) + 96, and 192 + 96 + 2 * 48.
        assert_eq!(levels, [240, 384]);
        let vectors = [0, 1].map(|i| fitted.groups[i].descriptor.vectors(&maps[i]));
        let compared = [0, 1].map(|i| fitted.groups[i].memory.compared(vectors[i].clone()));
        let [fine, wide] = [0, 1].map(|i| compared[i].distances.clone());
        let mut near: Vec<f32> = fine.iter().zip(&wide).map(|(a, b)| a.hypot(*b) / fitted.joint).collect();
        fitted.decoder.as_ref().unwrap().correct(&compared, [8, 8], &mut near);
        // A single region, whose means are of all places.
        let far = fitted.far.memory.compared(fitted.far.regions.whitened(&means([8, 8], &vectors))).distances;
        let pixels = fitted.far.regions.joined(near, far);
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
                let vectors = seen.vectors(0, input.images, Layout { length: 1, places: None });
                let (bank, owners) = vectors.kept(input.progress)?;
                Ok::<_, Error>(mean_peak(&vectors.unseen(&bank, &owners, input.progress)?))
            })
            .unwrap()
        };
        // Every image has a vector 0, too: what the others show furthest from 0, 1 and 5 is 0, 1 and 4 away.
        assert!((unit(&images) - 5.0 / 3.0).abs() < 1e-6);
        // Nothing is compared with itself only.
        assert_eq!((unit(&images[1..2]), unit(&[image(0), image(0)])), (1.0, 1.0));
        // Of two images 6 and 8, and 0 and 2, in units of 3 and 5: the roots of 4 + 64/25 and of 4/25.
        let units = Units::of(&[vec![vec![6.0], vec![0.0]], vec![vec![8.0], vec![2.0]]], 2.0);
        assert_eq!(units.groups, [3.0, 5.0]);
        let by_hand = 0.5 * ((4.0 + 64.0 / 25.0f32).sqrt() + 0.4);
        assert!((units.joint - by_hand).abs() < 1e-6, "{}", units.joint);
    }

    #[test]
    fn a_model_file_keeps_all_memories_and_what_does_not_fit_is_refused() {
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
        refused("features.joint", Some(vec![-1.0]), "features.joint is not above 0");
        refused("features.regions.bank", None, "features.regions.bank is missing; a model of an earlier");
        refused(
            "features.regions.whitening",
            Some(vec![0.0; 64]),
            "features.regions.whitening is of another network",
        );
        refused("features.places", None, "features.places is missing");
        refused(
            "features.wide.places",
            Some(vec![0.0; 64]),
            "features.wide.places is of another network or view",
        );
        refused("features.network.stem.convs.2.bias", None, "stem.convs.2.bias is missing");
        refused("features.decoder.out.bias", None, "features.decoder.out.bias is missing");
        refused(
            "features.decoder.up.weight",
            Some(vec![0.0; 64]),
            "features.decoder.up.weight has shape [64]",
        );
    }
}

//! What a network says of test images, given good references: maps by level, everywhere and near the same place, and its
//! defect logit.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::nearest::{IN_UNITS, Vectors, anywhere, near};
use crate::model::Mae;
use crate::pretrain::begin_with_filters;
use blemish::Image;
use blemish::engine::{Arithmetic, Engine, Feature, FeatureMap, Precision};
use blemish::pretrained::Pretrained;
use blemish::{Error, Result};

/// The levels of the network, with their names.
const LEVELS: [(Feature, &str); 7] = [
    (Feature::Level(1), "stem 4"),
    (Feature::Level(2), "stem 8"),
    (Feature::Tap(0), "tap 1 16"),
    (Feature::Tap(1), "tap 2 16"),
    (Feature::Tap(2), "tap 3 16"),
    (Feature::Head(0), "head 8"),
    (Feature::Head(1), "head 4"),
];
/// What the joint readings are made of: levels by name, in units.
const JOINT: [&str; 5] = ["stem 4", "stem 8", "tap 2 16", "head 8", "head 4"];
/// References that say what distances good images have.
const HELD_OUT: usize = 2;

/// Maps of all test images.
#[derive(Clone, Debug, Default)]
pub struct Maps {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `[B, height, width]`
    pub values: Vec<f32>,
}

impl Maps {
    /// Image by image.
    pub fn images(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact((self.height * self.width).max(1))
    }

    /// Bilinearly enlarged.
    fn enlarged(&self, size: [usize; 2]) -> Self {
        let (height, width) = (self.height, self.width);
        let one = |map: &[f32]| Image { height, width, channels: 1, pixels: map.to_vec() }.enlarged(size);
        Self { height: size[0], width: size[1], values: self.images().flat_map(one).collect() }
    }
}

/// The same network with the weights that pre-training begins with.
pub fn untrained(pretrained: &Pretrained) -> Pretrained {
    let rng = &mut ChaCha8Rng::seed_from_u64(99);
    let device = burn::tensor::Device::flex();
    let Pretrained { model, image_size, channels, .. } = pretrained;
    let mut weights = Mae::new(model, *image_size, *channels, rng, &device).weights();
    begin_with_filters(&mut weights);
    Pretrained { weights, ..pretrained.clone() }
}

/// A network that is ready for images of one size.
pub struct Network {
    engine: Engine,
}

impl Network {
    /// For square images of `side`.
    ///
    /// # Errors
    /// Weights that do not fit.
    pub fn new(pretrained: &Pretrained, side: usize) -> Result<Self> {
        let bad = |reason| Error::Training(format!("the weights cannot be used: {reason}"));
        let weights = pretrained.weights_at([side; 2]).map_err(bad)?;
        let arithmetic = match Precision::fastest() {
            Precision::F32 => Arithmetic::F32,
            Precision::Bf16 => Arithmetic::Bf16,
        };
        let (model, channels) = (&pretrained.model, pretrained.channels);
        let engine = Engine::new(model, [side; 2], channels, &weights, arithmetic).map_err(bad)?;
        Ok(Self { engine })
    }

    /// The maps of every reading of `tests`, by name.
    pub fn readings(&self, prefix: &str, references: &[Image], tests: &[Image]) -> BTreeMap<String, Maps> {
        let wanted: Vec<Feature> = LEVELS.iter().map(|(feature, _)| *feature).collect();
        let all: Vec<f32> =
            references.iter().chain(tests).flat_map(|image| image.pixels.iter().copied()).collect();
        let output = self.engine.forward(&all, None, &wanted);
        let (first, memory) = (references.len(), references.len() - HELD_OUT);
        let mut readings = BTreeMap::new();
        let mut joint = [None::<Maps>, None];
        for ((_, name), map) in LEVELS.iter().zip(&output.features) {
            for (kind, vectors) in Vectors::of(map, memory) {
                let queries = memory..first + tests.len();
                for (way, maps) in
                    [anywhere(&vectors, memory, queries.clone()), near(&vectors, memory, queries)]
                        .into_iter()
                        .enumerate()
                {
                    let (scale, maps) = without_held_out(maps);
                    if kind == IN_UNITS && JOINT.contains(name) {
                        add(&mut joint[way], &maps, scale, references[0].height / 4);
                    }
                    let way = ["anywhere", "near"][way];
                    readings.insert(format!("{prefix}{name} {kind} {way}"), maps);
                }
            }
        }
        for (maps, way) in joint.into_iter().zip(["anywhere", "near"]) {
            readings.extend(maps.map(|maps| (format!("{prefix}joint {way}"), maps)));
        }
        let pixels = references[0].height * references[0].width;
        if output.extra.len() == pixels * (first + tests.len()) && prefix.is_empty() {
            logits(&output.extra, &references[0], first, &mut readings);
        }
        readings
    }
}

/// Splits off the maps of held-out references, whose mean is the scale.
fn without_held_out(mut maps: Maps) -> (f32, Maps) {
    let held = HELD_OUT * maps.height * maps.width;
    let scale = maps.values[..held].iter().sum::<f32>() / held as f32;
    maps.values.drain(..held);
    (scale.max(1e-6), maps)
}

fn add(sum: &mut Option<Maps>, maps: &Maps, scale: f32, side: usize) {
    let maps = maps.enlarged([side; 2]);
    let sum = sum.get_or_insert_with(|| Maps { values: vec![0.0; maps.values.len()], ..maps.clone() });
    sum.values.iter_mut().zip(&maps.values).for_each(|(sum, v)| *sum += v / scale);
}

/// The defect logit alone, and above its mean over the references.
fn logits(all: &[f32], image: &Image, references: usize, readings: &mut BTreeMap<String, Maps>) {
    let (height, width) = (image.height, image.width);
    let (of_references, of_tests) = all.split_at(references * height * width);
    let mut mean = vec![0.0; height * width];
    for map in of_references.chunks_exact(height * width) {
        mean.iter_mut().zip(map).for_each(|(mean, v)| *mean += v / references as f32);
    }
    let values = of_tests.iter().enumerate().map(|(i, v)| v - mean[i % mean.len()]).collect();
    readings.insert("logit".to_owned(), Maps { height, width, values: of_tests.to_vec() });
    readings.insert("logit over good".to_owned(), Maps { height, width, values });
}

/// A map's shape for other readings than a network's.
pub fn feature_map(height: usize, width: usize, channels: usize, values: Vec<f32>) -> FeatureMap {
    FeatureMap { height, width, channels, values }
}

//! By what linear maps places are described.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};

use super::super::batch::Draw;
use super::super::checkpoint::Progress;
use super::super::retrieve::LEAST_SQUARE;
use super::super::run::{Learner, Looked, PretrainOptions, Rates};
use super::super::tensors::{read, value};
use super::ranking::{pairs, ranking, unit};
use super::scenes::{COMPARED, Shown, draw};
use super::{HeadConfig, noted};
use crate::train::{AdamW, StepSettings};
use blemish::Result;
use blemish::engine::{Array, Weights};
use blemish::parts::features::described::Describer;
use blemish::parts::memory::Components;
use blemish::pretrained::Pretrained;

/// Values that a group of levels describes a place by.
const VALUES: usize = 48;
/// Steps whose scenes say which principal components projections begin with, and every how many places count.
const SAMPLED: usize = 12;
const EVERY: usize = 5;
/// Weight of what is asked of each group alone, beside both together.
const ALONE: f64 = 0.5;

/// The projections of both groups, and the network that they are for.
pub struct Projections {
    config: HeadConfig,
    network: Arc<Pretrained>,
    describer: Arc<Describer>,
    device: Device,
    /// By name of the group, `[values, VALUES]`.
    maps: Weights,
}

impl Projections {
    /// With those that were learnt before, or else principal components.
    ///
    /// # Errors
    /// A sentence: values that are not finite.
    pub fn begin(
        config: &HeadConfig,
        network: Arc<Pretrained>,
        describer: Arc<Describer>,
        options: &PretrainOptions,
        before: Option<Weights>,
    ) -> Result<Self, String> {
        let maps = match before {
            Some(maps) => maps,
            None => components(config, &describer).map_err(|error| error.to_string())?,
        };
        let shapes: Vec<&[usize]> = maps.values().map(|array| &array.shape[..]).collect();
        let wanted: Vec<[usize; 2]> = describer.values().into_iter().map(|values| [values, VALUES]).collect();
        if shapes != wanted {
            return Err(format!("projections have shapes {shapes:?}, not {wanted:?}"));
        }
        let device = options.device.clone().autodiff();
        Ok(Self { config: config.clone(), network, describer, device, maps })
    }

    /// The loss of a scene, and how often its defect is further away at most than a good photo.
    fn scene(&self, shown: &Shown, maps: &[Tensor<2>]) -> (Tensor<1>, f64) {
        let [rows, columns] = shown.grid();
        let places = rows * columns;
        let squares: Vec<Tensor<2>> = shown
            .groups()
            .zip(maps)
            .zip(self.maps.values())
            .map(|(((values, count), map), current)| {
                let projected = projected(values, &current.values, VALUES);
                let differing = shown.differing(values, count, &projected, VALUES);
                let tensor =
                    |values, shape| Tensor::<2>::from_data(TensorData::new(values, shape), &self.device);
                let brought = tensor(differing.residuals, [COMPARED * places, count]).matmul(map.clone());
                let square = (brought.clone() * brought).sum_dim(1).reshape([COMPARED, places]);
                square + tensor(differing.away, [COMPARED, places])
            })
            .collect();
        // Each group in the unit that a memory takes: the most that good photos show.
        let in_unit =
            |square: &Tensor<2>| square.clone() / unit(&read(square), places).max(LEAST_SQUARE as f32);
        let both = squares.iter().map(in_unit).reduce(|sum, square| sum + square);
        let ranked = |square: &Tensor<2>| {
            let [of_places, _] =
                ranking(&(square.clone().clamp_min(LEAST_SQUARE).log() * 0.5), &shown.defect);
            of_places
        };
        let alone = squares.iter().map(|square| ranked(square) * ALONE).reduce(|sum, own| sum + own);
        match (both, alone) {
            (Some(both), Some(alone)) => (ranked(&both) + alone, pairs(&read(&both), places)),
            _ => unreachable!("a network has groups of levels"),
        }
    }
}

impl Learner for Projections {
    type Config = HeadConfig;
    type Drawn = Vec<Shown>;

    fn rates(&self) -> Rates {
        self.config.rates()
    }

    fn drawing(&self) -> impl Fn(usize) -> Result<Vec<Shown>> + Send + 'static {
        let (config, describer) = (self.config.clone(), Arc::clone(&self.describer));
        move |step| draw(&config, &describer, Draw::Projections, step, false)
    }

    fn scenes(drawn: &Vec<Shown>) -> usize {
        drawn.len()
    }

    fn weights(&self) -> Weights {
        self.maps.clone()
    }

    fn look(&self, drawn: &Vec<Shown>) -> Looked {
        let tensor = |array: &Array| {
            let data = TensorData::new(array.values.clone(), [array.shape[0], array.shape[1]]);
            Tensor::<2>::from_data(data, &self.device).require_grad()
        };
        let maps: Vec<Tensor<2>> = self.maps.values().map(tensor).collect();
        let (losses, pairs): (Vec<Tensor<1>>, Vec<f64>) =
            drawn.iter().map(|shown| self.scene(shown, &maps)).unzip();
        if losses.is_empty() {
            return Looked::default();
        }
        let count = losses.len() as f64;
        let total = Tensor::cat(losses, 0).mean();
        let loss = value(&total);
        let gradients = total.backward();
        let of = |((name, array), map): ((&String, &Array), &Tensor<2>)| {
            let values = map.grad(&gradients).map(|gradient| read(&gradient))?;
            Some((name.clone(), Array { shape: array.shape.clone(), values }))
        };
        let gradients = self.maps.iter().zip(&maps).filter_map(of).collect();
        Looked { loss, parts: vec![("pairs", pairs.iter().sum::<f64>() / count)], gradients }
    }

    fn follow(&mut self, optimizer: &mut AdamW, gradients: Weights, settings: StepSettings) {
        (self.maps, _) = optimizer.step_of(std::mem::take(&mut self.maps), gradients, settings);
    }

    fn learnt(&self, average: Weights, _: &Progress<HeadConfig>, options: &PretrainOptions) -> Pretrained {
        Pretrained {
            projections: average.into_values().collect(),
            // One that was learnt with other projections is of no use.
            decoder: Weights::new(),
            origin: noted(&self.network.origin, options),
            ..Pretrained::clone(&self.network)
        }
    }
}

/// Vectors, `[n, values]`, brought to fewer by a map, `[values, fewer]`.
pub fn projected(vectors: &[f32], map: &[f32], fewer: usize) -> Vec<f32> {
    Components { mean: vec![0.0; map.len() / fewer], basis: map.to_vec() }.project(vectors)
}

/// The principal components of some scenes together.
fn components(config: &HeadConfig, describer: &Describer) -> Result<Weights> {
    let counts = describer.values();
    let mut samples = vec![Vec::new(); counts.len()];
    for step in 0..SAMPLED {
        for shown in draw(config, describer, Draw::Components, step, false)? {
            for (sample, (values, count)) in samples.iter_mut().zip(shown.groups()) {
                sample.extend(values.chunks_exact(count).step_by(EVERY).flatten());
            }
        }
    }
    let names = ["fine", "wide"].map(str::to_owned);
    let group = |((name, sample), count): ((String, Vec<f32>), usize)| {
        let values = Components::new(&sample, count, VALUES).basis;
        (name, Array { shape: vec![count, VALUES], values })
    };
    Ok(names.into_iter().zip(samples).zip(counts).map(group).collect())
}

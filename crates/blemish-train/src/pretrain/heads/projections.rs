//! By what linear maps places are described.

use burn::tensor::{Tensor, TensorData};

use super::super::batch::Draw;
use super::super::retrieve::LEAST_SQUARE;
use super::super::tensors::read;
use super::HeadConfig;
use super::learning::{Parameters, Start, Task};
use super::ranking::{pairs, ranking, unit};
use super::scenes::{COMPARED, Shown, draw};
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
/// Weight of the ranking by each group alone, beside that by both together.
const ALONE: f64 = 0.5;

/// The projections of both groups of levels, `[values, VALUES]` each, by name of the group.
pub struct Projections;

impl Task for Projections {
    type Scene = Shown;

    /// Principal components.
    fn first(start: &Start) -> Result<Weights, String> {
        components(&start.config, &start.describer).map_err(|error| error.to_string())
    }

    fn check(start: &Start, weights: &Weights) -> Result<(), String> {
        let shapes: Vec<&[usize]> = weights.values().map(|array| &array.shape[..]).collect();
        let values = start.describer.values().into_iter();
        let wanted: Vec<[usize; 2]> = values.map(|values| [values, VALUES]).collect();
        if shapes == wanted {
            return Ok(());
        }
        Err(format!("projections have shapes {shapes:?}, not {wanted:?}"))
    }

    fn draw(start: &Start, step: usize) -> Result<Vec<Shown>> {
        draw(&start.config, &start.describer, Draw::Projections, step, false)
    }

    fn loss(scenes: &[Shown], parameters: &Parameters<'_>) -> (Tensor<1>, Vec<(&'static str, f64)>) {
        let maps: Vec<Tensor<2>> = parameters.weights.keys().map(|name| parameters.matrix(name)).collect();
        let (losses, pairs): (Vec<Tensor<1>>, Vec<f64>) =
            scenes.iter().map(|shown| of_scene(shown, &maps, parameters)).unzip();
        let pairs = pairs.iter().sum::<f64>() / scenes.len() as f64;
        (Tensor::cat(losses, 0).mean(), vec![("pairs", pairs)])
    }

    fn put(learnt: Weights, pretrained: &mut Pretrained) {
        pretrained.projections = learnt.into_values().collect();
        // One that was learnt with other projections is of no use.
        pretrained.decoder = Weights::new();
    }
}

/// The loss of a scene, and how often its defect is further away at most than a good photo.
fn of_scene(shown: &Shown, maps: &[Tensor<2>], parameters: &Parameters<'_>) -> (Tensor<1>, f64) {
    let [rows, columns] = shown.grid();
    let places = rows * columns;
    let squares: Vec<Tensor<2>> = shown
        .groups()
        .zip(maps)
        .zip(parameters.weights.values())
        .map(|(((values, count), map), current)| {
            let projected = projected(values, &current.values, VALUES);
            let differing = shown.differing(values, count, &projected, VALUES);
            let tensor =
                |values, shape| Tensor::<2>::from_data(TensorData::new(values, shape), parameters.device);
            let brought = tensor(differing.residuals, [COMPARED * places, count]).matmul(map.clone());
            let square = (brought.clone() * brought).sum_dim(1).reshape([COMPARED, places]);
            square + tensor(differing.away, [COMPARED, places])
        })
        .collect();
    // Each group in the unit that a memory takes: the most that good photos show.
    let in_unit = |square: &Tensor<2>| square.clone() / unit(&read(square), places).max(LEAST_SQUARE as f32);
    let both = squares.iter().map(in_unit).reduce(|sum, square| sum + square);
    let ranked = |square: &Tensor<2>| {
        let [of_places, _] = ranking(&(square.clone().clamp_min(LEAST_SQUARE).log() * 0.5), &shown.defect);
        of_places
    };
    let alone = squares.iter().map(|square| ranked(square) * ALONE).reduce(|sum, own| sum + own);
    match (both, alone) {
        (Some(both), Some(alone)) => (ranked(&both) + alone, pairs(&read(&both), places)),
        _ => unreachable!("a network has groups of levels"),
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

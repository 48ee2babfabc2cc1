//! The reference-conditioned decoder.

use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, TensorData, module};
use rand::Rng;

use super::super::batch::{Draw, generator};
use super::super::tensors::{read, value};
use super::HeadConfig;
use super::learning::{Parameters, Start, Task};
use super::projections::projected;
use super::ranking::{pairs, ranking, unit};
use super::scenes::{COMPARED, Shown, draw};
use crate::ops;
use blemish::Result;
use blemish::engine::{Array, Weights};
use blemish::parts::features::bank::Compared;
use blemish::parts::features::decoder::{AROUND, Decoder, LAYERS, LOGARITHMS, shapes, told};
use blemish::pretrained::Pretrained;

/// Channels.
const WIDTH: usize = 32;
/// Share of what is learnt that is written, and the weight of the square of what is added: what is learnt of the training families should not
/// count in full on others.
const STRENGTH: f32 = 0.75;
const SMALL: f64 = 0.5;
/// The least unit.
const LEAST: f32 = 1e-4;

/// The decoder, by its layers' weights and biases.
pub struct DecoderHead;

/// What the decoder is told of a scene's photos that are compared.
pub struct Told {
    /// `[COMPARED, places, 3 + values]`
    seen: Vec<f32>,
    /// Logarithms of the joint distances, `[COMPARED, places]`.
    joint: Vec<f32>,
    grid: [usize; 2],
    defect: Vec<f32>,
}

/// Uniform within the reciprocal root of the number of inputs, the last layer 0.
fn drawn(config: &HeadConfig, values: usize) -> Weights {
    let mut rng = generator(config.seed, Draw::Weights, 0, 0);
    let mut weights = Weights::new();
    for (name, shape) in LAYERS.into_iter().zip(shapes(LOGARITHMS + values, WIDTH)) {
        let limit = if name == "out" { 0.0 } else { 1.0 / (shape[0] as f32).sqrt() };
        for (what, shape) in [("weight", shape.to_vec()), ("bias", shape[1..].to_vec())] {
            let count = shape.iter().product();
            let values = (0..count).map(|_| limit * rng.random_range(-1.0..=1.0f32)).collect();
            weights.insert(format!("{name}.{what}"), Array { shape, values });
        }
    }
    weights
}

/// What is told of a scene, as a memory of its references tells it of a photo: in units of the most that its good photos show.
fn tell(network: &Pretrained, shown: &Shown) -> Told {
    let grid = shown.grid();
    let places = grid[0] * grid[1];
    let unit = |distances: &[f32]| unit(distances, places).max(LEAST);
    let groups: Vec<Compared> = shown
        .groups()
        .zip(&network.projections)
        .map(|((values, _), map)| {
            let length = map.shape[1];
            let projected = projected(values, &map.values, length);
            let differing = shown.differing(&projected, length, &projected, length);
            let square = |(own, away): (&[f32], &f32)| own.iter().map(|v| v * v).sum::<f32>() + away;
            let pairs = differing.residuals.chunks_exact(length).zip(&differing.away);
            let distances: Vec<f32> = pairs.map(|pair| square(pair).sqrt()).collect();
            let unit = unit(&distances);
            Compared { distances, residuals: differing.residuals, length }.over(unit)
        })
        .collect();
    let both = |place: usize| groups.iter().map(|own| own.distances[place].powi(2)).sum::<f32>().sqrt();
    let mut joint: Vec<f32> = (0..COMPARED * places).map(both).collect();
    let unit = unit(&joint);
    joint.iter_mut().for_each(|v| *v /= unit);
    let seen = told(&groups, &joint);
    let joint = joint.into_iter().map(|v| v.max(LEAST).ln()).collect();
    Told { seen, joint, grid, defect: shown.defect.clone() }
}

/// What is added to the logarithm of the distance at every place, `[photos, places]`; `seen` is `[photos, places, inputs]`, `layers` weight and
/// bias of each.
fn forward(seen: Tensor<3>, [rows, columns]: [usize; 2], layers: &[(Tensor<2>, Tensor<1>)]) -> Tensor<2> {
    let [photos, places, _] = seen.dims();
    let [embed, around, up, down, out] = [0, 1, 2, 3, 4].map(|i| layers[i].clone());
    let hidden = ops::linear(seen, embed.0, embed.1);
    let [_, _, width] = hidden.dims();
    let map = hidden.clone().reshape([photos, rows, columns, width]).permute([0, 3, 1, 2]);
    let taps =
        around.0.reshape([AROUND, AROUND, width]).permute([2, 0, 1]).reshape([width, 1, AROUND, AROUND]);
    let options = ConvOptions::new([1, 1], [AROUND / 2; 2], [1, 1], width);
    let wide = module::conv2d(map, taps, Some(around.1), options);
    let wide = wide.permute([0, 2, 3, 1]).reshape([photos, places, width]);
    let joined = hidden + ops::gelu_linear(ops::linear(wide, up.0, up.1), down.0, down.1);
    ops::gelu_linear(joined, out.0, out.1).reshape([photos, places])
}

impl Task for DecoderHead {
    type Scene = Told;

    /// A decoder that adds nothing.
    fn first(start: &Start) -> Result<Weights, String> {
        Ok(drawn(&start.config, values(&start.network)))
    }

    fn check(start: &Start, weights: &Weights) -> Result<(), String> {
        if start.network.projections.is_empty() {
            return Err("they have no projections, which are learnt first (--learn projections)".to_owned());
        }
        Decoder::new(weights, "", values(&start.network)).map(|_| ())
    }

    fn draw(start: &Start, step: usize) -> Result<Vec<Told>> {
        let shown = draw(&start.config, &start.describer, Draw::Decoder, step, true)?;
        Ok(shown.iter().map(|shown| tell(&start.network, shown)).collect())
    }

    fn loss(scenes: &[Told], parameters: &Parameters<'_>) -> (Tensor<1>, Vec<(&'static str, f64)>) {
        let layer = |name: &str| {
            (parameters.matrix(&format!("{name}.weight")), parameters.vector(&format!("{name}.bias")))
        };
        let layers = LAYERS.map(layer);
        let (told, count) = (&scenes[0], scenes.len());
        let places = told.joint.len() / COMPARED;
        let inputs = told.seen.len() / told.joint.len();
        let all = |of: fn(&Told) -> &[f32]| scenes.iter().flat_map(of).copied().collect::<Vec<f32>>();
        let seen = TensorData::new(all(|told| &told.seen), [count * COMPARED, places, inputs]);
        let added = forward(Tensor::from_data(seen, parameters.device), told.grid, &layers);
        let joint = TensorData::new(all(|told| &told.joint), [count * COMPARED, places]);
        let joint = Tensor::<2>::from_data(joint, parameters.device) + added.clone();
        let scene = |(i, told): (usize, &Told)| {
            ranking(&joint.clone().narrow(0, i * COMPARED, COMPARED), &told.defect)
        };
        let (of_places, of_photos) = scenes.iter().enumerate().map(scene).map(<(_, _)>::from).unzip();
        let [of_places, of_photos] =
            [of_places, of_photos].map(|losses: Vec<Tensor<1>>| Tensor::cat(losses, 0).mean());
        let above = read(&joint).chunks_exact(COMPARED * places).map(|own| pairs(own, places)).sum::<f64>();
        let parts = vec![
            ("places", value(&of_places)),
            ("photos", value(&of_photos)),
            ("pairs", above / count as f64),
        ];
        let small = (added.clone() * added).mean();
        let total = of_places + of_photos + small * SMALL;
        (total, parts)
    }

    fn put(mut learnt: Weights, pretrained: &mut Pretrained) {
        for (_, array) in learnt.iter_mut().filter(|(name, _)| name.starts_with("out.")) {
            array.values.iter_mut().for_each(|v| *v *= STRENGTH);
        }
        pretrained.decoder = learnt;
    }
}

/// Values that describe a place, of all groups together.
fn values(network: &Pretrained) -> usize {
    network.projections.iter().map(|map| map.shape[1]).sum()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use burn::tensor::Device;

    use super::*;

    /// What is learnt gives the same in the product.
    #[test]
    fn the_product_decodes_as_it_is_learnt() {
        let config = HeadConfig::new(super::super::Head::Decoder);
        let mut rng = generator(3, Draw::Weights, 0, 0);
        let mut weights = drawn(&config, 6);
        let mut draw =
            |count: usize| -> Vec<f32> { (0..count).map(|_| rng.random_range(-1.0..1.0f32)).collect() };
        weights.get_mut("out.weight").unwrap().values = draw(WIDTH);
        let (grid, inputs) = ([4, 7], LOGARITHMS + 6);
        let seen = draw(2 * 28 * inputs);
        let device = Device::flex();
        let layers: Vec<(Tensor<2>, Tensor<1>)> = LAYERS
            .iter()
            .map(|name| {
                let [weight, bias] =
                    ["weight", "bias"].map(|what| weights[&format!("{name}.{what}")].clone());
                let weight = TensorData::new(weight.values, [weight.shape[0], weight.shape[1]]);
                let bias = TensorData::new(bias.values, [bias.shape[0]]);
                (Tensor::from_data(weight, &device), Tensor::from_data(bias, &device))
            })
            .collect();
        let data = TensorData::new(seen.clone(), [2, 28, inputs]);
        let learnt = read(&forward(Tensor::from_data(data, &device), grid, &layers));
        let product = Decoder::new(&weights, "", 6).unwrap().unwrap();
        let added: Vec<f32> =
            seen.chunks_exact(28 * inputs).flat_map(|photo| product.forward(photo, grid)).collect();
        assert!(learnt.iter().zip(&added).all(|(a, b)| (a - b).abs() < 1e-5), "{learnt:?} {added:?}");
        assert!(added.iter().any(|v| v.abs() > 0.01));
    }
}

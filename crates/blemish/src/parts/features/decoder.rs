//! The reference-conditioned decoder: it looks at what every place differs by from the good references that are retrieved for it, together
//! with the places around it, and corrects the distance.
//!
//! A small network, learnt once on generated scenes (`blemish pretrain --learn decoder`). It works on residuals and not on features, which carry over from
//! product to product (ResAD, Yao et al. 2024); what it gives is added to the logarithm of the distance, so that the distance counts as it
//! is where the network says nothing.

use blemish_kernels::activation::gelu;
use blemish_kernels::linear::{LinearShape, linear_forward};
use blemish_kernels::precision::Precision;
use blemish_kernels::simd;
use rayon::prelude::*;

use super::bank::Compared;
use crate::engine::{Array, Weights};

/// Places that are looked at each way, in all.
pub const AROUND: usize = 5;
/// The least distance that is told from none, in its unit.
const LEAST: f32 = 1e-4;
/// The largest of what is told of a place, to either side, and of what is added to a logarithm: nothing that it has learnt from is beyond, and a
/// product whose good images are all alike has any distance.
const LARGEST: f32 = 32.0;
const MOST: f32 = 1.5;
/// What is told of a place before its residuals: the logarithms of both groups' distances and of the joint one.
pub const LOGARITHMS: usize = 3;
/// The layers, of which each has a weight and a bias.
pub const LAYERS: [&str; 5] = ["embed", "around", "up", "down", "out"];

/// The network.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoder {
    width: usize,
    /// Weight and bias of each of [`LAYERS`].
    layers: [[Vec<f32>; 2]; 5],
}

impl Decoder {
    /// From a file's tensors, whose names begin with `prefix`, for places that `values` describe in all; `None` where it has none.
    ///
    /// # Errors
    /// A sentence that names the tensor that is missing or does not fit.
    pub fn new(tensors: &Weights, prefix: &str, values: usize) -> Result<Option<Self>, String> {
        if !tensors.keys().any(|name| name.starts_with(prefix)) {
            return Ok(None);
        }
        let inputs = LOGARITHMS + values;
        let embed = format!("{prefix}embed.weight");
        let width = match tensors.get(&embed).map(|array| &array.shape[..]) {
            Some(&[rows, width]) if rows == inputs && width > 0 => width,
            Some(shape) => return Err(format!("{embed} has shape {shape:?}, not [{inputs}, any]")),
            None => return Err(format!("{embed} is missing")),
        };
        let shapes = shapes(inputs, width);
        let read = |name: String, shape: &[usize]| match tensors.get(&name) {
            Some(array) if array.shape == shape && array.values.iter().all(|v| v.is_finite()) => {
                Ok(array.values.clone())
            }
            Some(array) if array.shape == shape => Err(format!("{name} holds a value that is not finite")),
            Some(array) => Err(format!("{name} has shape {:?}, not {shape:?}", array.shape)),
            None => Err(format!("{name} is missing")),
        };
        let mut layers = std::array::from_fn(|_| [Vec::new(), Vec::new()]);
        for ((layer, name), shape) in layers.iter_mut().zip(LAYERS).zip(shapes) {
            let weight = read(format!("{prefix}{name}.weight"), &shape)?;
            *layer = [weight, read(format!("{prefix}{name}.bias"), &shape[1..])?];
        }
        Ok(Some(Self { width, layers }))
    }

    /// Adds it to a model file's tensors, their names behind `prefix`.
    pub fn save(&self, tensors: &mut Weights, prefix: &str) {
        let inputs = self.layers[0][0].len() / self.width;
        for ((layer, name), shape) in self.layers.iter().zip(LAYERS).zip(shapes(inputs, self.width)) {
            let [weight, bias] = layer.clone();
            let own = [("weight", weight, shape.to_vec()), ("bias", bias, shape[1..].to_vec())];
            let named =
                own.map(|(what, values, shape)| (format!("{prefix}{name}.{what}"), Array { shape, values }));
            tensors.extend(named);
        }
    }

    /// Corrects the joint distance of every place of a grid, `[rows * columns]`, by how the groups' vectors differ from their references.
    pub fn correct(&self, groups: &[Compared], [rows, columns]: [usize; 2], joint: &mut [f32]) {
        let added = self.forward(&told(groups, joint), [rows, columns]);
        joint.iter_mut().zip(added).for_each(|(distance, added)| *distance *= added.clamp(-MOST, MOST).exp());
    }

    /// What is added to the logarithm of the distance at every place, from what is told of it, `[rows * columns, inputs]`.
    pub fn forward(&self, seen: &[f32], grid: [usize; 2]) -> Vec<f32> {
        let [embed, around, up, down, out] = &self.layers;
        let mut hidden = linear(seen, embed);
        let mut wide = linear(&self.around(&hidden, around, grid), up);
        wide.iter_mut().for_each(|v| *v = gelu(*v));
        hidden.iter_mut().zip(linear(&wide, down)).for_each(|(v, more)| *v = gelu(*v + more));
        linear(&hidden, out)
    }

    /// A convolution of every channel by itself over the places around, beyond the border with 0.
    fn around(
        &self,
        hidden: &[f32],
        [weight, bias]: &[Vec<f32>; 2],
        [rows, columns]: [usize; 2],
    ) -> Vec<f32> {
        let (width, reach) = (self.width, AROUND / 2);
        let mut out = vec![0.0; hidden.len()];
        out.par_chunks_mut(columns * width).enumerate().for_each(|(y, line)| {
            simd::run(
                #[inline(always)]
                || {
                    for (x, out) in line.chunks_exact_mut(width).enumerate() {
                        out.copy_from_slice(bias);
                        for (tap, weight) in weight.chunks_exact(width).enumerate() {
                            let (from_y, from_x) = (y + tap / AROUND, x + tap % AROUND);
                            let inside = (reach..rows + reach).contains(&from_y)
                                && (reach..columns + reach).contains(&from_x);
                            if inside {
                                let place = (from_y - reach) * columns + from_x - reach;
                                let values = &hidden[place * width..][..width];
                                for ((out, v), w) in out.iter_mut().zip(values).zip(weight) {
                                    *out += v * w;
                                }
                            }
                        }
                    }
                },
            );
        });
        out
    }
}

/// What is told of every place, from the joint distances and how the groups' vectors differ from their references, all in units of the most
/// that good images show: `[places, 3 + values]`.
pub fn told(groups: &[Compared], joint: &[f32]) -> Vec<f32> {
    let of = |place: usize| {
        let distances = groups.iter().map(move |group| group.distances[place]).chain([joint[place]]);
        let logarithms = distances.map(|distance| distance.max(LEAST).ln());
        let residuals = groups.iter().flat_map(move |group| group.residual(place).iter().copied());
        logarithms.chain(residuals).map(|v| v.clamp(-LARGEST, LARGEST))
    };
    (0..joint.len()).flat_map(of).collect()
}

/// Shapes of the layers' weights, the last of which is that of their biases.
pub fn shapes(inputs: usize, width: usize) -> [[usize; 2]; 5] {
    [[inputs, width], [AROUND * AROUND, width], [width, 2 * width], [2 * width, width], [width, 1]]
}

fn linear(x: &[f32], [weight, bias]: &[Vec<f32>; 2]) -> Vec<f32> {
    let (outputs, inputs) = (bias.len(), weight.len() / bias.len());
    let rows = x.len() / inputs;
    let mut y = vec![0.0; rows * outputs];
    linear_forward(LinearShape { rows, inputs, outputs }, Precision::F32, x, weight, Some(bias), &mut y);
    y
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// Width 1, for places that two values describe; `layer`'s values, by name.
    fn tensors(of: impl Fn(&str) -> f32) -> Weights {
        let mut tensors = Weights::new();
        for (name, shape) in LAYERS.into_iter().zip(shapes(5, 1)) {
            for (what, shape) in [("weight", shape.to_vec()), ("bias", shape[1..].to_vec())] {
                let name = format!("{name}.{what}");
                let values = vec![of(&name); shape.iter().product()];
                tensors.insert(name, Array { shape, values });
            }
        }
        tensors
    }

    fn group(residual: &[f32]) -> Compared {
        Compared {
            distances: residual.iter().map(|v| v.abs()).collect(),
            residuals: residual.to_vec(),
            length: 1,
        }
    }

    #[test]
    fn distances_are_multiplied_by_what_the_network_says_by_hand() {
        // Everything but the last bias is 0: gelu(0) = 0.
        let constant = tensors(|name| if name == "out.bias" { 0.5 } else { 0.0 });
        let groups = [group(&[1.0, 2.0]), group(&[0.5, -3.0])];
        let mut joint = [1.0, 4.0];
        Decoder::new(&constant, "", 2).unwrap().unwrap().correct(&groups, [1, 2], &mut joint);
        assert!((joint[0] - 0.5f32.exp()).abs() < 1e-6 && (joint[1] - 4.0 * 0.5f32.exp()).abs() < 1e-5);
        // The sum of what is told, and nothing of what is around: gelu of ln 1 + ln 0.5 + ln 1 + 1 + 0.5, and of ln 2 + ln 3 + ln 4 + 2 - 3.
        let sums = tensors(|name| f32::from(u8::from(["embed.weight", "out.weight"].contains(&name))));
        let mut joint = [1.0, 4.0];
        Decoder::new(&sums, "", 2).unwrap().unwrap().correct(&groups, [1, 2], &mut joint);
        let by_hand = [0.5f32.ln() + 1.5, 24.0f32.ln() - 1.0].map(|v| gelu(v).min(MOST).exp());
        assert!(
            (joint[0] - by_hand[0]).abs() < 1e-5 && (joint[1] - 4.0 * by_hand[1]).abs() < 1e-3,
            "{joint:?}"
        );
    }

    #[test]
    fn distances_without_bound_stay_finite() {
        let large = tensors(|_| 3.0);
        let groups = [group(&[1e30, -1e30]), group(&[0.0, 3e38])];
        let mut joint = [1e30, 0.0];
        Decoder::new(&large, "", 2).unwrap().unwrap().correct(&groups, [1, 2], &mut joint);
        assert!((joint[0] / 1e30 - MOST.exp()).abs() < 1e-3 && joint[1] == 0.0, "{joint:?}");
    }

    #[test]
    fn places_around_count_up_to_two_away_and_none_beyond_the_border() {
        let decoder = |weight: f32| {
            let of = |name: &str| match name {
                "around.weight" | "up.weight" | "down.weight" | "out.weight" => weight,
                "embed.weight" => 1.0,
                _ => 0.0,
            };
            Decoder::new(&tensors(of), "", 2).unwrap().unwrap()
        };
        // One place of 4 x 7 says something.
        let mut seen = vec![0.0; 4 * 7 * 5];
        seen[(7 + 1) * 5] = 2.0;
        let added = decoder(1.0).forward(&seen, [4, 7]);
        for (place, added) in added.iter().enumerate() {
            let near = (place / 7).abs_diff(1) <= 2 && (place % 7).abs_diff(1) <= 2;
            assert_eq!(*added > 0.0, near, "{place}");
        }
        let around = 2.0 * gelu(2.0);
        assert!((added[0] - gelu(around)).abs() < 1e-5 && (added[8] - gelu(2.0 + around)).abs() < 1e-5);
        assert!(decoder(0.0).forward(&seen, [4, 7]).iter().all(|v| *v == 0.0));
    }

    #[test]
    fn a_file_keeps_it_and_what_does_not_fit_is_refused_by_name() {
        let own = tensors(|name| name.len() as f32 / 16.0);
        let decoder = Decoder::new(&own, "", 2).unwrap().unwrap();
        let mut saved = Weights::new();
        decoder.save(&mut saved, "features.decoder.");
        assert_eq!(Decoder::new(&saved, "features.decoder.", 2).unwrap().unwrap(), decoder);
        assert!(Decoder::new(&Weights::new(), "features.decoder.", 2).unwrap().is_none());
        assert!(
            Decoder::new(&own, "", 3).unwrap_err().contains("embed.weight has shape [5, 1], not [6, any]")
        );
        for (name, array) in [
            ("up.bias", None),
            ("down.weight", Some(Array { shape: vec![2], values: vec![0.0; 2] })),
            ("out.bias", Some(Array { shape: vec![1], values: vec![f32::NAN] })),
        ] {
            let mut broken = own.clone();
            match array {
                Some(array) => _ = broken.insert(name.to_owned(), array),
                None => _ = broken.remove(name),
            }
            let reason = Decoder::new(&broken, "", 2).unwrap_err();
            assert!(reason.contains(name), "{reason}");
        }
    }
}

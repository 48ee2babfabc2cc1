//! How an image differs from good references, by level, in units of what good references differ among themselves, and the
//! network's last layers that make one map of it.
//!
//! For every place the nearest reference is looked for (sparse cross-attention; DictAS, arXiv 2508.13560), and what goes on is the
//! residual, not the features (ResAD, arXiv 2410.20047), as squared lengths of groups of channels.

use super::super::places::mean_3x3;
use crate::engine::{Feature, Precision, Weights};
use blemish_kernels::activation::gelu;
use blemish_kernels::conv::{ConvShape, Input, conv3x3_forward};

/// A level of the network that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Which.
    pub feature: Feature,
    /// Pixels between its places.
    pub stride: usize,
    /// Places that the same part of a product may be away.
    pub reach: usize,
}

/// The levels: of the stem, the pyramid head twice, and the middle tap of the encoder.
pub const LEVELS: [Level; 4] = [
    Level { feature: Feature::Level(1), stride: 4, reach: 2 },
    Level { feature: Feature::Head(1), stride: 4, reach: 2 },
    Level { feature: Feature::Head(0), stride: 8, reach: 2 },
    Level { feature: Feature::Tap(1), stride: 16, reach: 1 },
];
/// Groups of channels of a level whose residuals are told apart.
pub const GROUPS: usize = 4;
/// Pixels between the places of the map that is made.
pub const STRIDE: usize = 4;
/// Planes that the last layers see: every level's groups, compared anywhere and near the place; the defect logit over that of
/// good references, and that.
pub const INPUTS: usize = LEVELS.len() * 2 * GROUPS + 2;
/// Their hidden channels.
pub const HIDDEN: usize = 16;
/// What the defect logit is divided by.
pub const LOGIT_SCALE: f32 = 4.0;
/// Added to the ratio of squared residuals, so that its logarithm is bounded below.
pub const FLOOR: f32 = 0.01;
/// Share of the scale that is the same at all places, where places are known.
const GLOBAL_SHARE: f32 = 0.25;

/// The squared residual of every group, `[GROUPS]`.
pub fn residual(query: &[f32], reference: &[f32]) -> [f32; GROUPS] {
    let width = query.len() / GROUPS;
    let group = |g: usize| {
        let pairs = query[g * width..][..width].iter().zip(&reference[g * width..][..width]);
        pairs.map(|(q, r)| (q - r) * (q - r)).sum()
    };
    std::array::from_fn(group)
}

/// What squared residuals are divided by, `[places, planes]`, from their means over good references at every place: the mean over all
/// places, joined with that of the 3 x 3 places around where the same part is always at the same place.
pub fn scales(means: &[f32], [rows, columns]: [usize; 2], planes: usize, has_places: bool) -> Vec<f32> {
    let global = average(means, planes);
    let floor: Vec<f32> = global.iter().map(|v| v.max(1e-12)).collect();
    if !has_places {
        return floor.repeat(rows * columns);
    }
    let local = mean_3x3(means, [rows, columns], planes);
    let joined = |(i, v): (usize, &f32)| GLOBAL_SHARE * floor[i % planes] + (1.0 - GLOBAL_SHARE) * v;
    local.iter().enumerate().map(joined).collect()
}

/// The mean of every plane, `[planes]`, of `[places, planes]`.
pub fn average(values: &[f32], planes: usize) -> Vec<f32> {
    let mut sums = vec![0.0f64; planes];
    for place in values.chunks_exact(planes) {
        sums.iter_mut().zip(place).for_each(|(sum, v)| *sum += f64::from(*v));
    }
    let n = (values.len() / planes).max(1) as f64;
    sums.iter().map(|sum| (sum / n) as f32).collect()
}

/// The mean of every `STRIDE x STRIDE` pixels.
pub fn coarse(values: &[f32], [height, width]: [usize; 2]) -> Vec<f32> {
    let [rows, columns] = [height / STRIDE, width / STRIDE];
    let mut out = vec![0.0; rows * columns];
    for y in 0..rows * STRIDE {
        for x in 0..columns * STRIDE {
            out[y / STRIDE * columns + x / STRIDE] += values[y * width + x] / (STRIDE * STRIDE) as f32;
        }
    }
    out
}

/// The last layers: three convolutions, which make a defect logit of the planes.
#[derive(Clone, Debug, PartialEq)]
pub struct Layers {
    /// Weight and bias of each.
    convs: Vec<[Vec<f32>; 2]>,
}

impl Layers {
    /// From a pre-trained network's parameters.
    ///
    /// # Errors
    /// A sentence that names the parameter that is missing or of another shape.
    pub fn new(weights: &Weights) -> Result<Self, String> {
        let widths = [INPUTS, HIDDEN, HIDDEN, 1];
        let conv = |(i, pair): (usize, &[usize])| {
            let read = |what: &str, shape: &[usize]| {
                let name = format!("comparison.convs.{i}.{what}");
                match weights.get(&name) {
                    Some(array) if array.shape == shape => Ok(array.values.clone()),
                    Some(array) => {
                        Err(format!("parameter {name} has shape {:?}, not {shape:?}", array.shape))
                    }
                    None => Err(format!("parameter {name} is missing")),
                }
            };
            Ok([read("weight", &[9 * pair[0], pair[1]])?, read("bias", &[pair[1]])?])
        };
        Ok(Self { convs: widths.windows(2).enumerate().map(conv).collect::<Result<_, String>>()? })
    }

    /// The defect logit of every place, `[H/4, W/4]`, from `[H/4, W/4, INPUTS]`.
    pub fn forward(&self, planes: Vec<f32>, [height, width]: [usize; 2]) -> Vec<f32> {
        let mut x = planes;
        for (i, [weight, bias]) in self.convs.iter().enumerate() {
            let (in_channels, out_channels) = (x.len() / (height * width), bias.len());
            let shape = ConvShape { batch: 1, height, width, in_channels, out_channels, stride: 1 };
            let mut y = vec![0.0; shape.output_len()];
            conv3x3_forward(shape, Precision::F32, Input::Map(&x), weight, Some(bias), &mut y);
            if i + 1 < self.convs.len() {
                y.iter_mut().for_each(|v| *v = gelu(*v));
            }
            x = y;
        }
        x
    }
}

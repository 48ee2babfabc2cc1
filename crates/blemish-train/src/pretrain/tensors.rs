//! What the comparisons of pre-training need of tensors and of their values.

use burn::tensor::{Device, Int, Tensor, TensorData};

/// A channel's unit is at least this share of the root mean square of all channels' deviations.
const LEAST_UNIT: f64 = 0.3;

/// Indices, `[N]`.
pub fn ids(ids: &[i64], device: &Device) -> Tensor<1, Int> {
    Tensor::from_data(TensorData::from(ids), device)
}

/// The places `chosen` of `[B, h, w, C]` taken as `[B h w, C]`.
pub fn select(map: &Tensor<4>, chosen: &[i64]) -> Tensor<2> {
    let [b, h, w, c] = map.dims();
    map.clone().reshape([b * h * w, c]).select(0, ids(chosen, &map.device()))
}

/// The values, without a gradient.
pub fn read<const D: usize>(x: &Tensor<D>) -> Vec<f32> {
    x.clone().into_data().try_into_vec().unwrap_or_default()
}

/// The value of a tensor that has one.
pub fn value(x: &Tensor<1>) -> f64 {
    read(x).first().map_or(f64::NAN, |v| f64::from(*v))
}

/// The standard deviation of each of `channels` over vectors, at least 0.3 of their root mean square: what the memory of features takes
/// a level's channels in units of.
pub fn deviations(vectors: &[f32], channels: usize) -> Vec<f64> {
    let count = (vectors.len() / channels) as f64;
    let mean_of = |of: &dyn Fn(usize, f64) -> f64| {
        let mut sums = vec![0.0f64; channels];
        for vector in vectors.chunks_exact(channels) {
            sums.iter_mut().enumerate().for_each(|(i, sum)| *sum += of(i, f64::from(vector[i])));
        }
        sums.into_iter().map(|sum| sum / count).collect::<Vec<f64>>()
    };
    let mean = mean_of(&|_, v| v);
    let variance = mean_of(&|i, v| (v - mean[i]).powi(2));
    let least = LEAST_UNIT * (variance.iter().sum::<f64>() / channels as f64).sqrt().max(1e-6);
    variance.into_iter().map(|v| v.sqrt().max(least)).collect()
}

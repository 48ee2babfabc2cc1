//! What the comparisons of pre-training need of tensors.

use burn::tensor::{Device, Int, Tensor, TensorData};

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

//! The tensor operations that the model is made of: one function each, two implementations.
//!
//! On the CPU each is one fused operation with a hand-written backward on [`blemish::kernels`]; on any other
//! device it is composed of burn's own operations, which differentiate themselves. The composed form
//! ([`composed`]) is also the oracle that the fused gradients are tested against.
//!
//! Feature maps are channels-last, `[B, H, W, C]`, so that a map and its tokens `[B, H*W, C]` are the same
//! memory.

pub mod composed;
mod fused;
mod precision;

use burn::tensor::Tensor;

pub use self::precision::with_precision;

/// `x W + b` over the last axis.
///
/// # Shapes
/// `x: [.., in]`, `weight: [in, out]`, `bias: [out]` -> `[.., out]`
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<D> {
    if fused::on_cpu(&x) { fused::linear(x, weight, bias) } else { composed::linear(x, weight, bias) }
}

/// [`linear`] of [`gelu`].
pub fn gelu_linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<D> {
    if fused::on_cpu(&x) {
        fused::gelu_linear(x, weight, bias)
    } else {
        composed::gelu_linear(x, weight, bias)
    }
}

/// 3 x 3 convolution, padding 1, stride 1 or 2.
///
/// # Shapes
/// `x: [B, H, W, C_in]`, `weight: [9 * C_in, C_out]` in the order (row, column, channel), `bias: [C_out]`
/// -> `[B, ceil(H / stride), ceil(W / stride), C_out]`
pub fn conv3x3(x: Tensor<4>, weight: Tensor<2>, bias: Tensor<1>, stride: usize) -> Tensor<4> {
    if fused::on_cpu(&x) {
        fused::conv3x3(x, weight, bias, stride)
    } else {
        composed::conv3x3(x, weight, bias, stride)
    }
}

/// 3 x 3 convolution of stride 1 over [`pixel_shuffle`] of `up` and `level`, side by side.
///
/// # Shapes
/// `up: [B, H / 2, W / 2, 4 C]`, `level: [B, H, W, C]`, `weight: [9 * 2 C, C_out]`, `bias: [C_out]`
/// -> `[B, H, W, C_out]`
pub fn joined_conv3x3(up: Tensor<4>, level: Tensor<4>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<4> {
    if fused::on_cpu(&up) {
        fused::joined_conv3x3(up, level, weight, bias)
    } else {
        composed::joined_conv3x3(up, level, weight, bias)
    }
}

/// Doubles height and width by spreading channels (Shi et al. 2016): output channel `c` at
/// `(2y + dy, 2x + dx)` is input channel `(2 dy + dx) C + c` at `(y, x)`.
///
/// # Shapes
/// `[B, H, W, 4 C]` -> `[B, 2 H, 2 W, C]`
pub fn pixel_shuffle(x: Tensor<4>) -> Tensor<4> {
    if fused::on_cpu(&x) { fused::pixel_shuffle(x) } else { composed::pixel_shuffle(x) }
}

/// Exact GELU, `x Phi(x)` (Hendrycks and Gimpel 2016).
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if fused::on_cpu(&x) { fused::gelu(x) } else { composed::gelu(x) }
}

/// Dynamic tanh, `gamma tanh(alpha x) + beta` over the last axis (Zhu et al. 2025, equation 1).
///
/// # Shapes
/// `x: [.., D]`, `alpha: [1]`, `gamma, beta: [D]` -> `[.., D]`
pub fn dyt<const D: usize>(x: Tensor<D>, alpha: Tensor<1>, gamma: Tensor<1>, beta: Tensor<1>) -> Tensor<D> {
    if fused::on_cpu(&x) { fused::dyt(x, alpha, gamma, beta) } else { composed::dyt(x, alpha, gamma, beta) }
}

/// Layer normalisation over the last axis, variance floor 1e-5 (Ba et al. 2016).
///
/// # Shapes
/// `x: [.., D]`, `gamma, beta: [D]` -> `[.., D]`
pub fn layer_norm<const D: usize>(x: Tensor<D>, gamma: Tensor<1>, beta: Tensor<1>) -> Tensor<D> {
    if fused::on_cpu(&x) { fused::layer_norm(x, gamma, beta) } else { composed::layer_norm(x, gamma, beta) }
}

/// Multi-head self-attention on packed projections (Vaswani et al. 2017, equation 1).
///
/// # Shapes
/// `qkv: [B, N, 3 D]` (queries, keys, values side by side) -> `[B, N, D]`
pub fn self_attention(qkv: Tensor<3>, num_heads: usize) -> Tensor<3> {
    if fused::on_cpu(&qkv) {
        fused::self_attention(qkv, num_heads)
    } else {
        composed::self_attention(qkv, num_heads)
    }
}

/// Multi-head cross-attention.
///
/// # Shapes
/// `q: [B, N, D]`, `kv: [B, M, 2 D]` (keys, values side by side) -> `[B, N, D]`
pub fn cross_attention(q: Tensor<3>, kv: Tensor<3>, num_heads: usize) -> Tensor<3> {
    if fused::on_cpu(&q) {
        fused::cross_attention(q, kv, num_heads)
    } else {
        composed::cross_attention(q, kv, num_heads)
    }
}

/// Blur with a separable kernel, valid windows only.
///
/// # Shapes
/// `x: [P, H, W]`, `kernel: K` values -> `[P, H - K + 1, W - K + 1]`
pub fn blur_valid(x: Tensor<3>, kernel: &[f32]) -> Tensor<3> {
    if fused::on_cpu(&x) { fused::blur_valid(x, kernel) } else { composed::blur_valid(x, kernel) }
}

/// The mean of `(x - y)^2`, `[1]`.
pub fn squared_error<const D: usize>(x: Tensor<D>, y: Tensor<D>) -> Tensor<1> {
    if fused::on_cpu(&x) { fused::squared_error(x, y) } else { composed::squared_error(x, y) }
}

/// The mean focal loss of a logit, `[1]`: see [`crate::loss::focal_with_logits`]. The target has no gradient.
pub fn focal<const D: usize>(logit: Tensor<D>, target: Tensor<D>, gamma: f64) -> Tensor<1> {
    if fused::on_cpu(&logit) {
        fused::focal(logit, target, gamma)
    } else {
        composed::focal(logit, target, gamma)
    }
}

//! Every operation composed of burn's own: the path of GPUs, and the oracle of the fused one.
//!
//! Shapes are those of the functions of the same names in [`super`].

use burn::tensor::activation::{log_sigmoid, sigmoid, softmax};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, activation, module};

/// See [`super::linear`].
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<D> {
    let mut dims = x.dims();
    let [inputs, outputs] = weight.dims();
    let rows = dims.iter().product::<usize>() / inputs;
    dims[D - 1] = outputs;
    (x.reshape([rows, inputs]).matmul(weight) + bias.unsqueeze()).reshape(dims)
}

/// See [`super::gelu_linear`].
pub fn gelu_linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<D> {
    linear(gelu(x), weight, bias)
}

/// See [`super::conv3x3`].
pub fn conv3x3(x: Tensor<4>, weight: Tensor<2>, bias: Tensor<1>, stride: usize) -> Tensor<4> {
    let [_, _, _, inputs] = x.dims();
    let [_, outputs] = weight.dims();
    let weight = weight.reshape([3, 3, inputs, outputs]).permute([3, 2, 0, 1]);
    let options = ConvOptions::new([stride, stride], [1, 1], [1, 1], 1);
    module::conv2d(x.permute([0, 3, 1, 2]), weight, Some(bias), options).permute([0, 2, 3, 1])
}

/// See [`super::joined_conv3x3`].
pub fn joined_conv3x3(up: Tensor<4>, level: Tensor<4>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<4> {
    conv3x3(Tensor::cat(vec![pixel_shuffle(up), level], 3), weight, bias, 1)
}

/// See [`super::pixel_shuffle`].
pub fn pixel_shuffle(x: Tensor<4>) -> Tensor<4> {
    let [b, h, w, c4] = x.dims();
    let c = c4 / 4;
    x.reshape([b, h, w, 2, 2, c]).permute([0, 1, 3, 2, 4, 5]).reshape([b, 2 * h, 2 * w, c])
}

/// See [`super::gelu`].
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::gelu(x)
}

/// See [`super::dyt`].
pub fn dyt<const D: usize>(x: Tensor<D>, alpha: Tensor<1>, gamma: Tensor<1>, beta: Tensor<1>) -> Tensor<D> {
    (x * alpha.unsqueeze()).tanh() * gamma.unsqueeze() + beta.unsqueeze()
}

/// See [`super::layer_norm`].
pub fn layer_norm<const D: usize>(x: Tensor<D>, gamma: Tensor<1>, beta: Tensor<1>) -> Tensor<D> {
    let centred = x.clone() - x.mean_dim(D - 1);
    let variance = centred.clone().powf_scalar(2.0).mean_dim(D - 1);
    centred / (variance + 1e-5).sqrt() * gamma.unsqueeze() + beta.unsqueeze()
}

/// See [`super::self_attention`].
pub fn self_attention(qkv: Tensor<3>, num_heads: usize) -> Tensor<3> {
    let [_, _, d3] = qkv.dims();
    let d = d3 / 3;
    let q = qkv.clone().narrow(2, 0, d);
    cross_attention(q, qkv.narrow(2, d, 2 * d), num_heads)
}

/// See [`super::cross_attention`].
pub fn cross_attention(q: Tensor<3>, kv: Tensor<3>, num_heads: usize) -> Tensor<3> {
    let [b, n, d] = q.dims();
    let [_, m, _] = kv.dims();
    let head = d / num_heads;
    let split = |x: Tensor<3>, rows| x.reshape([b, rows, num_heads, head]).swap_dims(1, 2);
    let k = split(kv.clone().narrow(2, 0, d), m);
    let v = split(kv.narrow(2, d, d), m);
    let scores = split(q, n).matmul(k.swap_dims(2, 3)) / (head as f64).sqrt();
    softmax(scores, 3).matmul(v).swap_dims(1, 2).reshape([b, n, d])
}

/// See [`super::blur_valid`].
pub fn blur_valid(x: Tensor<3>, kernel: &[f32]) -> Tensor<3> {
    let [p, h, w] = x.dims();
    let k = kernel.len();
    let weight = Tensor::<1>::from_floats(kernel, &x.device());
    let options = || ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
    let x = x.reshape([p, 1, h, w]);
    let x = module::conv2d(x, weight.clone().reshape([1, 1, k, 1]), None, options());
    module::conv2d(x, weight.reshape([1, 1, 1, k]), None, options()).reshape([p, h - k + 1, w - k + 1])
}

/// See [`super::squared_error`].
pub fn squared_error<const D: usize>(x: Tensor<D>, y: Tensor<D>) -> Tensor<1> {
    let difference = x - y;
    (difference.clone() * difference).mean()
}

/// See [`super::focal`].
pub fn focal<const D: usize>(logit: Tensor<D>, target: Tensor<D>, gamma: f64) -> Tensor<1> {
    // Towards the truth: positive where the logit has the right sign.
    let margin = logit * (target.detach() * 2.0 - 1.0);
    let entropy = log_sigmoid(margin.clone()).neg();
    if gamma == 0.0 {
        return entropy.mean();
    }
    (sigmoid(margin.neg()).powf_scalar(gamma as f32) * entropy).mean()
}

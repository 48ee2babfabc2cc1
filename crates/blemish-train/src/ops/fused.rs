//! Every operation fused for the CPU: one forward and one hand-written backward on plain slices, hung into
//! burn's autodiff graph.
//!
//! Shapes are those of the functions of the same names in [`super`].

use std::fmt::Debug;
use std::sync::Arc;

use blemish::kernels;
use blemish::kernels::activation::{gelu_backward, gelu_forward};
use blemish::kernels::attention::{
    AttentionGradients, AttentionShape, Rows, attention_backward, attention_forward,
};
use blemish::kernels::buffers::{give, take};
use blemish::kernels::conv::{ConvShape, Input as ConvInput, conv3x3_forward};
use blemish::kernels::conv_gradient::{
    conv3x3_backward_input, conv3x3_backward_joined, conv3x3_backward_weight,
};
use blemish::kernels::dyt::{ScaleGradients, dyt_backward, dyt_forward};
use blemish::kernels::linear::{LinearShape, linear_backward_input, linear_backward_weight, linear_forward};
use blemish::kernels::losses::{focal_backward, focal_forward, squared_backward, squared_forward};
use blemish::kernels::norm::{layer_norm_backward, layer_norm_forward};
use blemish::kernels::precision::Precision;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, DispatchDevice, Flex, TensorMetadata};
use burn::tensor::{Bytes, DType, Device, Shape, Tensor};

use super::precision::precision;

/// The variance floor of layer normalisation.
const EPS: f32 = 1e-5;

type Tracked = FloatTensor<Autodiff<Flex>>;

/// Whether `x` lives on the CPU, where the fused operations run.
pub(crate) fn on_cpu<const D: usize>(x: &Tensor<D>) -> bool {
    is_cpu(&x.device())
}

/// Whether a device is the CPU.
fn is_cpu(device: &Device) -> bool {
    match device.as_dispatch() {
        DispatchDevice::Flex(_) => true,
        DispatchDevice::Autodiff(device) => matches!(**device, DispatchDevice::Flex(_)),
        #[cfg(any(feature = "wgpu", feature = "cuda"))]
        _ => false,
    }
}

/// An operation of `N` inputs. Buffers are row-major and contiguous; large results lie in [buffers](take), every element
/// of which is written.
trait Fused<const N: usize>: Clone + Debug + Send + Sync + 'static {
    /// The output, and what the backward pass wants to keep of the forward pass.
    fn forward(&self, inputs: [&[f32]; N]) -> (Vec<f32>, Vec<f32>);

    /// The gradient of every input; one that is not `wanted` may be left empty.
    fn backward(&self, inputs: [&[f32]; N], kept: &[f32], grad: &[f32], wanted: [bool; N]) -> [Vec<f32>; N];
}

/// Runs `op`, tracked where any input is.
fn run<const N: usize, const D: usize, O: Fused<N>>(
    op: O,
    inputs: [Input; N],
    shape: [usize; D],
) -> Tensor<D> {
    if inputs.iter().all(|input| matches!(input, Input::Plain(_))) {
        let plain = inputs.map(|input| contiguous(input.primitive()));
        let (output, _) = op.forward(plain.each_ref().map(slice));
        return Tensor::from_primitive::<Flex>(tensor(output, Shape::from(shape)));
    }
    let tracked = inputs.map(Input::tracked);
    let nodes = tracked.each_ref().map(|t| t.node());
    let plain = tracked.map(|t| contiguous(t.into_primitive()));
    let (output, kept) = op.forward(plain.each_ref().map(slice));
    let output = tensor(output, Shape::from(shape));
    let output = match Step(op.clone()).prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(State { inputs: plain, kept: Arc::new(kept) }, output),
        OpsKind::UnTracked(prep) => prep.finish(output),
    };
    Tensor::from_primitive::<Autodiff<Flex>>(output)
}

/// An input's primitive, with or without a place in the graph.
enum Input {
    Plain(FlexTensor),
    Tracked(Tracked),
}

impl Input {
    fn primitive(self) -> FlexTensor {
        match self {
            Self::Plain(primitive) => primitive,
            Self::Tracked(tracked) => tracked.into_primitive(),
        }
    }

    fn tracked(self) -> Tracked {
        match self {
            Self::Plain(primitive) => Tracked::new(primitive),
            Self::Tracked(tracked) => tracked,
        }
    }
}

impl<const D: usize> From<Tensor<D>> for Input {
    fn from(tensor: Tensor<D>) -> Self {
        const ON_CPU: &str = "the caller has checked that the tensor is on the CPU";
        #[expect(clippy::expect_used, reason = "`on_cpu` was asked before")]
        if tensor.is_autodiff() {
            Self::Tracked(tensor.try_into_primitive::<Autodiff<Flex>>().expect(ON_CPU))
        } else {
            Self::Plain(tensor.try_into_primitive::<Flex>().expect(ON_CPU))
        }
    }
}

fn contiguous(primitive: FlexTensor) -> FlexTensor {
    if primitive.as_slice::<f32>().is_some() { primitive } else { primitive.to_contiguous() }
}

fn slice(primitive: &FlexTensor) -> &[f32] {
    primitive.as_slice().unwrap_or_default()
}

fn tensor(values: Vec<f32>, shape: Shape) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape), DType::F32)
}

/// Gives the buffer of `tensor` back, unless something else still reads it.
fn give_tensor(tensor: FlexTensor) {
    let whole = tensor.bytes().len() == tensor.shape().num_elements() * size_of::<f32>();
    if whole
        && tensor.is_unique()
        && let Ok(buffer) = tensor.into_data().try_into_vec()
    {
        give(buffer);
    }
}

#[derive(Clone, Debug)]
struct Step<O>(O);

#[derive(Clone, Debug)]
struct State<const N: usize> {
    inputs: [FlexTensor; N],
    kept: Arc<Vec<f32>>,
}

impl<const N: usize, O: Fused<N>> Backward<Flex, N> for Step<O> {
    type State = State<N>;

    fn backward(self, ops: Ops<State<N>, N>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad = contiguous(grads.consume::<Flex>(&ops.node));
        let State { inputs, kept } = ops.state;
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let results = self.0.backward(inputs.each_ref().map(slice), &kept, slice(&grad), wanted);
        give_tensor(grad);
        if let Ok(kept) = Arc::try_unwrap(kept) {
            give(kept);
        }
        for ((parent, values), input) in ops.parents.into_iter().zip(results).zip(inputs) {
            let shape = input.shape();
            give_tensor(input);
            if let Some(parent) = parent {
                grads.register::<Flex>(parent.id, tensor(values, shape));
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Linear(LinearShape, Precision);

impl Fused<3> for Linear {
    fn forward(&self, [x, w, bias]: [&[f32]; 3]) -> (Vec<f32>, Vec<f32>) {
        let mut y = take(self.0.rows * self.0.outputs);
        linear_forward(self.0, self.1, x, w, Some(bias), &mut y);
        (y, Vec::new())
    }

    fn backward(
        &self,
        [x, w, bias]: [&[f32]; 3],
        _kept: &[f32],
        dy: &[f32],
        wanted: [bool; 3],
    ) -> [Vec<f32>; 3] {
        let (mut dx, mut dw, mut db) = (Vec::new(), vec![0.0; w.len()], vec![0.0; bias.len()]);
        if wanted[0] {
            dx = take(x.len());
            linear_backward_input(self.0, self.1, w, dy, &mut dx);
        }
        linear_backward_weight(self.0, self.1, x, dy, &mut dw, Some(&mut db));
        [dx, dw, db]
    }
}

pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<D> {
    let (shape, sizes) = linear_shape(&x, &weight);
    run(Linear(sizes, precision()), [x.into(), weight.into(), bias.into()], shape)
}

/// GELU and a linear layer. GELU's values are made again for the backward pass: kept, they would be as large as the rest of
/// the layer.
#[derive(Clone, Copy, Debug)]
struct GeluLinear(LinearShape, Precision);

impl Fused<3> for GeluLinear {
    fn forward(&self, [x, w, bias]: [&[f32]; 3]) -> (Vec<f32>, Vec<f32>) {
        let mut active = take(x.len());
        gelu_forward(x, &mut active);
        let output = Linear(self.0, self.1).forward([&active, w, bias]);
        give(active);
        output
    }

    fn backward(
        &self,
        [x, w, bias]: [&[f32]; 3],
        kept: &[f32],
        dy: &[f32],
        wanted: [bool; 3],
    ) -> [Vec<f32>; 3] {
        let mut active = take(x.len());
        gelu_forward(x, &mut active);
        let [d_active, dw, db] = Linear(self.0, self.1).backward([&active, w, bias], kept, dy, wanted);
        if wanted[0] {
            gelu_backward(x, &d_active, &mut active);
            give(d_active);
        }
        [active, dw, db]
    }
}

pub fn gelu_linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<D> {
    let (shape, sizes) = linear_shape(&x, &weight);
    run(GeluLinear(sizes, precision()), [x.into(), weight.into(), bias.into()], shape)
}

/// The shape of a linear layer's output, and its sizes.
fn linear_shape<const D: usize>(x: &Tensor<D>, weight: &Tensor<2>) -> ([usize; D], LinearShape) {
    let mut shape = x.dims();
    let [inputs, outputs] = weight.dims();
    let rows = shape.iter().product::<usize>() / inputs;
    shape[D - 1] = outputs;
    (shape, LinearShape { rows, inputs, outputs })
}

#[derive(Clone, Copy, Debug)]
struct Conv(ConvShape, Precision);

impl Fused<3> for Conv {
    fn forward(&self, [x, w, bias]: [&[f32]; 3]) -> (Vec<f32>, Vec<f32>) {
        let mut y = take(self.0.output_len());
        conv3x3_forward(self.0, self.1, ConvInput::Map(x), w, Some(bias), &mut y);
        (y, Vec::new())
    }

    fn backward(
        &self,
        [x, w, bias]: [&[f32]; 3],
        _kept: &[f32],
        dy: &[f32],
        wanted: [bool; 3],
    ) -> [Vec<f32>; 3] {
        let (mut dx, mut dw, mut db) = (Vec::new(), vec![0.0; w.len()], vec![0.0; bias.len()]);
        if wanted[0] {
            dx = take(x.len());
            conv3x3_backward_input(self.0, self.1, w, dy, &mut dx);
        }
        conv3x3_backward_weight(self.0, self.1, ConvInput::Map(x), dy, &mut dw, Some(&mut db));
        [dx, dw, db]
    }
}

pub fn conv3x3(x: Tensor<4>, weight: Tensor<2>, bias: Tensor<1>, stride: usize) -> Tensor<4> {
    let [batch, height, width, in_channels] = x.dims();
    let [_, out_channels] = weight.dims();
    let shape = ConvShape { batch, height, width, in_channels, out_channels, stride };
    let output = [batch, shape.out_height(), shape.out_width(), out_channels];
    run(Conv(shape, precision()), [x.into(), weight.into(), bias.into()], output)
}

#[derive(Clone, Copy, Debug)]
struct JoinedConv(ConvShape, Precision);

impl Fused<4> for JoinedConv {
    fn forward(&self, [up, level, w, bias]: [&[f32]; 4]) -> (Vec<f32>, Vec<f32>) {
        let mut y = take(self.0.output_len());
        conv3x3_forward(self.0, self.1, ConvInput::Joined { up, level }, w, Some(bias), &mut y);
        (y, Vec::new())
    }

    fn backward(
        &self,
        [up, level, w, bias]: [&[f32]; 4],
        _kept: &[f32],
        dy: &[f32],
        _wanted: [bool; 4],
    ) -> [Vec<f32>; 4] {
        let (mut d_up, mut d_level) = (take(up.len()), take(level.len()));
        let (mut dw, mut db) = (vec![0.0; w.len()], vec![0.0; bias.len()]);
        conv3x3_backward_joined(self.0, self.1, w, dy, &mut d_up, &mut d_level);
        conv3x3_backward_weight(self.0, self.1, ConvInput::Joined { up, level }, dy, &mut dw, Some(&mut db));
        [d_up, d_level, dw, db]
    }
}

pub fn joined_conv3x3(up: Tensor<4>, level: Tensor<4>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<4> {
    let [batch, height, width, channels] = level.dims();
    let [_, out_channels] = weight.dims();
    let shape = ConvShape { batch, height, width, in_channels: 2 * channels, out_channels, stride: 1 };
    let inputs = [up.into(), level.into(), weight.into(), bias.into()];
    run(JoinedConv(shape, precision()), inputs, [batch, height, width, out_channels])
}

#[derive(Clone, Copy, Debug)]
struct PixelShuffle {
    width: usize,
    channels: usize,
}

impl Fused<1> for PixelShuffle {
    fn forward(&self, [x]: [&[f32]; 1]) -> (Vec<f32>, Vec<f32>) {
        let mut y = take(x.len());
        kernels::pixel_shuffle::pixel_shuffle(x, &mut y, self.width, self.channels);
        (y, Vec::new())
    }

    fn backward(&self, [x]: [&[f32]; 1], _kept: &[f32], dy: &[f32], _wanted: [bool; 1]) -> [Vec<f32>; 1] {
        let mut dx = take(x.len());
        kernels::pixel_shuffle::pixel_unshuffle(dy, &mut dx, self.width, self.channels);
        [dx]
    }
}

pub fn pixel_shuffle(x: Tensor<4>) -> Tensor<4> {
    let [b, h, w, c4] = x.dims();
    let c = c4 / 4;
    run(PixelShuffle { width: w, channels: c }, [x.into()], [b, 2 * h, 2 * w, c])
}

#[derive(Clone, Copy, Debug)]
struct Gelu;

impl Fused<1> for Gelu {
    fn forward(&self, [x]: [&[f32]; 1]) -> (Vec<f32>, Vec<f32>) {
        let mut y = take(x.len());
        gelu_forward(x, &mut y);
        (y, Vec::new())
    }

    fn backward(&self, [x]: [&[f32]; 1], _kept: &[f32], dy: &[f32], _wanted: [bool; 1]) -> [Vec<f32>; 1] {
        let mut dx = take(x.len());
        gelu_backward(x, dy, &mut dx);
        [dx]
    }
}

pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let shape = x.dims();
    run(Gelu, [x.into()], shape)
}

#[derive(Clone, Copy, Debug)]
struct DyT;

impl Fused<4> for DyT {
    fn forward(&self, [x, alpha, gamma, beta]: [&[f32]; 4]) -> (Vec<f32>, Vec<f32>) {
        let mut y = take(x.len());
        dyt_forward(x, alpha[0], gamma, beta, &mut y);
        (y, Vec::new())
    }

    fn backward(
        &self,
        [x, alpha, gamma, beta]: [&[f32]; 4],
        _kept: &[f32],
        dy: &[f32],
        _wanted: [bool; 4],
    ) -> [Vec<f32>; 4] {
        let (mut dx, mut dgamma, mut dbeta) = (take(x.len()), vec![0.0; gamma.len()], vec![0.0; beta.len()]);
        let gradients = ScaleGradients { gamma: &mut dgamma, beta: &mut dbeta };
        let dalpha = dyt_backward(x, alpha[0], gamma, dy, &mut dx, gradients);
        [dx, vec![dalpha], dgamma, dbeta]
    }
}

pub fn dyt<const D: usize>(x: Tensor<D>, alpha: Tensor<1>, gamma: Tensor<1>, beta: Tensor<1>) -> Tensor<D> {
    let shape = x.dims();
    run(DyT, [x.into(), alpha.into(), gamma.into(), beta.into()], shape)
}

#[derive(Clone, Copy, Debug)]
struct LayerNorm;

impl Fused<3> for LayerNorm {
    fn forward(&self, [x, gamma, beta]: [&[f32]; 3]) -> (Vec<f32>, Vec<f32>) {
        let mut y = take(x.len());
        layer_norm_forward(x, gamma, beta, EPS, &mut y);
        (y, Vec::new())
    }

    fn backward(
        &self,
        [x, gamma, beta]: [&[f32]; 3],
        _kept: &[f32],
        dy: &[f32],
        _wanted: [bool; 3],
    ) -> [Vec<f32>; 3] {
        let (mut dx, mut dgamma, mut dbeta) = (take(x.len()), vec![0.0; gamma.len()], vec![0.0; beta.len()]);
        let gradients = ScaleGradients { gamma: &mut dgamma, beta: &mut dbeta };
        layer_norm_backward(x, gamma, EPS, dy, &mut dx, gradients);
        [dx, dgamma, dbeta]
    }
}

pub fn layer_norm<const D: usize>(x: Tensor<D>, gamma: Tensor<1>, beta: Tensor<1>) -> Tensor<D> {
    let shape = x.dims();
    run(LayerNorm, [x.into(), gamma.into(), beta.into()], shape)
}

#[derive(Clone, Copy, Debug)]
struct SelfAttention(AttentionShape);

/// The output, and the rows' log-sums.
fn attend(shape: AttentionShape, qkv: [Rows<'_>; 3]) -> (Vec<f32>, Vec<f32>) {
    let mut out = take(shape.output_len());
    let mut log_sums = take(shape.batch * shape.queries * shape.heads);
    attention_forward(shape, qkv, &mut out, &mut log_sums);
    (out, log_sums)
}

impl Fused<1> for SelfAttention {
    fn forward(&self, [qkv]: [&[f32]; 1]) -> (Vec<f32>, Vec<f32>) {
        attend(self.0, Rows::packed(qkv, self.0.width()))
    }

    fn backward(&self, [qkv]: [&[f32]; 1], kept: &[f32], dy: &[f32], _wanted: [bool; 1]) -> [Vec<f32>; 1] {
        let mut dqkv = take(qkv.len());
        let rows = Rows::packed(qkv, self.0.width());
        attention_backward(self.0, rows, kept, dy, AttentionGradients::Packed(&mut dqkv));
        [dqkv]
    }
}

pub fn self_attention(qkv: Tensor<3>, num_heads: usize) -> Tensor<3> {
    let [batch, n, d3] = qkv.dims();
    let shape = attention_shape([batch, n, n, d3 / 3], num_heads);
    run(SelfAttention(shape), [qkv.into()], [batch, n, d3 / 3])
}

fn attention_shape([batch, queries, keys, width]: [usize; 4], heads: usize) -> AttentionShape {
    let head_dim = width / heads;
    let scale = 1.0 / (head_dim as f32).sqrt();
    AttentionShape { batch, heads, head_dim, queries, keys, scale, precision: precision() }
}

#[derive(Clone, Copy, Debug)]
struct CrossAttention(AttentionShape);

impl CrossAttention {
    fn rows<'a>(&self, q: &'a [f32], kv: &'a [f32]) -> [Rows<'a>; 3] {
        let d = self.0.width();
        let part = |offset| Rows { data: kv, offset, step: 2 * d };
        [Rows::contiguous(q, d), part(0), part(d)]
    }
}

impl Fused<2> for CrossAttention {
    fn forward(&self, [q, kv]: [&[f32]; 2]) -> (Vec<f32>, Vec<f32>) {
        attend(self.0, self.rows(q, kv))
    }

    fn backward(&self, [q, kv]: [&[f32]; 2], kept: &[f32], dy: &[f32], _wanted: [bool; 2]) -> [Vec<f32>; 2] {
        let d = self.0.width();
        let (mut dq, mut dk, mut dv) = (take(q.len()), take(kv.len() / 2), take(kv.len() / 2));
        let gradients = AttentionGradients::Separate([&mut dq, &mut dk, &mut dv]);
        attention_backward(self.0, self.rows(q, kv), kept, dy, gradients);
        let mut dkv = take(kv.len());
        for (dkv, (k, v)) in dkv.chunks_exact_mut(2 * d).zip(dk.chunks_exact(d).zip(dv.chunks_exact(d))) {
            dkv[..d].copy_from_slice(k);
            dkv[d..].copy_from_slice(v);
        }
        give(dk);
        give(dv);
        [dq, dkv]
    }
}

pub fn cross_attention(q: Tensor<3>, kv: Tensor<3>, num_heads: usize) -> Tensor<3> {
    let [batch, n, d] = q.dims();
    let [_, m, _] = kv.dims();
    let shape = attention_shape([batch, n, m, d], num_heads);
    run(CrossAttention(shape), [q.into(), kv.into()], [batch, n, d])
}

#[derive(Clone, Debug)]
struct Blur {
    height: usize,
    width: usize,
    kernel: Vec<f32>,
}

impl Fused<1> for Blur {
    fn forward(&self, [x]: [&[f32]; 1]) -> (Vec<f32>, Vec<f32>) {
        let border = self.kernel.len() - 1;
        let planes = x.len() / (self.height * self.width);
        let mut y = take(planes * (self.height - border) * (self.width - border));
        kernels::blur::blur_valid(x, self.height, self.width, &self.kernel, &mut y);
        (y, Vec::new())
    }

    fn backward(&self, [x]: [&[f32]; 1], _kept: &[f32], dy: &[f32], _wanted: [bool; 1]) -> [Vec<f32>; 1] {
        let mut dx = take(x.len());
        kernels::blur::blur_valid_adjoint(dy, self.height, self.width, &self.kernel, &mut dx);
        [dx]
    }
}

pub fn blur_valid(x: Tensor<3>, kernel: &[f32]) -> Tensor<3> {
    let [planes, height, width] = x.dims();
    let border = kernel.len() - 1;
    let blur = Blur { height, width, kernel: kernel.to_vec() };
    run(blur, [x.into()], [planes, height - border, width - border])
}

#[derive(Clone, Copy, Debug)]
struct SquaredError;

impl Fused<2> for SquaredError {
    fn forward(&self, [x, y]: [&[f32]; 2]) -> (Vec<f32>, Vec<f32>) {
        (vec![squared_forward(x, y)], Vec::new())
    }

    fn backward(&self, [x, y]: [&[f32]; 2], _kept: &[f32], grad: &[f32], wanted: [bool; 2]) -> [Vec<f32>; 2] {
        let gradient = |x: &[f32], y: &[f32], wanted| {
            let mut dx = take(if wanted { x.len() } else { 0 });
            if wanted {
                squared_backward(x, y, grad[0], &mut dx);
            }
            dx
        };
        [gradient(x, y, wanted[0]), gradient(y, x, wanted[1])]
    }
}

pub fn squared_error<const D: usize>(x: Tensor<D>, y: Tensor<D>) -> Tensor<1> {
    run(SquaredError, [x.into(), y.into()], [1])
}

#[derive(Clone, Copy, Debug)]
struct Focal {
    gamma: f32,
}

impl Fused<2> for Focal {
    fn forward(&self, [logit, target]: [&[f32]; 2]) -> (Vec<f32>, Vec<f32>) {
        (vec![focal_forward(logit, target, self.gamma)], Vec::new())
    }

    fn backward(
        &self,
        [logit, target]: [&[f32]; 2],
        _kept: &[f32],
        grad: &[f32],
        _wanted: [bool; 2],
    ) -> [Vec<f32>; 2] {
        let mut dx = take(logit.len());
        focal_backward(logit, target, self.gamma, grad[0], &mut dx);
        [dx, Vec::new()]
    }
}

pub fn focal<const D: usize>(logit: Tensor<D>, target: Tensor<D>, gamma: f64) -> Tensor<1> {
    run(Focal { gamma: gamma as f32 }, [logit.into(), target.detach().into()], [1])
}

//! Every fused operation against the same one composed of burn's own: outputs and all gradients.

use blemish::config::Precision;
use blemish_train::ops::{self, composed};
use burn::tensor::{Tensor, TensorData};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::fixture::{assert_close, device, values};

/// Both sum in 32 bit, in another order.
const TOLERANCE: f32 = 1e-5;
/// Of factors rounded to 8 significant bits.
const TOLERANCE_BF16: f32 = 2e-2;
/// Draws of shapes for each operation.
const DRAWS: u64 = 12;

fn random<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-2.0..2.0)).collect();
    Tensor::from_data(TensorData::new(values, shape), &device())
}

/// The output of `$module::$op` and the gradients of a random functional of it, one after the other.
macro_rules! run {
    ($module:ident, $op:ident, $seed:expr, [$($input:ident: $shape:expr),+], [$($extra:expr),*]) => {{
        let mut seed = $seed;
        $(seed += 1; let $input = random($shape, seed).require_grad();)+
        let y = $module::$op($($input.clone(),)+ $($extra),*);
        let gradients = (y.clone() * random(y.dims(), seed + 1)).sum().backward();
        vec![("output", values(y)), $((stringify!($input), values($input.grad(&gradients).unwrap()))),+]
    }};
}

/// Holds the fused operation against the composed one.
macro_rules! agree {
    ($op:ident($($input:ident: $shape:expr),+ $(; $($extra:expr),+)?), $draw:expr) => {
        agree!(Precision::F32, TOLERANCE, $op($($input: $shape),+ $(; $($extra),+)?), $draw)
    };
    ($precision:expr, $tolerance:expr,
     $op:ident($($input:ident: $shape:expr),+ $(; $($extra:expr),+)?), $draw:expr) => {{
        let fused = ops::with_precision($precision, || {
            run!(ops, $op, 1000 * $draw, [$($input: $shape),+], [$($($extra),+)?])
        });
        let composed = run!(composed, $op, 1000 * $draw, [$($input: $shape),+], [$($($extra),+)?]);
        for ((part, got), (_, expected)) in fused.iter().zip(&composed) {
            let shapes = [$($shape.to_vec()),+];
            assert_close(&format!("{} {part} of {shapes:?}", stringify!($op)), got, expected, $tolerance);
        }
    }};
}

/// Calls `check` with a number to seed from and a generator of sizes.
fn draws(mut check: impl FnMut(u64, &mut dyn FnMut(usize, usize) -> usize)) {
    for draw in 0..DRAWS {
        let mut rng = ChaCha8Rng::seed_from_u64(draw);
        check(draw, &mut |least, most| rng.random_range(least..=most));
    }
}

#[test]
fn linear() {
    draws(|draw, size| {
        let (b, n, i, o) = (size(1, 3), size(1, 40), size(1, 50), size(1, 50));
        agree!(linear(x: [b, n, i], weight: [i, o], bias: [o]), draw);
    });
}

#[test]
fn conv3x3() {
    draws(|draw, size| {
        let (b, h, w, i, o) = (size(1, 3), size(1, 13), size(1, 13), size(1, 20), size(1, 20));
        let stride = size(1, 2);
        agree!(conv3x3(x: [b, h, w, i], weight: [9 * i, o], bias: [o]; stride), draw);
    });
}

#[test]
fn joined_conv3x3() {
    draws(|draw, size| {
        let (b, h, w, c, o) = (size(1, 3), size(1, 7), size(1, 7), size(1, 10), size(1, 20));
        agree!(
            joined_conv3x3(
                up: [b, h, w, 4 * c],
                level: [b, 2 * h, 2 * w, c],
                weight: [18 * c, o],
                bias: [o]
            ),
            draw
        );
    });
}

#[test]
fn bf16_is_close() {
    draws(|draw, size| {
        let mut even = |least, most| 2 * size(least, most);
        let (b, n, i, o) = (even(1, 2) / 2, even(1, 20) - 1, even(1, 25), even(1, 25));
        let (h, w, c) = (even(1, 7) - 1, even(1, 14) / 2, even(1, 5));
        let (p, t) = (Precision::Bf16, TOLERANCE_BF16);
        agree!(p, t, linear(x: [b, n, i], weight: [i, o], bias: [o]), draw);
        for stride in [1, 2] {
            agree!(p, t, conv3x3(x: [b, h, w, i], weight: [9 * i, o], bias: [o]; stride), draw);
        }
        agree!(p, t, self_attention(qkv: [b, 2 * h, 3 * o * c]; c), draw);
        agree!(p, t, cross_attention(q: [b, n, o * c], kv: [b, i, 2 * o * c]; c), draw);
        agree!(
            p,
            t,
            joined_conv3x3(
                up: [b, h, w, 4 * c],
                level: [b, 2 * h, 2 * w, c],
                weight: [18 * c, o],
                bias: [o]
            ),
            draw
        );
    });
}

#[test]
fn bf16_is_not_f32() {
    let output = |precision| {
        ops::with_precision(precision, || {
            values(ops::linear(random([3, 4], 1), random([4, 6], 2), random([6], 3)))
        })
    };
    assert_ne!(output(Precision::Bf16), output(Precision::F32));
    assert_eq!(
        values(ops::linear(random([3, 4], 1), random([4, 6], 2), random([6], 3))),
        output(Precision::F32)
    );
}

#[test]
fn pixel_shuffle() {
    draws(|draw, size| {
        let (b, h, w, c) = (size(1, 3), size(1, 9), size(1, 9), size(1, 9));
        agree!(pixel_shuffle(x: [b, h, w, 4 * c]), draw);
    });
}

#[test]
fn gelu() {
    draws(|draw, size| {
        let (b, n, d) = (size(1, 3), size(1, 30), size(1, 50));
        agree!(gelu(x: [b, n, d]), draw);
    });
}

#[test]
fn gelu_linear() {
    draws(|draw, size| {
        let (b, n, i, o) = (size(1, 3), size(1, 30), size(1, 50), size(1, 50));
        agree!(gelu_linear(x: [b, n, i], w: [i, o], bias: [o]), draw);
    });
}

#[test]
fn dyt() {
    draws(|draw, size| {
        let (b, n, d) = (size(1, 3), size(1, 30), size(1, 50));
        agree!(dyt(x: [b, n, d], alpha: [1], gamma: [d], beta: [d]), draw);
    });
}

#[test]
fn layer_norm() {
    draws(|draw, size| {
        let (b, n, d) = (size(1, 3), size(1, 30), size(4, 50));
        agree!(layer_norm(x: [b, n, d], gamma: [d], beta: [d]), draw);
    });
}

#[test]
fn self_attention() {
    draws(|draw, size| {
        let (b, n, heads, head) = (size(1, 3), size(2, 70), size(1, 4), size(1, 40));
        agree!(self_attention(qkv: [b, n, 3 * heads * head]; heads), draw);
    });
}

#[test]
fn cross_attention() {
    draws(|draw, size| {
        let (b, n, m, heads, head) = (size(1, 3), size(1, 70), size(2, 70), size(1, 4), size(1, 40));
        agree!(cross_attention(q: [b, n, heads * head], kv: [b, m, 2 * heads * head]; heads), draw);
    });
}

#[test]
fn blur_valid() {
    let kernel = values(random([11], 0));
    draws(|draw, size| {
        let (p, h, w) = (size(1, 4), size(11, 40), size(11, 40));
        agree!(blur_valid(x: [p, h, w]; &kernel), draw);
    });
}

#[test]
fn squared_error() {
    draws(|draw, size| {
        let (b, n) = (size(1, 3), size(1, 300));
        agree!(squared_error(x: [b, n], y: [b, n]), draw);
    });
}

#[test]
fn focal() {
    draws(|draw, size| {
        let shape = [size(1, 3), size(1, 30), size(1, 30), 1];
        let target = || (random(shape, draw).sign() + 1.0) * 0.5;
        for gamma in [0.0, 2.0] {
            agree!(focal(logit: shape; target(), gamma), draw);
        }
    });
}

/// Where training begins: what has a corner there has no derivative to go by.
#[test]
fn focal_of_logits_that_are_zero() {
    let target = || (random([1, 4, 4, 1], 1).sign() + 1.0) * 0.5;
    let gradient = |focal: fn(Tensor<4>, Tensor<4>, f64) -> Tensor<1>| {
        let logit = (random([1, 4, 4, 1], 2) * 0.0).detach().require_grad();
        values(logit.grad(&focal(logit.clone(), target(), 0.0).backward()).unwrap())
    };
    let (fused, composed) = (gradient(ops::focal), gradient(composed::focal));
    assert_close("focal at 0", &fused, &composed, TOLERANCE);
    // Half of a pixel's share, up or down.
    assert!(composed.iter().all(|g| (g.abs() - 0.5 / 16.0).abs() < 1e-6), "{composed:?}");
}

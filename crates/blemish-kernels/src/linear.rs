//! The linear layer `y = x W + b`, weights `[in, out]`.

use super::bf16;
use super::matmul::matmul;
use super::panels::Matrix;
use super::precision::Precision;
use super::product::Init;
use super::reduce::column_sum;

/// Sizes of a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinearShape {
    /// Rows of the input: all dimensions but the last, multiplied.
    pub rows: usize,
    /// Input width.
    pub inputs: usize,
    /// Output width.
    pub outputs: usize,
}

type MatMul = fn(&mut [f32], Matrix<'_>, Matrix<'_>, [usize; 3], Init<'_>);

impl LinearShape {
    /// The product to compute it with: bf16 numbers come in pairs.
    fn product(self, precision: Precision) -> MatMul {
        match precision.where_even(&[self.inputs, self.outputs]) {
            Precision::F32 => matmul,
            Precision::Bf16 => bf16::matmul,
        }
    }
}

/// `y = x W + b`.
///
/// # Shapes
/// - `x`: `[rows, in]`, `w`: `[in, out]`, `bias`: `[out]`
/// - `y`: `[rows, out]`
pub fn linear_forward(
    shape: LinearShape,
    precision: Precision,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let LinearShape { rows, inputs, outputs } = shape;
    let init = bias.map_or(Init::Zero, Init::Bias);
    let product = shape.product(precision);
    product(y, Matrix::rows(x, inputs), Matrix::rows(w, outputs), [rows, inputs, outputs], init);
}

/// `dx = dy Wᵀ`.
pub fn linear_backward_input(
    shape: LinearShape,
    precision: Precision,
    w: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    let LinearShape { rows, inputs, outputs } = shape;
    let w = Matrix::rows(w, outputs).transposed();
    shape.product(precision)(dx, Matrix::rows(dy, outputs), w, [rows, outputs, inputs], Init::Zero);
}

/// `dW = xᵀ dy` and `db`, the column sums of `dy`.
pub fn linear_backward_weight(
    shape: LinearShape,
    precision: Precision,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    db: Option<&mut [f32]>,
) {
    let LinearShape { rows, inputs, outputs } = shape;
    let x = Matrix::rows(x, inputs).transposed();
    shape.product(precision)(dw, x, Matrix::rows(dy, outputs), [inputs, rows, outputs], Init::Zero);
    if let Some(db) = db {
        column_sum(dy, db);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, differences, random, wide};
    use super::*;

    /// Whatever the precision, within `tolerance` of `f64`.
    fn check(shape: LinearShape, precision: Precision, tolerance: f64) {
        let LinearShape { rows, inputs, outputs } = shape;
        let (x, w, b) = (random(rows * inputs, 1), random(inputs * outputs, 2), random(outputs, 3));
        let dy = random(rows * outputs, 4);
        let plain = |x: &[f64], w: &[f64], b: &[f64]| -> Vec<f64> {
            (0..rows * outputs)
                .map(|at| {
                    let (i, j) = (at / outputs, at % outputs);
                    b[j] + (0..inputs).map(|p| x[i * inputs + p] * w[p * outputs + j]).sum::<f64>()
                })
                .collect()
        };
        let mut y = vec![0.0; dy.len()];
        linear_forward(shape, precision, &x, &w, Some(&b), &mut y);
        assert_close(&y, &plain(&wide(&x), &wide(&w), &wide(&b)), tolerance);

        let (mut dx, mut dw, mut db) = (vec![0.0; x.len()], vec![0.0; w.len()], vec![0.0; b.len()]);
        linear_backward_input(shape, precision, &w, &dy, &mut dx);
        linear_backward_weight(shape, precision, &x, &dy, &mut dw, Some(&mut db));
        assert_close(&dx, &differences(&x, &dy, |x| plain(x, &wide(&w), &wide(&b))), tolerance);
        assert_close(&dw, &differences(&w, &dy, |w| plain(&wide(&x), w, &wide(&b))), tolerance);
        assert_close(&db, &differences(&b, &dy, |b| plain(&wide(&x), &wide(&w), b)), 1e-5);
    }

    #[test]
    fn forward_and_backward_match_f64() {
        check(LinearShape { rows: 13, inputs: 7, outputs: 19 }, Precision::F32, 1e-5);
        check(LinearShape { rows: 13, inputs: 7, outputs: 19 }, Precision::Bf16, 1e-5);
    }

    #[test]
    fn bf16_is_close_to_f64() {
        check(LinearShape { rows: 13, inputs: 6, outputs: 20 }, Precision::Bf16, 1e-2);
        check(LinearShape { rows: 34, inputs: 26, outputs: 8 }, Precision::Bf16, 1e-2);
    }

    #[test]
    #[expect(clippy::unwrap_used, reason = "tests")]
    fn threads_change_no_bit_of_bf16() {
        let shape = LinearShape { rows: 601, inputs: 98, outputs: 202 };
        let (x, w, dy) = (random(601 * 98, 1), random(98 * 202, 2), random(601 * 202, 3));
        let [one, three] = [1, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
            pool.install(|| {
                linear_forward(shape, Precision::Bf16, &x, &w, None, &mut y);
                linear_backward_input(shape, Precision::Bf16, &w, &dy, &mut dx);
                linear_backward_weight(shape, Precision::Bf16, &x, &dy, &mut dw, None);
            });
            (y, dx, dw)
        });
        assert_eq!(one, three);
    }
}

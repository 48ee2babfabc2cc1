//! The linear layer `y = x W + b`, weights `[in, out]`.

use super::matmul::matmul;
use super::panels::Matrix;
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

/// `y = x W + b`.
///
/// # Shapes
/// - `x`: `[rows, in]`, `w`: `[in, out]`, `bias`: `[out]`
/// - `y`: `[rows, out]`
pub fn linear_forward(shape: LinearShape, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let LinearShape { rows, inputs, outputs } = shape;
    let init = bias.map_or(Init::Zero, Init::Bias);
    matmul(y, Matrix::rows(x, inputs), Matrix::rows(w, outputs), [rows, inputs, outputs], init);
}

/// `dx = dy Wᵀ`.
pub fn linear_backward_input(shape: LinearShape, w: &[f32], dy: &[f32], dx: &mut [f32]) {
    let LinearShape { rows, inputs, outputs } = shape;
    let w = Matrix::rows(w, outputs).transposed();
    matmul(dx, Matrix::rows(dy, outputs), w, [rows, outputs, inputs], Init::Zero);
}

/// `dW = xᵀ dy` and `db`, the column sums of `dy`.
pub fn linear_backward_weight(
    shape: LinearShape,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    db: Option<&mut [f32]>,
) {
    let LinearShape { rows, inputs, outputs } = shape;
    let x = Matrix::rows(x, inputs).transposed();
    matmul(dw, x, Matrix::rows(dy, outputs), [inputs, rows, outputs], Init::Zero);
    if let Some(db) = db {
        column_sum(dy, db);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, differences, random, wide};
    use super::*;

    #[test]
    fn forward_and_backward_match_f64() {
        let shape = LinearShape { rows: 13, inputs: 7, outputs: 19 };
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
        linear_forward(shape, &x, &w, Some(&b), &mut y);
        assert_close(&y, &plain(&wide(&x), &wide(&w), &wide(&b)), 1e-5);

        let (mut dx, mut dw, mut db) = (vec![0.0; x.len()], vec![0.0; w.len()], vec![0.0; b.len()]);
        linear_backward_input(shape, &w, &dy, &mut dx);
        linear_backward_weight(shape, &x, &dy, &mut dw, Some(&mut db));
        assert_close(&dx, &differences(&x, &dy, |x| plain(x, &wide(&w), &wide(&b))), 1e-5);
        assert_close(&dw, &differences(&w, &dy, |w| plain(&wide(&x), w, &wide(&b))), 1e-5);
        assert_close(&db, &differences(&b, &dy, |b| plain(&wide(&x), &wide(&w), b)), 1e-5);
    }
}

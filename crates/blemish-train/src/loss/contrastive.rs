//! Dense contrast between two views of the same places (van den Oord et al. 2018, equation 4; per place as in Wang et al.
//! 2021, "Dense Contrastive Learning"), and its counterpart for places that hold a defect.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};

/// Added to what must not be compared.
const NEVER: f32 = -1e4;

/// Rows of length 1; rows of zeros stay zeros.
///
/// # Shapes
/// `[P, D]` -> `[P, D]`
pub fn normalised(x: Tensor<2>) -> Tensor<2> {
    let square = (x.clone() * x.clone()).sum_dim(1);
    x / (square + 1e-12).sqrt()
}

/// The mean over both directions of `-log softmax(a b^T / temperature)` at the diagonal: row `i` of `a` must be found by
/// row `i` of `b` among all rows, and the other way round. Pairs for which `apart` is false, by row of `a` and row of
/// `b`, are no negatives of each other.
///
/// # Shapes
/// `a, b: [P, D]` of rows of length 1, `apart`: `P * P` flags -> `[1]`
pub fn info_nce(a: Tensor<2>, b: Tensor<2>, apart: &[bool], temperature: f64) -> Tensor<1> {
    let [places, _] = a.dims();
    let device = a.device();
    let skipped = apart.iter().enumerate().map(|(at, apart)| {
        let positive = at / places == at % places;
        if *apart || positive { 0.0 } else { NEVER }
    });
    let skipped = TensorData::new(skipped.collect::<Vec<f32>>(), [places, places]);
    let diagonal: Vec<i64> = (0..places).map(|i| i as i64).collect();
    let diagonal =
        Tensor::<1, Int>::from_data(TensorData::from(diagonal.as_slice()), &device).unsqueeze_dim(1);
    let similarity = a.matmul(b.transpose()) / temperature + Tensor::from_data(skipped, &device);
    let found = |similarity: Tensor<2>| log_softmax(similarity, 1).gather(1, diagonal.clone()).mean();
    (found(similarity.clone()) + found(similarity.transpose())) * -0.5
}

/// The mean of `log(1 + sum_j exp((d_i . b_j - margin) / temperature))` over the rows of `defective`, where `j` are those
/// rows of `good` for which `same` is true: what is defective must be unlike every good place of the image, as a
/// memory of good images sees it.
///
/// # Shapes
/// `defective: [Q, D]`, `good: [P, D]` of rows of length 1, `same`: `Q * P` flags -> `[1]`
pub fn repel(
    defective: Tensor<2>,
    good: Tensor<2>,
    same: &[bool],
    margin: f64,
    temperature: f64,
) -> Tensor<1> {
    let ([rows, _], [places, _]) = (defective.dims(), good.dims());
    let skipped: Vec<f32> = same.iter().map(|same| if *same { 0.0 } else { NEVER }).collect();
    let skipped = Tensor::from_data(TensorData::new(skipped, [rows, places]), &good.device());
    let excess = (defective.matmul(good.transpose()) - margin) / temperature + skipped;
    // Shifted by the largest exponent, so that nothing overflows; the 1 is an exponent of 0.
    let largest = excess.clone().max_dim(1).clamp_min(0.0).detach();
    let sum = (excess - largest.clone()).exp().sum_dim(1) + largest.clone().neg().exp();
    (sum.log() + largest).mean()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn rows(values: &[f32], columns: usize) -> Tensor<2> {
        let data = TensorData::new(values.to_vec(), [values.len() / columns, columns]);
        Tensor::from_data(data, &Device::flex().autodiff())
    }

    fn read<const D: usize>(x: Tensor<D>) -> Vec<f32> {
        x.into_data().try_into_vec().unwrap_or_default()
    }

    fn close(got: &[f32], expected: &[f64]) {
        assert_eq!(got.len(), expected.len());
        let near = |(g, e): (&f32, &f64)| (f64::from(*g) - e).abs() < 1e-5;
        assert!(got.iter().zip(expected).all(near), "{got:?}, not {expected:?}");
    }

    #[test]
    fn rows_become_unit_vectors() {
        close(&read(normalised(rows(&[3.0, 4.0, 0.0, 0.0], 2))), &[0.6, 0.8, 0.0, 0.0]);
    }

    #[test]
    fn info_nce_by_hand() {
        // Similarities [[0.6, 0.8], [0, 1]] by rows of `a`.
        let (a, b) = (rows(&[1.0, 0.0, 0.0, 1.0], 2).require_grad(), rows(&[0.6, 0.8, 0.0, 1.0], 2));
        let t = 0.5;
        let s: [[f64; 2]; 2] = [[0.6, 0.0], [0.8, 1.0]].map(|row| row.map(|v: f64| v / t));
        let lse = |x: f64, y: f64| (x.exp() + y.exp()).ln();
        let expected = 0.25
            * ((lse(s[0][0], s[0][1]) - s[0][0])
                + (lse(s[1][0], s[1][1]) - s[1][1])
                + (lse(s[0][0], s[1][0]) - s[0][0])
                + (lse(s[0][1], s[1][1]) - s[1][1]));
        let loss = info_nce(a.clone(), b, &[true; 4], t);
        close(&read(loss.clone()), &[expected]);
        // d/ds of each direction is softmax minus the diagonal, a quarter of both.
        let soft = |x: f64, y: f64| 1.0 / (1.0 + (y - x).exp());
        let g = [
            [
                soft(s[0][0], s[0][1]) - 1.0 + soft(s[0][0], s[1][0]) - 1.0,
                soft(s[0][1], s[0][0]) + soft(s[0][1], s[1][1]),
            ],
            [
                soft(s[1][0], s[1][1]) + soft(s[1][0], s[0][0]),
                soft(s[1][1], s[1][0]) - 1.0 + soft(s[1][1], s[0][1]) - 1.0,
            ],
        ];
        let b = [[0.6, 0.8], [0.0, 1.0]];
        let da = |i: usize, d: usize| 0.25 / t * (g[i][0] * b[0][d] + g[i][1] * b[1][d]);
        let got = a.grad(&loss.backward()).map(read).unwrap_or_default();
        close(&got, &[da(0, 0), da(0, 1), da(1, 0), da(1, 1)]);
    }

    #[test]
    fn pairs_that_are_not_apart_do_not_count() {
        let a = || rows(&[1.0, 0.0, 0.0, 1.0], 2);
        close(&read(info_nce(a(), rows(&[0.6, 0.8, 0.0, 1.0], 2), &[false; 4], 0.5)), &[0.0]);
    }

    #[test]
    fn repel_by_hand() {
        let defective = rows(&[1.0, 0.0], 2).require_grad();
        let good = rows(&[0.6, 0.8, 0.8, 0.6, 1.0, 0.0], 2);
        let loss = repel(defective.clone(), good, &[true, true, false], 0.5, 0.1);
        let (x, y) = ((0.6f64 - 0.5) / 0.1, (0.8f64 - 0.5) / 0.1);
        let total = 1.0 + x.exp() + y.exp();
        close(&read(loss.clone()), &[total.ln()]);
        let (p, q) = (x.exp() / total / 0.1, y.exp() / total / 0.1);
        let got = defective.grad(&loss.backward()).map(read).unwrap_or_default();
        close(&got, &[p * 0.6 + q * 0.8, p * 0.8 + q * 0.6]);
    }

    #[test]
    fn far_below_the_margin_nothing_is_left_and_nothing_overflows() {
        let (x, y) = (rows(&[1.0, 0.0], 2), rows(&[-1.0, 0.0], 2));
        close(&read(repel(x.clone(), y.clone(), &[true], 0.5, 0.01)), &[0.0]);
        close(&read(repel(x.clone(), x.clone(), &[true], 0.5, 1e-4)), &[5000.0]);
        close(&read(repel(x, y, &[false], 0.5, 0.1)), &[0.0]);
    }
}

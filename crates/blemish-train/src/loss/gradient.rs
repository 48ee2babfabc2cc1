//! Similarity of gradients (Xue et al. 2014, equations 2 to 4), which RIAD (Zavrtanik et al. 2021) compares pictures by.

use burn::tensor::Tensor;

use super::planes;

/// Keeps the similarity of flat places near 1: 170 of the paper, whose values go up to 255, for values up to 1.
const C: f64 = 170.0 / (255.0 * 255.0);

/// Similarity of the gradients' magnitudes at every valid 3 x 3 window, above 0 and at most 1; data range 1.
///
/// # Shapes
/// `[B, H, W, C]`, `[B, H, W, C]` -> `[B * C, H - 2, W - 2]`
pub fn gradient_similarity_map(a: Tensor<4>, b: Tensor<4>) -> Tensor<3> {
    let [a, b] = [a, b].map(|x| squared_magnitude(planes(x)));
    let product = (a.clone() * b.clone()).sqrt();
    (product * 2.0 + C) / (a + b + C)
}

/// Sum of the squares of Prewitt's two derivatives, `[N, H, W] -> [N, H - 2, W - 2]`.
fn squared_magnitude(x: Tensor<3>) -> Tensor<3> {
    let derivative = |along: usize, across: usize| {
        let shifted = |x: &Tensor<3>, dim: usize, by: usize| x.clone().narrow(dim, by, x.dims()[dim] - 2);
        let difference = shifted(&x, along, 2) - shifted(&x, along, 0);
        let [first, second, third] = [0, 1, 2].map(|by| shifted(&difference, across, by));
        (first + second + third) / 3.0
    };
    let [down, across] = [derivative(1, 2), derivative(2, 1)];
    down.clone() * down + across.clone() * across
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    /// A slope of `step` a pixel along the columns.
    fn slope(step: f32) -> Tensor<4> {
        let values: Vec<f32> = (0..12).map(|i| (i % 4) as f32 * step).collect();
        Tensor::from_data(TensorData::new(values, [1, 3, 4, 1]), &Device::flex())
    }

    #[test]
    fn slopes_are_as_alike_as_by_hand() {
        let similarity = |a, b| {
            let map = gradient_similarity_map(slope(a), slope(b));
            assert_eq!(map.dims(), [1, 1, 2]);
            map.into_data().try_to_vec::<f32>().unwrap_or_default()
        };
        assert!(similarity(0.3, 0.3).iter().all(|v| (v - 1.0).abs() < 1e-6));
        // Prewitt's derivative of a slope of 0.1 is 0.2, of one of 0.3 it is 0.6.
        let expected = (2.0 * 0.12 + C as f32) / (0.04 + 0.36 + C as f32);
        assert!(similarity(0.1, 0.3).iter().all(|v| (v - expected).abs() < 1e-6));
    }
}

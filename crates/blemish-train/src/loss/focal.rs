//! The loss of the defect logit.

use burn::tensor::Tensor;

use crate::ops;

/// Mean focal loss, `(1 - p)^gamma * -ln p` with `p` the probability given to the truth (Lin et al. 2017, equation 4).
/// With `gamma` 0 it is the binary cross-entropy; above, pixels that are right already count less. Never overflows.
///
/// # Shapes
/// `logit, target: [B, H, W, 1]`, targets 0 or 1 -> `[1]`
pub fn focal_with_logits(logit: Tensor<4>, target: Tensor<4>, gamma: f64) -> Tensor<1> {
    ops::focal(logit, target, gamma)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    fn loss(logits: [f32; 4], targets: [f32; 4], gamma: f64) -> f64 {
        let tensor = |values: [f32; 4]| {
            Tensor::<4>::from_data(TensorData::new(values.to_vec(), [1, 2, 2, 1]), &Device::flex())
        };
        let loss = focal_with_logits(tensor(logits), tensor(targets), gamma);
        f64::from(loss.into_data().try_to_vec::<f32>().unwrap_or_default()[0])
    }

    #[test]
    fn values_by_hand() {
        let (logits, targets) = ([0.0, 2.0, -1.0, 3.0], [1.0, 0.0, 0.0, 1.0]);
        for gamma in [0.0, 2.0] {
            let expected: f64 = logits
                .iter()
                .zip(targets)
                .map(|(&z, t)| {
                    let p = 1.0 / (1.0 + f64::exp(-f64::from(z)));
                    let p = if t == 1.0 { p } else { 1.0 - p };
                    (1.0 - p).powf(gamma) * -p.ln()
                })
                .sum::<f64>()
                / 4.0;
            assert!((loss(logits, targets, gamma) - expected).abs() < 1e-6, "{gamma}");
        }
    }

    #[test]
    fn extreme_logits_are_finite() {
        let wrong = loss([1e4, -1e4, 1e4, -1e4], [0.0, 1.0, 1.0, 0.0], 2.0);
        assert!((wrong - 5e3).abs() < 1.0, "{wrong}");
    }
}

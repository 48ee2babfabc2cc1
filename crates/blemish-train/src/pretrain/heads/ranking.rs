//! The rankings that are minimised: a defect must be further away than good photos are.

use burn::tensor::Tensor;

use super::super::retrieve::{MARGIN, SOFTNESS, defective, furthest_first, furthest_of, shortfall};
use super::super::tensors::{ids, read};
use crate::loss::softplus;

/// Of the logarithms of the distances of a photo with a defect, and of two good ones, `[3, places]`, and the share of every place of the first
/// that is defective, at least one above 0: how far defective places stay below the furthest places of both good photos; and how far the
/// furthest of them stays below the furthest place of each. `[1]` each.
pub fn ranking(logarithms: &Tensor<2>, defect: &[f32]) -> [Tensor<1>; 2] {
    let [photos, places] = logarithms.dims();
    let (values, device) = (read(logarithms), logarithms.device());
    let flat = logarithms.clone().reshape([photos * places]);
    let chosen = |at: &[i64]| flat.clone().select(0, ids(at, &device));
    let bad: Vec<i64> = defective(defect)
        .iter()
        .enumerate()
        .filter(|(_, bad)| **bad)
        .map(|(place, _)| place as i64)
        .collect();
    let count = furthest_of(places);
    let (mut furthest, mut peaks) = (Vec::new(), Vec::new());
    for photo in 1..photos {
        let mut order: Vec<usize> = (0..places).collect();
        furthest_first(&mut order, &values[photo * places..][..places]);
        furthest.extend(order[..count].iter().map(|&place| (photo * places + place) as i64));
        peaks.push((photo * places + order[0]) as i64);
    }
    let furthest = chosen(&furthest).reshape([1, count * (photos - 1)]);
    let of_places = shortfall(chosen(&bad).reshape([1, bad.len()]), furthest).mean();
    let own = chosen(&bad).max();
    let of_photos = softplus((chosen(&peaks) - own + MARGIN) / SOFTNESS).mean();
    [of_places, of_photos]
}

/// How often the first photo is further away at most than a good one, of `[3, places]`.
pub fn pairs(distances: &[f32], places: usize) -> f64 {
    let peaks = peaks(distances, places);
    let above = peaks[1..].iter().filter(|&&good| peaks[0] > good).count();
    above as f64 / (peaks.len() - 1) as f64
}

/// The most that good photos show, as a memory takes it for its unit: the mean of their largest distances, of `[3, places]`.
pub fn unit(distances: &[f32], places: usize) -> f32 {
    let good = &peaks(distances, places)[1..];
    good.iter().sum::<f32>() / good.len() as f32
}

/// The largest distance of each photo.
fn peaks(distances: &[f32], places: usize) -> Vec<f32> {
    distances.chunks_exact(places).map(|photo| photo.iter().copied().fold(f32::MIN, f32::max)).collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::super::super::retrieve::SOFT_MAXIMUM;
    use super::super::super::tensors::value;
    use super::*;

    #[test]
    fn a_defect_is_ranked_above_good_photos_by_hand() {
        // Two places; the second is defective.
        let values: Vec<f32> = vec![0.9, 0.5, 0.2, 0.6, 0.7, 0.1];
        let device = Device::flex().autodiff();
        let logarithms = Tensor::<2>::from_data(TensorData::new(values.clone(), [3, 2]), &device);
        let logarithms = logarithms.require_grad();
        let [places, photos] = ranking(&logarithms, &[0.0, 0.3]);
        let soft = |v: f64| ((v + MARGIN - 0.5) / SOFTNESS).exp().ln_1p();
        let limit = SOFT_MAXIMUM * (((0.6 / SOFT_MAXIMUM).exp() + (0.7 / SOFT_MAXIMUM).exp()) / 2.0f64).ln();
        assert!((value(&places) - soft(limit)).abs() < 1e-5);
        assert!((value(&photos) - 0.5 * (soft(0.6) + soft(0.7))).abs() < 1e-5);
        // A gradient step raises the defect and lowers what good photos show furthest, and nothing else.
        let gradients = (places + photos).backward();
        let slopes = logarithms.grad(&gradients).map(|g| read(&g)).unwrap_or_default();
        let signs: Vec<f32> = slopes.iter().map(|v| if *v == 0.0 { 0.0 } else { v.signum() }).collect();
        assert_eq!(signs, [0.0, -1.0, 0.0, 1.0, 1.0, 0.0]);
        assert_eq!((pairs(&values, 2), pairs(&[0.65, 0.0, 0.2, 0.6, 0.7, 0.1], 2)), (1.0, 0.5));
        assert!((unit(&values, 2) - 0.65).abs() < 1e-6);
    }
}

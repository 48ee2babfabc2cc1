//! What distances are measured in.

use crate::image::median;

/// How much nearer than the middle one an image may be throughout.
const NEAREST: f32 = 0.25;

/// What good images show of their places' distances to what others show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unit {
    /// The mean, over the images, of the largest.
    peak: f32,
    /// Of the images' medians the least, the middle one and the largest.
    medians: [f32; 3],
}

impl Unit {
    /// Of images: of each the distances of all its places. Where they say nothing, distances stay as they are.
    pub fn of(images: &[Vec<f32>]) -> Self {
        let largest = |distances: &Vec<f32>| distances.iter().copied().fold(0.0, f32::max);
        let peak = images.iter().map(largest).sum::<f32>() / images.len().max(1) as f32;
        let mut medians: Vec<f32> = images.iter().map(|distances| median(&mut distances.clone())).collect();
        medians.sort_unstable_by(f32::total_cmp);
        let medians = match medians.get(medians.len() / 2) {
            // Another photo of the same product can be as near as it likes.
            Some(&middle) if middle > 0.0 => {
                [medians[0].max(NEAREST * middle), middle, medians[medians.len() - 1]]
            }
            _ => [1.0; 3],
        };
        Self { peak: if peak > 0.0 { peak } else { 1.0 }, medians }
    }

    /// As [`values`](Self::values) gives it; `None` where these are no unit.
    pub fn from_values(values: &[f32]) -> Option<Self> {
        let &[peak, least, middle, most] = values else { return None };
        let is_unit = values.iter().all(|v| v.is_finite() && *v > 0.0) && least <= middle && middle <= most;
        is_unit.then_some(Self { peak, medians: [least, middle, most] })
    }

    /// The peak and the medians.
    pub fn values(&self) -> [f32; 4] {
        let [least, middle, most] = self.medians;
        [self.peak, least, middle, most]
    }

    /// Distances of an image's places in this unit: 1 is about the most that good images show. Half, in logarithms, of what all the image is
    /// nearer or further than the middle good image is taken out, as far as good images go.
    pub fn measure(&self, distances: &mut [f32]) {
        let [least, middle, most] = self.medians;
        let throughout = median(&mut distances.to_vec()).clamp(least, most) / middle;
        let factor = 1.0 / (self.peak * throughout.sqrt());
        distances.iter_mut().for_each(|v| *v *= factor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_and_medians_by_hand() {
        let unit = Unit::of(&[vec![1.0, 2.0, 9.0], vec![0.0, 0.5, 3.0], vec![4.0, 8.0, 9.0]]);
        assert_eq!(unit.values(), [7.0, 0.5, 2.0, 8.0]);
        let measured = |mut distances: Vec<f32>| {
            unit.measure(&mut distances);
            distances.into_iter().map(|v| v * 7.0).collect::<Vec<f32>>()
        };
        // As far as the middle good image, four times as far, and further than any.
        let close = |found: Vec<f32>, by_hand: [f32; 3]| {
            assert!(found.iter().zip(by_hand).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?} {by_hand:?}");
        };
        close(measured(vec![1.0, 2.0, 30.0]), [1.0, 2.0, 30.0]);
        close(measured(vec![4.0, 8.0, 30.0]), [2.0, 4.0, 15.0]);
        close(measured(vec![100.0, 100.0, 200.0]), [50.0, 50.0, 100.0]);
        // Nearer than any.
        close(measured(vec![0.0, 0.1, 1.0]), [0.0, 0.2, 2.0]);
    }

    #[test]
    fn images_that_say_nothing_leave_distances_as_they_are() {
        for unit in [Unit::of(&[]), Unit::of(&[vec![0.0; 3], vec![0.0; 3]])] {
            let mut distances = vec![0.5, 2.0, 3.0];
            unit.measure(&mut distances);
            assert_eq!(distances, [0.5, 2.0, 3.0]);
        }
        // Most images are the same: what is left of the peak is known.
        let values = Unit::of(&[vec![0.0; 3], vec![0.0; 3], vec![0.0, 0.0, 6.0]]).values();
        assert_eq!(values, [2.0, 1.0, 1.0, 1.0]);
        // One as near as it likes counts as a quarter.
        assert_eq!(Unit::of(&[vec![0.0], vec![1.0], vec![1.0]]).values()[1], 0.25);
    }

    #[test]
    fn what_is_no_unit_is_refused() {
        assert!(Unit::from_values(&[2.0, 1.0, 1.0, 3.0]).is_some());
        for values in
            [&[2.0, 1.0, 1.0][..], &[0.0, 1.0, 1.0, 1.0], &[2.0, 2.0, 1.0, 3.0], &[f32::NAN, 1.0, 1.0, 1.0]]
        {
            assert_eq!(Unit::from_values(values), None, "{values:?}");
        }
    }
}

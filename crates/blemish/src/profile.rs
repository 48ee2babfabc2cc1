//! What the good training images look like, as far as training has to know: found by rule, printed, overridable.

use serde::{Deserialize, Serialize};

use crate::augment::foreground;
use crate::data::ByteImage;

/// Side of the thumbnails that are compared.
const SIDE: usize = 32;
/// Images looked at.
const LOOKS: usize = 64;
/// Mean correlation of an image with the others' mean from which the pose counts as fixed.
const FIXED: f64 = 0.6;

/// Facts about a set of good images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Images looked at.
    pub images: usize,
    /// Mean correlation of each image's thumbnail with the mean of all the others, -1 to 1.
    pub pose_correlation: f64,
    /// Share of the pixels that are product, 1 where no plain background was found.
    pub product_share: f64,
}

impl Profile {
    /// Looks at up to 64 of `images`, evenly spread.
    pub fn new(images: &[ByteImage]) -> Self {
        let step = images.len().div_ceil(LOOKS).max(1);
        let looked: Vec<&ByteImage> = images.iter().step_by(step).collect();
        let thumbnails: Vec<Vec<f64>> = looked.iter().map(|image| thumbnail(image)).collect();
        let product = |image: &&ByteImage| {
            let weights = foreground(&image.to_image());
            f64::from(weights.iter().sum::<f32>()) / weights.len() as f64
        };
        let product_share = looked.iter().map(product).sum::<f64>() / looked.len().max(1) as f64;
        Self { images: looked.len(), pose_correlation: mean_correlation(&thumbnails), product_share }
    }

    /// Whether the product always lies in the same place and at the same angle.
    pub fn has_fixed_pose(&self) -> bool {
        self.pose_correlation >= FIXED
    }

    /// Whether the images show one surface without a background.
    pub fn is_texture(&self) -> bool {
        !self.has_fixed_pose() && self.product_share > 0.95
    }

    /// What was found, one sentence each.
    pub fn describe(&self) -> Vec<String> {
        let pose = if self.has_fixed_pose() { "fixed" } else { "varies" };
        let kind = if self.is_texture() { "a texture" } else { "an object" };
        vec![
            format!(
                "pose {pose}: thumbnails correlate by {:.2} with the mean of the others (fixed from {FIXED})",
                self.pose_correlation
            ),
            format!("{kind}: the product covers {:.0} % of the image", 100.0 * self.product_share),
        ]
    }
}

/// Grey, `SIDE` x `SIDE` block means, zero mean, unit length.
fn thumbnail(image: &ByteImage) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0); SIDE * SIDE];
    for (i, pixel) in image.pixels.chunks_exact(image.channels).enumerate() {
        let (y, x) = (i / image.width, i % image.width);
        let cell = &mut sums[y * SIDE / image.height * SIDE + x * SIDE / image.width];
        cell.0 += pixel.iter().map(|&v| f64::from(v)).sum::<f64>();
        cell.1 += 1.0;
    }
    let mut values: Vec<f64> = sums.iter().map(|(sum, n)| sum / f64::max(*n, 1.0)).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter_mut().for_each(|v| *v -= mean);
    unit(&mut values);
    values
}

fn unit(values: &mut [f64]) {
    let length = values.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-12);
    values.iter_mut().for_each(|v| *v /= length);
}

fn mean_correlation(thumbnails: &[Vec<f64>]) -> f64 {
    if thumbnails.len() < 2 {
        return 1.0;
    }
    let mut sum = vec![0.0; SIDE * SIDE];
    for t in thumbnails {
        sum.iter_mut().zip(t).for_each(|(s, v)| *s += v);
    }
    let correlation = |t: &Vec<f64>| {
        let mut others: Vec<f64> = sum.iter().zip(t).map(|(s, v)| s - v).collect();
        unit(&mut others);
        others.iter().zip(t).map(|(a, b)| a * b).sum::<f64>()
    };
    thumbnails.iter().map(correlation).sum::<f64>() / thumbnails.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(vertical: bool) -> ByteImage {
        let on = |i: usize| (24..40).contains(&(if vertical { i % 64 } else { i / 64 }));
        let pixels = (0..64 * 64).map(|i| if on(i) { 200 } else { 50 }).collect();
        ByteImage { height: 64, width: 64, channels: 1, pixels }
    }

    #[test]
    fn tells_a_fixed_pose_from_a_varying_one() {
        let fixed = Profile::new(&vec![bar(true); 6]);
        assert!(fixed.pose_correlation > 0.999 && fixed.has_fixed_pose());
        let turning: Vec<ByteImage> = (0..6).map(|i| bar(i % 2 == 0)).collect();
        assert!(!Profile::new(&turning).has_fixed_pose());
    }
}

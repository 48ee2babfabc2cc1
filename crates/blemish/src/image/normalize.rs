//! Global brightness and contrast: taken out of an image before parts map it, measured, and set.

use crate::image::Image;
use serde::{Deserialize, Serialize};

/// How a view is normalised before parts map it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalize {
    /// As it is, in [0, 1].
    None,
    /// `0.5 + (x - median) * 0.4 / spread` by the grey level's median and spread: brighter and more contrasty photos of
    /// the same thing become the same.
    ///
    /// The spread is the squared mean of `sqrt(|x - median|)`. Quantile ranges vanish on a small product before a plain
    /// background; a standard deviation is ruled by the defect. A black square over a tenth of the image raises this
    /// spread 1.6-fold on screw and on KolektorSDD, the standard deviation 1.9- and 2.8-fold.
    #[default]
    Robust,
}

/// `x * gain + offset`, the same for all channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// Factor.
    pub gain: f32,
    /// Added after the factor.
    pub offset: f32,
}

impl Affine {
    /// Applies it to every value of `image`; the result is not clamped.
    pub fn apply(&self, image: &mut Image) {
        image.pixels.iter_mut().for_each(|v| *v = *v * self.gain + self.offset);
    }

    /// This one, then `next`.
    pub(crate) fn then(&self, next: Self) -> Self {
        Self { gain: self.gain * next.gain, offset: self.offset * next.gain + next.offset }
    }

    /// What undoes it.
    pub(crate) fn inverse(&self) -> Self {
        Self { gain: 1.0 / self.gain, offset: -self.offset / self.gain }
    }
}

impl Normalize {
    /// The spread of grey levels after [`Normalize::Robust`]. Photographs have 0.05 or so, which a network that starts from
    /// random weights hardly sees; this is a standard deviation of 0.6 to 0.8.
    const TARGET: f32 = 0.4;
    /// Spreads below this are not stretched any further: one step of 8 bits, so that the last bit of a flat image does not
    /// become a pattern. Images of more bits have a lower one; see `DataConfig::normalised`.
    pub(crate) const FLOOR: f32 = 1.0 / 255.0;

    /// What this normalisation does to `image`. A synthetic defect's target gets the map of the *defective* image,
    /// since that is all there is at test time.
    pub fn affine(self, image: &Image) -> Affine {
        self.affine_of(image.grey(), Self::FLOOR)
    }

    /// What it does to pixels of these grey levels, where `floor` is the least spread that is stretched: the step between two values
    /// of the image's depth.
    pub(crate) fn affine_of(self, mut grey: Vec<f32>, floor: f32) -> Affine {
        if self == Self::None || grey.is_empty() {
            return Affine { gain: 1.0, offset: 0.0 };
        }
        let median = median(&mut grey);
        let root = grey.iter().map(|v| (v - median).abs().sqrt()).sum::<f32>() / grey.len() as f32;
        let gain = Self::TARGET / (root * root).max(floor);
        Affine { gain, offset: 0.5 - median * gain }
    }

    /// The normalised image; values may leave [0, 1].
    pub fn apply(self, image: &Image) -> Image {
        let mut out = image.clone();
        self.affine(image).apply(&mut out);
        out
    }
}

/// What a detector must not decide by: properties of the whole image's grey levels, in [0, 1].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Mean.
    pub mean: f32,
    /// Standard deviation.
    pub spread: f32,
    /// Median.
    pub median: f32,
    /// Mean absolute 4-neighbour Laplacian over the inner pixels; 0 on images under 3 x 3.
    pub high_frequency: f32,
}

/// The shortcut audit's measurements of one image.
pub fn image_statistics(image: &Image) -> Statistics {
    let mut grey = image.grey();
    let count = grey.len() as f64;
    let mean = grey.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let variance = grey.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count;
    let w = image.width;
    let (mut energy, mut inner) = (0.0, 0.0);
    for y in 1..image.height.saturating_sub(1) {
        for i in y * w + 1..(y + 1) * w - 1 {
            let laplacian = grey[i - w] + grey[i + w] + grey[i - 1] + grey[i + 1] - 4.0 * grey[i];
            energy += f64::from(laplacian.abs());
            inner += 1.0;
        }
    }
    Statistics {
        mean: mean as f32,
        spread: variance.sqrt() as f32,
        median: median(&mut grey),
        high_frequency: (energy / f64::max(inner, 1.0)) as f32,
    }
}

/// What sets the median and the standard deviation of an image that has `own` to the given values, but for clamping
/// to [0, 1]. An image of one single grey level only gets the median.
pub fn equalising(own: &Statistics, median: f32, spread: f32) -> Affine {
    let gain = if own.spread > 1e-6 { spread / own.spread } else { 1.0 };
    Affine { gain, offset: median - own.median * gain }
}

/// The upper median; reorders `values`, which must not be empty.
pub fn median(values: &mut [f32]) -> f32 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn random(channels: usize, low: f32, high: f32) -> Image {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut image = Image::filled(31, 24, channels, 0.0);
        image.pixels.iter_mut().for_each(|v| *v = rng.random_range(low..high));
        image
    }

    #[test]
    fn brightness_and_contrast_do_not_matter() {
        for channels in [1, 3] {
            let image = random(channels, 0.2, 0.8);
            let expected = Normalize::Robust.apply(&image);
            for (gain, offset) in [(0.5, 0.3), (1.2, -0.1), (0.1, 0.0)] {
                let mut changed = image.clone();
                Affine { gain, offset }.apply(&mut changed);
                let out = Normalize::Robust.apply(&changed);
                let difference = out.pixels.iter().zip(&expected.pixels).map(|(a, b)| (a - b).abs());
                assert!(difference.fold(0.0, f32::max) < 1e-4);
            }
        }
    }

    #[test]
    fn a_flat_image_becomes_mid_grey() {
        let out = Normalize::Robust.apply(&Image::filled(4, 4, 3, 0.9));
        assert!(out.pixels.iter().all(|v| (v - 0.5).abs() < 1e-4));
    }

    #[test]
    fn small_contrast_is_stretched_down_to_the_step_of_the_depth() {
        let image = random(1, 0.2, 0.8);
        let expected = Normalize::Robust.apply(&image);
        // Ten bits in a file of sixteen, read without a range.
        let mut deep = image.clone();
        Affine { gain: 1.0 / 64.0, offset: 0.4 }.apply(&mut deep);
        let mut out = deep.clone();
        Normalize::Robust.affine_of(deep.grey(), 1.0 / 65535.0).apply(&mut out);
        assert!(out.pixels.iter().zip(&expected.pixels).all(|(a, b)| (a - b).abs() < 1e-3));
        // The last bit of a flat image stays small.
        let mut flat = Image::filled(9, 9, 1, 100.0 / 255.0);
        flat.pixels.iter_mut().step_by(3).for_each(|v| *v += 1.0 / 255.0);
        let out = Normalize::Robust.apply(&flat);
        assert!(out.pixels.iter().all(|v| (v - 0.5).abs() < 0.41));
    }

    #[test]
    fn none_changes_nothing() {
        let image = random(3, 0.0, 1.0);
        assert_eq!(Normalize::None.apply(&image), image);
    }

    #[test]
    fn equalising_sets_median_and_spread() {
        let equalised = |mut image: Image, median, spread| {
            equalising(&image_statistics(&image), median, spread).apply(&mut image);
            image_statistics(&image)
        };
        for channels in [1, 3] {
            let out = equalised(random(channels, 0.1, 0.4), 0.55, 0.1);
            assert!((out.median - 0.55).abs() < 1e-4 && (out.spread - 0.1).abs() < 1e-4, "{out:?}");
        }
        assert_eq!(equalised(Image::filled(3, 3, 1, 0.2), 0.7, 0.1).median, 0.7);
    }

    #[test]
    fn statistics_by_hand() {
        let pixels = vec![0.0, 0.0, 0.0, 0.0, 0.9, 0.0, 0.0, 0.0, 0.0];
        let s = image_statistics(&Image { height: 3, width: 3, channels: 1, pixels });
        assert!((s.mean - 0.1).abs() < 1e-6 && s.median == 0.0);
        assert!((s.spread - 0.08f32.sqrt()).abs() < 1e-6);
        assert!((s.high_frequency - 3.6).abs() < 1e-6);
        assert_eq!(image_statistics(&Image::filled(1, 2, 1, 0.5)).high_frequency, 0.0);
    }
}

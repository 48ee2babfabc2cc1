//! Changes of lighting and sensor that leave the product as it is: the model learns to ignore them.

use blemish::image::Image;
use rand::Rng;

use super::noise::normal;
use super::uniform;

/// How much the lighting may change. Every image draws each amount uniformly up to the limit given here; 0 leaves a
/// step out. The default changes nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PhotometricConfig {
    /// Largest change of brightness either way, 0 to 1.
    pub brightness: f32,
    /// Largest relative change of contrast about the mean either way, 0 to 0.9.
    pub contrast: f32,
    /// Largest change of brightness at the edge by light falling in from one side (a random plane), 0 to 1.
    pub gradient: f32,
    /// Largest `|ln gamma|`, 0 to 1: bends the tone curve, which normalisation cannot take out.
    pub gamma: f32,
    /// Largest weight of each neighbour in a separable 3-tap blur, 0 to 1/3.
    pub blur: f32,
    /// Largest standard deviation of the sensor's noise, 0 to 0.5.
    pub noise: f32,
}

impl PhotometricConfig {
    /// Changes `image` in the order of the light's way: scene, lens, sensor. Values stay in [0, 1].
    pub fn apply(&self, image: &mut Image, rng: &mut impl Rng) {
        if self.brightness > 0.0 || self.contrast > 0.0 || self.gradient > 0.0 {
            self.light(image, rng);
        }
        if self.gamma > 0.0 {
            bend(image, uniform(-self.gamma, self.gamma, rng).exp());
        }
        if self.blur > 0.0 {
            blur(image, uniform(0.0, self.blur, rng));
        }
        if self.noise > 0.0 {
            let deviation = uniform(0.0, self.noise, rng);
            image.pixels.iter_mut().for_each(|v| *v = (*v + deviation * normal(rng)).clamp(0.0, 1.0));
        }
    }

    /// Brightness, contrast and a plane of light from a random side.
    fn light(&self, image: &mut Image, rng: &mut impl Rng) {
        let mean = image.pixels.iter().sum::<f32>() / image.pixels.len() as f32;
        let gain = 1.0 + uniform(-self.contrast, self.contrast, rng);
        let offset = uniform(-self.brightness, self.brightness, rng) + mean * (1.0 - gain);
        let (sin, cos) = uniform(0.0, std::f32::consts::TAU, rng).sin_cos();
        let slope = uniform(0.0, self.gradient, rng);
        let (dx, dy) = (2.0 * slope * cos / image.width as f32, 2.0 * slope * sin / image.height as f32);
        let (middle, centre) = (image.height as f32 * 0.5, image.width as f32 * 0.5);
        for (y, row) in image.pixels.chunks_exact_mut(image.width * image.channels).enumerate() {
            let start = offset + dy * (y as f32 + 0.5 - middle);
            for (x, pixel) in row.chunks_exact_mut(image.channels).enumerate() {
                let light = start + dx * (x as f32 + 0.5 - centre);
                pixel.iter_mut().for_each(|v| *v = (*v * gain + light).clamp(0.0, 1.0));
            }
        }
    }
}

/// `v^gamma` for values in [0, 1], by a table: `powf` on every value costs several times as much.
fn bend(image: &mut Image, gamma: f32) {
    const STEPS: usize = 1024;
    let table: Vec<f32> = (0..=STEPS + 1).map(|i| (i as f32 / STEPS as f32).powf(gamma)).collect();
    for v in &mut image.pixels {
        let position = v.clamp(0.0, 1.0) * STEPS as f32;
        let i = position as usize;
        *v = (table[i] + (table[i + 1] - table[i]) * (position - i as f32)).min(1.0);
    }
}

/// A separable `[side, 1 - 2 side, side]` blur with replicated edges.
fn blur(image: &mut Image, side: f32) {
    let stride = image.width * image.channels;
    for (step, length) in [(image.channels, image.width), (stride, image.height)] {
        let source = image.pixels.clone();
        let lines = image.pixels.chunks_exact_mut(step * length).zip(source.chunks_exact(step * length));
        for (out, line) in lines {
            for at in 0..length {
                let (before, after) = (at.saturating_sub(1) * step, (at + 1).min(length - 1) * step);
                for (k, v) in out[at * step..(at + 1) * step].iter_mut().enumerate() {
                    *v += side * (line[before + k] + line[after + k] - 2.0 * *v);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    const ALL: PhotometricConfig = PhotometricConfig {
        brightness: 0.2,
        contrast: 0.3,
        gradient: 0.2,
        gamma: 0.3,
        blur: 0.2,
        noise: 0.05,
    };

    #[test]
    fn the_default_changes_nothing() {
        let mut image = Image::filled(4, 5, 3, 0.3);
        PhotometricConfig::default().apply(&mut image, &mut ChaCha8Rng::seed_from_u64(0));
        assert_eq!(image, Image::filled(4, 5, 3, 0.3));
    }

    #[test]
    fn values_stay_in_range_and_seeds_repeat() {
        for channels in [1, 3] {
            for seed in 0..20 {
                let draw = || {
                    let mut image = Image::filled(9, 16, channels, 0.5);
                    image.pixels[..40].fill(1.0);
                    image.pixels[40..80].fill(0.0);
                    ALL.apply(&mut image, &mut ChaCha8Rng::seed_from_u64(seed));
                    image
                };
                assert!(draw().pixels.iter().all(|v| (0.0..=1.0).contains(v)));
                assert_eq!(draw(), draw());
            }
        }
    }

    #[test]
    fn the_tone_curve_is_a_power() {
        let mut image = Image { height: 1, width: 4, channels: 1, pixels: vec![0.0, 0.25, 0.5, 1.0] };
        bend(&mut image, 2.0);
        let expected = [0.0, 0.0625, 0.25, 1.0];
        assert!(image.pixels.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5));
    }

    #[test]
    fn blur_spreads_a_point_and_keeps_the_sum() {
        let mut image = Image::filled(5, 5, 1, 0.0);
        image.pixels[12] = 1.0;
        blur(&mut image, 0.25);
        assert!((image.pixels[12] - 0.25).abs() < 1e-6 && (image.pixels[6] - 0.0625).abs() < 1e-6);
        assert!((image.pixels.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }
}

//! What an image file is like, before it is brought to what a detector takes.

use serde::{Deserialize, Serialize};

use super::Image;

/// Pixels that the contrast is taken from, about.
const SAMPLED: usize = 1 << 16;
/// Share of the pixels at each end that the contrast leaves out: letters that a camera writes into a black frame are fewer.
const LEFT_OUT: f64 = 0.05;

/// Size, channels, depth, brightness and contrast of an image as it came.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageFacts {
    /// Height and width, upright.
    pub size: [usize; 2],
    /// 1 where every pixel is grey, be it stored in one channel or in three, else 3.
    pub channels: usize,
    /// Bits a sample: 8, 16, or 32 for floating point.
    pub bits: u32,
    /// Mean grey level, 0 to 1 (of the range of images that are deeper than 8 bits).
    pub brightness: f32,
    /// Range of the grey levels without a twentieth of the pixels at each end, 0 to 1.
    pub contrast: f32,
}

impl ImageFacts {
    /// The facts of an image from a file of `bits`.
    pub fn new(image: &Image, bits: u32) -> Self {
        let sum: f64 = image.pixels.iter().map(|&v| f64::from(v)).sum();
        Self {
            size: [image.height, image.width],
            channels: if image.is_grey() { 1 } else { 3 },
            bits,
            brightness: (sum / image.pixels.len().max(1) as f64) as f32,
            contrast: contrast(image),
        }
    }

    /// The facts of an image in memory: its depth is told by its values.
    pub fn of(image: &Image) -> Self {
        Self::new(image, if image.is_deep() { 16 } else { 8 })
    }
}

fn contrast(image: &Image) -> f32 {
    let pixels = image.pixels.len() / image.channels.max(1);
    let step = pixels.div_ceil(SAMPLED).max(1);
    let grey = image.pixels.chunks_exact(image.channels.max(1)).step_by(step);
    let mut grey: Vec<f32> = grey.map(|pixel| pixel.iter().sum::<f32>() / pixel.len() as f32).collect();
    let Some(last) = grey.len().checked_sub(1) else { return 0.0 };
    let mut at = |share: f64| *grey.select_nth_unstable_by((share * last as f64) as usize, f32::total_cmp).1;
    at(1.0 - LEFT_OUT) - at(LEFT_OUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_by_hand() {
        let grey = Image { height: 1, width: 2, channels: 3, pixels: vec![0.2, 0.2, 0.2, 0.4, 0.4, 0.4] };
        let facts = ImageFacts::of(&grey);
        assert_eq!((facts.size, facts.channels, facts.bits), ([1, 2], 1, 8));
        assert!((facts.brightness - 0.3).abs() < 1e-6 && facts.contrast < 1e-6);
        let colour = Image { pixels: vec![0.2, 0.2, 0.2, 0.4, 0.4, 0.401], ..grey };
        assert_eq!((ImageFacts::of(&colour).channels, ImageFacts::of(&colour).bits), (3, 16));
        let ramp = Image {
            height: 1,
            width: 101,
            channels: 1,
            pixels: (0..=100u8).map(|v| f32::from(v) / 100.0).collect(),
        };
        assert!((ImageFacts::of(&ramp).contrast - 0.9).abs() < 1e-6);
    }
}

//! What an image file is like, before it is brought to what a detector takes.

use serde::{Deserialize, Serialize};

use super::Image;

/// Size, channels, depth and brightness of an image as it came.
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
        }
    }

    /// The facts of an image in memory: its depth is told by its values.
    pub fn of(image: &Image) -> Self {
        Self::new(image, if image.is_deep() { 16 } else { 8 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_by_hand() {
        let grey = Image { height: 1, width: 2, channels: 3, pixels: vec![0.2, 0.2, 0.2, 0.4, 0.4, 0.4] };
        let facts = ImageFacts::of(&grey);
        assert_eq!((facts.size, facts.channels, facts.bits), ([1, 2], 1, 8));
        assert!((facts.brightness - 0.3).abs() < 1e-6);
        let colour = Image { pixels: vec![0.2, 0.2, 0.2, 0.4, 0.4, 0.401], ..grey };
        assert_eq!((ImageFacts::of(&colour).channels, ImageFacts::of(&colour).bits), (3, 16));
    }
}

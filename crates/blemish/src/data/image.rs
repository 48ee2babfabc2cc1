//! The two in-memory picture types, both interleaved (height, width, channel), and the pixel mask.

/// An 8-bit picture, `[H, W, C]` interleaved, 1 (grey) or 3 (RGB) channels: how decoded images are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByteImage {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// 1 or 3.
    pub channels: usize,
    /// `height * width * channels` values.
    pub pixels: Vec<u8>,
}

/// A picture of `f32`, `[H, W, C]` interleaved, nominally in [0, 1]: what augmentation and the model work on.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// 1 or 3.
    pub channels: usize,
    /// `height * width * channels` values.
    pub pixels: Vec<f32>,
}

/// A ground-truth or synthetic defect mask, `[H, W]`: 1 = defective, 0 = good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PixelMask {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `height * width` values, each 0 or 1.
    pub pixels: Vec<u8>,
}

impl ByteImage {
    /// The same picture in `f32`, 0 to 1.
    pub fn to_image(&self) -> Image {
        let pixels = self.pixels.iter().map(|&v| f32::from(v) / 255.0).collect();
        Image { height: self.height, width: self.width, channels: self.channels, pixels }
    }
}

impl Image {
    /// A picture filled with one value.
    pub fn filled(height: usize, width: usize, channels: usize, value: f32) -> Self {
        Self { height, width, channels, pixels: vec![value; height * width * channels] }
    }

    /// The same picture in 8 bits, clamped to [0, 1] and rounded.
    pub fn to_bytes(&self) -> ByteImage {
        let pixels = self.pixels.iter().map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8).collect();
        ByteImage { height: self.height, width: self.width, channels: self.channels, pixels }
    }

    /// Grey levels `[H, W]`: the mean over the channels.
    pub fn grey(&self) -> Vec<f32> {
        let inverse = 1.0 / self.channels as f32;
        self.pixels.chunks_exact(self.channels).map(|p| p.iter().sum::<f32>() * inverse).collect()
    }
}

impl PixelMask {
    /// A mask without any defect.
    pub fn empty(height: usize, width: usize) -> Self {
        Self { height, width, pixels: vec![0; height * width] }
    }

    /// How many pixels are defective.
    pub fn count(&self) -> usize {
        self.pixels.iter().filter(|&&v| v != 0).count()
    }
}

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

    /// Means over squares of `factor` x `factor` pixels; what does not fill a square is left out.
    pub fn averaged(&self, factor: usize) -> Self {
        if factor == 1 {
            return self.clone();
        }
        let (height, width) = (self.height / factor, self.width / factor);
        let mut out = Self::filled(height, width, self.channels, 0.0);
        let (line, weight) = (width * self.channels, 1.0 / (factor * factor) as f32);
        let rows = self.pixels.chunks_exact(self.width * self.channels).take(height * factor);
        for (y, row) in rows.enumerate() {
            let out = &mut out.pixels[y / factor * line..][..line];
            for (x, pixel) in row.chunks_exact(self.channels).take(width * factor).enumerate() {
                let out = &mut out[x / factor * self.channels..][..self.channels];
                out.iter_mut().zip(pixel).for_each(|(out, v)| *out += v * weight);
            }
        }
        out
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averaging_takes_means_of_squares() {
        let pixels = vec![1.0, 2.0, 5.0, 6.0, 9.0, 3.0, 4.0, 7.0, 8.0, 9.0];
        let image = Image { height: 2, width: 5, channels: 1, pixels };
        let half = image.averaged(2);
        assert_eq!((half.height, half.width, half.pixels), (1, 2, vec![2.5, 6.5]));
    }
}

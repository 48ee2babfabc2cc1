//! Images in memory, interleaved (height, width, channel), pixel masks, decoding, resizing, normalisation.

use std::borrow::Cow;

mod blank;
mod buffer;
mod decode;
mod depth;
mod facts;
mod normalize;
mod resize;
mod sampling;
mod tiff;
mod tiles;

use crate::error::{Error, Result};
use crate::hash::{START, fnv1a};

#[doc(hidden)]
pub use self::blank::BlankReason;
pub(crate) use self::blank::is_blank;
pub use self::buffer::{ImageView, Order};
#[cfg(test)]
pub(crate) use self::decode::TESTED_FORMATS;
pub(crate) use self::decode::decode_dynamic;
pub(crate) use self::decode::require_size;
pub use self::decode::{DecodeOptions, decode, decode_bytes};
#[doc(hidden)]
pub use self::decode::{decode_with_facts, dimensions, is_readable, read};
#[doc(hidden)]
pub use self::depth::depth_range;
#[doc(hidden)]
pub use self::facts::ImageFacts;
pub use self::normalize::Normalize;
#[doc(hidden)]
pub use self::normalize::{Affine, Statistics, image_statistics};
pub(crate) use self::normalize::{equalising, median};
#[doc(hidden)]
pub use self::resize::resize;
#[doc(hidden)]
pub use self::sampling::{Border, sample};
#[doc(hidden)]
pub use self::tiles::Pieces;

/// An 8-bit image, `[H, W, C]` interleaved, 1 (grey) or 3 (RGB) channels: how images are shown.
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

/// An image of `f32`, `[H, W, C]` interleaved, nominally in [0, 1]: what augmentation and the model work on.
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
    /// The same image in `f32`, 0 to 1.
    pub fn to_image(&self) -> Image {
        let pixels = self.pixels.iter().map(|&v| f32::from(v) / 255.0).collect();
        Image { height: self.height, width: self.width, channels: self.channels, pixels }
    }
}

impl Image {
    /// An image filled with one value.
    pub fn filled(height: usize, width: usize, channels: usize, value: f32) -> Self {
        Self { height, width, channels, pixels: vec![value; height * width * channels] }
    }

    /// Its part of `size` (height, width) whose upper left pixel is `corner` (row, column), within the image.
    pub fn part(&self, [top, left]: [usize; 2], [height, width]: [usize; 2]) -> Self {
        let [line, left, long] = [self.width, left, width].map(|pixels| pixels * self.channels);
        let pixels = part(&self.pixels, line, [top, left], [height, long]);
        Self { height, width, channels: self.channels, pixels }
    }

    /// What tells its pixels from those of other images (FNV-1a, 64 bits).
    #[doc(hidden)]
    pub fn fingerprint(&self) -> u64 {
        let size = [self.height, self.width, self.channels].map(|n| n as u64);
        fnv1a(fnv1a(START, size), self.pixels.iter().map(|v| v.to_bits()))
    }

    /// The same image in 8 bits, clamped to [0, 1] and rounded.
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

    /// The values of an image of one channel, bilinearly enlarged to `[height, width]`.
    pub fn enlarged(&self, [height, width]: [usize; 2]) -> Vec<f32> {
        assert_eq!(self.channels, 1, "one channel");
        let place = |pixel: usize, to: usize, from: usize| {
            let at = ((pixel as f32 + 0.5) * from as f32 / to as f32 - 0.5).clamp(0.0, (from - 1) as f32);
            let low = (at as usize).min(from.saturating_sub(2));
            (low, (low + 1).min(from - 1), at - low as f32)
        };
        let across: Vec<_> = (0..width).map(|x| place(x, width, self.width)).collect();
        let mut out = Vec::with_capacity(height * width);
        for y in 0..height {
            let (top, bottom, v) = place(y, height, self.height);
            let [top, bottom] = [top, bottom].map(|row| &self.pixels[row * self.width..][..self.width]);
            out.extend(across.iter().map(|&(left, right, u)| {
                let upper = top[left] + u * (top[right] - top[left]);
                let lower = bottom[left] + u * (bottom[right] - bottom[left]);
                upper + v * (lower - upper)
            }));
        }
        out
    }

    /// Mirrored, so that the last row comes first, or the last column, or both, as `sides` says for rows and columns.
    pub fn mirrored(&self, [rows, columns]: [bool; 2]) -> Self {
        let place = |i: usize, length: usize, mirrored: bool| if mirrored { length - 1 - i } else { i };
        let pixel = |y: usize, x: usize| {
            let at = place(y, self.height, rows) * self.width + place(x, self.width, columns);
            &self.pixels[at * self.channels..][..self.channels]
        };
        let places = (0..self.height).flat_map(|y| (0..self.width).map(move |x| (y, x)));
        Self { pixels: places.flat_map(|(y, x)| pixel(y, x)).copied().collect(), ..*self }
    }

    /// Continued at its lower and right edges as its own mirror image, the outermost pixels twice, to at least `[height, width]`.
    #[must_use]
    pub fn mirrored_to(self, [height, width]: [usize; 2]) -> Self {
        let (height, width) = (height.max(self.height), width.max(self.width));
        if [height, width] == [self.height, self.width] || self.pixels.is_empty() {
            return self;
        }
        let place = |at: usize, length: usize| {
            let at = at % (2 * length);
            at.min(2 * length - 1 - at)
        };
        let mut out = Self::filled(height, width, self.channels, 0.0);
        for (at, pixel) in out.pixels.chunks_exact_mut(self.channels).enumerate() {
            let (y, x) = (place(at / width, self.height), place(at % width, self.width));
            pixel.copy_from_slice(&self.pixels[(y * self.width + x) * self.channels..][..self.channels]);
        }
        out
    }

    /// The same image with 1 (grey, by the Rec. 709 luma) or 3 channels.
    ///
    /// # Errors
    /// [`Error::Config`] for another number.
    pub fn with_channels(self, channels: usize) -> Result<Self> {
        // 0.212639, 0.715169 and 0.072192; together 1, so that grey stays what it is.
        const LUMA: [f32; 3] = [0.212_639, 0.715_169, 0.072_192];
        let pixels: Vec<f32> = match (self.channels, channels) {
            (own, wanted) if own == wanted => return Ok(self),
            (1, 3) => self.in_three_channels().into_owned(),
            (3, 1) => {
                let luma = |p: &[f32; 3]| {
                    if p[0] == p[1] && p[1] == p[2] {
                        p[0]
                    } else {
                        p[0] * LUMA[0] + p[1] * LUMA[1] + p[2] * LUMA[2]
                    }
                };
                self.pixels.as_chunks::<3>().0.iter().map(luma).collect()
            }
            (_, n) => {
                return Err(Error::config("data.channels", format!("{n} is neither 1 (grey) nor 3 (RGB)")));
            }
        };
        Ok(Self { channels, pixels, ..self })
    }

    /// Whether every pixel is grey: one channel, or three equal ones.
    pub fn is_grey(&self) -> bool {
        self.channels == 1 || self.pixels.as_chunks::<3>().0.iter().all(|p| p[0] == p[1] && p[1] == p[2])
    }

    /// The pixels in three channels, grey ones repeated.
    pub(crate) fn in_three_channels(&self) -> Cow<'_, [f32]> {
        match self.channels {
            1 => self.pixels.iter().flat_map(|&v| [v; 3]).collect(),
            _ => Cow::Borrowed(&self.pixels),
        }
    }

    /// Grey levels `[H, W]`: the mean over the channels.
    pub fn grey(&self) -> Vec<f32> {
        let inverse = 1.0 / self.channels as f32;
        self.pixels.chunks_exact(self.channels).map(|p| p.iter().sum::<f32>() * inverse).collect()
    }
}

impl PixelMask {
    /// Brought to a view of another size: 1 where nothing is to be found.
    ///
    /// # Errors
    /// [`Error::Config`] for a mask that leaves nothing, or has no pixels.
    pub(crate) fn of_view(&self, [height, width]: [usize; 2]) -> Result<Vec<f32>> {
        if self.height == 0 || self.width == 0 || self.pixels.len() != self.height * self.width {
            return Err(Error::config("ignore", "the mask has no pixels"));
        }
        let at = |i: usize| {
            let (y, x) = (
                (i / width * 2 + 1) * self.height / (2 * height),
                (i % width * 2 + 1) * self.width / (2 * width),
            );
            f32::from(u8::from(self.pixels[y * self.width + x] != 0))
        };
        let ignored: Vec<f32> = (0..height * width).map(at).collect();
        if ignored.contains(&0.0) {
            Ok(ignored)
        } else {
            Err(Error::config("ignore", "the mask leaves nothing to inspect"))
        }
    }

    /// A mask without any defect.
    pub fn empty(height: usize, width: usize) -> Self {
        Self { height, width, pixels: vec![0; height * width] }
    }

    /// Its part of `size` (height, width) whose upper left pixel is `corner` (row, column), within the mask.
    pub fn part(&self, corner: [usize; 2], size: [usize; 2]) -> Self {
        let [height, width] = size;
        Self { height, width, pixels: part(&self.pixels, self.width, corner, size) }
    }

    /// How many pixels are defective.
    pub fn count(&self) -> usize {
        self.pixels.iter().filter(|&&v| v != 0).count()
    }
}

/// Of values in lines of `line`, those of `height` lines from `top` on, each `long` from `left` on.
fn part<T: Copy>(values: &[T], line: usize, [top, left]: [usize; 2], [height, long]: [usize; 2]) -> Vec<T> {
    let lines = values.chunks_exact(line).skip(top).take(height);
    lines.flat_map(|line| &line[left..][..long]).copied().collect()
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

    #[test]
    fn a_part_keeps_its_channels_together() {
        let image = Image { height: 3, width: 3, channels: 2, pixels: (0..18u8).map(f32::from).collect() };
        let part = image.part([1, 1], [2, 2]);
        assert_eq!((part.height, part.width, part.channels), (2, 2, 2));
        assert_eq!(part.pixels, [8.0, 9.0, 10.0, 11.0, 14.0, 15.0, 16.0, 17.0]);
        let mask = PixelMask { height: 2, width: 3, pixels: vec![0, 0, 1, 0, 1, 0] };
        assert_eq!(mask.part([0, 1], [2, 2]).pixels, [0, 1, 1, 0]);
    }

    #[test]
    fn mirroring_turns_rows_and_columns_and_keeps_channels() {
        let image = Image { height: 2, width: 2, channels: 2, pixels: (0..8u8).map(f32::from).collect() };
        assert_eq!(image.mirrored([true, false]).pixels, [4.0, 5.0, 6.0, 7.0, 0.0, 1.0, 2.0, 3.0]);
        assert_eq!(image.mirrored([false, true]).pixels, [2.0, 3.0, 0.0, 1.0, 6.0, 7.0, 4.0, 5.0]);
        assert_eq!(image.mirrored([true, true]).mirrored([true, true]), image);
    }

    #[test]
    fn small_images_are_continued_as_their_mirror_image() {
        let image = Image { height: 1, width: 3, channels: 1, pixels: vec![1.0, 2.0, 3.0] };
        let large = image.clone().mirrored_to([2, 8]);
        assert_eq!((large.height, large.width), (2, 8));
        assert_eq!(large.pixels, [1.0, 2.0, 3.0, 3.0, 2.0, 1.0, 1.0, 2.0].repeat(2));
        assert_eq!(image.clone().mirrored_to([1, 2]), image);
    }

    #[test]
    fn enlarging_interpolates_between_centres() {
        let image = Image { height: 1, width: 2, channels: 1, pixels: vec![0.0, 4.0] };
        assert_eq!(image.enlarged([2, 4]), [0.0, 1.0, 3.0, 4.0, 0.0, 1.0, 3.0, 4.0]);
        assert_eq!(Image::filled(1, 1, 1, 7.0).enlarged([1, 3]), [7.0; 3]);
    }
}

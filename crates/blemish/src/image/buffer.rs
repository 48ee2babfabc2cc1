//! Pixels in somebody else's memory: a camera's buffer, a frame of a video library.

use crate::error::{Error, Result};
use crate::image::Image;

/// An image in a buffer that is not copied: rows of pixels, some bytes apart.
#[derive(Clone, Copy, Debug)]
pub struct ImageView<'a> {
    samples: Samples<'a>,
    width: usize,
    height: usize,
    order: Order,
    /// Samples from the start of a row to the start of the next.
    stride: usize,
}

/// What a pixel is made of, in that order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One grey level.
    Grey,
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red, as OpenCV has it.
    Bgr,
}

#[derive(Clone, Copy, Debug)]
enum Samples<'a> {
    Bytes(&'a [u8]),
    Words(&'a [u16]),
}

impl Order {
    fn channels(self) -> usize {
        if self == Self::Grey { 1 } else { 3 }
    }
}

impl<'a> ImageView<'a> {
    /// 8-bit grey levels, row by row.
    pub fn grey8(pixels: &'a [u8], width: usize, height: usize) -> Self {
        Self::bytes(pixels, width, height, Order::Grey)
    }

    /// 8-bit red, green and blue, row by row.
    pub fn rgb8(pixels: &'a [u8], width: usize, height: usize) -> Self {
        Self::bytes(pixels, width, height, Order::Rgb)
    }

    /// 8-bit blue, green and red, row by row.
    pub fn bgr8(pixels: &'a [u8], width: usize, height: usize) -> Self {
        Self::bytes(pixels, width, height, Order::Bgr)
    }

    /// 16-bit grey levels, row by row.
    pub fn grey16(pixels: &'a [u16], width: usize, height: usize) -> Self {
        Self::words(pixels, width, height, Order::Grey)
    }

    /// 16-bit red, green and blue, row by row.
    pub fn rgb16(pixels: &'a [u16], width: usize, height: usize) -> Self {
        Self::words(pixels, width, height, Order::Rgb)
    }

    /// 8-bit samples, row by row.
    pub fn bytes(pixels: &'a [u8], width: usize, height: usize, order: Order) -> Self {
        let stride = width.saturating_mul(order.channels());
        Self { samples: Samples::Bytes(pixels), width, height, order, stride }
    }

    /// 16-bit samples, row by row.
    pub fn words(pixels: &'a [u16], width: usize, height: usize, order: Order) -> Self {
        let stride = width.saturating_mul(order.channels());
        Self { samples: Samples::Words(pixels), width, height, order, stride }
    }

    /// The same with rows that begin `stride` samples (not bytes) after each other.
    #[must_use]
    pub fn with_stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// Bits a sample: 8 or 16.
    pub fn bits(&self) -> u32 {
        if matches!(self.samples, Samples::Bytes(_)) { 8 } else { 16 }
    }

    /// Rows and columns.
    pub fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// A copy in `f32`, 0 to 1, with `channels` 1 or 3.
    ///
    /// # Errors
    /// [`Error::Config`] for an image without pixels, a stride shorter than a row, a buffer that ends before the last row.
    pub fn to_image(self, channels: usize) -> Result<Image> {
        let line = self.width.checked_mul(self.order.channels()).filter(|line| *line > 0 && self.height > 0);
        let line = line.ok_or_else(|| Error::config("image", "has no pixels, or too many"))?;
        if self.stride < line {
            let reason = format!("a row has {line} samples, but the next begins {} after it", self.stride);
            return Err(Error::config("stride", reason));
        }
        let length = match self.samples {
            Samples::Bytes(bytes) => bytes.len(),
            Samples::Words(words) => words.len(),
        };
        let needed = (self.height - 1).checked_mul(self.stride).and_then(|rows| rows.checked_add(line));
        if needed.is_none_or(|needed| needed > length) {
            let (width, height) = (self.width, self.height);
            let reason = format!(
                "{length} samples are too few for {width} x {height} pixels of {} each",
                self.order.channels()
            );
            return Err(Error::config("image", reason));
        }
        let mut pixels = Vec::with_capacity(self.height * line);
        for row in 0..self.height {
            let at = row * self.stride..row * self.stride + line;
            match self.samples {
                Samples::Bytes(bytes) => pixels.extend(bytes[at].iter().map(|&v| f32::from(v) / 255.0)),
                Samples::Words(words) => pixels.extend(words[at].iter().map(|&v| f32::from(v) / 65535.0)),
            }
        }
        if self.order == Order::Bgr {
            pixels.chunks_exact_mut(3).for_each(|pixel| pixel.swap(0, 2));
        }
        let (height, width) = (self.height, self.width);
        Image { height, width, channels: self.order.channels(), pixels }.with_channels(channels)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn strides_depths_and_orders_by_hand() {
        let grey = ImageView::grey8(&[0, 255, 9, 51, 102, 9], 2, 2).with_stride(3).to_image(1).unwrap();
        assert_eq!(grey.pixels, [0.0, 1.0, 0.2, 0.4]);
        let bgr = ImageView::bgr8(&[255, 0, 51], 1, 1).to_image(3).unwrap();
        assert_eq!(bgr.pixels, [0.2, 0.0, 1.0]);
        assert_eq!(
            ImageView::grey16(&[65535, 13107], 2, 1).to_image(3).unwrap().pixels,
            [1.0, 1.0, 1.0, 0.2, 0.2, 0.2]
        );
        let luma = ImageView::rgb8(&[255, 0, 0], 1, 1).to_image(1).unwrap().pixels[0];
        assert!((luma - 0.212_639).abs() < 1e-6);
    }

    #[test]
    fn buffers_that_do_not_fit_are_refused() {
        for view in [
            ImageView::grey8(&[], 0, 0),
            ImageView::grey8(&[1, 2, 3], 2, 2),
            ImageView::grey8(&[1, 2, 3, 4], 2, 2).with_stride(1),
            ImageView::grey8(&[1; 16], 2, 2).with_stride(usize::MAX),
            ImageView::rgb8(&[1; 16], usize::MAX, 2),
            ImageView::rgb8(&[1; 16], 2, usize::MAX),
        ] {
            assert!(view.to_image(1).is_err(), "{view:?}");
        }
        assert!(ImageView::grey8(&[1], 1, 1).to_image(2).is_err());
    }
}

//! Ground-truth masks, read from image files.

use std::path::{Path, PathBuf};

use image::DynamicImage;

use crate::error::{Error, Result};
use crate::image::{PixelMask, decode_dynamic, read};

/// Masks without a higher value than this number their defects (0, 1, 2, ...) where others hold two values.
const LAST_DEFECT_NUMBER: f32 = 31.0;

/// Reads a ground-truth mask of up to `max_pixels` and brings it to `[H, W]` by nearest neighbour.
///
/// A pixel is defective where its value (the largest of its channels) is above half of the mask's own largest: any two values do,
/// such as 0 and 1, 0 and 100, 0 and 65535. Masks that number their defects instead (VisA's 0, 1, 2, ...) would lose some by this
/// rule: where no value is above 31, every value but 0 is defective. What is transparent is not defective; where nothing but the
/// transparency differs, it is the mask. A mask of zeros is empty, not an error.
///
/// # Errors
///
/// As [`decode`](crate::image::decode()); [`Error::Config`] if `H` or `W` is 0.
pub fn decode_mask(path: &Path, [height, width]: [usize; 2], max_pixels: u64) -> Result<PixelMask> {
    if height == 0 || width == 0 {
        return Err(Error::config("data.image_size", format!("{height} x {width} is not a size")));
    }
    let image = decode_dynamic(path, &read(path)?, max_pixels)?;
    let (source_height, source_width) = (image.height() as usize, image.width() as usize);
    let values = values(image);
    let highest = values.iter().copied().fold(0.0, f32::max);
    let threshold = if highest <= LAST_DEFECT_NUMBER { 0.0 } else { 0.5 * highest };

    // The source pixel under the centre of each target pixel.
    let under = |target: usize, from: usize, to: usize| (2 * target + 1) * from / (2 * to);
    let mut pixels = Vec::with_capacity(height * width);
    for y in 0..height {
        let row = under(y, source_height, height) * source_width;
        pixels.extend((0..width).map(|x| u8::from(values[row + under(x, source_width, width)] > threshold)));
    }
    Ok(PixelMask { height, width, pixels })
}

/// As [`decode_mask`], for all masks of one image: a pixel is defective where it is in any of them.
///
/// # Errors
///
/// As [`decode_mask`], for the first that cannot be used.
pub fn decode_masks(
    paths: &[PathBuf],
    size @ [height, width]: [usize; 2],
    max_pixels: u64,
) -> Result<PixelMask> {
    let mut joined = PixelMask::empty(height, width);
    for path in paths {
        let mask = decode_mask(path, size, max_pixels)?;
        joined.pixels.iter_mut().zip(mask.pixels).for_each(|(joined, v)| *joined |= v);
    }
    Ok(joined)
}

/// The largest channel of every pixel, as far as it is opaque, in the values of the file.
fn values(image: DynamicImage) -> Vec<f32> {
    let color = image.color();
    let bytes = color.bytes_per_pixel() / color.channel_count();
    // Floating point masks hold any values: as if of 8 bits where they are between 0 and 1.
    let most = if bytes == 2 { 65535.0 } else { 255.0 };
    let pixels = image.into_rgba32f().into_raw();
    let pixels = pixels.as_chunks::<4>().0;
    let of_colour = |p: &[f32; 4]| p[0].max(p[1]).max(p[2]) * p[3] * most;
    let values: Vec<f32> = pixels.iter().map(|p| of_colour(p).round()).collect();
    if values.iter().all(|&v| v <= 0.0) || values.iter().zip(pixels).all(|(&v, p)| v == (p[3] * most).round())
    {
        let transparent = pixels.iter().any(|p| p[3] < 1.0);
        return if transparent { pixels.iter().map(|p| (p[3] * most).round()).collect() } else { values };
    }
    values
}

#[cfg(test)]
mod tests;

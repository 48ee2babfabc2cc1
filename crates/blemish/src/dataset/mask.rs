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
pub fn decode_mask(path: &Path, size: [usize; 2], max_pixels: u64) -> Result<PixelMask> {
    decode_mask_of(path, size, None, max_pixels)
}

/// As [`decode_mask`], for an image of a known size.
fn decode_mask_of(
    path: &Path,
    [height, width]: [usize; 2],
    original: Option<[usize; 2]>,
    max_pixels: u64,
) -> Result<PixelMask> {
    if height == 0 || width == 0 {
        return Err(Error::config("data.image_size", format!("{height} x {width} is not a size")));
    }
    let image = decode_dynamic(path, &read(path)?, max_pixels)?;
    let (source_height, source_width) = (image.height() as usize, image.width() as usize);
    if let Some(original) = original {
        require_shape(path, [source_height, source_width], original)?;
    }
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

/// As [`decode_mask`], for all masks of one image of the size `original`: a pixel is defective where it is in any of them.
///
/// # Errors
///
/// As [`decode_mask`], for the first that cannot be used; [`Error::Image`] for one whose sides are not in the image's proportion, which
/// would be stretched over other places than it marks.
pub fn decode_masks(
    paths: &[PathBuf],
    size @ [height, width]: [usize; 2],
    original: [usize; 2],
    max_pixels: u64,
) -> Result<PixelMask> {
    let mut joined = PixelMask::empty(height, width);
    for path in paths {
        let mask = decode_mask_of(path, size, Some(original), max_pixels)?;
        joined.pixels.iter_mut().zip(mask.pixels).for_each(|(joined, v)| *joined |= v);
    }
    Ok(joined)
}

/// Refuses a mask of another shape than its image: at its image's scale it may be a pixel off, where it was made smaller or larger.
fn require_shape(path: &Path, [height, width]: [usize; 2], [of_height, of_width]: [usize; 2]) -> Result<()> {
    let is_near = |side: usize, other: usize, of_side: usize, of_other: usize| {
        let expected = other as f64 * of_side as f64 / of_other.max(1) as f64;
        (side as f64 - expected).abs() <= 1.0
    };
    if is_near(height, width, of_height, of_width) || is_near(width, height, of_width, of_height) {
        return Ok(());
    }
    let reason = format!(
        "the mask has {height} x {width} pixels (height x width) and its image {of_height} x {of_width}: \
         another shape; make the mask at the image's size"
    );
    Err(Error::image(path, reason))
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

/// Said where [`are_inverted`] holds.
pub const INVERTED: &str = "more than half of every defective image is marked as defective: the masks may be \
    inverted (the defect, not the rest, must have the higher value)";

/// Whether masks seem to mark what is good: those of all defective images mark more than half of the image. Takes each mask's share of
/// defective pixels.
pub fn are_inverted(shares: impl IntoIterator<Item = f64>) -> bool {
    let mut shares = shares.into_iter().peekable();
    shares.peek().is_some() && shares.all(|share| share > 0.5)
}

#[cfg(test)]
mod tests;

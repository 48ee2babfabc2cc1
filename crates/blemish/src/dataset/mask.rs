//! Ground-truth masks, read from image files.

use std::path::Path;

use image::ColorType;

use crate::image::{PixelMask, decode_dynamic, read};
use crate::error::{Error, Result};

/// Masks without a higher value than this number their defects (0, 1, 2, ...) where others hold 0 and 255.
const LAST_DEFECT_NUMBER: u16 = 31;

/// Reads a ground-truth mask of up to `max_pixels` and brings it to `[H, W]` by nearest neighbour.
///
/// A pixel is defective where its value (the largest of its channels) is above half of the file's range: above 127 of
/// 8 bits, 32767 of 16. Masks that number their defects instead (values 0 and 1, or VisA's 0, 1, 2, ...) would be empty
/// by this rule: where no value is above 31, every value but 0 is defective. A mask of zeros is empty, not an error.
///
/// # Errors
///
/// As [`decode`](crate::image::decode()); [`Error::Config`] if `H` or `W` is 0.
pub fn decode_mask(path: &Path, [height, width]: [usize; 2], max_pixels: u64) -> Result<PixelMask> {
    if height == 0 || width == 0 {
        return Err(Error::config("image_size", format!("{height} x {width} is not a size")));
    }
    let picture = decode_dynamic(path, &read(path)?, max_pixels)?;
    let (source_height, source_width) = (picture.height() as usize, picture.width() as usize);
    let in_16_bits =
        matches!(picture.color(), ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16);
    let (channels, half): (Vec<u16>, u16) = if in_16_bits {
        (picture.into_rgb16().into_raw(), u16::MAX / 2)
    } else {
        (picture.into_rgb8().into_raw().into_iter().map(u16::from).collect(), u16::from(u8::MAX / 2))
    };
    let highest = channels.iter().copied().max().unwrap_or(0);
    let threshold = if highest <= LAST_DEFECT_NUMBER { 0 } else { half };

    // The source pixel under the centre of each target pixel.
    let under = |target: usize, from: usize, to: usize| (2 * target + 1) * from / (2 * to);
    let mut pixels = Vec::with_capacity(height * width);
    for y in 0..height {
        let row = under(y, source_height, height) * source_width;
        pixels.extend((0..width).map(|x| {
            let pixel = (row + under(x, source_width, width)) * 3;
            u8::from(channels[pixel..pixel + 3].iter().any(|value| *value > threshold))
        }));
    }
    Ok(PixelMask { height, width, pixels })
}

#[cfg(test)]
mod tests;

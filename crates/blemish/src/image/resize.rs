//! Resizing with a filter.

use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer, images};

use super::Image;
use crate::error::{Error, Result};

/// Resizes to `[H, W]`: bilinear, antialiased when it shrinks (the filter grows with the scale). The same size is a copy.
///
/// # Errors
///
/// [`Error::Config`] if a length is 0 or does not fit in 32 bits, or the image's fields contradict each other.
pub fn resize(image: &Image, size: [usize; 2]) -> Result<Image> {
    let &Image { height, width, channels, ref pixels } = image;
    if [height, width] == size {
        return Ok(image.clone());
    }
    let kind = if channels == 1 { PixelType::F32 } else { PixelType::F32x3 };
    let bilinear = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    let [source_height, source_width] = lengths([height, width])?;
    let [target_height, target_width] = lengths(size)?;
    let source = images::ImageRef::new(source_width, source_height, bytemuck::cast_slice(pixels), kind)
        .map_err(|reason| Error::config("image", reason.to_string()))?;
    let mut resized = vec![0.0f32; size[0] * size[1] * channels];
    let bytes = bytemuck::cast_slice_mut(&mut resized);
    let mut target = images::Image::from_slice_u8(target_width, target_height, bytes, kind)
        .map_err(|reason| Error::config("image", reason.to_string()))?;
    Resizer::new()
        .resize(&source, &mut target, &bilinear)
        .map_err(|reason| Error::config("data.image_size", reason.to_string()))?;
    Ok(Image { height: size[0], width: size[1], channels, pixels: resized })
}

/// Lengths as the resizer wants them.
fn lengths(size: [usize; 2]) -> Result<[u32; 2]> {
    match size.map(u32::try_from) {
        [Ok(height @ 1..), Ok(width @ 1..)] => Ok([height, width]),
        _ => Err(Error::config("data.image_size", format!("{} x {} is not a size", size[0], size[1]))),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn resizing() {
        let flat = Image { height: 9, width: 7, channels: 3, pixels: [0.1, 0.2, 0.3].repeat(63) };
        let resized = resize(&flat, [4, 15]).unwrap();
        assert_eq!((resized.height, resized.width, resized.channels), (4, 15, 3));
        let mut pairs = resized.pixels.iter().zip([0.1f32, 0.2, 0.3].repeat(60));
        assert!(resized.pixels.len() == 180 && pairs.all(|(a, b)| (a - b).abs() < 1e-6));
        assert_eq!(resize(&flat, [9, 7]).unwrap(), flat);
        // Antialiased: a fine checkerboard becomes even grey instead of a coarser one.
        let board = (0..64 * 64).map(|i| f32::from(u8::from((i / 64 + i % 64) % 2 != 0))).collect();
        let grey = resize(&Image { height: 64, width: 64, channels: 1, pixels: board }, [16, 16]).unwrap();
        assert!(grey.pixels.iter().all(|value| (0.4..0.61).contains(value)), "{:?}", &grey.pixels[..16]);
        assert!(matches!(resize(&flat, [0, 4]), Err(Error::Config { .. })));
        let torn = Image { pixels: vec![0.0; 5], ..flat };
        assert!(matches!(resize(&torn, [4, 4]), Err(Error::Config { .. })));
    }
}

//! Resizing with a filter.

use std::fmt::Display;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{F32, F32x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

use super::Image;
use crate::error::{Error, Result};

/// Resizes to `[H, W]`: bilinear, antialiased when it shrinks (the filter grows with the scale). The same size is a copy.
///
/// # Errors
///
/// [`Error::Config`] if a length is 0 or does not fit in 32 bits, or the image's fields contradict each other.
pub fn resize(image: &Image, size: [usize; 2]) -> Result<Image> {
    if [image.height, image.width] == size {
        return Ok(image.clone());
    }
    // Typed: the resizer's own dispatch would compile every pixel type there is.
    match image.channels {
        1 => resized::<F32>(image, size),
        _ => resized::<F32x3>(image, size),
    }
}

fn resized<P: PixelTrait>(image: &Image, size: [usize; 2]) -> Result<Image> {
    let [source_height, source_width] = lengths([image.height, image.width])?;
    let [target_height, target_width] = lengths(size)?;
    let wrong = |reason: &dyn Display| Error::config("image", reason.to_string());
    let bytes = bytemuck::cast_slice(&image.pixels);
    let source =
        TypedImageRef::<P>::from_buffer(source_width, source_height, bytes).map_err(|e| wrong(&e))?;
    let mut pixels = vec![0.0f32; size[0] * size[1] * image.channels];
    let bytes = bytemuck::cast_slice_mut(&mut pixels);
    let mut target =
        TypedImage::<P>::from_buffer(target_width, target_height, bytes).map_err(|e| wrong(&e))?;
    let bilinear = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new().resize_typed(&source, &mut target, &bilinear).map_err(|e| wrong(&e))?;
    Ok(Image { height: size[0], width: size[1], channels: image.channels, pixels })
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

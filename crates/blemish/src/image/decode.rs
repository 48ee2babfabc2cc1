//! From image files to [`Image`]s. What a file holds is told by its content, never by its name.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Cursor, ErrorKind, Seek};
use std::path::Path;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{F32, F32x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::Image;
use crate::error::{Error, Result};

/// Bytes that a decoder may use beside the picture itself.
const WORKSPACE: u64 = 16 << 20;

/// How images are decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeOptions {
    /// The most pixels (height times width) that an image may have: a larger one is refused before it is decoded.
    pub max_pixels: u64,
    /// 1 (grey) or 3 (RGB); `None` keeps what the file has.
    pub channels: Option<usize>,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self { max_pixels: 100_000_000, channels: None }
    }
}

/// Reads an image file: PNG, JPEG, BMP or TIFF (its first page), in its own depth.
///
/// EXIF orientation is applied. Values are divided by the largest that the file's depth can hold; palettes are resolved; CMYK
/// becomes RGB. Colour becomes grey by the Rec. 709 luma.
///
/// # Errors
///
/// [`Error::Io`] if the file cannot be read; [`Error::Image`] if it is empty, cut short, larger than
/// [`DecodeOptions::max_pixels`], of floating point values, or of an unknown format.
pub fn decode(path: &Path, options: &DecodeOptions) -> Result<Image> {
    decode_bytes(path, &read(path)?, options)
}

/// As [`decode`], for a file's bytes; `name` is what errors call it.
///
/// # Errors
///
/// As [`decode`], without [`Error::Io`].
pub fn decode_bytes(name: impl AsRef<Path>, bytes: &[u8], options: &DecodeOptions) -> Result<Image> {
    let image = decode_dynamic(name.as_ref(), bytes, options.max_pixels)?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    let deep = image.color().bytes_per_pixel() > image.color().channel_count();
    let colour = image.color().has_color();
    let values: Vec<f32> = match (colour, deep) {
        (false, false) => scaled(image.into_luma8().into_raw(), u8::MAX),
        (false, true) => scaled(image.into_luma16().into_raw(), u16::MAX),
        (true, false) => scaled(image.into_rgb8().into_raw(), u8::MAX),
        (true, true) => scaled(image.into_rgb16().into_raw(), u16::MAX),
    };
    let own = if colour { 3 } else { 1 };
    Image { height, width, channels: own, pixels: values }.with_channels(options.channels.unwrap_or(own))
}

fn scaled<T: Into<f32> + Copy>(values: Vec<T>, most: T) -> Vec<f32> {
    let most: f32 = most.into();
    values.into_iter().map(|v| v.into() / most).collect()
}

/// The size `[H, W]` of an image file as [`decode`] would give it, read from the file's header.
///
/// # Errors
///
/// As [`decode`], as far as the header shows it.
pub fn dimensions(path: &Path) -> Result<[usize; 2]> {
    let file = File::open(path).map_err(|source| Error::io(path, source))?;
    let mut decoder = open(path, BufReader::new(file))?;
    let (width, height) = decoder.dimensions();
    // The four orientations from 5 on swap rows and columns.
    let turned = decoder.orientation().map_err(|reason| undecodable(path, reason))?.to_exif() >= 5;
    Ok(if turned { [width, height] } else { [height, width] }.map(|length| length as usize))
}

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
    let mut resized = vec![0.0f32; size[0] * size[1] * channels];
    let (source, target) = (bytemuck::cast_slice(pixels), bytemuck::cast_slice_mut(&mut resized));
    let (from, to) = (lengths([height, width])?, lengths(size)?);
    // By its kind of pixel, so that the code for all others is not part of the library.
    match channels {
        1 => resize_as::<F32>(source, from, target, to)?,
        _ => resize_as::<F32x3>(source, from, target, to)?,
    }
    Ok(Image { height: size[0], width: size[1], channels, pixels: resized })
}

fn resize_as<P: PixelTrait>(source: &[u8], from: [u32; 2], target: &mut [u8], to: [u32; 2]) -> Result<()> {
    let bilinear = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    let source = TypedImageRef::<P>::from_buffer(from[1], from[0], source)
        .map_err(|reason| Error::config("image", reason.to_string()))?;
    let mut target = TypedImage::<P>::from_buffer(to[1], to[0], target)
        .map_err(|reason| Error::config("image", reason.to_string()))?;
    Resizer::new()
        .resize_typed(&source, &mut target, &bilinear)
        .map_err(|reason| Error::config("data.image_size", reason.to_string()))
}

/// Lengths as the resizer wants them.
fn lengths(size: [usize; 2]) -> Result<[u32; 2]> {
    match size.map(u32::try_from) {
        [Ok(height @ 1..), Ok(width @ 1..)] => Ok([height, width]),
        _ => Err(Error::config("data.image_size", format!("{} x {} is not a size", size[0], size[1]))),
    }
}

/// A file's bytes.
///
/// # Errors
/// [`Error::Io`].
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|source| Error::io(path, source))
}

/// Decodes what a file holds, in its own depth, turned upright.
///
/// # Errors
/// As [`decode`].
pub fn decode_dynamic(name: &Path, bytes: &[u8], max_pixels: u64) -> Result<DynamicImage> {
    let undecodable = |reason| undecodable(name, reason);
    let mut decoder = open(name, Cursor::new(bytes))?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > max_pixels {
        let reason = format!("{width} x {height} are {pixels} pixels, more than the limit of {max_pixels}");
        return Err(Error::image(name, reason));
    }
    // Room for the decoded image and as much again to work in.
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(decoder.total_bytes().saturating_mul(2).saturating_add(WORKSPACE));
    decoder.set_limits(limits).map_err(undecodable)?;
    if matches!(decoder.color_type(), ColorType::Rgb32F | ColorType::Rgba32F) {
        return Err(Error::image(name, "floating point values have no fixed range; convert to 8 or 16 bits"));
    }
    if bytes.starts_with(&[0xFF, 0xD8]) && !jpeg_is_complete(bytes) {
        return Err(Error::image(name, "the file is cut short: a JPEG without its end marker"));
    }
    let orientation = decoder.orientation().map_err(undecodable)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(undecodable)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// Reads a file's header, whichever format its first bytes show.
fn open<'a, R: BufRead + Seek + 'a>(name: &Path, source: R) -> Result<impl ImageDecoder + 'a> {
    let reader = ImageReader::new(source).with_guessed_format().map_err(|source| Error::io(name, source))?;
    match reader.format() {
        Some(ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Bmp | ImageFormat::Tiff) => {}
        Some(other) => {
            return Err(Error::image(name, format!("{other:?} is not one of PNG, JPEG, BMP, TIFF")));
        }
        None => return Err(Error::image(name, "empty or not an image: not one of PNG, JPEG, BMP, TIFF")),
    }
    let decoder = reader.into_decoder().map_err(|reason| undecodable(name, reason))?;
    if decoder.dimensions().0 == 0 || decoder.dimensions().1 == 0 {
        return Err(Error::image(name, "the image has no pixels"));
    }
    Ok(decoder)
}

fn undecodable(name: &Path, reason: ImageError) -> Error {
    let reason = match reason {
        ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            "the file is cut short".to_owned()
        }
        ImageError::Limits(_) => "the image is too large to be decoded".to_owned(),
        other => other.to_string().trim_end().to_owned(),
    };
    Error::image(name, reason)
}

/// Whether a JPEG has its end marker. The decoder fills what a cut file lacks with grey and reports nothing.
///
/// Segments are stepped over by their length, so that the end of a thumbnail in the EXIF segment does not count;
/// compressed data is searched byte by byte, where every `FF` before anything but `00` begins a marker.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    const STANDALONE: [u8; 11] = [0x00, 0x01, 0xD0, 0xD1, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8];
    let mut at = 0;
    while let Some(&[first, marker, ref rest @ ..]) = bytes.get(at..) {
        at += match (first, marker) {
            (0xFF, 0xD9) => return true,
            (0xFF, 0xFF) => 1,
            (0xFF, marker) if !STANDALONE.contains(&marker) => match *rest {
                [high, low, ..] => 2 + usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
            (0xFF, _) => 2,
            _ => 1,
        };
    }
    false
}

#[cfg(test)]
mod tests;

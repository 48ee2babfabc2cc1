//! From image files to [`Image`]s. What a file holds is told by its content, never by its name.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Cursor, ErrorKind, Seek};
use std::path::Path;

use image::codecs::png::PngDecoder;
use image::codecs::tiff::TiffDecoder;
use image::codecs::webp::WebPDecoder;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::{Image, ImageFacts, tiff};
use crate::error::{Error, Result};
use crate::read::not_a_file;

/// Bytes that a decoder may use beside the image itself.
const WORKSPACE: u64 = 16 << 20;

/// The formats that are read, for messages.
const FORMATS: &str = "PNG, JPEG, BMP, TIFF, WebP, PNM";

/// Formats that tests write and read.
#[cfg(test)]
pub(crate) const TESTED_FORMATS: [ImageFormat; 6] = [
    ImageFormat::Png,
    ImageFormat::Jpeg,
    ImageFormat::Bmp,
    ImageFormat::Tiff,
    ImageFormat::WebP,
    ImageFormat::Pnm,
];

/// How images are decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodeOptions {
    /// The most pixels (height times width) that an image may have: a larger one is refused before it is decoded.
    pub max_pixels: u64,
    /// 1 (grey) or 3 (RGB); `None` keeps what the file has.
    pub channels: Option<usize>,
    /// Which values of an image of more than 8 bits become 0 and 1; see [`depth_range`](super::depth_range). `None`: 0 and the
    /// largest that its depth can hold.
    pub range: Option<[f64; 2]>,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self { max_pixels: 100_000_000, channels: None, range: None }
    }
}

/// Reads an image file: PNG, JPEG, BMP, TIFF (also BigTIFF, and 32-bit floating point), WebP or PNM, in its own depth.
///
/// EXIF orientation is applied. Values are divided by the largest that the file's depth can hold; floating point values are
/// taken as they are. Palettes are resolved; CMYK becomes RGB. Colour becomes grey by the Rec. 709 luma. What is transparent is
/// laid on white, as photographs of products are shown, so that colours hidden below it do not matter.
///
/// # Errors
///
/// [`Error::Io`] if the file cannot be read; [`Error::Image`] if it is no regular file, empty, cut short, larger than
/// [`DecodeOptions::max_pixels`], of several pages, of floating point values outside 0 to 1 without [`DecodeOptions::range`], or
/// of an unknown format.
pub fn decode(path: &Path, options: &DecodeOptions) -> Result<Image> {
    decode_with_facts(path, options).map(|(image, _)| image)
}

/// As [`decode`], with what the file is like before channels and range are settled.
///
/// # Errors
///
/// As [`decode`].
pub fn decode_with_facts(path: &Path, options: &DecodeOptions) -> Result<(Image, ImageFacts)> {
    from_bytes(path, &read(path)?, options)
}

/// As [`decode`], for a file's bytes; `name` is what errors call it.
///
/// # Errors
///
/// As [`decode`], without [`Error::Io`].
pub fn decode_bytes(name: impl AsRef<Path>, bytes: &[u8], options: &DecodeOptions) -> Result<Image> {
    from_bytes(name.as_ref(), bytes, options).map(|(image, _)| image)
}

fn from_bytes(name: &Path, bytes: &[u8], options: &DecodeOptions) -> Result<(Image, ImageFacts)> {
    let decoded = decode_dynamic(name, bytes, options.max_pixels)?;
    let (bits, image) = (bits_of(&decoded), on_white(decoded));
    if bits == 32 {
        check_floats(name, &image, options.range.is_some())?;
    }
    let image = match options.range {
        Some(range) if bits > 8 => image.in_range(range),
        _ => image,
    };
    let facts = ImageFacts::new(&image, bits);
    let channels = options.channels.unwrap_or(image.channels);
    Ok((image.with_channels(channels)?, facts))
}

/// Bits a sample: 8, 16, or 32 for floating point.
fn bits_of(image: &DynamicImage) -> u32 {
    let color = image.color();
    8 * u32::from(color.bytes_per_pixel() / color.channel_count())
}

/// A decoded image with its own channels but for transparency, which is laid on white.
fn on_white(image: DynamicImage) -> Image {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let (bits, alpha, colour) = (bits_of(&image), image.color().has_alpha(), image.color().has_color());
    let values = match (bits, colour, alpha) {
        (8, false, false) => scaled(image.into_luma8().into_raw(), u8::MAX),
        (8, false, true) => scaled(image.into_luma_alpha8().into_raw(), u8::MAX),
        (8, true, false) => scaled(image.into_rgb8().into_raw(), u8::MAX),
        (8, true, true) => scaled(image.into_rgba8().into_raw(), u8::MAX),
        (16, false, false) => scaled(image.into_luma16().into_raw(), u16::MAX),
        (16, false, true) => scaled(image.into_luma_alpha16().into_raw(), u16::MAX),
        (16, true, false) => scaled(image.into_rgb16().into_raw(), u16::MAX),
        (16, true, true) => scaled(image.into_rgba16().into_raw(), u16::MAX),
        (_, _, false) => image.into_rgb32f().into_raw(),
        (_, _, true) => image.into_rgba32f().into_raw(),
    };
    let channels = if colour { 3 } else { 1 };
    let pixels = if alpha {
        let laid = |pixel: &[f32]| {
            let alpha = pixel[channels];
            (0..channels).map(|c| pixel[c] * alpha + (1.0 - alpha)).collect::<Vec<f32>>()
        };
        values.chunks_exact(channels + 1).flat_map(laid).collect()
    } else {
        values
    };
    let image = Image { height, width, channels, pixels };
    // Floating point grey comes as three equal channels.
    if bits == 32 && image.is_grey() {
        return Image { channels: 1, pixels: image.pixels.into_iter().step_by(3).collect(), ..image };
    }
    image
}

fn scaled<T: Into<f32> + Copy>(values: Vec<T>, most: T) -> Vec<f32> {
    let most: f32 = most.into();
    values.into_iter().map(|v| v.into() / most).collect()
}

/// Floating point values have no depth that would say what white is.
fn check_floats(name: &Path, image: &Image, has_range: bool) -> Result<()> {
    if !image.pixels.iter().all(|v| v.is_finite()) {
        return Err(Error::image(name, "holds floating point values that are not finite (NaN or infinity)"));
    }
    let low = image.pixels.iter().copied().fold(f32::INFINITY, f32::min);
    let high = image.pixels.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if !has_range && (low < 0.0 || high > 1.0) {
        let reason = format!(
            "holds floating point values from {low} to {high}, and 0 to 1 are read: set `data.range` to the values of black \
             and white, such as `data.range=[{low}, {high}]`, or save as 16 bits"
        );
        return Err(Error::image(name, reason));
    }
    Ok(())
}

/// The size `[H, W]` of an image file as [`decode`] would give it, read from the file's header.
///
/// # Errors
///
/// As [`decode`], as far as the header shows it.
pub fn dimensions(path: &Path) -> Result<[usize; 2]> {
    require_regular(path)?;
    let file = File::open(path).map_err(|source| Error::io(path, source))?;
    let mut source = BufReader::new(file);
    if tiff::is_tiff(source.fill_buf().map_err(|source| Error::io(path, source))?) {
        return Ok(tiff::Header::read(path, source)?.upright());
    }
    let mut decoder = open(path, source)?;
    let (width, height) = decoder.dimensions();
    // The four orientations from 5 on swap rows and columns.
    let turned = decoder.orientation().map_err(|reason| undecodable(path, reason))?.to_exif() >= 5;
    Ok(if turned { [width, height] } else { [height, width] }.map(|length| length as usize))
}

/// A file's bytes.
///
/// # Errors
/// [`Error::Io`]; [`Error::Image`] for a pipe, socket or device, which might never end.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    require_regular(path)?;
    fs::read(path).map_err(|source| Error::io(path, source))
}

fn require_regular(path: &Path) -> Result<()> {
    not_a_file(path)?.map_or(Ok(()), |reason| Err(Error::image(path, reason)))
}

/// Whether these first bytes of a file are those of a format that is read.
pub fn is_readable(first: &[u8]) -> bool {
    tiff::is_tiff(first) || image::guess_format(first).is_ok_and(is_read)
}

fn is_read(format: ImageFormat) -> bool {
    use ImageFormat::{Bmp, Jpeg, Png, Pnm, Tiff, WebP};
    matches!(format, Png | Jpeg | Bmp | Tiff | WebP | Pnm)
}

/// Decodes what a file holds, in its own depth, turned upright. Floating point grey becomes three equal channels.
///
/// # Errors
/// As [`decode`].
pub fn decode_dynamic(name: &Path, bytes: &[u8], max_pixels: u64) -> Result<DynamicImage> {
    let undecodable = |reason| undecodable(name, reason);
    if tiff::is_tiff(bytes) {
        let header = tiff::Header::read(name, Cursor::new(bytes))?;
        header.check(name)?;
        require_size(name, header.size, max_pixels)?;
        if header.is_float {
            return tiff::decode_float(name, bytes, &header);
        }
        let decoder = TiffDecoder::new(Cursor::new(bytes)).map_err(undecodable)?;
        return upright(name, decoder, max_pixels);
    }
    if bytes.starts_with(&[0xFF, 0xD8]) && !jpeg_is_complete(bytes) {
        return Err(Error::image(name, "the file is cut short: a JPEG without its end marker"));
    }
    let decoder = open(name, Cursor::new(bytes))?;
    refuse_animation(name, bytes)?;
    upright(name, decoder, max_pixels)
}

fn upright(name: &Path, mut decoder: impl ImageDecoder, max_pixels: u64) -> Result<DynamicImage> {
    let undecodable = |reason| undecodable(name, reason);
    let (width, height) = decoder.dimensions();
    require_size(name, [height, width].map(|side| side as usize), max_pixels)?;
    // Room for the decoded image and as much again to work in.
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(decoder.total_bytes().saturating_mul(2).saturating_add(WORKSPACE));
    decoder.set_limits(limits).map_err(undecodable)?;
    let orientation = decoder.orientation().map_err(undecodable)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(undecodable)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// Refuses an image without pixels, or with more than `max_pixels`.
pub(crate) fn require_size(name: &Path, [height, width]: [usize; 2], max_pixels: u64) -> Result<()> {
    let pixels = (width as u64).saturating_mul(height as u64);
    if pixels == 0 {
        return Err(Error::image(name, "the image has no pixels"));
    }
    if pixels > max_pixels {
        let reason = format!(
            "{width} x {height} are {pixels} pixels, more than the limit of {max_pixels}: raise `--max-pixels` (the setting \
             `data.max_pixels`)"
        );
        return Err(Error::image(name, reason));
    }
    Ok(())
}

/// Refuses an animation, of which only one frame would be read.
fn refuse_animation(name: &Path, bytes: &[u8]) -> Result<()> {
    let animated = match image::guess_format(bytes) {
        Ok(ImageFormat::Png) => {
            PngDecoder::new(Cursor::new(bytes)).and_then(|png| png.is_apng()).unwrap_or(false)
        }
        Ok(ImageFormat::WebP) => WebPDecoder::new(Cursor::new(bytes)).is_ok_and(|webp| webp.has_animation()),
        _ => false,
    };
    if animated {
        return Err(Error::image(
            name,
            "is an animation of several frames: save each as an image of its own",
        ));
    }
    Ok(())
}

/// Reads a file's header, whichever format its first bytes show, but for TIFF.
fn open<'a, R: BufRead + Seek + 'a>(name: &Path, source: R) -> Result<impl ImageDecoder + 'a> {
    let reader = ImageReader::new(source).with_guessed_format().map_err(|source| Error::io(name, source))?;
    match reader.format() {
        Some(format) if is_read(format) => {}
        Some(other) => return Err(Error::image(name, format!("{other:?} is not one of {FORMATS}"))),
        None => return Err(Error::image(name, format!("empty or not an image: not one of {FORMATS}"))),
    }
    reader.into_decoder().map_err(|reason| undecodable(name, reason))
}

pub(super) fn undecodable(name: &Path, reason: ImageError) -> Error {
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

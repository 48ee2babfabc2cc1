//! TIFF: which kinds are read, and floating point values.

use std::io::{BufRead, Cursor, ErrorKind, Seek};
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageBuffer};
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;
use tiff::{ColorType, TiffError};

use crate::error::{Error, Result};

/// Samples that are IEEE floating point numbers, in the tag `SampleFormat`.
const FLOAT: u64 = 3;
/// Samples that are signed, in the same tag.
const SIGNED: u64 = 2;
/// Bits of `NewSubfileType` that say that a page is a smaller copy or a mask of another.
const DERIVED: u64 = 0b101;
/// More pages than this are not counted.
const MAX_PAGES: usize = 10_000;

/// Whether a file begins like a classic TIFF or a BigTIFF of either byte order.
pub(crate) fn is_tiff(bytes: &[u8]) -> bool {
    [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"].iter().any(|magic| bytes.starts_with(*magic))
}

/// What a TIFF's header says of its first page.
#[derive(Clone, Debug)]
pub struct Header {
    /// Height and width as stored.
    pub size: [usize; 2],
    /// Whether its values are floating point numbers.
    pub is_float: bool,
    orientation: Option<Orientation>,
    is_signed: bool,
    color: ColorType,
    /// Pages that are images of their own.
    pages: usize,
}

impl Header {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::Image`] for a file that is no TIFF or cut short.
    pub fn read<R: BufRead + Seek>(name: &Path, source: R) -> Result<Self> {
        let wrong = |error| undecodable(name, error);
        let mut decoder = Decoder::new(source).map_err(wrong)?;
        let (width, height) = decoder.dimensions().map_err(wrong)?;
        let color = decoder.colortype().map_err(wrong)?;
        let formats =
            decoder.find_tag_unsigned_vec::<u64>(Tag::SampleFormat).map_err(wrong)?.unwrap_or_default();
        let turned = decoder.find_tag_unsigned::<u8>(Tag::Orientation).ok().flatten();
        let mut pages = 1;
        // At most so many: a page may point back to an earlier one.
        for _ in 0..MAX_PAGES {
            if !decoder.more_images() || decoder.next_image().is_err() {
                break;
            }
            let kind = decoder.find_tag_unsigned::<u64>(Tag::NewSubfileType).ok().flatten().unwrap_or(0);
            pages += usize::from(kind & DERIVED == 0);
        }
        Ok(Self {
            size: [height as usize, width as usize],
            is_float: formats.contains(&FLOAT),
            orientation: turned.and_then(Orientation::from_exif),
            is_signed: formats.contains(&SIGNED),
            color,
            pages,
        })
    }

    /// Height and width once it is turned upright.
    pub fn upright(&self) -> [usize; 2] {
        let [height, width] = self.size;
        let turned = self.orientation.is_some_and(|orientation| orientation.to_exif() >= 5);
        if turned { [width, height] } else { [height, width] }
    }

    /// Refuses what is not read, in words that say what to do.
    ///
    /// # Errors
    /// [`Error::Image`].
    pub fn check(&self, name: &Path) -> Result<()> {
        if self.pages > 1 {
            let reason = format!(
                "is a TIFF of {} pages, of which only one would be read: save each page as a file of its own",
                self.pages
            );
            return Err(Error::image(name, reason));
        }
        let refused =
            |what: &str| Err(Error::image(name, format!("is a TIFF of {what}: save it as 8 or 16 bits")));
        let bits = self.color.bit_depth();
        match self.color {
            _ if self.is_signed => refused(&format!("signed {bits}-bit values, which are not read")),
            ColorType::Gray(32) | ColorType::RGB(32) | ColorType::RGBA(32) | ColorType::GrayA(32)
                if self.is_float =>
            {
                Ok(())
            }
            _ if self.is_float => {
                refused(&format!("{bits}-bit floating point values, and only 32 bits are read"))
            }
            ColorType::Gray(1 | 8 | 16) | ColorType::GrayA(8 | 16) | ColorType::RGB(8 | 16) => Ok(()),
            ColorType::RGBA(8 | 16) | ColorType::CMYK(8 | 16) => Ok(()),
            ColorType::Gray(_) | ColorType::GrayA(_) | ColorType::RGB(_) | ColorType::RGBA(_) => {
                refused(&format!("{bits}-bit integers, which are not read"))
            }
            ColorType::Palette(_) => refused("palette colours, which are not read"),
            other => refused(&format!("a kind of colour that is not read ({other:?})")),
        }
    }
}

/// The floating point values of a checked file, as RGB or RGBA, turned upright.
///
/// # Errors
/// [`Error::Image`] for a file that is damaged or cut short.
pub(crate) fn decode_float(name: &Path, bytes: &[u8], header: &Header) -> Result<DynamicImage> {
    let wrong = |error| undecodable(name, error);
    // The size has been checked; the decoder's own limit is lower.
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(wrong)?.with_limits(Limits::unlimited());
    let DecodingResult::F32(values) = decoder.read_image().map_err(wrong)? else {
        return Err(Error::image(name, "is a TIFF that says it is of floating point values, and is not"));
    };
    let [height, width] = header.size.map(|side| side as u32);
    let values: Vec<f32> = match header.color {
        ColorType::Gray(_) => values.iter().flat_map(|&v| [v; 3]).collect(),
        ColorType::GrayA(_) => values.as_chunks::<2>().0.iter().flat_map(|&[v, a]| [v, v, v, a]).collect(),
        _ => values,
    };
    let image = match header.color {
        ColorType::Gray(_) | ColorType::RGB(_) => {
            ImageBuffer::from_raw(width, height, values).map(DynamicImage::ImageRgb32F)
        }
        _ => ImageBuffer::from_raw(width, height, values).map(DynamicImage::ImageRgba32F),
    };
    let mut image = image.ok_or_else(|| Error::image(name, "the file is cut short"))?;
    image.apply_orientation(header.orientation.unwrap_or(Orientation::NoTransforms));
    Ok(image)
}

fn undecodable(name: &Path, error: TiffError) -> Error {
    let reason = match error {
        TiffError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            "the file is cut short".to_owned()
        }
        other => other.to_string().trim_end().to_owned(),
    };
    Error::image(name, reason)
}

//! Somebody else's pixels: a struct of numbers and a pointer becomes an [`ImageView`], or an error.
#![expect(unsafe_code, reason = "reads the caller's buffer")]

use std::ffi::c_void;
use std::slice;

use blemish::ImageView;
use blemish::image::Order;

use crate::failure::{BlemishStatus, Failure};

/// What the samples of an image buffer are. 16-bit samples are in the byte order of the machine; they may lie at odd addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum BlemishFormat {
    /// One byte a pixel.
    Grey8 = 1,
    /// Red, green, blue, a byte each.
    Rgb8 = 2,
    /// Blue, green, red, a byte each.
    Bgr8 = 3,
    /// Two bytes a pixel.
    Grey16 = 4,
    /// Red, green, blue, two bytes each.
    Rgb16 = 5,
    /// Blue, green, red, two bytes each.
    Bgr16 = 6,
}

/// An image in the caller's memory, which is only read, and only during the call.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct BlemishImage {
    /// The first pixel of the first row; the top row comes first.
    pub data: *const c_void,
    /// Bytes that may be read from `data` on.
    pub size: usize,
    /// Bytes from the start of a row to the start of the next; 0: rows follow each other without a gap.
    pub stride: usize,
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// A `blemish_format`.
    pub format: u32,
}

/// A buffer's shape, checked, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    width: usize,
    height: usize,
    order: Order,
    /// 1 or 2.
    sample: usize,
    row: usize,
    stride: usize,
    /// From the first to the last byte that is read.
    needed: usize,
}

impl Layout {
    fn of(image: &BlemishImage) -> Result<Self, Failure> {
        let bad = |message: String| Failure::new(BlemishStatus::Image, format!("image: {message}"));
        let (order, channels, sample) = match image.format {
            f if f == BlemishFormat::Grey8 as u32 => (Order::Grey, 1, 1),
            f if f == BlemishFormat::Rgb8 as u32 => (Order::Rgb, 3, 1),
            f if f == BlemishFormat::Bgr8 as u32 => (Order::Bgr, 3, 1),
            f if f == BlemishFormat::Grey16 as u32 => (Order::Grey, 1, 2),
            f if f == BlemishFormat::Rgb16 as u32 => (Order::Rgb, 3, 2),
            f if f == BlemishFormat::Bgr16 as u32 => (Order::Bgr, 3, 2),
            other => return Err(bad(format!("format {other} is none of blemish_format"))),
        };
        let (width, height) = (image.width as usize, image.height as usize);
        if width == 0 || height == 0 {
            return Err(bad(format!("{width} x {height} has no pixels")));
        }
        let row = width * channels * sample;
        let stride = if image.stride == 0 { row } else { image.stride };
        if stride < row {
            return Err(bad(format!("a row has {row} bytes, but the next begins {stride} after it")));
        }
        let needed = (height - 1).checked_mul(stride).and_then(|rows| rows.checked_add(row));
        let needed = needed.filter(|&needed| isize::try_from(needed).is_ok());
        let needed =
            needed.ok_or_else(|| bad(format!("{height} rows of {stride} bytes are more than memory has")))?;
        if needed > image.size {
            let have = image.size;
            return Err(bad(format!(
                "{have} bytes are too few for {width} x {height} pixels, which take {needed}"
            )));
        }
        if image.data.is_null() {
            return Err(bad("data is null".to_owned()));
        }
        if image.data.addr().checked_add(needed).is_none() {
            return Err(bad("data runs over the end of the address space".to_owned()));
        }
        Ok(Self { width, height, order, sample, row, stride, needed })
    }
}

/// Calls `work` with a view of the image. Pixels are copied only where 16-bit samples do not lie at even addresses.
///
/// # Errors
/// [`BlemishStatus::Image`], and what `work` gives.
///
/// # Safety
/// `image.data` must be readable for `image.size` bytes, and nobody may write there until this returns; a null pointer and a
/// shape that does not fit that size are errors.
pub unsafe fn with_view<R>(
    image: &BlemishImage,
    work: impl FnOnce(ImageView<'_>) -> Result<R, Failure>,
) -> Result<R, Failure> {
    let layout = Layout::of(image)?;
    let Layout { width, height, order, sample, row, stride, needed } = layout;
    if sample == 1 {
        // SAFETY: not null, and readable without writers for `size >= needed` bytes (contract); `needed` fits an `isize`.
        let bytes = unsafe { slice::from_raw_parts(image.data.cast::<u8>(), needed) };
        return work(ImageView::bytes(bytes, width, height, order).with_stride(stride));
    }
    if image.data.cast::<u16>().is_aligned() && stride.is_multiple_of(2) {
        // SAFETY: as above, and aligned; `needed` is even, as stride and row are.
        let words = unsafe { slice::from_raw_parts(image.data.cast::<u16>(), needed / 2) };
        return work(ImageView::words(words, width, height, order).with_stride(stride / 2));
    }
    // SAFETY: as above; bytes need no alignment.
    let bytes = unsafe { slice::from_raw_parts(image.data.cast::<u8>(), needed) };
    let rows = bytes.chunks(stride).flat_map(|line| line[..row].as_chunks::<2>().0);
    let words: Vec<u16> = rows.map(|&pair| u16::from_ne_bytes(pair)).collect();
    work(ImageView::words(&words, width, height, order))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn image<T>(data: &[T], [width, height]: [u32; 2], stride: usize, format: BlemishFormat) -> BlemishImage {
        let (size, format) = (size_of_val(data), format as u32);
        BlemishImage { data: data.as_ptr().cast(), size, stride, width, height, format }
    }

    fn pixels(image: &BlemishImage, channels: usize) -> Result<Vec<f32>, Failure> {
        // SAFETY: made from slices by `image`, or refused before it is read.
        unsafe { with_view(image, |view| Ok(view.to_image(channels)?.pixels)) }
    }

    #[test]
    fn formats_and_strides_by_hand() {
        let grey = [0u8, 255, 9, 51, 102];
        assert_eq!(pixels(&image(&grey, [2, 2], 3, BlemishFormat::Grey8), 1).unwrap(), [0.0, 1.0, 0.2, 0.4]);
        assert_eq!(
            pixels(&image(&[255u8, 0, 51], [1, 1], 0, BlemishFormat::Bgr8), 3).unwrap(),
            [0.2, 0.0, 1.0]
        );
        assert_eq!(
            pixels(&image(&[255u8, 0, 51], [1, 1], 0, BlemishFormat::Rgb8), 3).unwrap(),
            [1.0, 0.0, 0.2]
        );
        let words = [65535u16, 0, 13107, 7, 26214, 0, 0];
        assert_eq!(
            pixels(&image(&words, [1, 2], 8, BlemishFormat::Bgr16), 3).unwrap(),
            [0.2, 0.0, 1.0, 0.0, 0.0, 0.4]
        );
        assert_eq!(
            pixels(&image(&words, [1, 2], 8, BlemishFormat::Rgb16), 3).unwrap(),
            [1.0, 0.0, 0.2, 0.4, 0.0, 0.0]
        );
    }

    #[test]
    fn sixteen_bits_may_lie_anywhere() {
        let values = [65535u16, 13107, 0, 26214];
        let straight = pixels(&image(&values, [2, 2], 0, BlemishFormat::Grey16), 1).unwrap();
        // Rows 5 bytes apart: whatever the address of the first is, the second differs in oddness.
        for shift in 0..2 {
            let mut bytes = vec![0xaau8; shift + 5 + 4];
            for (at, value) in [0, 2, 5, 7].into_iter().zip(values) {
                bytes[shift + at..][..2].copy_from_slice(&value.to_ne_bytes());
            }
            assert_eq!(
                pixels(&image(&bytes[shift..], [2, 2], 5, BlemishFormat::Grey16), 1).unwrap(),
                straight
            );
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        let bytes = [0u8; 16];
        let good = image(&bytes, [4, 4], 0, BlemishFormat::Grey8);
        assert!(pixels(&good, 1).is_ok());
        let max = u32::MAX;
        let huge = BlemishImage { size: usize::MAX, width: 1, height: max, stride: usize::MAX, ..good };
        for (bad, said) in [
            (BlemishImage { data: std::ptr::null(), ..good }, "null"),
            (BlemishImage { size: 15, ..good }, "too few"),
            (BlemishImage { width: 0, ..good }, "no pixels"),
            (BlemishImage { height: 0, ..good }, "no pixels"),
            (BlemishImage { width: max, height: max, ..good }, "more than memory has"),
            (BlemishImage { stride: 3, ..good }, "a row has 4 bytes"),
            (BlemishImage { stride: 5, ..good }, "too few"),
            (BlemishImage { stride: usize::MAX, ..good }, "more than memory has"),
            (huge, "more than memory has"),
            (BlemishImage { format: 0, ..good }, "format 0"),
            (BlemishImage { format: 7, ..good }, "format 7"),
            (BlemishImage { format: BlemishFormat::Rgb8 as u32, ..good }, "too few"),
            (BlemishImage { data: std::ptr::without_provenance(usize::MAX - 3), ..good }, "address space"),
        ] {
            let failure = pixels(&bad, 1).unwrap_err();
            assert_eq!(failure.status, BlemishStatus::Image);
            assert!(failure.message.contains(said), "{said}: {}", failure.message);
        }
    }
}

//! Anomaly maps as images: what is wrong, and where.

use std::path::Path;

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

use crate::error::{Error, Result};
use crate::image::{ByteImage, PixelMask};
use crate::metrics::outlined;
use crate::write::write_whole;

/// Colour of the line around what the detector found; like the next one it is not in the colour map.
pub(super) const FOUND_COLOUR: [u8; 3] = [255, 0, 170];

/// Colour of the line around the ground truth.
pub(super) const TRUTH_COLOUR: [u8; 3] = [0, 190, 255];

/// Share of the heat colour in a pixel at or above the threshold; the rest is the image, which must remain visible.
const HEAT_OPACITY: f32 = 0.3;

/// The map "inferno" (Smith and van der Walt, matplotlib, CC0) at nine even steps; lightness rises throughout.
const INFERNO: [[u8; 3]; 9] = [
    [0, 0, 4],
    [33, 12, 74],
    [87, 16, 110],
    [138, 34, 106],
    [188, 55, 84],
    [228, 90, 49],
    [249, 142, 9],
    [249, 203, 53],
    [252, 255, 164],
];

/// The colour of `value`, clamped to \[0, 1\]: black, purple, red, orange, pale yellow. NaN is black.
pub(super) fn colour_map(value: f32) -> [u8; 3] {
    let position = value.clamp(0.0, 1.0) * (INFERNO.len() - 1) as f32;
    let below = (position as usize).min(INFERNO.len() - 2);
    mix(INFERNO[below], INFERNO[below + 1], position - below as f32)
}

/// The whole map in colours, black at 0, pale yellow at `scale_max` and above.
///
/// # Shapes
/// `map` is `[height, width]`; missing values are black.
pub fn heat(map: &[f32], height: usize, width: usize, scale_max: f32) -> ByteImage {
    let values = map.iter().copied().chain(std::iter::repeat(0.0)).take(height * width);
    let pixels = values.flat_map(|v| colour_map(v / scale_max)).collect();
    ByteImage { height, width, channels: 3, pixels }
}

/// Which pixels of an image are [outlined] where the map has `from` or more.
pub(super) fn found(map: &[f32], image: &ByteImage, from: f32) -> Vec<bool> {
    let mut found = outlined(map, image.width, from);
    found.resize(image.height * image.width, false);
    found
}

/// The image with the map's colours over it where it is [outlined] from `threshold` on, in the scale of [`heat`],
/// a line around these regions, and another around the ground truth when it is given.
///
/// The lines run outside what they enclose, so that a defect of a few pixels is not hidden by its own outline.
///
/// # Shapes
/// `map` and `mask` have the image's height and width. A mask of another size is not drawn; pixels for which
/// the map has no number stay as they are.
pub fn overlay(
    image: &ByteImage,
    map: &[f32],
    threshold: f32,
    scale_max: f32,
    mask: Option<&PixelMask>,
) -> ByteImage {
    let mut blended = to_rgb(image);
    let found = found(map, image, threshold);
    for ((pixel, found), &value) in blended.pixels.chunks_exact_mut(3).zip(&found).zip(map) {
        if *found {
            let base = [pixel[0], pixel[1], pixel[2]];
            pixel.copy_from_slice(&mix(base, colour_map(value / scale_max), HEAT_OPACITY));
        }
    }
    draw_outline(&mut blended, &found, FOUND_COLOUR);
    if let Some(mask) = mask.filter(|m| (m.height, m.width) == (image.height, image.width)) {
        let truth: Vec<bool> = mask.pixels.iter().map(|&v| v != 0).collect();
        draw_outline(&mut blended, &truth, TRUTH_COLOUR);
    }
    blended
}

/// The image as the bytes of a PNG file.
///
/// # Errors
/// An image without pixels, or whose sizes contradict each other.
pub fn encode_png(image: &ByteImage) -> Result<Vec<u8>> {
    let ByteImage { height, width, channels, pixels } = image;
    let fault = |reason: String| Error::image("image to be written", reason);
    let colour = match channels {
        1 => ExtendedColorType::L8,
        3 => ExtendedColorType::Rgb8,
        _ => return Err(fault(format!("{channels} channels instead of 1 or 3"))),
    };
    if pixels.is_empty() || pixels.len() != height * width * channels {
        return Err(fault(format!("{} values for {height} x {width} x {channels}", pixels.len())));
    }
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(pixels, *width as u32, *height as u32, colour)
        .map_err(|e| fault(e.to_string()))?;
    Ok(bytes)
}

/// Writes the image as a PNG file, whole or not at all.
///
/// # Errors
/// As [`encode_png`]; a path that cannot be written.
pub fn save_png(image: &ByteImage, path: &Path) -> Result<()> {
    write_whole(path, &encode_png(image)?)
}

/// `a` at `share` 0, `b` at 1.
pub(super) fn mix(a: [u8; 3], b: [u8; 3], share: f32) -> [u8; 3] {
    std::array::from_fn(|c| (f32::from(a[c]) + (f32::from(b[c]) - f32::from(a[c])) * share).round() as u8)
}

pub(super) fn to_rgb(image: &ByteImage) -> ByteImage {
    let pixels = match image.channels {
        1 => image.pixels.iter().flat_map(|&v| [v; 3]).collect(),
        _ => image.pixels.clone(),
    };
    ByteImage { channels: 3, pixels, ..*image }
}

/// Draws a line along the outer side of `region`, one pixel thick for every 128 of the longer side.
pub(super) fn draw_outline(image: &mut ByteImage, region: &[bool], colour: [u8; 3]) {
    let (height, width) = (image.height, image.width);
    let thickness = (height.max(width) / 128).max(1);
    for y in 0..height {
        for x in 0..width {
            let i = y * width + x;
            let touches = || {
                (1..=thickness).any(|k| {
                    (y >= k && region[i - k * width])
                        || (y + k < height && region[i + k * width])
                        || (x >= k && region[i - k])
                        || (x + k < width && region[i + k])
                })
            };
            if !region[i] && touches() {
                image.pixels[3 * i..3 * i + 3].copy_from_slice(&colour);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn grey(height: usize, width: usize, value: u8) -> ByteImage {
        ByteImage { height, width, channels: 1, pixels: vec![value; height * width] }
    }

    fn pixel(image: &ByteImage, y: usize, x: usize) -> [u8; 3] {
        let i = 3 * (y * image.width + x);
        [image.pixels[i], image.pixels[i + 1], image.pixels[i + 2]]
    }

    #[test]
    fn colour_map_has_its_ends_its_middle_and_survives_nonsense() {
        assert_eq!([0.0, 0.5, 1.0].map(colour_map), [[0, 0, 4], [188, 55, 84], [252, 255, 164]]);
        // A quarter of the way between the first two anchors: 33 / 4, 12 / 4, 4 + 70 / 4, rounded.
        assert_eq!(colour_map(1.0 / 32.0), [8, 3, 22]);
        assert_eq!([f32::NAN, -1.0, f32::NEG_INFINITY].map(colour_map), [[0; 3], [0, 0, 4], [0, 0, 4]]);
        assert_eq!(colour_map(f32::INFINITY), [252, 255, 164]);
    }

    #[test]
    fn overlay_blends_outlines_and_leaves_the_rest() {
        let mut map = vec![0.0; 25];
        map[12] = 1.0;
        map[0] = f32::NAN;
        let mut truth = PixelMask::empty(5, 5);
        truth.pixels[4] = 1;
        let drawn = overlay(&grey(5, 5, 100), &map, 0.5, 2.0, Some(&truth));
        // 0.7 * 100 + 0.3 * [188, 55, 84].
        assert_eq!(pixel(&drawn, 2, 2), [126, 87, 95]);
        for (y, x) in [(1, 2), (3, 2), (2, 1), (2, 3)] {
            assert_eq!(pixel(&drawn, y, x), FOUND_COLOUR);
        }
        assert_eq!([pixel(&drawn, 0, 3), pixel(&drawn, 1, 4)], [TRUTH_COLOUR; 2]);
        for (y, x) in [(0, 0), (1, 1), (0, 4), (4, 4)] {
            assert_eq!(pixel(&drawn, y, x), [100; 3]);
        }
    }

    #[test]
    fn overlay_of_wrong_sizes_does_not_panic() {
        let image = grey(2, 2, 7);
        let drawn = overlay(&image, &[1.0], 0.5, 0.0, Some(&PixelMask::empty(9, 9)));
        assert_eq!(pixel(&drawn, 1, 1), [7; 3]);
        assert_eq!(overlay(&image, &[1.0; 99], 2.0, 1.0, None).pixels, vec![7; 12]);
        assert_eq!(heat(&[], 1, 1, f32::NAN).pixels, [0; 3]);
    }

    #[test]
    fn png_reads_back_and_nonsense_is_an_error() {
        let image = grey(2, 3, 9);
        let bytes = encode_png(&image).unwrap();
        assert_eq!(::image::load_from_memory(&bytes).unwrap().to_luma8().into_raw(), image.pixels);
        for wrong in
            [grey(0, 5, 0), ByteImage { channels: 2, ..image.clone() }, ByteImage { width: 4, ..image }]
        {
            assert!(encode_png(&wrong).is_err());
        }
    }

    #[test]
    fn saving_leaves_nothing_beside_the_file() {
        let folder = tempfile::tempdir().unwrap();
        save_png(&grey(2, 2, 1), &folder.path().join("a.png")).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let nowhere = folder.path().join("missing/a.png");
        assert!(save_png(&grey(2, 2, 1), &nowhere).unwrap_err().to_string().contains("missing"));
    }
}

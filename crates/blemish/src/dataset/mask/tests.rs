//! Masks of every coding, and their resizing.
#![expect(clippy::unwrap_used, reason = "tests")]

use ::image::{ImageBuffer, Luma};

use super::*;

fn mask(width: u32, values: &[u8], size: [usize; 2]) -> Vec<u8> {
    let height = values.len() as u32 / width;
    written(&ImageBuffer::<Luma<u8>, _>::from_vec(width, height, values.to_vec()).unwrap().into(), size)
}

fn mask_16(values: &[u16]) -> Vec<u8> {
    let image = ImageBuffer::<Luma<u16>, _>::from_vec(values.len() as u32, 1, values.to_vec()).unwrap();
    written(&image.into(), [1, values.len()])
}

fn written(image: &::image::DynamicImage, size: [usize; 2]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mask.png");
    image.save(&path).unwrap();
    let mask = decode_mask(&path, size, 1000).unwrap();
    assert_eq!([mask.height, mask.width], size);
    mask.pixels
}

#[test]
fn values_above_half_are_defective() {
    assert_eq!(mask(4, &[0, 127, 128, 255], [1, 4]), [0, 0, 1, 1]);
    assert_eq!(mask_16(&[0, 32767, 32768, 65535]), [0, 0, 1, 1]);
}

#[test]
fn any_two_values_will_do() {
    for high in [1u8, 2, 31, 32, 64, 100, 128, 200, 254, 255] {
        assert_eq!(mask(4, &[0, high, high, 0], [1, 4]), [0, 1, 1, 0], "{high}");
    }
    for high in [1u16, 255, 256, 1000, 65535] {
        assert_eq!(mask_16(&[high, 0, high]), [1, 0, 1], "{high}");
    }
    // Smooth edges, and colours.
    assert_eq!(mask(4, &[0, 40, 60, 100], [1, 4]), [0, 0, 1, 1]);
    let red = ImageBuffer::from_fn(2, 1, |x, _| ::image::Rgb([128 * x as u8, 0, 0]));
    assert_eq!(written(&red.into(), [1, 2]), [0, 1]);
}

#[test]
fn what_is_transparent_is_not_defective() {
    let strokes = |colours: [[u8; 4]; 2]| {
        let image = ImageBuffer::from_fn(2, 1, |x, _| ::image::Rgba(colours[x as usize]));
        written(&image.into(), [1, 2])
    };
    assert_eq!(strokes([[255, 255, 255, 0], [255, 0, 0, 255]]), [0, 1]);
    assert_eq!(strokes([[0, 0, 0, 255], [255, 255, 255, 255]]), [0, 1]);
    assert_eq!(strokes([[0, 0, 0, 0], [0, 0, 0, 255]]), [0, 1]);
    assert_eq!(strokes([[0, 0, 0, 255], [0, 0, 0, 255]]), [0, 0]);
}

#[test]
fn several_masks_are_joined() {
    let folder = tempfile::tempdir().unwrap();
    let paths = [[0u8, 0, 200], [9, 0, 0]].map(|values| {
        let path = folder.path().join(format!("{}.png", values[0]));
        ImageBuffer::<Luma<u8>, _>::from_vec(3, 1, values.to_vec()).unwrap().save(&path).unwrap();
        path
    });
    assert_eq!(decode_masks(&paths, [1, 3], [1, 3], 1000).unwrap().pixels, [1, 0, 1]);
    assert_eq!(decode_masks(&[], [1, 3], [1, 3], 1000).unwrap().count(), 0);
    // Of an image of another size, and of another shape.
    assert_eq!(decode_masks(&paths, [1, 3], [10, 30], 1000).unwrap().count(), 2);
    let error = decode_masks(&paths, [1, 3], [30, 30], 1000).unwrap_err().to_string();
    assert!(error.contains("1 x 3 pixels") && error.contains("30 x 30"), "{error}");
}

#[test]
fn masks_that_mark_the_most_of_every_image_may_be_inverted() {
    assert!(are_inverted([0.6, 0.9]));
    assert!(!are_inverted([0.6, 0.5]) && !are_inverted([]));
}

#[test]
fn numbered_defects_are_defective() {
    assert_eq!(mask(2, &[0, 1], [1, 2]), [0, 1]);
    assert_eq!(mask(4, &[0, 1, 2, 3], [1, 4]), [0, 1, 1, 1]);
    assert_eq!(mask_16(&[0, 1]), [0, 1]);
    assert_eq!(mask(2, &[0, 0], [1, 2]), [0, 0]);
}

#[test]
fn the_nearest_pixel_counts() {
    assert_eq!(mask(2, &[0, 255, 255, 0], [2, 4]), [0, 0, 1, 1, 1, 1, 0, 0]);
    // Of five pixels onto one: the middle one.
    assert_eq!(mask(5, &[0, 0, 255, 0, 0], [1, 1]), [1]);
}

#[test]
fn bad_masks_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mask.png");
    std::fs::write(&path, "").unwrap();
    assert!(matches!(decode_mask(&path, [4, 4], 1000), Err(Error::Image { .. })));
    assert!(matches!(decode_mask(&path, [0, 4], 1000), Err(Error::Config { .. })));
}

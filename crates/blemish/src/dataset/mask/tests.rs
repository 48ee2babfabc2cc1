//! Masks of every coding, and their resizing.
#![expect(clippy::unwrap_used, reason = "tests")]

use ::image::{ImageBuffer, Luma};

use super::*;

fn mask(width: u32, values: &[u8], size: [usize; 2]) -> Vec<u8> {
    let height = values.len() as u32 / width;
    written(&ImageBuffer::<Luma<u8>, _>::from_vec(width, height, values.to_vec()).unwrap().into(), size)
}

fn mask_16(values: &[u16]) -> Vec<u8> {
    let picture = ImageBuffer::<Luma<u16>, _>::from_vec(values.len() as u32, 1, values.to_vec()).unwrap();
    written(&picture.into(), [1, values.len()])
}

fn written(picture: &::image::DynamicImage, size: [usize; 2]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mask.png");
    picture.save(&path).unwrap();
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

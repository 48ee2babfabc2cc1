//! Loading lists in which some files are bad.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;

use super::*;
use crate::dataset::Images;
use crate::dataset::tests::tree;

fn samples(folder: &Path) -> Vec<Sample> {
    tree(folder, &["0.png", "1.png", "2.png", "3.png"]);
    (0..4).map(|i| Sample::good(folder.join(format!("{i}.png")))).collect()
}

fn options(on_error: OnError) -> LoadOptions {
    let view = ViewConfig::whole([4, 4]);
    LoadOptions { image_size: [8, 6], view, channels: 3, max_pixels: 1000, range: None, on_error }
}

#[test]
fn order_and_sizes() {
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(folder.path());
    let loaded = load(&samples, &options(OnError::Stop)).unwrap();
    assert!(loaded.images.iter().map(|image| &image.sample).eq(&samples) && loaded.problems.is_empty());
    let first = &loaded.images[0];
    assert_eq!((first.framed.image.height, first.framed.image.width, first.framed.image.channels), (8, 6, 3));
    assert_eq!(first.framed.original_size, [3, 4]);
    assert!(load(&[], &options(OnError::Stop)).unwrap().images.is_empty());
}

#[test]
fn stop_or_skip() {
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(folder.path());
    for bad in [1, 2] {
        fs::write(&samples[bad].path, "not an image").unwrap();
    }
    let error = load(&samples, &options(OnError::Stop)).unwrap_err().to_string();
    assert!(error.contains("1.png"), "{error}");
    let loaded = load(&samples, &options(OnError::Skip)).unwrap();
    assert_eq!((loaded.images.len(), loaded.problems.len()), (2, 2));
    assert_eq!(loaded.problems[0].path, samples[1].path);
    assert!(!loaded.problems[0].reason.contains("1.png"), "{}", loaded.problems[0].reason);
    assert!(load(&samples[1..3], &options(OnError::Skip)).is_err());
    // A wrong option is no fault of the images.
    let wrong = LoadOptions { image_size: [0, 6], ..options(OnError::Skip) };
    assert!(matches!(load(&samples, &wrong), Err(Error::Config { .. })));
}

#[test]
fn channels() {
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(folder.path());
    let save = |sample: &Sample, colour| {
        ::image::RgbImage::from_pixel(2, 2, ::image::Rgb(colour)).save(&sample.path).unwrap()
    };
    save(&samples[0], [7, 7, 7]);
    fs::write(&samples[1].path, "").unwrap();
    assert_eq!(Images::from(&samples[..]).detect_channels(1000).unwrap(), 1);
    save(&samples[2], [7, 8, 7]);
    assert_eq!(Images::from(&samples[..]).detect_channels(1000).unwrap(), 3);
    assert!(matches!(Images::from(&samples[1..2]).detect_channels(1000), Err(Error::Image { .. })));
    assert!(matches!(Images::default().detect_channels(1000), Err(Error::Config { .. })));
}

#[test]
fn a_mask_that_cannot_be_used_stops_or_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let images = samples(folder.path());
    let mask = |name: &str| Some(folder.path().join(name));
    fs::write(folder.path().join("bad.png"), "").unwrap();
    let defective = |i: usize, mask| Sample::defective(&images[i].path, "scratch", mask);
    let listed =
        [images[0].clone(), defective(1, mask("2.png")), defective(2, None), defective(3, mask("bad.png"))];
    let loaded = load(&listed, &options(OnError::Stop)).unwrap().images;
    let error = load_masks(&loaded, &options(OnError::Stop)).unwrap_err().to_string();
    assert!(error.contains("bad.png"), "{error}");
    let (masks, problems) = load_masks(&loaded, &options(OnError::Skip)).unwrap();
    let found: Vec<bool> = masks.iter().map(Option::is_some).collect();
    assert_eq!(found, [true, true, false, false]);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].path.ends_with("bad.png") && problems[0].reason.starts_with("mask: "));
}

//! The two real data sets, where `BLEMISH_DATA` names the folder that holds them.

use std::path::PathBuf;

use blemish::dataset::{DataSet, Images, Label, Layout, categories, decode_mask, open};
use blemish::image::{DecodeOptions, decode};

/// The folder, or a word on what is left out.
fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("BLEMISH_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("left out: set BLEMISH_DATA to the folder with mvtec/screw and kolektorsdd");
    }
    folder
}

/// The numbers of training, good test and defective test images.
fn counts(set: &DataSet) -> [usize; 3] {
    let defective = set.test.iter().filter(|sample| sample.label == Label::Defective).count();
    [set.train.len(), set.test.len() - defective, defective]
}

#[test]
fn the_categories_are_found() {
    let Some(root) = data() else { return };
    let found = categories(&root).unwrap();
    assert!(
        ["kolektorsdd", "mvtec/screw"].iter().all(|name| found.iter().any(|one| one == name)),
        "{found:?}"
    );
}

#[test]
fn every_image_is_listed() {
    let Some(root) = data() else { return };
    let screw = open(&root, Some("mvtec/screw")).unwrap();
    assert_eq!((screw.layout, counts(&screw)), (Layout::Mvtec, [320, 41, 119]));
    let mut kinds: Vec<_> = screw.test.iter().map(|sample| sample.kind.as_str()).collect();
    kinds.dedup();
    assert_eq!(kinds.len(), 6, "good and five kinds: {kinds:?}");
    let kolektor = open(&root, Some("kolektorsdd")).unwrap();
    assert_eq!((kolektor.layout, counts(&kolektor)), (Layout::Mvtec, [174, 159, 50]));

    for set in [&screw, &kolektor] {
        assert!(set.problems.is_empty(), "{:?}", set.problems);
        assert_eq!(Images::from(set).detect_channels(1_000_000).unwrap(), 1);
        let sample = set.test.iter().find(|sample| sample.label == Label::Defective).unwrap();
        let image = decode(&sample.path, &DecodeOptions::default()).unwrap();
        let mask = decode_mask(&sample.masks[0], [image.height, image.width], 1_000_000).unwrap();
        assert!(mask.count() > 0 && mask.count() < image.pixels.len() / 4);
    }
}

//! Generated sets to measure on: scenes of families that pre-training has not seen, and sets whose good photos differ much.
#![expect(clippy::unwrap_used, reason = "of examples")]

use std::ops::Range;
use std::path::{Path, PathBuf};

use blemish::Image;
use blemish::image::{DecodeOptions, PixelMask, decode, resize};
use blemish_synthetic::{Families, Scene, Varied, VariedSet, damaged_photo, in_8_bits, wide_defect};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Good images to fit on, unless told.
const GOOD: u64 = 24;
/// Test images of a scene and of a varied set, good and defective each, unless told.
const TESTS: [u64; 2] = [12, 24];

/// Good images to fit on, and test images with the masks of the defective ones.
pub struct Set {
    pub name: String,
    pub surface: bool,
    pub good: Vec<Image>,
    pub tests: Vec<(Image, Option<PixelMask>)>,
}

/// The sets that `which` asks for, `SCENES[:GOOD[:TESTS]]`, `varied:SETS[:GOOD[:TESTS]]` (so many of each kind) or `photos:FOLDER[+FOLDER..]`,
/// of images of `side`. Behind `wide:` the defects cover much of a photo.
///
/// Of a folder of good photos a third, at most 80, are test images, as they are and with a generated defect, up to 160 others are fitted on.
pub fn sets(which: &str, side: usize) -> Vec<Set> {
    if let Some(which) = which.strip_prefix("wide:") {
        let mut sets = sets(which, side);
        for (set, first_seed) in sets.iter_mut().zip((0..).step_by(1000)) {
            set.tests = widely_defective(&set.tests, first_seed);
        }
        return sets;
    }
    if let Some(folders) = which.strip_prefix("photos:") {
        return folders.split('+').map(|folder| photo_set(folder, side)).collect();
    }
    let varied = which.strip_prefix("varied:");
    let mut numbers = varied.unwrap_or(which).split(':').map(|number| number.parse::<u64>().unwrap());
    let count = numbers.next().unwrap();
    let good = numbers.next().unwrap_or(GOOD);
    let tests = numbers.next();
    match varied {
        Some(_) => {
            let all = Varied::ALL.into_iter().flat_map(|kind| (0..count).map(move |seed| (kind, seed)));
            let all: Vec<(Varied, u64)> = all.collect();
            let tests = tests.unwrap_or(TESTS[1]);
            all.into_par_iter().map(|(kind, seed)| varied_set(kind, seed, [good, tests], side)).collect()
        }
        None => {
            let tests = tests.unwrap_or(TESTS[0]);
            (0..count).into_par_iter().map(|seed| scene_set(seed, [good, tests], side)).collect()
        }
    }
}

/// The good photos among these, and the same with a defect that covers much of each.
fn widely_defective(
    tests: &[(Image, Option<PixelMask>)],
    first_seed: u64,
) -> Vec<(Image, Option<PixelMask>)> {
    let good = || tests.iter().filter(|(_, mask)| mask.is_none());
    let defective = good().zip(first_seed..).map(|((image, _), seed)| {
        let (changed, pixels) = wide_defect(image, seed);
        let mask = PixelMask { height: image.height, width: image.width, pixels };
        (in_8_bits(changed), Some(mask))
    });
    good().cloned().chain(defective).collect()
}

/// A set of a scene of families that pre-training has not seen.
fn scene_set(seed: u64, [images, tests]: [u64; 2], side: usize) -> Set {
    let scene = Scene::new(1_000_000 + seed, Families::Validation);
    Set {
        name: scene.describe(),
        surface: scene.is_surface(),
        good: good(0..images, |i| scene.good(i, [side; 2])),
        tests: tests_of(
            tests,
            side,
            |i| scene.good(i, [side; 2]),
            |i| {
                let defective = scene.defective(i, [side; 2]);
                (defective.image, defective.mask)
            },
        ),
    }
}

/// A set whose good photos differ much from one another.
fn varied_set(kind: Varied, seed: u64, [images, tests]: [u64; 2], side: usize) -> Set {
    let set = VariedSet::new(kind, seed);
    Set {
        name: format!("{} {seed}", kind.name()),
        surface: kind.is_surface(),
        good: good(0..images, |i| set.good(i, [side; 2])),
        tests: tests_of(tests, side, |i| set.good(i, [side; 2]), |i| set.defective(i, [side; 2])),
    }
}

/// A set of the photos of a folder.
fn photo_set(folder: &str, side: usize) -> Set {
    let mut photos: Vec<Image> = files_of(folder).iter().map(|path| photo(path, side)).collect();
    photos.shuffle(&mut ChaCha8Rng::seed_from_u64(1));
    let good = photos.split_off((photos.len() / 3).min(80)).into_iter().take(160).collect();
    let with_defect = |(photo, seed): (&Image, u64)| {
        let defective = damaged_photo(photo, seed)?;
        let mask = PixelMask { height: side, width: side, pixels: defective.mask };
        Some((in_8_bits(defective.image), Some(mask)))
    };
    let defective: Vec<_> = photos.iter().zip(5000..).filter_map(with_defect).collect();
    let tests = photos.into_iter().map(|photo| (photo, None)).chain(defective).collect();
    // Whether it is a surface, nobody has said.
    Set { name: folder.to_owned(), surface: false, good, tests }
}

fn files_of(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn photo(path: &Path, side: usize) -> Image {
    let photo = resize(&decode(path, &DecodeOptions::default()).unwrap(), [side; 2]).unwrap();
    in_8_bits(photo.with_channels(3).unwrap())
}

fn good(instances: Range<u64>, photo: impl Fn(u64) -> Image) -> Vec<Image> {
    instances.map(|i| in_8_bits(photo(i))).collect()
}

fn tests_of(
    count: u64,
    side: usize,
    photo: impl Fn(u64) -> Image,
    defective: impl Fn(u64) -> (Image, Vec<u8>),
) -> Vec<(Image, Option<PixelMask>)> {
    let with_mask = |i: u64| {
        let (image, pixels) = defective(i);
        (in_8_bits(image), Some(PixelMask { height: side, width: side, pixels }))
    };
    let good = good(1000..1000 + count, photo).into_iter().map(|image| (image, None));
    good.chain((2000..2000 + count).map(with_mask)).collect()
}

//! Generated sets to measure on: scenes of families that pre-training has not seen, and sets whose good photos differ much.
#![expect(clippy::unwrap_used, reason = "of examples")]

use std::ops::Range;

use blemish::Image;
use blemish::image::PixelMask;
use blemish_synthetic::{Families, Scene, Varied, VariedSet, in_8_bits, wide_defect};
use rayon::prelude::*;

/// Good images to fit on, unless told.
const GOOD: &str = "24";
/// Test images of a scene and of a varied set, good and defective each.
const TESTS: [u64; 2] = [12, 24];

/// Good images to fit on, and test images with the masks of the defective ones.
pub struct Set {
    pub name: String,
    pub surface: bool,
    pub good: Vec<Image>,
    pub tests: Vec<(Image, Option<PixelMask>)>,
}

/// The sets that `which` asks for, `SCENES[:GOOD]` or `varied:SETS[:GOOD]` (so many of each kind), of images of `side`. Behind `wide:` the
/// defects cover much of a photo.
pub fn sets(which: &str, side: usize) -> Vec<Set> {
    if let Some(which) = which.strip_prefix("wide:") {
        let mut sets = sets(which, side);
        for (set, first_seed) in sets.iter_mut().zip((0..).step_by(1000)) {
            set.tests = widely_defective(&set.tests, first_seed);
        }
        return sets;
    }
    let varied = which.strip_prefix("varied:");
    let (count, images) = varied.unwrap_or(which).split_once(':').unwrap_or((varied.unwrap_or(which), GOOD));
    let (count, images): (u64, u64) = (count.parse().unwrap(), images.parse().unwrap());
    match varied {
        Some(_) => {
            let all = Varied::ALL.into_iter().flat_map(|kind| (0..count).map(move |seed| (kind, seed)));
            let all: Vec<(Varied, u64)> = all.collect();
            all.into_par_iter().map(|(kind, seed)| varied_set(kind, seed, images, side)).collect()
        }
        None => (0..count).into_par_iter().map(|seed| scene_set(seed, images, side)).collect(),
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
fn scene_set(seed: u64, images: u64, side: usize) -> Set {
    let scene = Scene::new(1_000_000 + seed, Families::Validation);
    Set {
        name: scene.describe(),
        surface: scene.is_surface(),
        good: good(0..images, |i| scene.good(i, [side; 2])),
        tests: tests(
            TESTS[0],
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
fn varied_set(kind: Varied, seed: u64, images: u64, side: usize) -> Set {
    let set = VariedSet::new(kind, seed);
    Set {
        name: format!("{} {seed}", kind.name()),
        surface: kind.is_surface(),
        good: good(0..images, |i| set.good(i, [side; 2])),
        tests: tests(TESTS[1], side, |i| set.good(i, [side; 2]), |i| set.defective(i, [side; 2])),
    }
}

fn good(instances: Range<u64>, photo: impl Fn(u64) -> Image) -> Vec<Image> {
    instances.map(|i| in_8_bits(photo(i))).collect()
}

fn tests(
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

//! What each detector part finds on generated products and surfaces that pre-training has not seen.
//!
//! `cargo run --release -p blemish --example parts -- SCENES[:GOOD] SIDE SETTINGS..`: for every list of settings (separated by
//! commas, such as `features=always,memory.use=never`) image AUROC and AUPRO, averaged over the scenes, and of the worst. `varied:SETS:GOOD`
//! takes so many sets of each kind whose good photos differ much. GOOD is the number of good images to fit on.
#![expect(clippy::unwrap_used, reason = "an example")]

use std::ops::Range;

use blemish::config::Overlay;
use blemish::image::PixelMask;
use blemish::metrics::{aupro, auroc};
use blemish::{Config, Detector, Image, Images};
use blemish_synthetic::{Families, Scene, Varied, VariedSet, in_8_bits};
use rayon::prelude::*;

/// Good images to fit on, unless told.
const GOOD: &str = "24";
/// Test images of a scene and of a varied set, good and defective each.
const TESTS: [u64; 2] = [12, 24];

struct Set {
    name: String,
    surface: bool,
    good: Vec<Image>,
    tests: Vec<(Image, Option<PixelMask>)>,
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

fn measure(set: &Set, config: &Config) -> (f64, f64, String) {
    let detector = Detector::fit(&Images::from(set.good.clone()), config).unwrap();
    let (mut scores, mut defective, mut maps, mut masks) = (vec![], vec![], vec![], vec![]);
    for (image, mask) in &set.tests {
        let prediction = detector.predict_framed(&detector.frame(image).unwrap()).unwrap();
        let [height, width] = prediction.map_size;
        scores.push(prediction.score);
        defective.push(mask.is_some());
        masks.push(mask.clone().unwrap_or(PixelMask::empty(height, width)));
        maps.push(prediction.map);
    }
    let maps: Vec<&[f32]> = maps.iter().map(Vec::as_slice).collect();
    let masks: Vec<&PixelMask> = masks.iter().collect();
    (auroc(&scores, &defective).unwrap(), aupro(&maps, &masks, 0.3).unwrap(), detector.active_parts())
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let side: usize = arguments[1].parse().unwrap();
    let varied = arguments[0].strip_prefix("varied:");
    let (count, images) = varied.unwrap_or(&arguments[0]).split_once(':').unwrap_or((&arguments[0], GOOD));
    let (count, images): (u64, u64) = (count.parse().unwrap(), images.parse().unwrap());
    let sets: Vec<Set> = match varied {
        Some(_) => {
            let all = Varied::ALL.into_iter().flat_map(|kind| (0..count).map(move |seed| (kind, seed)));
            let all: Vec<(Varied, u64)> = all.collect();
            all.into_par_iter().map(|(kind, seed)| varied_set(kind, seed, images, side)).collect()
        }
        None => (0..count).into_par_iter().map(|seed| scene_set(seed, images, side)).collect(),
    };
    for settings in &arguments[2..] {
        let overlay = settings
            .split_terminator(',')
            .fold(Overlay::default(), |over, setting| over.set(setting).unwrap())
            .set(&format!("data.image_size=[{side},{side}]"))
            .unwrap();
        let config = Config::default().with(&overlay).unwrap();
        let results: Vec<(f64, f64, String)> = sets.iter().map(|set| measure(set, &config)).collect();
        for surface in [false, true] {
            let of_kind = || sets.iter().zip(&results).filter(|(set, _)| set.surface == surface);
            let n = of_kind().count() as f64;
            let mean = |of: fn(&(f64, f64, String)) -> f64| of_kind().map(|(_, r)| of(r)).sum::<f64>() / n;
            let worst = of_kind().min_by(|a, b| a.1.0.total_cmp(&b.1.0)).unwrap();
            println!(
                "{settings:60} {:8} n {n:2}  AUROC {:.3}  AUPRO {:.3}  worst {:.3} ({})",
                if surface { "surface" } else { "product" },
                mean(|r| r.0),
                mean(|r| r.1),
                worst.1.0,
                worst.0.name
            );
        }
        if std::env::var_os("VERBOSE").is_some() {
            for (set, (auroc, aupro, parts)) in sets.iter().zip(&results) {
                println!("    {auroc:.3} {aupro:.3} {} [{parts}]", set.name);
            }
        }
    }
}

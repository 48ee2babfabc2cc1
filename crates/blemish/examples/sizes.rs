//! Surfaces whose images have many sizes: what is found when all are stretched to one shape, and when they keep their scale.
//!
//! `cargo run --release -p blemish --example sizes -- SURFACES SEED SHORTEST LONGEST SETTINGS..`: every generated surface is
//! rendered at one scale, at sides drawn between SHORTEST and LONGEST pixels. For every list of settings (separated by semicolons;
//! `data.fit=stretch` stretches) image AUROC, AUPRO at the images' own sizes, false alarms and defects found at the threshold,
//! and the rank correlation of good images' scores with their area, averaged over the surfaces that the survey takes for one.
#![expect(clippy::unwrap_used, reason = "an example")]

use blemish::config::{Overlay, Use};
use blemish::image::PixelMask;
use blemish::metrics::{aupro, auroc};
use blemish::{Config, Detector, Image, Images};
use blemish_synthetic::{Families, Scene, in_8_bits};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Images to fit on, and good and defective ones to score.
const IMAGES: [u64; 3] = [24, 24, 24];
/// Shares of a map's largest values, and the fewest of them, whose mean is tried as a score.
const OTHERS: [(f64, usize); 8] =
    [(0.0, 1), (0.001, 1), (0.003, 1), (0.003, 50), (0.003, 100), (0.003, 200), (0.01, 1), (0.0, 200)];

struct Set {
    name: String,
    good: Vec<Image>,
    tests: Vec<(Image, Option<PixelMask>)>,
}

/// Scene `scene`, if it is a surface that looks alike at every size.
fn set(scene: u64, seed: u64, sides: [usize; 2]) -> Option<Set> {
    let drawn = Scene::new(1_000_000 * (seed + 1) + scene, Families::Validation);
    if !drawn.describe().starts_with("surface:") {
        return None;
    }
    let rng = &mut ChaCha8Rng::seed_from_u64(seed ^ scene.wrapping_mul(0x9E37_79B9));
    let mut size = || [(); 2].map(|()| rng.random_range(sides[0]..=sides[1]));
    let good = (0..IMAGES[0]).map(|i| in_8_bits(drawn.good(i, size()))).collect();
    let mut tests: Vec<(Image, Option<PixelMask>)> =
        (0..IMAGES[1]).map(|i| (in_8_bits(drawn.good(1000 + i, size())), None)).collect();
    tests.extend((0..IMAGES[2]).map(|i| {
        let [height, width] = size();
        let defective = drawn.defective(2000 + i, [height, width]);
        (in_8_bits(defective.image), Some(PixelMask { height, width, pixels: defective.mask }))
    }));
    Some(Set { name: drawn.describe(), good, tests })
}

/// The mean of the largest values.
fn top(map: &[f32], count: usize) -> f32 {
    let count = count.clamp(1, map.len());
    let mut values = map.to_vec();
    values.sort_unstable_by(|a, b| b.total_cmp(a));
    values[..count].iter().sum::<f32>() / count as f32
}

fn ranks(values: &[f64]) -> Vec<f64> {
    values.iter().map(|v| values.iter().filter(|other| *other < v).count() as f64).collect()
}

/// Spearman's rank correlation.
fn rank_correlation(a: &[f64], b: &[f64]) -> f64 {
    let [a, b] = [ranks(a), ranks(b)].map(|ranks| {
        let mean = ranks.iter().sum::<f64>() / ranks.len() as f64;
        ranks.into_iter().map(|rank| rank - mean).collect::<Vec<_>>()
    });
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt().max(1e-9)
}

/// Image AUROC, AUPRO, false-alarm rate, share found, correlation with the area; then AUROC and correlation of every other score.
/// `None` where the survey does not take the images for a surface.
fn measure(set: &Set, config: &Config) -> Option<Vec<f64>> {
    let detector = Detector::fit(&Images::from(set.good.clone()), config).ok()?;
    if detector.config().texture != Use::Always {
        return None;
    }
    let (mut scores, mut defective, mut maps, mut masks) = (vec![], vec![], vec![], vec![]);
    let (mut areas, mut verdicts) = (vec![], vec![]);
    let mut others: Vec<Vec<f32>> = vec![Vec::new(); OTHERS.len()];
    for (image, mask) in &set.tests {
        let prediction = detector.predict_framed(&detector.frame(image).unwrap()).unwrap();
        scores.push(prediction.score);
        verdicts.push(prediction.is_defective());
        defective.push(mask.is_some());
        areas.push((image.height * image.width) as f64);
        for (other, (share, least)) in others.iter_mut().zip(OTHERS) {
            let count = (share * prediction.map.len() as f64).round() as usize;
            other.push(top(&prediction.map, count.max(least)));
        }
        let [height, width] = prediction.map_size;
        let map = Image { height, width, channels: 1, pixels: prediction.map };
        maps.push(map.enlarged([image.height, image.width]));
        masks.push(mask.clone().unwrap_or(PixelMask::empty(image.height, image.width)));
    }
    let share = |of: bool| {
        let n = defective.iter().filter(|d| **d == of).count() as f64;
        verdicts.iter().zip(&defective).filter(|(v, d)| **v && **d == of).count() as f64 / n
    };
    let by_area = |scores: &[f32]| {
        let good: Vec<usize> = (0..scores.len()).filter(|&i| !defective[i]).collect();
        let of = |value: &dyn Fn(usize) -> f64| good.iter().map(|&i| value(i)).collect::<Vec<_>>();
        rank_correlation(&of(&|i| f64::from(scores[i])), &of(&|i| areas[i]))
    };
    let maps: Vec<&[f32]> = maps.iter().map(Vec::as_slice).collect();
    let masks: Vec<&PixelMask> = masks.iter().collect();
    let mut figures = vec![
        auroc(&scores, &defective).unwrap(),
        aupro(&maps, &masks, 0.3).unwrap(),
        share(false),
        share(true),
        by_area(&scores),
    ];
    figures.extend(others.iter().flat_map(|scores| [auroc(scores, &defective).unwrap(), by_area(scores)]));
    Some(figures)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize| arguments[i].parse::<usize>().unwrap();
    let (surfaces, seed, sides) = (number(0), number(1) as u64, [number(2), number(3)]);
    let configs: Vec<Config> = arguments[4..]
        .iter()
        .map(|settings| {
            let settings = settings.split_terminator(';');
            let overlay = settings.fold(Overlay::default(), |over, setting| over.set(setting).unwrap());
            Config::default().with(&overlay).unwrap()
        })
        .collect();
    let mut results: Vec<Vec<Vec<f64>>> = vec![Vec::new(); configs.len()];
    for set in (0..).filter_map(|scene| set(scene, seed, sides)) {
        if results[0].len() == surfaces {
            break;
        }
        let all: Option<Vec<Vec<f64>>> = configs.iter().map(|config| measure(&set, config)).collect();
        let Some(all) = all else { continue };
        eprint!("{}", set.name);
        for (results, figures) in results.iter_mut().zip(all) {
            eprint!("  {:.3} {:.3}", figures[0], figures[1]);
            results.push(figures);
        }
        eprintln!();
    }
    for (settings, results) in arguments[4..].iter().zip(&results) {
        let mean = |k: usize| results.iter().map(|figures| figures[k]).sum::<f64>() / results.len() as f64;
        let worst = |k: usize| results.iter().map(|figures| figures[k]).fold(1.0, f64::min);
        println!(
            "seed {seed} {settings:30} n {}  AUROC {:.3} (worst {:.3})  AUPRO {:.3} (worst {:.3})  false alarms {:.3}  found {:.3}  \
             by area {:+.2}",
            results.len(),
            mean(0),
            worst(0),
            mean(1),
            worst(1),
            mean(2),
            mean(3),
            mean(4)
        );
        for (k, (share, least)) in OTHERS.into_iter().enumerate() {
            let name = format!("largest {:.1} %, at least {least}", 100.0 * share);
            println!("    {name:30} AUROC {:.3}  by area {:+.2}", mean(5 + 2 * k), mean(6 + 2 * k));
        }
    }
}

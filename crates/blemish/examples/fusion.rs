//! How the default parts and the network's features are best joined, on generated sets that pre-training has not seen.
//!
//! `cargo run --release -p blemish --example fusion -- SETS SIDE product|surface`, with SETS as for the example `parts`: image AUROC
//! and AUPRO of the parts that are used by default, of the memory of features alone, and of rules for the logarithms of both maps, from
//! the median of good images' scores on, in units of half of what lies between the quantiles at 0.16 and 0.84 of these.
#![expect(clippy::unwrap_used, reason = "an example")]

mod generated;

use blemish::config::Overlay;
use blemish::image::PixelMask;
use blemish::metrics::{aupro, auroc};
use blemish::{Config, Detector, Images};
use generated::{Set, sets};

/// By the features alone.
const ALONE: &str = "features.use=always,memory.use=never,lines=never,texture=never";
const RULES: [&str; 6] = [
    "default",
    "features",
    "larger",
    "sum",
    "scores summed; map: sum, moved to them",
    "larger score; map: sum, moved to it",
];

/// Scores and maps of the test images.
type Views = (Vec<f32>, Vec<Vec<f32>>);

/// Logarithms in units of how good images' scores vary.
fn standardised(set: &Set, settings: &str, side: usize) -> Views {
    let logarithm = |v: f32| v.max(1e-4).ln();
    let overlay =
        settings.split_terminator(',').fold(Overlay::default(), |over, setting| over.set(setting).unwrap());
    let config = overlay.set(&format!("data.image_size=[{side},{side}]")).unwrap();
    let config = Config::default().with(&config).unwrap();
    let detector = Detector::fit(&Images::from(set.good.clone()), &config).unwrap();
    let mut good: Vec<f32> = detector.good_scores().iter().map(|v| logarithm(*v)).collect();
    good.sort_unstable_by(f32::total_cmp);
    let at = |share: f32| good[(share * (good.len() - 1) as f32).round() as usize];
    let (middle, spread) = (at(0.5), (0.5 * (at(0.84) - at(0.16))).max(0.02));
    let of = |v: f32| (logarithm(v) - middle) / spread;
    let view = |(image, _): &(_, _)| {
        let prediction = detector.predict_framed(&detector.frame(image).unwrap()).unwrap();
        (of(prediction.score), prediction.map.into_iter().map(of).collect())
    };
    set.tests.iter().map(view).unzip()
}

fn largest(map: &[f32]) -> f32 {
    map.iter().copied().fold(f32::MIN, f32::max)
}

/// Scores and maps by each of the rules.
fn joined([default, features]: [Views; 2]) -> Vec<Views> {
    let maps = |rule: fn(f32, f32) -> f32| -> Vec<Vec<f32>> {
        let pairs = default.1.iter().zip(&features.1);
        pairs.map(|(a, b)| a.iter().zip(b).map(|(a, b)| rule(*a, *b)).collect()).collect()
    };
    let scores = |rule: fn(f32, f32) -> f32| -> Vec<f32> {
        default.0.iter().zip(&features.0).map(|(a, b)| rule(*a, *b)).collect()
    };
    let by_map = |maps: Vec<Vec<f32>>| (maps.iter().map(|map| largest(map)).collect(), maps);
    let moved = |scores: Vec<f32>| -> Views {
        let to = |(map, score): (Vec<f32>, &f32)| {
            let by = score - largest(&map);
            map.into_iter().map(|v| v + by).collect()
        };
        let maps = maps(|a, b| a + b).into_iter().zip(&scores).map(to).collect();
        (scores, maps)
    };
    let [larger, sum] = [f32::max, |a, b| a + b].map(|rule: fn(f32, f32) -> f32| by_map(maps(rule)));
    let (summed, larger_score) = (moved(scores(|a, b| a + b)), moved(scores(f32::max)));
    vec![default, features, larger, sum, summed, larger_score]
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (side, is_surface): (usize, bool) = (arguments[1].parse().unwrap(), arguments[2] == "surface");
    let (mut sums, mut n) = ([[0.0; 2]; RULES.len()], 0.0);
    for set in sets(&arguments[0], side).iter().filter(|set| set.surface == is_surface) {
        let masks: Vec<PixelMask> =
            set.tests.iter().map(|test| test.1.clone().unwrap_or(PixelMask::empty(side, side))).collect();
        let masks: Vec<&PixelMask> = masks.iter().collect();
        let defective: Vec<bool> = set.tests.iter().map(|test| test.1.is_some()).collect();
        let views = ["", ALONE].map(|settings| standardised(set, settings, side));
        println!("{}", set.name);
        for ((scores, maps), sum) in joined(views).into_iter().zip(&mut sums) {
            let maps: Vec<&[f32]> = maps.iter().map(Vec::as_slice).collect();
            let own = [auroc(&scores, &defective).unwrap(), aupro(&maps, &masks, 0.3).unwrap()];
            println!("    {:.3} / {:.3}", own[0], own[1]);
            sum.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
        }
        n += 1.0;
    }
    println!("mean of {n} sets, image AUROC / AUPRO");
    for (rule, [auroc, aupro]) in RULES.iter().zip(sums) {
        println!("{rule:40} {:.3} / {:.3}", auroc / n, aupro / n);
    }
}

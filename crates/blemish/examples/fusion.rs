//! How image scores of the parts and of the network's features are best joined, on generated images that pre-training has not seen.
//!
//! `cargo run --release -p blemish --example fusion -- SCENES SIDE product|surface`: image AUROC of the parts that are used by default,
//! of the memory of features alone, of both as `features.use=always` joins them (the largest at each pixel), and of two rules for the
//! logarithms of the two scores in units of their own spread on good images: their sum, and the larger.
#![expect(clippy::unwrap_used, reason = "an example")]

use blemish::config::Overlay;
use blemish::metrics::auroc;
use blemish::{Config, Detector, Image, Images};
use blemish_synthetic::{Families, Scene, in_8_bits};
use rayon::prelude::*;

const GOOD: u64 = 24;
const TESTS: u64 = 16;

/// Logarithms of the scores of `tests`, from the median of good images' on, in units of half of what lies between their quantiles
/// at 0.16 and 0.84.
fn standardised(detector: &Detector, tests: &[Image]) -> Vec<f32> {
    let logarithm = |v: f32| v.max(1e-6).ln();
    let mut good: Vec<f32> = detector.good_scores().iter().map(|v| logarithm(*v)).collect();
    good.sort_unstable_by(f32::total_cmp);
    let at = |share: f32| good[(share * (good.len() - 1) as f32).round() as usize];
    let (middle, spread) = (at(0.5), (0.5 * (at(0.84) - at(0.16))).max(5e-4));
    let score = |image: &Image| {
        let prediction = detector.predict_framed(&detector.frame(image).unwrap()).unwrap();
        (logarithm(prediction.score) - middle) / spread
    };
    tests.par_iter().map(score).collect()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (scenes, side): (u64, usize) = (arguments[0].parse().unwrap(), arguments[1].parse().unwrap());
    let is_surface = arguments[2] == "surface";
    let alone = ["features.use=always", "memory.use=never", "lines=never", "texture=never"];
    let (mut sums, mut n) = ([0.0; 5], 0.0);
    for seed in 0..scenes {
        let scene = Scene::new(1_000_000 + seed, Families::Validation);
        if scene.is_surface() != is_surface {
            continue;
        }
        let good: Vec<Image> = (0..GOOD).map(|i| in_8_bits(scene.good(i, [side; 2]))).collect();
        let mut tests: Vec<Image> = (0..TESTS).map(|i| in_8_bits(scene.good(1000 + i, [side; 2]))).collect();
        tests.extend((0..TESTS).map(|i| in_8_bits(scene.defective(2000 + i, [side; 2]).image)));
        let defective: Vec<bool> = (0..tests.len()).map(|i| i as u64 >= TESTS).collect();
        let scores = |settings: &[&str]| {
            let size = format!("data.image_size=[{side},{side}]");
            let overlay = settings.iter().fold(Overlay::default(), |over, set| over.set(set).unwrap());
            let config = Config::default().with(&overlay.set(&size).unwrap()).unwrap();
            let detector = Detector::fit(&Images::from(good.clone()), &config).unwrap();
            standardised(&detector, &tests)
        };
        let [default, features, largest] = [&[][..], &alone[..], &alone[..1]].map(scores);
        let joined = |rule: fn(f32, f32) -> f32| -> Vec<f32> {
            default.iter().zip(&features).map(|(a, b)| rule(*a, *b)).collect()
        };
        let (sum, larger) = (joined(|a, b| a + b), joined(f32::max));
        let row =
            [&default, &features, &largest, &sum, &larger].map(|scores| auroc(scores, &defective).unwrap());
        println!("{seed:4} {}", row.map(|v| format!("{v:.3}")).join("  "));
        sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += v);
        n += 1.0;
    }
    println!("mean of {n} scenes: default, features, largest at each pixel, sum of scores, larger score");
    println!("     {}", sums.map(|v| format!("{:.3}", v / n)).join("  "));
}

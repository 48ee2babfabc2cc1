//! How the scores and maps of the default parts and of the network's features are best joined, on generated sets that pre-training has
//! not seen.
//!
//! `cargo run --release -p blemish --example fusion -- SETS SIDE`, with SETS as for the example `parts`: image AUROC and AUPRO of the
//! default parts without features, of the memory of features alone, and of rules for both, over products (registered) and surfaces. Weights
//! are the reciprocals of the variances of good images' scores.
#![expect(clippy::unwrap_used, reason = "an example")]

mod generated;

use blemish::calibrate::CommonScale;
use blemish::config::Overlay;
use blemish::image::PixelMask;
use blemish::metrics::{aupro, auroc};
use blemish::{Config, Detector, Images};
use generated::{Set, sets};

/// By the default parts without features.
const WITHOUT: &str = "features.use=never";
/// By the features alone.
const ALONE: &str = "features.use=always,memory.use=never,lines=never,texture=never";
/// What decides, and what the map is.
const RULES: [&str; 6] = [
    "without features",
    "features",
    "larger score; larger map",
    "mean of scores, weighted; map without features",
    "larger score on a common scale; map without features",
    "larger score on a common scale; map without features, with them where its score is usual",
];

/// What a detector says of good images that it was not fitted on, and of the test images.
struct Views {
    good: Vec<f32>,
    scores: Vec<f32>,
    maps: Vec<Vec<f32>>,
}

fn views(set: &Set, settings: &str, side: usize) -> Views {
    let overlay =
        settings.split_terminator(',').fold(Overlay::default(), |over, setting| over.set(setting).unwrap());
    let config = overlay.set(&format!("data.image_size=[{side},{side}]")).unwrap();
    let detector =
        Detector::fit(&Images::from(set.good.clone()), &Config::default().with(&config).unwrap()).unwrap();
    let predict = |(image, _): &(_, _)| detector.predict_framed(&detector.frame(image).unwrap()).unwrap();
    let (scores, maps) = set.tests.iter().map(predict).map(|p| (p.score, p.map)).unzip();
    Views { good: detector.good_scores().to_vec(), scores, maps }
}

/// The reciprocal of the variance.
fn weight(values: impl Iterator<Item = f32> + Clone) -> f32 {
    let n = values.clone().count() as f32;
    let mean = values.clone().sum::<f32>() / n;
    n / values.map(|v| (v - mean).powi(2)).sum::<f32>()
}

/// Scores and maps by each of the rules.
fn joined(default: &Views, features: &Views) -> Vec<(Vec<f32>, Vec<Vec<f32>>)> {
    let both = [default, features];
    let scores = |rule: &dyn Fn(f32, f32) -> f32| -> Vec<f32> {
        default.scores.iter().zip(&features.scores).map(|(a, b)| rule(*a, *b)).collect()
    };
    let larger = |i: usize| -> Vec<f32> {
        default.maps[i].iter().zip(&features.maps[i]).map(|(a, b)| a.max(*b)).collect()
    };
    let all = 0..default.scores.len();
    let mean = |[a, b]: [f32; 2]| move |x: f32, y: f32| (a * x + b * y) / (a + b);
    let weights = both.map(|own| weight(own.good.iter().copied()));
    let weighted = scores(&mean(weights));
    let scale = CommonScale::new(&default.good, &features.good);
    let common = scores(&|a, b| scale.score(a, b));
    let mapped = |i: usize| scale.map(default.scores[i], default.maps[i].clone(), &features.maps[i]);
    vec![
        (default.scores.clone(), default.maps.clone()),
        (features.scores.clone(), features.maps.clone()),
        (scores(&f32::max), all.clone().map(larger).collect()),
        (weighted, default.maps.clone()),
        (common.clone(), default.maps.clone()),
        (common, all.map(mapped).collect()),
    ]
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let side: usize = arguments[1].parse().unwrap();
    let mut sums = [[[0.0; 2]; RULES.len()]; 2];
    let mut counts = [0.0; 2];
    for set in sets(&arguments[0], side) {
        let masks: Vec<PixelMask> =
            set.tests.iter().map(|test| test.1.clone().unwrap_or(PixelMask::empty(side, side))).collect();
        let masks: Vec<&PixelMask> = masks.iter().collect();
        let defective: Vec<bool> = set.tests.iter().map(|test| test.1.is_some()).collect();
        let [default, features] = [WITHOUT, ALONE].map(|settings| views(&set, settings, side));
        let own: Vec<[f64; 2]> = joined(&default, &features)
            .into_iter()
            .map(|(scores, maps)| {
                let maps: Vec<&[f32]> = maps.iter().map(Vec::as_slice).collect();
                [auroc(&scores, &defective).unwrap(), aupro(&maps, &masks, 0.3).unwrap()]
            })
            .collect();
        let shown: Vec<String> = own.iter().map(|[a, b]| format!("{a:.3} / {b:.3}")).collect();
        println!("{} {}", shown.join("  "), set.name);
        let kind = usize::from(set.surface);
        counts[kind] += 1.0;
        for (sum, own) in sums[kind].iter_mut().zip(own) {
            sum.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
        }
    }
    for (kind, name) in
        ["products", "surfaces"].into_iter().enumerate().filter(|(kind, _)| counts[*kind] > 0.0)
    {
        println!("mean of {} {name}, image AUROC / AUPRO", counts[kind]);
        for (rule, [auroc, aupro]) in RULES.iter().zip(sums[kind]) {
            println!("{rule:90} {:.3} / {:.3}", auroc / counts[kind], aupro / counts[kind]);
        }
    }
}

//! What a fit makes of images of other depths, of blank frames, of what it is told.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::calibrate::PlaceCorrection;
use crate::config::{NetworkInit, NetworkMap, Use};
use crate::image::ImageView;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SIDE: usize = 64;

/// A ring in a fixed pose, with a hole and a little noise; a notch where `notch`.
fn part(seed: u64, notch: bool) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let level = |i: usize| {
        let (y, x) = ((i / SIDE) as f32 - 31.5, (i % SIDE) as f32 - 31.5);
        let radius = y.hypot(x);
        let metal = (10.0..26.0).contains(&radius) && (y - 14.0).hypot(x - 8.0) > 4.0;
        let dent = if notch && (y + 16.0).abs() < 3.0 && x.abs() < 3.0 { -0.12 } else { 0.0 };
        0.3 + if metal { 0.35 } else { 0.0 } + dent + rng.random_range(-0.02..0.02)
    };
    (0..SIDE * SIDE).map(level).collect()
}

fn config() -> Config {
    let mut config = Config::default();
    config.data.image_size = [SIDE, SIDE];
    config.network.usage = Use::Never;
    config.memory.usage = Use::Always;
    config
}

/// Samples of 16 bits: `values` times `most`, above `black`.
fn words(values: &[f32], black: f32, most: f32) -> Vec<u16> {
    values.iter().map(|v| (black + v * most).round() as u16).collect()
}

/// Samples of 8 bits, or of 16.
type Samples = (Vec<u8>, Vec<u16>);

/// The map of a notched part and of a good one, by a detector fitted on parts of this depth.
fn scored(view: &dyn Fn(&[f32]) -> Samples) -> [crate::Prediction; 2] {
    fn show((bytes, deep): &Samples) -> ImageView<'_> {
        if deep.is_empty() {
            ImageView::grey8(bytes, SIDE, SIDE)
        } else {
            ImageView::grey16(deep, SIDE, SIDE)
        }
    }
    let good: Vec<Image> = (0..8).map(|seed| show(&view(&part(seed, false))).to_image(1).unwrap()).collect();
    let detector = Detector::fit(&Images::from(good), &config()).unwrap();
    [true, false].map(|notch| detector.predict(show(&view(&part(99, notch)))).unwrap())
}

#[test]
fn the_same_parts_score_the_same_in_every_depth() {
    // Rounded to 8 bits first, so that no depth knows more than another: what differs is how it is written.
    let eight = scored(&|values| (values.iter().map(|v| (v * 255.0).round() as u8).collect(), Vec::new()));
    assert!(eight[0].score > 1.5 * eight[1].score, "{} {}", eight[0].score, eight[1].score);
    for (black, most) in [(0.0, 1023.0), (0.0, 4095.0), (0.0, 65535.0), (29_000.0, 2000.0)] {
        let rounded =
            |values: &[f32]| values.iter().map(|v| (v * 255.0).round() / 255.0).collect::<Vec<f32>>();
        let deep = scored(&|values| (Vec::new(), words(&rounded(values), black, most)));
        for (deep, eight) in deep.iter().zip(&eight) {
            let same: f32 = deep.map.iter().zip(&eight.map).map(|(a, b)| (a - b).abs()).sum();
            let whole: f32 = eight.map.iter().sum();
            assert!(
                (deep.score - eight.score).abs() < 0.03 * eight.score,
                "{most}: {} {}",
                deep.score,
                eight.score
            );
            assert!(same < 0.03 * whole, "{most}: {same} {whole}");
        }
    }
}

#[test]
fn blank_frames_are_never_fitted_on() {
    let image = |pixels| Image { height: SIDE, width: SIDE, channels: 1, pixels };
    let mut images: Vec<Image> = (0..6).map(|seed| image(part(seed, false))).collect();
    images.push(Image::filled(SIDE, SIDE, 1, 0.01));
    images.insert(2, Image::filled(SIDE, SIDE, 1, 1.0));
    let stop = AtomicBool::new(false);
    let options = FitOptions { on_error: OnError::Stop, listener: &|_| {}, stop: &stop };
    let prepared = prepare(&Images::from(images), &config(), &options).unwrap();
    assert_eq!((prepared.views.len(), prepared.problems.len()), (6, 2));
    assert!(prepared.problems.iter().all(|problem| problem.reason.starts_with("blank: ")));
    let facts = prepared.facts.unwrap();
    assert_eq!((facts.size, facts.channels), ([SIDE, SIDE], 1));

    let blank = Images::from(vec![Image::filled(SIDE, SIDE, 1, 1.0); 3]);
    let error = prepare(&blank, &config(), &options).unwrap_err();
    assert!(matches!(error, Error::Data { .. }) && error.to_string().contains("all 3 images"), "{error}");
}

fn image_of(seed: u64, notch: bool) -> Image {
    Image { height: SIDE, width: SIDE, channels: 1, pixels: part(seed, notch) }
}

fn score_of(detector: &Detector, seed: u64, notch: bool) -> f32 {
    let image = image_of(seed, notch);
    detector.predict_framed(&detector.frame(&image).unwrap()).unwrap().score
}

#[test]
fn where_places_are_compared_with_good_images_those_look_no_better_than_new_ones() {
    let mut config = config();
    (config.memory.usage, config.network.usage) = (Use::Never, Use::Always);
    (config.features.usage, config.network.init) = (Use::Never, NetworkInit::Pretrained);
    (config.network.map, config.network.passes) = (NetworkMap::Reconstruction, 4);
    let mean = |scores: &[f32]| scores.iter().map(|v| v.ln()).sum::<f32>() / scores.len() as f32;
    let fit = |count: u64| {
        let good: Vec<Image> = (0..count).map(|seed| image_of(seed, false)).collect();
        Detector::fit(&Images::from(good), &config).unwrap()
    };
    let detector = fit(10);
    let new: Vec<f32> = (100..140).map(|seed| score_of(&detector, seed, false)).collect();
    // Were an image among those that it is compared with, its largest deviation would be a third smaller.
    let ratio = (mean(detector.good_scores()) - mean(&new)).exp();
    assert!((0.85..1.2).contains(&ratio), "{ratio}");
    let file = tempfile::NamedTempFile::new().unwrap();
    detector.save(file.path()).unwrap();
    let again = Detector::load(file.path()).unwrap();
    assert_eq!(score_of(&again, 100, true), score_of(&detector, 100, true));
    let standardised = |detector: &Detector| detector.parts()[0].places != PlaceCorrection::None;
    assert!(standardised(&again));
    // Too few to say what is usual at a place.
    assert!(!standardised(&fit(7)));
}

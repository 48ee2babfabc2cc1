//! Whole fits on small generated parts: what a bad day brings, and what it must not change.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::config::Use;
use crate::image::Image;
use crate::prediction::{Reason, Verdict};

const SIDE: usize = 96;

/// A flange with six holes that lies nearly still, as `part` of the cases' `make.py`; a `depth` above 0 cuts a dark notch.
fn part(seed: u64, depth: f32) -> Image {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = |scale: f32| {
        let sum: f32 = (0..12).map(|_| rng.random::<f32>()).sum();
        scale * (sum - 6.0)
    };
    let (cy, cx, turn) = (0.5 + normal(0.008), 0.5 + normal(0.008), normal(3.0));
    let notch = [cy + 0.25 * turn.sin(), cx + 0.25 * turn.cos()];
    let mut image = Image::filled(SIDE, SIDE, 1, 0.35);
    for (i, v) in image.pixels.iter_mut().enumerate() {
        let (y, x) = ((i / SIDE) as f32 / SIDE as f32, (i % SIDE) as f32 / SIDE as f32);
        let d = (y - cy).hypot(x - cx);
        if d > 0.14 && d < 0.36 {
            *v = 0.6;
        }
        for k in 0..6 {
            let angle = k as f32 * std::f32::consts::FRAC_PI_3;
            if (y - cy - 0.25 * angle.sin()).hypot(x - cx - 0.25 * angle.cos()) < 0.035 {
                *v = 0.2;
            }
        }
        if (y - notch[0]).abs() < 0.02 && (x - notch[1]).abs() < 0.06 {
            *v -= depth;
        }
        *v = (*v + normal(0.012)).clamp(0.0, 1.0);
    }
    image
}

fn config() -> Config {
    let mut config = Config::default();
    config.data.image_size = [SIDE, SIDE];
    config
}

/// The same, with the network's features beside the memory of patches.
fn with_features() -> Config {
    let mut config = config();
    config.features.usage = Use::Always;
    config
}

/// A fit, and what its listener was warned of.
fn fit(images: Vec<Image>) -> (Detector, Vec<String>) {
    fit_as(images, &config())
}

/// The same with this configuration.
fn fit_as(images: Vec<Image>, config: &Config) -> (Detector, Vec<String>) {
    let warnings = Mutex::new(Vec::new());
    let listener = |event: FitEvent| {
        if let FitEvent::Warning { text } = event {
            warnings.lock().unwrap().push(text);
        }
    };
    let stop = AtomicBool::new(false);
    let options = FitOptions { on_error: OnError::Stop, listener: &listener, stop: &stop };
    let detector = prepare(&images.into(), config, &options).unwrap().fit(None, &options).unwrap();
    (detector, warnings.into_inner().unwrap())
}

fn parts(seeds: std::ops::Range<u64>) -> Vec<Image> {
    seeds.map(|seed| part(seed, 0.0)).collect()
}

fn defective(detector: &Detector, images: &[Image]) -> usize {
    let is =
        |image: &&Image| detector.predict_framed(&detector.frame(image).unwrap()).unwrap().is_defective();
    images.iter().filter(is).count()
}

fn notched() -> Vec<Image> {
    (2000..2020).map(|seed| part(seed, 0.25)).collect()
}

/// The first of the good images of each draw: of a few images, a single draw says little of the rate.
const DRAWS: [u64; 4] = [0, 100, 200, 300];

#[test]
fn few_images_keep_the_rate_or_warn() {
    for n in [1, 2, 3, 5, 10] {
        let mut rejected = 0;
        for first in DRAWS {
            let (detector, warnings) = fit(parts(first..first + n));
            let threshold = detector.threshold().unwrap();
            let [low, high] = threshold.interval.unwrap();
            assert_eq!(low, 0.0);
            assert_eq!(threshold.warning.as_ref(), warnings.last());
            assert!(threshold.warning.unwrap().contains("at least 19 are needed"));
            let own = defective(&detector, &parts(1000 + first..1020 + first));
            assert!(own as f64 / 20.0 <= high, "{n}, {first}: {own} of {high}");
            assert!(n < 3 || defective(&detector, &notched()) >= 10, "{n}, {first}");
            rejected += own;
        }
        assert!(n < 3 || rejected as f64 / (20 * DRAWS.len()) as f64 <= 0.15, "{n}: {rejected}");
    }
}

#[test]
fn one_bad_frame_among_24_does_not_move_the_threshold() {
    let (clean, warnings) = fit(parts(0..24));
    assert!(warnings.is_empty(), "{warnings:?}");
    let before = clean.threshold().unwrap();
    let black = Image::filled(SIDE, SIDE, 1, 0.01);
    let mut inverted = part(77, 0.0);
    inverted.pixels.iter_mut().for_each(|v| *v = 1.0 - *v);
    for (frame, is_blank) in [(black, true), (inverted, false)] {
        let mut images = parts(0..24);
        images.insert(11, frame);
        let (detector, warnings) = fit(images);
        let after = detector.threshold().unwrap();
        let moved = after.value / before.value - 1.0;
        assert!(moved.abs() < 0.05, "{moved} {is_blank}");
        // What is left out on suspicion may be good, and counts in the interval's upper end.
        let [after, before] = [&after, &before].map(|threshold| threshold.interval.unwrap());
        assert_eq!(after[0], before[0]);
        assert!(if is_blank { after[1] == before[1] } else { after[1] > before[1] }, "{after:?} {before:?}");
        assert_eq!(warnings.iter().any(|w| w.contains("blank")), is_blank, "{warnings:?}");
        let left_out = detector.provenance().suspected_outliers.iter().filter(|s| s.left_out).count();
        assert_eq!(left_out, usize::from(!is_blank));
        let [found, found_before] = [&detector, &clean].map(|detector| defective(detector, &notched()));
        assert!(found.abs_diff(found_before) <= 2, "{found} {found_before}");
    }
}

/// As a camera sees it in so much light.
fn lit(mut image: Image, light: f32) -> Image {
    image.pixels.iter_mut().for_each(|v| *v = ((*v * light * 255.0).round() / 255.0).min(1.0));
    image
}

/// A black frame with a line of letters, such as a time.
fn lettered() -> Image {
    let mut image = lit(part(0, 0.0), 0.02);
    (0..60).filter(|i| i % 3 > 0).for_each(|i| image.pixels[4 * SIDE + 4 + i] = 1.0);
    image
}

#[test]
fn dark_over_exposed_and_lettered_frames_are_not_fitted_on_whatever_their_order() {
    let before = fit(parts(0..24)).0.threshold().unwrap();
    for first in [true, false] {
        let mut images =
            vec![lit(part(70, 0.0), 0.05), lit(part(71, 0.0), 3.0), lit(part(72, 0.0), 3.0), lettered()];
        let frames = images.clone();
        images.splice(if first { 4..4 } else { 0..0 }, parts(0..24));
        let (detector, warnings) = fit(images);
        assert!(warnings.iter().any(|w| w.contains("4 good images are blank")), "{warnings:?}");
        let moved = detector.threshold().unwrap().value / before.value - 1.0;
        assert!(moved.abs() < 0.05, "{moved}");
        for frame in &frames {
            let found = detector.predict_framed(&detector.frame(frame).unwrap()).unwrap();
            assert_eq!((found.verdict, found.reason), (Verdict::Defective, Reason::Blank));
        }
    }
}

/// Brushed metal under uneven light, as `surface` of the cases' `make.py`.
fn surface(seed: u64) -> Image {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = |scale: f32| {
        let sum: f32 = (0..12).map(|_| rng.random::<f32>()).sum();
        scale * (sum - 6.0)
    };
    let mut line = 0.0;
    let lines: Vec<f32> = (0..SIDE)
        .map(|_| {
            line += normal(0.01);
            line
        })
        .collect();
    let mean = lines.iter().sum::<f32>() / SIDE as f32;
    let mut image = Image::filled(SIDE, SIDE, 1, 0.45);
    for (i, v) in image.pixels.iter_mut().enumerate() {
        *v += 0.1 * (2.5 * (i / SIDE) as f32 / SIDE as f32).sin() + lines[i % SIDE] - mean + normal(0.02);
    }
    image
}

#[test]
fn a_surface_in_next_to_no_light_or_contrast_is_blank_and_outlines_stay_near_what_they_enclose() {
    let (detector, _) = fit((0..24).map(surface).collect());
    let predict = |image: &Image| detector.predict_framed(&detector.frame(image).unwrap()).unwrap();
    for seed in 100..106 {
        let mut faint = surface(seed);
        faint.pixels.iter_mut().for_each(|v| *v = 0.5 + ((*v - 0.5) * 0.05 * 255.0).round() / 255.0);
        for frame in [lit(surface(seed), 0.05), lit(surface(seed), 0.1), faint] {
            let found = predict(&frame);
            assert_eq!((found.verdict, found.reason), (Verdict::Defective, Reason::Blank), "{seed}");
        }
    }
    let mut square = surface(200);
    (0..100).for_each(|i| square.pixels[(40 + i / 10) * SIDE + 30 + i % 10] = 1.0);
    let found = predict(&square);
    assert_eq!(found.reason, Reason::Anomaly);
    let outlined: usize = found.regions.iter().map(|region| region.area).sum();
    let above = found.map.iter().filter(|v| **v >= found.outlined_from).count();
    assert!(2 * outlined < above && outlined >= 50, "{outlined} of {above}");
    let region = &found.regions[0];
    assert!(
        region.y <= 45 && region.y + region.height > 45 && region.x <= 35 && region.x + region.width > 35
    );
}

#[test]
fn copies_of_a_few_products_are_so_many_products() {
    let images: Vec<Image> = (0..24).map(|i| part(i % 3, 0.0)).collect();
    let (detector, warnings) = fit(images);
    assert_eq!(detector.good_scores().len(), 3);
    assert!(warnings.iter().any(|w| w.contains("21 of 24 good images are near-duplicates")), "{warnings:?}");
    let threshold = detector.threshold().unwrap();
    assert!(threshold.warning.unwrap().contains("3 good images cannot show a rate of 5 %"));
    let rejected = defective(&detector, &parts(1000..1020));
    assert!(rejected <= 3, "{rejected}");
    assert_eq!(fit(vec![part(0, 0.0); 24]).0.good_scores().len(), 1);
}

#[test]
fn one_odd_photo_among_20_does_not_decide_the_threshold_that_is_calibrated() {
    let (mut detector, _) = fit(parts(0..24));
    let own = |extra: Option<Image>| -> Images {
        parts(3000..3020).into_iter().chain(extra).collect::<Vec<_>>().into()
    };
    let before = detector.calibrate(&own(None), None).unwrap();
    let mut turned = part(4000, 0.0);
    turned.pixels.reverse();
    let mut shaded = part(4001, 0.0);
    for (i, v) in shaded.pixels.iter_mut().enumerate() {
        let (y, x) = ((i / SIDE) as f32 / SIDE as f32 - 0.5, (i % SIDE) as f32 / SIDE as f32 - 0.5);
        *v *= 1.0 - 1.6 * (y * y + x * x);
    }
    let mut moved = Image::filled(SIDE, SIDE, 1, 0.35);
    let whole = part(4002, 0.0);
    (0..SIDE * (SIDE - 12)).for_each(|i| moved.pixels[i + 12 * SIDE] = whole.pixels[i]);
    for (odd, name) in [(shaded, "shaded"), (moved, "moved"), (turned, "turned")] {
        let after = detector.calibrate(&own(Some(odd)), None).unwrap();
        let [before, value] = [&before, &after].map(|found| found.threshold.value);
        assert!(value / before - 1.0 < 0.05, "{name}: {before} {value} {:?}", after.problems);
    }
}

/// A bar at any angle on bright ground, with a groove along it.
fn bar(seed: u64) -> Image {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let turn = rng.random_range(0.0..std::f32::consts::TAU);
    let (cy, cx) = (48.0 + rng.random_range(-2.0..2.0f32), 48.0 + rng.random_range(-2.0..2.0f32));
    let mut image = Image::filled(SIDE, SIDE, 1, 0.0);
    for (i, v) in image.pixels.iter_mut().enumerate() {
        let (y, x) = ((i / SIDE) as f32 - cy, (i % SIDE) as f32 - cx);
        let (along, across) = (x * turn.cos() + y * turn.sin(), y * turn.cos() - x * turn.sin());
        let half = if along > 18.0 { 11.0 } else { 7.0 };
        let level = match (along.abs() < 30.0, across.abs()) {
            (true, across) if across < 2.0 => 0.55,
            (true, across) if across < half => 0.35,
            _ => 0.85,
        };
        *v = level + (0..4).map(|_| rng.random_range(-0.01..0.01f32)).sum::<f32>();
    }
    image
}

#[test]
fn frames_that_show_nothing_do_not_say_how_products_lie() {
    let parts_of = |images: Vec<Image>| -> Vec<String> {
        let (detector, _) = fit(images);
        detector.parts().iter().map(|part| part.kind.name.to_owned()).collect()
    };
    let bars: Vec<Image> = (0..16).map(bar).collect();
    let own = parts_of(bars.clone());
    assert_eq!(own, ["features", "memory"], "bars can be rectified");
    for level in [0.0, 1.0, 0.5] {
        let blank = (0..3).map(|_| Image::filled(SIDE, SIDE, 1, level));
        assert_eq!(parts_of(bars.iter().cloned().chain(blank).collect()), own, "{level}");
    }
    // Ground without a product.
    let mut ground = Image::filled(SIDE, SIDE, 1, 0.85);
    ground.pixels.iter_mut().enumerate().for_each(|(i, v)| *v += 0.001 * (i / SIDE) as f32);
    assert_eq!(parts_of(bars.into_iter().chain([ground]).collect()), own);
}

#[test]
fn photos_of_rectified_products_count_once_a_product() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut photos = Vec::new();
    for seed in 0..6 {
        for _ in 0..5 {
            let mut photo = bar(seed);
            photo.pixels.iter_mut().for_each(|v| *v += rng.random_range(-0.01..0.01f32));
            photos.push(photo);
        }
    }
    let (detector, warnings) = fit(photos);
    // Few pixels show a bar: some photos may stand alone.
    assert!((6..=10).contains(&detector.good_scores().len()), "{warnings:?}");
    let rejected = defective(&detector, &(100..120).map(bar).collect::<Vec<_>>());
    assert!(rejected <= 6, "{rejected}");
}

#[test]
fn blank_images_alone_are_an_error() {
    let stop = AtomicBool::new(false);
    let options = FitOptions { on_error: OnError::Stop, listener: &|_| {}, stop: &stop };
    let images = Images::from(vec![Image::filled(SIDE, SIDE, 1, 1.0); 4]);
    let error = prepare(&images, &config(), &options).unwrap_err().to_string();
    assert!(error.contains("all 4 images"), "{error}");
}

/// `frames` noisy photos of each of so many parts.
fn photographed(parts: u64, frames: u64) -> Vec<Image> {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let mut photo = |seed: u64| {
        let mut image = part(seed, 0.0);
        image
            .pixels
            .iter_mut()
            .for_each(|v| *v = (*v + rng.random_range(-0.0139..0.0139f32)).clamp(0.0, 1.0));
        image
    };
    (0..parts).flat_map(|seed| (0..frames).map(move |_| seed)).map(&mut photo).collect()
}

#[test]
fn frames_of_one_part_count_once() {
    let (detector, warnings) = fit(photographed(10, 6));
    assert_eq!(detector.good_scores().len(), 10);
    assert!(warnings.iter().any(|w| w.contains("50 of 60 good images are near-duplicates")), "{warnings:?}");
    let rejected = defective(&detector, &parts(1000..1020));
    assert!(rejected <= 3, "{rejected}");
    assert!(defective(&detector, &notched()) >= 15);
}

#[test]
fn frames_of_two_or_three_parts_state_no_rate_and_calibration_with_others_does() {
    for (count, frames, those) in [(2, 10, "only 2 products"), (3, 8, "only 3 products")] {
        let (detector, warnings) = fit(photographed(count, frames));
        let threshold = detector.threshold().unwrap();
        assert_eq!(threshold.interval.unwrap()[1], 1.0, "{those}");
        assert!(threshold.warning.as_ref().unwrap().contains(those), "{threshold:?}");
        assert!(warnings.contains(threshold.warning.as_ref().unwrap()), "{warnings:?}");
        let mut detector = Detector::from_bytes(&saved(&detector)).unwrap();
        assert_eq!(detector.threshold().unwrap(), threshold);
        for other in detector.thresholds() {
            assert_eq!(other.interval.unwrap()[1], 1.0, "{other:?}");
        }
        detector.calibrate(&parts(3000..3030).into(), None).unwrap();
        let threshold = Detector::from_bytes(&saved(&detector)).unwrap().threshold().unwrap();
        assert!(threshold.interval.unwrap()[1] < 0.2 && threshold.warning.is_none(), "{threshold:?}");
        assert!(defective(&detector, &parts(1000..1020)) <= 3);
    }
}

/// A code that differs on every part, in one corner.
fn coded(mut image: Image, seed: u64) -> Image {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let code: Vec<f32> = (0..25).map(|_| if rng.random() { 0.9 } else { 0.1 }).collect();
    for i in 0..100 {
        image.pixels[(2 + i / 10) * SIDE + 2 + i % 10] = code[i / 10 / 2 * 5 + i % 10 / 2];
    }
    image
}

#[test]
fn a_code_in_the_corner_does_not_set_the_scale() {
    let images = (0..24).map(|seed| coded(part(seed, 0.0), seed)).collect();
    let (detector, warnings) = fit(images);
    assert!(warnings.iter().any(|w| w.contains("varies far more than the rest")), "{warnings:?}");
    let ok: Vec<Image> = (1000..1020).map(|seed| coded(part(seed, 0.0), seed)).collect();
    let bad: Vec<Image> = (2000..2020).map(|seed| coded(part(seed, 0.25), seed)).collect();
    let (alarms, found) = (defective(&detector, &ok), defective(&detector, &bad));
    assert!(alarms <= 3 && found >= 18, "{alarms} {found}");
    // It survives the model file.
    let file = tempfile::tempdir().unwrap();
    let path = file.path().join("m.safetensors");
    detector.save(&path).unwrap();
    let loaded = Detector::load(&path).unwrap();
    let scores =
        |d: &Detector| bad.iter().map(|i| d.predict_framed(&d.frame(i).unwrap()).unwrap().score).collect();
    let (a, b): (Vec<f32>, Vec<f32>) = (scores(&detector), scores(&loaded));
    assert_eq!(a, b);
}

#[test]
fn what_is_ignored_is_not_found_and_small_regions_make_no_score() {
    let (detector, warnings) = fit(parts(0..24));
    assert!(!warnings.iter().any(|w| w.contains("varies")), "{warnings:?}");
    let mut image = part(500, 0.0);
    (0..36).for_each(|i| image.pixels[(20 + i / 6) * SIDE + 70 + i % 6] = 1.0);
    let predict = |d: &Detector| d.predict_framed(&d.frame(&image).unwrap()).unwrap();
    let found = predict(&detector);
    assert_eq!((found.verdict, found.reason, found.inspected), (Verdict::Defective, Reason::Anomaly, 1.0));
    assert!(!found.regions.is_empty());

    let mut mask = PixelMask::empty(SIDE, SIDE);
    for i in 0..32 * 32 {
        mask.pixels[(8 + i / 32) * SIDE + 60 + i % 32] = 1;
    }
    let mut masked = Detector::from_bytes(&saved(&detector)).unwrap();
    masked.ignore(&mask).unwrap();
    let ignored = predict(&Detector::from_bytes(&saved(&masked)).unwrap());
    assert_eq!(ignored.verdict, Verdict::Good, "{} {}", ignored.score, ignored.threshold);
    // What is beside the mask is judged as if nothing were under it.
    let clean = part(500, 0.0);
    let clean = detector.predict_framed(&detector.frame(&clean).unwrap()).unwrap();
    assert!((ignored.score - clean.score).abs() < 0.1, "{} {}", ignored.score, clean.score);
    assert!((ignored.inspected - (1.0 - 1024.0 / 9216.0)).abs() < 1e-4);

    let all = PixelMask { height: 1, width: 1, pixels: vec![1] };
    assert!(masked.ignore(&all).unwrap_err().to_string().contains("leaves nothing"));

    let mut coarse = config();
    coarse.score.min_area = 2000;
    let coarse = Detector::fit(&parts(0..24).into(), &coarse).unwrap();
    assert!(predict(&coarse).score < found.score);
}

fn saved(detector: &Detector) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    detector.save(&path).unwrap();
    std::fs::read(path).unwrap()
}

#[test]
fn blank_frames_are_defective_and_doubtful_ones_are_reviewed() {
    let (mut detector, _) = fit(parts(0..24));
    for level in [0.0, 0.5, 1.0] {
        let blank = detector.frame(&Image::filled(SIDE, SIDE, 1, level)).unwrap();
        let found = detector.predict_framed(&blank).unwrap();
        assert_eq!((found.verdict, found.reason), (Verdict::Defective, Reason::Blank));
        assert!(found.score >= found.threshold && found.regions.is_empty());
    }
    assert!(detector.choose_review(Some(0.01)).is_err());
    detector.choose_review(Some(0.5)).unwrap();
    let verdicts: Vec<(f32, Verdict)> = parts(1000..1020)
        .iter()
        .map(|image| detector.predict_framed(&detector.frame(image).unwrap()).unwrap())
        .map(|found| (found.score, found.verdict))
        .collect();
    let (review, threshold) =
        (detector.review_threshold().unwrap().value, detector.threshold().unwrap().value);
    assert!(review < threshold);
    for (score, verdict) in verdicts {
        let score = f64::from(score);
        let expected = match verdict {
            Verdict::Good => score < review,
            Verdict::Review => (review..threshold).contains(&score),
            Verdict::Defective => score >= threshold,
        };
        assert!(expected, "{score} {verdict:?}");
    }
}

#[test]
fn own_photos_set_the_threshold_anew() {
    let (mut detector, _) = fit(parts(0..12));
    let mut good = parts(3000..3030);
    good.push(Image::filled(SIDE, SIDE, 1, 0.0));
    let found = detector.calibrate(&good.into(), Some(&notched().into())).unwrap();
    assert_eq!((found.good, found.defective, found.repeated), (30, 20, 0));
    assert!(found.problems.len() == 1 && found.problems[0].reason.contains("blank"), "{:?}", found.problems);
    assert_eq!(found.threshold, detector.threshold().unwrap());
    assert_eq!((found.threshold.warning.as_ref(), detector.good_scores().len()), (None, 30));
    assert!(
        found.curve.is_sorted_by(|a, b| a.threshold < b.threshold && a.fpr >= b.fpr && a.found >= b.found)
    );
    let none = Images::from(vec![Image::filled(SIDE, SIDE, 1, 0.0)]);
    assert!(detector.calibrate(&none, None).is_err());
}

/// A circuit board: rectangles of several colours on green, moved by up to a pixel.
fn board(seed: u64) -> Image {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let by: [f32; 2] = [rng.random_range(-1.0..1.0), rng.random_range(-1.0..1.0)];
    let mut layout = ChaCha8Rng::seed_from_u64(5);
    let boxes: Vec<([f32; 4], [f32; 3])> = (0..14)
        .map(|_| {
            let mut within = |low: f32, high: f32| layout.random_range(low..high);
            let place = [within(6.0, 72.0), within(6.0, 72.0), within(5.0, 18.0), within(5.0, 18.0)];
            (place, [within(0.05, 0.9), within(0.05, 0.9), within(0.05, 0.9)])
        })
        .collect();
    let mut image = Image::filled(SIDE, SIDE, 3, 0.0);
    for (i, pixel) in image.pixels.chunks_exact_mut(3).enumerate() {
        let (y, x) = ((i / SIDE) as f32 - by[0], (i % SIDE) as f32 - by[1]);
        let inside = |[top, left, height, width]: [f32; 4]| {
            // Edges a pixel wide.
            let edge = |at: f32, length: f32| (at + 0.5).min(length - at + 0.5).clamp(0.0, 1.0);
            edge(y - top, height) * edge(x - left, width)
        };
        pixel.copy_from_slice(&[0.1, 0.4, 0.2]);
        for (place, colour) in &boxes {
            let share = inside(*place);
            pixel.iter_mut().zip(colour).for_each(|(v, c)| *v += share * (c - *v));
        }
        pixel.iter_mut().for_each(|v| *v = (*v + rng.random_range(-0.02..0.02f32)).clamp(0.0, 1.0));
    }
    image
}

#[test]
fn a_white_square_of_a_fifth_of_a_board_is_outlined_and_not_the_board() {
    const SQUARE: usize = 45;
    let (detector, _) = fit((0..24).map(board).collect());
    let mut shares = Vec::new();
    for (seed, [top, left]) in
        (100..).zip([[2, 2], [2, 49], [49, 2], [49, 49], [25, 25], [10, 40], [40, 10], [25, 49]])
    {
        let mut image = board(seed);
        for y in top..top + SQUARE {
            image.pixels[(y * SIDE + left) * 3..][..SQUARE * 3].fill(1.0);
        }
        let prediction = detector.predict_framed(&detector.frame(&image).unwrap()).unwrap();
        assert_eq!(prediction.verdict, Verdict::Defective, "{top} {left}");
        let outlined: usize = prediction.regions.iter().map(|region| region.area).sum();
        shares.push(outlined as f32 / prediction.map.len() as f32);
    }
    // The square is 0.22 of the image.
    assert!(shares.iter().all(|share| (0.15..0.35).contains(share)), "{shares:?}");
}

#[test]
fn beside_a_memory_of_patches_the_larger_score_counts() {
    let mut config = with_features();
    let fitted = Detector::fit(&parts(0..24).into(), &config).unwrap();
    let detector = Detector::from_bytes(&saved(&fitted)).unwrap();
    let scale = detector.parts().iter().find_map(|part| part.common_scale).unwrap();
    for image in [part(1000, 0.0), part(1001, 0.3)] {
        let view = detector.register(detector.frame(&image).unwrap().view).image;
        let size = [SIDE; 2];
        let seen = detector.see(&view, size).unwrap();
        assert_eq!(seen, fitted.see(&view, size).unwrap());
        let normalised = detector.normaliser().apply(&view);
        let maps = detector.parts().iter().map(|part| part.map(&normalised)).collect();
        let (shown, apart) = crate::scoring::halves(detector.parts(), maps, detector.config(), size, None);
        let apart = apart.unwrap();
        assert_eq!(seen.score, shown.score.max(scale.of(apart.score)));
        assert_eq!(seen.map, scale.map(shown.score, shown.map, &apart.map));
    }
    assert!(defective(&detector, &notched()) >= 15);
    config.memory.usage = Use::Never;
    let alone = Detector::fit(&parts(0..24).into(), &config).unwrap();
    assert!(alone.parts().iter().all(|part| part.common_scale.is_none()));
}

#[test]
fn with_features_few_images_bursts_and_codes_cost_no_good_products() {
    for name in ["few", "copies"] {
        let mut rejected = 0;
        for first in DRAWS {
            let images = match name {
                "few" => parts(first..first + 5),
                _ => (0..24).map(|i| part(first + i % 3, 0.0)).collect(),
            };
            let (detector, _) = fit_as(images, &with_features());
            assert!(defective(&detector, &notched()) >= 10, "{name}, {first}");
            rejected += defective(&detector, &parts(1000 + first..1020 + first));
        }
        assert!(rejected as f64 / (20 * DRAWS.len()) as f64 <= 0.15, "{name}: {rejected}");
    }
    let marked = |seeds: std::ops::Range<u64>, depth: f32| -> Vec<Image> {
        seeds.map(|seed| coded(part(seed, depth), seed)).collect()
    };
    let (detector, _) = fit_as(marked(0..24, 0.0), &with_features());
    let (alarms, found) =
        (defective(&detector, &marked(1000..1020, 0.0)), defective(&detector, &marked(2000..2020, 0.25)));
    assert!(alarms <= 3 && found >= 15, "{alarms} {found}");
}

//! A surface whose images have many sizes: all keep their scale, whatever the settings.

use blemish::config::Overlay;
use blemish::dataset::open;
use blemish::evaluate::{EvaluateOptions, evaluate};
use blemish::image::{ByteImage, PixelMask};
use blemish::report::save_png;
use blemish::{Config, Detector, Image, Images, Prediction, Verdict};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Side of the defect, pixels.
const SPOT: usize = 7;

/// Brushed metal, cut to a size of its own, and where it has a dark spot.
fn brushed(seed: u64, spot: bool) -> (Image, [usize; 2]) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let [height, width] = [(); 2].map(|()| rng.random_range(60..=220usize));
    let mut column = 0.5f32;
    let columns: Vec<f32> = (0..width)
        .map(|_| {
            column = 0.5 + 0.98 * (column - 0.5) + rng.random_range(-0.02..0.02);
            column
        })
        .collect();
    let at = [height, width].map(|side| rng.random_range(5..side - SPOT - 5));
    let level = |i: usize| {
        let (y, x) = (i / width, i % width);
        let inside = spot && (at[0]..at[0] + SPOT).contains(&y) && (at[1]..at[1] + SPOT).contains(&x);
        let value = columns[x] + rng.random_range(-0.04..0.04);
        if inside { 0.55 * value } else { value }
    };
    (Image { height, width, channels: 1, pixels: (0..height * width).map(level).collect() }, at)
}

fn good(seeds: std::ops::Range<u64>) -> Vec<Image> {
    seeds.map(|seed| brushed(seed, false).0).collect()
}

fn config() -> Config {
    let mut config = Config::default();
    config.data.image_size = [112, 112];
    config
}

fn predict(detector: &Detector, image: &Image) -> Prediction {
    detector.predict_framed(&detector.frame(image).unwrap()).unwrap()
}

#[test]
fn defects_are_found_where_they_are_at_any_size() {
    let detector = Detector::fit(&Images::from(good(0..40)), &config()).unwrap();
    let view = detector.config().view();
    let scale = view.scale.expect("the images have many sizes");
    // The median image has about 140 x 140 pixels.
    assert!((0.6..1.0).contains(&scale), "{scale}");

    let alarms = good(1000..1020).iter().filter(|image| predict(&detector, image).is_defective()).count();
    let (mut found, mut placed) = (0, 0);
    for seed in 2000..2020 {
        let (image, [top, left]) = brushed(seed, true);
        let prediction = predict(&detector, &image);
        assert_eq!(prediction.map_size, view.size_of([image.height, image.width]));
        assert_eq!(prediction.map.len(), prediction.map_size.iter().product::<usize>());
        assert!(prediction.inspected == 1.0 && prediction.unlike.is_empty(), "{:?}", prediction.unlike);
        found += usize::from(prediction.is_defective());
        let [y, x] = [top + SPOT / 2, left + SPOT / 2];
        placed += usize::from(prediction.regions.first().is_some_and(|region| {
            (region.y..region.y + region.height).contains(&y)
                && (region.x..region.x + region.width).contains(&x)
        }));
    }
    assert!(found >= 19 && placed >= 19 && alarms <= 3, "{found} found, {placed} in place, {alarms} alarms");

    // Saved and loaded, it says the same of the same images.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.blemish.safetensors");
    detector.save(&file).unwrap();
    let loaded = Detector::load(&file).unwrap();
    for seed in [1000, 1001, 2000] {
        let (image, _) = brushed(seed, seed == 2000);
        let [before, after] = [&detector, &loaded].map(|detector| predict(detector, &image));
        assert_eq!((before.score.to_bits(), before.map), (after.score.to_bits(), after.map));
    }
}

#[test]
fn what_needs_one_size_is_refused_or_stretches_the_images() {
    let images = Images::from(good(0..12));
    let mut detector = Detector::fit(&images, &config()).unwrap();
    let mask = PixelMask { height: 2, width: 2, pixels: vec![1, 0, 0, 0] };
    let error = detector.ignore(&mask).unwrap_err().to_string();
    assert!(error.contains("many sizes") && error.contains("data.fit=stretch"), "{error}");
    let stretched = |setting: &str| {
        let config = config().with(&Overlay::default().set(setting).unwrap()).unwrap();
        Detector::fit(&images, &config).unwrap().config().one_size()
    };
    assert_eq!(stretched("data.fit=stretch"), Some([112, 112]));
    assert_eq!(stretched("memory.use=always"), Some([112, 112]));
}

#[test]
fn specks_and_expanses_of_the_surface_are_judged() {
    let detector = Detector::fit(&Images::from(good(0..40)), &config()).unwrap();
    let (image, _) = brushed(1003, false);
    for [height, width] in [[9, 50], [2, 2], [60, 9]] {
        let prediction = predict(&detector, &image.part([0, 0], [height, width]));
        assert!(prediction.score.is_finite(), "{height} x {width}");
        assert_eq!(prediction.map_size, detector.config().view().size_of([height, width]));
    }
    // Beyond a megapixel it is looked at in tiles; a defect shows in them as it does in the whole.
    let large = image.mirrored_to([1700, 1500]);
    let prediction = predict(&detector, &large);
    assert!(prediction.score < 1.5 * prediction.threshold, "{} {}", prediction.score, prediction.threshold);
    let mut spoilt = large;
    for i in 0..60 * 60 {
        spoilt.pixels[(800 + i / 60) * 1500 + 700 + i % 60] *= 0.5;
    }
    let prediction = predict(&detector, &spoilt);
    assert_eq!(prediction.verdict, Verdict::Defective);
    assert!(prediction.map.iter().all(|v| v.is_finite()));
}

#[test]
fn masks_are_compared_at_each_images_own_size() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, image: &ByteImage| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        save_png(image, &path).unwrap();
    };
    for seed in 0..24 {
        put(&format!("train/good/{seed:03}.png"), &brushed(seed, false).0.to_bytes());
        put(&format!("test/good/{seed:03}.png"), &brushed(1000 + seed, false).0.to_bytes());
        let (image, [top, left]) = brushed(2000 + seed, true);
        put(&format!("test/spot/{seed:03}.png"), &image.to_bytes());
        let mut mask = Image::filled(image.height, image.width, 1, 0.0);
        for i in 0..SPOT * SPOT {
            mask.pixels[(top + i / SPOT) * image.width + left + i % SPOT] = 1.0;
        }
        put(&format!("ground_truth/spot/{seed:03}_mask.png"), &mask.to_bytes());
    }
    let set = open(folder.path(), None).unwrap();
    let detector = Detector::fit(&Images::from(&set), &config()).unwrap();
    let evaluated = evaluate(&detector, &set, &set.test, &EvaluateOptions::default()).unwrap();
    let metrics = &evaluated.evaluation.metrics;
    assert!(metrics.image_auroc.unwrap() > 0.97 && metrics.aupro.unwrap() > 0.9, "{metrics:?}");
    let notes = &evaluated.evaluation.notes;
    assert!(notes.iter().any(|note| note.contains("own sizes")), "{notes:?}");
    evaluated.report(&detector).unwrap();
}

//! A fit with default settings, from good images to verdicts, on a product and on a surface.

use blemish::dataset::{Label, open};
use blemish::metrics::auroc;
use blemish::model_file::read_tensors;
use blemish::{Config, Detector, Image, ImageView, Images};
use blemish_synthetic::flange::{SyntheticConfig, generate};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The default settings, at a size that is quick.
fn config(side: usize) -> Config {
    let mut config = Config::default();
    config.data.image_size = [side; 2];
    config
}

fn image_auroc(detector: &Detector, good: &[Image], defective: &[Image]) -> f64 {
    let score = |image: &Image| detector.predict_framed(&detector.frame(image).unwrap()).unwrap().score;
    let scores: Vec<f32> = good.iter().chain(defective).map(score).collect();
    let labels: Vec<bool> = (0..scores.len()).map(|i| i >= good.len()).collect();
    auroc(&scores, &labels).unwrap()
}

#[test]
fn a_product_is_fitted_and_its_defects_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let sizes = SyntheticConfig {
        image_size: 128,
        train: 80,
        test_good: 20,
        test_defective: 20,
        seed: 3,
        channels: 1,
    };
    generate(&sizes, folder.path()).unwrap();
    let set = open(folder.path(), None).unwrap();
    let detector = Detector::fit(&Images::from(&set), &config(128)).unwrap();
    let of = |label| -> Vec<f32> {
        let samples = set.test.iter().filter(|sample| sample.label == label);
        samples.map(|sample| detector.predict_file(&sample.path).unwrap().score).collect()
    };
    let (good, defective) = (of(Label::Good), of(Label::Defective));
    let labels: Vec<bool> = (0..good.len() + defective.len()).map(|i| i >= good.len()).collect();
    let found = auroc(&[good, defective].concat(), &labels).unwrap();
    assert!(found >= 0.95, "{found}");
    // Saved and loaded, it says the same of the same bytes.
    let file = folder.path().join("part.blemish.safetensors");
    detector.save(&file).unwrap();
    let (loaded, buffer) = (Detector::load(&file).unwrap(), vec![90u8; 96 * 96]);
    let [before, after] = [&detector, &loaded].map(|d| d.predict(ImageView::grey8(&buffer, 96, 96)).unwrap());
    assert_eq!((before.score.to_bits(), before.map), (after.score.to_bits(), after.map));
    let bytes = std::fs::read(&file).unwrap();
    assert!(Detector::from_bytes(&bytes).is_ok() && Detector::from_bytes(&bytes[..bytes.len() - 1]).is_err());
}

/// A grainy surface; a dark scratch and a stain where `defect`.
fn surface(seed: u64, defect: bool) -> Image {
    const SIDE: usize = 96;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let noise: Vec<f32> = (0..SIDE * SIDE).map(|_| rng.random_range(-0.2..0.2)).collect();
    let (row, column) = (rng.random_range(20..60), rng.random_range(20..50));
    let level = |i: usize| {
        let (y, x) = (i / SIDE, i % SIDE);
        let texture = 0.5 * (noise[i] + noise[(y * SIDE + (x + 1) % SIDE) % (SIDE * SIDE)]);
        let scratch = defect && (column..column + 40).contains(&x) && y == row + (x - column) / 4;
        let stain = defect && (y.abs_diff(row + 20)).pow(2) + (x.abs_diff(column)).pow(2) < 60;
        0.5 + texture - if scratch { 0.3 } else { 0.0 } - if stain { 0.12 } else { 0.0 }
    };
    Image { height: SIDE, width: SIDE, channels: 1, pixels: (0..SIDE * SIDE).map(level).collect() }
}

#[test]
fn a_surface_is_fitted_and_its_defects_are_found() {
    let good: Vec<Image> = (0..30).map(|seed| surface(seed, false)).collect();
    let detector = Detector::fit(&Images::from(good), &config(96)).unwrap();
    let test: Vec<Image> = (100..116).map(|seed| surface(seed, false)).collect();
    let defective: Vec<Image> = (200..216).map(|seed| surface(seed, true)).collect();
    let found = image_auroc(&detector, &test, &defective);
    assert!(found >= 0.95, "{found} by {}", detector.active_parts());
}

#[test]
fn one_two_and_four_threads_give_the_same_bytes() {
    let good: Vec<Image> = (0..12).map(|seed| surface(seed, false)).collect();
    let tensors = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.safetensors");
        pool.install(|| {
            Detector::fit(&Images::from(good.clone()), &config(96)).unwrap().save(&file).unwrap()
        });
        read_tensors(&file).unwrap().1
    };
    let one = tensors(1);
    assert!(!one.is_empty() && one == tensors(2) && one == tensors(4));
}

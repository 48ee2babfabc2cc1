//! The scoring engine against the model that it follows.

use blemish::config::{AggregationKeys, Head, ModelConfig, Norm, PatchEmbed, Sinusoid};
use blemish::engine::{Arithmetic, Complementary, Engine, Feature, Mask, Output};
use blemish_train::model::Mae;
use blemish_train::{ImportOptions, MaskConfig, MaskStrategy, Preset, RunConfig, draw_mask, import_pytorch};
use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::fixture::{Fixture, assert_close, path, values};
use crate::parity_model::{LIGHT, light, mask};

/// How far 32-bit results may be off, relative to the largest value.
const CLOSE: f32 = 1e-5;

fn engine(model: &Mae, arithmetic: Arithmetic) -> Engine {
    let weights = model.weights();
    Engine::new(model.config(), model.image_size(), model.channels(), &weights, arithmetic).unwrap()
}

fn images(model: &Mae, batch: usize, seed: u64) -> Vec<f32> {
    let [h, w] = model.image_size();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..batch * h * w * model.channels()).map(|_| rng.random_range(0.0f32..1.0)).collect()
}

fn agrees(what: &str, model: &Mae, engine: &Engine, images: &[f32], mask: Option<&Mask>, tolerance: f32) {
    let [h, w] = model.image_size();
    let batch = images.len() / (h * w * model.channels());
    let data = TensorData::new(images.to_vec(), [batch, h, w, model.channels()]);
    let expected = model.forward(Tensor::from_data(data, &model.device()), mask);
    let got = engine.forward(images, mask, &[]);
    assert_close(&format!("{what}: image"), &got.image, &values(expected.image), tolerance);
    let logit = expected.logit.map(values).unwrap_or_default();
    assert_close(&format!("{what}: extra"), &got.extra, &logit, tolerance);
}

/// A model with every parameter random, so that no zero hides a fault.
pub fn random_model(config: &ModelConfig, image_size: [usize; 2], channels: usize, seed: u64) -> Mae {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let model = Mae::new(config, image_size, channels, rng, &Device::flex());
    model.update(|name, values| {
        if name.ends_with("bias") || name.ends_with("beta") || name == "pyramid.out.weight" {
            values.iter_mut().for_each(|v| *v = rng.random_range(-0.3f32..0.3));
        } else if name.ends_with("gamma") {
            values.iter_mut().for_each(|v| *v = rng.random_range(0.5f32..1.5));
        }
    })
}

fn small() -> ModelConfig {
    ModelConfig {
        stem_dims: vec![4, 6, 10],
        embed_dim: 24,
        num_heads: 3,
        depth: 4,
        decoder_embed_dim: 16,
        decoder_num_heads: 2,
        ..ModelConfig::light()
    }
}

/// Small configurations that differ in everything that changes the way of a pass.
fn configurations() -> Vec<(&'static str, ModelConfig)> {
    let linear = ModelConfig { patch_embed: PatchEmbed::Linear, ..small() };
    vec![
        ("light", small()),
        ("layer norm", ModelConfig { norm: Norm::LayerNorm, decoder_depth: 2, ..small() }),
        (
            "scattered keys",
            ModelConfig { aggregation_keys: AggregationKeys::Scattered, decoder_depth: 3, ..small() },
        ),
        ("no decoder layer", ModelConfig { decoder_depth: 0, decoder_pos_embed: false, ..small() }),
        ("linear embedding", linear.clone()),
        (
            "linear both",
            ModelConfig {
                head: Head::Linear,
                defect_logit: false,
                sinusoid: Sinusoid::Row,
                patch_size: 8,
                ..linear
            },
        ),
        ("linear head", ModelConfig { head: Head::Linear, defect_logit: false, ..small() }),
        (
            "odd widths",
            ModelConfig { stem_dims: vec![3, 5, 7], embed_dim: 20, num_heads: 4, mlp_ratio: 1.35, ..small() },
        ),
    ]
}

#[test]
fn fixtures() {
    for name in LIGHT {
        let fixture = Fixture::open(name);
        let model = light(&fixture);
        let engine = engine(&model, Arithmetic::F32);
        let mask = mask(&fixture, &model);
        let images = images(&model, mask.batch(), 1);
        agrees(name, &model, &engine, &images, None, CLOSE);
        agrees(&format!("{name}, masked"), &model, &engine, &images, Some(&mask), CLOSE);
    }
    let file =
        import_pytorch(&path("diyt.pth"), ImportOptions { num_heads: Some(2), decoder_num_heads: Some(2) })
            .unwrap();
    let (size, rng) = (file.config.data.image_size, &mut ChaCha8Rng::seed_from_u64(0));
    let model =
        Mae::new(&file.config.model, size, 3, rng, &Device::flex()).with_weights(file.weights).unwrap();
    let (engine, images) = (engine(&model, Arithmetic::F32), images(&model, 2, 2));
    agrees("diyt", &model, &engine, &images, None, CLOSE);
}

#[test]
fn every_kind_of_model_size_and_batch() {
    for (name, config) in configurations() {
        for (image_size, channels) in [([48, 80], 1), ([112, 144], 3)] {
            let model = random_model(&config, image_size, channels, 1);
            let engine = engine(&model, Arithmetic::F32);
            let grid = image_size.map(|s| s / config.patch_size);
            // Batches that grow and shrink: buffers are used again.
            for batch in [1, 3, 2] {
                let what = format!("{name}, {image_size:?}, batch {batch}");
                let images = images(&model, batch, batch as u64);
                agrees(&what, &model, &engine, &images, None, CLOSE);
                let settings = RunConfig::preset(Preset::Light).mask;
                let mask = draw_mask(&settings, grid, batch, &mut ChaCha8Rng::seed_from_u64(7));
                agrees(&format!("{what}, masked"), &model, &engine, &images, Some(&mask), CLOSE);
            }
        }
    }
}

#[test]
fn rounded_factors_stay_near() {
    for (arithmetic, tolerance) in [(Arithmetic::Bf16, 2e-2), (Arithmetic::Int8, 4e-2)] {
        for (name, config) in configurations() {
            near(arithmetic, tolerance, name, &config);
        }
    }
}

fn near(arithmetic: Arithmetic, tolerance: f32, name: &str, config: &ModelConfig) {
    let model = random_model(config, [112, 144], 2, 5);
    let engine = engine(&model, arithmetic);
    let images = images(&model, 2, 5);
    let settings = RunConfig::preset(Preset::Light).mask;
    let grid = [112, 144].map(|s| s / config.patch_size);
    let mask = draw_mask(&settings, grid, 2, &mut ChaCha8Rng::seed_from_u64(7));
    for mask in [None, Some(&mask)] {
        agrees(&format!("{arithmetic:?}, {name}"), &model, &engine, &images, mask, tolerance);
    }
}

/// The values of every patch from the pass that judges it; `passes` is `[K, H, W, ..]`.
fn scored(passes: &[f32], parts: &Complementary, [height, width]: [usize; 2]) -> Vec<f32> {
    let grid = parts.masks().grid();
    let image = passes.len() / parts.masks().batch();
    let pixel = |at: usize| {
        let (y, x) = (at / width, at % width);
        let pass = parts.scored_in()[y / (height / grid[0]) * grid[1] + x / (width / grid[1])];
        let step = image / (height * width);
        &passes[pass * image + at * step..][..step]
    };
    (0..height * width).flat_map(pixel).copied().collect()
}

/// Judges first, so that buffers hold nothing of the passes that follow.
fn judges(what: &str, model: &Mae, arithmetic: Arithmetic, parts: &Complementary) {
    let (engine, size) = (engine(model, arithmetic), model.image_size());
    let image = images(model, 1, 6);
    let passes = parts.masks().batch();
    for round in 0..2 {
        let what = format!("{what}, {arithmetic:?}, round {round}");
        let got = engine.forward_scored(&image, parts);
        let whole = engine.forward(&image.repeat(passes), Some(parts.masks()), &[]);
        assert_close(&what, &got.image, &scored(&whole.image, parts, size), CLOSE);
        assert_close(&what, &got.extra, &scored(&whole.extra, parts, size), CLOSE);
        if arithmetic == Arithmetic::F32 && round == 0 {
            let data = TensorData::new(image.repeat(passes), [passes, size[0], size[1], model.channels()]);
            let whole = model.forward(Tensor::from_data(data, &model.device()), Some(parts.masks()));
            assert_close(&what, &got.image, &scored(&values(whole.image), parts, size), CLOSE);
            let logit = whole.logit.map(values).unwrap_or_default();
            assert_close(&what, &got.extra, &scored(&logit, parts, size), CLOSE);
        }
        // What another image leaves behind.
        engine.forward(&images(model, passes, 9), None, &[]);
    }
}

#[test]
fn scored_patches_are_those_of_whole_passes() {
    for (name, config) in configurations() {
        for (seed, size) in [[48, 80], [112, 144], [176, 48], [16, 32]].into_iter().enumerate() {
            let model = random_model(&config, size, 1 + seed % 2 * 2, seed as u64);
            let grid = size.map(|s| s / config.patch_size);
            let rng = &mut ChaCha8Rng::seed_from_u64(seed as u64);
            let passes = 2 + seed;
            let mask = MaskConfig { mask_ratio: 0.75, ..RunConfig::preset(Preset::Light).mask };
            let strategy = if seed % 2 == 0 { MaskStrategy::Block } else { MaskStrategy::Random };
            let masks = draw_mask(&MaskConfig { strategy, ..mask }, grid, passes, rng);
            // Patches that are scored while they are shown are no use, but the property holds for them too.
            let scored_in = (0..grid[0] * grid[1]).map(|_| rng.random_range(0..passes)).collect();
            for parts in [Complementary::new(masks, scored_in), Complementary::bands(grid, passes)] {
                for arithmetic in [Arithmetic::F32, Arithmetic::Bf16, Arithmetic::Int8] {
                    judges(&format!("{name}, {size:?}"), &model, arithmetic, &parts);
                }
            }
        }
    }
}

#[test]
fn scored_patches_of_the_presets() {
    for preset in [Preset::Light, Preset::Diyt] {
        let config = ModelConfig { depth: 3, ..RunConfig::preset(preset).detector.model };
        let model = random_model(&config, [256, 192], 3, 1);
        for arithmetic in [Arithmetic::F32, Arithmetic::Bf16, Arithmetic::Int8] {
            judges(&format!("{preset:?}"), &model, arithmetic, &Complementary::bands([16, 12], 4));
        }
    }
}

#[test]
fn threads_change_no_bit() {
    let model = random_model(&small(), [160, 128], 1, 3);
    let images = images(&model, 2, 3);
    let engine = engine(&model, Arithmetic::F32);
    let [one, three]: [Output; 2] = [1, 3].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| engine.forward(&images, None, &[]))
    });
    assert_eq!((one.image, one.extra), (three.image, three.extra));
}

#[test]
fn features_have_their_places() {
    let model = random_model(&small(), [48, 80], 1, 4);
    let engine = engine(&model, Arithmetic::F32);
    let images = images(&model, 2, 4);
    let wanted = [Feature::Level(0), Feature::Level(2), Feature::Tap(1), Feature::Head(0), Feature::Head(2)];
    let output = engine.forward(&images, None, &wanted);
    let shapes = output.features.iter().map(|f| [f.height, f.width, f.channels]);
    let shapes: Vec<_> = shapes.collect();
    assert_eq!(shapes, [[24, 40, 4], [6, 10, 10], [3, 5, 24], [6, 10, 10], [24, 40, 4]]);
    for feature in &output.features {
        assert_eq!(feature.values.len(), 2 * feature.height * feature.width * feature.channels);
        assert!(feature.values.iter().any(|&v| v != 0.0));
    }
    // Without the pixels they are the same, wherever the head stops.
    for range in [0..5, 0..4, 0..3, 3..4] {
        assert_eq!(
            engine.features(&images, &wanted[range.clone()]),
            output.features[range.clone()],
            "{range:?}"
        );
    }
    // The level is what the stem gives.
    let weights = model.weights();
    let (w, b) = (&weights["stem.convs.0.weight"].values, &weights["stem.convs.0.bias"].values);
    let data = TensorData::new(images, [2, 48, 80, 1]);
    let tensor = |values: &[f32], shape: Vec<usize>| TensorData::new(values.to_vec(), shape);
    let device = Device::flex();
    let conv = blemish_train::ops::conv3x3(
        Tensor::from_data(data, &device),
        Tensor::from_data(tensor(w, vec![9, 4]), &device),
        Tensor::from_data(tensor(b, vec![4]), &device),
        2,
    );
    assert_close("level 0", &output.features[0].values, &values(blemish_train::ops::gelu(conv)), CLOSE);
    assert!(!engine.has(Feature::Level(3)) && !engine.has(Feature::Tap(3)) && engine.has(Feature::Head(2)));
}

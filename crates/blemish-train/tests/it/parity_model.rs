//! Whole models against the PyTorch reference, with and without a mask.

use blemish::config::{Head, ModelConfig};
use blemish::engine::{Array, Mask, Weights};
use blemish_train::model::Mae;
use blemish_train::{ImportOptions, import_pytorch};
use burn::tensor::Tensor;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::fixture::{FORWARD, Fixture, GRADIENT, channels_first, channels_last, device, path};

/// The fixtures of models of our own.
pub const LIGHT: [&str; 5] = [
    "light_stem_pyramid_residual",
    "light_stem_pyramid_absolute_logit",
    "light_stem_linear_residual",
    "light_linear_linear_absolute",
    "light_linear_pyramid_residual",
];

/// The configuration that the reference wrote, over preset `light`.
fn configuration(fixture: &Fixture) -> (ModelConfig, [usize; 2], usize) {
    let mut over = fixture.config.as_object().unwrap().clone();
    let image_size = serde_json::from_value(over.remove("image_size").unwrap()).unwrap();
    let channels = serde_json::from_value(over.remove("in_channels").unwrap()).unwrap();
    let mut config = serde_json::to_value(ModelConfig::light()).unwrap();
    config.as_object_mut().unwrap().extend(over);
    (serde_json::from_value::<ModelConfig>(config).unwrap(), image_size, channels)
}

/// The reference calls both heads `head`.
fn named_as_ours(weights: Weights, config: &ModelConfig) -> Weights {
    let rename = |(name, array): (String, Array)| match name.strip_prefix("head.") {
        Some(rest) if config.head == Head::Pyramid => (format!("pyramid.{rest}"), array),
        _ => (name, array),
    };
    weights.into_iter().map(rename).collect()
}

/// The fixture's model.
pub fn light(fixture: &Fixture) -> Mae {
    let (config, image_size, channels) = configuration(fixture);
    let model = Mae::new(&config, image_size, channels, &mut ChaCha8Rng::seed_from_u64(0), &device());
    model.with_weights(named_as_ours(fixture.weights("weight"), &config)).unwrap()
}

/// The fixture's mask.
pub fn mask(fixture: &Fixture, model: &Mae) -> Mask {
    fixture.mask("input.mask", model.image_size().map(|s| s / model.config().patch_size))
}

fn agrees(fixture: &Fixture, model: &Mae) {
    let mask = mask(fixture, model);
    for (case, mask) in [("unmasked", None), ("masked", Some(&mask))] {
        let output = model.forward(channels_last(fixture.tensor("input.image")), mask);
        fixture.agrees(&format!("{case}.reconstruction"), channels_first(output.image), FORWARD);
        let logit = format!("{case}.defect_logit");
        assert_eq!(output.logit.is_some(), fixture.has(&logit));
        if let Some(got) = output.logit {
            fixture.agrees(&logit, channels_first(got), FORWARD);
        }
    }
}

#[test]
fn light_models() {
    for name in LIGHT {
        let fixture = Fixture::open(name);
        agrees(&fixture, &light(&fixture));
    }
}

#[test]
fn light_gradients() {
    let fixture = Fixture::open(LIGHT[0]);
    let model = light(&fixture);
    let mask = mask(&fixture, &model);
    for (case, mask) in [("unmasked", None), ("masked", Some(&mask))] {
        let image = fixture.tensor::<4>("input.image").require_grad();
        let output = channels_first(model.forward(channels_last(image.clone()), mask).image);
        let functional: Tensor<4> = fixture.tensor("functional.reconstruction");
        let gradients = (output * functional).sum().backward();
        fixture.agrees(&format!("{case}.grad.input.image"), image.grad(&gradients).unwrap(), GRADIENT);
        if case == "masked" {
            let got = model.gradients(gradients);
            let as_theirs = got.into_iter().map(|(name, a)| (name.replace("pyramid.", "head."), a)).collect();
            fixture.gradients_agree("masked.grad.weight", &as_theirs);
        }
    }
}

#[test]
fn imported_diyt() {
    let fixture = Fixture::open("diyt");
    let heads = |key: &str| fixture.config.get(key).and_then(Value::as_u64).map(|h| h as usize);
    let options =
        ImportOptions { num_heads: heads("num_heads"), decoder_num_heads: heads("decoder_num_heads") };
    for name in ["diyt.pth", "diyt_wrapped.pth"] {
        let file = import_pytorch(&path(name), options).unwrap();
        let (size, rng) = (file.config.data.image_size, &mut ChaCha8Rng::seed_from_u64(0));
        let model = Mae::new(&file.config.model, size, 3, rng, &device());
        agrees(&fixture, &model.with_weights(file.weights).unwrap());
    }
}

#[test]
fn published_sizes() {
    let rng = &mut ChaCha8Rng::seed_from_u64(0);
    let model = Mae::new(&ModelConfig::diyt(), [256, 256], 3, rng, &device());
    assert_eq!(model.parameter_count(), 29_784_360);
}

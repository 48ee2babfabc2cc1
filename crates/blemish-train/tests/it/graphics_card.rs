//! A graphics card against the CPU, to 1e-3: for machines with a card, or with a driver that plays one on the processor.
//!
//! `cargo test --release -p blemish-train --features wgpu --test it graphics_card`

use blemish::config::Precision;
use blemish::engine::{Mask, Weights};
use blemish_train::model::{Mae, read_gradients};
use blemish_train::train::loss;
use blemish_train::{Device, Preset, RunConfig, draw_mask};
use burn::tensor::{Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::engine::random_model;
use crate::fixture::{assert_close, device, values};
use crate::train_step::{TASKS, batch, tiny};

/// How far results of a card may be off, relative to the largest value.
const CLOSE: f32 = 1e-3;

fn card() -> Device {
    Device::wgpu(Default::default())
}

/// The same random weights on any device.
fn model(config: &RunConfig, device: &Device) -> Mae {
    let (config, size) = (&config.detector.model, config.detector.view_size());
    let weights = random_model(config, size, 3, 1).weights();
    Mae::unset(config, size, 3, device).with_weights(weights).unwrap()
}

fn outputs(config: &RunConfig, device: &Device, mask: Option<&Mask>) -> Vec<f32> {
    let ([h, w], batch) = (config.detector.view_size(), batch());
    let images = TensorData::new(batch.input, [batch.size, h, w, 3]);
    let output = model(config, device).forward(Tensor::from_data(images, device), mask);
    [values(output.image), output.logit.map(values).unwrap_or_default()].concat()
}

#[test]
fn outputs_agree() {
    for preset in [Preset::Light, Preset::Diyt] {
        let config = tiny(preset);
        let mask =
            draw_mask(&config.mask, config.detector.grid(), batch().size, &mut ChaCha8Rng::seed_from_u64(3));
        for mask in [None, Some(&mask)] {
            let [cpu, card] = [Device::flex(), card()].map(|device| outputs(&config, &device, mask));
            assert_close(&format!("{preset:?}, masked: {}", mask.is_some()), &card, &cpu, CLOSE);
        }
    }
}

/// One step's loss and gradients: Adam divides gradients by their size, so that later steps part on what is nearly nothing.
#[test]
fn training_agrees() {
    for (preset, task) in TASKS {
        let mut config = tiny(preset);
        config.train.precision = Some(Precision::F32);
        let [cpu, card] = [device(), card().autodiff()].map(|device| {
            let model = model(&config, &device);
            let loss = loss(&config, task, &model, batch(), &mut ChaCha8Rng::seed_from_u64(1));
            (values(loss.clone()), read_gradients(&model, loss.backward()))
        });
        let what = format!("{preset:?} {task:?}");
        assert_close(&what, &card.0, &cpu.0, CLOSE);
        let all = |gradients: &Weights| gradients.values().flat_map(|g| g.values.clone()).collect::<Vec<_>>();
        assert_eq!(card.1.keys().collect::<Vec<_>>(), cpu.1.keys().collect::<Vec<_>>());
        assert_close(&format!("{what}: gradients"), &all(&card.1), &all(&cpu.1), CLOSE);
    }
}

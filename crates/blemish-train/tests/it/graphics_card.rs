//! A graphics card against the CPU, to 1e-3: for machines with a card, or with a driver that plays one on the processor.
//!
//! `cargo test --release -p blemish --features wgpu --test it graphics_card`

use blemish_train::Device;
use blemish::config::{MapKind, Precision, Preset, RunConfig};
use blemish::image::Image;
use blemish_train::model::{Mae, read_gradients};
use blemish::engine::Weights;
use blemish::detector::Detector;
use blemish_train::train::loss;
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
    let weights = random_model(&config.model, config.input_size(), 3, 1).weights();
    let rng = &mut ChaCha8Rng::seed_from_u64(2);
    Mae::new(&config.model, config.input_size(), 3, rng, device).with_weights(weights).unwrap()
}

#[test]
fn maps_agree() {
    let size = tiny(Preset::Light).input_size();
    let pictures = batch();
    let images: Vec<Image> = pictures
        .input
        .chunks_exact(pictures.input.len() / pictures.size)
        .map(|pixels| Image { height: size[0], width: size[1], channels: 3, pixels: pixels.to_vec() })
        .collect();
    for preset in [Preset::Light, Preset::Diyt] {
        for (map, passes) in [(MapKind::Squared, 1), (MapKind::Ssim, 1), (MapKind::Squared, 4)] {
            let mut config = tiny(preset);
            (config.score.map, config.score.passes) = (map, passes);
            let maps = [Device::flex(), card()].map(|device| {
                Detector::new(config.clone(), model(&config, &device)).anomaly_maps(&images).concat()
            });
            assert_close(&format!("{preset:?} {map:?} {passes}"), &maps[1], &maps[0], CLOSE);
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

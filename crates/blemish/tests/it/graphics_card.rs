//! A graphics card against the CPU, to 1e-3: for machines with a card, or with a driver that plays one on the processor.
//!
//! `cargo test --release -p blemish --features wgpu --test it graphics_card`

use blemish::Device;
use blemish::config::{MapKind, Precision, Preset, Task};
use blemish::data::Image;
use blemish::model::Mae;
use blemish::score::Detector;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::fixture::{assert_close, device};
use crate::train_step::{batch, steps_on, tiny};

/// How far results of a card may be off, relative to the largest value.
const CLOSE: f32 = 1e-3;

fn card() -> Device {
    Device::wgpu(Default::default())
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
                let rng = &mut ChaCha8Rng::seed_from_u64(3);
                let model = Mae::new(&config.model, size, 3, rng, &device);
                Detector::new(config.clone(), model).anomaly_maps(&images).concat()
            });
            assert_close(&format!("{preset:?} {map:?} {passes}"), &maps[1], &maps[0], CLOSE);
        }
    }
}

#[test]
fn training_agrees() {
    for (preset, task) in [
        (Preset::Light, Task::Masked),
        (Preset::Light, Task::Repair),
        (Preset::Diyt, Task::Masked),
        (Preset::Diyt, Task::Reconstruct),
    ] {
        let [cpu, card] =
            [device(), card().autodiff()].map(|device| steps_on(&device, Precision::F32, preset, task, 1).0);
        // Steps this long make much of little: the first few only.
        assert_close(&format!("{preset:?} {task:?}"), &card[..4], &cpu[..4], CLOSE);
    }
}

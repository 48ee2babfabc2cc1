//! Steps of training on one batch: the loss falls, and the same seed gives the same weights.

use blemish::config::Precision;
use blemish::engine::Weights;
use blemish_train::model::Mae;
use blemish_train::train::{AdamW, Batch, StepSettings, Task, loss};
use blemish_train::{Preset, RunConfig};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::fixture::{device, values};

const SIZE: usize = 32;
const IMAGES: usize = 2;
const STEPS: usize = 10;

/// What each preset is trained for.
pub const TASKS: [(Preset, Task); 4] = [
    (Preset::Light, Task::Masked),
    (Preset::Light, Task::Repair),
    (Preset::Diyt, Task::Masked),
    (Preset::Diyt, Task::Reconstruct),
];

/// A preset, made tiny.
pub fn tiny(preset: Preset) -> RunConfig {
    let mut config = RunConfig::preset(preset);
    config.detector.data.image_size = [SIZE, SIZE];
    config.detector.data.channels = Some(3);
    let model = &mut config.detector.model;
    (model.embed_dim, model.depth, model.num_heads) = (32, 3, 2);
    (model.decoder_embed_dim, model.decoder_num_heads) = (16, 2);
    if preset == Preset::Light {
        model.stem_dims = vec![8, 12, 16];
    }
    config.validate().unwrap();
    config
}

/// Smooth stripes, and a bright square as the defect.
pub fn batch() -> Batch {
    let side = 0..SIZE * SIZE * IMAGES;
    let place = |i: usize| (i / SIZE % SIZE, i % SIZE);
    let stripe = |i: usize| 0.5 + 0.3 * (place(i).0 as f32 * 0.4 + (i / (SIZE * SIZE)) as f32).sin();
    let square = |i: usize| {
        let (y, x) = place(i);
        (8..14).contains(&y) && (10..20).contains(&x)
    };
    let rgb = |value: &dyn Fn(usize) -> f32| side.clone().flat_map(|i| [value(i); 3]).collect::<Vec<f32>>();
    Batch {
        size: IMAGES,
        input: rgb(&|i| if square(i) { 0.95 } else { stripe(i) }),
        target: rgb(&stripe),
        defect: side.clone().map(|i| f32::from(u8::from(square(i)))).collect(),
    }
}

/// Every step's loss, and the weights at the end.
fn steps(preset: Preset, task: Task, seed: u64) -> (Vec<f32>, Weights) {
    steps_in(Precision::F32, preset, task, seed)
}

fn steps_in(precision: Precision, preset: Preset, task: Task, seed: u64) -> (Vec<f32>, Weights) {
    let mut config = tiny(preset);
    config.train.precision = Some(precision);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut model = Mae::new(&config.detector.model, [SIZE, SIZE], 3, &mut rng, &device());
    let mut optimizer = AdamW::default();
    let settings = StepSettings { learning_rate: 1e-2, weight_decay: 1e-2, clip_norm: 1.0 };
    let mask_seed = rng.random();
    let mut losses = Vec::new();
    for _ in 0..STEPS {
        // The same mask at every step: what is measured is the same.
        let loss = loss(&config, task, &model, batch(), &mut ChaCha8Rng::seed_from_u64(mask_seed));
        losses.extend(values(loss.clone()));
        let gradients = model.gradients(loss.backward());
        (model, _) = optimizer.step(model, gradients, settings);
    }
    (losses, model.weights())
}

#[test]
fn the_loss_falls() {
    for (preset, task) in TASKS {
        let (losses, _) = steps(preset, task, 1);
        assert!(losses.iter().all(|l| l.is_finite()), "{preset:?} {task:?}: {losses:?}");
        assert!(losses[STEPS - 1] < 0.9 * losses[0], "{preset:?} {task:?}: {losses:?}");
    }
}

#[test]
fn every_parameter_learns() {
    for (preset, task) in [(Preset::Light, Task::Repair), (Preset::Diyt, Task::Masked)] {
        let config = tiny(preset);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let fresh = Mae::new(&config.detector.model, [SIZE, SIZE], 3, &mut rng, &device()).weights();
        let (_, trained) = steps(preset, task, 1);
        for (name, array) in &fresh {
            // Repair hides nothing, so it has no use for the mask token.
            let idle = task == Task::Repair && name == "mask_token";
            assert_eq!(array.values == trained[name].values, idle, "{preset:?}: {name}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_weights() {
    for (preset, task) in [(Preset::Light, Task::Repair), (Preset::Diyt, Task::Masked)] {
        assert_eq!(steps(preset, task, 7), steps(preset, task, 7));
        assert_ne!(steps(preset, task, 7).1, steps(preset, task, 8).1);
    }
}

/// From the same weights the losses agree; afterwards the runs part, as steps this long make much of little.
#[test]
fn the_loss_falls_in_bf16() {
    for (preset, task) in [(Preset::Light, Task::Repair), (Preset::Diyt, Task::Masked)] {
        let (exact, weights) = steps(preset, task, 1);
        let (losses, rounded) = steps_in(Precision::Bf16, preset, task, 1);
        let message = format!("{preset:?}: {losses:?} {exact:?}");
        assert_ne!(weights, rounded);
        assert!((losses[0] - exact[0]).abs() < 1e-2 * exact[0], "{message}");
        assert!(losses[STEPS - 1] < 0.9 * losses[0], "{message}");
    }
}

#[test]
fn threads_change_no_bit_of_bf16() {
    let [one, three] = [1, 3].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| steps_in(Precision::Bf16, Preset::Light, Task::Repair, 3))
    });
    assert_eq!(one, three);
}

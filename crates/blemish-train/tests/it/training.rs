//! Whole trainings on small generated images: what is kept, what is written, how they stop and go on.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use blemish::config::{Overlay, Precision};
use blemish::fit::FitEvent;
use blemish::history::Stage;
use blemish::{Detector, Error, Image, Images};
use blemish_train::{Event, Preset, Protocol, RunConfig, RunLock, TrainOptions, fit};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SIZE: usize = 32;

/// Stripes of any direction, which no part but the network suits.
fn images() -> Images {
    Images::from((0..18).map(image).collect::<Vec<_>>())
}

fn image(seed: u64) -> Image {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (angle, phase): (f32, f32) = (rng.random_range(0.0..3.0), rng.random_range(0.0..6.0));
    let pixels = (0..SIZE * SIZE).map(|i| {
        let (y, x) = ((i / SIZE) as f32, (i % SIZE) as f32);
        0.5 + 0.2 * ((y * angle.sin() + x * angle.cos()) * 0.5 + phase).sin() + rng.random_range(-0.02..0.02)
    });
    Image { height: SIZE, width: SIZE, channels: 1, pixels: pixels.collect() }
}

/// A small network that always contributes. One setting is a float that JSON parsers tend to round.
fn config(settings: &[&str]) -> RunConfig {
    let base = [
        "data.image_size=[32, 32]",
        "network.use=always",
        "features.use=never",
        "lines=never",
        "texture=never",
        "network.precision=f32",
        "score.fpr=0.44130176930456627",
        "train.batch_size=4",
        "train.epoch_images=8",
        "train.pretrain.epochs=1",
        "train.finetune.epochs=2",
    ];
    let all = base.iter().chain(settings);
    let overlay = all.fold(Overlay::default(), |over, setting| over.set(setting).unwrap());
    small().with(&overlay).unwrap()
}

/// Preset `light` with a smaller network, validated after every epoch.
fn small() -> RunConfig {
    let mut config = RunConfig::preset(Preset::Light);
    let model = &mut config.detector.model;
    (model.stem_dims, model.embed_dim, model.depth, model.num_heads) = (vec![4, 6, 8], 16, 3, 2);
    (model.decoder_embed_dim, model.decoder_num_heads) = (16, 2);
    (config.train.precision, config.train.clip_norm) = (Some(Precision::F32), 0.441_301_769_304_566_27);
    config.train.finetune.validate_every = 1;
    config
}

fn trained(config: &RunConfig, options: &TrainOptions<'_>) -> blemish::Result<(Detector, Vec<Event>)> {
    let events = Mutex::new(Vec::new());
    let listener = |event| events.lock().unwrap().push(event);
    let detector = fit(&images(), config, &Protocol::Holdout, options, &listener)?;
    Ok((detector, events.into_inner().unwrap()))
}

/// Scores of all images, and the weights' bytes by way of the file.
fn state(detector: &Detector) -> (Vec<f32>, Vec<Vec<f32>>) {
    let views: Vec<Image> = (0..18).map(|i| images().read(i, &Default::default()).unwrap()).collect();
    let see = |view: &Image| detector.see(view, [view.height, view.width]).unwrap().map;
    (detector.good_scores().to_vec(), views.iter().map(see).collect())
}

#[test]
fn a_training_gives_a_detector_that_says_where_it_came_from() {
    let stop = AtomicBool::new(false);
    let (detector, events) = trained(&config(&[]), &TrainOptions::in_memory(&stop)).unwrap();
    let stages: Vec<_> = detector.history().iter().map(|record| (record.stage, record.epoch)).collect();
    assert_eq!(stages, [(Stage::Pretrain, 1), (Stage::Finetune, 1), (Stage::Finetune, 2)]);
    assert!(detector.history().iter().all(|record| record.loss.is_finite() && record.skipped_steps == 0));
    assert!(detector.history()[1..].iter().all(|record| record.val_auroc.is_some()));
    let origin = detector.provenance();
    assert!(
        origin.split.contains("synthetic defects") && origin.split.contains("best validation"),
        "{origin:?}"
    );
    assert!(origin.training.contains("clip_norm = 0.44130176930456627"), "{}", origin.training);
    assert_eq!(detector.active_parts(), "network");
    // Those of the four held-out images alone; near-duplicates have one score together.
    assert!((1..=4).contains(&detector.good_scores().len()));
    let divided = events.iter().find_map(|event| match event {
        Event::Divided { train, holdout, validation, .. } => Some((*train, *holdout, *validation)),
        _ => None,
    });
    assert!(
        divided.is_some_and(|(train, holdout, validation)| (train, holdout) == (14, 4) && validation > 16)
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    detector.save(&path).unwrap();
    assert_eq!(state(&Detector::load(&path).unwrap()), state(&detector));
}

#[test]
fn weights_that_were_not_validated_are_not_called_the_best() {
    let stop = AtomicBool::new(false);
    let mut not_validated = config(&[]);
    not_validated.train.finetune.validate_every = 0;
    let (detector, _) = trained(&not_validated, &TrainOptions::in_memory(&stop)).unwrap();
    let split = &detector.provenance().split;
    assert!(split.contains("last epoch (epoch 2 of finetune)") && !split.contains("best"), "{split}");
}

#[test]
fn an_interrupted_run_goes_on_as_if_nothing_had_happened() {
    let folder = tempfile::tempdir().unwrap();
    let lock = RunLock::acquire(folder.path().join("run")).unwrap();
    let (stop, never) = (AtomicBool::new(false), AtomicBool::new(false));
    let settled = Mutex::new(None);
    let options = TrainOptions { folder: Some(&lock), ..TrainOptions::in_memory(&stop) };
    let listener = |event: Event| match event {
        Event::Settled(config) => *settled.lock().unwrap() = Some(*config),
        Event::CheckpointWritten(_) => stop.store(true, Ordering::Relaxed),
        _ => {}
    };
    let stopped = fit(&images(), &config(&[]), &Protocol::Holdout, &options, &listener);
    assert!(matches!(stopped, Err(Error::Interrupted)), "{stopped:?}");

    // By way of the text that a run's folder keeps.
    let path = folder.path().join("run.toml");
    fs::write(&path, settled.into_inner().unwrap().unwrap().to_toml().unwrap()).unwrap();
    let settled = small().with(&Overlay::default().file(&path).unwrap()).unwrap();
    let options = TrainOptions { folder: Some(&lock), resume: true, ..TrainOptions::in_memory(&never) };
    let (resumed, _) = trained(&settled, &options).unwrap();
    let (whole, _) = trained(&config(&[]), &TrainOptions::in_memory(&never)).unwrap();
    assert_eq!(state(&resumed), state(&whole));

    let other =
        small().with(&Overlay::default().file(&path).unwrap().set("train.batch_size=2").unwrap()).unwrap();
    let refused = trained(&other, &options).map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("checkpoint.safetensors") && refused.contains("other settings"), "{refused}");
}

#[test]
fn a_stop_is_heeded_while_parts_are_fitted() {
    let stop = AtomicBool::new(false);
    let listener = |event: Event| {
        if matches!(event, Event::Fit(FitEvent::Step { stage: "fitting", .. })) {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let config = config(&[
        "network.use=never",
        "memory.use=always",
        "train.pretrain.epochs=0",
        "train.finetune.epochs=0",
    ]);
    let stopped = fit(&images(), &config, &Protocol::Holdout, &TrainOptions::in_memory(&stop), &listener);
    assert!(matches!(stopped, Err(Error::Interrupted)), "{stopped:?}");
}

#[test]
fn without_epochs_the_other_parts_are_fitted_alone() {
    let stop = AtomicBool::new(false);
    let config = config(&[
        "network.use=never",
        "memory.use=always",
        "train.pretrain.epochs=0",
        "train.finetune.epochs=0",
    ]);
    let (detector, _) = trained(&config, &TrainOptions::in_memory(&stop)).unwrap();
    assert!(detector.history().is_empty() && detector.provenance().training.is_empty());
    assert_eq!(detector.active_parts(), "memory of good patches");
}

#[test]
fn beside_a_trained_network_other_parts_are_calibrated_on_images_that_they_have_not_seen() {
    let stop = AtomicBool::new(false);
    let config = config(&["memory.use=always", "features.use=always"]);
    let (detector, _) = trained(&config, &TrainOptions::in_memory(&stop)).unwrap();
    let score = |seed| {
        let image = image(seed);
        detector.predict_framed(&detector.frame(&image).unwrap()).unwrap().score
    };
    let mean = |scores: &[f32]| scores.iter().sum::<f32>() / scores.len() as f32;
    let ratio = mean(&(100..120).map(score).collect::<Vec<_>>()) / mean(detector.good_scores());
    assert!((0.6..1.4).contains(&ratio), "{ratio}");
}

#[test]
fn a_budget_scales_the_epochs() {
    let stop = AtomicBool::new(false);
    let options = TrainOptions { budget: Some(1e-9), ..TrainOptions::in_memory(&stop) };
    let (detector, events) = trained(&config(&["train.finetune.epochs=500"]), &options).unwrap();
    assert_eq!(detector.history().len(), 1);
    let epochs = events.iter().find_map(|event| match event {
        Event::Settled(config) => Some(config.epochs()),
        _ => None,
    });
    assert_eq!(epochs, Some(1));
}

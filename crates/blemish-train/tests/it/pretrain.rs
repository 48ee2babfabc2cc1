//! Pre-training: a run that was stopped goes on to the same bytes, tables serve every size, bad weights are refused by
//! name.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use blemish::Error;
use blemish::config::{Precision, Preset};
use blemish::engine::{Array, Weights, weights_for_grid};
use blemish::model_file::{read_tensors, write_tensors};
use blemish::pretrained::{Pretrained, PretrainedOrigin};
use blemish_train::Device;
use blemish_train::model::Mae;
use blemish_train::pretrain::{
    CHANNELS, Head, HeadConfig, Length, PretrainConfig, PretrainEvent, PretrainOptions, WEIGHTS, learn,
    pretrain,
};
use burn::tensor::{Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::fixture::{assert_close, device, values};
use crate::train_step::tiny;

fn config() -> PretrainConfig {
    let model = tiny(Preset::Light).detector.model;
    let sides = vec![(32, 0.5), (48, 0.5)];
    PretrainConfig { model, image_size: [64, 64], batch_size: 1, sides, warmup: 2, ..Default::default() }
}

fn options(folder: &Path, length: Option<Length>) -> PretrainOptions {
    PretrainOptions {
        folder: folder.to_owned(),
        length,
        resume: length.is_none(),
        init: None,
        save_every: Duration::ZERO,
        device: Device::flex(),
        precision: Precision::F32,
        command: "test".to_owned(),
        commit: None,
        stop: Arc::new(AtomicBool::new(false)),
    }
}

fn pretrained(image_size: [usize; 2]) -> Pretrained {
    let model = tiny(Preset::Light).detector.model;
    let weights =
        Mae::new(&model, image_size, CHANNELS, &mut ChaCha8Rng::seed_from_u64(1), &device()).weights();
    let origin = PretrainedOrigin::default();
    let (projections, decoder) = (Vec::new(), Weights::new());
    Pretrained { model, image_size, channels: CHANNELS, weights, projections, decoder, origin }
}

#[test]
fn a_run_that_was_stopped_goes_on_to_the_same_bytes() {
    let whole = tempfile::tempdir().unwrap();
    let config = config();
    pretrain(&config, &options(whole.path(), Some(Length::Steps(6))), &mut |_| {}).unwrap();

    let parts = tempfile::tempdir().unwrap();
    let first = options(parts.path(), Some(Length::Steps(6)));
    let stop = Arc::clone(&first.stop);
    let stopped = pretrain(&config, &first, &mut |event| {
        if matches!(event, PretrainEvent::Saved { step: 3, .. }) {
            stop.store(true, Ordering::Relaxed);
        }
    });
    assert!(matches!(stopped, Err(Error::Interrupted)));
    assert_ne!(fs::read(whole.path().join(WEIGHTS)).unwrap(), fs::read(parts.path().join(WEIGHTS)).unwrap());
    let mut done = None;
    pretrain(&config, &options(parts.path(), None), &mut |event| {
        if let PretrainEvent::Started { done: steps, .. } = event {
            done = Some(*steps);
        }
    })
    .unwrap();
    assert_eq!(done, Some(3));
    assert_eq!(fs::read(whole.path().join(WEIGHTS)).unwrap(), fs::read(parts.path().join(WEIGHTS)).unwrap());
    let state = |folder: &Path| read_tensors(&folder.join("checkpoint.safetensors")).unwrap().1;
    assert_eq!(state(whole.path()), state(parts.path()));

    // What it gave can be read, and is less than it was.
    let weights = Pretrained::load(&whole.path().join(WEIGHTS)).unwrap();
    assert_eq!((weights.origin.steps, weights.origin.skipped), (6, 0));
    assert_ne!(weights.weights, pretrained([64, 64]).weights);

    let resumed = |config: &PretrainConfig| {
        pretrain(config, &options(parts.path(), None), &mut |_| {}).unwrap_err().to_string()
    };
    let refused = resumed(&PretrainConfig { seed: 1, ..config.clone() });
    assert!(refused.contains("checkpoint.safetensors") && refused.contains("other settings"), "{refused}");
    // One of a program that trained on other images.
    let path = parts.path().join("checkpoint.safetensors");
    let (text, tensors) = read_tensors(&path).unwrap();
    let mut progress: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(progress.as_object_mut().unwrap().remove("objective").is_some());
    write_tensors(&path, &progress, &tensors).unwrap();
    let refused = resumed(&config);
    assert!(refused.contains("checkpoint.safetensors") && refused.contains("begin anew"), "{refused}");
}

/// Projections, and then the decoder, of a small network.
#[test]
fn heads_that_were_stopped_go_on_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let start = folder.path().join("start");
    pretrained([64, 64]).save(&start).unwrap();
    // As a file has it: bf16 numbers.
    let mut network = Pretrained::load(&start).unwrap();
    let decoder = HeadConfig::new(Head::Decoder);
    let one = options(folder.path(), Some(Length::Steps(1)));
    let refused = learn(&decoder, network.clone(), &one, &mut |_| {}).unwrap_err().to_string();
    assert!(refused.contains("--learn projections"), "{refused}");
    for (head, tensors) in [(Head::Projections, [2, 0]), (Head::Decoder, [2, 10])] {
        let config = HeadConfig { batch_size: 2, side: 64, ..HeadConfig::new(head) };
        let whole = tempfile::tempdir().unwrap();
        let mut records = Vec::new();
        learn(&config, network.clone(), &options(whole.path(), Some(Length::Steps(20))), &mut |event| {
            if let PretrainEvent::Steps(record) = event {
                records.push(record.clone());
            }
        })
        .unwrap();
        assert!(records.len() == 1 && records[0].loss > 0.0 && records[0].skipped == 0, "{records:?}");
        let parts = tempfile::tempdir().unwrap();
        let first = options(parts.path(), Some(Length::Steps(20)));
        let stop = Arc::clone(&first.stop);
        let stopped = learn(&config, network.clone(), &first, &mut |event| {
            if matches!(event, PretrainEvent::Saved { step: 7, .. }) {
                stop.store(true, Ordering::Relaxed);
            }
        });
        assert!(matches!(stopped, Err(Error::Interrupted)));
        let so_far = Pretrained::load(&parts.path().join(WEIGHTS)).unwrap();
        learn(&config, so_far, &options(parts.path(), None), &mut |_| {}).unwrap();
        let [whole, parts] = [whole, parts].map(|run| fs::read(run.path().join(WEIGHTS)).unwrap());
        assert!(whole == parts, "{head:?}");
        // The network is what it was, and has what was learnt beside it.
        let learnt = Pretrained::from_bytes(Path::new("whole"), &whole).unwrap();
        assert_eq!(learnt.weights, network.weights);
        assert_eq!([learnt.projections.len(), learnt.decoder.len()], tensors);
        network = learnt;
    }
}

#[test]
fn one_set_of_weights_serves_every_size() {
    let from = pretrained([64, 64]);
    let model =
        Mae::unset(&from.model, [64, 64], CHANNELS, &device()).with_weights(from.weights.clone()).unwrap();
    for size in [[64, 64], [32, 48], [96, 64]] {
        let grid = size.map(|side| side / 16);
        let weights = weights_for_grid(from.weights.clone(), [4, 4], grid).unwrap();
        let own = Mae::unset(&from.model, size, CHANNELS, &device()).with_weights(weights).unwrap();
        let [h, w] = size;
        let pixels: Vec<f32> = (0..h * w * 3).map(|i| (i as f32 * 0.37).sin()).collect();
        let images = Tensor::<4>::from_data(TensorData::new(pixels, [1, h, w, 3]), &device());
        let expected = values(own.forward(images.clone(), None).logit.unwrap());
        let got = values(model.at_size(size).forward(images, None).logit.unwrap());
        if size == [64, 64] {
            assert_eq!(got, expected);
        }
        assert_close("logit", &got, &expected, 1e-5);
    }
}

#[test]
fn features_are_those_of_the_whole_pass() {
    let from = pretrained([64, 64]);
    let model = Mae::unset(&from.model, [64, 64], CHANNELS, &device()).with_weights(from.weights).unwrap();
    let pixels: Vec<f32> = (0..64 * 64 * 3).map(|i| (i as f32 * 0.7).sin()).collect();
    let images = Tensor::<4>::from_data(TensorData::new(pixels, [1, 64, 64, 3]), &device());
    let (_, whole) = model.forward_features(images.clone(), None);
    let part = model.features_in(Precision::F32, images, 2);
    assert_eq!((whole.stem.len(), whole.taps.len(), whole.head.len(), part.head.len()), (3, 3, 3, 2));
    for (a, b) in whole.taps.into_iter().chain(whole.head).zip(part.taps.into_iter().chain(part.head)) {
        assert_eq!(a.dims(), b.dims());
        assert_eq!(values(a), values(b));
    }
}

#[test]
fn weights_that_do_not_fit_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let refused = |change: &dyn Fn(&mut Pretrained)| {
        let mut changed = pretrained([64, 64]);
        change(&mut changed);
        changed.save(&path).unwrap();
        let read = Pretrained::load(&path).map_err(|error| error.to_string())?;
        let model = Mae::unset(&read.model, read.image_size, read.channels, &device());
        model.with_weights(read.weights).map(|_| ())
    };
    assert_eq!(refused(&|_| {}), Ok(()));
    let table = |p: &mut Pretrained| p.image_size = [96, 64];
    assert!(refused(&table).unwrap_err().contains("pos_embed.learnable"));
    let name = pretrained([64, 64]).weights.keys().find(|name| name.contains("alpha")).unwrap().clone();
    let missing = |p: &mut Pretrained| _ = p.weights.remove(&name);
    assert!(refused(&missing).unwrap_err().contains(&name));
    let unknown = |p: &mut Pretrained| {
        p.weights.insert("backdoor".to_owned(), Array { shape: vec![1], values: vec![1.0] });
    };
    assert!(refused(&unknown).unwrap_err().contains("backdoor"));
    let shape = |p: &mut Pretrained| p.weights.get_mut(&name).unwrap().shape = vec![1, 1];
    assert!(refused(&shape).unwrap_err().contains(&name));
    let mut not_finite = pretrained([64, 64]);
    not_finite.weights.get_mut(&name).unwrap().values[0] = f32::NAN;
    assert!(not_finite.save(&path).unwrap_err().to_string().contains(&name));
    let huge = |p: &mut Pretrained| p.model.embed_dim = 1 << 14;
    assert!(refused(&huge).unwrap_err().contains("weights.safetensors"));

    pretrained([64, 64]).save(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    for length in [0, 7, 100, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).unwrap();
        let error = Pretrained::load(&path).unwrap_err().to_string();
        assert!(error.contains("weights.safetensors"), "{error}");
    }
}

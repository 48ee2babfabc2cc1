//! The work behind each command.

use std::path::Path;

use blemish::config::{Arithmetic, NetworkMap, Precision};
use blemish::dataset::image_files;
use blemish::engine::{Engine, Weights};
use blemish::image::decode_bytes;
use blemish::kernels::matmul::matmul;
use blemish::kernels::panels::Matrix;
use blemish::kernels::product::Init;
use blemish::kernels::reduce::sum_squares;
use blemish::metrics::aupro;
use blemish::model_file::read_tensors;
use blemish::{Config, Detector, Image};
use blemish_train::model::Mae;
use blemish_train::train::{AdamW, Batch, StepSettings, Task, loss};
use blemish_train::{Device, Preset, RunConfig};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::command::Command;
use crate::inputs::{self, DEFECT, INPUT, MODEL, TARGET};
use crate::timing::seconds;

/// What stays in memory between commands.
#[derive(Default)]
pub struct Bench {
    loaded: Option<Loaded>,
}

/// A model file at work, and the batch beside it.
struct Loaded {
    detector: Detector,
    engine: Engine,
    weights: Weights,
    /// How it is trained.
    run: RunConfig,
    /// The model under training, and its optimiser.
    training: Option<(Mae, AdamW)>,
    input: Vec<f32>,
    target: Vec<f32>,
    defect: Vec<f32>,
}

impl Bench {
    /// Does what it is told; the answer.
    pub fn run(&mut self, command: Command) -> Value {
        match command {
            Command::Prepare { folder, preset, channels, image_size, images } => {
                inputs::prepare(&folder, &inputs::detector(preset, channels, image_size), images);
                json!({})
            }
            Command::Images { folder, count, distinct, size, channels } => {
                inputs::images(&folder, count, distinct, size, channels);
                json!({})
            }
            Command::Maps { folder, count, size } => {
                inputs::maps(&folder, count, size);
                json!({})
            }
            Command::Load { folder, scoring, training } => self.load(&folder, scoring, training),
            Command::Forward { batch, repeats, output } => {
                let answer = self.loaded().forward(batch, repeats);
                if let Some(path) = output {
                    inputs::write(&path, &self.loaded().reconstruct(batch));
                }
                answer
            }
            Command::Score { batch, passes, repeats } => self.loaded().score(batch, passes, repeats),
            Command::Parts { folder } => self.loaded().parts(&folder),
            Command::Step { batch, repeats } => self.loaded().step(batch, repeats),
            Command::Loss { batch } => self.loaded().loss(batch),
            Command::Matmul { size, repeats } => product(size, repeats),
            Command::Aupro { folder, count, size, repeats } => {
                let (maps, masks) = inputs::read_maps(&folder, count, size);
                let maps: Vec<&[f32]> = maps.iter().map(Vec::as_slice).collect();
                let masks: Vec<_> = masks.iter().collect();
                let value = aupro(&maps, &masks, 0.3).unwrap();
                json!({ "seconds": seconds(repeats, || aupro(&maps, &masks, 0.3)), "value": value })
            }
        }
    }

    fn load(&mut self, folder: &Path, scoring: Arithmetic, training: Precision) -> Value {
        self.loaded = None;
        let model = folder.join(MODEL);
        let mut loaded = None;
        let time = seconds(1, || loaded = Some(read_model(&model, scoring)));
        let (detector, weights) = loaded.expect("it was read");
        let config = detector.config().clone();
        let (size, channels) = (config.view_size(), detector.channels());
        let parameters: usize = weights.values().map(|array| array.values.len()).sum();
        let answer = json!({
            "seconds": time,
            "flops": config.model.flops(size, channels),
            "scoring": scoring,
            "training": training,
            "parameters": parameters,
            "config": config,
        });
        let mut run = RunConfig::preset(config.preset);
        run.train.precision = Some(training);
        run.detector = config;
        self.loaded = Some(Loaded {
            engine: Engine::new(&run.detector.model, size, channels, &weights, scoring).unwrap(),
            detector,
            weights,
            run,
            training: None,
            input: inputs::read(&folder.join(INPUT)),
            target: inputs::read(&folder.join(TARGET)),
            defect: inputs::read(&folder.join(DEFECT)),
        });
        answer
    }

    fn loaded(&mut self) -> &mut Loaded {
        self.loaded.as_mut().expect("`load` comes first")
    }
}

impl Loaded {
    fn config(&self) -> &Config {
        self.detector.config()
    }

    /// Values of one image, over its channels too.
    fn image_len(&self) -> usize {
        self.config().view_size().iter().product::<usize>() * self.detector.channels()
    }

    /// One unmasked pass of the first `batch` images, as scoring makes it: the reconstructions, then the logits.
    fn reconstruct(&self, batch: usize) -> Vec<f32> {
        let output = self.engine.forward(&self.input[..batch * self.image_len()], None, &[]);
        [output.image, output.extra].concat()
    }

    fn forward(&self, batch: usize, repeats: usize) -> Value {
        json!({ "seconds": seconds(repeats, || self.reconstruct(batch)) })
    }

    /// With the map that unmasked and masked passes share, the squared difference.
    fn score(&self, batch: usize, passes: usize, repeats: usize) -> Value {
        let [height, width] = self.config().view_size();
        let channels = self.detector.channels();
        let image = |pixels: &[f32]| Image { height, width, channels, pixels: pixels.to_vec() };
        let images: Vec<Image> = self.input.chunks_exact(self.image_len()).take(batch).map(image).collect();
        let mut config = self.config().clone();
        (config.network.map, config.network.passes) = (NetworkMap::Reconstruction, passes);
        let detector = inputs::network_alone(&config, self.weights.clone());
        let see = |view: &Image| detector.see(view, [height, width]).map(|seen| seen.score);
        let all = || images.par_iter().map(see).collect::<Vec<_>>();
        all();
        json!({ "seconds": seconds(repeats, all) })
    }

    fn parts(&self, folder: &Path) -> Value {
        let data = &self.config().data;
        let options = data.decoding();
        let mut times = [const { Vec::new() }; 4];
        for path in image_files(folder).unwrap() {
            let (mut bytes, mut decoded, mut framed) = (None, None, None);
            let read = seconds(1, || bytes = std::fs::read(&path).ok());
            let bytes = bytes.unwrap();
            let decode = seconds(1, || decoded = decode_bytes(&path, &bytes, &options).ok());
            let decoded = decoded.unwrap();
            let view = seconds(1, || framed = self.detector.frame(&decoded).ok());
            let judge = seconds(1, || self.detector.predict_framed(framed.as_ref().unwrap()).unwrap());
            times.iter_mut().zip([read, decode, view, judge]).for_each(|(all, one)| all.extend(one));
        }
        let [read, decode, view, judge] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        });
        json!({ "read": read, "decode": decode, "view": view, "judge": judge })
    }

    fn batch(&self, size: usize) -> Batch {
        let (len, pixels) = (self.image_len(), self.config().view_size().iter().product::<usize>());
        let located = self.config().model.defect_logit;
        Batch {
            size,
            input: self.input[..size * len].to_vec(),
            target: self.target[..size * len].to_vec(),
            defect: if located { self.defect[..size * pixels].to_vec() } else { Vec::new() },
        }
    }

    /// What the second stage's loss compares.
    fn task(&self) -> Task {
        if self.config().preset == Preset::Diyt { Task::Reconstruct } else { Task::Repair }
    }

    /// Starts training from the loaded weights.
    fn training(&self) -> (Mae, AdamW) {
        let (config, device) = (self.config(), Device::flex().autodiff());
        let model = Mae::unset(&config.model, config.view_size(), self.detector.channels(), &device);
        (model.with_weights(self.weights.clone()).unwrap(), AdamW::default())
    }

    fn step(&mut self, size: usize, repeats: usize) -> Value {
        let (mut model, mut optimizer) = self.training.take().unwrap_or_else(|| self.training());
        let (weight_decay, clip_norm) = (self.run.train.weight_decay, self.run.train.clip_norm);
        let settings = StepSettings { learning_rate: 1e-5, weight_decay, clip_norm };
        let mut times = Vec::new();
        for _ in 0..repeats {
            let batch = self.batch(size);
            times.extend(seconds(1, || {
                let rng = &mut ChaCha8Rng::seed_from_u64(0);
                let loss = loss(&self.run, self.task(), &model, batch.clone(), rng);
                let gradients = model.gradients(loss.backward());
                loss.into_data().try_to_vec::<f32>().unwrap();
                (model, _) = optimizer.step(model.clone(), gradients, settings);
            }));
        }
        self.training = Some((model, optimizer));
        json!({ "seconds": times })
    }

    fn loss(&self, size: usize) -> Value {
        let (model, _) = self.training();
        let rng = &mut ChaCha8Rng::seed_from_u64(0);
        let loss = loss(&self.run, self.task(), &model, self.batch(size), rng);
        let gradients = model.gradients(loss.backward());
        let norm = gradients.values().map(|g| sum_squares(&g.values)).sum::<f64>().sqrt();
        json!({ "loss": loss.into_data().try_to_vec::<f32>().unwrap()[0], "gradient_norm": norm })
    }
}

/// The detector in a model file whose only part is a network, scoring in `arithmetic`; and the network's weights.
fn read_model(path: &Path, arithmetic: Arithmetic) -> (Detector, Weights) {
    let (header, tensors) = read_tensors(path).unwrap();
    let header: Value = serde_json::from_str(&header).unwrap();
    let mut config: Config = serde_json::from_value(header["config"].clone()).unwrap();
    config.network.precision = Some(arithmetic);
    let own = |(name, array): (String, _)| Some((name.strip_prefix("network.")?.to_owned(), array));
    let weights: Weights = tensors.into_iter().filter_map(own).collect();
    (inputs::network_alone(&config, weights.clone()), weights)
}

fn product(n: usize, repeats: usize) -> Value {
    let values = |seed: usize| (0..n * n).map(|i| ((i * seed) % 17) as f32 - 8.0).collect::<Vec<f32>>();
    let (a, b, mut out) = (values(3), values(5), vec![0.0; n * n]);
    let mut run = || matmul(&mut out, Matrix::rows(&a, n), Matrix::rows(&b, n), [n; 3], Init::Zero);
    run();
    json!({ "seconds": seconds(repeats, run) })
}

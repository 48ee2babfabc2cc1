//! The work behind each command.

use std::path::Path;

use blemish_train::Device;
use blemish::config::{Arithmetic, MapKind, Precision, RunConfig};
use blemish::image::{DecodeOptions, Image, decode_bytes};
use blemish::view::Picture;
use blemish::dataset::images_in;
use blemish::model_file::ModelFile;
use blemish::kernels::matmul::matmul;
use blemish::kernels::panels::Matrix;
use blemish::kernels::product::Init;
use blemish::kernels::reduce::sum_squares;
use blemish::metrics::aupro;
use blemish_train::model::Mae;
use blemish::detector::Detector;
use blemish_train::train::batch::Batch;
use blemish_train::train::{AdamW, StepSettings, loss};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
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
            Command::Pictures { folder, count, distinct, size, channels } => {
                inputs::pictures(&folder, count, distinct, size, channels);
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
        let time = seconds(1, || {
            self.loaded = Some(Loaded {
                detector: load(&model, scoring, training),
                training: None,
                input: Vec::new(),
                target: Vec::new(),
                defect: Vec::new(),
            });
        });
        let loaded = self.loaded();
        loaded.input = inputs::read(&folder.join(INPUT));
        loaded.target = inputs::read(&folder.join(TARGET));
        loaded.defect = inputs::read(&folder.join(DEFECT));
        let model = loaded.detector.model();
        json!({
            "seconds": time,
            "flops": model.flops(),
            "scoring": scoring,
            "training": training,
            "parameters": model.parameter_count(),
            "config": loaded.detector.config(),
        })
    }

    fn loaded(&mut self) -> &mut Loaded {
        self.loaded.as_mut().expect("`load` comes first")
    }
}

impl Loaded {
    fn config(&self) -> &RunConfig {
        self.detector.config()
    }

    /// Values of one image, over its channels too.
    fn image_len(&self) -> usize {
        self.config().input_size().iter().product::<usize>() * self.detector.model().channels()
    }

    /// One unmasked pass of the first `batch` images, as scoring makes it: the reconstructions, then the logits.
    fn reconstruct(&self, batch: usize) -> Vec<f32> {
        let engine = self.detector.engine().expect("a CPU");
        let output = engine.forward(&self.input[..batch * self.image_len()], None, &[]);
        [output.image, output.extra].concat()
    }

    fn forward(&self, batch: usize, repeats: usize) -> Value {
        json!({ "seconds": seconds(repeats, || self.reconstruct(batch)) })
    }

    /// With the map that unmasked and masked passes share, the squared difference.
    fn score(&self, batch: usize, passes: usize, repeats: usize) -> Value {
        let [height, width] = self.config().input_size();
        let channels = self.detector.model().channels();
        let picture = |pixels: &[f32]| Image { height, width, channels, pixels: pixels.to_vec() };
        let images: Vec<Image> = self.input.chunks_exact(self.image_len()).take(batch).map(picture).collect();
        let mut file = self.detector.to_file();
        (file.config.score.map, file.config.score.passes) = (MapKind::Squared, passes);
        let detector = from_file(file);
        detector.anomaly_maps(&images);
        json!({ "seconds": seconds(repeats, || detector.anomaly_maps(&images)) })
    }

    fn parts(&self, folder: &Path) -> Value {
        let data = &self.config().data;
        let options = DecodeOptions { max_pixels: data.max_pixels, channels: data.channels };
        let mut times = [const { Vec::new() }; 4];
        for path in images_in(folder).unwrap() {
            let (mut bytes, mut decoded, mut picture) = (None, None, None);
            let read = seconds(1, || bytes = std::fs::read(&path).ok());
            let bytes = bytes.unwrap();
            let decode = seconds(1, || decoded = decode_bytes(&path, &bytes, &options).ok());
            let decoded = decoded.unwrap();
            let view = seconds(1, || {
                picture = Picture::new(&decoded, data.image_size, &self.config().view()).ok();
            });
            let judge = seconds(1, || self.detector.predict(picture.as_ref().unwrap()).unwrap());
            times.iter_mut().zip([read, decode, view, judge]).for_each(|(all, one)| all.extend(one));
        }
        let [read, decode, view, judge] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        });
        json!({ "read": read, "decode": decode, "view": view, "judge": judge })
    }

    fn batch(&self, size: usize) -> Batch {
        let (len, pixels) = (self.image_len(), self.config().input_size().iter().product::<usize>());
        let spoilt = self.detector.model().config().defect_logit;
        Batch {
            size,
            input: self.input[..size * len].to_vec(),
            target: self.target[..size * len].to_vec(),
            defect: if spoilt { self.defect[..size * pixels].to_vec() } else { Vec::new() },
        }
    }

    /// Starts training from the loaded weights.
    fn training(&self) -> (Mae, AdamW) {
        let (config, device) = (self.config(), Device::flex().autodiff());
        let rng = &mut ChaCha8Rng::seed_from_u64(0);
        let channels = self.detector.model().channels();
        let model = Mae::new(&config.model, config.input_size(), channels, rng, &device);
        (model.with_weights(self.detector.to_file().weights).unwrap(), AdamW::default())
    }

    fn step(&mut self, size: usize, repeats: usize) -> Value {
        let config = self.config().clone();
        let (mut model, mut optimizer) = self.training.take().unwrap_or_else(|| self.training());
        let train = &config.train;
        let (weight_decay, clip_norm) = (train.weight_decay, train.clip_norm);
        let settings = StepSettings { learning_rate: 1e-5, weight_decay, clip_norm };
        let mut times = Vec::new();
        for _ in 0..repeats {
            let batch = self.batch(size);
            times.extend(seconds(1, || {
                let rng = &mut ChaCha8Rng::seed_from_u64(0);
                let loss = loss(&config, train.finetune.task, &model, batch.clone(), rng);
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
        let task = self.config().train.finetune.task;
        let loss = loss(self.config(), task, &model, self.batch(size), rng);
        let gradients = model.gradients(loss.backward());
        let norm = gradients.values().map(|g| sum_squares(&g.values)).sum::<f64>().sqrt();
        json!({ "loss": loss.into_data().try_to_vec::<f32>().unwrap()[0], "gradient_norm": norm })
    }
}

fn load(path: &Path, scoring: Arithmetic, training: Precision) -> Detector {
    let mut file = ModelFile::load(path).unwrap();
    (file.config.score.precision, file.config.train.precision) = (Some(scoring), Some(training));
    from_file(file)
}

fn from_file(file: ModelFile) -> Detector {
    Detector::from_file(file, &Device::flex()).unwrap()
}

fn product(n: usize, repeats: usize) -> Value {
    let values = |seed: usize| (0..n * n).map(|i| ((i * seed) % 17) as f32 - 8.0).collect::<Vec<f32>>();
    let (a, b, mut out) = (values(3), values(5), vec![0.0; n * n]);
    let mut run = || matmul(&mut out, Matrix::rows(&a, n), Matrix::rows(&b, n), [n; 3], Init::Zero);
    run();
    json!({ "seconds": seconds(repeats, run) })
}

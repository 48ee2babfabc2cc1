//! Import of a PyTorch state dict with the reference system's names into preset `diyt`.
//!
//! The file is a pickle, which PyTorch runs as a program. Here it is parsed only: the reader knows the few calls
//! that describe tensors, and leaves every other call as the name it is. No code in the file can run.

use std::collections::{BTreeSet, HashMap};
use std::io::ErrorKind;
use std::path::Path;

use blemish::config::Preset;
use blemish::engine::{Array, Weights};
use blemish::fit::{FitOptions, prepare};
use blemish::model_file::Provenance;
use blemish::parts::network::Network;
use blemish::parts::{FittedPart, used};
use blemish::{Config, Detector, Error, Images, Result};
use pytorch_reader::{DType, PickleValue, PytorchError, PytorchReader, Tensor};

/// Keys under which training scripts put the state dict beside other things.
const WRAPPERS: [&str; 3] = ["model_state_dict", "state_dict", "model"];
/// What PyTorch stores beside the tensors of a state dict: versions of its layers.
const METADATA: &str = "_metadata";
/// Attention heads of the published model, encoder and decoder alike.
const PUBLISHED_HEADS: usize = 8;

/// What the weights do not tell. Absent: 8 as published, or the largest smaller divisor of the width.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// Encoder attention heads.
    pub num_heads: Option<usize>,
    /// Decoder attention heads.
    pub decoder_num_heads: Option<usize>,
}

/// A network that was trained elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// Its configuration, of preset `diyt`.
    pub config: Config,
    /// Its parameters.
    pub weights: Weights,
    file: String,
}

/// Reads a PyTorch state dict, plain or beside other things in a checkpoint, as a network of preset `diyt`. All
/// sizes but the heads follow from the tensors' shapes.
///
/// # Errors
/// [`Error::Model`] that names the first tensor that is missing, unknown, no tensor or of the wrong shape;
/// [`Error::Io`] when the file cannot be read.
pub fn import_pytorch(path: &Path, options: ImportOptions) -> Result<Imported> {
    let mut state = StateDict::open(path)?;
    let config = state.config(options)?;
    config.validate().map_err(|e| Error::model(path, format!("its sizes cannot be used: {e}")))?;
    let weights = state.weights(&config)?;
    state.finish()?;
    Ok(Imported { config, weights, file: path.display().to_string() })
}

impl Imported {
    /// A detector with thresholds from good images, all of them: none has trained the network.
    ///
    /// # Errors
    /// Those of [`prepare`] and [`Prepared::fit`](blemish::fit::Prepared::fit).
    pub fn calibrated(&self, images: &Images, options: &FitOptions<'_>) -> Result<Detector> {
        let mut config = self.config.clone();
        config.fit.holdout = 0.0;
        let detector = prepare(images, &config, options)?.fit(Some(&self.weights), options)?;
        let origin = self.origin(detector.provenance().clone());
        Ok(detector.with_origin(origin, Vec::new()))
    }

    /// A detector without thresholds: it gives maps and scores, but no verdict.
    ///
    /// # Errors
    /// [`Error::Model`] when weights and configuration do not fit each other.
    pub fn uncalibrated(&self) -> Result<Detector> {
        let network = Network::new(self.weights.clone(), &self.config)
            .map_err(|reason| Error::model(&self.file, reason))?;
        let kind = used(&self.config).next().ok_or_else(|| Error::config("network.use", "is never"))?;
        let part = FittedPart::new(kind, Box::new(network));
        let origin = Provenance {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..self.origin(Provenance::default())
        };
        Ok(Detector::new(self.config.clone(), self.config.data.normaliser(), vec![part], Vec::new(), origin))
    }

    fn origin(&self, mut origin: Provenance) -> Provenance {
        origin.split = format!("unknown: trained elsewhere, imported from {}", self.file);
        origin.profile.insert(0, format!("imported from the PyTorch state dict {}", self.file));
        origin
    }
}

/// Tensors by PyTorch name, read one at a time.
struct StateDict<'a> {
    path: &'a Path,
    tensors: HashMap<String, Tensor>,
}

impl<'a> StateDict<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        let failed = |e: PytorchError| match e {
            PytorchError::Io(e) if !matches!(e.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => {
                Error::io(path, e)
            }
            e => Error::model(path, format!("is not a readable PyTorch file: {e}")),
        };
        let bad = |reason: String| Error::model(path, reason);
        blemish::require_file(path)?;
        let length = std::fs::metadata(path).map_err(|e| Error::io(path, e))?.len();
        let PickleValue::Dict(mut entries) = PytorchReader::read_pickle_data(path, None).map_err(failed)?
        else {
            return Err(bad("holds no state dict".to_owned()));
        };
        let wrapper =
            WRAPPERS.into_iter().find(|key| matches!(entries.get(*key), Some(PickleValue::Dict(_))));
        if let Some(PickleValue::Dict(inner)) = wrapper.and_then(|key| entries.remove(key)) {
            entries = inner;
        }
        let reader = match wrapper {
            Some(key) => PytorchReader::with_top_level_key(path, key),
            None => PytorchReader::new(path),
        };
        let tensors = reader.map_err(failed)?.into_tensors();
        let unknown = entries.iter().filter(|(name, _)| !tensors.contains_key(*name) && *name != METADATA);
        if let Some((name, value)) = unknown.min_by_key(|(name, _)| *name) {
            let kind = match value {
                PickleValue::Unsupported(kind) => kind,
                _ => "plain value",
            };
            return Err(bad(format!("its entry {name} is no tensor but a {kind}")));
        }
        // A view can claim more than is stored: checked before anything of that size is made.
        let claimed = tensors.values().try_fold(0u64, |sum, t| sum.checked_add(t.byte_len() as u64));
        if claimed.is_none_or(|claimed| claimed > length) {
            return Err(bad("its tensors claim more bytes than the file has".to_owned()));
        }
        Ok(Self { path, tensors })
    }

    fn bad(&self, reason: String) -> Error {
        Error::model(self.path, reason)
    }

    fn shape<const D: usize>(&self, name: &str) -> Result<[usize; D]> {
        let tensor = self.tensors.get(name).ok_or_else(|| self.bad(format!("tensor {name} is missing")))?;
        let shape = tensor.shape();
        shape.try_into().map_err(|_| self.bad(format!("tensor {name} has shape {shape:?}, not {D} axes")))
    }

    /// How many layers there are, `{stack}.0` onwards.
    fn layers(&self, stack: &str) -> usize {
        let numbers: BTreeSet<&str> = self
            .tensors
            .keys()
            .filter_map(|name| name.strip_prefix(stack)?.strip_prefix('.')?.split('.').next())
            .collect();
        numbers.len()
    }

    /// Every size that the shapes tell.
    fn config(&self, options: ImportOptions) -> Result<Config> {
        let [dim, channels, patch_size, _] = self.shape("patch_embed.proj.weight")?;
        let [_, tokens, _] = self.shape("patch_embed.learnable_pos_embed")?;
        let [hidden, _] = self.shape("encoder.0.mlp.fc1.weight")?;
        let [decoder_dim, _] = self.shape("decoder_embed.weight")?;
        let [decoder_hidden, _] = self.shape("decoder.0.mlp.fc1.weight")?;
        let side = tokens.isqrt();
        if side * side != tokens {
            return Err(self
                .bad(format!("tensor patch_embed.learnable_pos_embed has {tokens} tokens, no square grid")));
        }
        let mut config = Config::preset(Preset::Diyt);
        config.data.channels = Some(channels);
        config.data.image_size = [side.saturating_mul(patch_size); 2];
        let model = &mut config.model;
        model.patch_size = patch_size;
        model.embed_dim = dim;
        model.depth = self.layers("encoder");
        model.num_heads = options.num_heads.unwrap_or_else(|| heads(dim));
        model.mlp_ratio = hidden as f64 / dim as f64;
        model.decoder_embed_dim = decoder_dim;
        model.decoder_depth = self.layers("decoder");
        model.decoder_num_heads = options.decoder_num_heads.unwrap_or_else(|| heads(decoder_dim));
        model.decoder_mlp_ratio = decoder_hidden as f64 / decoder_dim as f64;
        Ok(config)
    }

    /// All parameters under our names and in our layout; `self` keeps what was not asked for.
    fn weights(&mut self, config: &Config) -> Result<Weights> {
        let model = &config.model;
        let (dim, decoder, p) = (model.embed_dim, model.decoder_embed_dim, model.patch_size);
        let channels = config.data.channels.unwrap_or(3);
        let tokens = config.grid().iter().product();
        let mut to = Weights::new();

        let kernel = self.take("patch_embed.proj.weight", &[dim, channels, p, p])?;
        let kernel = patch_rows(&kernel, channels, p);
        put(&mut to, "patch_embed.proj.weight", &[p * p * channels, dim], transposed(&kernel, dim));
        self.copy(&mut to, "patch_embed.proj.bias", "patch_embed.proj.bias", dim)?;
        let table = self.take("patch_embed.learnable_pos_embed", &[1, tokens, dim])?;
        put(&mut to, "pos_embed.learnable", &[tokens, dim], table);

        for i in 0..model.depth {
            let layer = format!("encoder.{i}");
            self.norm(&mut to, &format!("{layer}.norm1"), dim)?;
            self.attention(&mut to, &format!("{layer}.attn"), dim)?;
            self.norm(&mut to, &format!("{layer}.norm2"), dim)?;
            self.mlp(&mut to, &format!("{layer}.mlp"), dim, model.mlp_dim())?;
        }
        self.norm(&mut to, "encoder_norm", dim)?;

        for k in 0..3 {
            let from = format!("feature_aggregator.projection_layers.{k}");
            self.linear(&mut to, &from, &format!("aggregation.taps.{k}"), dim, dim)?;
        }
        let combiner = self.take("feature_aggregator.combiner.weight", &[dim, 3 * dim, 1, 1])?;
        put(&mut to, "aggregation.combine.weight", &[3 * dim, dim], transposed(&combiner, dim));
        self.copy(&mut to, "feature_aggregator.combiner.bias", "aggregation.combine.bias", dim)?;
        self.linear(&mut to, "aggregated_feature_proj", "aggregation.proj", dim, dim)?;

        self.linear(&mut to, "decoder_embed", "decoder_embed", dim, decoder)?;
        let token = self.take("mask_token", &[1, 1, decoder])?;
        put(&mut to, "mask_token", &[decoder], token);
        for i in 0..model.decoder_depth {
            let layer = format!("decoder.{i}");
            self.norm(&mut to, &format!("{layer}.norm1"), decoder)?;
            self.attention(&mut to, &format!("{layer}.attn"), decoder)?;
            self.norm(&mut to, &format!("{layer}.norm2"), decoder)?;
            self.cross_attention(&mut to, &format!("{layer}.cross_attn"), decoder, dim)?;
            self.norm(&mut to, &format!("{layer}.norm3"), decoder)?;
            self.mlp(&mut to, &format!("{layer}.mlp"), decoder, model.decoder_mlp_dim())?;
        }
        self.norm(&mut to, "decoder_norm", decoder)?;
        // The published head already writes (row, column, channel), as ours does.
        self.linear(&mut to, "decoder_pred", "head.proj", decoder, p * p * channels)?;
        Ok(to)
    }

    fn linear(
        &mut self,
        to: &mut Weights,
        from: &str,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> Result<()> {
        let weight = self.take(&format!("{from}.weight"), &[outputs, inputs])?;
        put(to, &format!("{name}.weight"), &[inputs, outputs], transposed(&weight, outputs));
        self.copy(to, &format!("{from}.bias"), &format!("{name}.bias"), outputs)
    }

    fn norm(&mut self, to: &mut Weights, name: &str, dim: usize) -> Result<()> {
        for (part, len) in [("alpha", 1), ("gamma", dim), ("beta", dim)] {
            let name = format!("{name}.{part}");
            self.copy(to, &name, &name, len)?;
        }
        Ok(())
    }

    fn mlp(&mut self, to: &mut Weights, name: &str, dim: usize, hidden: usize) -> Result<()> {
        let (fc1, fc2) = (format!("{name}.fc1"), format!("{name}.fc2"));
        self.linear(to, &fc1, &fc1, dim, hidden)?;
        self.linear(to, &fc2, &fc2, hidden, dim)
    }

    fn attention(&mut self, to: &mut Weights, name: &str, dim: usize) -> Result<()> {
        let packed = self.take(&format!("{name}.in_proj_weight"), &[3 * dim, dim])?;
        put(to, &format!("{name}.qkv.weight"), &[dim, 3 * dim], transposed(&packed, 3 * dim));
        self.copy(to, &format!("{name}.in_proj_bias"), &format!("{name}.qkv.bias"), 3 * dim)?;
        self.linear(to, &format!("{name}.out_proj"), &format!("{name}.proj"), dim, dim)
    }

    /// Keys and values have their own weights here, but one bias with the queries.
    fn cross_attention(&mut self, to: &mut Weights, name: &str, dim: usize, kv_dim: usize) -> Result<()> {
        let q = self.take(&format!("{name}.q_proj_weight"), &[dim, dim])?;
        put(to, &format!("{name}.q.weight"), &[dim, dim], transposed(&q, dim));
        let mut kv = self.take(&format!("{name}.k_proj_weight"), &[dim, kv_dim])?;
        kv.extend(self.take(&format!("{name}.v_proj_weight"), &[dim, kv_dim])?);
        put(to, &format!("{name}.kv.weight"), &[kv_dim, 2 * dim], transposed(&kv, 2 * dim));
        let mut bias = self.take(&format!("{name}.in_proj_bias"), &[3 * dim])?;
        put(to, &format!("{name}.kv.bias"), &[2 * dim], bias.split_off(dim));
        put(to, &format!("{name}.q.bias"), &[dim], bias);
        self.linear(to, &format!("{name}.out_proj"), &format!("{name}.proj"), dim, dim)
    }

    fn copy(&mut self, to: &mut Weights, from: &str, name: &str, len: usize) -> Result<()> {
        put(to, name, &[len], self.take(from, &[len])?);
        Ok(())
    }

    /// Reads a tensor and strikes it off.
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let tensor =
            self.tensors.remove(name).ok_or_else(|| self.bad(format!("tensor {name} is missing")))?;
        if tensor.shape() != shape {
            return Err(self.bad(format!("tensor {name} has shape {:?}, not {shape:?}", tensor.shape())));
        }
        if tensor.dtype() != DType::F32 {
            return Err(self.bad(format!("tensor {name} is {:?}, not F32", tensor.dtype())));
        }
        let bytes = tensor.read().map_err(|e| self.bad(e.to_string()))?;
        let (values, _) = bytes.as_chunks::<4>();
        let values: Vec<f32> = values.iter().map(|b| f32::from_ne_bytes(*b)).collect();
        if values.iter().any(|v| !v.is_finite()) {
            return Err(self.bad(format!("tensor {name} holds a value that is not finite")));
        }
        Ok(values)
    }

    /// Nothing may be left: it would be a part of a model that is not ours.
    fn finish(self) -> Result<()> {
        match self.tensors.keys().min() {
            Some(name) => Err(self.bad(format!("tensor {name} is not part of this model"))),
            None => Ok(()),
        }
    }
}

/// The largest number of heads up to the published one that divides `dim`.
fn heads(dim: usize) -> usize {
    (1..=PUBLISHED_HEADS).rev().find(|h| dim.is_multiple_of(*h)).unwrap_or(1)
}

fn put(to: &mut Weights, name: &str, shape: &[usize], values: Vec<f32>) {
    to.insert(name.to_owned(), Array { shape: shape.to_vec(), values });
}

/// `[rows, columns]` -> `[columns, rows]`
fn transposed(values: &[f32], rows: usize) -> Vec<f32> {
    let columns = values.len() / rows;
    (0..values.len()).map(|i| values[i % rows * columns + i / rows]).collect()
}

/// A convolution's kernels as rows in our order: `[D, C, p, p]` -> `[D, p p C]`.
fn patch_rows(kernel: &[f32], channels: usize, p: usize) -> Vec<f32> {
    kernel.chunks_exact(channels * p * p).flat_map(|row| transposed(row, channels)).collect()
}

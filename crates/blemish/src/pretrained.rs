//! Weights of a network that was pre-trained once, before any product: a safetensors file with the network's configuration
//! and where it came from.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::{Config, ModelConfig};
use crate::engine::{Arithmetic, Array, Engine, Feature, Weights, take_prefixed, weights_for_grid};
use crate::error::{Error, Result};
use crate::tensors::{header_of, read_tensors_of, require_parameters, write_tensors};

/// Version of the file's layout; a file of a newer one is refused.
const VERSION: u32 = 1;

/// Pre-trained weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Pretrained {
    /// The network.
    pub model: ModelConfig,
    /// Height and width that the positional tables are stored for.
    pub image_size: [usize; 2],
    /// Channels of the images.
    pub channels: usize,
    /// Parameters by name.
    pub weights: Weights,
    /// Where they came from.
    pub origin: PretrainedOrigin,
}

/// Where pre-trained weights came from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainedOrigin {
    /// The command that made them.
    pub command: String,
    /// The commit of the program, where it is known.
    pub commit: Option<String>,
    /// The version of the program.
    pub version: String,
    /// The seed.
    pub seed: u64,
    /// Steps that they are of.
    pub steps: usize,
    /// Steps of the whole run, where those were settled.
    pub of_steps: Option<usize>,
    /// Where the number of steps was changed on the way: after which step, and to what.
    pub changed: Vec<[usize; 2]>,
    /// Steps that were skipped, their loss or gradient not being finite.
    pub skipped: usize,
    /// Generated images that were seen.
    pub images: usize,
    /// Families of generated images.
    pub families: String,
    /// The parts of the loss.
    pub objective: serde_json::Value,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    pretrained: u32,
    model: ModelConfig,
    image_size: [usize; 2],
    channels: usize,
    origin: PretrainedOrigin,
}

impl Pretrained {
    /// Writes the file, every value rounded to bf16, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn save(&self, path: &Path) -> Result<()> {
        let header = Header {
            pretrained: VERSION,
            model: self.model.clone(),
            image_size: self.image_size,
            channels: self.channels,
            origin: self.origin.clone(),
        };
        let mut weights = self.weights.clone();
        for array in weights.values_mut() {
            array.values.iter_mut().for_each(|v| *v = to_bf16(*v));
        }
        write_tensors(path, &header, &weights)
    }

    /// Reads and checks a file. No code in it can run.
    ///
    /// # Errors
    /// [`Error::Model`] that says what is wrong with the file, or [`Error::Io`].
    pub fn load(path: &Path) -> Result<Self> {
        Self::from_bytes(path, &std::fs::read(path).map_err(|e| Error::io(path, e))?)
    }

    /// Whether a safetensors file is one of blemish.
    ///
    /// # Errors
    /// [`Error::Model`] where it is cut short or no safetensors file.
    pub(crate) fn is_one(name: &Path, bytes: &[u8]) -> Result<bool> {
        Ok(header_of(name, bytes)?.is_some())
    }

    /// As [`load`](Self::load), of a file's bytes; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`load`](Self::load), without [`Error::Io`].
    pub fn from_bytes(name: &Path, bytes: &[u8]) -> Result<Self> {
        let (text, weights) = read_tensors_of(name, bytes)?;
        let bad = |reason: String| Error::model(name, reason);
        let header: Header = serde_json::from_str(&text).map_err(|e| {
            bad(format!("does not hold pre-trained weights: its metadata is not understood: {e}"))
        })?;
        let Header { pretrained, model, image_size, channels, origin } = header;
        if pretrained > VERSION {
            let reason =
                format!("is of version {pretrained}; this program reads up to {VERSION}: update blemish");
            return Err(bad(reason));
        }
        let mut run = Config { model, ..Config::default() };
        (run.data.image_size, run.data.channels) = (image_size, Some(channels));
        run.validate().map_err(|e| bad(e.to_string()))?;
        let grid = run.grid();
        require_parameters(&weights, &run.model, grid).map_err(bad)?;
        let weights = weights_for_grid(weights, grid, grid).map_err(bad)?;
        Ok(Self { model: run.model, image_size, channels, weights, origin })
    }

    /// Adds the parameters to a model file's tensors, their names behind `prefix`; the shape is not stored, since it is that of `light`.
    pub fn put(&self, tensors: &mut Weights, prefix: &str) {
        let named = |(name, array): (&String, &Array)| (format!("{prefix}{name}"), array.clone());
        tensors.extend(self.weights.iter().map(named));
    }

    /// Takes what [`put`](Self::put) has added: a network of the shape `light`.
    ///
    /// # Errors
    /// A sentence: tables that fit no square grid.
    pub fn take(tensors: &mut Weights, prefix: &str) -> Result<Self, String> {
        let weights = take_prefixed(tensors, prefix);
        let comparison = weights.keys().any(|name| name.starts_with("comparison."));
        let model = ModelConfig { comparison, ..ModelConfig::light() };
        let rows =
            weights.get("pos_embed.learnable").and_then(|table| table.shape.first().copied()).unwrap_or(0);
        let side = rows.isqrt();
        if side == 0 || side * side != rows {
            return Err("its positional table is of no square grid".to_owned());
        }
        let image_size = [side * model.patch_size; 2];
        Ok(Self { model, image_size, channels: 3, weights, origin: PretrainedOrigin::default() })
    }

    /// The network on views of `size`, in the arithmetic that the configuration names.
    ///
    /// # Errors
    /// A sentence: weights that do not fit the view.
    pub(crate) fn engine(&self, size: [usize; 2], config: &Config) -> Result<Engine, String> {
        let arithmetic = config.network.precision.unwrap_or_else(Arithmetic::fastest);
        Engine::new(&self.model, size, self.channels, &self.weights_at(size)?, arithmetic)
    }

    /// The number of channels of a feature that the network [has](Engine::has).
    pub(crate) fn channels_of(&self, feature: Feature) -> usize {
        let stem = &self.model.stem_dims;
        match feature {
            Feature::Level(i) => stem[i],
            Feature::Tap(_) => self.model.embed_dim,
            Feature::Head(i) => stem[stem.len() - 1 - i],
        }
    }

    /// The weights for images of another size.
    ///
    /// # Errors
    /// A sentence that names the table that does not fit.
    pub fn weights_at(&self, image_size: [usize; 2]) -> Result<Weights, String> {
        let [from, to] =
            [self.image_size, image_size].map(|size| size.map(|side| side / self.model.patch_size));
        weights_for_grid(self.weights.clone(), from, to)
    }
}

/// The nearest bf16 number, ties to even.
fn to_bf16(value: f32) -> f32 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) & 0xffff_0000;
    if value.is_nan() { value } else { f32::from_bits(rounded) }
}

#[cfg(test)]
mod tests {
    use super::to_bf16;

    #[test]
    fn values_are_rounded_to_eight_bits_ties_to_even() {
        assert_eq!(to_bf16(1.0), 1.0);
        assert_eq!(to_bf16(1.0 + 1.0 / 256.0), 1.0);
        assert_eq!(to_bf16(1.0 + 3.0 / 256.0), 1.0 + 4.0 / 256.0);
        assert_eq!(to_bf16(-1.0 - 1.1 / 256.0), -1.0 - 2.0 / 256.0);
    }
}

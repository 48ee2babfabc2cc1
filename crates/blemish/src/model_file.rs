//! The model file: one safetensors file that carries parts, configuration, calibration, scores of good images, history and
//! provenance. Program, library and bindings all load it through [`ModelFile::load`], so scores cannot differ.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::path::Path;

use rayon::prelude::*;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::config::{Config, ModelConfig, PatchEmbed, Use};
use crate::detector::Detector;
use crate::engine::{Array, Weights};
use crate::error::{Error, Result};
use crate::fit::SuspectedOutlier;
use crate::history::EpochRecord;
use crate::parts::{FittedPart, put, used};
use crate::view::{Template, TrainingFacts};
use crate::write::write_whole;

/// Version of the file's layout; files of others are refused.
pub const VERSION: u32 = 2;
/// Name of the mean image among the tensors.
const TEMPLATE: &str = "view.template";
/// Name of the mask of what is ignored among the tensors.
const IGNORED: &str = "view.ignore";
/// Name of the scores of good images among the tensors.
const GOOD_SCORES: &str = "calibration.good_scores";

/// Where a model came from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The data set's folder, as it was named.
    pub data: String,
    /// The product.
    pub category: String,
    /// Date of the fit, `YYYY-MM-DD`.
    pub fitted: String,
    /// Version of blemish that made it.
    pub version: String,
    /// Which images were fitted on, validated and calibrated with, in words.
    pub split: String,
    /// Median grey level of the good images, 0 to 1: the target of the equalised figures.
    pub median: f32,
    /// Standard deviation of the good images' grey levels, 0 to 1: the same.
    pub spread: f32,
    /// Wall-clock seconds of the fit.
    pub seconds: f64,
    /// The good images that are least like the rest, the least first.
    pub suspected_outliers: Vec<SuspectedOutlier>,
    /// What the good images look like, and what followed from it, in words.
    pub profile: Vec<String>,
    /// The settings of the network's training, as TOML; empty where none was trained.
    pub training: String,
    /// Whether every good image showed a product, where the detector looks for one: then an image that shows none is defective.
    #[serde(default)]
    pub always_found: bool,
    /// Sizes, channels, depth and brightness of the good images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<TrainingFacts>,
}

/// Everything in a model file.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelFile {
    header: Header,
    tensors: Weights,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    config: Config,
    provenance: Provenance,
    history: Vec<EpochRecord>,
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

impl ModelFile {
    /// The file of a detector.
    pub fn of(detector: &Detector) -> Self {
        let mut tensors = Weights::new();
        detector.parts().iter().for_each(|part| part.save(&mut tensors));
        if let Some(template) = detector.template() {
            put(&mut tensors, TEMPLATE, &template.size(), template.pixels());
        }
        if let Some(ignored) = detector.ignored() {
            put(&mut tensors, IGNORED, &detector.config().view_size(), ignored);
        }
        let scores = detector.good_scores();
        put(&mut tensors, GOOD_SCORES, &[scores.len()], scores);
        let header = Header {
            version: VERSION,
            config: detector.config().clone(),
            provenance: detector.provenance().clone(),
            history: detector.history().to_vec(),
        };
        Self { header, tensors }
    }

    /// The detector that the file describes.
    ///
    /// # Errors
    /// A sentence that says what does not fit.
    pub fn into_detector(self) -> Result<Detector, String> {
        let Self { header: Header { config, provenance, history, .. }, mut tensors } = self;
        let size = config.view_size();
        let template = match tensors.remove(TEMPLATE).map(|array| array.values) {
            Some(pixels) if pixels.len() == size[0] * size[1] => Some(Template::new(size[0], size[1], pixels)),
            Some(_) => return Err("its mean image has another size than the view".to_owned()),
            None => None,
        };
        let ignored = tensors.remove(IGNORED).map(|array| array.values);
        let fits = |mask: &Vec<f32>| mask.len() == size[0] * size[1] && mask.contains(&0.0);
        if ignored.as_ref().is_some_and(|mask| !fits(mask)) {
            return Err("its mask of what is ignored has another size than the view, or leaves nothing".to_owned());
        }
        let good_scores = tensors.remove(GOOD_SCORES).map(|array| array.values).unwrap_or_default();
        let load = |kind| FittedPart::load(kind, &mut tensors, &config);
        let parts = used(&config).map(load).collect::<Result<Vec<_>, String>>()?;
        if parts.is_empty() {
            return Err("no part of it is used: there is nothing to score with".to_owned());
        }
        if let Some(name) = tensors.keys().next() {
            return Err(format!("tensor {name} belongs to nothing that its configuration names"));
        }
        Ok(Detector::new(config, template, parts, good_scores, provenance.clone())
            .with_ignored(ignored)
            .with_origin(provenance, history))
    }

    /// Writes the file whole or not at all, and what it writes can be loaded: that is tried before it takes its place.
    ///
    /// # Errors
    /// [`Error::Io`] with the path; [`Error::Model`] for values that are not finite.
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes = to_bytes(path, &self.header, &self.tensors)?;
        let wrong = |reason: String| Error::model(path, format!("would not load again: {reason}"));
        Self::from_bytes(path, &bytes)
            .map_err(|error| wrong(error.reason()))?
            .into_detector()
            .map_err(wrong)?;
        write_whole(path, &bytes)
    }

    /// Reads and checks a file: version, configuration, finite values. No code in it can run.
    ///
    /// # Errors
    /// [`Error::Model`] that says what is wrong with the file, or [`Error::Io`].
    pub fn load(path: &Path) -> Result<Self> {
        Self::from_bytes(path, &std::fs::read(path).map_err(|e| Error::io(path, e))?)
    }

    /// As [`load`](Self::load), of a file's bytes; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`load`](Self::load), without [`Error::Io`].
    pub fn from_bytes(name: &Path, bytes: &[u8]) -> Result<Self> {
        let (text, tensors) = from_bytes(name, bytes)?;
        let bad = |reason: String| Error::model(name, reason);
        let VersionOnly { version } = parse(name, &text)?;
        if version != VERSION {
            let what = if version > VERSION { "update blemish" } else { "fit the model anew" };
            return Err(bad(format!("is of version {version}; this program reads version {VERSION}: {what}")));
        }
        let header: Header = parse(name, &text)?;
        header.config.validate().map_err(|e| bad(e.to_string()))?;
        if header.config.data.channels.is_none() {
            return Err(bad("does not say how many channels its images have".to_owned()));
        }
        let stored: usize = tensors.values().map(|a| a.values.len()).sum();
        let needed = match header.config.network.usage {
            Use::Always => fewest_parameters(&header.config.model, header.config.grid()),
            _ => 0,
        };
        if stored < needed {
            // Checked before a model of the stated size is made: a lie must not cost memory.
            let reason = format!("holds {stored} parameters where its configuration needs {needed} or more");
            return Err(bad(reason));
        }
        Ok(Self { header, tensors })
    }
}

/// A lower bound that is cheap and cannot overflow for validated configurations.
fn fewest_parameters(model: &ModelConfig, grid: [usize; 2]) -> usize {
    let (dim, decoder) = (model.embed_dim, model.decoder_embed_dim);
    // The 3 x 3 kernels of the stem, which the pyramid head has a counterpart of.
    let stem = match model.patch_embed {
        PatchEmbed::ConvStem => model.stem_dims.windows(2).map(|pair| 9 * pair[0] * pair[1]).sum(),
        PatchEmbed::Linear => 0,
    };
    4 * dim * dim * model.depth + 8 * decoder * decoder * model.decoder_depth + grid[0] * grid[1] * dim + stem
}

fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| Error::model(path, format!("its metadata is not understood: {e}")))
}

/// Writes `header` (as JSON under the metadata key `blemish`) and tensors as safetensors, whole or not at all.
///
/// # Errors
/// [`Error::Io`] with the path; [`Error::Model`] for a value that is not finite.
pub fn write_tensors(path: &Path, header: &impl Serialize, tensors: &Weights) -> Result<()> {
    write_whole(path, &to_bytes(path, header, tensors)?)
}

/// Tensors whose values are all bf16 numbers are written as such, which loses nothing.
fn to_bytes(path: &Path, header: &impl Serialize, tensors: &Weights) -> Result<Vec<u8>> {
    let wrong = |e: &dyn Display| Error::model(path, format!("cannot be written: {e}"));
    let infinite = |(_, array): &(&String, &Array)| !array.values.iter().all(|v| v.is_finite());
    if let Some((name, _)) = tensors.iter().find(infinite) {
        return Err(wrong(&format!("tensor {name} holds a value that is not finite")));
    }
    let text = serde_json::to_string(header).map_err(|e| wrong(&e))?;
    let bytes: BTreeMap<&String, (Dtype, Vec<u8>, &Vec<usize>)> = tensors
        .iter()
        .map(|(name, Array { shape, values })| {
            let short = values.iter().all(|v| v.to_bits() & 0xffff == 0);
            let data = if short {
                values.iter().flat_map(|v| ((v.to_bits() >> 16) as u16).to_le_bytes()).collect()
            } else {
                values.iter().flat_map(|v| v.to_le_bytes()).collect()
            };
            (name, (if short { Dtype::BF16 } else { Dtype::F32 }, data, shape))
        })
        .collect();
    let views = bytes
        .iter()
        .map(|(name, (kind, data, shape))| Ok((*name, TensorView::new(*kind, shape.to_vec(), data)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(|e| wrong(&e))?;
    let metadata = HashMap::from([("blemish".to_owned(), text)]);
    safetensors::serialize(views, Some(metadata)).map_err(|e| wrong(&e))
}

/// Reads a safetensors file: its `blemish` metadata and its tensors, every value finite.
///
/// # Errors
/// [`Error::Model`] when the file is cut short, not safetensors, not ours, neither `f32` nor `bf16` or holds NaN or infinity;
/// [`Error::Io`] when it cannot be read.
pub fn read_tensors(path: &Path) -> Result<(String, Weights)> {
    from_bytes(path, &std::fs::read(path).map_err(|e| Error::io(path, e))?)
}

fn from_bytes(name: &Path, bytes: &[u8]) -> Result<(String, Weights)> {
    let bad = |reason: String| Error::model(name, reason);
    let not_whole = |e: &dyn Display| bad(format!("is not a whole safetensors file: {e}"));
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| not_whole(&e))?;
    let text = metadata.metadata().as_ref().and_then(|m| m.get("blemish")).cloned();
    let text = text.ok_or_else(|| bad("is a safetensors file, but not one of blemish".to_owned()))?;
    let file = SafeTensors::deserialize(bytes).map_err(|e| not_whole(&e))?;
    let read = |(name, view): &(String, TensorView<'_>)| {
        let data = view.data();
        let values: Vec<f32> = match view.dtype() {
            Dtype::F32 => data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Dtype::BF16 => {
                let bits = data.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b));
                bits.map(|bits| f32::from_bits(u32::from(bits) << 16)).collect()
            }
            other => return Err(bad(format!("tensor {name} is {other:?}, not F32 or BF16"))),
        };
        if !values.iter().all(|v| v.is_finite()) {
            return Err(bad(format!("tensor {name} holds a value that is not finite")));
        }
        Ok((name.clone(), Array { shape: view.shape().to_vec(), values }))
    };
    // Which of several faults is told must not depend on the threads.
    let values: Vec<Result<(String, Array)>> = file.tensors().par_iter().map(read).collect();
    Ok((text, values.into_iter().collect::<Result<Weights>>()?))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn bf16_numbers_take_half_the_room_and_come_back_alike() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let array = |v: f32| Array { shape: vec![50, 20], values: vec![v; 1000] };
        let tensors: Weights = [
            ("short".to_owned(), array(-1.5)),
            ("long".to_owned(), array(0.1)),
            ("none".to_owned(), array(0.0)),
        ]
        .into();
        write_tensors(&path, &"header", &tensors).unwrap();
        let (size, read) = (std::fs::metadata(&path).unwrap().len(), read_tensors(&path).unwrap().1);
        assert_eq!(read, tensors);
        assert!((8000..8500).contains(&size), "{size}");
    }
}

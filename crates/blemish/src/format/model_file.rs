//! The model file: one safetensors file that carries weights, configuration, calibration, thresholds, history and
//! provenance. Program, library and server all load it through [`ModelFile::load`], so scores cannot differ.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use safetensors::tensor::{Dtype, Metadata, TensorInfo, TensorView};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::config::{ModelConfig, PatchEmbed, RunConfig};
use crate::error::{Error, Result};
use crate::history::EpochRecord;
use crate::model::{Array, Weights};
use crate::score::{Normal, Threshold};
use crate::write::write_whole;

/// Version of the file's layout; a file of a newer one is refused.
pub const VERSION: u32 = 1;
/// A header of more bytes than this is not one of ours.
const MAX_HEADER: u64 = 16 << 20;
/// Bytes that are read in one go.
const PIECE: usize = 256 << 10;

/// Where a model came from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The data set's folder, as it was named.
    pub data: String,
    /// The product.
    pub category: String,
    /// Date of the training, `YYYY-MM-DD`.
    pub trained: String,
    /// Version of blemish that trained it.
    pub version: String,
    /// Which images trained, validated and calibrated, in words.
    pub split: String,
    /// Median grey level of the training images, 0 to 1: the target of `equalised`.
    pub median: f32,
    /// Spread of the training images' grey levels about their median: the target of `equalised`.
    pub spread: f32,
    /// Wall-clock seconds of the training.
    pub seconds: f64,
    /// The good images that are strangest to what the others teach, the strangest first; none where that is not known.
    #[serde(default)]
    pub strangest: Vec<StrangeImage>,
    /// What the training images look like, and what followed from it, in words.
    pub profile: Vec<String>,
}

/// A good image that is strange to what the others teach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StrangeImage {
    /// The file.
    pub path: String,
    /// Its score.
    pub score: f32,
    /// Whether it taught nothing, being an outlier (`train.contamination`).
    pub left_out: bool,
}

/// Everything in a model file.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelFile {
    /// The effective configuration; `data.channels` is set.
    pub config: RunConfig,
    /// Parameters by name.
    pub weights: Weights,
    /// What is known of good images beside the network.
    pub normal: Normal,
    /// All thresholds.
    pub thresholds: Vec<Threshold>,
    /// Where the model came from.
    pub provenance: Provenance,
    /// The training, epoch by epoch.
    pub history: Vec<EpochRecord>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    config: RunConfig,
    thresholds: Vec<Threshold>,
    provenance: Provenance,
    history: Vec<EpochRecord>,
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

impl ModelFile {
    /// Writes the file whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn save(&self, path: &Path) -> Result<()> {
        let header = Header {
            version: VERSION,
            config: self.config.clone(),
            thresholds: self.thresholds.clone(),
            provenance: self.provenance.clone(),
            history: self.history.clone(),
        };
        let mut tensors = self.weights.clone();
        tensors.extend(self.normal.to_tensors(self.config.view_size()));
        write_tensors(path, &header, &tensors)
    }

    /// Reads and checks a file: version, configuration, shapes, finite values. No code in it can run.
    ///
    /// # Errors
    /// [`Error::Model`] that says what is wrong with the file, or [`Error::Io`].
    pub fn load(path: &Path) -> Result<Self> {
        let (text, mut tensors) = read_tensors(path)?;
        let bad = |reason: String| Error::model(path, reason);
        let VersionOnly { version } = parse(path, &text)?;
        if version > VERSION {
            return Err(bad(format!(
                "is of version {version}; this program reads up to {VERSION}: update blemish"
            )));
        }
        let header: Header = parse(path, &text)?;
        header.config.validate().map_err(|e| bad(e.to_string()))?;
        if header.config.data.channels.is_none() {
            return Err(bad("does not say how many channels its images have".to_owned()));
        }
        let normal = Normal::take_from(&mut tensors, &header.config).map_err(bad)?;
        let stored: usize = tensors.values().map(|a| a.values.len()).sum();
        let needed = fewest_parameters(&header.config.model, header.config.grid());
        if stored < needed {
            // Checked before a model of the stated size is made: a lie must not cost memory.
            return Err(bad(format!(
                "holds {stored} parameters where its configuration needs {needed} or more"
            )));
        }
        if header.thresholds.iter().any(|t| !(t.value as f32).is_finite()) {
            return Err(bad("a threshold is not a finite number".to_owned()));
        }
        let Provenance { median, spread, .. } = header.provenance;
        if ![median, spread].iter().all(|level| (0.0..=1.0).contains(level)) {
            return Err(bad("its grey levels are not between 0 and 1".to_owned()));
        }
        Ok(Self {
            config: header.config,
            weights: tensors,
            normal,
            thresholds: header.thresholds,
            provenance: header.provenance,
            history: header.history,
        })
    }
}

/// A lower bound that is cheap and cannot overflow for validated configurations.
pub(super) fn fewest_parameters(model: &ModelConfig, grid: [usize; 2]) -> usize {
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

/// Writes `header` (as JSON under the metadata key `blemish`) and tensors as safetensors, whole or not at all; tensors
/// whose values are all bf16 numbers as such, which loses nothing.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn write_tensors(path: &Path, header: &impl Serialize, tensors: &Weights) -> Result<()> {
    let wrong = |e: &dyn Display| Error::model(path, format!("cannot be written: {e}"));
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
    let whole = safetensors::serialize(views, Some(metadata)).map_err(|e| wrong(&e))?;
    write_whole(path, &whole)
}

/// Reads a safetensors file: its `blemish` metadata and its tensors, every value finite.
///
/// # Errors
/// [`Error::Model`] when the file is cut short, not safetensors, not ours, neither `f32` nor `bf16` or holds NaN or infinity;
/// [`Error::Io`] when it cannot be read.
pub fn read_tensors(path: &Path) -> Result<(String, Weights)> {
    let failed = |e| Error::io(path, e);
    let bad = |reason: String| Error::model(path, reason);
    let not_whole = |what: &dyn Display| bad(format!("is not a whole safetensors file: {what}"));
    let mut file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let mut header = [0; 8];
    if size < header.len() as u64 {
        return Err(bad("is not a model file: shorter than its header".to_owned()));
    }
    file.read_exact(&mut header).map_err(failed)?;
    let header = u64::from_le_bytes(header);
    if header > MAX_HEADER {
        return Err(bad("is not a blemish model file: its header is too large".to_owned()));
    }
    let start = 8 + header;
    if size < start {
        return Err(not_whole(&"its header is cut short"));
    }
    let mut text = vec![0; header as usize];
    file.read_exact(&mut text).map_err(failed)?;
    let metadata: Metadata = serde_json::from_slice(&text).map_err(|e| not_whole(&e))?;
    let text = metadata.metadata().as_ref().and_then(|m| m.get("blemish")).cloned();
    let text = text.ok_or_else(|| bad("is a safetensors file, but not one of blemish".to_owned()))?;

    let mut tensors: Vec<(String, &TensorInfo)> = metadata.tensors().into_iter().collect();
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let mut end = 0;
    for (name, TensorInfo { dtype, shape, data_offsets: (from, to) }) in &tensors {
        let width = match dtype {
            Dtype::F32 => 4,
            Dtype::BF16 => 2,
            other => return Err(bad(format!("tensor {name} is {other:?}, not F32 or BF16"))),
        };
        let bytes = shape.iter().try_fold(width, |bytes: usize, side| bytes.checked_mul(*side));
        if *from != end || bytes.is_none() || to.checked_sub(*from) != bytes {
            return Err(not_whole(&format!("tensor {name} does not lie where it should")));
        }
        end = *to;
    }
    if start + end as u64 != size {
        return Err(not_whole(&format!("{size} bytes instead of {}", start + end as u64)));
    }

    // Piece by piece, by one thread at a time, while others convert: the whole file at once would have to be fetched twice.
    let file = Mutex::new(file);
    let read = |(name, info): (String, &TensorInfo)| {
        let values = read_values(&file, start, info).map_err(failed)?;
        if !values.iter().fold(true, |finite, v| finite & v.is_finite()) {
            return Err(bad(format!("tensor {name} holds a value that is not finite")));
        }
        Ok((name, Array { shape: info.shape.clone(), values }))
    };
    // Which of several faults is told must not depend on the threads.
    let values: Vec<Result<(String, Array)>> = tensors.into_par_iter().map(read).collect();
    let tensors = values.into_iter().collect::<Result<Weights>>()?;
    Ok((text, tensors))
}

/// The values of a tensor whose offsets count from byte `start` of the file.
fn read_values(file: &Mutex<File>, start: u64, info: &TensorInfo) -> io::Result<Vec<f32>> {
    let (from, to) = info.data_offsets;
    let mut values = Vec::with_capacity(info.shape.iter().product());
    let mut bytes = vec![0; PIECE.min(to - from)];
    for at in (from..to).step_by(PIECE) {
        let piece = &mut bytes[..PIECE.min(to - at)];
        {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(start + at as u64))?;
            file.read_exact(piece)?;
        }
        if info.dtype == Dtype::F32 {
            values.extend(piece.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)));
        } else {
            let bits = piece.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b));
            values.extend(bits.map(|bits| f32::from_bits(u32::from(bits) << 16)));
        }
    }
    Ok(values)
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

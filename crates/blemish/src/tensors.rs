//! Safetensors files with a JSON header of blemish's own: model files, checkpoints, pre-trained weights.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::path::Path;

use rayon::prelude::*;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::Serialize;

use crate::config::{ModelConfig, PatchEmbed};
use crate::engine::{Array, Weights};
use crate::error::{Error, Result};
use crate::read::read_whole;
use crate::write::write_whole;

/// Refuses fewer parameters than a network of this shape has, before one is made: a false header must not cost memory.
///
/// # Errors
/// A sentence with both numbers.
pub(crate) fn require_parameters(
    weights: &Weights,
    model: &ModelConfig,
    grid: [usize; 2],
) -> Result<(), String> {
    let stored: usize = weights.values().map(|array| array.values.len()).sum();
    let needed = fewest_parameters(model, grid);
    if stored >= needed {
        return Ok(());
    }
    Err(format!("holds {stored} parameters where its configuration needs {needed} or more"))
}

/// A lower bound of a network's parameters that is cheap and cannot overflow for validated configurations.
fn fewest_parameters(model: &ModelConfig, grid: [usize; 2]) -> usize {
    let (dim, decoder) = (model.embed_dim, model.decoder_embed_dim);
    // The 3 x 3 kernels of the stem, which the pyramid head has a counterpart of.
    let stem = match model.patch_embed {
        PatchEmbed::ConvStem => model.stem_dims.windows(2).map(|pair| 9 * pair[0] * pair[1]).sum(),
        PatchEmbed::Linear => 0,
    };
    4 * dim * dim * model.depth + 8 * decoder * decoder * model.decoder_depth + grid[0] * grid[1] * dim + stem
}

/// Writes `header` (as JSON under the metadata key `blemish`) and tensors as safetensors, whole or not at all.
///
/// # Errors
/// [`Error::Io`] with the path; [`Error::Model`] for a value that is not finite.
pub fn write_tensors(path: &Path, header: &impl Serialize, tensors: &Weights) -> Result<()> {
    write_whole(path, &to_bytes(path, header, tensors)?)
}

/// Tensors whose values are all bf16 numbers are written as such, which loses nothing.
///
/// # Errors
/// As [`write_tensors`], without [`Error::Io`].
pub(crate) fn to_bytes(path: &Path, header: &impl Serialize, tensors: &Weights) -> Result<Vec<u8>> {
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
    read_tensors_of(path, &read_whole(path)?)
}

/// As [`read_tensors`], of a file's bytes; `name` is what errors call it.
///
/// # Errors
/// As [`read_tensors`], without [`Error::Io`].
pub(crate) fn read_tensors_of(name: &Path, bytes: &[u8]) -> Result<(String, Weights)> {
    let text = header_of(name, bytes)?;
    let text =
        text.ok_or_else(|| Error::model(name, "is a safetensors file, but not one of blemish".to_owned()))?;
    let is_ours = |kind: Dtype| matches!(kind, Dtype::F32 | Dtype::BF16);
    let refused =
        |name: &str, kind| (!is_ours(kind)).then(|| format!("tensor {name} is {kind:?}, not F32 or BF16"));
    Ok((text, floats(name, bytes, refused)?))
}

/// The `blemish` metadata of a safetensors file; `None` where it is someone else's.
///
/// # Errors
/// [`Error::Model`] when it is cut short or not safetensors.
pub(crate) fn header_of(name: &Path, bytes: &[u8]) -> Result<Option<String>> {
    Ok(metadata_of(name, bytes)?.remove("blemish"))
}

/// Reads a safetensors file of anyone: its metadata and its tensors of floating-point numbers; others are left out.
///
/// # Errors
/// As [`read_tensors_of`].
pub(crate) fn read_foreign(name: &Path, bytes: &[u8]) -> Result<(HashMap<String, String>, Weights)> {
    Ok((metadata_of(name, bytes)?, floats(name, bytes, |_, _| None)?))
}

fn metadata_of(name: &Path, bytes: &[u8]) -> Result<HashMap<String, String>> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| not_whole(name, &e))?;
    Ok(metadata.metadata().clone().unwrap_or_default())
}

fn not_whole(name: &Path, error: &dyn Display) -> Error {
    Error::model(name, format!("is not a whole safetensors file: {error}"))
}

/// The tensors of F32, F16 and BF16, every value finite; the first that is `refused` is the error.
fn floats(
    name: &Path,
    bytes: &[u8],
    refused: impl Fn(&str, Dtype) -> Option<String> + Sync,
) -> Result<Weights> {
    let bad = |reason: String| Error::model(name, reason);
    let file = SafeTensors::deserialize(bytes).map_err(|e| not_whole(name, &e))?;
    let read = |(name, view): &(String, TensorView<'_>)| {
        if let Some(reason) = refused(name, view.dtype()) {
            return Err(bad(reason));
        }
        let data = view.data();
        let halves = || data.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b));
        let values: Vec<f32> = match view.dtype() {
            Dtype::F32 => data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Dtype::BF16 => halves().map(|bits| f32::from_bits(u32::from(bits) << 16)).collect(),
            Dtype::F16 => halves().map(from_f16).collect(),
            _ => return Ok(None),
        };
        if !values.iter().all(|v| v.is_finite()) {
            return Err(bad(format!("tensor {name} holds a value that is not finite")));
        }
        Ok(Some((name.clone(), Array { shape: view.shape().to_vec(), values })))
    };
    // Which of several faults is told must not depend on the threads.
    let values: Vec<Result<Option<(String, Array)>>> = file.tensors().par_iter().map(read).collect();
    Ok(values.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// An IEEE half-precision number.
fn from_f16(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (u32::from(bits >> 15) << 31, (bits >> 10) & 31, bits & 1023);
    let magnitude = match exponent {
        0 => f32::from(fraction) / f32::from_bits((127 + 24) << 23),
        31 if fraction == 0 => f32::INFINITY,
        31 => f32::NAN,
        _ => f32::from_bits((u32::from(exponent) + 112) << 23 | u32::from(fraction) << 13),
    };
    f32::from_bits(magnitude.to_bits() | sign)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn half_precision_numbers() {
        for (bits, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65_504.0),
            (0x0400, 6.103_515_6e-5),
            (0x0001, 5.960_464_5e-8),
            (0x8000, -0.0),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(from_f16(bits), value, "{bits:x}");
        }
        assert!(from_f16(0x7c01).is_nan());
    }

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

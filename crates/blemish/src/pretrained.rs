//! Weights of a network that was pre-trained once, before any product: a safetensors file with the network's configuration
//! and where it came from.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::{Config, Head, ModelConfig, PatchEmbed};
use crate::engine::{Arithmetic, Array, Engine, Feature, Weights, take_prefixed, weights_for_grid};
use crate::error::{Error, Result};
pub use crate::provenance::PretrainedOrigin;
use crate::read::read_whole;
use crate::tensors::{header_of, read_tensors_of, require_parameters, write_tensors};

/// Version of the file's layout; a file of a newer one is refused.
const VERSION: u32 = 1;
/// The tensors of the [`projections`](Pretrained::projections).
const PROJECTIONS: [&str; 2] = ["projection.fine", "projection.wide"];

/// What the names of the [`decoder`](Pretrained::decoder)'s tensors begin with in a file.
const DECODER: &str = "references.";
/// What the names of layers begin with that files of earlier versions may hold: they are left out.
const RETIRED: &str = "comparison.";

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
    /// By what the memory of features brings the values that describe a place to fewer, `[values, fewer]`: that of the stem's levels and
    /// that of those above, as `blemish pretrain --learn projections` learns them; none where they were not learnt.
    pub projections: Vec<Array>,
    /// The reference-conditioned decoder of the memory of features, as `blemish pretrain --learn decoder` learns it: its tensors by name; none where it
    /// was not learnt.
    pub decoder: Weights,
    /// Where they came from.
    pub origin: PretrainedOrigin,
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
        let named = PROJECTIONS.into_iter().map(str::to_owned).zip(self.projections.iter().cloned());
        weights.extend(named);
        weights.extend(self.decoder.iter().map(|(name, array)| (format!("{DECODER}{name}"), array.clone())));
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
        Self::from_bytes(path, &read_whole(path)?)
    }

    /// As [`load`](Self::load), of a file's bytes; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`load`](Self::load), without [`Error::Io`].
    pub fn from_bytes(name: &Path, bytes: &[u8]) -> Result<Self> {
        let (text, mut weights) = read_tensors_of(name, bytes)?;
        let bad = |reason: String| Error::model(name, reason);
        let header = header(&text).map_err(|e| {
            bad(format!("does not hold pre-trained weights: its metadata is not understood: {e}"))
        })?;
        take_prefixed(&mut weights, RETIRED);
        let Header { pretrained, model, image_size, channels, origin } = header;
        if pretrained > VERSION {
            let reason =
                format!("is of version {pretrained}; this program reads up to {VERSION}: update blemish");
            return Err(bad(reason));
        }
        let mut run = Config { model, ..Config::default() };
        (run.data.image_size, run.data.channels) = (image_size, Some(channels));
        run.validate().map_err(|e| bad(e.to_string()))?;
        let projections: Vec<Array> = PROJECTIONS.iter().filter_map(|name| weights.remove(*name)).collect();
        let is_map = |array: &Array| matches!(array.shape[..], [from, to] if (1..=from).contains(&to));
        if ![0, PROJECTIONS.len()].contains(&projections.len()) || !projections.iter().all(is_map) {
            let names = PROJECTIONS.join(" and ");
            return Err(bad(format!(
                "must hold both or none of {names}, matrices that give no more values than they take"
            )));
        }
        let decoder = take_prefixed(&mut weights, DECODER);
        let grid = run.grid();
        require_parameters(&weights, &run.model, grid).map_err(bad)?;
        let weights = weights_for_grid(weights, grid, grid).map_err(bad)?;
        Ok(Self { model: run.model, image_size, channels, weights, projections, decoder, origin })
    }

    /// The weights that come with the program.
    ///
    /// # Errors
    /// None in practice: they must be sound.
    pub(crate) fn builtin(bytes: &[u8]) -> Result<Self> {
        Self::from_bytes(Path::new("the built-in weights"), bytes)
    }

    /// Whether a file, by its name and bytes, says of itself that it holds pre-trained weights.
    #[doc(hidden)]
    pub fn is_one(name: &Path, bytes: &[u8]) -> bool {
        header_of(name, bytes)
            .ok()
            .flatten()
            .and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok())
            .is_some_and(|header| header.get("pretrained").is_some())
    }

    /// Adds the parameters to a model file's tensors, their names behind `prefix`; the shape is not stored, since it is that of `light`, nor
    /// are projections and decoder, which a memory that was fitted with them holds.
    pub fn put(&self, tensors: &mut Weights, prefix: &str) {
        let named = |(name, array): (&String, &Array)| (format!("{prefix}{name}"), array.clone());
        tensors.extend(self.weights.iter().map(named));
    }

    /// Takes what [`put`](Self::put) has added: a network of the shape `light`. Where it came from is not among the tensors, but in
    /// the model's [`Provenance`](crate::Provenance).
    ///
    /// # Errors
    /// A sentence: tables that fit no square grid.
    pub fn take(tensors: &mut Weights, prefix: &str) -> Result<Self, String> {
        let mut weights = take_prefixed(tensors, prefix);
        take_prefixed(&mut weights, RETIRED);
        let model = ModelConfig::light();
        let rows =
            weights.get("pos_embed.learnable").and_then(|table| table.shape.first().copied()).unwrap_or(0);
        let side = rows.isqrt();
        if side == 0 || side * side != rows {
            return Err("its positional table is of no square grid".to_owned());
        }
        let image_size = [side * model.patch_size; 2];
        let origin = PretrainedOrigin::default();
        let (projections, decoder) = (Vec::new(), Weights::new());
        Ok(Self { model, image_size, channels: 3, weights, projections, decoder, origin })
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

    /// Pixels between the places of a feature that the network [has](Engine::has).
    pub(crate) fn stride_of(&self, feature: Feature) -> usize {
        match feature {
            Feature::Level(i) => 2 << i,
            Feature::Tap(_) => self.model.patch_size,
            Feature::Head(i) => self.model.patch_size >> (i + 1),
        }
    }

    /// The weights for a network of the shape `model`, on views of another size with `channels`, 1 or 3: a network that was
    /// pre-trained on colour gives of a grey view what it gives of the same view in three equal channels, in the mean over these.
    ///
    /// # Errors
    /// A sentence: another shape, more channels, a table that does not fit.
    pub(crate) fn weights_for(
        &self,
        model: &ModelConfig,
        image_size: [usize; 2],
        channels: usize,
    ) -> Result<Weights, String> {
        if *model != self.model {
            return Err("is of a network of another shape than the preset's".to_owned());
        }
        let mut weights = self.weights_at(image_size)?;
        match (self.channels, channels) {
            (own, wanted) if own == wanted => Ok(weights),
            (own, 1) => {
                to_grey(&mut weights, model, own)?;
                Ok(weights)
            }
            (own, wanted) => Err(format!("is of a network for {own} channels, the images have {wanted}")),
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

/// The header of a file, without what only files of earlier versions say.
fn header(text: &str) -> serde_json::Result<Header> {
    let mut header: serde_json::Value = serde_json::from_str(text)?;
    if let Some(model) = header.get_mut("model").and_then(|model| model.as_object_mut()) {
        model.remove("comparison");
    }
    serde_json::from_value(header)
}

/// Makes a network for `channels` equal ones that for a single one: what reads the image is summed over its channels, what gives
/// it is their mean.
fn to_grey(weights: &mut Weights, model: &ModelConfig, channels: usize) -> Result<(), String> {
    if model.patch_embed != PatchEmbed::ConvStem || model.head != Head::Pyramid {
        return Err("is of a network for images in colour".to_owned());
    }
    let mut change = |name: &str, work: &dyn Fn(&Array) -> Option<Array>| {
        let array = weights.get_mut(name).ok_or_else(|| format!("parameter {name} is missing"))?;
        *array = work(array).ok_or_else(|| format!("parameter {name} has shape {:?}", array.shape))?;
        Ok::<_, String>(())
    };
    // [9 C, D]: the channels of a pixel are rows that follow each other.
    change("stem.convs.0.weight", &|array| {
        let [inputs, dim] = array.shape[..] else { return None };
        let taps = array.values.chunks_exact((channels * dim).max(1));
        let sum = |tap: &[f32]| (0..dim).map(|i| tap.iter().skip(i).step_by(dim).sum()).collect::<Vec<f32>>();
        let values: Vec<f32> = taps.flat_map(sum).collect();
        (inputs == 9 * channels).then(|| Array { shape: vec![9, dim], values })
    })?;
    // [D, 4 (C + E)]: of each of 2 x 2 pixels the channels of the image, and then what else is given.
    for name in ["pyramid.out.weight", "pyramid.out.bias"] {
        change(name, &|array| {
            let outputs =
                array.shape.last().copied().filter(|n| n.is_multiple_of(4) && n / 4 >= channels)? / 4;
            let mean = |pixel: &[f32]| pixel[..channels].iter().sum::<f32>() / channels as f32;
            let one = |pixel: &[f32]| [&[mean(pixel)], &pixel[channels..]].concat();
            let values = array.values.chunks_exact(outputs).flat_map(one).collect();
            let mut shape = array.shape.clone();
            *shape.last_mut()? = 4 * (outputs - channels + 1);
            Some(Array { shape, values })
        })?;
    }
    Ok(())
}

/// The nearest bf16 number, ties to even.
fn to_bf16(value: f32) -> f32 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) & 0xffff_0000;
    if value.is_nan() { value } else { f32::from_bits(rounded) }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::tensors::read_tensors;

    const LIGHT: &[u8] =
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../weights/light.safetensors"));

    #[test]
    fn on_grey_images_a_network_for_colour_gives_the_mean_of_its_channels() {
        let pretrained = Pretrained::from_bytes(Path::new("light"), LIGHT).unwrap();
        let (size, model) = ([32, 48], ModelConfig::light());
        let engine = |channels| {
            let weights = pretrained.weights_for(&model, size, channels).unwrap();
            Engine::new(&model, size, channels, &weights, Arithmetic::F32).unwrap()
        };
        let grey: Vec<f32> = (0..32 * 48).map(|i| (i as f32 * 0.037).sin()).collect();
        let colour: Vec<f32> = grey.iter().flat_map(|&v| [v; 3]).collect();
        let (one, three) = (engine(1).forward(&grey, None, &[]), engine(3).forward(&colour, None, &[]));
        assert_eq!((one.image.len(), one.extra.len()), (grey.len(), grey.len()));
        for (i, (image, logit)) in one.image.iter().zip(&one.extra).enumerate() {
            let mean = three.image[3 * i..][..3].iter().sum::<f32>() / 3.0;
            assert!((image - mean).abs() < 1e-4 && (logit - three.extra[i]).abs() < 1e-3, "{i}");
        }
        // It does something, and is not for other networks.
        assert!(one.image.iter().zip(&grey).any(|(out, v)| (out - v).abs() > 1e-3));
        assert!(pretrained.weights_for(&ModelConfig::diyt(), size, 3).is_err());
        let single = Pretrained { channels: 1, ..pretrained };
        assert!(single.weights_for(&model, size, 3).unwrap_err().contains("1 channels"));
    }

    #[test]
    fn projections_and_decoder_are_kept_in_the_file_and_apart_from_the_parameters() {
        let plain = Pretrained {
            projections: Vec::new(),
            decoder: Weights::new(),
            ..Pretrained::from_bytes(Path::new("light"), LIGHT).unwrap()
        };
        let matrix = |from: usize, to: usize| Array { shape: vec![from, to], values: vec![0.5; from * to] };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        let projections = vec![matrix(240, 48), matrix(384, 32)];
        let decoder = Weights::from([("out.weight".to_owned(), matrix(32, 1))]);
        let learnt = Pretrained { projections, decoder, ..plain.clone() };
        for pretrained in [&plain, &learnt] {
            pretrained.save(&path).unwrap();
            assert_eq!(&Pretrained::load(&path).unwrap(), pretrained);
        }
        let mut tensors = Weights::new();
        learnt.put(&mut tensors, "network.");
        assert!(!tensors.keys().any(|name| name.contains("projection") || name.contains("references")));
        // One of two, and one that does not bring values to fewer.
        for projections in [vec![matrix(240, 48)], vec![matrix(240, 48), matrix(32, 384)]] {
            Pretrained { projections, ..plain.clone() }.save(&path).unwrap();
            let refused = Pretrained::load(&path).unwrap_err().to_string();
            assert!(refused.contains("both or none of projection.fine and projection.wide"), "{refused}");
        }
    }

    #[test]
    fn layers_that_earlier_versions_had_are_left_out() {
        let light = Pretrained::from_bytes(Path::new("light"), LIGHT).unwrap();
        let old = ("comparison.convs.0.bias".to_owned(), Array { shape: vec![16], values: vec![0.5; 16] });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        let mut with_it = light.clone();
        with_it.weights.extend([old]);
        with_it.save(&path).unwrap();
        let (text, tensors) = read_tensors(&path).unwrap();
        let mut header: serde_json::Value = serde_json::from_str(&text).unwrap();
        header["model"]["comparison"] = true.into();
        write_tensors(&path, &header, &tensors).unwrap();
        assert_eq!(Pretrained::load(&path).unwrap(), light);
        // In a model file.
        let mut tensors = Weights::new();
        with_it.put(&mut tensors, "network.");
        let taken = Pretrained::take(&mut tensors, "network.").unwrap();
        assert!(tensors.is_empty() && taken.weights == light.weights);
    }

    #[test]
    fn values_are_rounded_to_eight_bits_ties_to_even() {
        assert_eq!(to_bf16(1.0), 1.0);
        assert_eq!(to_bf16(1.0 + 1.0 / 256.0), 1.0);
        assert_eq!(to_bf16(1.0 + 3.0 / 256.0), 1.0 + 4.0 / 256.0);
        assert_eq!(to_bf16(-1.0 - 1.1 / 256.0), -1.0 - 2.0 / 256.0);
    }
}

//! The model file: one safetensors file that carries parts, configuration, calibration, scores of good images, history and
//! provenance. Program, library and bindings all load it through [`ModelFile::load`], so scores cannot differ.

use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::config::{Config, Use};
use crate::detector::Detector;
use crate::engine::{Array, Weights};
use crate::error::{Error, Result};
use crate::hash::{START, fnv1a};
use crate::history::EpochRecord;
use crate::parts::{FittedPart, put, used};
pub use crate::provenance::Provenance;
use crate::read::read_whole;
pub use crate::tensors::{read_tensors, write_tensors};
use crate::tensors::{read_tensors_of, require_parameters, to_bytes};
use crate::view::Template;
use crate::write::write_whole;

/// Version of the file's layout; files of others are refused.
pub const VERSION: u32 = 2;
/// Name of the mean image among the tensors.
const TEMPLATE: &str = "view.template";
/// Name of the mask of what is ignored among the tensors.
const IGNORED: &str = "view.ignore";
/// Name of the scores of good images among the tensors.
const GOOD_SCORES: &str = "calibration.good_scores";

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
    /// [`checksum`] of the tensors; files of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

/// Whether a value of a setting that is none any more is the one that is still understood.
type IsUnderstood = fn(&Value) -> bool;

/// Settings that files of this version may still hold, by group and key.
const RETIRED: [(&str, &str, IsUnderstood); 6] = [
    ("data", "tiles", |v| *v == 1.0),
    ("features", "compare", |v| *v == false),
    ("memory", "components", |v| *v == 32.0),
    ("model", "comparison", |v| *v == false),
    ("score", "percentile", |v| *v == 95.0),
    ("score", "sigmas", |v| *v == 3.0),
];

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
            checksum: Some(checksum(&tensors)),
        };
        Self { header, tensors }
    }

    /// The detector that the file describes.
    ///
    /// # Errors
    /// A sentence that says what does not fit.
    pub(crate) fn into_detector(self) -> Result<Detector, String> {
        let Self { header: Header { config, provenance, history, .. }, mut tensors } = self;
        let size = config.view_size();
        let template = tensors.remove(TEMPLATE).map(|array| array.values);
        let ignored = tensors.remove(IGNORED).map(|array| array.values);
        let fits = |mask: &Vec<f32>| mask.len() == size[0] * size[1] && mask.contains(&0.0);
        if (ignored.is_some() || template.is_some()) && config.one_size().is_none() {
            return Err("its views have sizes of their own, but it holds an image of one size".to_owned());
        }
        let mut normaliser = config.data.normaliser();
        if let Some(pixels) = template {
            if pixels.len() != size[0] * size[1] {
                return Err("its mean image has another size than the view".to_owned());
            }
            normaliser = normaliser.registered(Arc::new(Template::new(size[0], size[1], pixels)));
        }
        if let Some(mask) = ignored {
            if !fits(&mask) {
                return Err("its mask of what is ignored has another size than the view, or leaves nothing"
                    .to_owned());
            }
            normaliser = normaliser.ignoring(mask, size[1]);
        }
        let good_scores = tensors.remove(GOOD_SCORES).map(|array| array.values).unwrap_or_default();
        let load = |kind| FittedPart::load(kind, &mut tensors, &config);
        let parts = used(&config).map(load).collect::<Result<Vec<_>, String>>()?;
        if parts.is_empty() {
            return Err("no part of it is used: there is nothing to score with".to_owned());
        }
        let beside = parts.iter().any(|part| !part.kind.scored_apart);
        if let Some(part) =
            parts.iter().find(|part| beside && part.kind.scored_apart && part.common_scale.is_none())
        {
            let name = part.kind.name;
            return Err(format!(
                "{name}.common_scale is missing; a model of an earlier version has to be fitted anew"
            ));
        }
        if let Some(name) = tensors.keys().next() {
            return Err(format!("tensor {name} belongs to nothing that its configuration names"));
        }
        Ok(Detector::new(config, normaliser, parts, good_scores, provenance.clone())
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
        Self::from_bytes(path, &read_whole(path)?)
    }

    /// As [`load`](Self::load), of a file's bytes; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`load`](Self::load), without [`Error::Io`].
    pub fn from_bytes(name: &Path, bytes: &[u8]) -> Result<Self> {
        let (text, tensors) = read_tensors_of(name, bytes)?;
        let bad = |reason: String| Error::model(name, reason);
        let VersionOnly { version } = parse(name, &text)?;
        if version != VERSION {
            let what = if version > VERSION { "update blemish" } else { "fit the model anew" };
            return Err(bad(format!(
                "is of version {version}; this program reads version {VERSION}: {what}"
            )));
        }
        let mut header: Value = parse(name, &text)?;
        without_retired(&mut header).map_err(bad)?;
        let header: Header = serde_json::from_value(header).map_err(|e| not_understood(name, &e))?;
        header.config.validate().map_err(|e| bad(e.to_string()))?;
        if header.config.data.channels.is_none() {
            return Err(bad("does not say how many channels its images have".to_owned()));
        }
        if header.config.network.usage == Use::Always {
            require_parameters(&tensors, &header.config.model, header.config.grid()).map_err(bad)?;
        }
        if header.checksum.as_ref().is_some_and(|stated| *stated != checksum(&tensors)) {
            return Err(bad(
                "is damaged: its checksum does not match; copy it once more from where it was made, or fit the model anew"
                    .to_owned(),
            ));
        }
        Ok(Self { header, tensors })
    }
}

impl Detector {
    /// Loads a model file.
    ///
    /// # Errors
    /// [`Error::Model`] that says what is wrong with the file, or [`Error::Io`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let detector = ModelFile::load(path)?.into_detector().map_err(|reason| Error::model(path, reason))?;
        Ok(detector.at(path))
    }

    /// Loads the bytes of a model file.
    ///
    /// # Errors
    /// [`Error::Model`] that says what is wrong with them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let name = Path::new("the model");
        ModelFile::from_bytes(name, bytes)?.into_detector().map_err(|reason| Error::model(name, reason))
    }

    /// Writes the model file, whole or not at all, and reads it back.
    ///
    /// # Errors
    /// [`Error::Io`] with the path; [`Error::Model`] for what could not be loaded again, such as values that are not finite.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        ModelFile::of(self).save(path.as_ref())
    }
}

/// What tells damaged tensors from those that were written: FNV-1a of their names, shapes and values, in hexadecimal digits.
fn checksum(tensors: &Weights) -> String {
    let of = |(name, array): (&String, &Array)| {
        let hash = fnv1a(START, name.bytes());
        let hash = fnv1a(hash, array.shape.iter().map(|&n| n as u64));
        fnv1a(hash, array.values.iter().map(|v| v.to_bits()))
    };
    let each: Vec<u64> = tensors.par_iter().map(of).collect();
    format!("{:016x}", fnv1a(START, each))
}

fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| not_understood(path, &e))
}

fn not_understood(path: &Path, error: &serde_json::Error) -> Error {
    Error::model(path, format!("its metadata is not understood: {error}"))
}

/// Takes settings out of a file's header that are none any more: out of those that were settled, and out of those that were given.
fn without_retired(header: &mut Value) -> Result<(), String> {
    for (group, key, is_understood) in RETIRED {
        for settings in ["/config", "/provenance/settings"] {
            let table = header.pointer_mut(&format!("{settings}/{group}")).and_then(|v| v.as_object_mut());
            match table.and_then(|table| table.remove(key)) {
                Some(value) if !is_understood(&value) => {
                    return Err(format!(
                        "was fitted with {group}.{key} = {value}, which is no setting any more: fit the model anew"
                    ));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Use;

    #[test]
    fn retired_settings_are_taken_out_or_refused() {
        let settings = json!({"data": {"tiles": 1, "fit": "auto"}, "score": {"percentile": 95.0}, "features": {"compare": false}});
        let mut header = json!({"config": settings, "provenance": {"settings": settings}});
        without_retired(&mut header).unwrap();
        let left = json!({"data": {"fit": "auto"}, "score": {}, "features": {}});
        assert_eq!(header, json!({"config": left, "provenance": {"settings": left}}));
        for (group, key, value) in [("memory", "components", json!(16)), ("features", "compare", json!(true))]
        {
            let mut header = json!({"config": {group: {key: value.clone()}}});
            let refusal = without_retired(&mut header).unwrap_err();
            assert!(refusal.contains(&format!("{group}.{key} = {value}")), "{refusal}");
        }
    }

    /// Whatever of its settings a file of an earlier version names, it is read.
    #[test]
    fn a_file_with_retired_settings_is_read() {
        let image = crate::Image { height: 64, width: 64, channels: 1, pixels: vec![0.5; 64 * 64] };
        let mut config = Config::default();
        config.data.image_size = [64, 64];
        (config.features.usage, config.memory.usage) = (Use::Never, Use::Always);
        let varied = |i: usize| {
            let mut image = image.clone();
            image.pixels.iter_mut().enumerate().for_each(|(at, v)| *v += ((at * (i + 3)) % 17) as f32 * 0.01);
            image
        };
        let images: Vec<_> = (0..4).map(varied).collect();
        let file = ModelFile::of(&Detector::fit(&images.into(), &config).unwrap());
        let mut header = serde_json::to_value(&file.header).unwrap();
        let provenance = header["provenance"]["settings"].clone();
        assert!(provenance.get("features").is_some(), "settings are kept: {provenance}");
        let values = [("features", "compare", json!(false)), ("model", "comparison", json!(false))];
        for (group, key, value) in values {
            for settings in ["config", "provenance/settings"] {
                header.pointer_mut(&format!("/{settings}/{group}")).unwrap()[key] = value.clone();
            }
        }
        let name = Path::new("old");
        let old = to_bytes(name, &header, &file.tensors).unwrap();
        assert_eq!(ModelFile::from_bytes(name, &old).unwrap(), file);
    }

    #[test]
    fn scores_of_two_maps_without_their_share_are_refused() {
        let image = |seed: usize| {
            let value = |i: usize| 0.4 + 0.2 * ((i % 64 + i / 64 + seed % 3) as f32 * 0.2).sin();
            let noise = |i: usize| (((i * 31 + seed * 77) % 101) as f32 - 50.0) * 4e-4;
            let pixels = (0..64 * 64).map(|i| value(i) + noise(i)).collect();
            crate::Image { height: 64, width: 64, channels: 1, pixels }
        };
        let mut config = Config::default();
        config.data.image_size = [64, 64];
        (config.features.usage, config.memory.usage) = (Use::Always, Use::Always);
        let images: Vec<_> = (0..6).map(image).collect();
        let detector = Detector::fit(&images.into(), &config).unwrap();
        let mut file = ModelFile::of(&detector);
        assert!(file.clone().into_detector().is_ok());
        file.tensors.remove("features.common_scale").unwrap();
        let refusal = file.into_detector().unwrap_err();
        assert!(
            refusal.contains("features.common_scale is missing; a model of an earlier version"),
            "{refusal}"
        );
    }
}

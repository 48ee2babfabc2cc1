//! Where a model came from.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::dataset::Images;
use crate::found::DetectionEstimate;
use crate::view::TrainingFacts;

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
    /// How many scores the thresholds leave out as those of suspected outliers.
    #[serde(default)]
    pub left_out: usize,
    /// How many products the good images may show, where these look so few that frames of them cannot be told from kinds of a product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub few_products: Option<usize>,
    /// What the good images look like, and what followed from it, in words.
    pub profile: Vec<String>,
    /// The settings of the network's training, as TOML; empty where none was trained.
    pub training: String,
    /// Sizes, channels, depth and brightness of the good images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<TrainingFacts>,
    /// Whether every good image showed a product, where the detector looks for one: then an image that shows none is defective.
    #[serde(default)]
    pub always_found: bool,
    /// How many good images were fitted on.
    #[serde(default)]
    pub images: usize,
    /// Their files, as far as they are files: what `extend` reads once more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<GoodFile>,
    /// The settings of the fit before the images settled them: what `extend` fits with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Box<Config>>,
    /// What will be found, from generated defects on good images that were not fitted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<DetectionEstimate>,
    /// Where the pre-trained weights came from that the model holds; absent where it holds none, or is of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<PretrainedOrigin>,
}

impl Provenance {
    /// Which of `images` were fitted on: files are known by their content, wherever they lie.
    pub(crate) fn fitted_on(&self, images: &Images) -> Vec<bool> {
        if self.files.is_empty() {
            return vec![false; images.len()];
        }
        let known: HashSet<&str> = self.files.iter().map(|file| file.fingerprint.as_str()).collect();
        let is_known =
            |own: Option<u64>| own.is_some_and(|own| known.contains(format!("{own:016x}").as_str()));
        images.fingerprints().into_iter().map(is_known).collect()
    }
}

/// A good image that was fitted on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoodFile {
    /// Where it was.
    pub path: String,
    /// [`Images::fingerprint`](crate::Images::fingerprint), in hexadecimal digits.
    pub fingerprint: String,
}

/// A good image that is unlike the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuspectedOutlier {
    /// The file.
    pub path: String,
    /// Its score by parts that were fitted on others.
    pub score: f32,
    /// Whether it was left out of the fit (`fit.contamination`).
    pub left_out: bool,
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

impl PretrainedOrigin {
    /// In words, name and value; what is not known is left out.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let steps = match self.of_steps {
            Some(all) if all != self.steps => format!("{} of {all}", self.steps),
            _ => self.steps.to_string(),
        };
        let skipped = if self.skipped == 0 { String::new() } else { format!(", {} skipped", self.skipped) };
        let changed = self.changed.iter().map(|[after, to]| format!("; after step {after} set to {to}"));
        let commit = self.commit.clone().unwrap_or_else(|| "not recorded".to_owned());
        let facts = [
            ("made by", self.command.clone()),
            ("commit", commit),
            ("version", self.version.clone()),
            ("seed", self.seed.to_string()),
            ("steps", format!("{steps}{skipped}{}", changed.collect::<String>())),
            ("images", format!("{} generated ones", self.images)),
            ("families", self.families.clone()),
        ];
        facts.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }
}

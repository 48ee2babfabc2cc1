//! All that a pre-training needs in order to go on as if nothing had happened: weights, optimiser, moving average, and
//! where it is. Generators are not in it: draws are functions of seed and step.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::train::AdamW;
use blemish::engine::Weights;
use blemish::model_file::{read_tensors, write_tensors};
use blemish::{Error, Result};

const FILE: &str = "checkpoint.safetensors";
/// Counted up with every change of the generated images or of the objective: a run goes on with what it began with, or not at all.
pub const OBJECTIVE: u32 = 4;

/// The state after a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint<C> {
    /// Where in the run this is.
    pub progress: Progress<C>,
    /// Parameters.
    pub weights: Weights,
    /// The optimiser's first moments.
    pub first: Weights,
    /// The optimiser's second moments.
    pub second: Weights,
    /// Moving average of the parameters.
    pub ema: Weights,
}

/// Where in the run a checkpoint is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress<C> {
    /// [`OBJECTIVE`] of the program that began the run; 0 for one that did not say.
    #[serde(default)]
    pub objective: u32,
    /// The settings: with others the run cannot go on.
    pub config: C,
    /// Steps that are behind.
    pub step: usize,
    /// Steps in all, where that is settled.
    pub steps: Option<usize>,
    /// Where the number of steps was changed on the way: after which step, and to what.
    pub changed: Vec<[usize; 2]>,
    /// Steps that the optimiser took: all but those that were skipped.
    pub taken: usize,
    /// Generated scenes that were seen.
    pub scenes: usize,
    /// Wall-clock seconds.
    pub seconds: f64,
}

/// The checkpoint's file in a run's folder.
pub fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

impl<C: PartialEq + Serialize + DeserializeOwned> Checkpoint<C> {
    /// Writes it whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let mut tensors = Weights::new();
        for (prefix, weights) in self.groups() {
            tensors.extend(weights.iter().map(|(name, array)| (format!("{prefix}/{name}"), array.clone())));
        }
        write_tensors(&path(folder), &self.progress, &tensors)
    }

    fn groups(&self) -> [(&'static str, &Weights); 4] {
        [("weights", &self.weights), ("first", &self.first), ("second", &self.second), ("ema", &self.ema)]
    }

    /// Reads the checkpoint of the run in `folder`.
    ///
    /// # Errors
    /// There is none, it is damaged, or it belongs to other settings.
    pub fn load(folder: &Path, config: &C) -> Result<Self> {
        let path = path(folder);
        let (text, tensors) = read_tensors(&path)?;
        let progress: Progress<C> =
            serde_json::from_str(&text).map_err(|e| Error::model(&path, format!("not a checkpoint: {e}")))?;
        if progress.objective != OBJECTIVE {
            let reason = "was made by another version of the program, which trains on other images: begin anew, or start from its \
                          weights (--init)";
            return Err(Error::model(&path, reason));
        }
        if progress.config != *config {
            return Err(Error::model(&path, "was made with other settings: it cannot be resumed with these"));
        }
        let mut groups = [Weights::new(), Weights::new(), Weights::new(), Weights::new()];
        for (name, array) in tensors {
            let group = ["weights/", "first/", "second/", "ema/"].iter().position(|p| name.starts_with(p));
            let Some((group, (_, rest))) = group.zip(name.split_once('/')) else {
                return Err(Error::model(&path, format!("tensor {name} is not part of a checkpoint")));
            };
            groups[group].insert(rest.to_owned(), array);
        }
        let [weights, first, second, ema] = groups;
        for (name, array) in first.iter().chain(&second).chain(&ema) {
            if weights.get(name).is_none_or(|parameter| parameter.shape != array.shape) {
                let reason = format!("tensor {name} has another shape than its parameter");
                return Err(Error::model(&path, reason));
            }
        }
        if ema.len() != weights.len() {
            return Err(Error::model(&path, "lacks a moving average"));
        }
        Ok(Self { progress, weights, first, second, ema })
    }

    /// The optimiser at this point.
    pub fn optimizer(&mut self) -> AdamW {
        let [first, second] = [&mut self.first, &mut self.second].map(std::mem::take);
        AdamW { step: self.progress.taken, first, second }
    }
}

//! Checkpoints: all that training needs in order to go on as if nothing had happened.
//!
//! Generators are not in them: every draw is a function of the seed and its place in the run
//! ([`super::batch::generator`]).

use std::path::{Path, PathBuf};

use blemish::engine::Weights;
use blemish::history::{EpochRecord, Stage};
use blemish::model_file::{read_tensors, write_tensors};
use blemish::{Error, Result};
use serde::{Deserialize, Serialize};

use super::optimizer::AdamW;
use crate::config::RunConfig;

/// The state after an epoch.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// What says where in the run this is.
    pub progress: Progress,
    /// Parameters.
    pub weights: Weights,
    /// The optimiser.
    pub optimizer: AdamW,
    /// Parameters of the best validation so far, in this stage.
    pub best: Option<Weights>,
}

/// Where in the run a checkpoint is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// The run's configuration: another one cannot go on from here.
    pub config: RunConfig,
    /// The stage.
    pub stage: Stage,
    /// Epochs of it that are done.
    pub epoch: usize,
    /// Whether it stopped early.
    pub stopped: bool,
    /// The best loss or AUROC of the stage so far.
    pub best: Option<f64>,
    /// Its AUPRO, which decides between equal AUROCs.
    pub best_aupro: f64,
    /// The epoch it was reached in.
    pub best_epoch: usize,
    /// Optimiser steps of the stage, without those that were skipped.
    pub step: usize,
    /// Every epoch so far.
    pub history: Vec<EpochRecord>,
    /// Wall-clock seconds so far.
    pub seconds: f64,
}

impl Progress {
    /// Nothing is done yet.
    pub fn new(config: &RunConfig) -> Self {
        Self {
            config: config.clone(),
            stage: Stage::Pretrain,
            epoch: 0,
            stopped: false,
            best: None,
            best_aupro: 0.0,
            best_epoch: 0,
            step: 0,
            history: Vec::new(),
            seconds: 0.0,
        }
    }
}

/// The checkpoint's file in a run's folder.
pub fn path(folder: &Path) -> PathBuf {
    folder.join("checkpoint.safetensors")
}

impl Checkpoint {
    /// Writes the checkpoint of the run in `folder`, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] with the path; [`Error::Model`] for a value that is not finite.
    pub fn save(&self, folder: &Path) -> Result<PathBuf> {
        let mut tensors = Weights::new();
        let mut put = |prefix: &str, weights: &Weights| {
            tensors.extend(weights.iter().map(|(name, array)| (format!("{prefix}/{name}"), array.clone())));
        };
        put("weights", &self.weights);
        put("first", &self.optimizer.first);
        put("second", &self.optimizer.second);
        self.best.iter().for_each(|best| put("best", best));
        let path = path(folder);
        write_tensors(&path, &self.progress, &tensors)?;
        Ok(path)
    }

    /// Reads the checkpoint of the run in `folder`; `None` if there is none.
    ///
    /// # Errors
    /// The file is damaged, or belongs to another configuration.
    pub fn load(folder: &Path, config: &RunConfig) -> Result<Option<Self>> {
        let path = path(folder);
        if !path.exists() {
            return Ok(None);
        }
        let (text, tensors) = read_tensors(&path)?;
        let progress: Progress =
            serde_json::from_str(&text).map_err(|e| Error::model(&path, format!("not a checkpoint: {e}")))?;
        // It goes on in the precision that it began with, whichever suits this machine.
        let mut expected = config.clone();
        expected.train.precision = progress.config.train.precision;
        if progress.config != expected {
            return Err(Error::model(
                &path,
                "was made with other settings or images: it cannot be resumed with these",
            ));
        }
        let take = |prefix: &str| -> Weights {
            let start = format!("{prefix}/");
            let named = |(name, array): (&String, &_)| {
                Some((name.strip_prefix(&start)?.to_owned(), Clone::clone(array)))
            };
            tensors.iter().filter_map(named).collect()
        };
        let some = |weights: Weights| (!weights.is_empty()).then_some(weights);
        Ok(Some(Self {
            weights: take("weights"),
            optimizer: AdamW { step: progress.step, first: take("first"), second: take("second") },
            best: some(take("best")),
            progress,
        }))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use blemish::config::Preset;
    use blemish::engine::Array;

    use super::*;

    fn checkpoint(weight: f32, best: f64) -> Checkpoint {
        let weights: Weights = [("w".to_owned(), Array { shape: vec![1], values: vec![weight] })].into();
        let config = RunConfig::preset(Preset::Light);
        let progress = Progress { best: Some(best), step: 3, ..Progress::new(&config) };
        let optimizer = AdamW { step: 3, first: weights.clone(), second: weights.clone() };
        Checkpoint { progress, optimizer, best: Some(weights.clone()), weights }
    }

    #[test]
    fn a_checkpoint_comes_back_to_the_last_bit() {
        let folder = tempfile::tempdir().unwrap();
        // A float that many JSON parsers round.
        let saved = checkpoint(0.1, 0.441_301_769_304_566_27);
        saved.save(folder.path()).unwrap();
        let read = Checkpoint::load(folder.path(), &saved.progress.config).unwrap().unwrap();
        assert_eq!((&read.progress, &read.weights), (&saved.progress, &saved.weights));
        assert_eq!((read.optimizer.step, read.optimizer.first), (3, saved.optimizer.first));
        assert_eq!(read.best, saved.best);
    }

    #[test]
    fn nothing_that_is_not_finite_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let error = checkpoint(f32::NAN, 0.5).save(folder.path()).unwrap_err().to_string();
        assert!(error.contains("not finite"), "{error}");
        assert!(!path(folder.path()).exists());
    }
}

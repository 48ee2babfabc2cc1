//! The folder of a training run: model, checkpoint, configuration, data and metrics.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use blemish::config::{Preset, RunConfig};
use blemish::history::{EpochRecord, Stage};
use blemish_train::train::{Event, Protocol};
use blemish::{Error, write_whole};
use serde::{Deserialize, Serialize};

use crate::args::{Broken, Split};
use crate::failure::{Failure, Result};
use crate::folder::Folder;
use crate::output::json;

const MODEL: &str = "model.safetensors";
const CHECKPOINT: &str = "checkpoint.safetensors";
const CONFIG: &str = "run.toml";
const SOURCE: &str = "data.json";
const METRICS: &str = "metrics.jsonl";

/// What happens to a run that is in the folder already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// There must be none.
    New,
    /// It is replaced.
    Overwrite,
    /// It goes on.
    Resume,
}

/// The images of a run: with the configuration, all that `--resume` needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The data set's folder, as it was named.
    pub data: String,
    /// The product.
    pub category: String,
    /// Which images validate.
    pub split: Split,
    /// The user's own validation images.
    pub val: Option<PathBuf>,
    /// What happens at an image that cannot be used.
    pub on_error: Broken,
}

impl Source {
    /// How validation images are found.
    pub fn protocol(&self) -> Protocol {
        match (&self.val, self.split) {
            (Some(folder), _) => Protocol::Labelled(folder.clone()),
            (None, Split::Diyt) => Protocol::Diyt,
            (None, Split::Holdout) => Protocol::Holdout,
        }
    }
}

/// The folder of a run.
pub struct RunFolder {
    folder: Folder,
    start: Start,
}

/// The model file that `path` means: itself, or the one in a run's folder.
pub fn model_file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(MODEL) } else { path.to_path_buf() }
}

impl RunFolder {
    /// Opens the folder; refuses it before any work is done if it cannot be used for `start`.
    pub fn open(path: &Path, start: Start) -> Result<Self> {
        Self::check(path, start)?;
        let folder = Folder::open(path)?;
        // A run that was killed while it wrote a file leaves the part that it had written.
        for name in [MODEL, CHECKPOINT, CONFIG, SOURCE, METRICS] {
            remove_temporary(path, name)?;
        }
        Ok(Self { folder, start })
    }

    /// Whether the folder can be used for `start`, as far as a look tells.
    pub fn check(path: &Path, start: Start) -> Result<()> {
        let shown = path.display();
        let refusal = match start {
            Start::New if path.join(MODEL).exists() || path.join(CHECKPOINT).exists() => format!(
                "{shown} already holds a run: continue it with --resume, replace it with --overwrite, or name another folder"
            ),
            Start::Resume if !is_started(path) => {
                format!("{shown} holds no run to resume: there is no {CONFIG}")
            }
            _ => return Ok(()),
        };
        Err(Failure::Usage(refusal))
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Whether its run goes on.
    pub fn is_resumed(&self) -> bool {
        self.start == Start::Resume
    }

    /// The path of the model file.
    pub fn model(&self) -> PathBuf {
        self.folder.join(MODEL)
    }

    /// Configuration and images of the run that goes on.
    pub fn load(&self) -> Result<(RunConfig, Source)> {
        // The file is complete: nothing of the preset that it is laid over remains.
        let config = RunConfig::preset(Preset::Light).load(&self.folder.join(CONFIG))?;
        let path = self.folder.join(SOURCE);
        let text = fs::read_to_string(&path).map_err(|e| Error::io(&path, e))?;
        let source =
            serde_json::from_str(&text).map_err(|e| Error::data(&path, format!("cannot be resumed: {e}")))?;
        Ok((config, source))
    }

    /// Makes way for a new run, and writes down what is needed to resume it.
    pub fn begin(&self, config: &RunConfig, source: &Source) -> Result<()> {
        for name in [MODEL, CHECKPOINT, METRICS] {
            let path = self.folder.join(name);
            if path.exists() {
                fs::remove_file(&path).map_err(|e| Error::io(&path, e))?;
            }
        }
        write_whole(&self.folder.join(SOURCE), json(source)?.as_bytes())?;
        if let Err(error) = write_whole(&self.folder.join(CONFIG), config.to_toml()?.as_bytes()) {
            // One is of no use without the other.
            let _ = fs::remove_file(self.folder.join(SOURCE));
            return Err(error.into());
        }
        Ok(())
    }

    /// Keeps `metrics.jsonl`: a line per epoch, without those that were lost with an interrupted epoch.
    pub fn log(&self, event: &Event) -> Result<()> {
        let path = self.folder.join(METRICS);
        let failed = |e| Error::io(&path, e);
        match event {
            Event::StageStarted { stage, done, .. } if path.exists() => {
                let text = fs::read_to_string(&path).map_err(failed)?;
                let is_kept = |line: &&str| {
                    serde_json::from_str::<EpochRecord>(line).is_ok_and(|record| {
                        let earlier = record.stage == Stage::Pretrain && *stage == Stage::Finetune;
                        earlier || (record.stage == *stage && record.epoch <= *done)
                    })
                };
                let kept: String = text.lines().filter(is_kept).map(|line| format!("{line}\n")).collect();
                write_whole(&path, kept.as_bytes())?;
            }
            Event::Epoch(record) => {
                let line = serde_json::to_string(record).map_err(|e| failed(e.into()))? + "\n";
                let mut file = OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
                file.write_all(line.as_bytes()).map_err(failed)?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether `path` holds a run that can go on.
pub fn is_started(path: &Path) -> bool {
    path.join(CONFIG).is_file()
}

/// Removes what [`write_whole`] leaves beside `name` when the process is killed.
fn remove_temporary(folder: &Path, name: &str) -> Result<()> {
    let failed = |e| Error::io(folder, e);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let file = entry.file_name();
        let number =
            file.to_str().and_then(|file| file.strip_prefix(name)?.strip_prefix('.')?.strip_suffix(".tmp"));
        if number.is_some_and(|number| number.parse::<u32>().is_ok()) {
            fs::remove_file(entry.path()).map_err(|e| Error::io(entry.path(), e))?;
        }
    }
    Ok(())
}

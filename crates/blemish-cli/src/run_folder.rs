//! The folder of a training run: model, checkpoint, configuration, data and metrics.
//!
//! A run that replaces another one works in a folder of its own inside, and takes the other's place file by file when all is
//! done: until then the model that was there stays in use.

use std::fs;
use std::path::{Path, PathBuf};

use blemish::config::Overlay;
use blemish::history::{EpochRecord, Stage};
use blemish::{Detector, Error, read_text, write_whole};
use blemish_train::{Event, RunConfig, RunLock};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::args::{ErrorPolicy, MaskArgs, Split};
use crate::failure::{Failure, Result};
use crate::metrics_file::{METRICS, append, retain};
use crate::model::MODEL;
use crate::out_folder::Folder;
use crate::output::{json, quoted};
use crate::settings::laid_over;

const CHECKPOINT: &str = "checkpoint.safetensors";
const CONFIG: &str = "run.toml";
const SOURCE: &str = "data.json";
/// In the order in which they replace those of an earlier run: the model is complete by itself.
const FILES: [&str; 5] = [MODEL, CHECKPOINT, METRICS, CONFIG, SOURCE];
/// Where a run works that replaces another.
pub const NEXT: &str = ".next";

/// What happens to a run that is in the folder already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// There must be none.
    New,
    /// It is replaced, once the new one is done.
    Overwrite,
    /// It goes on.
    Resume,
}

/// The images of a run: with the configuration, all that `--resume` needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The data, as it was named.
    pub data: Vec<String>,
    /// The product.
    pub category: String,
    /// Which images validate.
    pub split: Split,
    /// What happens at an image that cannot be used.
    pub on_error: ErrorPolicy,
    /// What of the images is inspected.
    #[serde(default)]
    pub masks: MaskArgs,
}

/// The folder of a run, in use by nobody else.
#[derive(Debug)]
pub struct RunFolder {
    // Released before the folders, which are removed where they are empty.
    lock: RunLock,
    _outer_lock: Option<RunLock>,
    work: Folder,
    outer: Option<Folder>,
    start: Start,
}

impl RunFolder {
    /// Opens the folder; refuses it before any work is done if it cannot be used for `start`.
    ///
    /// # Errors
    /// It holds a run, or none, against what `start` says; another run is at work in it; it cannot be written to.
    pub fn open(path: &Path, start: Start) -> Result<Self> {
        Self::check(path, start)?;
        let folder = Folder::open(path)?;
        let lock = acquire(path)?;
        remove_temporary(path)?;
        let next = path.join(NEXT);
        let replaces = match start {
            Start::New => false,
            Start::Overwrite => holds_run(path),
            Start::Resume => is_started(&next),
        };
        if start != Start::Resume {
            remove_next(path, &FILES)?;
        }
        if !replaces {
            return Ok(Self { lock, _outer_lock: None, work: folder, outer: None, start });
        }
        let work = Folder::open(&next)?;
        let inner = acquire(&next)?;
        remove_temporary(&next)?;
        Ok(Self { lock: inner, _outer_lock: Some(lock), work, outer: Some(folder), start })
    }

    /// Whether the folder can be used for `start`; it is neither made nor locked.
    ///
    /// # Errors
    /// [`Failure::Usage`].
    pub fn check(path: &Path, start: Start) -> Result<()> {
        let refusal = match start {
            Start::New if holds_run(path) || is_started(&path.join(NEXT)) => already_holds_a_run(path),
            Start::Resume if !is_started(path) && !is_started(&path.join(NEXT)) => {
                format!("{} holds no run to resume: there is no {CONFIG}", path.display())
            }
            Start::Resume => return Ok(()),
            _ => return require_own_next(path, &FILES),
        };
        Err(Failure::Usage(refusal))
    }

    /// The folder that the run works in.
    pub fn path(&self) -> &Path {
        self.work.path()
    }

    /// The lock on it.
    pub fn lock(&self) -> &RunLock {
        &self.lock
    }

    /// Whether its run goes on.
    pub fn is_resumed(&self) -> bool {
        self.start == Start::Resume
    }

    /// The path of the model file while the run is at work.
    pub fn model(&self) -> PathBuf {
        self.work.join(MODEL)
    }

    /// Configuration and images of the run that goes on.
    ///
    /// # Errors
    /// One of the files cannot be read or understood.
    pub fn load(&self) -> Result<(RunConfig, Source)> {
        let overlay = Overlay::default().file(&self.work.join(CONFIG))?;
        let path = self.work.join(SOURCE);
        let text = fs::read_to_string(&path).map_err(|e| Error::io(&path, e))?;
        let source: Source =
            serde_json::from_str(&text).map_err(|e| Error::data(&path, format!("cannot be resumed: {e}")))?;
        let config = laid_over(&overlay, None, &source.category)?;
        Ok((config, source))
    }

    /// Writes down what is needed to resume the run.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn begin(&self, config: &RunConfig, source: &Source) -> Result<()> {
        if self.is_resumed() {
            return Ok(());
        }
        write_whole(&self.work.join(SOURCE), json(source)?.as_bytes())?;
        if let Err(error) = write_whole(&self.work.join(CONFIG), config.to_toml()?.as_bytes()) {
            // One is of no use without the other.
            let _ = fs::remove_file(self.work.join(SOURCE));
            return Err(error.into());
        }
        Ok(())
    }

    /// Keeps `metrics.jsonl`: a line per epoch, without those that were lost with an interrupted epoch.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn log(&self, event: &Event) -> Result<()> {
        let path = self.work.join(METRICS);
        match event {
            Event::StageStarted { stage, done, .. } if path.exists() => {
                retain(&path, |record: &EpochRecord| {
                    let earlier = record.stage == Stage::Pretrain && *stage == Stage::Finetune;
                    earlier || (record.stage == *stage && record.epoch <= *done)
                })
            }
            Event::Epoch(record) => append(&path, record),
            _ => Ok(()),
        }
    }

    /// The run is done: where it replaces another one it takes its place. The model file's path.
    ///
    /// # Errors
    /// A file cannot be moved.
    pub fn finish(&self) -> Result<PathBuf> {
        let Some(outer) = &self.outer else { return Ok(self.model()) };
        take_place(&self.work, outer, &FILES)?;
        Ok(outer.join(MODEL))
    }

    /// The run failed: where there is nothing to go on from, what it has written is removed.
    pub fn give_up(&self) {
        let nothing = self.outer.is_some() || !self.work.join(CHECKPOINT).exists();
        if nothing && !self.is_resumed() {
            // What cannot be removed goes when the next run begins.
            FILES.iter().for_each(|name| _ = fs::remove_file(self.work.join(name)));
        }
    }
}

/// Moves `files` from `work` to `outer`, in this order; of those that `work` lacks, `outer` keeps none.
///
/// # Errors
/// A file cannot be moved.
pub fn take_place(work: &Folder, outer: &Folder, files: &[&str]) -> Result<()> {
    for name in files {
        let (from, to) = (work.join(name), outer.join(name));
        if from.exists() {
            fs::rename(&from, &to).map_err(|e| Error::io(&to, e))?;
        } else if to.exists() {
            fs::remove_file(&to).map_err(|e| Error::io(&to, e))?;
        }
    }
    Ok(())
}

/// Refuses a folder `.next` in a run's folder that holds something else than `files` of a run.
///
/// # Errors
/// [`Failure::Usage`].
pub fn require_own_next(path: &Path, files: &[&str]) -> Result<()> {
    let next = path.join(NEXT);
    let Ok(entries) = fs::read_dir(&next) else { return Ok(()) };
    let is_own = |name: &str| name == RunLock::NAME || files.contains(&name) || is_temporary(name, files);
    match entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .find(|name| !is_own(name))
    {
        Some(name) => Err(Failure::Usage(format!(
            "{} holds files that blemish did not write ({name}), and a new run works there: move it away",
            quoted(&next)
        ))),
        None => Ok(()),
    }
}

/// Removes what a run left that was to replace another one, and was killed.
///
/// # Errors
/// As [`require_own_next`]; it cannot be removed.
pub fn remove_next(path: &Path, files: &[&str]) -> Result<()> {
    let next = path.join(NEXT);
    require_own_next(path, files)?;
    if next.exists() {
        fs::remove_dir_all(&next).map_err(|e| Error::io(&next, e))?;
    }
    Ok(())
}

/// Why no new run begins in the folder.
pub fn already_holds_a_run(path: &Path) -> String {
    format!(
        "{} already holds a run: continue it with --resume, replace it with --overwrite, or name another folder",
        path.display()
    )
}

/// Locks the folder.
///
/// # Errors
/// [`Failure::Busy`] where another process works in it.
pub fn acquire(path: &Path) -> Result<RunLock> {
    RunLock::acquire(path).map_err(busy)
}

/// What a lock that is not to be had means for a command.
pub fn busy(error: Error) -> Failure {
    match error {
        error @ Error::Data { .. } => Failure::Busy(error.to_string()),
        error => error.into(),
    }
}

/// Whether `path` is the folder of a run, whatever became of it: it says which images were named, or holds a model.
pub fn is_run(path: &Path) -> bool {
    let is_source = |folder: &Path| {
        let text = read_text(&folder.join(SOURCE)).unwrap_or_default();
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        value["data"].is_array() && value["category"].is_string()
    };
    is_source(path) || is_source(&path.join(NEXT)) || Detector::load(path.join(MODEL)).is_ok()
}

fn holds_run(path: &Path) -> bool {
    path.join(MODEL).exists() || path.join(CHECKPOINT).exists()
}

/// Whether `path` holds a run that can go on.
pub fn is_started(path: &Path) -> bool {
    path.join(CONFIG).is_file()
}

/// Removes what [`write_whole`] leaves beside a run's files when the process is killed.
fn remove_temporary(folder: &Path) -> Result<()> {
    let failed = |e| Error::io(folder, e);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| is_temporary(name, &FILES)) {
            fs::remove_file(entry.path()).map_err(|e| Error::io(entry.path(), e))?;
        }
    }
    Ok(())
}

/// Whether it is a name that [`write_whole`] gives a file before it becomes one of `files`.
fn is_temporary(name: &str, files: &[&str]) -> bool {
    name.ends_with(".tmp") && files.iter().any(|file| name.starts_with(&format!(".{file}.")))
}

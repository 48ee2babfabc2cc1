//! Folders for results.

use std::fs;
use std::path::{Path, PathBuf};

use blemish::dataset::OUTPUT_MARKER;
use blemish::{Error, write_whole};
use blemish_train::RunLock;

use crate::failure::{Failure, Result};
use crate::output::quoted;
use crate::run_folder::is_run;

const MARKER_TEXT: &str =
    "Made by blemish: the images in this folder are outputs, and are not judged or fitted on.\n";

/// A folder that can be written to. If it was made here and nothing was put into it, it is removed in the end: a
/// command that fails leaves nothing behind.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    created: bool,
}

impl Folder {
    /// Makes the folder if needed, and tries whether it can be written to, before any work is done for it.
    ///
    /// # Errors
    /// It cannot be made or written to.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |source| Error::io(path, source);
        let created = !path.exists();
        fs::create_dir_all(path).map_err(failed)?;
        let folder = Self { path: path.to_path_buf(), created };
        tempfile::tempfile_in(path).map_err(failed)?;
        Ok(folder)
    }

    /// As [`open`](Self::open), unless the folder holds what blemish did not write: see [`refuse_foreign`].
    ///
    /// # Errors
    /// Those of both.
    pub fn open_own(path: &Path, is_ours: bool) -> Result<Self> {
        refuse_foreign(path, is_ours)?;
        Self::open(path)
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.created {
            // Fails, as it should, when there is something in it.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// Refuses a folder that is neither new nor empty nor one that blemish made: no output may replace a file of somebody else, or be
/// mixed with such. Folders of outputs are marked; `is_ours` says that this one is known otherwise.
///
/// # Errors
/// [`Failure::Usage`].
pub fn refuse_foreign(path: &Path, is_ours: bool) -> Result<()> {
    let shown = quoted(path);
    if path.exists() && !path.is_dir() {
        return Err(Failure::Usage(format!("{shown} is a file, not a folder: name a folder")));
    }
    if is_ours || path.join(OUTPUT_MARKER).is_file() {
        return Ok(());
    }
    // Where it cannot be read, opening it says why.
    let Some(name) = first_of_users(path) else { return Ok(()) };
    let why = if is_run(path) {
        "is the folder of a run".to_owned()
    } else {
        format!("holds files that blemish did not write ({name})")
    };
    Err(Failure::Usage(format!("{shown} {why}: name a new or empty folder")))
}

/// The first file in a folder that somebody may have put there. Hidden files come from the system, or from a run that was killed.
fn first_of_users(folder: &Path) -> Option<String> {
    let names =
        fs::read_dir(folder).ok()?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.starts_with('.') && name != RunLock::NAME).min()
}

/// Refuses a folder for images that holds inputs, or lies among them: no output may replace an input, or be taken for one.
///
/// # Errors
/// [`Failure::Usage`], unless the folder is marked as one of outputs.
pub fn refuse_among_inputs(path: &Path, inputs: &[PathBuf]) -> Result<()> {
    if path.join(OUTPUT_MARKER).is_file() {
        return Ok(());
    }
    let out = resolved(path);
    let Some(input) = inputs.iter().find(|input| out.starts_with(input) || input.starts_with(&out)) else {
        return Ok(());
    };
    let relation = match (out == **input, out.starts_with(input)) {
        (true, _) => "is the folder of the images",
        (_, true) => "lies in the folder of the images",
        _ => "holds the folder of the images",
    };
    let (shown, input) = (quoted(path), input.display());
    Err(Failure::Usage(format!(
        "{shown} {relation} ({input}): outputs need a folder of their own; name another"
    )))
}

/// Marks a folder as one of outputs.
///
/// # Errors
/// It cannot be written to.
pub fn mark(folder: &Path) -> Result<()> {
    let path = folder.join(OUTPUT_MARKER);
    if path.exists() { Ok(()) } else { Ok(write_whole(&path, MARKER_TEXT.as_bytes())?) }
}

/// `path` without links and dots, as far as it exists.
pub fn resolved(path: &Path) -> PathBuf {
    if let Ok(known) = path.canonicalize() {
        return known;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if parent != path => {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            resolved(parent).join(name)
        }
        _ => path.to_path_buf(),
    }
}

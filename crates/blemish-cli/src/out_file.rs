//! Files for results. One that is there is replaced only if blemish wrote it, as the same option does again.

use std::fs::{self, File};
use std::io::{Error as IoError, ErrorKind, Read};
use std::path::{Path, PathBuf};

use blemish::{Detector, Error, is_descriptor};
use blemish_train::RunLock;

use crate::failure::{Failure, Result};
use crate::model::MODEL;
use crate::out_folder::resolved;
use crate::output::quoted;
use crate::run_folder::busy;

/// What an option writes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A table with this first line.
    Table(&'static str),
    /// A page that begins like this.
    Page(&'static str),
    /// A model file.
    Model,
}

impl Kind {
    fn is_kind_of(self, path: &Path) -> bool {
        let begins = |with: &str| {
            let mut first = vec![0; with.len()];
            let read = File::open(path).and_then(|mut file| file.read_exact(&mut first));
            read.is_ok() && first == with.as_bytes()
        };
        match self {
            Self::Table(header) => begins(header),
            Self::Page(head) => begins(head),
            Self::Model => Detector::load(path).is_ok(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Table(_) => "a table",
            Self::Page(_) => "a page",
            Self::Model => "a model",
        }
    }
}

/// Whether `path` can be written to as one of `kind`: nothing is there, or such a file, or an empty one, or a pipe or device.
///
/// # Errors
/// [`Failure::Usage`] where something else is there; no folder to put it into.
pub fn check(path: &Path, kind: Kind) -> Result<()> {
    if path == Path::new("-") {
        return Err(Failure::Usage(
            "'-' is no name of a file: name one, or /dev/stdout for standard output".to_owned(),
        ));
    }
    if is_descriptor(path) {
        return Ok(());
    }
    let (shown, what) = (quoted(path), kind.name());
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            Err(Failure::Usage(format!("{shown} is a folder: name a file in it for {what}")))
        }
        Ok(found) if found.is_file() && found.len() > 0 && !kind.is_kind_of(path) => Err(Failure::Usage(
            format!("{shown} exists and is not {what} that blemish wrote: name another file, or remove it"),
        )),
        Ok(_) => Ok(()),
        Err(_) if resolved(path).parent().is_some_and(Path::is_dir) => Ok(()),
        Err(_) => {
            let missing = IoError::new(ErrorKind::NotFound, "there is no such folder to write it into");
            Err(Error::io(path, missing).into())
        }
    }
}

/// The model file that a command writes: `out`, which must be free for one, else `model`, which it replaces.
///
/// # Errors
/// As [`check`].
pub fn target(model: &Path, out: Option<&Path>) -> Result<PathBuf> {
    match out {
        Some(out) => check(out, Kind::Model).map(|()| out.to_path_buf()),
        None => Ok(model.to_path_buf()),
    }
}

/// Holds the model file at `path` from before it is read until it is written: of two commands that replace one model, neither
/// loses what the other did. In a run's folder it is the lock of `blemish train`.
///
/// # Errors
/// [`Failure::Busy`] while another process holds it; a folder that cannot be written to.
pub fn hold_model(path: &Path) -> Result<Option<RunLock>> {
    // The file behind a link: that is what is replaced.
    let file = resolved(path);
    if is_descriptor(path) || file.exists() && !file.is_file() {
        return Ok(None);
    }
    let lock = match file.parent().filter(|_| file.ends_with(MODEL)) {
        Some(folder) => RunLock::acquire(folder),
        None => RunLock::of_file(&file),
    };
    lock.map(Some).map_err(busy)
}

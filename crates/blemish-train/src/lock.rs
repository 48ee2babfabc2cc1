//! A run's folder, and a model file that is written anew, belong to one process at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use blemish::{Error, Result};

/// Holds a run's folder: as long as it lives, every other attempt to hold that folder fails.
///
/// The file `run.lock` in the folder names the process. It is locked by the operating system, which releases it however
/// the process ends, so that what a killed process leaves behind locks nobody out.
#[derive(Debug)]
pub struct RunLock {
    folder: PathBuf,
    path: PathBuf,
    // Held open: closing it releases the lock.
    _file: File,
}

impl RunLock {
    /// Name of the lock file in a run's folder.
    pub const NAME: &str = "run.lock";

    /// Locks `folder`, which is made if needed.
    ///
    /// # Errors
    /// [`Error::Data`] that names the folder and the process that holds it; [`Error::Io`].
    pub fn acquire(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        Self::at(folder, Self::NAME, (folder, "at work in this folder: wait for it, or name another folder"))
    }

    /// Locks one file that is to be written, by `.NAME.lock` beside it.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire), with the file; its folder must be there.
    pub fn of_file(file: impl AsRef<Path>) -> Result<Self> {
        let file = file.as_ref();
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = format!(".{}.lock", file.file_name().unwrap_or_default().to_string_lossy());
        Self::at(folder, &name, (file, "writing this file: wait for it, or name another file"))
    }

    /// Locks the file `name` in `folder`; if it is held, says of what the process is doing what.
    fn at(folder: &Path, name: &str, told: (&Path, &str)) -> Result<Self> {
        let path = folder.join(name);
        let failed = |e| Error::io(&path, e);
        loop {
            let open = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
            let mut file = open.map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(held(told, file)),
                Err(TryLockError::Error(e)) => return Err(failed(e)),
            }
            // Its former holder may have removed the file between our opening and locking it.
            if is_at(&file, &path) {
                file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
                return Ok(Self { folder: folder.to_path_buf(), path, _file: file });
            }
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // Some systems do not remove open files: the lock goes with the file's closing all the same.
        let _ = fs::remove_file(&self.path);
    }
}

fn held((place, doing): (&Path, &str), mut file: File) -> Error {
    let mut text = String::new();
    // Some systems do not let others read a locked file.
    let process = match file.read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => format!("process {}", text.trim()),
        _ => "another process".to_owned(),
    };
    Error::data(place, format!("{process} is {doing}"))
}

/// Whether the open file is the one at `path`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let [Ok(open), Ok(named)] = [file.metadata(), fs::metadata(path)] else { return false };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}

/// Whether the open file is the one at `path`: elsewhere, open files cannot be removed.
#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> bool {
    true
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_by_one_and_what_a_dead_process_left_holds_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("run");
        let lock = RunLock::acquire(&at).unwrap();
        let refusal = RunLock::acquire(&at).unwrap_err().to_string();
        assert!(refusal.contains(&*at.to_string_lossy()), "{refusal}");
        assert!(refusal.contains(&format!("process {}", std::process::id())), "{refusal}");
        drop(lock);
        assert!(!at.join(RunLock::NAME).exists());
        // A file without a lock is one whose process is gone.
        fs::write(at.join(RunLock::NAME), "4194304\n").unwrap();
        let lock = RunLock::acquire(&at).unwrap();
        assert_eq!(
            fs::read_to_string(at.join(RunLock::NAME)).unwrap().trim(),
            std::process::id().to_string()
        );
        drop(lock);
    }
}

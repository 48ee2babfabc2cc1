//! A run's folder belongs to one process at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use blemish::{Error, Result};

/// Name of the lock file in a run's folder.
const NAME: &str = "run.lock";

/// Holds a run's folder: as long as it lives, every other attempt to hold that folder fails.
///
/// The file `run.lock` in the folder names the process. It is locked by the operating system, which releases it however
/// the process ends, so that what a killed process leaves behind locks nobody out.
#[derive(Debug)]
pub struct RunLock {
    folder: PathBuf,
    // Held open: closing it releases the lock.
    _file: File,
}

impl RunLock {
    /// Locks `folder`, which is made if needed.
    ///
    /// # Errors
    /// [`Error::Data`] that names the folder and the process that holds it; [`Error::Io`].
    pub fn acquire(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref().to_path_buf();
        let path = folder.join(NAME);
        let failed = |e| Error::io(&path, e);
        fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
        loop {
            let open = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
            let mut file = open.map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(held(&folder, file)),
                Err(TryLockError::Error(e)) => return Err(failed(e)),
            }
            // Its former holder may have removed the file between our opening and locking it.
            if is_at(&file, &path) {
                file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
                return Ok(Self { folder, _file: file });
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
        let _ = fs::remove_file(self.folder.join(NAME));
    }
}

fn held(folder: &Path, mut file: File) -> Error {
    let mut text = String::new();
    // Some systems do not let others read a locked file.
    let process = match file.read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => format!("process {}", text.trim()),
        _ => "another process".to_owned(),
    };
    Error::data(folder, format!("{process} is at work in this folder: wait for it, or name another folder"))
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
        assert!(!at.join(NAME).exists());
        // A file without a lock is one whose process is gone.
        fs::write(at.join(NAME), "4194304\n").unwrap();
        let lock = RunLock::acquire(&at).unwrap();
        assert_eq!(fs::read_to_string(at.join(NAME)).unwrap().trim(), std::process::id().to_string());
        drop(lock);
    }
}

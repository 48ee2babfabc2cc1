//! A folder for results.

use std::fs;
use std::path::{Path, PathBuf};

use blemish::Error;

use crate::failure::Result;

/// A folder that can be written to. If it was made here and nothing was put into it, it is removed in the end: a
/// command that fails leaves nothing behind.
pub struct Folder {
    path: PathBuf,
    created: bool,
}

impl Folder {
    /// Makes the folder if needed, and tries whether it can be written to, before any work is done for it.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |source| Error::io(path, source);
        let created = !path.exists();
        fs::create_dir_all(path).map_err(failed)?;
        let folder = Self { path: path.to_path_buf(), created };
        tempfile::tempfile_in(path).map_err(failed)?;
        Ok(folder)
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

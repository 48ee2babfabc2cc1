//! Files are written whole or not at all.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};

/// Writes `bytes` to a temporary name beside `path`, then renames it: a reader never sees half a file.
///
/// # Errors
/// [`Error::Io`] with the path; the temporary file is removed.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path)).map_err(|source| {
        // What cannot be removed was most likely never made; the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
        Error::io(path, source)
    })
}

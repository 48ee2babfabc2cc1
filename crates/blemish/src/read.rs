//! Reading whole files. A pipe, a socket or a device is refused: reading it might never end.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::error::{Error, Result};

/// A file's bytes.
///
/// # Errors
/// [`Error::Io`], also for what is no regular file.
pub fn read_whole(path: &Path) -> Result<Vec<u8>> {
    require_file(path)?;
    fs::read(path).map_err(|e| Error::io(path, e))
}

/// A file's text.
///
/// # Errors
/// As [`read_whole`]; [`Error::Io`] for bytes that are not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    require_file(path)?;
    fs::read_to_string(path).map_err(|e| Error::io(path, e))
}

/// Refuses what is no regular file; an open file of the process ([`is_descriptor`]) passes.
///
/// # Errors
/// [`Error::Io`].
pub fn require_file(path: &Path) -> Result<()> {
    match not_a_file(path)? {
        Some(reason) if !is_descriptor(path) => {
            Err(Error::io(path, io::Error::new(ErrorKind::InvalidInput, reason)))
        }
        _ => Ok(()),
    }
}

/// Why what is at `path` is no regular file, if it is none.
pub(crate) fn not_a_file(path: &Path) -> Result<Option<&'static str>> {
    let metadata = fs::metadata(path).map_err(|e| Error::io(path, e))?;
    Ok(match (metadata.is_file(), metadata.is_dir()) {
        (true, _) => None,
        (_, true) => Some("is a folder, not a regular file"),
        _ => Some("is a pipe, socket or device, not a regular file"),
    })
}

/// Whether `path` names an open file of the process, such as `/dev/stdout`, or what a shell makes of `<(command)`.
pub fn is_descriptor(path: &Path) -> bool {
    ["/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/fd", "/proc/self/fd"]
        .iter()
        .any(|open| path.starts_with(open))
}

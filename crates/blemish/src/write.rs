//! Files are written whole or not at all: whatever happens in between, what was there before is there after.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// Bytes written at once.
const BLOCK: usize = 64 << 10;

/// Writes `bytes` to a temporary name beside `path`, flushes it to the disk, and renames it: a reader sees the old file or
/// the new one, also after a loss of power.
///
/// # Errors
/// [`Error::Io`] with the path; the temporary file is removed, and what was at `path` stays.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    write_in_steps(path, bytes, BLOCK, &mut |_| Ok(())).map_err(|source| Error::io(path, source))
}

/// What is about to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Create,
    Write,
    SyncFile,
    Rename,
    SyncFolder,
}

/// As [`write_whole`]; `before` is asked before every step and can make it fail.
pub(crate) fn write_in_steps(
    path: &Path,
    bytes: &[u8],
    block: usize,
    before: &mut dyn FnMut(Step) -> io::Result<()>,
) -> io::Result<()> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "is no name of a file"))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    before(Step::Create)?;
    let mut builder = tempfile::Builder::new();
    let prefix = format!(".{}.", name.to_string_lossy());
    builder.prefix(&prefix).suffix(".tmp");
    #[cfg(unix)]
    {
        // What the process's mask leaves of it, as of any other new file.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    // It is removed when it is dropped.
    let mut file = builder.tempfile_in(folder)?;
    for part in bytes.chunks(block) {
        before(Step::Write)?;
        file.write_all(part)?;
    }
    before(Step::SyncFile)?;
    file.as_file().sync_all()?;
    before(Step::Rename)?;
    file.persist(path).map_err(|error| error.error)?;
    before(Step::SyncFolder)?;
    sync_folder(folder)
}

/// Makes a rename last: where a folder can be flushed, it is.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;

    use super::*;

    /// More than a thousand places at which it may fail: the old file, whole, or the new one, whole, and nothing beside it.
    #[test]
    fn a_failure_at_any_point_leaves_the_old_file_or_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let (old, new) = (vec![1; 700], vec![2; 1000]);
        let mut points = 0;
        loop {
            fs::write(&path, &old).unwrap();
            let mut steps = 0;
            let mut renamed = false;
            let outcome = write_in_steps(&path, &new, 1, &mut |step| {
                renamed |= step == Step::SyncFolder;
                steps += 1;
                if steps > points { Err(io::Error::other("no power")) } else { Ok(()) }
            });
            let found = fs::read(&path).unwrap();
            assert!(found == if renamed { &new[..] } else { &old[..] }, "{points}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{points}");
            if outcome.is_ok() {
                break;
            }
            points += 1;
        }
        assert_eq!(points, 1004);
    }

    #[test]
    fn a_path_without_a_folder_or_a_name() {
        assert!(write_whole(Path::new("/"), b"x").is_err());
        assert!(
            write_whole(Path::new("/no/such/folder/x"), b"x")
                .unwrap_err()
                .to_string()
                .contains("/no/such/folder/x")
        );
    }
}

//! Files are written whole or not at all: whatever happens in between, what was there before is there after.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};
use crate::read::is_descriptor;

/// Bytes written at once.
const BLOCK: usize = 64 << 10;
/// Symbolic links that are followed one after the other; systems follow as many.
const LINKS: usize = 40;

/// Writes `bytes` to a temporary name beside `path`, flushes it to the disk, and renames it: a reader sees the old file or
/// the new one, also after a loss of power. Links, permissions, pipes and devices: as [`WholeFile`] says.
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
    before(Step::Create)?;
    let mut file = WholeFile::create(path)?;
    for part in bytes.chunks(block) {
        before(Step::Write)?;
        file.write_all(part)?;
    }
    file.finish_in_steps(before)
}

/// A file that takes its place when it is complete; dropped before that, it leaves nothing. It keeps owner and permissions of the
/// file that it replaces; a symbolic link stays one, and where it leads is replaced. A pipe or a device is written to at once.
pub struct WholeFile(To);

enum To {
    /// A temporary file, and the one that it becomes.
    Beside(NamedTempFile, PathBuf),
    /// What cannot be replaced.
    Through(Box<dyn Write>),
}

impl WholeFile {
    /// Begins a file at `path`.
    ///
    /// # Errors
    /// `path` cannot be written to.
    pub fn create(path: &Path) -> io::Result<Self> {
        let target = destination(path);
        let old = fs::metadata(&target).ok();
        if is_descriptor(path) || old.as_ref().is_some_and(|old| !old.is_file() && !old.is_dir()) {
            return Ok(Self(To::Through(through(path)?)));
        }
        let name = target
            .file_name()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "is no name of a file"))?;
        let mut builder = tempfile::Builder::new();
        let prefix = format!(".{}.", name.to_string_lossy());
        builder.prefix(&prefix).suffix(".tmp");
        #[cfg(unix)]
        {
            // What the process's mask leaves of it, as of any other new file.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        // It is removed when it is dropped.
        let file = builder.tempfile_in(folder_of(&target))?;
        if let Some(old) = old {
            keep_access(file.as_file(), &old);
        }
        Ok(Self(To::Beside(file, target)))
    }

    /// Puts it in its place.
    ///
    /// # Errors
    /// It cannot be flushed or renamed; what was there stays.
    pub fn finish(self) -> io::Result<()> {
        self.finish_in_steps(&mut |_| Ok(()))
    }

    fn finish_in_steps(self, before: &mut dyn FnMut(Step) -> io::Result<()>) -> io::Result<()> {
        match self.0 {
            To::Through(mut to) => to.flush(),
            To::Beside(file, target) => {
                before(Step::SyncFile)?;
                file.as_file().sync_all()?;
                before(Step::Rename)?;
                file.persist(&target).map_err(|error| error.error)?;
                before(Step::SyncFolder)?;
                sync_folder(folder_of(&target))
            }
        }
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            To::Beside(file, _) => file.write(bytes),
            To::Through(to) => to.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            To::Beside(file, _) => file.flush(),
            To::Through(to) => to.flush(),
        }
    }
}

/// Where `path` leads, also if nothing is there yet.
fn destination(path: &Path) -> PathBuf {
    let mut at = path.to_path_buf();
    for _ in 0..LINKS {
        let Ok(link) = fs::read_link(&at) else { break };
        at = folder_of(&at).join(link);
    }
    at
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Opens a pipe, a device, or an open file of the process.
fn through(path: &Path) -> io::Result<Box<dyn Write>> {
    // Opened anew, a file behind it would be written from its beginning.
    if [Path::new("/dev/stdout"), Path::new("/dev/fd/1"), Path::new("/proc/self/fd/1")].contains(&path) {
        return Ok(Box::new(io::stdout()));
    }
    Ok(Box::new(OpenOptions::new().append(true).open(path)?))
}

/// Gives `file` owner and permissions of the one that it replaces, as far as the system lets the process.
fn keep_access(file: &File, old: &fs::Metadata) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        let _ =
            fchown(file, Some(old.uid()), Some(old.gid())).or_else(|_| fchown(file, None, Some(old.gid())));
    }
    let _ = file.set_permissions(old.permissions());
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

    /// Also of a link that leads nowhere yet.
    #[cfg(unix)]
    #[test]
    fn a_link_stays_one_and_a_file_keeps_its_permissions() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let [real, link] = ["real", "link"].map(|name| folder.path().join(name));
        symlink("real", &link).unwrap();
        write_whole(&link, b"1").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        write_whole(&link, b"2").unwrap();
        assert_eq!(fs::read(&real).unwrap(), b"2");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
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

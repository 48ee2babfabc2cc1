//! Listing folders: which files are images, and what becomes of all the others.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::Problem;
use crate::error::{Error, Result};
use crate::image::is_readable;

/// Extensions of image files, lower case; the content decides what a file is.
const EXTENSIONS: [&str; 15] = [
    "png", "jpg", "jpeg", "jpe", "jfif", "bmp", "dib", "tif", "tiff", "webp", "pgm", "ppm", "pbm", "pnm",
    "pam",
];

/// Files that systems leave behind, ignored without a word, as hidden ones are.
const LITTER: [&str; 2] = ["thumbs.db", "desktop.ini"];

/// A file of this name marks a folder, with all that lies below it, as written by blemish.
pub const OUTPUT_MARKER: &str = ".blemish-output";

/// The first bytes of a file, by which its format is told.
const FIRST: u64 = 16;

/// The image files of folders, and every other file with the reason why it is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Image files, those of each folder sorted by path.
    pub images: Vec<PathBuf>,
    /// Files that are not images, folders that cannot be read, what blemish itself has written.
    pub skipped: Vec<Problem>,
}

/// All images at or below `paths`, in that order, each once: a file names itself, a folder is searched with all its subfolders, and
/// a pattern such as `photos/**/*.png` stands for what it [`expand`]s to.
///
/// Only regular files, and links to such, are ever opened. Hidden files, `Thumbs.db` and `desktop.ini` are ignored; every other file
/// that is no image is among the [`skipped`](Listing::skipped).
///
/// # Errors
/// [`Error::Io`] if one of `paths` does not exist or cannot be read; [`Error::Data`] if there is no image at all.
pub fn list(paths: &[PathBuf]) -> Result<Listing> {
    let mut walk = Walk::default();
    for path in paths {
        walk.path(path)?;
    }
    let listing = walk.listing;
    if listing.images.is_empty() {
        let place = paths.first().map_or(Path::new("."), PathBuf::as_path);
        return Err(Error::data(place, nothing(&listing.skipped)));
    }
    Ok(listing)
}

/// The files and folders that match a pattern, sorted: `*` and `?` within a name, `[ab]`, and `**` for any number of folders. Upper
/// and lower case count as the same; hidden files need a dot in the pattern. A path that exists stands for itself.
///
/// # Errors
/// [`Error::Config`] for a pattern that is none; [`Error::Data`] if nothing matches.
pub fn expand(pattern: &Path) -> Result<Vec<PathBuf>> {
    if pattern.exists() {
        return Ok(vec![pattern.to_path_buf()]);
    }
    let normal: PathBuf = pattern.components().collect();
    let text = normal.to_string_lossy();
    let options = glob::MatchOptions {
        case_sensitive: false,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let wrong = |error: glob::PatternError| Error::config(text.as_ref(), format!("is no pattern: {error}"));
    let compiled = glob::Pattern::new(&text).map_err(wrong)?;
    let folder: PathBuf = pattern.components().take_while(|part| !is_pattern(part.as_ref())).collect();
    let below = pattern.components().count() - folder.components().count();
    let depth = if text.contains("**") { usize::MAX } else { below };
    let start = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
    // Not `glob::glob`, which follows links in circles. What cannot be read holds nothing that could match.
    let walk = WalkDir::new(start).min_depth(1).max_depth(depth).follow_links(true);
    let paths = walk.into_iter().flatten().map(|entry| folder.join(below_start(entry.path(), start)));
    let mut found: Vec<PathBuf> = paths.filter(|path| compiled.matches_path_with(path, options)).collect();
    found.sort();
    if found.is_empty() {
        let reason = if is_pattern(pattern) {
            "nothing matches this pattern"
        } else {
            "there is no such file or folder"
        };
        return Err(Error::data(pattern, reason));
    }
    Ok(found)
}

/// `path` without the folder that the search began in.
fn below_start<'a>(path: &'a Path, start: &Path) -> &'a Path {
    path.strip_prefix(start).unwrap_or(path)
}

fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?', '['])
}

/// Why there is no image.
fn nothing(skipped: &[Problem]) -> String {
    let others = match skipped {
        [] => String::new(),
        [first, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
            format!("; {}: {}{more}", first.path.display(), first.reason)
        }
    };
    format!("holds no image; looked for {}{others}", EXTENSIONS.join(", "))
}

/// All images at or below `path`; see [`list`].
///
/// # Errors
/// As [`list`].
pub fn images_in(path: &Path) -> Result<Vec<PathBuf>> {
    list(&[path.to_path_buf()]).map(|listing| listing.images)
}

/// As [`images_in`], and every other file that is not litter becomes a problem.
pub(super) fn images_at(path: &Path, problems: &mut Vec<Problem>) -> Result<Vec<PathBuf>> {
    let listing = list(&[path.to_path_buf()])?;
    problems.extend(listing.skipped);
    Ok(listing.images)
}

/// As [`images_at`], for a folder that may be empty.
pub(super) fn images_below(folder: &Path, problems: &mut Vec<Problem>) -> Result<Vec<PathBuf>> {
    let mut walk = Walk::default();
    walk.path(folder)?;
    problems.extend(walk.listing.skipped);
    Ok(walk.listing.images)
}

/// A search of folders, each of which is read once, whatever links lead to it.
#[derive(Default)]
struct Walk {
    listing: Listing,
    folders: HashSet<PathBuf>,
    files: HashSet<PathBuf>,
}

impl Walk {
    fn path(&mut self, path: &Path) -> Result<()> {
        let metadata = match fs::metadata(path) {
            Err(_) if is_pattern(path) => {
                return expand(path)?.iter().try_for_each(|path| self.path(path));
            }
            metadata => metadata.map_err(|source| Error::io(path, source))?,
        };
        if path.canonicalize().is_ok_and(|full| is_output(full.as_path())) {
            self.listing.skipped.push(output(path));
        } else if metadata.is_dir() {
            self.folder(path)?;
        } else if metadata.is_file() {
            self.image(path.to_path_buf());
        } else {
            self.listing.skipped.push(irregular(path));
        }
        Ok(())
    }

    fn folder(&mut self, folder: &Path) -> Result<()> {
        let full = folder.canonicalize().map_err(|source| Error::io(folder, source))?;
        if !self.folders.insert(full) {
            return Ok(());
        }
        let Contents { images, folders, skipped } = look(folder)?;
        let mut entries: Vec<(PathBuf, bool)> = images.into_iter().map(|path| (path, false)).collect();
        entries.extend(folders.into_iter().map(|path| (path, true)));
        entries.sort();
        self.listing.skipped.extend(skipped);
        for (path, is_folder) in entries {
            if !is_folder {
                self.image(path);
            } else if let Err(error) = self.folder(&path) {
                let reason = format!("this folder cannot be read, and is left out: {}", error.reason());
                self.listing.skipped.push(Problem::new(path, reason));
            }
        }
        Ok(())
    }

    fn image(&mut self, path: PathBuf) {
        if self.files.insert(path.clone()) {
            self.listing.images.push(path);
        }
    }
}

/// What lies directly in a folder.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Image files, sorted.
    pub images: Vec<PathBuf>,
    /// Folders, sorted, but for what blemish has written.
    pub folders: Vec<PathBuf>,
    /// Everything else that is not hidden.
    pub skipped: Vec<Problem>,
}

/// Looks into a folder, and not below it.
pub(super) fn look(folder: &Path) -> Result<Contents> {
    let mut contents = Contents::default();
    for path in entries(folder)? {
        let Contents { images, folders, skipped } = &mut contents;
        match fs::metadata(&path) {
            Err(source) => {
                skipped.push(Problem::new(path, format!("cannot be opened, and is left out: {source}")))
            }
            Ok(metadata) if metadata.is_dir() && path.join(OUTPUT_MARKER).exists() => {
                skipped.push(output(&path))
            }
            Ok(metadata) if metadata.is_dir() => folders.push(path),
            Ok(metadata) if !metadata.is_file() => skipped.push(irregular(&path)),
            Ok(_) if is_image(&path) || has_image(&path) => images.push(path),
            Ok(_) => {
                skipped.push(Problem::new(path, format!("not judged: not one of {}", EXTENSIONS.join(", "))))
            }
        }
    }
    Ok(contents)
}

fn irregular(path: &Path) -> Problem {
    Problem::new(path, "not judged: a pipe, socket or device, not a regular file")
}

fn output(path: &Path) -> Problem {
    Problem::new(path, "not judged: written by blemish itself (heat maps or other results)")
}

/// Whether a path lies in what blemish has written.
fn is_output(full: &Path) -> bool {
    full.ancestors().any(|above| above.join(OUTPUT_MARKER).is_file())
}

/// The folders directly inside `folder`, sorted; none where it cannot be read.
pub(super) fn subfolders(folder: &Path) -> Vec<PathBuf> {
    look(folder).map(|contents| contents.folders).unwrap_or_default()
}

/// What lies directly inside `folder`, sorted, without hidden files and litter.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |source| Error::io(folder, source);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        if !name.starts_with('.') && !LITTER.contains(&name.as_str()) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Whether the extension, in upper or lower case, is an image's.
pub(super) fn is_image(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

/// Whether a regular file without an extension holds an image. (Raw photographs with extensions of their own look like TIFF.)
fn has_image(path: &Path) -> bool {
    if path.extension().is_some() {
        return false;
    }
    let mut first = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FIRST).read_to_end(&mut first));
    read.is_ok() && is_readable(&first)
}

#[cfg(test)]
mod tests;

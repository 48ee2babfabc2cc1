//! Listing folders: which files are images, and what becomes of all the others.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
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

/// Files that systems leave behind, ignored without a word.
const LITTER: [&str; 2] = ["thumbs.db", "desktop.ini"];

/// What archives made on a Mac hold beside the files: a shadow of each.
const SHADOWS: &str = "__macosx";

/// A file of this name marks a folder, with all that lies below it, as written by blemish.
pub const OUTPUT_MARKER: &str = ".blemish-output";

/// What stands behind the name of an image in the names of the files that blemish writes of it.
const OUTPUT_ENDINGS: [&str; 4] = [".overlay.png", ".map.npy", ".map.tiff", ".mask.png"];

/// The first bytes of a file, by which its format is told.
const FIRST: u64 = 16;

/// The image files of folders, and every other file with the reason why it is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Image files, those of each folder sorted by path.
    pub images: Vec<PathBuf>,
    /// Files that are not images, folders that cannot be read, what is hidden or lies in a folder of blemish's outputs.
    pub skipped: Vec<Problem>,
}

/// All images at or below `paths`, in that order, each once: a file names itself, a folder is searched with all its subfolders, and
/// a pattern such as `photos/**/*.png` stands for what it [`expand`]s to.
///
/// Only regular files, and links to such, are ever opened. `Thumbs.db` and `desktop.ini` are ignored; every other file that is no image
/// is among the [`skipped`](Listing::skipped). Hidden images, and those in a folder of blemish's outputs, are counted there.
///
/// # Errors
/// [`Error::Io`] if one of `paths` does not exist or cannot be read; [`Error::Data`] if there is no image at all.
pub fn list(paths: &[PathBuf]) -> Result<Listing> {
    let mut walk = Walk::default();
    for path in paths {
        walk.path(path)?;
        let left_out = walk.left_out(path);
        walk.listing.skipped.extend(left_out);
    }
    let listing = walk.listing;
    if listing.images.is_empty() {
        let place = paths.first().map_or(Path::new("."), PathBuf::as_path);
        return Err(match listing.skipped.as_slice() {
            [only] if only.path == place => Error::data(place, &only.reason),
            skipped => Error::data(place, nothing(skipped)),
        });
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
    let shadows_wanted = text.to_lowercase().contains(SHADOWS);
    let is_wanted = |path: &PathBuf| {
        compiled.matches_path_with(path, options)
            && (shadows_wanted || !below_start(path, &folder).iter().any(|part| is_shadows(Path::new(part))))
    };
    let mut found: Vec<PathBuf> = paths.filter(is_wanted).collect();
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

/// As [`images_at`], for a folder that may be empty or closed, in a data set whose [`left_out`] are named as a whole.
pub(super) fn images_below(folder: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let mut walk = Walk::default();
    if let Err(error) = walk.path(folder) {
        walk.listing.skipped.push(closed(folder, &error));
    }
    problems.extend(walk.listing.skipped);
    walk.listing.images
}

/// The images at or below a folder that no layout ever looks at: those in folders of blemish's outputs, and hidden ones.
pub(super) fn left_out(folder: &Path) -> Vec<Problem> {
    let mut walk = Walk::default();
    // What cannot be read is named by whoever reads the folder's images.
    let _ = walk.path(folder);
    walk.left_out(folder)
}

/// A search of folders, each of which is read once, whatever links lead to it.
#[derive(Default)]
struct Walk {
    listing: Listing,
    folders: HashSet<PathBuf>,
    files: HashSet<PathBuf>,
    outputs: Vec<Problem>,
    hidden: usize,
    /// The first of these.
    first_hidden: Option<PathBuf>,
}

impl Walk {
    fn path(&mut self, path: &Path) -> Result<()> {
        let metadata = match fs::metadata(path) {
            Err(_) if is_pattern(path) => {
                return expand(path)?.iter().try_for_each(|path| self.path(path));
            }
            metadata => metadata.map_err(|source| Error::io(path, source))?,
        };
        if let Some(problem) = named_output(path) {
            self.listing.skipped.push(problem);
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
        let Contents { images, folders, skipped, outputs, hidden } = look(folder)?;
        self.outputs.extend(outputs.iter().filter_map(|path| output(path)));
        for path in hidden {
            self.hidden += count(&path, is_image);
            self.first_hidden.get_or_insert(path);
        }
        let mut entries: Vec<(PathBuf, bool)> = images.into_iter().map(|path| (path, false)).collect();
        entries.extend(folders.into_iter().map(|path| (path, true)));
        entries.sort();
        self.listing.skipped.extend(skipped);
        for (path, is_folder) in entries {
            if !is_folder {
                self.image(path);
            } else if let Err(error) = self.folder(&path) {
                self.listing.skipped.push(closed(&path, &error));
            }
        }
        Ok(())
    }

    /// Adds an image, unless it was added under another name of its folder.
    fn image(&mut self, path: PathBuf) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = path.file_name().unwrap_or_default();
        let full = folder.canonicalize().map_or_else(|_| path.clone(), |folder| folder.join(name));
        if self.files.insert(full) {
            self.listing.images.push(path);
        }
    }

    /// What was left out since this was last asked, in the search of `root`.
    fn left_out(&mut self, root: &Path) -> Vec<Problem> {
        let mut problems = std::mem::take(&mut self.outputs);
        if let hidden @ 1.. = std::mem::take(&mut self.hidden) {
            let what = are(hidden, "hidden file", "hidden files");
            let first = self.first_hidden.take().unwrap_or_default();
            let first = first.strip_prefix(root).unwrap_or(&first).display();
            let reason =
                format!("{what} left out (names that begin with a dot, or in __MACOSX), such as {first}");
            problems.push(Problem { files: hidden, ..Problem::new(root, reason) });
        }
        problems
    }
}

/// What lies directly in a folder.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Image files, sorted.
    pub images: Vec<PathBuf>,
    /// Folders, sorted, but for what blemish has written.
    pub folders: Vec<PathBuf>,
    /// Files that are no images, or called like an output of blemish, or cannot be opened.
    pub skipped: Vec<Problem>,
    /// Folders of blemish's outputs.
    outputs: Vec<PathBuf>,
    /// Hidden files and folders.
    hidden: Vec<PathBuf>,
}

/// As [`look`]; a folder that cannot be read is named and is as good as empty.
pub(super) fn look_or_name(folder: &Path, problems: &mut Vec<Problem>) -> Contents {
    look(folder).unwrap_or_else(|error| {
        problems.push(closed(folder, &error));
        Contents::default()
    })
}

/// Looks into a folder, and not below it.
pub(super) fn look(folder: &Path) -> Result<Contents> {
    let mut contents = Contents::default();
    for path in all_entries(folder)? {
        let Contents { images, folders, skipped, outputs, hidden } = &mut contents;
        if is_hidden(&path) {
            hidden.push(path);
            continue;
        }
        match fs::metadata(&path) {
            Err(source) => {
                skipped.push(Problem::new(path, format!("cannot be opened, and is left out: {source}")))
            }
            Ok(metadata) if metadata.is_dir() && path.join(OUTPUT_MARKER).exists() => outputs.push(path),
            Ok(metadata) if metadata.is_dir() => folders.push(path),
            Ok(metadata) if !metadata.is_file() => skipped.push(irregular(&path)),
            Ok(_) if is_called_output(&path) => skipped.push(called_output(&path)),
            Ok(_) if is_image(&path) || has_image(&path) => images.push(path),
            Ok(_) => {
                skipped.push(Problem::new(path, format!("left out: not one of {}", EXTENSIONS.join(", "))))
            }
        }
    }
    Ok(contents)
}

fn irregular(path: &Path) -> Problem {
    Problem::new(path, "left out: a pipe, socket or device, not a regular file")
}

fn closed(folder: &Path, error: &Error) -> Problem {
    let reason = format!("this folder cannot be read, and is left out: {}", error.reason());
    Problem { is_closed_folder: true, ..Problem::new(folder, reason) }
}

fn called_output(path: &Path) -> Problem {
    Problem::new(path, "left out: called like a file that blemish writes (an overlay, a map or a mask)")
}

/// A folder of blemish's outputs, if it holds images that blemish has not written.
fn output(folder: &Path) -> Option<Problem> {
    let is_photo = |path: &Path| {
        let name = lower_name(path);
        let is_own = OUTPUT_ENDINGS.iter().any(|ending| name.ends_with(ending));
        !is_own && !is_hidden(path) && (is_image(path) || has_image(path))
    };
    let files = count(folder, is_photo);
    let place = "in a folder of blemish's outputs";
    let what = are(files, &format!("image {place}"), &format!("images {place}"));
    let reason = format!("{what} left out; move photos elsewhere");
    (files > 0).then(|| Problem { files, ..Problem::new(folder, reason) })
}

/// Why a path that was named is no input, if blemish has written it.
pub(super) fn named_output(path: &Path) -> Option<Problem> {
    let is_file = path.is_file();
    if is_file && is_called_output(path) {
        return Some(called_output(path));
    }
    let full = path.canonicalize().ok()?;
    if !full.ancestors().any(|above| above.join(OUTPUT_MARKER).is_file()) {
        return None;
    }
    let reason = if is_file { "lies in" } else { "is" };
    let reason = format!("{reason} a folder of blemish's outputs, and is left out; move photos elsewhere");
    Some(output(path).filter(|_| !is_file).unwrap_or_else(|| Problem::new(path, reason)))
}

/// Whether a file, wherever it lies, is called as what blemish writes of an image: `7.jpg.overlay.png`.
fn is_called_output(path: &Path) -> bool {
    let name = lower_name(path);
    let of = OUTPUT_ENDINGS.iter().find_map(|ending| name.strip_suffix(ending));
    of.is_some_and(|image| is_image(Path::new(image)))
}

/// `1 file is`, `5 files are`.
fn are(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one} is") } else { format!("{count} {many} are") }
}

/// How many files at or below `path` are such; links to folders are not followed.
fn count(path: &Path, is_such: impl Fn(&Path) -> bool) -> usize {
    let files = WalkDir::new(path).into_iter().flatten().filter(|entry| entry.path().is_file());
    files.filter(|entry| is_such(entry.path())).count()
}

fn lower_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().to_lowercase()
}

fn is_shadows(path: &Path) -> bool {
    lower_name(path) == SHADOWS
}

fn is_hidden(path: &Path) -> bool {
    lower_name(path).starts_with('.') || is_shadows(path)
}

/// The folders directly inside `folder`, sorted; none where it cannot be read.
pub(super) fn subfolders(folder: &Path) -> Vec<PathBuf> {
    look(folder).map(|contents| contents.folders).unwrap_or_default()
}

/// What lies directly inside `folder`, sorted, without hidden files and litter.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(all_entries(folder)?.into_iter().filter(|path| !is_hidden(path)).collect())
}

/// What lies directly inside `folder`, sorted, without litter.
fn all_entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |source| Error::io(folder, source);
    let entries: io::Result<Vec<_>> = fs::read_dir(folder).map_err(failed)?.collect();
    let mut paths: Vec<PathBuf> = entries.map_err(failed)?.into_iter().map(|entry| entry.path()).collect();
    paths.retain(|path| !LITTER.contains(&lower_name(path).as_str()));
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
    path.extension().is_none() && begins_as_image(path)
}

/// Whether a file begins as an image, whatever it is called.
pub fn begins_as_image(path: &Path) -> bool {
    let mut first = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FIRST).read_to_end(&mut first));
    read.is_ok() && is_readable(&first)
}

#[cfg(test)]
mod tests;

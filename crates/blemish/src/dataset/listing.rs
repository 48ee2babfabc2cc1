//! Listing folders: which files are images, and which mask belongs to which image.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::Problem;
use crate::error::{Error, Result};

/// Extensions of image files, lower case; the content decides what a file is.
const EXTENSIONS: [&str; 6] = ["png", "jpg", "jpeg", "bmp", "tif", "tiff"];

/// Files that systems leave behind, passed over without a word, as hidden ones are.
const LITTER: [&str; 2] = ["thumbs.db", "desktop.ini"];

/// All images at or below `path`, sorted: a file names itself, a folder is searched with all its subfolders. Hidden
/// files, `Thumbs.db` and files with other extensions are left out.
///
/// # Errors
///
/// [`Error::Io`] if `path` cannot be read; [`Error::Data`] if there is no image.
pub fn images_in(path: &Path) -> Result<Vec<PathBuf>> {
    images_at(path, &mut Vec::new())
}

/// As [`images_in`], and every other file that is not litter becomes a problem.
pub(super) fn images_at(path: &Path, problems: &mut Vec<Problem>) -> Result<Vec<PathBuf>> {
    if fs::metadata(path).map_err(|source| Error::io(path, source))?.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    let images = images_below(path, problems)?;
    if images.is_empty() {
        return Err(Error::data(path, format!("holds no image; looked for {}", EXTENSIONS.join(", "))));
    }
    Ok(images)
}

/// As [`images_at`], for a folder that may be empty.
pub(super) fn images_below(folder: &Path, problems: &mut Vec<Problem>) -> Result<Vec<PathBuf>> {
    let mut images = Vec::new();
    for path in entries(folder)? {
        if path.is_dir() {
            if !leads_back(folder, &path) {
                images.extend(images_below(&path, problems)?);
            }
        } else if is_image(&path) {
            images.push(path);
        } else {
            problems.push(Problem::new(path, format!("not one of {}", EXTENSIONS.join(", "))));
        }
    }
    Ok(images)
}

/// The folders directly inside `folder`, sorted.
pub(super) fn subfolders(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(entries(folder)?.into_iter().filter(|path| path.is_dir() && !leads_back(folder, path)).collect())
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

/// Whether `child` is a symbolic link to `folder` or one of the folders above it, which would be followed for ever.
fn leads_back(folder: &Path, child: &Path) -> bool {
    child.is_symlink()
        && matches!((folder.canonicalize(), child.canonicalize()), (Ok(here), Ok(there)) if here.starts_with(&there))
}

/// The masks of a ground-truth folder, found by the image's path relative to the folder of images.
#[derive(Default)]
pub(super) struct Masks(HashMap<PathBuf, PathBuf>);

impl Masks {
    /// Lists all masks below `folder`; none if it does not exist.
    pub(super) fn below(folder: &Path) -> Result<Self> {
        let mut masks = HashMap::new();
        if folder.is_dir() {
            for path in images_below(folder, &mut Vec::new())? {
                let name = path.strip_prefix(folder).unwrap_or(&path).with_extension("");
                if let Some(name) = name.to_string_lossy().strip_suffix("_mask") {
                    masks.insert(PathBuf::from(name), path);
                } else {
                    masks.entry(name).or_insert(path);
                }
            }
        }
        Ok(Self(masks))
    }

    /// The mask of the image at `relative`, such as `scratch/000.png`: `scratch/000_mask.*`, else `scratch/000.*`.
    pub(super) fn find(&self, relative: &Path) -> Option<PathBuf> {
        self.0.get(&relative.with_extension("")).cloned()
    }
}

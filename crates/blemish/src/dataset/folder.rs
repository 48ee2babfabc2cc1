//! Plain folders: one folder of good images, or folders of good and defective images and of masks, named one by one.

use std::fs;
use std::path::{Path, PathBuf};

use super::listing::{images_at, images_below, left_out, look};
use super::masks::{Masks, images_and_masks};
use super::names::{Role, role};
use super::{DataSet, Layout, Problem, Reader, Sample, Samples, find_categories, folder_name};
use crate::error::{Error, Result};

pub(super) const READER: Reader = Reader {
    layout: Layout::Folder,
    expects: "images (a folder of good ones, or of such folders by camera or date)",
    detect: |root| {
        look(root).is_ok_and(|contents| {
            !contents.images.is_empty() || (is_plain(root, &contents.folders) && holds_images(root))
        })
    },
    read,
};

/// Whether folders have names that say nothing, such as those of cameras and days, and hold no data set of their own.
fn is_plain(root: &Path, folders: &[PathBuf]) -> bool {
    let mut categories = Vec::new();
    folders.iter().all(|folder| matches!(role(folder), Role::Other | Role::Labels))
        && find_categories(root, "", super::CATEGORY_DEPTH, &mut categories).is_ok()
        && categories.is_empty()
}

fn holds_images(root: &Path) -> bool {
    !images_below(root, &mut Vec::new()).is_empty()
}

/// All images directly in the folder are good; subfolders beside them are named and not read: they may well hold defective
/// images. Where there are only subfolders, all images below them are good.
fn read(root: &Path) -> Result<Samples> {
    let mut samples = Samples::default();
    let contents = look(root)?;
    if contents.images.is_empty() {
        let (images, _) = images_and_masks(root, &mut samples.problems);
        let names: Vec<String> =
            contents.folders.iter().map(|folder| format!("`{}`", folder_name(folder))).collect();
        samples.note = Some(format!("all images below {} are taken for good ones", names.join(", ")));
        samples.train = images.into_iter().map(Sample::good).collect();
        return Ok(samples);
    }
    samples.problems.extend(contents.skipped);
    samples.train = contents.images.into_iter().map(Sample::good).collect();
    for folder in contents.folders {
        samples
            .problems
            .push(Problem::new(folder, "not read: only images directly in this folder are taken as good"));
    }
    Ok(samples)
}

/// A data set of folders (or single files), each searched with its subfolders: `good` images are for training,
/// `defective` ones for the test, of the kind that their folder is called.
///
/// The masks of `defective/scratch/7.jpg` are `7_mask.*`, `7_gt_0.*` and the like, or `7.*`, beside it, in `masks/scratch` or in
/// `masks` itself, or, where `defective` was named, also in `masks/defective/scratch`; the first that exist. Without a folder of masks
/// none is missed.
///
/// # Errors
///
/// [`Error::Io`] if a folder cannot be read; [`Error::Data`] if one holds no image, or none is good.
pub fn open_folders(good: &[PathBuf], defective: &[PathBuf], masks: Option<&Path>) -> Result<DataSet> {
    let Some(root) = good.first() else {
        return Err(Error::data(
            defective.first().map_or(Path::new("."), |path| path),
            "no folder of good images",
        ));
    };
    let mut samples = Samples::default();
    for folder in good {
        samples.train.extend(images_at(folder, &mut samples.problems)?.into_iter().map(Sample::good));
    }
    if let Some(folder) = masks {
        fs::metadata(folder).map_err(|source| Error::io(folder, source))?;
    }
    let masks = masks.map(|folder| Masks::below(&[folder.to_path_buf()]));
    for folder in defective {
        // A folder without any image is an error, as above.
        images_at(folder, &mut Vec::new())?;
        let (images, beside) = images_and_masks(folder, &mut samples.problems);
        samples.problems.extend(left_out(folder));
        for path in images {
            let kind = path.parent().map_or_else(String::new, folder_name);
            let inside = path.strip_prefix(folder).unwrap_or(&path);
            let name = Path::new(path.file_name().unwrap_or_default());
            let places =
                [&Path::new(&folder_name(folder)).join(inside), inside, &Path::new(&kind).join(name), name];
            let own = beside.find(inside);
            match &masks {
                Some(masks) if own.is_empty() => {
                    let found = places.iter().map(|place| masks.find(place)).find(|found| !found.is_empty());
                    samples.push_defective(path, &kind, found.unwrap_or_default());
                }
                _ => samples.test.push(Sample::defective(path, kind, own)),
            }
        }
    }
    DataSet::new(root.clone(), Layout::Folder, samples)
}

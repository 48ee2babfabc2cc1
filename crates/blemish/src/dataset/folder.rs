//! Plain folders: one folder of good images, or folders of good and defective images and of masks, named one by one.

use std::fs;
use std::path::{Path, PathBuf};

use super::listing::{self, Masks, images_at, is_image, subfolders};
use super::{DataSet, Layout, Problem, Reader, Sample, Samples, folder_name};
use crate::error::{Error, Result};

pub(super) const READER: Reader = Reader {
    layout: Layout::Folder,
    expects: "images (a folder of good ones)",
    detect: |root| listing::entries(root).is_ok_and(|entries| entries.iter().any(|path| is_image(path))),
    read,
};

/// All images directly in the folder are good. Subfolders are named and not read: they may well hold defective images.
fn read(root: &Path) -> Result<Samples> {
    let mut samples = Samples::default();
    for path in listing::entries(root)?.into_iter().filter(|path| is_image(path)) {
        samples.train.push(Sample::good(path));
    }
    for folder in subfolders(root)? {
        samples
            .problems
            .push(Problem::new(folder, "not read: only images directly in this folder are taken as good"));
    }
    Ok(samples)
}

/// A data set of folders (or single files), each searched with its subfolders: `good` images are for training,
/// `defective` ones for the test, of the kind that their folder is called.
///
/// The mask of `defective/scratch/7.jpg` is `7_mask.*` or `7.*` in `masks/scratch` or `masks` itself, or, where
/// `defective` was named, also in `masks/defective/scratch`; the first that exists. Without a folder of masks none is
/// missed.
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
    let masks = masks.map(Masks::below).transpose()?;
    for folder in defective {
        for path in images_at(folder, &mut samples.problems)? {
            let kind = path.parent().map_or_else(String::new, folder_name);
            let inside = path.strip_prefix(folder).unwrap_or(&path);
            let name = Path::new(path.file_name().unwrap_or_default());
            let places =
                [&Path::new(&folder_name(folder)).join(inside), inside, &Path::new(&kind).join(name), name];
            match &masks {
                Some(masks) => {
                    let mask = places.iter().find_map(|place| masks.find(place));
                    samples.push_defective(path, &kind, mask);
                }
                None => samples.test.push(Sample::defective(path, kind, None)),
            }
        }
    }
    DataSet::new(root.clone(), Layout::Folder, samples)
}

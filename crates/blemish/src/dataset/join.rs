//! Several folders, data sets or files as one data set.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::listing::{expand, images_below};
use super::{DataSet, Layout, Sample, Samples, open};
use crate::error::{Error, Result};

/// Opens several folders and joins them: each as [`open`] would, or, for a file, as a good image. Patterns such as `day*/` stand for
/// what they match. An image that one of them has for the test is fitted on for none, and none is fitted on twice, whatever links or
/// ways of writing lead to it.
///
/// # Errors
/// As [`open`], for the first of them that cannot be opened; [`Error::Data`] without any.
pub fn open_all(paths: &[PathBuf], category: Option<&str>) -> Result<DataSet> {
    let mut expanded = Vec::new();
    for path in paths {
        if path.exists() { expanded.push(path.clone()) } else { expanded.extend(expand(path)?) }
    }
    let mut folders = HashSet::new();
    expanded.retain(|path| folders.insert(resolved(path)));
    let Some(first) = expanded.first() else {
        return Err(Error::data(".", "no folder of images was named"));
    };
    if let ([only], true) = (expanded.as_slice(), first.is_dir()) {
        return open(only, category);
    }
    let (mut joined, mut layouts, mut names, mut notes) =
        (Samples::default(), Vec::new(), Vec::new(), Vec::new());
    for path in &expanded {
        if path.is_file() {
            joined.train.extend(images_below(path, &mut joined.problems).into_iter().map(Sample::good));
            continue;
        }
        let set = open(path, category)?;
        joined.train.extend(set.train);
        joined.test.extend(set.test);
        joined.problems.extend(set.problems);
        layouts.push(set.layout);
        if !names.contains(&set.category) {
            names.push(set.category);
        }
        notes.extend(set.note.map(|note| format!("{}: {note}", path.display())));
    }
    let mut seen = HashSet::new();
    joined.test.retain(|sample| seen.insert(resolved(&sample.path)));
    joined.train.retain(|sample| seen.insert(resolved(&sample.path)));
    joined.note = (!notes.is_empty()).then(|| notes.join("; "));
    let layout = match layouts.first() {
        Some(first) if layouts.iter().all(|layout| layout == first) => *first,
        _ => Layout::Folder,
    };
    let root = if first.is_file() { first.parent().unwrap_or(Path::new(".")) } else { first };
    let set = DataSet::new(root.to_path_buf(), layout, joined)?;
    Ok(if names.is_empty() { set } else { DataSet { category: names.join("+"), ..set } })
}

/// A path without links and dots, by which two ways to the same file are told.
pub(crate) fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

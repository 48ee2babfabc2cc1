//! VisA as downloaded (Zou et al., "SPot-the-Difference Self-Supervised Pre-training for Anomaly Detection and
//! Segmentation", 2022): `CATEGORY/Data/Images/{Normal,Anomaly}/*`, `CATEGORY/Data/Masks/Anomaly/*`.
//!
//! The official split is `split_csv/1cls.csv` beside the categories, one row per image of all categories, with the
//! columns `object, split, label, image, mask`; its paths are relative to the folder that holds the categories.

use std::fs;
use std::path::{Path, PathBuf};

use super::names::descend;
use super::{Layout, Problem, Reader, Sample, Samples, folder_name};
use crate::error::{Error, Result};

pub(super) const READER: Reader = Reader {
    layout: Layout::Visa,
    expects: "`Data/Images/Normal` (VisA)",
    detect: |root| descend(root, &["Data", "Images", "Normal"]).is_some(),
    read,
};

const COLUMNS: [&str; 5] = ["object", "split", "label", "image", "mask"];

/// VisA has one kind of defective images.
const KIND: &str = "anomaly";

fn read(root: &Path) -> Result<Samples> {
    let full = root.canonicalize().map_err(|source| Error::io(root, source))?;
    let above = full.parent().unwrap_or(&full);
    let split = above.join("split_csv/1cls.csv");
    if !split.is_file() {
        return Err(Error::data(
            root,
            format!("VisA needs its official split; looked for {}", split.display()),
        ));
    }
    let text = fs::read_to_string(&split).map_err(|source| Error::io(&split, source))?;
    let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    let header: Vec<_> = lines.next().map_or("", |(_, line)| line).split(',').map(str::trim).collect();
    let place = |name| header.iter().position(|column| *column == name);
    let [Some(object), Some(set), Some(label), Some(image), Some(mask)] = COLUMNS.map(place) else {
        let reason = format!("looked for the columns {}; found {}", COLUMNS.join(", "), header.join(", "));
        return Err(Error::data(split, reason));
    };

    let category = folder_name(&full);
    let mut samples = Samples::default();
    for (index, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let fields: Vec<_> = line.split(',').map(str::trim).collect();
        let unusable = |what: &str| Error::data(&split, format!("line {}: {what}: `{line}`", index + 1));
        if fields.len() < header.len() {
            return Err(unusable("too few columns"));
        }
        if fields[object] != category {
            continue;
        }
        let path = above.join(fields[image]);
        if !path.is_file() {
            samples
                .problems
                .push(Problem::new(path, "named in split_csv/1cls.csv, but there is no such file"));
            continue;
        }
        match (fields[set], fields[label]) {
            ("train", "normal") => samples.train.push(Sample::good(path)),
            ("test", "normal") => samples.test.push(Sample::good(path)),
            ("test", KIND) => {
                let mask = existing(above, fields[mask]);
                samples.push_defective(path, KIND, mask);
            }
            _ => return Err(unusable("not train or test, normal or anomaly")),
        }
    }
    samples.train.sort_by(|a, b| a.path.cmp(&b.path));
    samples.test.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(samples)
}

/// The mask that a row names, if it names one that is there.
fn existing(above: &Path, field: &str) -> Option<PathBuf> {
    Some(above.join(field)).filter(|path| path.is_file())
}

//! MVTec AD (Bergmann et al., "MVTec AD: A Comprehensive Real-World Dataset for Unsupervised Anomaly Detection", 2019).
//!
//! `train/good/*`, `test/{good,<defect>}/*`, `ground_truth/<defect>/<stem>_mask.*`. Its followers differ a little: VisA
//! after its official conversion has masks without the `_mask`; MVTec AD 2 has `test_public` in the place of `test`,
//! with `ground_truth` inside it (its `validation` and private test folders are not read).

use std::path::Path;

use super::listing::{Masks, images_below, subfolders};
use super::{GOOD, Layout, Reader, Sample, Samples, folder_name};
use crate::error::Result;

pub(super) const READER: Reader = Reader {
    layout: Layout::Mvtec,
    expects: "`train/good` and `test` (MVTec AD)",
    detect: |root| root.join("train/good").is_dir(),
    read: |root| read(root, GOOD),
};

/// Reads `train/<good>`, `test/*` and `ground_truth/*`; `good` is the name of the folders of good images.
pub(super) fn read(root: &Path, good: &str) -> Result<Samples> {
    let mut samples = Samples::default();
    let train = images_below(&root.join("train").join(good), &mut samples.problems)?;
    samples.train = train.into_iter().map(Sample::good).collect();

    let tests = ["test", "test_public"].map(|name| root.join(name));
    let Some(test) = tests.iter().find(|path| path.is_dir()) else { return Ok(samples) };
    let [beside, inside] = [root, test].map(|above| above.join("ground_truth"));
    let masks = Masks::below(if beside.is_dir() { &beside } else { &inside })?;

    for folder in subfolders(test)?.into_iter().filter(|folder| *folder != inside) {
        let kind = folder_name(&folder);
        for path in images_below(&folder, &mut samples.problems)? {
            if kind == good {
                samples.test.push(Sample::good(path));
            } else {
                let mask = masks.find(path.strip_prefix(test).unwrap_or(&path));
                samples.push_defective(path, &kind, mask);
            }
        }
    }
    Ok(samples)
}

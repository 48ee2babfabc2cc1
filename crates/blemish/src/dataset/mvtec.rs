//! MVTec AD (Bergmann et al., "MVTec AD: A Comprehensive Real-World Dataset for Unsupervised Anomaly Detection", 2019).
//!
//! `train/good/*`, `test/{good,<defect>}/*`, `ground_truth/<defect>/<stem>_mask.*`. Its followers differ a little: VisA
//! after its official conversion has masks without the `_mask`; MVTec AD 2 has `test_public` in the place of `test`,
//! with `ground_truth` inside it (its `validation` and private test folders are not read). Case does not count, and folders of good
//! images and of masks may have any of their usual names.

use std::path::{Path, PathBuf};

use super::listing::look_or_name;
use super::masks::{Defective, Masks, images_and_masks};
use super::names::{Role, having, role};
use super::{Layout, Problem, Reader, Sample, Samples, folder_name};
use crate::error::Result;

/// Why an image beside the folders of a test is not measured.
pub(super) const UNSORTED: &str = "not used: not in a folder that says whether it is good or defective";

pub(super) const READER: Reader = Reader {
    layout: Layout::Mvtec,
    expects: "`train/good` and `test` (MVTec AD)",
    detect: |root| has_train(root) && !is_named_ok(root),
    read,
};

/// Whether there is a training folder with a folder of good images.
pub(super) fn has_train(root: &Path) -> bool {
    having(root, Role::Train).iter().any(|train| !having(train, Role::Good).is_empty())
}

/// Whether the folder of good training images is called `ok`.
pub(super) fn is_named_ok(root: &Path) -> bool {
    let good = having(root, Role::Train).into_iter().flat_map(|train| having(&train, Role::Good));
    good.into_iter().any(|folder| folder_name(&folder).eq_ignore_ascii_case("ok"))
}

/// Reads the folders of good images for training, every folder of the test, and the masks.
pub(super) fn read(root: &Path) -> Result<Samples> {
    let mut samples = Samples::default();
    for train in having(root, Role::Train) {
        let contents = look_or_name(&train, &mut samples.problems);
        samples.problems.extend(contents.skipped);
        for path in contents.images {
            samples.problems.push(Problem::new(path, "not used: not in a folder of good images"));
        }
        for folder in contents.folders {
            if role(&folder) == Role::Good {
                let (images, _) = images_and_masks(&folder, &mut samples.problems);
                samples.train.extend(images.into_iter().map(Sample::good));
            } else if role(&folder) != Role::Masks {
                samples.problems.push(Problem::new(folder, "not used: only good images are fitted on"));
            }
        }
    }
    let masks = [Role::Masks, Role::Labels].map(|wanted| having(root, wanted)).concat();
    let mut found = TestFolders { masks, ..TestFolders::default() };
    found.add_tests(root, &mut samples.problems);
    Ok(samples.finish(found))
}

/// What there is to measure with, by folders.
#[derive(Default)]
pub(super) struct TestFolders {
    /// Good images.
    pub good: Vec<PathBuf>,
    defective: Defective,
    masks: Vec<PathBuf>,
    /// Folders of masks, or of a kind of defect that is called so.
    labels: Vec<PathBuf>,
}

impl TestFolders {
    /// Adds what a folder holds, by what it is called.
    pub fn add(&mut self, folder: PathBuf, problems: &mut Vec<Problem>) {
        match role(&folder) {
            Role::Good => self.good.extend(images_and_masks(&folder, problems).0),
            Role::Masks => self.masks.push(folder),
            Role::Labels => self.labels.push(folder),
            _ => self.defective.add(&folder, problems),
        }
    }

    /// Adds the folders inside those of `root` that are called a test, or else a validation: all of them, since upper and lower
    /// case do not count. (MVTec AD 2 has private test folders too, which are called otherwise.)
    pub fn add_tests(&mut self, root: &Path, problems: &mut Vec<Problem>) {
        let tests = [Role::Test, Role::Validation].map(|wanted| having(root, wanted));
        for test in tests.into_iter().find(|folders| !folders.is_empty()).unwrap_or_default() {
            let contents = look_or_name(&test, problems);
            problems.extend(contents.skipped);
            problems.extend(contents.images.into_iter().map(|path| Problem::new(path, UNSORTED)));
            contents.folders.into_iter().for_each(|folder| self.add(folder, problems));
        }
    }
}

impl Samples {
    /// Adds the images to measure with: good ones, defective ones with their masks.
    pub(super) fn finish(mut self, found: TestFolders) -> Self {
        let TestFolders { good, mut defective, mut masks, labels } = found;
        let stems = defective.stems();
        for folder in labels {
            if Masks::are_labels_of(&folder, &stems) {
                masks.push(folder);
            } else {
                defective.add(&folder, &mut self.problems);
            }
        }
        self.test.extend(good.into_iter().map(Sample::good));
        for (path, kind, masks) in defective.with_masks(&Masks::below(&masks)) {
            self.push_defective(path, &kind, masks);
        }
        self.test.sort_by(|a, b| a.path.cmp(&b.path));
        self
    }
}

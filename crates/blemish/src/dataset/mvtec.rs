//! MVTec AD (Bergmann et al., "MVTec AD: A Comprehensive Real-World Dataset for Unsupervised Anomaly Detection", 2019).
//!
//! `train/good/*`, `test/{good,<defect>}/*`, `ground_truth/<defect>/<stem>_mask.*`. Its followers differ a little: VisA
//! after its official conversion has masks without the `_mask`; MVTec AD 2 has `test_public` in the place of `test`,
//! with `ground_truth` inside it (its `validation` and private test folders are not read). Case does not count, and folders of good
//! images and of masks may have any of their usual names.

use std::path::{Path, PathBuf};

use super::listing::look;
use super::masks::{Defective, Masks, images_and_masks};
use super::names::{Role, having, role};
use super::{Layout, Problem, Reader, Sample, Samples, folder_name};
use crate::error::Result;

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
        let contents = look(&train)?;
        samples.problems.extend(contents.skipped);
        for path in contents.images {
            samples.problems.push(Problem::new(path, "not used: not in a folder of good images"));
        }
        for folder in contents.folders {
            if role(&folder) == Role::Good {
                let (images, _) = images_and_masks(&folder, &mut samples.problems)?;
                samples.train.extend(images.into_iter().map(Sample::good));
            } else if role(&folder) != Role::Masks {
                samples.problems.push(Problem::new(folder, "not used: only good images are fitted on"));
            }
        }
    }

    let tests = [Role::Test, Role::Validation].map(|wanted| having(root, wanted));
    let Some(tests) = tests.into_iter().find(|folders| !folders.is_empty()) else { return Ok(samples) };
    // MVTec AD 2 has private test folders too, which are called otherwise.
    let Some(test) = tests.into_iter().next() else { return Ok(samples) };
    let mut masks = [root, &test].map(|above| having(above, Role::Masks)).concat();
    masks.extend(having(root, Role::Labels));
    let contents = look(&test)?;
    samples.problems.extend(contents.skipped);
    for path in contents.images {
        let reason = "not used: not in a folder that says whether it is good or defective";
        samples.problems.push(Problem::new(path, reason));
    }
    let (mut good, mut defective, mut labels) = (Vec::new(), Defective::default(), Vec::new());
    for folder in contents.folders {
        match role(&folder) {
            Role::Good => good.extend(images_and_masks(&folder, &mut samples.problems)?.0),
            Role::Masks => {}
            Role::Labels => labels.push(folder),
            _ => defective.add(&folder, &mut samples.problems)?,
        }
    }
    samples.finish(good, defective, masks, labels)
}

impl Samples {
    /// Adds the images to measure with: good ones, defective ones with their masks. `labels` are folders of masks, or of a kind of
    /// defect that is called so.
    pub(super) fn finish(
        mut self,
        good: Vec<PathBuf>,
        mut defective: Defective,
        mut masks: Vec<PathBuf>,
        labels: Vec<PathBuf>,
    ) -> Result<Self> {
        let stems = defective.stems();
        for folder in labels {
            if Masks::are_labels_of(&folder, &stems) {
                masks.push(folder);
            } else {
                defective.add(&folder, &mut self.problems)?;
            }
        }
        self.test.extend(good.into_iter().map(Sample::good));
        for (path, kind, masks) in defective.with_masks(&Masks::below(&masks)?) {
            self.push_defective(path, &kind, masks);
        }
        self.test.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(self)
    }
}

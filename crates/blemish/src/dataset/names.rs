//! What folders and masks are called, regardless of case and of what stands between words.

use std::path::{Path, PathBuf};

use super::folder_name;
use super::listing::subfolders;

const GOOD: [&str; 14] = [
    "good",
    "ok",
    "okay",
    "normal",
    "pass",
    "passed",
    "io",
    "gut",
    "defectfree",
    "nodefect",
    "nodefects",
    "nondefective",
    "anomalyfree",
    "okfront",
];
const BAD: [&str; 22] = [
    "bad",
    "ng",
    "nok",
    "notok",
    "notgood",
    "nio",
    "ko",
    "defect",
    "defects",
    "defective",
    "anomaly",
    "anomalies",
    "anomalous",
    "abnormal",
    "fail",
    "failed",
    "fault",
    "faulty",
    "reject",
    "rejected",
    "rejects",
    "scrap",
];
const TRAIN: [&str; 2] = ["train", "training"];
const TEST: [&str; 4] = ["test", "tests", "testing", "testpublic"];
const VALIDATION: [&str; 3] = ["val", "valid", "validation"];
const MASKS: [&str; 5] = ["groundtruth", "gt", "mask", "masks", "segmentation"];
/// Also names of a defect, such as one of a bottle's label.
const LABELS: [&str; 4] = ["label", "labels", "annotation", "annotations"];

/// What a mask's name ends or begins with, apart from its image's.
const WORDS: [&str; 10] = [
    "ground_truth",
    "groundtruth",
    "ground-truth",
    "mask",
    "masks",
    "gt",
    "label",
    "labels",
    "seg",
    "segmentation",
];
/// What stands between the words of a name.
const BETWEEN: [char; 4] = ['_', '-', '.', ' '];

/// What a folder's name says of what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Good images.
    Good,
    /// Defective images, of whatever kind.
    Bad,
    /// Images to fit on.
    Train,
    /// Images to measure with.
    Test,
    /// Images to measure with, where there are no others.
    Validation,
    /// Masks of defects.
    Masks,
    /// Perhaps masks, perhaps a kind of defect.
    Labels,
    /// A camera, a date, a kind of defect.
    Other,
}

/// The role of a folder.
pub(super) fn role(folder: &Path) -> Role {
    let name: String = folder_name(folder).to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    let roles: [(&[&str], Role); 7] = [
        (&GOOD, Role::Good),
        (&BAD, Role::Bad),
        (&TRAIN, Role::Train),
        (&TEST, Role::Test),
        (&VALIDATION, Role::Validation),
        (&MASKS, Role::Masks),
        (&LABELS, Role::Labels),
    ];
    let found = roles.into_iter().find(|(names, _)| names.contains(&name.as_str())).map(|(_, role)| role);
    found.unwrap_or(if masked_folder(folder).is_some() { Role::Masks } else { Role::Other })
}

/// What the folder beside this one is called whose images have their masks in this one: `spot` beside `spot_masks`.
pub(super) fn masked_folder(folder: &Path) -> Option<String> {
    let name = folder_name(folder).to_lowercase();
    // A missing label is a kind of defect.
    let beside = image_of(&name).filter(|_| !LABELS.iter().any(|word| name.ends_with(word)))?;
    let is_it = |other: PathBuf| folder_name(&other).eq_ignore_ascii_case(beside);
    subfolders(folder.parent()?).into_iter().any(is_it).then(|| beside.to_owned())
}

/// The folders directly inside `folder` that have this role, sorted.
pub(super) fn having(folder: &Path, wanted: Role) -> Vec<PathBuf> {
    subfolders(folder).into_iter().filter(|child| role(child) == wanted).collect()
}

/// The folder below `root` at these names, regardless of case.
pub(super) fn descend(root: &Path, names: &[&str]) -> Option<PathBuf> {
    names.iter().try_fold(root.to_path_buf(), |folder, name| {
        subfolders(&folder).into_iter().find(|child| folder_name(child).eq_ignore_ascii_case(name))
    })
}

/// The image that a mask's name, in lower case, says it belongs to.
pub(super) fn image_of(stem: &str) -> Option<&str> {
    let unnumbered = stem.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches(BETWEEN);
    let before = |word: &&str| {
        let image = unnumbered.strip_suffix(word)?;
        let name = image.trim_end_matches(BETWEEN);
        (name.len() < image.len()).then_some(name)
    };
    let after = |word: &&str| {
        let image = stem.strip_prefix(word)?;
        let name = image.trim_start_matches(BETWEEN);
        (name.len() < image.len()).then_some(name)
    };
    let found = WORDS.iter().find_map(before).or_else(|| WORDS.iter().find_map(after));
    found.filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_masks() {
        for name in [
            "7_mask",
            "7_gt",
            "7_label",
            "7-mask",
            "7.mask",
            "7_ground_truth",
            "7_mask_0",
            "7_mask1",
            "mask_7",
        ] {
            assert_eq!(image_of(name), Some("7"), "{name}");
        }
        assert_eq!(image_of("part_12_gt_03"), Some("part_12"));
        for name in ["7", "weight", "_mask", "mask", "blacklabel", "12_3", "mask7"] {
            assert_eq!(image_of(name), None, "{name}");
        }
    }
}

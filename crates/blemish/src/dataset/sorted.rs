//! Images sorted into folders by hand: `good/` beside `bad/`, or beside a folder for each kind of defect, and perhaps `masks/`.
//!
//! Where good images to measure with lie in a folder `test` beside them, those are measured, and all of `good/` is fitted on.
//! Else there is no split into training and test: where there are defective images to measure with, 70 % of the good ones are for
//! fitting and 30 % for measuring; nothing is ever fitted on what is measured.

use std::path::{Path, PathBuf};

use super::listing::look;
use super::mvtec::{TestFolders, UNSORTED};
use super::names::{Role, having, role};
use super::{Layout, Problem, Reader, Sample, Samples};
use crate::error::Result;
use crate::hash::{START, fnv1a};

/// Share of the good images that are for fitting.
const TRAIN_SHARE: f64 = 0.7;
/// Seed of the split.
const SEED: u64 = 0x5eed_0070;

pub(super) const READER: Reader = Reader {
    layout: Layout::Sorted,
    expects: "`good` beside `bad` or folders of other kinds",
    detect: |root| !having(root, Role::Good).is_empty(),
    read,
};

fn read(root: &Path) -> Result<Samples> {
    let mut samples = Samples::default();
    let contents = look(root)?;
    samples.problems.extend(contents.skipped);
    samples.problems.extend(contents.images.into_iter().map(|path| Problem::new(path, UNSORTED)));
    let mut found = TestFolders::default();
    for folder in contents.folders {
        match role(&folder) {
            Role::Test | Role::Validation => {}
            Role::Train => {
                let reason = "not used: it holds no folder of good images, and there is one beside it";
                samples.problems.push(Problem::new(folder, reason));
            }
            _ => found.add(folder, &mut samples.problems),
        }
    }
    let good = std::mem::take(&mut found.good);
    found.add_tests(root, &mut samples.problems);
    let is_split = !found.good.is_empty();
    let mut samples = samples.finish(found);
    if is_split || samples.test.is_empty() {
        samples.train = good.into_iter().map(Sample::good).collect();
        return Ok(samples);
    }
    let all = good.len();
    let (train, test) = split(root, good);
    samples.note = Some(format!(
        "the data set has no split of its own: of {all} good images, {} are fitted on and {} are measured, chosen by their names",
        train.len(),
        test.len()
    ));
    samples.train = train.into_iter().map(Sample::good).collect();
    samples.test.extend(test.into_iter().map(Sample::good));
    samples.test.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(samples)
}

/// Images to fit on and images to measure with. The order is that of a seeded hash of the names below `root`, so that a few images
/// more move few others from one side to the other.
fn split(root: &Path, images: Vec<PathBuf>) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let mut ranked: Vec<(u64, PathBuf)> = images
        .into_iter()
        .map(|path| {
            (hash(&path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/")), path)
        })
        .collect();
    ranked.sort();
    let count = (TRAIN_SHARE * ranked.len() as f64).round() as usize;
    let count = count.clamp(1.min(ranked.len()), ranked.len());
    let mut train: Vec<PathBuf> = ranked.into_iter().map(|(_, path)| path).collect();
    let mut test = train.split_off(count);
    train.sort();
    test.sort();
    (train, test)
}

/// FNV-1a, with a last mixing step (that of SplitMix64) so that names which differ in one digit are far apart.
fn hash(name: &str) -> u64 {
    let mut hash = fnv1a(START ^ SEED, name.bytes());
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

//! Where images come from: folder layouts, lists of files and buffers, masks.
//!
//! [`open`] recognises a folder's layout and lists its samples without reading a pixel; [`load()`] decodes them in
//! parallel. Every layout is one `Reader` in a file of its own, so a new one is a file and a line in `READERS`.

mod btad;
mod folder;
mod images;
mod join;
mod listing;
mod load;
mod mask;
mod masks;
mod mvtec;
mod names;
mod sorted;
mod visa;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, Serializer};

pub use self::folder::open_folders;
pub use self::images::Images;
pub use self::join::open_all;
pub(crate) use self::join::resolved;
#[doc(hidden)]
pub use self::listing::{Listing, OUTPUT_MARKER, begins_as_image, expand, images_in as image_files, list};
pub use self::load::OnError;
#[doc(hidden)]
pub use self::load::{LoadOptions, Loaded, LoadedImage, load, load_masks};
#[doc(hidden)]
pub use self::mask::{INVERTED, are_inverted, decode_mask, decode_masks};
use crate::error::{Error, Result};

/// How many folder levels below the root [`categories`] looks at.
const CATEGORY_DEPTH: usize = 3;

/// The [`Sample::kind`] of a good image.
pub const GOOD: &str = "good";

/// Whether a product is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// Free of defects.
    Good,
    /// Has at least one defect.
    Defective,
}

/// One image of a data set: where it lies and what is known about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// The image file.
    pub path: PathBuf,
    /// Good or defective.
    pub label: Label,
    /// [`GOOD`], or the name of the folder that the defective image lies in, such as `scratch`.
    pub kind: String,
    /// The ground-truth masks of a defective image, which are joined; none for good ones and where the file is missing.
    pub masks: Vec<PathBuf>,
}

impl Sample {
    /// A defect-free image.
    pub fn good(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), label: Label::Good, kind: GOOD.to_owned(), masks: Vec::new() }
    }

    /// A defective image of the given kind, with its masks if there are any.
    pub fn defective(
        path: impl Into<PathBuf>,
        kind: impl Into<String>,
        masks: impl IntoIterator<Item = PathBuf>,
    ) -> Self {
        Self {
            path: path.into(),
            label: Label::Defective,
            kind: kind.into(),
            masks: masks.into_iter().collect(),
        }
    }
}

/// A file that cannot be used in full, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// The file or folder.
    #[serde(serialize_with = "shown")]
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
    /// How many files it stands for: one, or those that a folder holds.
    #[serde(skip, default = "one")]
    pub files: usize,
    /// Whether it is a folder that cannot be read: what lies in it is missing, and may be images.
    #[serde(skip)]
    pub is_closed_folder: bool,
}

fn one() -> usize {
    1
}

/// A path as a person sees it: one that is no Unicode must not make the whole answer fail.
fn shown<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

impl Problem {
    /// What is wrong with a file.
    pub fn new(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self { path: path.into(), reason: reason.into(), files: one(), is_closed_folder: false }
    }
}

/// How a data set's files are arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// MVTec AD and all that follow it: VisA after its official conversion, MVTec AD 2, MPDD.
    Mvtec,
    /// beanTech (BTAD).
    Btad,
    /// VisA as downloaded.
    Visa,
    /// `good` beside `bad`, or beside folders of other kinds, without a split.
    Sorted,
    /// Folders of images, named one by one.
    Folder,
}

impl Layout {
    /// `mvtec`, `btad`, `visa`, `sorted` or `folder`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mvtec => "mvtec",
            Self::Btad => "btad",
            Self::Visa => "visa",
            Self::Sorted => "sorted",
            Self::Folder => "folder",
        }
    }
}

/// The samples of one category.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSet {
    /// The category's folder.
    pub root: PathBuf,
    /// The category's name: that folder's own name.
    pub category: String,
    /// How its files are arranged.
    pub layout: Layout,
    /// Good images to fit on, never empty, sorted by path.
    pub train: Vec<Sample>,
    /// Good and defective images to measure with; empty when there are only good images to fit on.
    pub test: Vec<Sample>,
    /// What could not be used, or not in full: missing masks, files of other formats.
    pub problems: Vec<Problem>,
    /// What was decided that the folders do not say, such as which good images are fitted on and which measured.
    pub note: Option<String>,
}

/// Of a defective image; it still counts for image-level metrics.
const NO_MASK: &str = "no mask was found for this defective image";

/// What a layout's [`Reader::read`] finds.
#[derive(Default)]
struct Samples {
    train: Vec<Sample>,
    test: Vec<Sample>,
    problems: Vec<Problem>,
    note: Option<String>,
}

impl Samples {
    /// Adds a defective test image; without a mask it still counts for image-level metrics, and is named.
    fn push_defective(&mut self, path: PathBuf, kind: &str, masks: impl IntoIterator<Item = PathBuf>) {
        let sample = Sample::defective(path, kind, masks);
        if sample.masks.is_empty() {
            self.problems.push(Problem::new(&sample.path, NO_MASK));
        }
        self.test.push(sample);
    }
}

/// One layout: how to recognise a category's folder, and how to list it.
struct Reader {
    layout: Layout,
    /// What such a folder holds, for messages.
    expects: &'static str,
    detect: fn(&Path) -> bool,
    read: fn(&Path) -> Result<Samples>,
}

/// In the order in which they are tried: a folder of loose images is the last resort.
const READERS: [Reader; 5] = [mvtec::READER, btad::READER, visa::READER, sorted::READER, folder::READER];

/// Opens one category, whatever its layout: `root` is the category's own folder, or a folder above it with the
/// category's name, relative to `root` and with `/` between levels, as [`categories`] lists it.
///
/// # Errors
///
/// [`Error::Io`] if a folder cannot be read; [`Error::Data`] if no layout fits (with what was looked for and what was
/// found) or there is no good image to fit on.
pub fn open(root: &Path, category: Option<&str>) -> Result<DataSet> {
    let folder = match category {
        // `root` may already be the category that is asked for.
        Some(name) if !root.join(name).is_dir() && folder_name(root) == name => root.to_path_buf(),
        Some(name) => root.join(name),
        None => root.to_path_buf(),
    };
    if !folder.is_dir() {
        let reason = match category {
            Some(name) => format!("there is no category `{name}`; found {}", describe(root)?),
            None => "there is no such folder".to_owned(),
        };
        return Err(Error::data(root, reason));
    }
    if let Some(Problem { path, reason, .. }) = listing::named_output(&folder) {
        return Err(Error::data(path, reason));
    }
    let Some(reader) = READERS.iter().find(|reader| (reader.detect)(&folder)) else {
        return Err(unknown_layout(&folder)?);
    };
    let mut samples = (reader.read)(&folder)?;
    samples.problems.extend(listing::left_out(&folder));
    DataSet::new(folder, reader.layout, samples)
}

impl DataSet {
    fn new(root: PathBuf, layout: Layout, samples: Samples) -> Result<Self> {
        let Samples { train, test, mut problems, note } = samples;
        let without = problems.iter().filter(|problem| problem.reason == NO_MASK).count();
        if without > 1 && test.iter().all(|sample| sample.masks.is_empty()) {
            problems.retain(|problem| problem.reason != NO_MASK);
            let reason = format!(
                "no mask was found for any of {without} defective images: no figures of where defects are"
            );
            problems.push(Problem::new(&root, reason));
        }
        if train.is_empty() {
            return Err(Error::data(root, format!("no good image to fit on was found{}", first(&problems))));
        }
        Ok(Self { category: folder_name(&root), root, layout, train, test, problems, note })
    }
}

/// The categories at and below `root`, up to three levels deep, sorted: names relative to `root` with `/` between
/// levels, or the folder's own name if `root` itself is a category. Folders of loose images are not categories.
///
/// # Errors
///
/// [`Error::Io`] if a folder cannot be read; [`Error::Data`] if there is no category.
pub fn categories(root: &Path) -> Result<Vec<String>> {
    if is_category(root) {
        return Ok(vec![folder_name(root)]);
    }
    let mut names = Vec::new();
    find_categories(root, "", CATEGORY_DEPTH, &mut names)?;
    if names.is_empty() { Err(unknown_layout(root)?) } else { Ok(names) }
}

fn find_categories(folder: &Path, prefix: &str, depth: usize, names: &mut Vec<String>) -> Result<()> {
    for child in listing::subfolders(folder) {
        let name = format!("{prefix}{}", folder_name(&child));
        if is_category(&child) {
            names.push(name);
        } else if depth > 1 {
            find_categories(&child, &format!("{name}/"), depth - 1, names)?;
        }
    }
    Ok(())
}

fn is_category(folder: &Path) -> bool {
    READERS.iter().any(|reader| reader.layout != Layout::Folder && (reader.detect)(folder))
}

/// The error for a folder that no [`Reader`] knows; it says whether there are categories below.
fn unknown_layout(folder: &Path) -> Result<Error> {
    let mut names = Vec::new();
    find_categories(folder, "", CATEGORY_DEPTH, &mut names)?;
    let left_out = first(&listing::left_out(folder));
    if !names.is_empty() {
        let names = names.join(", ");
        let reason = format!("is no category itself, but holds some, name one: {names}{left_out}");
        return Ok(Error::data(folder, reason));
    }
    let expected: Vec<_> = READERS.iter().map(|reader| reader.expects).collect();
    let (expected, found) = (expected.join(", or "), describe(folder)?);
    Ok(Error::data(folder, format!("unknown layout: looked for {expected}; found {found}{left_out}")))
}

/// The first problem, to stand behind what it may explain.
fn first(problems: &[Problem]) -> String {
    let said = problems.first().map(|problem| format!("; {}: {}", problem.path.display(), problem.reason));
    said.unwrap_or_default()
}

/// The first few names in a folder, for messages.
fn describe(folder: &Path) -> Result<String> {
    const SHOWN: usize = 8;
    let entries = listing::entries(folder)?;
    let names: Vec<_> = entries.iter().take(SHOWN).map(|path| format!("`{}`", folder_name(path))).collect();
    Ok(match entries.len() {
        0 => "nothing".to_owned(),
        n if n > SHOWN => format!("{} and {} more", names.join(", "), n - SHOWN),
        _ => names.join(", "),
    })
}

/// The last part of a path, also where it is written as `.` or `..`.
fn folder_name(path: &Path) -> String {
    let named = match path.file_name() {
        Some(name) => Some(name.to_owned()),
        None => path.canonicalize().ok().and_then(|full| full.file_name().map(ToOwned::to_owned)),
    };
    named.map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests;

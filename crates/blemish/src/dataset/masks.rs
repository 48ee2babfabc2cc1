//! Which mask belongs to which image.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::listing::images_below;
use super::names::{Role, image_of, masked_folder, role};
use super::{Problem, folder_name};

/// Masks, found by the image's path relative to the folder of images, regardless of case and extension.
#[derive(Debug, Default)]
pub(super) struct Masks {
    /// By the image that the name says, such as `7` of `7_mask.png`, `7_GT_2.tif`.
    named: HashMap<String, Vec<PathBuf>>,
    /// By the whole name.
    whole: HashMap<String, Vec<PathBuf>>,
    /// By the folder that they lie in, which may be called like an image.
    folders: HashMap<String, Vec<PathBuf>>,
}

impl Masks {
    /// Lists all masks below these folders.
    pub fn below(folders: &[PathBuf]) -> Self {
        let mut masks = Self::default();
        for folder in folders {
            let of = masked_folder(folder).map(PathBuf::from).unwrap_or_default();
            for path in images_below(folder, &mut Vec::new()) {
                masks.insert(of.join(path.strip_prefix(folder).unwrap_or(&path)), path.clone());
            }
        }
        masks
    }

    /// Adds the mask at `path`, called `relative`.
    fn insert(&mut self, relative: PathBuf, path: PathBuf) {
        let name = key(&relative);
        let (above, stem) = name.rsplit_once('/').map_or(("", name.as_str()), |(above, stem)| (above, stem));
        if let Some(image) = image_of(stem) {
            let image = if above.is_empty() { image.to_owned() } else { format!("{above}/{image}") };
            self.named.entry(image).or_default().push(path.clone());
        }
        if !above.is_empty() {
            self.folders.entry(above.to_owned()).or_default().push(path.clone());
        }
        self.whole.entry(name).or_default().push(path);
    }

    /// The masks of the image at `relative`, such as `scratch/000.png`: those whose name says so (`scratch/000_mask.*`,
    /// `scratch/000_gt_1.*`), else `scratch/000.*`, else all in a folder `scratch/000`.
    pub fn find(&self, relative: &Path) -> Vec<PathBuf> {
        let key = key(relative);
        let found = self.named.get(&key).or_else(|| self.whole.get(&key)).or_else(|| self.folders.get(&key));
        found.cloned().unwrap_or_default()
    }

    /// Whether every mask's name is that of one of these images' stems (lower case).
    fn all_belong_to(&self, stems: &HashSet<String>) -> bool {
        let stem = |name: &String| name.rsplit('/').next().unwrap_or(name).to_owned();
        let belongs = |name: &String| {
            let stem = stem(name);
            stems.contains(&stem) || image_of(&stem).is_some_and(|image| stems.contains(image))
        };
        !self.whole.is_empty() && self.whole.keys().all(belongs)
    }

    /// Whether this folder's images, called like some kind of label, are masks of the images with these stems.
    pub(crate) fn are_labels_of(folder: &Path, stems: &HashSet<String>) -> bool {
        Self::below(&[folder.to_path_buf()]).all_belong_to(stems)
    }
}

/// A path's name without its extension, in lower case, `/` between folders.
fn key(relative: &Path) -> String {
    let parts: Vec<String> = relative
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_string_lossy().to_lowercase())
        .collect();
    parts.join("/")
}

/// A file's stem in lower case.
pub(super) fn stem(path: &Path) -> String {
    key(Path::new(path.file_name().unwrap_or_default()))
}

/// The images below a folder, and the masks among them: files in a folder of masks, and files beside an image that are called like
/// its mask.
pub(super) fn images_and_masks(folder: &Path, problems: &mut Vec<Problem>) -> (Vec<PathBuf>, Masks) {
    let (mut images, mut masks, mut inside) = (Vec::new(), Masks::default(), HashSet::new());
    let mut beside = Vec::new();
    for path in images_below(folder, problems) {
        let relative = path.strip_prefix(folder).unwrap_or(&path).to_path_buf();
        let above = relative.parent().map(|above| above.components().collect::<Vec<_>>()).unwrap_or_default();
        let in_masks = above.iter().any(|part| role(Path::new(part)) == Role::Masks);
        if in_masks {
            let kept = above.iter().filter(|part| role(Path::new(part)) != Role::Masks);
            let place: PathBuf = kept.collect::<PathBuf>().join(relative.file_name().unwrap_or_default());
            masks.insert(place, path);
        } else {
            inside.insert(key(&relative));
            beside.push((relative, path));
        }
    }
    for (relative, path) in beside {
        let name = key(&relative);
        let (above, stem) =
            name.rsplit_once('/').map_or((None, name.as_str()), |(above, stem)| (Some(above), stem));
        let image =
            image_of(stem).map(|image| above.map_or(image.to_owned(), |above| format!("{above}/{image}")));
        match image.filter(|image| inside.contains(image)) {
            Some(image) => {
                let reason = format!("taken for the mask of `{image}` beside it, not for an image");
                if role(folder) == Role::Good {
                    problems.push(Problem::new(&path, reason));
                }
                masks.insert(relative, path);
            }
            None => images.push(path),
        }
    }
    (images, masks)
}

/// Defective images of a data set, for which masks are looked for once all are known.
#[derive(Default)]
pub(super) struct Defective {
    images: Vec<(PathBuf, String, PathBuf, Vec<PathBuf>)>,
}

impl Defective {
    /// Adds the images below `folder`, of the kind that it is called; those below a folder that only says that they are defective
    /// are of the kind that their own folder is called.
    pub fn add(&mut self, folder: &Path, problems: &mut Vec<Problem>) {
        let (images, masks) = images_and_masks(folder, problems);
        let named = folder_name(folder);
        for path in images {
            let relative = path.strip_prefix(folder).unwrap_or(&path).to_path_buf();
            let nested = relative.parent().filter(|above| !above.as_os_str().is_empty());
            let kind = match nested {
                Some(above) if role(folder) == Role::Bad => folder_name(above),
                _ => named.clone(),
            };
            let own = masks.find(&relative);
            self.images.push((path, kind, Path::new(&named).join(relative), own));
        }
    }

    /// The stems of all of them.
    pub(crate) fn stems(&self) -> HashSet<String> {
        self.images.iter().map(|(path, ..)| stem(path)).collect()
    }

    /// Every image with its kind and its masks: those beside it, or those in `masks` at the image's own place, at its kind's, or
    /// under its name alone where no other image has it.
    pub(crate) fn with_masks(self, masks: &Masks) -> Vec<(PathBuf, String, Vec<PathBuf>)> {
        let mut count: HashMap<String, usize> = HashMap::new();
        self.images.iter().for_each(|(path, ..)| *count.entry(stem(path)).or_default() += 1);
        let found = |path: &Path, kind: &str, relative: &Path| {
            let name = Path::new(path.file_name().unwrap_or_default());
            let inside: PathBuf = relative.components().skip(1).collect();
            let alone = count.get(&stem(path)) == Some(&1);
            let mut places = vec![relative.to_path_buf(), Path::new(kind).join(name)];
            if let Some(first) = relative.components().next() {
                places.push(Path::new(&first).join(name));
            }
            if alone {
                places.extend([inside, name.to_path_buf()]);
            }
            places.iter().map(|place| masks.find(place)).find(|found| !found.is_empty()).unwrap_or_default()
        };
        let with = |(path, kind, relative, own): (PathBuf, String, PathBuf, Vec<PathBuf>)| {
            let masks = if own.is_empty() { found(&path, &kind, &relative) } else { own };
            (path, kind, masks)
        };
        self.images.into_iter().map(with).collect()
    }
}

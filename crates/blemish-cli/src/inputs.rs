//! What the command line names: data sets to fit on, and images to judge.

use std::fs;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

use blemish::dataset::{self, DataSet, Listing, OUTPUT_MARKER, Problem};
use blemish::{Error, Images};

use crate::failure::{Failure, Result};
use crate::out_folder::resolved;
use crate::output::warn_of;

/// One thing to judge.
#[derive(Debug)]
pub enum Input {
    /// An image file.
    File(PathBuf),
    /// An image that came through standard input.
    Bytes(Vec<u8>),
    /// A file of a folder that is no image.
    Skipped(Problem),
    /// Something that was named, and that is no image.
    Unusable {
        /// As it was named.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl Input {
    /// What it is called in answers.
    pub fn name(&self) -> &Path {
        match self {
            Self::File(path) | Self::Unusable { path, .. } | Self::Skipped(Problem { path, .. }) => path,
            Self::Bytes(_) => Path::new("-"),
        }
    }
}

/// All that is to be judged.
pub struct Inputs {
    /// The images, those of a list on standard input as they come.
    pub images: Box<dyn Iterator<Item = Input>>,
    /// How many there are, where that is known beforehand.
    pub total: Option<usize>,
    /// The folders that they lie in.
    pub folders: Vec<PathBuf>,
}

impl Inputs {
    /// Images, folders, `@` lists and `-`: standard input, which brings an image, or names, one a line.
    ///
    /// # Errors
    /// A list or standard input cannot be read.
    pub fn of(paths: &[PathBuf]) -> Result<Self> {
        let (mut inputs, mut folders, mut stream) = (Vec::new(), Vec::new(), None);
        for path in paths {
            let text = path.to_string_lossy();
            if text == "-" {
                if stream.is_some() {
                    return Err(Failure::Usage("standard input (-) is named twice".to_owned()));
                }
                stream = Some(standard_input()?);
            } else if let Some(list) = text.strip_prefix('@').filter(|_| !path.exists()) {
                let names = fs::read_to_string(list).map_err(|e| Error::io(list, e))?;
                for name in names.lines().filter(|name| !name.trim().is_empty()) {
                    add(Path::new(name), &mut inputs, &mut folders);
                }
            } else {
                add(path, &mut inputs, &mut folders);
            }
        }
        folders.sort();
        folders.dedup();
        let listed = inputs.len();
        let inputs = inputs.into_iter();
        Ok(match stream {
            None => Self { images: Box::new(inputs), total: Some(listed), folders },
            Some(Stream::Image(bytes)) => {
                let images = inputs.chain([Input::Bytes(bytes)]);
                Self { images: Box::new(images), total: Some(listed + 1), folders }
            }
            Some(Stream::Names(names)) => {
                let later = names.flat_map(|name| {
                    let mut found = Vec::new();
                    match name {
                        Ok(name) => add(&name, &mut found, &mut Vec::new()),
                        Err(error) => {
                            found.push(Input::Unusable { path: "-".into(), reason: error.to_string() })
                        }
                    }
                    found
                });
                Self { images: Box::new(inputs.chain(later)), total: None, folders }
            }
        })
    }
}

/// Adds a file, the images of a folder, or what a pattern stands for; other files of a folder are named.
fn add(path: &Path, inputs: &mut Vec<Input>, folders: &mut Vec<PathBuf>) {
    let unusable = |path: PathBuf, reason: String| Input::Unusable { path, reason };
    if !path.exists() && !is_pattern(path) {
        let reason = "there is no such file or folder".to_owned();
        return inputs.push(unusable(path.to_path_buf(), reason));
    }
    let found = match dataset::expand(path) {
        Ok(found) => found,
        Err(error) => return inputs.push(unusable(path.to_path_buf(), error.reason())),
    };
    for path in found {
        folders.push(if path.is_dir() { resolved(&path) } else { parent(&path) });
        match dataset::list(std::slice::from_ref(&path)) {
            Ok(listing) => {
                inputs.extend(listing.images.into_iter().map(Input::File));
                let skipped =
                    listing.skipped.into_iter().filter(|problem| !problem.path.join(OUTPUT_MARKER).exists());
                inputs.extend(skipped.map(Input::Skipped));
            }
            Err(error) => inputs.push(unusable(path, error.reason())),
        }
    }
}

fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?', '['])
}

/// The folder that a file lies in.
pub fn parent(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    resolved(parent.unwrap_or(Path::new(".")))
}

enum Stream {
    Image(Vec<u8>),
    Names(Box<dyn Iterator<Item = io::Result<PathBuf>>>),
}

/// What standard input brings: text is a list of names, anything else an image.
fn standard_input() -> Result<Stream> {
    let failed = |error| Failure::from(Error::io("-", error));
    let mut stdin = io::stdin().lock();
    let mut first = Vec::new();
    stdin.read_until(b'\n', &mut first).map_err(failed)?;
    let Some(text) = std::str::from_utf8(&first).ok().filter(|text| !text.contains('\0')) else {
        stdin.read_to_end(&mut first).map_err(failed)?;
        return Ok(Stream::Image(first));
    };
    let first = text.to_owned();
    let rest = std::iter::from_fn(|| {
        let mut line = String::new();
        match io::stdin().lock().read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(Ok(line)),
            Err(error) => Some(Err(error)),
        }
    });
    let names = std::iter::once(Ok(first)).chain(rest).filter_map(|line| match line {
        Ok(line) => {
            let name = line.trim_end_matches(['\r', '\n']);
            (!name.trim().is_empty()).then(|| Ok(PathBuf::from(name)))
        }
        Err(error) => Some(Err(error)),
    });
    Ok(Stream::Names(Box::new(names)))
}

/// The images of files and folders; other files are named on standard error.
///
/// # Errors
/// Those of [`dataset::list`].
pub fn images(paths: &[PathBuf]) -> Result<Images> {
    let Listing { images, skipped } = dataset::list(paths)?;
    warn_of(&skipped);
    Ok(Images::from(images))
}

/// The data set of one or several paths; says what was found where that is not obvious.
///
/// # Errors
/// Those of [`dataset::open_all`].
pub fn open_data(paths: &[PathBuf], category: Option<&str>) -> Result<DataSet> {
    let set = dataset::open_all(paths, category)?;
    if let Some(note) = &set.note {
        tracing::info!("{note}");
    }
    Ok(set)
}

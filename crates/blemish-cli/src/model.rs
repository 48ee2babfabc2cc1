//! Finding a model file.

use std::io::{Error as IoError, ErrorKind};
use std::path::{Path, PathBuf};

use blemish::dataset::{self, begins_as_image};
use blemish::{Detector, Error};

use crate::failure::Result;
use crate::output::quoted;

/// Name of the model file in the folder of a run.
pub const MODEL: &str = "model.safetensors";

/// The model file that `path` means: itself, or the one in a run's folder.
///
/// # Errors
/// There is nothing at `path`, or it is a folder without a model.
pub fn model_file(path: &Path) -> Result<PathBuf> {
    let missing = |reason: String| Error::io(path, IoError::new(ErrorKind::NotFound, reason));
    if !path.exists() {
        return Err(missing(
            "there is no such file or folder; a model is made by 'blemish train'".to_owned(),
        )
        .into());
    }
    if !path.is_dir() {
        return Ok(path.to_path_buf());
    }
    let model = path.join(MODEL);
    if model.is_file() {
        return Ok(model);
    }
    let reason = format!(
        "this folder holds no model ({MODEL}); if it holds images of good products, make one with: blemish train {} --out RUN",
        quoted(path)
    );
    Err(missing(reason).into())
}

/// The model file that `path` means, where that can be data as well; `None` where it is data: a folder without a model, or a
/// pattern that stands for several files or folders.
///
/// # Errors
/// As [`model_file`].
pub fn model_unless_data(path: &Path) -> Result<Option<PathBuf>> {
    // What matches nothing is told of as a path.
    let found = dataset::expand(path).unwrap_or_else(|_| vec![path.to_path_buf()]);
    match found.as_slice() {
        [one] if !one.is_dir() || one.join(MODEL).is_file() => model_file(one).map(Some),
        _ => Ok(None),
    }
}

/// Loads the model that `path` means.
///
/// # Errors
/// As [`model_file`]; a file that is no model.
pub fn load(path: &Path) -> Result<Detector> {
    load_file(&model_file(path)?)
}

/// Loads a model file; an image is called one.
///
/// # Errors
/// A file that is no model.
pub fn load_file(path: &Path) -> Result<Detector> {
    Ok(Detector::load(path).map_err(|error| match error {
        Error::Model { .. } if begins_as_image(path) => Error::model(path, "is an image, not a model"),
        error => error,
    })?)
}

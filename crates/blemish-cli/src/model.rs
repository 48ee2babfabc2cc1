//! Finding a model file.

use std::io::{Error as IoError, ErrorKind};
use std::path::{Path, PathBuf};

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

/// Loads the model that `path` means.
///
/// # Errors
/// As [`model_file`]; a file that is no model.
pub fn load(path: &Path) -> Result<Detector> {
    Ok(Detector::load(model_file(path)?)?)
}

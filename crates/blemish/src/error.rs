//! One error type for the whole library: every variant names the file or the field that is at fault.

use std::path::{Path, PathBuf};

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, with what a person needs in order to mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration value that cannot be used.
    #[error("configuration: `{field}`: {reason}")]
    Config {
        /// Dotted path of the field, such as `model.num_heads`.
        field: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The operating system refused to read or write a file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// An image that cannot be used.
    #[error("{}: {reason}", path.display())]
    Image {
        /// The image file.
        path: PathBuf,
        /// Why it cannot be used.
        reason: String,
    },
    /// A data set that is not laid out as expected, or lacks what the work needs.
    #[error("{}: {reason}", path.display())]
    Data {
        /// The data set's folder.
        path: PathBuf,
        /// What was looked for and what was found.
        reason: String,
    },
    /// A model file or checkpoint that cannot be used.
    #[error("{}: {reason}", path.display())]
    Model {
        /// The model file.
        path: PathBuf,
        /// Why it cannot be used.
        reason: String,
    },
    /// A metric that is not defined on the given input.
    #[error("metric: {0}")]
    Metric(String),
    /// Training was asked to stop; everything up to the last checkpoint is kept.
    #[error("interrupted: continue with --resume")]
    Interrupted,
    /// Training diverged: a loss or a score is not a finite number.
    #[error("training: {0}")]
    Training(String),
}

impl Error {
    /// An [`Error::Config`] for `field`.
    pub fn config(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Config { field: field.into(), reason: reason.into() }
    }

    /// What is wrong, without the name of the file, for where that stands beside it.
    pub fn reason(&self) -> String {
        match self {
            Self::Image { reason, .. } | Self::Data { reason, .. } | Self::Model { reason, .. } => {
                reason.clone()
            }
            Self::Io { source, .. } => source.to_string(),
            other => other.to_string(),
        }
    }

    /// An [`Error::Io`] for `path`.
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io { path: path.as_ref().to_path_buf(), source }
    }

    /// An [`Error::Image`] for `path`.
    pub fn image(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Image { path: path.as_ref().to_path_buf(), reason: reason.into() }
    }

    /// An [`Error::Data`] for `path`.
    pub fn data(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Data { path: path.as_ref().to_path_buf(), reason: reason.into() }
    }

    /// An [`Error::Model`] for `path`.
    pub fn model(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Model { path: path.as_ref().to_path_buf(), reason: reason.into() }
    }
}

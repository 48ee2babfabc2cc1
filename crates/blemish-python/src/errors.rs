//! Errors of the library as exceptions of `blemish.errors`.

use blemish::Error;
use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::PyType;

/// An exception of that name in `blemish.errors`.
pub fn named(py: Python<'_>, name: &str, message: impl Into<String>) -> PyErr {
    let message = message.into();
    match py.import("blemish.errors").and_then(|errors| Ok(errors.getattr(name)?.cast_into::<PyType>()?)) {
        Ok(kind) => PyErr::from_type(kind, message),
        Err(_) => PyRuntimeError::new_err(message),
    }
}

/// An image that cannot be used.
pub fn image(py: Python<'_>, message: impl Into<String>) -> PyErr {
    named(py, "ImageError", message)
}

/// The exception of an error.
pub fn raise(py: Python<'_>, error: Error) -> PyErr {
    let name = match &error {
        Error::Io { path, source } => {
            let path = path.display().to_string();
            return match source.raw_os_error() {
                // Python makes a FileNotFoundError and its like of that.
                Some(code) => {
                    let text = source.to_string();
                    let text = text.split(" (os error").next().unwrap_or_default().to_owned();
                    PyOSError::new_err((code, text, path))
                }
                None => PyOSError::new_err(format!("{path}: {source}")),
            };
        }
        Error::Config { field, .. } if field == "image" || field == "stride" => "ImageError",
        Error::Config { .. } => "ConfigError",
        Error::Image { .. } => "ImageError",
        Error::Data { .. } | Error::Metric(_) => "DataError",
        Error::Model { .. } => "ModelError",
        _ => "BlemishError",
    };
    named(py, name, error.to_string())
}

//! The Python package `blemish`: this native module, and in `python/blemish` the exceptions, type stubs and anomalib's names.

mod array;
mod detector;
mod errors;
mod fit;
mod prediction;
mod settings;

use pyo3::prelude::*;

#[pymodule]
mod _blemish {
    #[pymodule_export]
    use crate::detector::Detector;
    #[pymodule_export]
    use crate::prediction::{Prediction, Region};
    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "Python's name for it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}

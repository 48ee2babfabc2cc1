//! Settings as keyword arguments: `seed=1`, `score__fpr=0.01`, `score={"fpr": 0.01}`, `**{"score.fpr": 0.01}`.

use blemish::config::{Config, Overlay, Preset};
use pyo3::exceptions::PyRecursionError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::errors::{named, raise};

/// The configuration of a preset with these settings.
pub fn config(py: Python<'_>, settings: Option<&Bound<'_, PyDict>>) -> PyResult<Config> {
    let mut overlay = Overlay::default();
    if let Some(settings) = settings {
        lay(&mut overlay, "", settings, 0)?;
    }
    let preset = match overlay.text("preset") {
        Some("diyt") => Preset::Diyt,
        _ => Preset::Light,
    };
    let config = Config::preset(preset).with(&overlay).map_err(|error| raise(py, error))?;
    config.validate().map_err(|error| raise(py, error))?;
    Ok(config)
}

/// Dicts and lists within each other; deeper ones are refused, as are those that hold themselves.
const DEEPEST: usize = 8;

fn lay(overlay: &mut Overlay, prefix: &str, settings: &Bound<'_, PyDict>, depth: usize) -> PyResult<()> {
    let py = settings.py();
    for (key, value) in settings {
        let key: String = key.extract()?;
        let key = format!("{prefix}{}", key.replace("__", "."));
        if key.contains('=') {
            return Err(named(py, "ConfigError", format!("`{key}` is no setting")));
        }
        if let Ok(table) = value.cast::<PyDict>() {
            if depth == DEEPEST {
                return Err(named(py, "ConfigError", format!("`{key}` is no setting")));
            }
            lay(overlay, &format!("{key}."), table, depth + 1)?;
            continue;
        }
        let value = toml_of(&value, 0).map_err(|_| {
            named(py, "ConfigError", format!("`{key}`: a setting is a number, text, bool or list of these"))
        })?;
        *overlay =
            std::mem::take(overlay).set(&format!("{key}={value}")).map_err(|error| raise(py, error))?;
    }
    Ok(())
}

fn toml_of(value: &Bound<'_, PyAny>, depth: usize) -> PyResult<toml::Value> {
    Ok(if value.is_instance_of::<PyBool>() {
        toml::Value::Boolean(value.extract()?)
    } else if value.is_instance_of::<PyInt>() || value.hasattr("__index__")? {
        toml::Value::Integer(value.call_method0("__index__")?.extract()?)
    } else if value.is_instance_of::<PyFloat>() {
        toml::Value::Float(value.extract()?)
    } else if value.is_instance_of::<PyString>() {
        toml::Value::String(value.extract()?)
    } else if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        if depth == DEEPEST {
            return Err(PyRecursionError::new_err("a list within too many lists"));
        }
        let items = value.try_iter()?.map(|item| toml_of(&item?, depth + 1));
        toml::Value::Array(items.collect::<PyResult<_>>()?)
    } else {
        toml::Value::Float(value.call_method0("__float__")?.extract()?)
    })
}

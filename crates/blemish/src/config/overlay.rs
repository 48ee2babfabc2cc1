//! Laying settings over a complete configuration: a TOML file, then one `key=value` after the other.

use std::path::Path;

use serde::{Serialize, de::DeserializeOwned};

use super::settings::{Setting, require_known};
use crate::error::{Error, Result};
use crate::read::read_text;

/// Settings as a TOML table; later ones replace earlier ones, table by table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overlay {
    table: toml::Table,
}

impl Overlay {
    /// Adds the settings of the TOML file at `path`.
    ///
    /// # Errors
    /// The file cannot be read, or is not TOML.
    pub fn file(mut self, path: &Path) -> Result<Self> {
        let text = read_text(path)?;
        let over: toml::Table =
            toml::from_str(&text).map_err(|e| Error::config(path.display().to_string(), e.to_string()))?;
        lay_over(&mut self.table, over);
        Ok(self)
    }

    /// Adds one `key=value`, such as `memory.use=never`. A value that is not TOML is taken for a string.
    ///
    /// # Errors
    /// The text has no `=`.
    pub fn set(mut self, assignment: &str) -> Result<Self> {
        let (key, value) = assignment
            .split_once('=')
            .ok_or_else(|| Error::config(assignment, "expected key=value, such as score.fpr=0.01"))?;
        let value = toml::from_str::<toml::Table>(&format!("v = {value}"))
            .ok()
            .and_then(|mut table| table.remove("v"))
            .unwrap_or_else(|| toml::Value::String(value.to_owned()));
        let over = key.rsplit('.').fold(value, |inner, part| {
            toml::Value::Table(toml::Table::from_iter([(part.to_owned(), inner)]))
        });
        if let toml::Value::Table(over) = over {
            lay_over(&mut self.table, over);
        }
        Ok(self)
    }

    /// The string at the top level under `key`.
    #[doc(hidden)]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.table.get(key).and_then(toml::Value::as_str)
    }

    /// Takes out the top-level entries named in `keys`, for a configuration of their own.
    #[doc(hidden)]
    #[must_use]
    pub fn take(&mut self, keys: &[&str]) -> Self {
        let taken = keys.iter().filter_map(|key| Some(((*key).to_owned(), self.table.remove(*key)?)));
        Self { table: taken.collect() }
    }

    /// `base` with these settings, which must be among `settings`.
    ///
    /// # Errors
    /// [`Error::Config`] for a key that is no setting or a value of the wrong type.
    #[doc(hidden)]
    pub fn apply<C: Serialize + DeserializeOwned>(&self, base: &C, settings: &[Setting]) -> Result<C> {
        require_known(&self.table, settings)?;
        let wrong = |reason: String| Error::config("settings", reason.trim_end().replace('\n', " "));
        let mut table = toml::Table::try_from(base).map_err(|e| wrong(e.to_string()))?;
        lay_over(&mut table, self.table.clone());
        table.try_into().map_err(|e: toml::de::Error| wrong(e.to_string()))
    }
}

fn lay_over(base: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(value)) => lay_over(inner, value),
            // `1` is a fine way to write the float 1.0.
            (Some(slot @ toml::Value::Float(_)), toml::Value::Integer(i)) => *slot = (i as f64).into(),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn later_settings_replace_earlier_ones() {
        let overlay = Overlay::default().set("score.fpr=1").unwrap().set("score.fpr=0.25").unwrap();
        let config = Config::default().with(&overlay.set("data.image_size=[128, 64]").unwrap()).unwrap();
        assert_eq!((config.score.fpr, config.data.image_size), (0.25, [128, 64]));
    }

    #[test]
    fn unknown_keys_and_wrong_types_are_named() {
        for (setting, named) in [
            (
                "score.fprr=1",
                "`score.fprr`: is no setting; those of this group are score.threshold, score.fpr",
            ),
            ("score=1", "`score`: is no setting but a group of them: score.threshold"),
            ("model.depth=3", "`model.depth`: is no setting; docs/settings.md"),
            (
                "data.view={size=[16, 16]}",
                "`data.view.size`: is no setting; those of this group are data.image_size",
            ),
            ("seed.x=1", "invalid type"),
            ("seed=many", "invalid type"),
            ("nothing", "nothing"),
        ] {
            let error = Overlay::default().set(setting).and_then(|over| Config::default().with(&over));
            let message = error.unwrap_err().to_string();
            assert!(message.contains(named), "{setting}: {message}");
        }
    }

    #[test]
    fn a_part_is_taken_out_for_another_configuration() {
        let mut overlay = Overlay::default().set("train.batch_size=4").unwrap().set("seed=1").unwrap();
        assert_eq!(overlay.take(&["train", "mask"]), Overlay::default().set("train.batch_size=4").unwrap());
        assert_eq!(overlay, Overlay::default().set("seed=1").unwrap());
    }
}

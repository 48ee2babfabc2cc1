//! The table of settings in the documentation, made from the code.

use blemish::Result;
use blemish::config::{Preset, Setting};

use crate::config::RunConfig;
use crate::keys::all;

/// The table as Markdown.
///
/// # Errors
/// None in practice: the configuration must be serialisable.
pub fn settings_table() -> Result<String> {
    let defaults = RunConfig::preset(Preset::Light).to_table()?;
    let mut table = String::from(
        "# Settings\n\nMade from the code (`crates/blemish/src/config/settings.rs`, `crates/blemish-train/src/keys.rs`, held by a \
         test). A setting is given as `--set key=value`, or in a TOML file with `--config`, such as the `run.toml` of a run. There \
         are no others: the network's architecture and how it is trained belong to the preset (`--preset light`, `--preset diyt`). \
         Defaults are those of `light`.\n\n\
         | key | default | range | when to touch it |\n|---|---|---|---|\n",
    );
    for Setting { key, range, when } in all() {
        let value =
            key.split('.').try_fold(toml::Value::Table(defaults.clone()), |at, part| at.get(part).cloned());
        let default = value.map_or_else(|| "absent".to_owned(), |value| value.to_string());
        table += &format!("| `{key}` | `{default}` | {range} | {when} |\n");
    }
    Ok(table)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use blemish::config::{Overlay, ViewConfig};

    use super::*;

    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/settings.md");

    fn with(key: &str, value: &str) -> Result<RunConfig> {
        RunConfig::preset(Preset::Light).with(&Overlay::default().set(&format!("{key}={value}"))?)
    }

    /// Every key that a configuration can hold, down to what is no table.
    fn leaves(prefix: &str, table: &toml::Table, keys: &mut Vec<String>) {
        for (key, value) in table {
            let path = format!("{prefix}{key}");
            match value {
                toml::Value::Table(inner) => leaves(&format!("{path}."), inner, keys),
                _ => keys.push(path),
            }
        }
    }

    #[test]
    fn the_documentation_has_the_table() {
        let table = settings_table().unwrap();
        if std::env::var_os("BLEMISH_WRITE_DOCS").is_some() {
            std::fs::write(PAGE, &table).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(PAGE).unwrap(),
            table,
            "run this test once with BLEMISH_WRITE_DOCS=1"
        );
    }

    /// A key that is none of the page's rows is refused, whatever the configuration holds.
    #[test]
    fn what_can_be_set_is_documented_and_nothing_else() {
        let page = std::fs::read_to_string(PAGE).unwrap();
        let documented: Vec<&str> =
            page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        let mut keys: Vec<String> = documented.iter().map(|&key| key.to_owned()).collect();
        for preset in [Preset::Light, Preset::Diyt] {
            let mut config = RunConfig::preset(preset);
            config.detector.data.view =
                Some(ViewConfig { product: Some([0.5, 1.0]), ..ViewConfig::whole([256, 256]) });
            config.mask.block_max = Some(4);
            config.train.precision = Some(Default::default());
            leaves("", &config.to_table().unwrap(), &mut keys);
        }
        keys.retain(|key| key != "preset");
        assert!(documented.len() <= 30 && keys.contains(&"model.stem_dims".to_owned()), "{keys:?}");
        for key in keys {
            // A table is of the wrong type for every setting: what is refused must be the value, not the key.
            let message = with(&key, "{nothing=0}").unwrap_err().to_string();
            let is_refused = message.contains("is no setting");
            assert_eq!(is_refused, !documented.contains(&key.as_str()), "{key}: {message}");
        }
    }
}

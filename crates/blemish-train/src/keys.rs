//! What can be set of a training, beside the settings of the detector.

use blemish::config::{SETTINGS as OF_DETECTOR, Setting};

/// The settings of training.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "train.pretrain.epochs",
        "0 to 100000; absent",
        "Epochs of masked reconstruction where a network is trained.",
    ),
    Setting::new(
        "train.finetune.epochs",
        "0 to 100000; absent",
        "Epochs of repair where a network is trained; `--finetune MINUTES`.",
    ),
    Setting::new(
        "train.epoch_images",
        "0 to 10000000; 0: every image once",
        "Images of an epoch, small sets repeated: less where the model is to be validated more often.",
    ),
    Setting::new("train.batch_size", "1 to 4096", "Less where memory is short."),
];

/// Those of the detector and of training.
pub(crate) fn all() -> impl Iterator<Item = &'static Setting> {
    OF_DETECTOR.iter().chain(SETTINGS)
}

/// What of a complete configuration can be set, the preset with it.
pub(crate) fn settable(table: &toml::Table) -> toml::Table {
    fn kept(prefix: &str, table: &toml::Table) -> toml::Table {
        let keep = |(key, value): (&String, &toml::Value)| {
            let path = format!("{prefix}{key}");
            if path == "preset" || all().any(|setting| setting.key == path) {
                return Some((key.clone(), value.clone()));
            }
            let inner = kept(&format!("{path}."), value.as_table()?);
            (!inner.is_empty()).then_some((key.clone(), inner.into()))
        };
        table.iter().filter_map(keep).collect()
    }
    kept("", table)
}

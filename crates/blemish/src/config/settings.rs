//! What can be set: one table of settings, from which unknown keys are refused and the documentation is made.
//!
//! A configuration holds more than that, such as the network's architecture: what a preset fixes, and what is found from the
//! training images. That is stored with a model and cannot be set.

use crate::error::{Error, Result};

/// A setting that a user can give.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its dotted path, such as `score.fpr`.
    pub key: &'static str,
    /// Its values.
    pub range: &'static str,
    /// When to touch it.
    pub when: &'static str,
}

impl Setting {
    /// A row of the table.
    pub const fn new(key: &'static str, range: &'static str, when: &'static str) -> Self {
        Self { key, range, when }
    }
}

/// The settings of a detector.
pub const SETTINGS: &[Setting] = &[
    Setting::new("seed", "0 to 2^63 - 1", "To see how much a result depends on chance; `--seed`."),
    Setting::new(
        "data.image_size",
        "[height, width], multiples of 16 up to 4096",
        "Small defects in large images: more pixels see more and take longer.",
    ),
    Setting::new(
        "data.fit",
        "auto, stretch",
        "`stretch` where every image must be seen whole, whatever it shows, or shows a surface at another scale.",
    ),
    Setting::new(
        "data.align",
        "auto, always, never",
        "`never` where the product deforms and registration harms.",
    ),
    Setting::new(
        "data.channels",
        "1, 3; absent: from the images",
        "3 where colour matters although the first images look grey.",
    ),
    Setting::new(
        "data.range",
        "[black, white]; absent: from the images",
        "Images of more than 8 bits or floating point whose range is known.",
    ),
    Setting::new(
        "data.normalize",
        "robust, none",
        "`none` where brightness itself is the defect and the light is constant.",
    ),
    Setting::new("data.max_pixels", "at least 1", "Larger photographs than 100 megapixels; `--max-pixels`."),
    Setting::new(
        "memory.use",
        "auto, always, never",
        "`auto`: where the product's pose is fixed or can be rectified.",
    ),
    Setting::new(
        "memory.prototypes",
        "1 to 4096",
        "More where good products vary much; the model grows with it.",
    ),
    Setting::new(
        "lines",
        "auto, always, never",
        "`auto`: on surfaces and products in any pose. Finds cracks and scratches.",
    ),
    Setting::new(
        "texture",
        "auto, always, never",
        "`auto`: on surfaces and products in any pose. Finds stains, holes, rubbed places.",
    ),
    Setting::new(
        "features.use",
        "always, never",
        "`never` leaves out the memory of the pre-trained network's features: fit and prediction take a half to a fifth of the time, and less is found on most products.",
    ),
    Setting::new(
        "features.weights",
        "a file of `blemish pretrain`, or an EfficientNet-Lite or a ViT as safetensors",
        "To use weights of your own instead of the built-in ones; `--features FILE` ([how](features.md)).",
    ),
    Setting::new(
        "network.use",
        "auto, always, never",
        "`always` trains the network on the product and uses it beside the other parts.",
    ),
    Setting::new(
        "network.init",
        "none, pretrained, a file of `blemish pretrain`; absent: none",
        "What the network starts from; without `--finetune` it is used as it is. `--init`.",
    ),
    Setting::new(
        "network.map",
        "defect, reconstruction",
        "`reconstruction` scores by the squared error of the network's reconstruction.",
    ),
    Setting::new(
        "network.passes",
        "1 to 64",
        "With `reconstruction`: complementary masks, so that no patch sees itself.",
    ),
    Setting::new(
        "network.precision",
        "f32, bf16, int8; absent: the fastest here",
        "`f32` to compare numbers across machines to 1e-5.",
    ),
    Setting::new("fit.contamination", "0 to 0.5", "0 where every good image is known to be good."),
    Setting::new(
        "score.threshold",
        "fpr, percentile, sigma",
        "How the threshold follows from scores of good images: a target rate, the 95th percentile, or mean + 3 standard \
         deviations; `--threshold`.",
    ),
    Setting::new(
        "score.fpr",
        "0.000001 or more, below 1",
        "The share of good products that may be rejected; `--fpr`.",
    ),
    Setting::new(
        "score.review_fpr",
        "above score.fpr, below 1; absent",
        "A second, lower threshold: what lies between is for a person to look at.",
    ),
    Setting::new("score.min_area", "pixels of the image", "Smaller regions are no defects."),
    Setting::new(
        "score.reduce",
        "auto, max, top_mean",
        "`top_mean` where defects are faint and wide, `max` where they are small.",
    ),
];

/// [`Error::Config`] for the first key of `table` that is none of `settings`; `preset` may be there, too.
pub(super) fn require_known(table: &toml::Table, settings: &[Setting]) -> Result<()> {
    known("", table, settings)
}

fn known(prefix: &str, table: &toml::Table, settings: &[Setting]) -> Result<()> {
    for (key, value) in table {
        let path = format!("{prefix}{key}");
        if path == "preset" || settings.iter().any(|setting| setting.key == path) {
            continue;
        }
        let below = format!("{path}.");
        let inner: Vec<&str> =
            settings.iter().map(|setting| setting.key).filter(|key| key.starts_with(&below)).collect();
        match value {
            toml::Value::Table(value) if !inner.is_empty() => known(&below, value, settings)?,
            _ if !inner.is_empty() => {
                let reason = format!("is no setting but a group of them: {}", inner.join(", "));
                return Err(Error::config(path, reason));
            }
            value => {
                let path = deepest(path, value);
                let reason = unknown(&path, settings);
                return Err(Error::config(path, reason));
            }
        }
    }
    Ok(())
}

/// `path`, and on to the first key of all that is below it.
fn deepest(path: String, value: &toml::Value) -> String {
    match value.as_table().and_then(|table| table.iter().next()) {
        Some((key, value)) => deepest(format!("{path}.{key}"), value),
        None => path,
    }
}

/// Why `path` is refused, with what there is instead.
fn unknown(path: &str, settings: &[Setting]) -> String {
    let group = path.split_once('.').map_or("", |(group, _)| group);
    let beside: Vec<&str> = settings
        .iter()
        .map(|setting| setting.key)
        .filter(|key| key.split_once('.').is_some_and(|(other, _)| other == group))
        .collect();
    if beside.is_empty() {
        return "is no setting; docs/settings.md lists them all".to_owned();
    }
    format!("is no setting; those of this group are {}", beside.join(", "))
}

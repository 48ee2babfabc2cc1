//! The table of settings in the documentation, made from the code: defaults are those of the preset `light`.

use blemish::Result;
use blemish::config::Preset;

use crate::config::RunConfig;

/// A setting: its key, its range, and when to touch it.
type Setting = (&'static str, &'static str, &'static str);

/// Settings that a user may want to touch.
const SETTINGS: &[Setting] = &[
    ("seed", "0 to 2^63 - 1", "To see how much a result depends on chance; `--seed`."),
    (
        "data.image_size",
        "[height, width], multiples of 16 up to 4096",
        "Small defects in large images: more pixels see more and take longer.",
    ),
    (
        "data.fit",
        "auto, stretch",
        "`stretch` where every image must be seen whole, whatever lies on it, or shows a surface at another scale.",
    ),
    ("data.align", "auto, always, never", "`never` where the product deforms and registration harms."),
    (
        "data.channels",
        "1, 3; absent: from the images",
        "3 where colour matters although the first images look grey.",
    ),
    (
        "data.range",
        "[black, white]; absent: from the images",
        "Images of more than 8 bits or floating point whose range is known.",
    ),
    (
        "data.normalize",
        "robust, none",
        "`none` where brightness itself is the defect and the light is constant.",
    ),
    ("data.max_pixels", "at least 1", "Larger photographs than 100 megapixels; `--max-pixels`."),
    ("data.tiles", "1 to 16", "With a trained network on views larger than it takes in at once."),
    ("memory.use", "auto, always, never", "`auto`: where the product's pose is fixed or can be rectified."),
    ("memory.components", "1 to 64", "Fewer make the model smaller and coarser."),
    ("memory.prototypes", "1 to 4096", "More where good products vary much; the model grows with it."),
    ("lines", "auto, always, never", "`auto`: on surfaces. Finds cracks and scratches."),
    ("texture", "auto, always, never", "`auto`: on surfaces. Finds stains, holes, rubbed places."),
    ("features.use", "always, never", "`always` adds a memory of a pre-trained network's features."),
    ("features.weights", "a file of `blemish pretrain`", "Needed with `features.use=always`."),
    (
        "network.use",
        "auto, always, never",
        "`always` trains the network on the product and uses it beside the other parts.",
    ),
    (
        "network.map",
        "defect, reconstruction",
        "`reconstruction` scores by what the network reconstructs otherwise than it is.",
    ),
    (
        "network.passes",
        "1 to 64",
        "With `reconstruction`: complementary masks, so that no patch sees itself.",
    ),
    (
        "network.precision",
        "f32, bf16, int8; absent: the fastest here",
        "`f32` to compare numbers across machines to 1e-5.",
    ),
    ("network.smooth_sigma", "0 to 64", "Smoothing of the network's map, pixels."),
    ("fit.contamination", "0 to 0.5", "0 where every good image is known to be good."),
    ("fit.holdout", "0 to 0.5", "Good images that a trained network does not see."),
    (
        "score.threshold",
        "fpr, percentile, sigma",
        "How the threshold follows from scores of good images; `--threshold`.",
    ),
    ("score.fpr", "above 0, below 1", "The share of good products that may be rejected; `--fpr`."),
    (
        "score.review_fpr",
        "above score.fpr, below 1; absent",
        "A second, lower threshold: what lies between is for a person to look at.",
    ),
    ("score.min_area", "pixels of the image", "Smaller regions are no defects."),
    (
        "score.reduce",
        "auto, max, top_mean",
        "`top_mean` where defects are faint and wide, `max` where they are small.",
    ),
    (
        "train.pretrain.epochs",
        "0 to 100000; absent",
        "Epochs of masked reconstruction where a network is trained.",
    ),
    (
        "train.finetune.epochs",
        "0 to 100000; absent",
        "Epochs of repair where a network is trained; `--finetune MINUTES`.",
    ),
    ("train.batch_size", "1 to 4096", "Less where memory is short."),
    (
        "train.defects.area",
        "[smallest, largest], shares of the image",
        "The size of the synthetic defects that a network is trained on.",
    ),
];

/// The table as Markdown.
///
/// # Errors
/// None in practice: the configuration must be serialisable.
pub fn settings_table() -> Result<String> {
    let text = RunConfig::preset(Preset::Light).to_toml()?;
    let defaults: toml::Table = text.parse().unwrap_or_default();
    let mut table = String::from(
        "# Settings\n\nMade from the code (`crates/blemish-train/src/settings.rs`, held by a test). A setting is given as `--set key=value`, \
         or in a TOML file with `--config`. Keys under `model`, `mask` and the rest of `train` shape the network and its training; \
         they belong to the presets, and `run.toml` in the folder of a run lists them all.\n\n\
         | key | default | range | when to touch it |\n|---|---|---|---|\n",
    );
    for (key, range, when) in SETTINGS {
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
    use blemish::config::Overlay;

    use super::*;

    #[test]
    fn the_documentation_has_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/settings.md");
        let table = settings_table().unwrap();
        if std::env::var_os("BLEMISH_WRITE_DOCS").is_some() {
            std::fs::write(path, &table).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(path).unwrap(),
            table,
            "run this test once with BLEMISH_WRITE_DOCS=1"
        );
    }

    #[test]
    fn every_key_exists() {
        for (key, ..) in SETTINGS {
            // A table is of the wrong type for every one of them: what is refused must be the value, not the key.
            let overlay = Overlay::default().set(&format!("{key}={{nothing=0}}")).unwrap();
            let message = RunConfig::preset(Preset::Light).with(&overlay).unwrap_err().to_string();
            let last = key.rsplit('.').next().unwrap();
            assert!(!message.contains(&format!("unknown field `{last}`")), "{key}: {message}");
        }
    }
}

//! The settings of a training, as the command line gives them.

use std::path::PathBuf;

use blemish::Error;
use blemish::config::{NetworkInit, Overlay, Preset, Use};
use blemish_train::RunConfig;
use clap::Args;

use crate::args::{named, positive, share};
use crate::failure::{Failure, Result};

const PRESETS: [Preset; 2] = [Preset::Light, Preset::Diyt];

/// Each of these is laid over the one before it.
#[derive(Args, Clone)]
#[group(id = "settings", multiple = true)]
pub struct Settings {
    /// Where to start: 'light' for ordinary computers (the default), 'diyt' as published
    #[arg(long, value_parser = named(&PRESETS, Preset::name))]
    preset: Option<Preset>,
    /// A TOML file with settings, such as the run.toml of another run
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One setting, such as memory.prototypes=256; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The same seed gives the same model
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: Option<u64>,
    /// Accept this share of false alarms among good images [default: 0.05]
    #[arg(long, alias = "far", value_name = "RATE", value_parser = share)]
    fpr: Option<f64>,
    /// Use the memory of this network's features: weights of 'blemish pretrain', or an EfficientNet-Lite or ViT of your own as
    /// safetensors (docs/features.md)
    #[arg(long, value_name = "FILE")]
    features: Option<PathBuf>,
    /// Refuse images of more pixels than this before they are decoded [default: 100000000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_pixels: Option<u64>,
}

/// What is said of the network on the command line, where one can be trained.
#[derive(Args, Clone, Default)]
#[group(id = "network", multiple = true)]
pub struct NetworkArgs {
    /// Train the network on these images for about this long, and let it contribute to the score
    #[arg(long, value_name = "MINUTES", value_parser = positive)]
    pub finetune: Option<f64>,
    /// What the network starts from: 'pretrained' (the weights in the program), 'none' (random ones) or a file of 'pretrain'.
    /// Without --finetune, and with network.use=always, pre-trained weights are used as they are
    #[arg(long, value_name = "pretrained | none | FILE")]
    init: Option<String>,
}

impl NetworkArgs {
    fn apply(&self, config: &mut RunConfig) -> Result<()> {
        if let Some(init) = &self.init {
            config.detector.network.init = NetworkInit::from(init.clone());
        }
        if self.finetune.is_some() {
            config.finetune();
        }
        let is_used = match config.detector.network.usage {
            Use::Always => true,
            Use::Auto => config.epochs() > 0,
            Use::Never => false,
        };
        if self.init.is_some() && !is_used {
            return Err(Failure::Usage(
                "--init: these settings use no network; add --finetune MINUTES, or --set network.use=always to use pre-trained \
                 weights as they are"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

impl Settings {
    /// The same with further settings, laid over those of `--set`.
    #[must_use]
    pub fn and(&self, set: &[String]) -> Self {
        Self { set: [&self.set, set].concat(), ..self.clone() }
    }

    /// The configuration for `category`.
    ///
    /// # Errors
    /// A file that cannot be read; a setting that does not exist or cannot work.
    pub fn config(&self, category: &str, network: &NetworkArgs) -> Result<RunConfig> {
        let mut overlay = Overlay::default();
        if let Some(file) = &self.config {
            overlay = overlay.file(file)?;
        }
        for assignment in &self.set {
            if assignment.starts_with("preset=") {
                return Err(Error::config("preset", "is chosen with --preset").into());
            }
            overlay = overlay.set(assignment)?;
        }
        let mut config = laid_over(&overlay, self.preset, category)?;
        let detector = &mut config.detector;
        if let Some(seed) = self.seed {
            detector.seed = seed;
        }
        if let Some(fpr) = self.fpr {
            detector.score.fpr = fpr;
        }
        if let Some(max_pixels) = self.max_pixels {
            detector.data.max_pixels = max_pixels;
        }
        if let Some(file) = &self.features {
            config.detector.features.usage = Use::Always;
            config.detector.features.weights = Some(file.clone());
        }
        network.apply(&mut config)?;
        config.validate()?;
        Ok(config)
    }
}

/// These settings over a preset: the one that is asked for, else the one that a file names, else `light`.
pub fn laid_over(overlay: &Overlay, asked: Option<Preset>, category: &str) -> Result<RunConfig> {
    let named = PRESETS.into_iter().find(|preset| overlay.text("preset") == Some(preset.name()));
    let preset = asked.or(named).unwrap_or_default();
    let mut config = RunConfig::preset(preset).for_category(category).with(overlay)?;
    config.detector.preset = preset;
    Ok(config)
}

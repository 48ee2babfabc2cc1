//! The settings of a training, as the command line gives them.

use std::path::PathBuf;

use blemish::Error;
use blemish::config::{GeometricConfig, Preset, RunConfig};
use clap::Args;

use crate::args::{named, positive};
use crate::failure::Result;

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
    /// One setting, such as train.finetune.epochs=20; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The same seed gives the same model
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: Option<u64>,
    /// Look this many times as closely, for small defects: pictures of so many times the pixels along each side, which a network
    /// sees in overlapping tiles. Takes N x N times the time, or more
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    tile: Option<u8>,
    /// Choose the number of epochs so that training takes about this long
    #[arg(long, value_name = "MINUTES", value_parser = positive)]
    pub budget: Option<f64>,
}

impl Settings {
    /// The configuration for `category`.
    pub fn config(&self, category: &str) -> Result<RunConfig> {
        // A file may say itself which preset it is meant for.
        let preset = match (self.preset, &self.config) {
            (Some(preset), _) => preset,
            (None, Some(file)) => RunConfig::preset(Preset::Light).load(file)?.preset,
            (None, None) => Preset::Light,
        };
        let mut config = RunConfig::preset(preset);
        if preset == Preset::Diyt {
            config.train.geometric = GeometricConfig::reference(category);
        }
        if let Some(file) = &self.config {
            config = config.load(file)?;
            config.preset = preset;
        }
        for assignment in &self.set {
            config = config.set(assignment)?;
        }
        if config.preset != preset {
            return Err(Error::config("preset", "is chosen with --preset").into());
        }
        if let Some(seed) = self.seed {
            config.seed = seed;
        }
        if let Some(times) = self.tile {
            config.data = config.data.closer(usize::from(times));
        }
        Ok(config)
    }
}

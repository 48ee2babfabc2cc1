//! The command line.

use std::path::PathBuf;

use blemish::Detector;
use blemish::config::{ThresholdRule, check_rate};
use blemish::dataset::{OnError, decode_mask};
use blemish::image::{PixelMask, dimensions};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::failure::{EXIT_CODES, Failure, Result};
use crate::output::OutputArgs;
use crate::{
    benchmark, calibrate, completions, demo, evaluate, extend, import_pytorch, inspect, predict, pretrain,
    roi, train,
};

/// Fits a detector on images of good products, then finds and locates defects in new images.
#[derive(Parser)]
#[command(name = "blemish", version, propagate_version = true, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What the program can do.
#[derive(Subcommand)]
pub enum Command {
    Train(train::TrainArgs),
    Predict(predict::PredictArgs),
    Evaluate(evaluate::EvaluateArgs),
    Inspect(inspect::InspectArgs),
    Benchmark(benchmark::BenchmarkArgs),
    Demo(demo::DemoArgs),
    ImportPytorch(import_pytorch::ImportArgs),
    Calibrate(calibrate::CalibrateArgs),
    Extend(extend::ExtendArgs),
    Roi(roi::RoiArgs),
    Pretrain(pretrain::PretrainArgs),
    Completions(completions::CompletionsArgs),
}

/// Which images a network's training is validated on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Held-out good images and synthetic defects made from them; no test image is seen
    #[default]
    Holdout,
    /// As published: a fifth of every test folder; for comparison with published figures only
    Diyt,
}

/// What to do with an image that cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorPolicy {
    /// Stop, and name it
    #[default]
    Stop,
    /// Leave it out, and name it
    Skip,
}

impl From<ErrorPolicy> for OnError {
    fn from(policy: ErrorPolicy) -> Self {
        match policy {
            ErrorPolicy::Stop => Self::Stop,
            ErrorPolicy::Skip => Self::Skip,
        }
    }
}

/// What happens at an image that cannot be used.
#[derive(Args)]
pub struct ErrorArgs {
    /// What to do with an image that cannot be used
    #[arg(long, value_enum, default_value_t)]
    pub on_error: ErrorPolicy,
}

/// From which score on an image is defective.
#[derive(Args)]
pub struct ThresholdArgs {
    /// Decide by this score, or by a rule: fpr, percentile or sigma ('blemish inspect MODEL' lists them)
    #[arg(long, value_name = "NUMBER | RULE", value_parser = chosen)]
    threshold: Option<Chosen>,
    /// Accept this share of false alarms among good images, such as 0.01 (means '--threshold fpr')
    #[arg(long, alias = "far", value_name = "RATE", value_parser = share)]
    fpr: Option<f64>,
}

/// A threshold as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Chosen {
    Score(f32),
    Rule(ThresholdRule),
}

const RULES: [ThresholdRule; 3] = [ThresholdRule::Fpr, ThresholdRule::Percentile, ThresholdRule::Sigma];

impl ThresholdArgs {
    /// Makes `detector` decide as asked for; one that has no threshold is refused.
    pub fn apply(&self, detector: &mut Detector) -> Result<()> {
        let refused = |error: blemish::Error| match error {
            error @ blemish::Error::Config { .. } => Failure::Usage(error.to_string()),
            error => error.into(),
        };
        match (self.threshold, self.fpr) {
            (None, None) => {}
            (Some(Chosen::Score(value)), None) => detector.set_threshold(value),
            (None | Some(Chosen::Rule(ThresholdRule::Fpr)), fpr) => {
                detector.choose_threshold(ThresholdRule::Fpr, fpr).map_err(refused)?;
            }
            (Some(Chosen::Rule(rule)), None) => detector.choose_threshold(rule, None).map_err(refused)?,
            (Some(_), Some(_)) => {
                return Err(Failure::Usage(
                    "--fpr states a rate: it goes with '--threshold fpr' only".to_owned(),
                ));
            }
        }
        detector.threshold()?;
        Ok(())
    }
}

/// How large images may be.
#[derive(Args)]
pub struct SizeArgs {
    /// Refuse images of more pixels than this before they are decoded [default: as the model says]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_pixels: Option<u64>,
}

impl SizeArgs {
    /// Makes `detector` take images up to this size; a model that is written keeps it.
    pub fn apply(&self, detector: &mut Detector) {
        if let Some(most) = self.max_pixels {
            detector.set_max_pixels(most);
        }
    }
}

/// What of the images is inspected.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaskArgs {
    /// Ignore what is white in this image ('blemish roi' draws one)
    #[arg(long, value_name = "MASK")]
    pub ignore: Option<PathBuf>,
    /// Inspect only what is white in this image
    #[arg(long, value_name = "MASK", conflicts_with = "ignore")]
    pub roi: Option<PathBuf>,
}

impl MaskArgs {
    /// The mask: 1 where nothing is inspected.
    ///
    /// # Errors
    /// A file that is no mask.
    pub fn mask(&self) -> Result<Option<PixelMask>> {
        let Some(path) = self.ignore.as_ref().or(self.roi.as_ref()) else { return Ok(None) };
        let mut mask = decode_mask(path, dimensions(path)?, u64::MAX)?;
        if self.roi.is_some() {
            mask.pixels.iter_mut().for_each(|v| *v = 1 - *v);
        }
        Ok(Some(mask))
    }

    /// Makes `detector` ignore it, in place of what it ignored.
    ///
    /// # Errors
    /// As [`mask`](Self::mask); a mask that leaves nothing.
    pub fn apply(&self, detector: &mut Detector) -> Result<()> {
        if let Some(mask) = self.mask()? {
            detector.ignore(&mask)?;
        }
        Ok(())
    }
}

/// Accepts the names of `values`.
pub fn named<T: Copy + Send + Sync>(
    values: &'static [T],
    name: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(values.iter().map(move |&value| name(value)))
        .try_map(move |text| values.iter().copied().find(|&value| name(value) == text).ok_or("unknown"))
}

fn chosen(text: &str) -> Result<Chosen, String> {
    // An alias, as `--far` is of `--fpr`.
    let name = if text == "far" { "fpr" } else { text };
    if let Some(rule) = RULES.into_iter().find(|rule| rule.name() == name) {
        return Ok(Chosen::Rule(rule));
    }
    let score = text.parse().ok().filter(|value: &f32| value.is_finite());
    score
        .map(Chosen::Score)
        .ok_or_else(|| format!("must be a number, or one of {}", RULES.map(ThresholdRule::name).join(", ")))
}

/// A false-positive rate that can be asked for.
pub fn share(text: &str) -> Result<f64, String> {
    let rate = text.parse().unwrap_or(f64::NAN);
    check_rate(rate).map(|()| rate)
}

/// A number above 0.
pub fn positive(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|v: &f64| *v > 0.0 && v.is_finite());
    value.ok_or_else(|| "must be a number above 0".to_owned())
}

//! The command line.

use blemish::config::ThresholdRule;
use blemish::dataset::OnError;
use blemish::detector::Detector;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::failure::{EXIT_CODES, Failure, Result};
use crate::output::OutputArgs;
use crate::{benchmark, completions, demo, evaluate, import_pytorch, inspect, predict, pretrain, train};

/// Learns what a good product looks like from photos of good ones, then finds and locates defects in new photos.
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
    Evaluate(evaluate::EvaluateArgs),
    Predict(predict::PredictArgs),
    Benchmark(benchmark::BenchmarkArgs),
    Inspect(inspect::InspectArgs),
    Demo(demo::DemoArgs),
    ImportPytorch(import_pytorch::ImportArgs),
    Pretrain(pretrain::PretrainArgs),
    Completions(completions::CompletionsArgs),
}

/// Which images choose the checkpoint and the threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Held-out good training images and synthetic defects made from them; no test image is seen
    #[default]
    Holdout,
    /// As published: a fifth of every test folder; for comparison with published figures only
    Diyt,
}

/// What to do with an image that cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Broken {
    /// Stop, and name it
    #[default]
    Stop,
    /// Leave it out, and name it
    Skip,
}

impl From<Broken> for OnError {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Stop => Self::Stop,
            Broken::Skip => Self::Skip,
        }
    }
}

/// How patient a command is with its images.
#[derive(Args)]
pub struct Patience {
    /// What to do with an image that cannot be used
    #[arg(long, value_enum, default_value_t)]
    pub on_error: Broken,
}

/// Which of the model's thresholds decides.
#[derive(Args)]
pub struct ThresholdArgs {
    /// Decide by another of the thresholds that the model holds ('blemish inspect MODEL' lists them)
    #[arg(long, value_name = "RULE", value_parser = named(&RULES, ThresholdRule::name))]
    threshold: Option<ThresholdRule>,
    /// Accept this share of false alarms among good products, such as 0.01 (means '--threshold far')
    #[arg(long, value_name = "RATE", value_parser = share)]
    far: Option<f64>,
}

const RULES: [ThresholdRule; 4] =
    [ThresholdRule::Val, ThresholdRule::Percentile, ThresholdRule::Sigma, ThresholdRule::Far];

impl ThresholdArgs {
    /// Makes `detector` decide as asked for.
    pub fn apply(&self, detector: &mut Detector) -> Result<()> {
        let rule = match (self.threshold, self.far) {
            (None, None) => return Ok(()),
            (Some(rule), Some(_)) if rule != ThresholdRule::Far => {
                return Err(Failure::Usage(format!(
                    "--far goes with '--threshold far', not '{}'",
                    rule.name()
                )));
            }
            (rule, _) => rule.unwrap_or(ThresholdRule::Far),
        };
        detector.choose_threshold(rule, self.far).map_err(|error| Failure::Usage(error.to_string()))
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

/// A share above 0 and below 1.
fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|&v| v > 0.0 && v < 1.0).ok_or_else(|| "must be above 0 and below 1".to_owned())
}

/// A number above 0.
pub fn positive(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|v: &f64| *v > 0.0 && v.is_finite());
    value.ok_or_else(|| "must be a number above 0".to_owned())
}

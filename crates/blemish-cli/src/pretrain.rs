//! `blemish pretrain`: weights trained once, on generated images.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use blemish::config::Precision;
use blemish::pretrained::Pretrained;
use blemish::{Error, write_whole};
use blemish_train::RunLock;
use blemish_train::pretrain::gate::{GateOptions, gate};
use blemish_train::pretrain::{
    Head, HeadConfig, Length, PretrainConfig, PretrainEvent, PretrainOptions, StepRecord, WEIGHTS, learn,
    pretrain,
};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::args::positive;
use crate::device::DeviceArgs;
use crate::failure::{Failure, Result};
use crate::metrics_file::{METRICS, append, retain};
use crate::out_folder::Folder;
use crate::output::{Output, json, quoted};
use crate::run_folder::{NEXT, acquire, already_holds_a_run, remove_next, require_own_next, take_place};
use crate::stop::Stop;

const EXAMPLES: &str = "\
Examples:
  blemish pretrain --out runs/pretrained --minutes 60
  blemish pretrain --out runs/pretrained --steps 20000 --seed 1
  blemish pretrain --out runs/pretrained --resume
  blemish pretrain --out runs/projections --learn projections --init runs/pretrained/light.safetensors
  blemish pretrain --out runs/decoder --learn decoder --init runs/projections/light.safetensors

No image is needed: all are generated. The folder gets light.safetensors (the weights), checkpoint.safetensors
(for --resume), pretrain.json (the settings) and metrics.jsonl (a line per 20 steps). The weights of a run that still
goes on can be used. With --overwrite the weights that are there stay until the new run is done.";

const CONFIG: &str = "pretrain.json";
const CHECKPOINT: &str = "checkpoint.safetensors";
/// In the order in which they replace those of an earlier run.
const FILES: [&str; 4] = [WEIGHTS, CHECKPOINT, METRICS, CONFIG];

/// Pre-train the network on generated images
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct PretrainArgs {
    /// Folder of the run; is made if needed
    #[arg(long, value_name = "DIR", required_unless_present = "evaluate")]
    out: Option<PathBuf>,
    /// Pre-train nothing; measure these weights on generated scenes of families that are never trained on
    #[arg(long, value_name = "FILE", conflicts_with_all = ["out", "steps", "minutes", "resume", "overwrite"])]
    evaluate: Option<PathBuf>,
    /// Scenes that --evaluate measures on
    #[arg(long, value_name = "N", default_value_t = 40, requires = "evaluate", value_parser = count)]
    scenes: usize,
    /// Also measure the network before training (filters in the stem, the rest random), patches and plain filters
    #[arg(long, requires = "evaluate")]
    baselines: bool,
    /// Image side of --evaluate, a multiple of 16
    #[arg(long, value_name = "PIXELS", default_value_t = 128, requires = "evaluate", value_parser = side)]
    side: usize,
    /// What is learnt: the network; or, while the weights of --init stay as they are, how the memory of features brings what describes a
    /// place to fewer values, and then the decoder that corrects distances to references
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = Learn::Network, conflicts_with_all = ["evaluate", "resume"])]
    learn: Learn,
    /// How many steps; projections: 1000, decoder: 400 where nothing is said
    #[arg(long, value_name = "N", conflicts_with = "minutes")]
    steps: Option<usize>,
    /// As many steps as fit into so many minutes, by the speed of the first ones
    #[arg(long, value_name = "MINUTES", value_parser = positive)]
    minutes: Option<f64>,
    /// Scenes a step, at 128 x 128 pixels
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    batch_size: Option<usize>,
    /// Seed of weights, images and masks
    #[arg(long, value_name = "SEED", conflicts_with = "resume")]
    seed: Option<u64>,
    /// Peak learning rate
    #[arg(long, value_name = "RATE", conflicts_with = "resume")]
    learning_rate: Option<f64>,
    /// Weights of an earlier run to start from
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    init: Option<PathBuf>,
    /// A setting of the loss, such as contrast=0.5; may be repeated
    #[arg(long = "objective", value_name = "NAME=VALUE", conflicts_with = "resume")]
    objective: Vec<String>,
    /// Minutes between checkpoints
    #[arg(long, value_name = "MINUTES", default_value_t = 3.0, value_parser = positive)]
    save_every: f64,
    /// The commit of the program, noted in the weights' file
    #[arg(long, value_name = "COMMIT")]
    commit: Option<String>,
    /// Go on where a run was interrupted, with its own settings; --steps or --minutes give it another length
    #[arg(long)]
    resume: bool,
    /// Replace the run that is in the folder, once the new one is done
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

/// What is learnt.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Learn {
    Network,
    Projections,
    Decoder,
}

impl Learn {
    fn head(self) -> Option<Head> {
        match self {
            Self::Network => None,
            Self::Projections => Some(Head::Projections),
            Self::Decoder => Some(Head::Decoder),
        }
    }
}

/// The settings of a run, as they are kept for `--resume`.
#[derive(Serialize)]
#[serde(untagged)]
enum Settings {
    Network(Box<PretrainConfig>),
    Head(HeadConfig),
}

/// What a pre-training gave, for `--json`.
#[derive(Serialize)]
struct Summary {
    weights: String,
    last: Option<StepRecord>,
}

/// Pre-trains.
pub fn run(args: &PretrainArgs, output: &Output) -> Result<()> {
    match (&args.evaluate, &args.out) {
        (Some(file), _) => evaluate(file, args, output),
        (None, Some(out)) => pre_train(out, args, output),
        (None, None) => Err(Failure::Usage("say where to: --out DIR".to_owned())),
    }
}

/// A number of at least 1.
fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count: &usize| *count > 0).ok_or_else(|| "must be at least 1".to_owned())
}

/// A side of 32 to 1024 pixels, in whole patches.
fn side(text: &str) -> Result<usize, String> {
    let side = text.parse().ok().filter(|side: &usize| side.is_multiple_of(16) && (32..=1024).contains(side));
    side.ok_or_else(|| "must be a multiple of 16, 32 to 1024".to_owned())
}

fn evaluate(file: &Path, args: &PretrainArgs, output: &Output) -> Result<()> {
    let weights = Pretrained::load(file)?;
    let options = GateOptions { scenes: args.scenes, side: args.side, baselines: args.baselines };
    let rows = gate(&weights, options)?;
    output.result(&rows, || {
        let mut text = format!(
            "{:<56} {:>6} {:>6} {:>6} {:>6} {:>6}\n",
            "image AUROC: mean, low, by maximum; pixel: all, per image", "mean", "low", "max", "all", "each"
        );
        for row in &rows {
            text += &format!(
                "{:<56} {:>6.3} {:>6.3} {:>6.3} {:>6.3} {:>6.3}\n",
                row.reading,
                row.image_auroc,
                row.image_auroc_low,
                row.image_auroc_max,
                row.pixel_auroc,
                row.pixel_auroc_within
            );
        }
        text
    })
}

fn pre_train(out: &Path, args: &PretrainArgs, output: &Output) -> Result<()> {
    let device = args.device.open()?;
    let opened = Opened::new(out, args)?;
    let folder = &opened.work;
    let config = if args.resume { read_config(folder)? } else { settings(args)? };
    let length = match (args.steps, args.minutes) {
        (Some(steps), _) => Some(Length::Steps(steps)),
        (None, Some(minutes)) => Some(Length::Minutes(minutes)),
        (None, None) if args.resume => None,
        (None, None) => match &config {
            Settings::Head(config) => Some(Length::Steps(config.learn.steps())),
            Settings::Network(_) => {
                return Err(Failure::Usage("say how long: --steps N or --minutes MINUTES".to_owned()));
            }
        },
    };
    // Read before anything is written: a start that cannot be had leaves everything as it was.
    let start = match &config {
        Settings::Head(_) if args.resume => Some(folder.join(WEIGHTS)),
        _ => args.init.clone(),
    };
    let start = start.map(|path| Pretrained::load(&path)).transpose()?;
    if !args.resume {
        write_whole(&folder.join(CONFIG), json(&config)?.as_bytes())?;
    }
    let stop = Stop::on_ctrl_c(format!("continue with: blemish pretrain --out {} --resume", quoted(out)));
    let options = PretrainOptions {
        folder: folder.path().to_owned(),
        length,
        resume: args.resume,
        init: start.as_ref().map(|start| start.weights.clone()),
        save_every: Duration::from_secs_f64(args.save_every * 60.0),
        device,
        precision: Precision::fastest(),
        command: std::env::args().map(|arg| quoted(Path::new(&arg))).collect::<Vec<_>>().join(" "),
        commit: args.commit.clone().or_else(|| option_env!("BLEMISH_COMMIT").map(str::to_owned)),
        stop: stop.shared(),
    };
    let mut last = None;
    let mut broken = None;
    let mut listener = |event: &PretrainEvent| {
        if let Err(error) = log(folder, event) {
            broken.get_or_insert(error);
        }
        tell(event);
        if let PretrainEvent::Steps(record) = event {
            last = Some(record.clone());
        }
    };
    let result = match (&config, start) {
        (Settings::Network(config), _) => pretrain(config, &options, &mut listener),
        (Settings::Head(config), Some(network)) => learn(config, network, &options, &mut listener),
        (Settings::Head(_), None) => return Err(without_weights()),
    };
    if let Some(error) = broken {
        return Err(error);
    }
    result.map_err(|error| Failure::from(error).with_next(|| stop.next()))?;
    let weights = opened.finish()?;
    let summary = Summary { weights: weights.display().to_string(), last };
    output.result(&summary, || format!("weights: {}\n", summary.weights))
}

/// The folder of a run, in use by nobody else. A run that replaces another works in a folder of its own inside, and takes the
/// other's place file by file when it is done.
struct Opened {
    // Released before the folders, which are removed where they are empty.
    _lock: RunLock,
    work: Folder,
    outer: Option<Folder>,
}

impl Opened {
    fn new(out: &Path, args: &PretrainArgs) -> Result<Self> {
        let (next, holds_run) = (out.join(NEXT), out.join(CONFIG).exists());
        let is_replacing = next.join(CONFIG).is_file();
        if args.resume && ![out, &next].iter().any(|folder| folder.join(CHECKPOINT).is_file()) {
            return Err(Failure::Usage(format!(
                "{} holds no run to resume: there is no {CHECKPOINT}",
                out.display()
            )));
        }
        if !args.resume && !args.overwrite && (holds_run || is_replacing) {
            return Err(Failure::Usage(already_holds_a_run(out)));
        }
        if !args.resume {
            require_own_next(out, &FILES)?;
        }
        let folder = Folder::open_own(out, args.resume || holds_run || is_replacing)?;
        let lock = acquire(out)?;
        if !args.resume {
            remove_next(out, &FILES)?;
        }
        let replaces = if args.resume { next.join(CHECKPOINT).is_file() } else { holds_run };
        if !replaces {
            return Ok(Self { _lock: lock, work: folder, outer: None });
        }
        Ok(Self { _lock: lock, work: Folder::open(&next)?, outer: Some(folder) })
    }

    /// The run is done: where it replaces another one it takes its place. The weights' path.
    fn finish(&self) -> Result<PathBuf> {
        let Some(outer) = &self.outer else { return Ok(self.work.join(WEIGHTS)) };
        take_place(&self.work, outer, &FILES)?;
        // What is left, if anything, goes when the next run begins.
        let _ = fs::remove_dir(self.work.path());
        Ok(outer.join(WEIGHTS))
    }
}

fn read_config(folder: &Folder) -> Result<Settings> {
    let path = folder.join(CONFIG);
    let text = fs::read_to_string(&path).map_err(|e| Error::io(&path, e))?;
    let read = || -> serde_json::Result<Settings> {
        let value: serde_json::Value = serde_json::from_str(&text)?;
        Ok(match value.get("learn") {
            Some(_) => Settings::Head(serde_json::from_value(value)?),
            None => Settings::Network(Box::new(serde_json::from_value(value)?)),
        })
    };
    Ok(read().map_err(|e| Error::data(&path, format!("cannot be resumed: {e}")))?)
}

fn settings(args: &PretrainArgs) -> Result<Settings> {
    match args.learn.head() {
        Some(head) => Ok(Settings::Head(head_settings(head, args)?)),
        None => Ok(Settings::Network(Box::new(network_settings(args)?))),
    }
}

fn head_settings(head: Head, args: &PretrainArgs) -> Result<HeadConfig> {
    if args.init.is_none() {
        return Err(without_weights());
    }
    if let Some(setting) = args.objective.first() {
        return Err(Failure::Usage(format!("--objective {setting}: is a setting of --learn network alone")));
    }
    let mut config = HeadConfig::new(head);
    config.seed = args.seed.unwrap_or(config.seed);
    config.batch_size = args.batch_size.unwrap_or(config.batch_size);
    config.learning_rate = args.learning_rate.unwrap_or(config.learning_rate);
    config.validate()?;
    Ok(config)
}

fn without_weights() -> Failure {
    Failure::Usage("projections and decoder are learnt for weights: name them with --init FILE".to_owned())
}

fn network_settings(args: &PretrainArgs) -> Result<PretrainConfig> {
    let mut config = PretrainConfig::default();
    config.seed = args.seed.unwrap_or(config.seed);
    config.batch_size = args.batch_size.unwrap_or(config.batch_size);
    config.learning_rate = args.learning_rate.unwrap_or(config.learning_rate);
    let unusable = |e: serde_json::Error| Failure::Usage(format!("--objective: {e}"));
    let mut objective = serde_json::to_value(&config.objective).map_err(unusable)?;
    for setting in &args.objective {
        let Some((name, value)) = setting.split_once('=') else {
            return Err(Failure::Usage(format!("--objective {setting}: must be NAME=VALUE")));
        };
        match (objective.get_mut(name), serde_json::from_str(value)) {
            (Some(slot), Ok(value)) => *slot = value,
            (None, _) => return Err(Failure::Usage(format!("--objective {setting}: there is no {name}"))),
            (_, Err(_)) => {
                return Err(Failure::Usage(format!("--objective {setting}: {value} is not a number")));
            }
        }
    }
    config.objective = serde_json::from_value(objective).map_err(unusable)?;
    config.validate()?;
    Ok(config)
}

/// Keeps `metrics.jsonl`, without the lines of steps that were lost with an interruption.
fn log(folder: &Folder, event: &PretrainEvent) -> Result<()> {
    let path = folder.join(METRICS);
    match event {
        PretrainEvent::Started { done, .. } if path.exists() => {
            retain(&path, |record: &StepRecord| record.step <= *done)
        }
        PretrainEvent::Steps(record) => append(&path, record),
        _ => Ok(()),
    }
}

/// Steps between remarks.
const REMARK: usize = 100;

fn tell(event: &PretrainEvent) {
    match event {
        PretrainEvent::Started { done, parameters } => {
            tracing::info!("{parameters} parameters; {done} steps are done");
        }
        PretrainEvent::Length { steps } => tracing::info!("{steps} steps in all"),
        PretrainEvent::Steps(r) if r.step.is_multiple_of(REMARK) => {
            let parts: Vec<String> =
                r.parts.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
            let of = r.steps.map(|steps| format!(" of {steps}")).unwrap_or_default();
            let parts = parts.join(", ");
            tracing::info!(
                "step {}{of}: loss {:.4} ({parts}), gradient {:.2}, {:.1} images/s, {:.1} min",
                r.step,
                r.loss,
                r.gradient_norm,
                r.scenes_per_second,
                r.seconds / 60.0
            );
        }
        PretrainEvent::Skipped { step } => {
            tracing::warn!("warning: step {step} is left out: its loss or gradient is not finite");
        }
        PretrainEvent::Saved { step, weights } => {
            tracing::info!("saved after {step} steps: {}", weights.display());
        }
        PretrainEvent::Steps(_) => {}
    }
}

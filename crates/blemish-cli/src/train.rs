//! `blemish train`: good images in, a model file out.

use std::path::PathBuf;

use blemish::dataset::{self, Problem};
use blemish::model_file::StrangeImage;
use blemish::history::EpochRecord;
use blemish::report::significant;
use blemish::calibrate::Threshold;
use clap::Args;
use serde::Serialize;

use crate::args::{Patience, Split};
use crate::device::DeviceArgs;
use crate::failure::Result;
use crate::output::{Output, strange};
use crate::progress::duration;
use crate::quote::quoted;
use crate::run_folder::{RunFolder, Source, Start};
use crate::session::{Session, Trained};
use crate::settings::Settings;
use crate::stop::on_ctrl_c;

const EXAMPLES: &str = "\
Examples:
  blemish train photos/good --out runs/flange
  blemish train mvtec --category screw --out runs/screw --budget 30
  blemish train photos/good --val photos/sorted --out runs/flange --set train.finetune.epochs=20
  blemish train photos/good --out runs/flange --resume

DATA is a folder of good images, or a data set in the layout of MVTec AD, BTAD or VisA. The folder of the run gets
model.safetensors (the model, all in one file), checkpoint.safetensors (for --resume; may be deleted afterwards),
run.toml (the settings in full), data.json (which images) and metrics.jsonl (a line per epoch).

The strangest good images, each judged by what others teach, are named at the end: look at them, and take out what is
defective or lies wrong. 'blemish inspect MODEL' names 20.";

/// Strange good images that are named when all is done.
const NAMED_STRANGE: usize = 5;

/// Learn what good products look like
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct TrainArgs {
    /// Folder of good images, or of a data set
    data: PathBuf,
    /// The product, where DATA holds several
    #[arg(long, value_name = "NAME")]
    category: Option<String>,
    /// Folder of the run; is made if needed
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    device: DeviceArgs,
    /// Which images choose the checkpoint and the threshold
    #[arg(long, value_enum, default_value_t)]
    split: Split,
    /// Choose them on your own images instead: a folder with folders 'good' and others
    #[arg(long, value_name = "DIR", conflicts_with = "split")]
    val: Option<PathBuf>,
    #[command(flatten)]
    patience: Patience,
    /// Go on where a run was interrupted, with its own settings
    #[arg(long, conflicts_with_all = ["settings", "split", "val", "on_error"])]
    resume: bool,
    /// Replace the run that is in the folder
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
}

/// What a training gave, for `--json`.
#[derive(Serialize)]
struct Summary<'a> {
    model: String,
    category: &'a str,
    epochs: usize,
    minutes: f64,
    images: [usize; 2],
    split: String,
    validation: Option<&'a EpochRecord>,
    threshold: f64,
    threshold_rule: &'a str,
    thresholds: &'a [Threshold],
    strangest: &'a [StrangeImage],
    problems: &'a [Problem],
}

/// Trains.
pub fn run(args: &TrainArgs, output: &Output) -> Result<()> {
    let device = args.device.open()?;
    let start = match (args.resume, args.overwrite) {
        (true, _) => Start::Resume,
        (_, true) => Start::Overwrite,
        _ => Start::New,
    };
    let folder = RunFolder::open(&args.out, start)?;
    let set = data::open(&args.data, args.category.as_deref())?;
    let source = Source {
        data: args.data.display().to_string(),
        category: set.category.clone(),
        split: args.split,
        val: args.val.clone(),
        on_error: args.patience.on_error,
    };
    let session = Session::new(set, source, &args.settings, folder, device, on_ctrl_c())?;
    let trained = session.run(output).map_err(|failure| failure.with_next(|| next(args)))?;
    summarise(&trained, args, output)
}

/// The command that goes on after Ctrl-C.
fn next(args: &TrainArgs) -> String {
    let (data, out) = (data_set(args), quoted(&args.out));
    format!("nothing but the last epoch is lost; continue with: blemish train {data} --out {out} --resume")
}

/// The data set as the command line named it.
fn data_set(args: &TrainArgs) -> String {
    let category = args.category.as_ref().map(|name| format!(" --category {}", quoted(name.as_ref())));
    quoted(&args.data) + &category.unwrap_or_default()
}

fn summarise(trained: &Trained, args: &TrainArgs, output: &Output) -> Result<()> {
    let detector = &trained.detector;
    let threshold = detector.threshold()?;
    let summary = Summary {
        model: trained.model.display().to_string(),
        category: &trained.set.category,
        epochs: detector.history().len(),
        minutes: detector.provenance().seconds / 60.0,
        images: trained.images,
        split: trained.source.protocol().describe(),
        validation: best(detector.history()),
        threshold: threshold.value,
        threshold_rule: threshold.rule.name(),
        thresholds: detector.thresholds(),
        strangest: &detector.provenance().strangest,
        problems: &trained.problems,
    };
    output.result(&summary, || {
        let took = duration(detector.provenance().seconds);
        let mut text = match summary.epochs {
            0 => format!("learnt from the good images in {took}; no network was trained\n"),
            epochs => format!("trained {epochs} epochs in {took}\n"),
        };
        if let Some(best) = summary.validation {
            let show = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.3}"));
            text += &format!(
                "validation: image AUROC {}, F1-max {}, AUPRO {} (epoch {})\n",
                show(best.val_auroc),
                show(best.val_f1),
                show(best.val_aupro),
                best.epoch
            );
        }
        let value = significant(Some(threshold.value));
        text += &format!("threshold:  {value} ({}: {})\n", threshold.rule.name(), threshold.how);
        text += &format!("model:      {}\n", summary.model);
        for (i, image) in summary.strangest.iter().take(NAMED_STRANGE).enumerate() {
            let name = if i == 0 { "strangest:" } else { "" };
            text += &format!("{name:<11} {}\n", strange(image));
        }
        let run = quoted(&args.out);
        let next = if trained.set.test.is_empty() {
            format!("predict {run} PHOTO..")
        } else {
            format!("evaluate {run} {}", data_set(args))
        };
        text + &format!("next:       blemish {next}\n")
    })
}

/// The validation that chose the model: the best, the latest of equals.
fn best(history: &[EpochRecord]) -> Option<&EpochRecord> {
    let figures = |r: &EpochRecord| (r.val_auroc.unwrap_or(0.0), r.val_aupro.unwrap_or(0.0));
    let validated = history.iter().filter(|r| r.val_auroc.is_some());
    validated.max_by(|a, b| {
        let ((auroc_a, aupro_a), (auroc_b, aupro_b)) = (figures(a), figures(b));
        auroc_a.total_cmp(&auroc_b).then(aupro_a.total_cmp(&aupro_b))
    })
}

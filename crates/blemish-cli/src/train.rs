//! `blemish train`: good images in, a model file out.

use std::path::PathBuf;

use blemish::calibrate::Threshold;
use blemish::dataset::{DataSet, OnError, Problem};
use blemish::fit::SuspectedOutlier;
use blemish::found::DetectionEstimate;
use blemish::history::EpochRecord;
use clap::Args;
use serde::Serialize;

use crate::args::{ErrorArgs, MaskArgs, Split, positive};
use crate::device::DeviceArgs;
use crate::failure::Result;
use crate::inputs::open_data;
use crate::out_folder::refuse_foreign;
use crate::output::{Output, counted, found, outliers, quoted, threshold_lines};
use crate::progress::duration;
use crate::run_folder::{RunFolder, Source, Start, is_run};
use crate::session::{Session, Trained};
use crate::settings::{NetworkArgs, Settings};
use crate::stop::Stop;

const EXAMPLES: &str = "\
Examples:
  blemish train photos/good --out runs/flange
  blemish train monday/good tuesday/good --out runs/flange --fpr 0.01
  blemish train mvtec --category screw --out runs/screw --finetune 30
  blemish train mvtec --category screw --out runs/screw --finetune 10 --init pretrained
  blemish train photos/good --out runs/flange --resume

DATA is a folder of good images, or a data set in the layout of MVTec AD, BTAD or VisA; several are joined. The folder of
the run gets model.safetensors (the model, all in one file), run.toml (all settings), data.json (which images) and,
where a network is trained, checkpoint.safetensors (for --resume; may be deleted afterwards) and metrics.jsonl (a line per
epoch). With --overwrite the model that is there stays in use until the new one is done.

The good images that are least like the others are named at the end: look at them, and take out what is defective or lies
wrong. 'blemish inspect MODEL' names 20.

What will be found is estimated with generated defects on good images that the parts were not fitted on: it holds for defects like
these, real ones may be fainter or of other kinds. 'blemish calibrate --defects' shows it for your own.";

/// Images unlike the others that are named when all is done.
const NAMED_OUTLIERS: usize = 5;

/// Fit a detector on images of good products
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct TrainArgs {
    /// Folders of good images, or of a data set
    #[arg(required = true, value_name = "DATA")]
    data: Vec<PathBuf>,
    /// The product, where DATA holds several
    #[arg(long, value_name = "NAME")]
    category: Option<String>,
    /// Folder of the run; is made if needed
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// Which images a network's training is validated on
    #[arg(long, value_enum, default_value_t)]
    split: Split,
    #[command(flatten)]
    masks: MaskArgs,
    #[command(flatten)]
    errors: ErrorArgs,
    /// Length of a pixel of the images, millimetres: the estimate of what will be found is then given in millimetres
    #[arg(long, value_name = "MM", value_parser = positive)]
    mm_per_pixel: Option<f64>,
    /// Do not estimate what will be found (it takes about a quarter of the fit's time, 20 s at the most)
    #[arg(long)]
    no_estimate: bool,
    /// Go on where a run was interrupted, with its own settings
    #[arg(long, conflicts_with_all = ["settings", "network", "split", "on_error", "ignore", "roi"])]
    resume: bool,
    /// Replace the run that is in the folder, once the new one is done
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
    images: usize,
    split: &'a str,
    validation: Option<&'a EpochRecord>,
    threshold: f64,
    threshold_rule: &'a str,
    thresholds: &'a [Threshold],
    estimate: Option<&'a DetectionEstimate>,
    suspected_outliers: &'a [SuspectedOutlier],
    problems: &'a [Problem],
}

/// Trains.
///
/// # Errors
/// Those of [`Session::run`].
pub fn run(args: &TrainArgs, output: &Output) -> Result<()> {
    let device = args.device.open()?;
    let start = match (args.resume, args.overwrite) {
        (true, _) => Start::Resume,
        (_, true) => Start::Overwrite,
        _ => Start::New,
    };
    RunFolder::check(&args.out, start)?;
    refuse_foreign(&args.out, is_run(&args.out))?;
    // A run that goes on was begun with what it left out.
    let on_error = if args.resume { OnError::Skip } else { args.errors.on_error.into() };
    let set = open_data(&args.data, args.category.as_deref(), on_error)?;
    let folder = RunFolder::open(&args.out, start)?;
    let stop = Stop::on_ctrl_c(next(args));
    let source = source(args, &set);
    let mut session =
        Session::new(set, source, (&args.settings, &args.network), folder, device, stop.clone())?;
    session.estimate = (!args.no_estimate).then_some(args.mm_per_pixel);
    let trained = session.run(output).map_err(|failure| failure.with_next(|| stop.next()))?;
    summarise(&trained, args, output)
}

fn source(args: &TrainArgs, set: &DataSet) -> Source {
    Source {
        data: args.data.iter().map(|path| path.display().to_string()).collect(),
        category: set.category.clone(),
        split: args.split,
        on_error: args.errors.on_error,
        masks: args.masks.clone(),
    }
}

/// The command that goes on after Ctrl-C.
fn next(args: &TrainArgs) -> String {
    let (data, out) = (data_set(args), quoted(&args.out));
    format!("continue with: blemish train {data} --out {out} --resume")
}

/// The data as the command line named them.
fn data_set(args: &TrainArgs) -> String {
    let category = args.category.as_ref().map(|name| format!(" --category {}", quoted(name.as_ref())));
    let data: Vec<String> = args.data.iter().map(|path| quoted(path)).collect();
    data.join(" ") + &category.unwrap_or_default()
}

fn summarise(trained: &Trained, args: &TrainArgs, output: &Output) -> Result<()> {
    let detector = &trained.detector;
    let threshold = detector.threshold()?;
    let thresholds = detector.thresholds();
    let origin = detector.provenance();
    let summary = Summary {
        model: trained.model.display().to_string(),
        category: &trained.set.category,
        epochs: detector.history().len(),
        minutes: origin.seconds / 60.0,
        images: trained.images,
        split: &origin.split,
        validation: best(detector.history()),
        threshold: threshold.value,
        threshold_rule: threshold.rule.name(),
        thresholds: &thresholds,
        estimate: origin.estimate.as_ref(),
        suspected_outliers: &origin.suspected_outliers,
        problems: &trained.problems,
    };
    output.result(&summary, || {
        let images = counted(summary.images, "good image", "good images");
        let mut text = format!("fitted on {images} in {}\n", duration(origin.seconds));
        if let Some(best) = summary.validation {
            text += &validation(best);
        }
        text += &threshold_lines(&threshold);
        if let Some(estimate) = summary.estimate {
            text += &found(estimate, "            ");
        } else if !args.no_estimate {
            text += "finds:      not estimated: that takes more good images, or more time than 20 s\n";
        }
        text += &format!("model:      {}\n", summary.model);
        let named = summary.suspected_outliers.len().min(NAMED_OUTLIERS);
        text += &outliers(&summary.suspected_outliers[..named], "            ");
        let run = quoted(&args.out);
        let next = if trained.set.test.is_empty() {
            format!("predict {run} IMAGES..")
        } else {
            format!("evaluate {run} {}", data_set(args))
        };
        text + &format!("next:       blemish {next}\n")
    })
}

fn validation(best: &EpochRecord) -> String {
    let show = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.3}"));
    format!(
        "network:    validated with image AUROC {}, F1-max {}, AUPRO {} (epoch {})\n",
        show(best.val_auroc),
        show(best.val_f1),
        show(best.val_aupro),
        best.epoch
    )
}

/// The validation that chose the network: the best, the latest of equals.
fn best(history: &[EpochRecord]) -> Option<&EpochRecord> {
    let figures = |r: &EpochRecord| (r.val_auroc.unwrap_or(0.0), r.val_aupro.unwrap_or(0.0));
    let validated = history.iter().filter(|r| r.val_auroc.is_some());
    validated.max_by(|a, b| {
        let ((auroc_a, aupro_a), (auroc_b, aupro_b)) = (figures(a), figures(b));
        auroc_a.total_cmp(&auroc_b).then(aupro_a.total_cmp(&aupro_b))
    })
}

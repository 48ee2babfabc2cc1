//! `blemish extend`: more good images for a model.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use blemish::calibrate::Threshold;
use blemish::dataset::Problem;
use blemish::fit::{FitEvent, FitOptions};
use blemish::report::significant;
use clap::Args;
use serde::Serialize;

use crate::args::{ErrorArgs, SizeArgs};
use crate::date::today;
use crate::failure::{Failure, Result};
use crate::inputs::images;
use crate::model::{load_file, model_file};
use crate::out_file::{hold_model, target};
use crate::output::{Output, counted, quoted, warn_of};
use crate::progress::Progress;
use crate::stop::Stop;

const EXAMPLES: &str = "\
Examples:
  blemish extend runs/flange photos/good-of-this-week
  blemish extend runs/flange photos/false-alarms --out flange-2.safetensors
  blemish extend flange.safetensors photos/new --originals /mnt/archive/flange

The model becomes what 'train' would have made of the old and the new images together, with the same settings: number by number.
For that the images that it was fitted on are read once more, where they were; with --originals wherever they are now (they are
known by their content). The threshold is computed from all of them; a threshold that 'calibrate' set is replaced, a mask of what is
ignored stays. A model whose network was trained cannot be extended.";

/// Add good images to a model
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct ExtendArgs {
    /// Model file, or the folder of the run that made it
    model: PathBuf,
    /// Images of good products to add, and folders of such
    #[arg(required = true, value_name = "GOOD")]
    good: Vec<PathBuf>,
    /// Where the images that the model was fitted on are now, if not where they were
    #[arg(long, value_name = "DIR", num_args = 1..)]
    originals: Vec<PathBuf>,
    /// The model file to write; without it MODEL is replaced
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    errors: ErrorArgs,
    #[command(flatten)]
    size: SizeArgs,
}

#[derive(Serialize)]
struct Summary<'a> {
    model: String,
    images: usize,
    added: usize,
    known: usize,
    threshold: &'a Threshold,
    before: Option<f64>,
    problems: &'a [Problem],
}

/// Extends.
///
/// # Errors
/// Those of [`blemish::Detector::extend_with`]; a model that cannot be written.
pub fn run(args: &ExtendArgs, output: &Output) -> Result<()> {
    let model = model_file(&args.model)?;
    let target = target(&model, args.out.as_deref())?;
    let _lock = hold_model(&target)?;
    let mut detector = load_file(&model)?;
    args.size.apply(&mut detector);
    let on_error = args.errors.on_error.into();
    let more = images(&args.good, on_error)?;
    let originals = if args.originals.is_empty() { None } else { Some(images(&args.originals, on_error)?) };
    let stop = Stop::on_ctrl_c(format!("{} is as it was", model.display()));
    let progress = Mutex::new(Progress::new(output));
    let listener = |event: FitEvent| {
        let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            FitEvent::Step { stage, done, total } => progress.step(stage, done, total),
            FitEvent::Warning { text } => {
                progress.clear();
                tracing::warn!("warning: {text}");
            }
            _ => progress.clear(),
        }
    };
    let options =
        FitOptions { on_error: args.errors.on_error.into(), listener: &listener, stop: stop.flag() };
    let extended = detector
        .extend_with(originals.as_ref(), &more, &options)
        .map_err(|error| Failure::from(error).with_next(|| stop.next()));
    progress.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let extended = extended?;
    warn_of(&extended.problems);
    let mut origin = extended.detector.provenance().clone();
    let names: Vec<String> = args.good.iter().map(|path| path.display().to_string()).collect();
    origin.data = [vec![origin.data], names].concat().join(", ");
    origin.fitted = today();
    let longer = extended.detector.with_origin(origin, Vec::new());
    longer.save(&target)?;
    let threshold = longer.threshold()?;
    let before = detector.threshold().ok().map(|threshold| threshold.value);
    let summary = Summary {
        model: target.display().to_string(),
        images: extended.images,
        added: extended.added,
        known: extended.known,
        threshold: &threshold,
        before,
        problems: &extended.problems,
    };
    output.result(&summary, || {
        let mut text = format!(
            "fitted on {}, {} of them new\n",
            counted(summary.images, "good image", "good images"),
            summary.added
        );
        if summary.known > 0 {
            text += &format!("            {} were part of the model already\n", summary.known);
        }
        text += &format!(
            "threshold:  {} (before: {}): {}\n",
            significant(Some(threshold.value)),
            significant(before),
            threshold.how
        );
        if let Some(warning) = &threshold.warning {
            text += &format!("            {warning}\n");
        }
        text + &format!(
            "model:      {}\nnext:       blemish predict {} IMAGES..\n",
            summary.model,
            quoted(&target)
        )
    })
}

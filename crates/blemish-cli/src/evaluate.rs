//! `blemish evaluate`: how good a model is on labelled images.

use std::fs;
use std::path::{Path, PathBuf};

use blemish::dataset::{DataSet, OnError};
use blemish::evaluate::{EvaluateOptions, Evaluated, evaluate};
use blemish::report::text_table;
use blemish::{Detector, write_whole};
use blemish_train::{Protocol, diyt_split};
use clap::Args;

use crate::args::{ErrorArgs, Split, ThresholdArgs};
use crate::failure::Result;
use crate::inputs::open_data;
use crate::model::model_file;
use crate::out_folder::Folder;
use crate::output::{Output, json};

const EXAMPLES: &str = "\
Examples:
  blemish evaluate runs/screw mvtec --category screw --out runs/screw/report
  blemish evaluate runs/screw mvtec/screw --fpr 0.01 --json

The report (report.html) is one file with curves, histograms and images that needs nothing else.";

/// Measure how well a model finds defects in labelled images
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct EvaluateArgs {
    /// Model file, or the folder of the run that made it
    model: PathBuf,
    /// Folder of a data set with good and defective test images
    data: PathBuf,
    /// The product, where DATA holds several
    #[arg(long, value_name = "NAME")]
    category: Option<String>,
    /// Write report.html and evaluation.json into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    threshold: ThresholdArgs,
    /// 'holdout': every test image counts; 'diyt': without the fifth that chose checkpoint and threshold, as published
    #[arg(long, value_enum, default_value_t, hide_possible_values = true)]
    split: Split,
    #[command(flatten)]
    errors: ErrorArgs,
}

/// Evaluates.
///
/// # Errors
/// A model or data that cannot be used; files that cannot be written.
pub fn run(args: &EvaluateArgs, output: &Output) -> Result<()> {
    let model = model_file(&args.model)?;
    let mut detector = Detector::load(&model)?;
    args.threshold.apply(&mut detector)?;
    let set = open_data(std::slice::from_ref(&args.data), args.category.as_deref())?;
    let folder = args.out.as_deref().map(Folder::open).transpose()?;
    let evaluated = measure(&detector, &model, &set, args.split, args.errors.on_error.into())?;
    if let Some(folder) = &folder {
        write(folder.path(), &evaluated, &detector)?;
    }
    output.result(&evaluated.evaluation, || text_table(&evaluated.evaluation))
}

/// Evaluates `detector` on the test images of `set`; with `Split::Diyt` on those that did not validate.
///
/// # Errors
/// Those of [`evaluate`].
pub fn measure(
    detector: &Detector,
    model: &Path,
    set: &DataSet,
    split: Split,
    on_error: OnError,
) -> Result<Evaluated> {
    let mut options =
        EvaluateOptions { on_error, model_path: model.display().to_string(), ..EvaluateOptions::default() };
    let as_published = Protocol::Diyt { test: Vec::new() }.describe();
    let samples = match split {
        Split::Holdout => {
            if detector.provenance().split.starts_with(&as_published) {
                tracing::warn!(
                    "warning: a fifth of these test images chose the model's checkpoint; leave them out with --split diyt"
                );
            }
            set.test.clone()
        }
        Split::Diyt => {
            let (_, rest) = diyt_split(&set.test, detector.config().seed);
            options.split = format!("{as_published}; measured on the other 80 %");
            rest
        }
    };
    Ok(evaluate(detector, set, &samples, &options)?)
}

/// Writes `report.html` and `evaluation.json`.
///
/// # Errors
/// A file cannot be written.
pub fn write(folder: &Path, evaluated: &Evaluated, detector: &Detector) -> Result<()> {
    let report = folder.join("report.html");
    evaluated.report(detector)?.save(&report)?;
    if let Err(error) = write_whole(&folder.join("evaluation.json"), json(&evaluated.evaluation)?.as_bytes())
    {
        // Both or none; what cannot be removed is at least whole.
        let _ = fs::remove_file(&report);
        return Err(error.into());
    }
    tracing::info!("wrote {}", report.display());
    Ok(())
}

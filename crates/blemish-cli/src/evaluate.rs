//! `blemish evaluate`: how good a model is on labelled images.

use std::fs;
use std::path::{Path, PathBuf};

use blemish::dataset::{DataSet, OnError};
use blemish::evaluate::{EvaluateOptions, Evaluated, evaluate};
use blemish::evaluation::{Counts, IMAGES_CSV_HEADER};
use blemish::report::text_table;
use blemish::{Detector, write_whole};
use blemish_train::{Protocol, diyt_split};
use clap::Args;

use crate::args::{ErrorArgs, MaskArgs, SizeArgs, Split, ThresholdArgs};
use crate::failure::Result;
use crate::inputs::open_data;
use crate::model::{load_file, model_file};
use crate::out_file::{Kind, check};
use crate::out_folder::{Folder, mark};
use crate::output::{Output, json};
use crate::run_folder::is_run;

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
    /// Write report.html, evaluation.json and images.csv into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write a table of all images' scores to this file (/dev/stdout: to standard output)
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    #[command(flatten)]
    threshold: ThresholdArgs,
    #[command(flatten)]
    masks: MaskArgs,
    /// 'holdout': every test image counts; 'diyt': without the fifth that chose checkpoint and threshold, as published
    #[arg(long, value_enum, default_value_t, hide_possible_values = true)]
    split: Split,
    #[command(flatten)]
    errors: ErrorArgs,
    #[command(flatten)]
    size: SizeArgs,
}

/// Evaluates.
///
/// # Errors
/// A model or data that cannot be used; files that cannot be written.
pub fn run(args: &EvaluateArgs, output: &Output) -> Result<()> {
    let model = model_file(&args.model)?;
    let mut detector = load_file(&model)?;
    args.size.apply(&mut detector);
    args.threshold.apply(&mut detector)?;
    args.masks.apply(&mut detector)?;
    let on_error = args.errors.on_error.into();
    let set = open_data(std::slice::from_ref(&args.data), args.category.as_deref(), on_error)?;
    let in_run = args.out.as_deref().is_some_and(is_run);
    let folder = args.out.as_deref().map(|path| Folder::open_own(path, in_run)).transpose()?;
    if let Some(path) = &args.csv {
        check(path, Kind::Table(IMAGES_CSV_HEADER))?;
    }
    let evaluated = measure(&detector, &model, &set, args.split, on_error)?;
    let Counts { good, defective, .. } = evaluated.evaluation.counts;
    if good == 0 || defective == 0 {
        let data = args.data.display();
        tracing::warn!(
            "warning: {data}: measured on {good} good and {defective} defective images: it takes both"
        );
    }
    if let Some(folder) = &folder {
        write(folder.path(), &evaluated, &detector)?;
        if !in_run {
            mark(folder.path())?;
        }
    }
    if let Some(path) = &args.csv {
        write_whole(path, evaluated.evaluation.images_csv().as_bytes())?;
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

/// Writes `report.html`, `evaluation.json` and `images.csv`.
///
/// # Errors
/// A file cannot be written.
pub fn write(folder: &Path, evaluated: &Evaluated, detector: &Detector) -> Result<()> {
    let report = folder.join("report.html");
    evaluated.report(detector)?.save(&report)?;
    let (data, table) = (folder.join("evaluation.json"), folder.join("images.csv"));
    let rest = write_whole(&data, json(&evaluated.evaluation)?.as_bytes())
        .and_then(|()| write_whole(&table, evaluated.evaluation.images_csv().as_bytes()));
    if let Err(error) = rest {
        // All or none; what cannot be removed is at least whole.
        [&report, &data].into_iter().for_each(|path| _ = fs::remove_file(path));
        return Err(error.into());
    }
    tracing::info!("wrote {}", report.display());
    Ok(())
}

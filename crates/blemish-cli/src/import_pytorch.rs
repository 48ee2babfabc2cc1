//! `blemish import-pytorch`: a PyTorch state dict of the reference model as a model file.

use std::path::PathBuf;

use blemish::Images;
use blemish::fit::FitOptions;
use blemish_train::{ImportOptions, import_pytorch};
use clap::Args;
use serde::Serialize;

use crate::args::ErrorArgs;
use crate::failure::Result;
use crate::inputs::open_data;
use crate::out_file::{Kind, check};
use crate::output::{Output, counted, thousands, warn_of};
use crate::stop::Stop;

const EXAMPLES: &str = "\
Example:
  blemish import-pytorch best_model.pth --out imported.safetensors --calibrate mvtec --category screw

Without --calibrate the model file has no thresholds: 'inspect' shows it, but it can give no verdict. The state dict must have
the names and shapes of the reference model (preset 'diyt'). Nothing in the file is executed.";

/// Turn PyTorch weights of the reference model into a model file
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct ImportArgs {
    /// A file that torch.save wrote
    #[arg(value_name = "X.pth")]
    weights: PathBuf,
    /// The model file to write
    #[arg(long, value_name = "MODEL")]
    out: PathBuf,
    /// Set the thresholds on the good images of this data set; without it the model can be inspected only
    #[arg(long, value_name = "DATA")]
    calibrate: Option<PathBuf>,
    /// The product, where DATA holds several
    #[arg(long, value_name = "NAME", requires = "calibrate")]
    category: Option<String>,
    #[command(flatten)]
    errors: ErrorArgs,
}

#[derive(Serialize)]
struct Summary {
    model: String,
    preset: &'static str,
    parameters: usize,
    /// Scores of good images that thresholds come from; 0 without --calibrate.
    calibrated_on: usize,
}

/// Imports.
///
/// # Errors
/// Weights that cannot be used; images that cannot be calibrated on.
pub fn run(args: &ImportArgs, output: &Output) -> Result<()> {
    check(&args.out, Kind::Model)?;
    let imported = import_pytorch(&args.weights, ImportOptions::default())?;
    let detector = match &args.calibrate {
        None => imported.uncalibrated()?,
        Some(data) => {
            let set =
                open_data(std::slice::from_ref(data), args.category.as_deref(), args.errors.on_error.into())?;
            warn_of(&set.problems);
            let stop = Stop::on_ctrl_c("nothing was written; run it again");
            let options =
                FitOptions { on_error: args.errors.on_error.into(), listener: &|_| {}, stop: stop.flag() };
            imported.calibrated(&Images::from(&set), &options)?
        }
    };
    detector.save(&args.out)?;
    let summary = Summary {
        model: args.out.display().to_string(),
        preset: detector.config().preset.name(),
        parameters: imported.weights.values().map(|array| array.values.len()).sum(),
        calibrated_on: detector.good_scores().len(),
    };
    output.result(&summary, || {
        let Summary { model, preset, parameters, calibrated_on } = &summary;
        let parameters = thousands(*parameters);
        let calibrated = match calibrated_on {
            0 => "no thresholds (--calibrate sets them)".to_owned(),
            count => format!("calibrated on {}", counted(*count, "good image", "good images")),
        };
        format!("{model}: {parameters} parameters, preset {preset}, {calibrated}\n")
    })
}

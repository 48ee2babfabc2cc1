//! `blemish import-pytorch`: a PyTorch state dict of the reference model as a model file.

use std::path::PathBuf;

use blemish::Error;
use blemish::dataset::{self, DataSet};
use blemish::format::ImportOptions;
use blemish::model_file::ModelFile;
use blemish_train::pytorch::import_pytorch;
use blemish::detector::Detector;
use blemish_train::train::{Protocol, TrainingData, calibrate};
use clap::Args;
use serde::Serialize;

use crate::args::Patience;
use crate::device::DeviceName;
use crate::failure::Result;
use crate::output::Output;

const EXAMPLES: &str = "\
Example:
  blemish import-pytorch best_model.pth --out imported.safetensors --calibrate mvtec --category screw

Without --calibrate the model file has no thresholds: 'inspect' shows it, but it can give no verdict. The state dict must have the names and shapes of the reference model (preset 'diyt'). Nothing in the file is executed.";

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
    patience: Patience,
}

#[derive(Serialize)]
struct Summary {
    model: String,
    preset: &'static str,
    parameters: usize,
    thresholds: usize,
}

/// Imports.
pub fn run(args: &ImportArgs, output: &Output) -> Result<()> {
    let mut file = import_pytorch(&args.weights, ImportOptions::default())?;
    if let Some(data) = &args.calibrate {
        file = calibrated(file, &data::open(data, args.category.as_deref())?, args)?;
    }
    file.save(&args.out)?;
    let summary = Summary {
        model: args.out.display().to_string(),
        preset: file.config.preset.name(),
        parameters: file.weights.values().map(|array| array.values.len()).sum(),
        thresholds: file.thresholds.len(),
    };
    output.result(&summary, || {
        let Summary { model, preset, parameters, thresholds } = &summary;
        format!("{model}: {parameters} parameters, preset {preset}, {thresholds} thresholds\n")
    })
}

/// The model with thresholds set on all good training images of `set`: none of them has to be held out here.
fn calibrated(file: ModelFile, set: &DataSet, args: &ImportArgs) -> Result<ModelFile> {
    let device = DeviceName::Cpu.open()?;
    let detector =
        Detector::from_file(file, &device).map_err(|reason| Error::model(&args.weights, reason))?;
    let mut config = detector.config().clone();
    config.train.holdout = 0.0;
    let data = TrainingData::load(&config, set, &Protocol::Holdout, args.patience.on_error.into())?;
    Ok(calibrate(&detector, &data)?.to_file())
}

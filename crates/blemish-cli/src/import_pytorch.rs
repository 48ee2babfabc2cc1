//! `blemish import-pytorch`: a PyTorch state dict of the reference model as a model file.

use std::path::PathBuf;

use blemish::format::{ImportOptions, import_pytorch};
use clap::Args;
use serde::Serialize;

use crate::failure::Result;
use crate::output::Output;

const EXAMPLES: &str = "\
Example:
  blemish import-pytorch best_model.pth --out imported.safetensors

The state dict must have the names and shapes of the reference model (preset 'diyt'). Nothing in the file is executed.";

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
}

#[derive(Serialize)]
struct Summary {
    model: String,
    preset: &'static str,
    parameters: usize,
}

/// Imports.
pub fn run(args: &ImportArgs, output: &Output) -> Result<()> {
    let file = import_pytorch(&args.weights, ImportOptions::default())?;
    file.save(&args.out)?;
    let summary = Summary {
        model: args.out.display().to_string(),
        preset: file.config.preset.name(),
        parameters: file.weights.values().map(|array| array.values.len()).sum(),
    };
    output.result(&summary, || {
        format!("{}: {} parameters, preset {}\n", summary.model, summary.parameters, summary.preset)
    })
}

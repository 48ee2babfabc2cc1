//! `blemish inspect`: what is in a model file, or in a folder of images.

use std::path::PathBuf;

use clap::Args;

use crate::failure::Result;
use crate::output::Output;
use crate::run_folder::model_file;
use crate::{inspect_data, inspect_model};

const EXAMPLES: &str = "\
Examples:
  blemish inspect runs/flange
  blemish inspect mvtec --category screw";

/// Show what a model file or a data set holds
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct InspectArgs {
    /// Model file, folder of a run, or folder of a data set
    #[arg(value_name = "MODEL | DATA")]
    path: PathBuf,
    /// The product, where DATA holds several
    #[arg(long, value_name = "NAME")]
    category: Option<String>,
}

/// Inspects.
pub fn run(args: &InspectArgs, output: &Output) -> Result<()> {
    let model = model_file(&args.path);
    if model.is_file() {
        inspect_model::run(&model, output)
    } else {
        inspect_data::run(&args.path, args.category.as_deref(), output)
    }
}

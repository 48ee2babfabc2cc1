//! `blemish inspect`: what is in a model file, or in a folder of images.

use std::path::PathBuf;

use clap::Args;

use crate::failure::Result;
use crate::model::{MODEL, model_file};
use crate::output::Output;
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
///
/// # Errors
/// There is nothing at the path, or neither a model nor images.
pub fn run(args: &InspectArgs, output: &Output) -> Result<()> {
    let path = &args.path;
    if path.is_dir() && !path.join(MODEL).is_file() {
        return inspect_data::run(path, args.category.as_deref(), output);
    }
    inspect_model::run(&model_file(path)?, output)
}

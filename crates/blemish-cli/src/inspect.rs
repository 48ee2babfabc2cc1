//! `blemish inspect`: what is in a model file, in a folder of images, or in a file of pre-trained weights.

use std::path::PathBuf;

use clap::Args;

use crate::failure::Result;
use crate::model::model_unless_data;
use crate::output::Output;
use crate::{inspect_data, inspect_model, inspect_weights};

const EXAMPLES: &str = "\
Examples:
  blemish inspect runs/flange
  blemish inspect mvtec --category screw
  blemish inspect weights/light.safetensors";

/// Show what a model file, a data set or a file of pre-trained weights holds
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct InspectArgs {
    /// Model file, folder of a run, folder of a data set, or file of pre-trained weights
    #[arg(value_name = "MODEL | DATA | WEIGHTS")]
    path: PathBuf,
    /// The product, where DATA holds several
    #[arg(long, value_name = "NAME")]
    category: Option<String>,
}

/// Inspects.
///
/// # Errors
/// There is nothing at the path, or neither a model nor weights nor images.
pub fn run(args: &InspectArgs, output: &Output) -> Result<()> {
    let path = &args.path;
    let Some(file) = model_unless_data(path)? else {
        return inspect_data::run(path, args.category.as_deref(), output);
    };
    match inspect_weights::run(&file, output)? {
        true => Ok(()),
        false => inspect_model::run(&file, output),
    }
}

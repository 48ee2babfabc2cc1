//! `blemish roi`: a page on which a region of interest is drawn.

use std::path::{Path, PathBuf};

use blemish::fit::{FitOptions, Prepared, prepare};
use blemish::image::ByteImage;
use blemish::report::data_uri;
use blemish::{Error, Images, write_whole};
use clap::Args;
use serde::Serialize;

use crate::args::ErrorArgs;
use crate::failure::{Failure, Result};
use crate::inputs::open_data;
use crate::model::{load_file, model_unless_data};
use crate::out_file::{Kind, check};
use crate::output::Output;
use crate::settings::{NetworkArgs, Settings};
use crate::stop::Stop;

const EXAMPLES: &str = "\
Examples:
  blemish roi photos/good --out roi.html
  blemish roi runs/flange

Open the page in a browser, draw rectangles and polygons, and save the mask: 'train --ignore MASK' leaves out what is drawn,
'train --roi MASK' all the rest. The page needs no network.";

const PAGE: &str = include_str!("roi.html");

/// Draw what is to be inspected, and what is not
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct RoiArgs {
    /// Folder of good images, model file, or the folder of a run
    #[arg(value_name = "DATA | MODEL")]
    path: PathBuf,
    /// The product, where DATA holds several
    #[arg(long, value_name = "NAME")]
    category: Option<String>,
    /// The page to write
    #[arg(long, value_name = "FILE", default_value = "roi.html")]
    out: PathBuf,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    errors: ErrorArgs,
}

#[derive(Serialize)]
struct Summary {
    page: String,
    height: usize,
    width: usize,
}

/// Writes the page.
///
/// # Errors
/// No image that can be used; a model that holds no mean image; a page that cannot be written.
pub fn run(args: &RoiArgs, output: &Output) -> Result<()> {
    let (head, _) = PAGE.split_once("<style>").unwrap_or((PAGE, ""));
    check(&args.out, Kind::Page(head))?;
    let mean = match model_unless_data(&args.path)? {
        None => mean_of_data(args)?,
        Some(file) => mean_of_model(&file)?,
    };
    let page = PAGE.replace("\"IMAGE\"", &format!("\"{}\"", data_uri(&mean)?));
    write_whole(&args.out, page.as_bytes())?;
    let summary = Summary { page: args.out.display().to_string(), height: mean.height, width: mean.width };
    output.result(&summary, || {
        let Summary { page, height, width } = &summary;
        format!("{page}: mean image of {width} x {height} pixels; open it in a browser\n")
    })
}

fn mean_of_model(path: &Path) -> Result<ByteImage> {
    let detector = load_file(path)?;
    match detector.template() {
        Some(template) => Ok(grey(template.size(), template.pixels())),
        None => Err(Failure::Usage(format!(
            "{} holds no mean image, since its images were not registered: name the good images instead",
            path.display()
        ))),
    }
}

/// The mean of the views that a detector with these settings would be fitted on.
fn mean_of_data(args: &RoiArgs) -> Result<ByteImage> {
    let set =
        open_data(std::slice::from_ref(&args.path), args.category.as_deref(), args.errors.on_error.into())?;
    let config = args.settings.config(&set.category, &NetworkArgs::default())?.detector;
    let stop = Stop::on_ctrl_c("nothing was written; run it again");
    let options = FitOptions { on_error: args.errors.on_error.into(), listener: &|_| {}, stop: stop.flag() };
    let prepared = prepare(&Images::from(&set), &config, &options)?;
    prepared.config.size_of_masks()?;
    if let Some(template) = prepared.views.normaliser().template() {
        return Ok(grey(template.size(), template.pixels()));
    }
    Ok(mean_of_views(&prepared)?)
}

fn mean_of_views(prepared: &Prepared) -> Result<ByteImage, Error> {
    let count = prepared.views.len();
    let mut sum: Vec<f64> = Vec::new();
    let mut size = [0, 0];
    for i in 0..count {
        let view = prepared.views.get(i)?;
        size = [view.height, view.width];
        let grey = view.grey();
        sum.resize(grey.len(), 0.0);
        sum.iter_mut().zip(grey).for_each(|(sum, v)| *sum += f64::from(v));
    }
    let mean: Vec<f32> = sum.into_iter().map(|v| (v / count as f64) as f32).collect();
    Ok(grey(size, &mean))
}

/// Grey levels, from the darkest to the brightest, in 8 bits.
fn grey([height, width]: [usize; 2], pixels: &[f32]) -> ByteImage {
    let (low, high) = pixels.iter().fold((f32::MAX, f32::MIN), |(low, high), &v| (low.min(v), high.max(v)));
    let scale = 255.0 / (high - low).max(1e-6);
    let pixels = pixels.iter().map(|v| ((v - low) * scale).round() as u8).collect();
    ByteImage { height, width, channels: 1, pixels }
}

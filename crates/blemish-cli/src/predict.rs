//! `blemish predict`: one line of JSON per image.

use std::path::{Path, PathBuf};

use blemish::Result as BlemishResult;
use blemish::view::Picture;
use blemish::dataset::images_in;
use blemish::metrics::Region;
use blemish::parallel::in_order;
use blemish::detector::{Detector, Prediction, Verdict};
use clap::Args;
use serde::Serialize;

use crate::args::ThresholdArgs;
use crate::device::DeviceArgs;
use crate::failure::{Failure, Result};
use crate::heatmaps::HeatMaps;
use crate::output::{Output, json_line};
use crate::run_folder::model_file;

const EXAMPLES: &str = "\
Examples:
  blemish predict runs/flange photos/new/001.png
  blemish predict runs/flange photos/new --heatmaps heatmaps > results.jsonl
  blemish predict runs/flange photos/new --far 0.01

Each image gives one line of JSON: path, score, threshold, verdict (good or defective) and the regions found, in pixels
of the image, the worst first. An image that cannot be used gives its path and the error, and the exit code 3 in the end.";

/// Find defects in new images
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct PredictArgs {
    /// Model file, or the folder of the run that made it
    model: PathBuf,
    /// Images, and folders that are searched for images
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write a picture per image into this folder: what was found, and the heat map beside it
    #[arg(long, value_name = "DIR")]
    heatmaps: Option<PathBuf>,
    #[command(flatten)]
    threshold: ThresholdArgs,
    #[command(flatten)]
    device: DeviceArgs,
}

/// The answer for one image.
#[derive(Serialize)]
struct Answer {
    path: String,
    score: f32,
    threshold: f32,
    verdict: Verdict,
    regions: Vec<Region>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heatmap: Option<String>,
}

/// What is printed for an image that cannot be used.
#[derive(Serialize)]
struct Unusable {
    path: String,
    error: String,
}

/// Predicts; the answer is JSON with and without `--json`.
pub fn run(args: &PredictArgs, _: &Output) -> Result<()> {
    let mut detector = Detector::load(&model_file(&args.model), &args.device.open()?)?;
    args.threshold.apply(&mut detector)?;
    detector.threshold()?;
    let mut heatmaps = args.heatmaps.as_deref().map(HeatMaps::open).transpose()?;
    let (mut images, mut unusable) = (0, 0);
    let detector = &detector;
    let files = args.paths.iter().flat_map(|path| match images_in(path) {
        Ok(files) => files.into_iter().map(|file| (file, Ok(()))).collect(),
        Err(error) => vec![(path.clone(), Err(error))],
    });
    // Every image goes from file to prediction in one piece, several at a time.
    let judge = |(file, found): (PathBuf, BlemishResult<()>)| {
        let read = found.and_then(|()| detector.read(&file));
        (file, read.map(|picture| (detector.predict(&picture), picture)))
    };
    in_order(files.collect(), judge, |(path, read)| {
        images += 1;
        match read {
            Ok((prediction, picture)) => json_line(&answer(&path, &picture, prediction?, heatmaps.as_mut())?),
            Err(error) => {
                unusable += 1;
                json_line(&Unusable { path: path.display().to_string(), error: error.reason() })
            }
        }
    })?;
    if unusable > 0 {
        let message = format!("{unusable} of {images} images could not be used");
        return Err(Failure::Partial { message, code: 3 });
    }
    Ok(())
}

fn answer(
    path: &Path,
    picture: &Picture,
    prediction: Prediction,
    heatmaps: Option<&mut HeatMaps>,
) -> Result<Answer> {
    let heatmap = heatmaps.map(|folder| folder.save(path, &picture.image, &prediction, None)).transpose()?;
    Ok(Answer {
        path: path.display().to_string(),
        score: prediction.score,
        threshold: prediction.threshold,
        verdict: prediction.verdict,
        regions: prediction.regions,
        heatmap: heatmap.map(|path| path.display().to_string()),
    })
}

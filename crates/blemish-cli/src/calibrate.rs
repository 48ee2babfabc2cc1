//! `blemish calibrate`: thresholds from the user's own photos, without fitting anything.

use std::path::PathBuf;

use blemish::Detector;
use blemish::config::ThresholdRule;
use blemish::fit::{Calibrated, CurvePoint};
use blemish::report::significant;
use clap::Args;
use serde::Serialize;

use crate::args::{MaskArgs, share};
use crate::failure::Result;
use crate::inputs::images;
use crate::model::model_file;
use crate::output::{Output, counted, quoted, threshold_lines, warn_of};

const EXAMPLES: &str = "\
Examples:
  blemish calibrate runs/flange photos/good-of-this-week
  blemish calibrate runs/flange photos/good --defects photos/defective --fpr 0.01 --out flange-line3.safetensors
  blemish calibrate runs/flange photos/good --defects photos/defective --dry-run

GOOD must be others than the images that the model was fitted on. Their scores replace those that thresholds were computed
from; defective images set nothing, they show what each threshold would find. Nothing is fitted: it takes as long as
'blemish predict'.";

/// Lines of the curve that are printed.
const LINES: usize = 12;
/// Thresholds with a larger share of false alarms than this are not.
const MOST_ALARMS: f64 = 0.25;

/// Set a model's thresholds on other good images
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct CalibrateArgs {
    /// Model file, or the folder of the run that made it
    model: PathBuf,
    /// Images of good products, and folders of such
    #[arg(required = true, value_name = "GOOD")]
    good: Vec<PathBuf>,
    /// Images of defective products, and folders of such
    #[arg(long, value_name = "DIR", num_args = 1..)]
    defects: Vec<PathBuf>,
    /// The model file to write; without it MODEL is replaced
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Show the curve and write nothing
    #[arg(long, conflicts_with = "out")]
    dry_run: bool,
    /// Accept this share of false alarms among good images [default: as the model says]
    #[arg(long, alias = "far", value_name = "RATE", value_parser = share)]
    fpr: Option<f64>,
    #[command(flatten)]
    masks: MaskArgs,
}

#[derive(Serialize)]
struct Summary<'a> {
    /// Where it was written, where it was.
    model: Option<String>,
    #[serde(flatten)]
    calibrated: &'a Calibrated,
}

/// Calibrates.
///
/// # Errors
/// No image that can be used; a model that cannot be read or written.
pub fn run(args: &CalibrateArgs, output: &Output) -> Result<()> {
    let model = model_file(&args.model)?;
    let mut detector = Detector::load(&model)?;
    args.masks.apply(&mut detector)?;
    let good = images(&args.good)?;
    let defects = if args.defects.is_empty() { None } else { Some(images(&args.defects)?) };
    let mut calibrated = detector.calibrate(&good, defects.as_ref())?;
    warn_of(&calibrated.problems);
    if args.fpr.is_some() {
        detector.choose_threshold(ThresholdRule::Fpr, args.fpr)?;
    }
    calibrated.threshold = detector.threshold()?;
    let target = args.out.clone().unwrap_or(model);
    if !args.dry_run {
        detector.save(&target)?;
    }
    let written = (!args.dry_run).then(|| target.display().to_string());
    let summary = Summary { model: written, calibrated: &calibrated };
    output.result(&summary, || {
        let text = text(&calibrated);
        match &summary.model {
            Some(model) => {
                text + &format!(
                    "model:      {model}\nnext:       blemish predict {} IMAGES..\n",
                    quoted(&target)
                )
            }
            None => text + "nothing was written (--dry-run)\n",
        }
    })
}

fn text(calibrated: &Calibrated) -> String {
    let Calibrated { threshold, good, repeated, defective, curve, .. } = calibrated;
    let mut text = format!("calibrated on {}", counted(*good, "good image", "good images"));
    if *repeated > 0 {
        text += &format!(" ({repeated} more are near-duplicates)");
    }
    if *defective > 0 {
        text += &format!(", compared with {}", counted(*defective, "defective image", "defective images"));
    }
    text += "\n\n   threshold  false alarms %   (95 %)        found %   (95 %)\n";
    let of_interest: Vec<&CurvePoint> = curve.iter().filter(|point| point.fpr <= MOST_ALARMS).collect();
    let step = of_interest.len().div_ceil(LINES).max(1);
    for point in of_interest.into_iter().step_by(step) {
        text += &line(point);
    }
    text + "\n" + &threshold_lines(threshold)
}

fn line(point: &CurvePoint) -> String {
    let percent = |share: f64| format!("{:.1}", 100.0 * share);
    let range = |[low, high]: [f64; 2]| format!("{} to {}", percent(low), percent(high));
    let value = significant(Some(point.threshold));
    let (alarms, around) = (percent(point.fpr), range(point.fpr_interval));
    let mut line = format!("{value:>12}  {alarms:>14}   {around:<14}");
    if let (Some(found), Some(interval)) = (point.found, point.found_interval) {
        line += &format!("{:>7}   {}", percent(found), range(interval));
    }
    line.trim_end().to_owned() + "\n"
}

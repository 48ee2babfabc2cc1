//! `blemish calibrate`: thresholds from the user's own photos, without fitting anything.

use std::path::PathBuf;

use blemish::config::ThresholdRule;
use blemish::dataset::OnError;
use blemish::fit::{Calibrated, CurvePoint};
use blemish::report::{percent, significant_to};
use clap::Args;
use serde::Serialize;

use crate::args::{MaskArgs, SizeArgs, share};
use crate::failure::Result;
use crate::inputs::images;
use crate::model::{load_file, model_file};
use crate::out_file::{hold_model, target};
use crate::output::{Output, counted, quoted, threshold_lines, warn_of};

const EXAMPLES: &str = "\
Examples:
  blemish calibrate runs/flange photos/good-of-this-week
  blemish calibrate runs/flange photos/good --defects photos/defective --fpr 0.01 --out flange-line3.safetensors
  blemish calibrate runs/flange photos/good --defects photos/defective --dry-run

GOOD must be others than the images that the model was fitted on: those score too low, are known by their content, and are left
out. The scores of GOOD replace those that thresholds were computed from; defective images set nothing, they show what each
threshold would find. Nothing is fitted: it takes as long as 'blemish predict'.";

/// Lines of the curve that are printed.
const LINES: usize = 12;
/// Digits that tell any two numbers of 32 bits apart.
const MOST_DIGITS: usize = 9;
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
    #[command(flatten)]
    size: SizeArgs,
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
    let target = target(&model, args.out.as_deref())?;
    let _lock = if args.dry_run { None } else { hold_model(&target)? };
    let mut detector = load_file(&model)?;
    args.size.apply(&mut detector);
    args.masks.apply(&mut detector)?;
    let good = images(&args.good, OnError::Skip)?;
    let defects = if args.defects.is_empty() { None } else { Some(images(&args.defects, OnError::Skip)?) };
    let mut calibrated = detector.calibrate(&good, defects.as_ref())?;
    calibrated.warnings.iter().for_each(|warning| tracing::warn!("warning: {warning}"));
    warn_of(&calibrated.problems);
    if args.fpr.is_some() {
        detector.choose_threshold(ThresholdRule::Fpr, args.fpr)?;
    }
    calibrated.threshold = detector.threshold()?;
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
    let shown: Vec<&CurvePoint> = of_interest.into_iter().step_by(step).collect();
    for (i, point) in shown.iter().enumerate() {
        let neighbours = [i.checked_sub(1), Some(i + 1)].into_iter().flatten().filter_map(|at| shown.get(at));
        text += &line(point, &neighbours.map(|other| other.threshold).collect::<Vec<_>>());
    }
    text + "\n" + &threshold_lines(threshold)
}

/// A point of the curve; its threshold has as many digits as tell it from those of its neighbours.
fn line(point: &CurvePoint, neighbours: &[f64]) -> String {
    let percent = |share: f64| percent(Some(share));
    let range = |[low, high]: [f64; 2]| format!("{} to {}", percent(low), percent(high));
    let written = |value: f64, digits: usize| significant_to(Some(value), digits);
    let differs = |digits: &usize| {
        neighbours.iter().all(|other| written(*other, *digits) != written(point.threshold, *digits))
    };
    let value = written(point.threshold, (4..MOST_DIGITS).find(differs).unwrap_or(MOST_DIGITS));
    let (alarms, around) = (percent(point.fpr), range(point.fpr_interval));
    let mut line = format!("{value:>12}  {alarms:>14}   {around:<14}");
    if let (Some(found), Some(interval)) = (point.found, point.found_interval) {
        line += &format!("{:>7}   {}", percent(found), range(interval));
    }
    line.trim_end().to_owned() + "\n"
}

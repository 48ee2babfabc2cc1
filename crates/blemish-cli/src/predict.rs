//! `blemish predict`: what is wrong with new images, and where.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use blemish::dataset::Problem;
use blemish::image::{DecodeOptions, Image, ImageFacts, decode_bytes, decode_with_facts};
use blemish::parallel::in_order;
use blemish::view::{Framed, unlike};
use blemish::{Detector, Error, Prediction, Verdict};
use clap::Args;
use tempfile::NamedTempFile;

use crate::answer::{Answer, CSV_HEADER, Format, Judged};
use crate::args::{MaskArgs, ThresholdArgs};
use crate::failure::{Failure, Result};
use crate::inputs::{Input, Inputs};
use crate::model;
use crate::output::{Output, counted, print, thousands, visible};
use crate::progress;
use crate::visuals::{Seen, VisualArgs, Visuals};

const EXAMPLES: &str = "\
Examples:
  blemish predict runs/flange photos/new/001.png
  blemish predict runs/flange photos/new --overlays overlays > results.jsonl
  blemish predict runs/flange 'photos/*/cam1' --csv results.csv --fpr 0.01 --fail-on-defect
  find photos -newer stamp -name '*.png' | blemish predict runs/flange -

PATH is an image, a folder that is searched for images, @LIST (a file with a name a line), or - (standard input: an image,
or a name a line). On a terminal each image gives a line to read; elsewhere, and with --json, a line of JSON: path, score,
threshold, verdict (good, review or defective), the reason, the share of the image that was inspected, and the regions found, in
pixels of the image, the most anomalous first. A file that is not judged gives its path and the error; where it was named, or
should have been an image, the exit code is 3 in the end.
With --fail-on-defect the exit code is 10 if any image is defective and none failed.";

/// Files that are named in the summary.
const NAMED: usize = 10;

/// Find defects in new images
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct PredictArgs {
    /// Model file, or the folder of the run that made it
    model: PathBuf,
    /// Images, folders, @LIST or -
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// How answers are written; without it text on a terminal and JSON elsewhere
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write a table of all answers to this file as well
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    #[command(flatten)]
    visuals: VisualArgs,
    #[command(flatten)]
    threshold: ThresholdArgs,
    #[command(flatten)]
    masks: MaskArgs,
    /// End with exit code 10 if any image is defective
    #[arg(long)]
    fail_on_defect: bool,
    /// Do not judge images that are unlike the training images (shape, scale, channels, depth, brightness), and let every file
    /// that is not judged count as a failure
    #[arg(long)]
    strict: bool,
    /// Refuse images of more pixels than this before they are decoded [default: as the model says]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_pixels: Option<u64>,
}

/// What an image is judged with.
struct Judge<'a> {
    detector: &'a Detector,
    decoding: DecodeOptions,
    visuals: &'a Visuals,
    strict: bool,
}

/// How many of what there were.
#[derive(Default)]
struct Counts {
    judged: usize,
    defective: usize,
    review: usize,
    /// Path and reason.
    not_judged: Vec<(String, String)>,
    /// How many of these should have been images.
    failed: usize,
    /// How many were judged, though they are unlike the training images.
    unlike: usize,
}

/// Predicts.
///
/// # Errors
/// Images that were not judged; a defective one with `--fail-on-defect`; files that cannot be written.
pub fn run(args: &PredictArgs, output: &Output) -> Result<()> {
    let mut detector = model::load(&args.model)?;
    args.threshold.apply(&mut detector)?;
    args.masks.apply(&mut detector)?;
    let inputs = Inputs::of(&args.paths)?;
    let visuals = Visuals::open(&args.visuals, &inputs.folders)?;
    let mut table = args.csv.as_deref().map(Table::create).transpose()?;
    let format = match args.format {
        _ if output.json => Format::Json,
        Some(format) => format,
        None if output.terminal => Format::Text,
        None => Format::Json,
    };
    let mut decoding = detector.config().data.decoding();
    decoding.max_pixels = args.max_pixels.unwrap_or(decoding.max_pixels);
    let judge = Judge { detector: &detector, decoding, visuals: &visuals, strict: args.strict };
    let bar = progress::bar(output, inputs.total, "judging");
    let mut counts = Counts::default();
    if format == Format::Csv {
        print(CSV_HEADER)?;
    }
    // Every image goes from file to answer in one piece, several at a time.
    let outcome = in_order(
        inputs.images,
        |input| judge.answer(input),
        |answer: Result<Answer>| -> Result<()> {
            let answer = answer?;
            counts.add(&answer);
            if let Some(table) = &mut table {
                table.add(&answer)?;
            }
            let line = answer.line(format)?;
            bar.suspend(|| print(&line))?;
            bar.inc(1);
            Ok(())
        },
    );
    bar.finish_and_clear();
    outcome?;
    if let Some(table) = table {
        table.finish()?;
    }
    counts.conclude(args.fail_on_defect)
}

impl Judge<'_> {
    /// The answer for one input; what is wrong with the input itself is one, too.
    fn answer(&self, input: Input) -> Result<Answer> {
        let path = input.name().display().to_string();
        if let Input::Skipped(problem) = input {
            return Ok(Answer::NotJudged { path, error: problem.reason, is_failure: self.strict });
        }
        match self.judge(&input) {
            Ok((image, framed, prediction, remarks)) => {
                let mut judged = Judged::new(path, &prediction);
                judged.remarks = remarks;
                if self.visuals.is_wanted() {
                    let file =
                        if matches!(input, Input::Bytes(_)) { Path::new("stdin") } else { input.name() };
                    let seen = Seen { path: file, image: &image, framed: &framed, prediction: &prediction };
                    self.visuals.write(self.detector, &seen, None, &mut judged)?;
                }
                Ok(Answer::Judged(Box::new(judged)))
            }
            // The model is at fault, not the image.
            Err(error @ Error::Model { .. }) => Err(error.into()),
            Err(error) => Ok(Answer::NotJudged { path, error: error.reason(), is_failure: true }),
        }
    }

    fn judge(&self, input: &Input) -> blemish::Result<(Image, Framed, Prediction, Vec<String>)> {
        let (image, facts) = match input {
            Input::File(path) => decode_with_facts(path, &self.decoding)?,
            Input::Bytes(bytes) => {
                let image = decode_bytes("standard input", bytes, &self.decoding)?;
                let facts = ImageFacts::of(&image);
                (image, facts)
            }
            Input::Unusable { path, reason } | Input::Skipped(Problem { path, reason }) => {
                return Err(Error::image(path, reason));
            }
        };
        let training = self.detector.provenance().facts.as_ref();
        let remarks = training.map(|training| unlike(&facts, training)).unwrap_or_default();
        if self.strict && !remarks.is_empty() {
            let reason = format!("unlike the training images: {}", remarks.join("; "));
            return Err(Error::image(input.name(), reason));
        }
        let framed = self.detector.frame(&image)?.with_facts(facts);
        let prediction = self.detector.predict_framed(&framed)?;
        Ok((image, framed, prediction, remarks))
    }
}

impl Counts {
    fn add(&mut self, answer: &Answer) {
        match answer {
            Answer::Judged(judged) => {
                self.judged += 1;
                self.defective += usize::from(judged.verdict == Verdict::Defective);
                self.review += usize::from(judged.verdict == Verdict::Review);
                self.unlike += usize::from(!judged.remarks.is_empty());
            }
            Answer::NotJudged { path, error, is_failure } => {
                self.failed += usize::from(*is_failure);
                self.not_judged.push((path.clone(), error.clone()));
            }
        }
    }

    /// Says how many there were, and what was not judged.
    fn conclude(self, fail_on_defect: bool) -> Result<()> {
        let all = self.judged + self.not_judged.len();
        let mut summary = format!("{} of {} defective", thousands(self.defective), thousands(all));
        if self.review > 0 {
            summary += &format!(", {} to be reviewed", thousands(self.review));
        }
        if !self.not_judged.is_empty() {
            summary += &format!(", {} not judged", thousands(self.not_judged.len()));
        }
        if self.unlike > 0 {
            tracing::warn!(
                "warning: {} unlike the training images; the answers say how (--strict refuses them)",
                counted(self.unlike, "image is", "images are")
            );
        }
        tracing::info!("{summary}");
        let named: Vec<String> =
            self.not_judged.iter().take(NAMED).map(|(path, error)| format!("\n  {path}: {error}")).collect();
        let more = match self.not_judged.len().saturating_sub(NAMED) {
            0 => String::new(),
            n => format!("\n  and {} more", thousands(n)),
        };
        let not_judged = format!("{} of {}", thousands(self.not_judged.len()), thousands(all));
        let message = format!("{not_judged} files were not judged:{}{more}", named.concat());
        match (self.not_judged.len(), self.failed) {
            (1.., 1..) => return Err(Failure::Partial { message, code: 3 }),
            (1.., 0) => tracing::warn!("warning: {}", visible(&message)),
            _ => {}
        }
        if fail_on_defect && self.defective > 0 { Err(Failure::Defective) } else { Ok(()) }
    }
}

/// A table that takes its place when it is complete.
struct Table {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
}

impl Table {
    fn create(path: &Path) -> Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        {
            // What the process's mask leaves of it, as of any other new file.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(folder).map_err(|e| Error::io(path, e))?;
        let mut table = Self { path: path.to_path_buf(), file: BufWriter::new(file) };
        table.write(CSV_HEADER)?;
        Ok(table)
    }

    fn add(&mut self, answer: &Answer) -> Result<()> {
        self.write(&answer.line(Format::Csv)?)
    }

    fn write(&mut self, text: &str) -> Result<()> {
        Ok(self.file.write_all(text.as_bytes()).map_err(|e| Error::io(&self.path, e))?)
    }

    fn finish(self) -> Result<()> {
        let failed = |e| Error::io(&self.path, e);
        let file = self.file.into_inner().map_err(|e| failed(e.into_error()))?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&self.path).map_err(|e| failed(e.error))?;
        Ok(())
    }
}

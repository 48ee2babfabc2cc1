//! `blemish predict`: what is wrong with new images, and where.

use std::io::{LineWriter, Write};
use std::path::{Path, PathBuf};

use blemish::dataset::Problem;
use blemish::image::{DecodeOptions, Image, ImageFacts, decode_bytes, decode_with_facts};
use blemish::parallel::in_order;
use blemish::view::{Framed, unlike};
use blemish::{Detector, Error, Prediction, Verdict, WholeFile};
use clap::Args;

use crate::answer::{Answer, CSV_HEADER, Format, Judged};
use crate::args::{MaskArgs, SizeArgs, ThresholdArgs};
use crate::failure::{Failure, Result};
use crate::inputs::{Input, Inputs};
use crate::model;
use crate::out_file::{Kind, check};
use crate::output::{Output, counted, print, thousands, visible};
use crate::progress;
use crate::visuals::{Seen, VisualArgs, Visuals};

const EXAMPLES: &str = "\
Examples:
  blemish predict runs/flange photos/new/001.png
  blemish predict runs/flange photos/new --overlays overlays > results.jsonl
  blemish predict runs/flange 'photos/*/cam1' --csv results.csv --fpr 0.01 --fail-on-defect
  find photos -newer stamp -name '*.png' | blemish predict runs/flange -

PATH is an image, a folder that is searched for images, @LIST (a file with a name a line, or names set apart by NUL), or -
(standard input: an image, or such a list). On a terminal each image gives a line to read; elsewhere, and with --json, a line of
JSON: path, score, threshold, verdict (good, review or defective), the reason, the share of the image that was inspected, and the
regions found, in pixels of the image, the most anomalous first. A file that is not judged gives its path and the error; where it
was named, or should have been an image, the exit code is 3 in the end.
An image whose pixels are exactly those of the image judged before it gets a remark: a camera's noise makes two frames alike only if
it is frozen. From the third such frame in a row on it is defective, reason blank; with --strict from the second.
With --fail-on-defect the exit code is 10 if any image is defective and none failed.";

/// Files that are named in the summary.
const NAMED: usize = 10;
/// From so many frames in a row with the same pixels on the camera is frozen: a person may have copied a file.
const FROZEN: usize = 3;

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
    /// Write a table of all answers to this file as well (/dev/stdout: to standard output)
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
    #[command(flatten)]
    size: SizeArgs,
}

/// What an image is judged with.
struct Judge<'a> {
    detector: &'a Detector,
    decoding: DecodeOptions,
    visuals: &'a Visuals,
    strict: bool,
    threshold_warning: Option<String>,
}

/// The image that was judged last, and how many in a row have its pixels.
#[derive(Default)]
struct Frames {
    last: Option<(u64, String)>,
    alike: usize,
}

impl Frames {
    /// Remarks on an image that repeats the one before it.
    fn watch(&mut self, judged: &mut Judged, strict: bool) {
        let own = (judged.fingerprint, judged.path().to_owned());
        match self.last.replace(own) {
            Some((fingerprint, before)) if fingerprint == judged.fingerprint => {
                self.alike += 1;
                judged.repeat(&before, strict || self.alike >= FROZEN);
            }
            _ => self.alike = 1,
        }
    }
}

/// How many of what there were.
#[derive(Default)]
struct Counts {
    judged: usize,
    defective: usize,
    review: usize,
    /// Path and reason.
    not_judged: Vec<(String, String)>,
    /// How many files these are: one may stand for all in a folder.
    files: usize,
    /// How many of these should have been images.
    failed: usize,
    /// How many were judged, though they are unlike the training images.
    unlike: usize,
    /// How many have the pixels of the image before them.
    repeats: usize,
}

/// Predicts.
///
/// # Errors
/// Images that were not judged; a defective one with `--fail-on-defect`; files that cannot be written.
pub fn run(args: &PredictArgs, output: &Output) -> Result<()> {
    let mut detector = model::load(&args.model)?;
    args.size.apply(&mut detector);
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
    let decoding = detector.config().data.decoding();
    let threshold_warning = detector.threshold()?.warning;
    if let Some(warning) = &threshold_warning {
        tracing::warn!("warning: {warning}");
    }
    let (detector, visuals, strict) = (&detector, &visuals, args.strict);
    let judge = Judge { detector, decoding, visuals, strict, threshold_warning };
    let mut frames = Frames::default();
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
            let mut answer = answer?;
            if let Answer::Judged(judged) = &mut answer {
                frames.watch(judged, strict);
            }
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
    match outcome {
        // What was found until the reader went away still decides the exit code.
        Err(failure) if failure.is_closed() && args.fail_on_defect => return counts.conclude(true),
        outcome => outcome?,
    }
    if let Some(table) = table {
        table.finish()?;
    }
    counts.conclude(args.fail_on_defect)
}

impl Judge<'_> {
    /// The answer for one input; what is wrong with the input itself is one, too.
    fn answer(&self, input: Input) -> Result<Answer> {
        let path = input.name().display().to_string();
        if let Input::Skipped(Problem { reason: error, files, .. }) = input {
            return Ok(Answer::NotJudged { path, error, is_failure: self.strict, files });
        }
        match self.judge(&input) {
            Ok((image, framed, prediction, remarks)) => {
                let mut judged = Judged::new(path, &prediction);
                judged.threshold_warning.clone_from(&self.threshold_warning);
                (judged.remarks, judged.fingerprint) = (remarks, image.fingerprint());
                if self.visuals.is_wanted() {
                    // What lies in no folder is called as if it were in the outermost one.
                    let file =
                        if matches!(input, Input::Bytes(_)) { Path::new("/stdin") } else { input.name() };
                    let seen = Seen { path: file, image: &image, framed: &framed, prediction: &prediction };
                    self.visuals.write(self.detector, &seen, None, &mut judged)?;
                }
                Ok(Answer::Judged(Box::new(judged)))
            }
            // The model is at fault, not the image.
            Err(error @ Error::Model { .. }) => Err(error.into()),
            Err(error) => Ok(Answer::NotJudged { path, error: error.reason(), is_failure: true, files: 1 }),
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
            Input::Unusable { path, reason } | Input::Skipped(Problem { path, reason, .. }) => {
                return Err(Error::image(path, reason));
            }
        };
        let training = self.detector.provenance().facts.as_ref();
        let remarks = training.map(|training| unlike(&facts, training)).unwrap_or_default();
        if self.strict && !remarks.is_empty() {
            let reason = format!("unlike the training images: {}", remarks.join("; "));
            return Err(Error::image(input.name(), reason));
        }
        let framed = self.detector.frame_with(&image, facts)?;
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
                self.unlike += usize::from(judged.remarks.len() > usize::from(judged.repeats));
                self.repeats += usize::from(judged.repeats);
            }
            Answer::NotJudged { path, error, is_failure, files } => {
                self.failed += usize::from(*is_failure);
                self.files += files;
                self.not_judged.push((path.clone(), error.clone()));
            }
        }
    }

    /// Says how many there were, and what was not judged.
    fn conclude(self, fail_on_defect: bool) -> Result<()> {
        let all = self.judged + self.files;
        let mut summary = format!("{} of {} defective", thousands(self.defective), thousands(all));
        if self.review > 0 {
            summary += &format!(", {} to be reviewed", thousands(self.review));
        }
        if !self.not_judged.is_empty() {
            summary += &format!(", {} not judged", thousands(self.files));
        }
        if self.unlike > 0 {
            tracing::warn!(
                "warning: {} unlike the training images; the answers say how (--strict refuses them)",
                counted(self.unlike, "image is", "images are")
            );
        }
        if self.repeats > 0 {
            tracing::warn!(
                "warning: {} the same pixels as the image before: is the camera frozen?",
                counted(self.repeats, "image has", "images have")
            );
        }
        tracing::info!("{summary}");
        let named: Vec<String> =
            self.not_judged.iter().take(NAMED).map(|(path, error)| format!("\n  {path}: {error}")).collect();
        let more = match self.not_judged.len().saturating_sub(NAMED) {
            0 => String::new(),
            n => format!("\n  and {} more", thousands(n)),
        };
        let not_judged = format!("{} of {}", thousands(self.files), thousands(all));
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
    // Whole lines, also to a pipe that others write to.
    file: LineWriter<WholeFile>,
}

impl Table {
    fn create(path: &Path) -> Result<Self> {
        check(path, Kind::Table(CSV_HEADER))?;
        let file = WholeFile::create(path).map_err(|e| Error::io(path, e))?;
        let mut table = Self { path: path.to_path_buf(), file: LineWriter::new(file) };
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
        Ok(file.finish().map_err(failed)?)
    }
}

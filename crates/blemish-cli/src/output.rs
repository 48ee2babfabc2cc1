//! Results to standard output, everything else to standard error; neither ever panics on a full disk or closed pipe.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use blemish::calibrate::Threshold;
use blemish::dataset::Problem;
use blemish::fit::SuspectedOutlier;
use blemish::found::DetectionEstimate;
use blemish::report::significant;
use blemish_synthetic::PhotoDefects;
use clap::Args;
use serde::Serialize;
use tracing::Level;

use crate::failure::{Failure, Result};

/// In help texts these options stand below the command's own.
const LAST: usize = 900;
/// Problems that are named one by one.
const NAMED_PROBLEMS: usize = 10;

/// What is printed, and how; the same for every command.
#[derive(Args)]
pub struct OutputArgs {
    /// Print results as JSON
    #[arg(long, global = true, display_order = LAST)]
    json: bool,
    /// Print no progress and no remarks, only warnings and errors
    #[arg(long, short, global = true, conflicts_with = "verbose", display_order = LAST)]
    quiet: bool,
    /// Print lines instead of a progress bar, and what was found and decided on the way
    #[arg(long, short, global = true, display_order = LAST)]
    verbose: bool,
}

/// Where a command's output goes.
pub struct Output {
    /// Whether results are JSON.
    pub json: bool,
    /// Whether a progress bar can be drawn.
    pub bar: bool,
    /// Whether results go to a terminal.
    pub terminal: bool,
}

impl OutputArgs {
    /// Starts logging to standard error.
    pub fn start(&self) -> Output {
        let level = match (self.quiet, self.verbose) {
            (true, _) => Level::WARN,
            (_, true) => Level::DEBUG,
            _ => Level::INFO,
        };
        // Remarks are sentences for a person: no time, no level, no module.
        let subscriber = tracing_subscriber::fmt()
            .with_writer(io::stderr)
            .with_max_level(level)
            .without_time()
            .with_level(false)
            .with_target(false)
            .with_ansi(false)
            .log_internal_errors(false)
            .finish();
        // It fails only if there is one already, and there is none.
        let _ = tracing::subscriber::set_global_default(subscriber);
        let bar = level == Level::INFO && io::stderr().is_terminal();
        Output { json: self.json, bar, terminal: io::stdout().is_terminal() }
    }
}

impl Output {
    /// Prints a command's result: `value` as JSON or `text`.
    pub fn result(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
        if self.json { print(&json(value)?) } else { print(&visible(&text())) }
    }
}

/// `value` as indented JSON with a line's end.
pub fn json(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Failure::Output(e.into()))?;
    Ok(text + "\n")
}

/// `value` as one line of JSON, with its end.
pub fn json_line(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string(value).map_err(|e| Failure::Output(e.into()))?;
    Ok(text + "\n")
}

/// Prints to standard output.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Failure::Output)
}

/// Prints an error to standard error.
pub fn error(error: &impl Display) {
    // Where standard error cannot be written to, nobody can be told.
    let _ = writeln!(io::stderr(), "error: {}", visible(&error.to_string()));
}

/// Names of files and texts in model files come from anywhere: what would command the terminal is made visible.
pub fn visible(text: &str) -> String {
    let shown = |c: char| if c.is_control() && !"\n\t".contains(c) { '\u{fffd}' } else { c };
    text.chars().map(shown).collect()
}

/// The good images that are least like the others, a line for each: its score, its file, and whether it was left out.
pub fn outliers(images: &[SuspectedOutlier], indent: &str) -> String {
    let mut text = String::new();
    if !images.is_empty() {
        text += "least like the others (score, file):\n";
    }
    for image in images {
        let left_out = if image.left_out { " (left out)" } else { "" };
        let score = significant(Some(f64::from(image.score)));
        text += &format!("{indent}{score}  {}{left_out}\n", image.path);
    }
    text
}

/// A threshold and how it was found in a line, what to know of it in another.
pub fn threshold_lines(threshold: &Threshold) -> String {
    let value = significant(Some(threshold.value));
    let mut text = format!("threshold:  {value}: {}\n", threshold.how);
    if let Some(warning) = &threshold.warning {
        text += &format!("            {warning}\n");
    }
    text
}

/// What will be found, a line for each kind of defect; all but the first begin with `indent`.
pub fn found(estimate: &DetectionEstimate, indent: &str) -> String {
    let mut text = String::new();
    for (i, sentence) in estimate.in_words().into_iter().enumerate() {
        let start = if i == 0 { format!("{:<1$}", "finds:", indent.len()) } else { indent.to_owned() };
        text += &format!("{start}{sentence}\n");
    }
    let images = counted(estimate.images, "good image", "good images");
    text + &format!(
        "{indent}(estimated: {} on {images} that were not fitted on; real defects may be fainter)\n",
        PhotoDefects::describe()
    )
}

/// One channel or three, in a word.
pub fn colours(channels: usize) -> &'static str {
    if channels == 1 { "grey" } else { "colour" }
}

/// A number with its thousands set apart, and what it counts: `1 image`, `5,000 images`.
pub fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", thousands(count), if count == 1 { one } else { many })
}

/// A number with its thousands set apart: `5,000`.
pub fn thousands(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `path` as a word of a POSIX shell, to be copied from a message.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    shlex::try_quote(&text).map_or_else(|_| text.clone(), |word| word.into_owned())
}

/// Names files that were left out, not all of them if there are many.
pub fn warn_of(problems: &[Problem]) {
    for Problem { path, reason, .. } in problems.iter().take(NAMED_PROBLEMS) {
        tracing::warn!("warning: {}: {reason}", path.display());
    }
    if let Some(more) = problems.len().checked_sub(NAMED_PROBLEMS).filter(|&n| n > 0) {
        tracing::warn!("warning: and {}", counted(more, "more file", "more files"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words() {
        assert_eq!([1, 999, 1000, 1_234_567].map(thousands), ["1", "999", "1,000", "1,234,567"]);
        assert_eq!([counted(1, "file", "files"), counted(2, "file", "files")], ["1 file", "2 files"]);
        for (path, word) in
            [("runs/a-1", "runs/a-1"), ("my photos", "'my photos'"), ("it's", "\"it's\""), ("", "''")]
        {
            assert_eq!(quoted(Path::new(path)), word);
        }
    }
}

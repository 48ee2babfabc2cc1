//! Progress as a person sees it: a bar on a terminal, now and then a line elsewhere.

use std::fmt::Write;
use std::time::{Duration, Instant};

use blemish::history::{EpochRecord, Stage};
use blemish_train::Event;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::output::{Output, thousands};

const TRAINING: &str = "{prefix} {wide_bar} {msg}  {speed}  {eta} left";
const COUNTING: &str = "{prefix} {wide_bar} {pos}/{len}  {eta} left";
/// How often a line tells of the same work.
const EVERY: Duration = Duration::from_secs(10);

/// Shows how far work is.
pub struct Progress {
    draws: bool,
    bar: ProgressBar,
    stage: &'static str,
    told: Instant,
    epochs: usize,
    epoch: usize,
}

impl Progress {
    /// Shows nothing yet.
    pub fn new(output: &Output) -> Self {
        let bar = ProgressBar::hidden();
        Self { draws: output.bar, bar, stage: "", told: Instant::now(), epochs: 0, epoch: 0 }
    }

    /// Shows that `done` of `total` is done of `stage`; a line now and then where no bar can be drawn.
    pub fn step(&mut self, stage: &'static str, done: usize, total: usize) {
        if self.stage != stage {
            self.clear();
            (self.stage, self.told) = (stage, Instant::now());
            if self.draws {
                self.bar = drawn(total, stage, COUNTING);
            } else {
                tracing::info!("{stage}");
            }
        } else if !self.draws && done < total && self.told.elapsed() >= EVERY {
            self.told = Instant::now();
            tracing::info!("{stage}: {} of {}", thousands(done), thousands(total));
        }
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
        if done >= total {
            self.clear();
        }
    }

    /// Shows an event of the network's training.
    pub fn show(&mut self, event: &Event) {
        match event {
            Event::StageStarted { stage, done, epochs, epoch_images } => {
                self.clear();
                (self.epochs, self.epoch, self.stage) = (*epochs, *done, "");
                if *done > 0 {
                    self.line(&format!("{}: continuing after epoch {done} of {epochs}", stage.name()));
                }
                if self.draws && done < epochs {
                    self.bar = drawn(epochs * epoch_images, stage.name(), TRAINING);
                    self.bar.set_position((done * epoch_images) as u64);
                    self.bar.reset_eta();
                }
            }
            Event::Step { loss, images } | Event::StepSkipped { loss, images, .. } => {
                self.bar.inc(*images as u64);
                let width = self.epochs.to_string().len();
                let epoch = format!("{:>width$}/{}", self.epoch + 1, self.epochs);
                self.bar.set_message(format!("epoch {epoch}  loss {loss:.4}"));
            }
            Event::Epoch(record) => {
                self.epoch = record.epoch;
                if !self.draws || record.val_auroc.is_some() {
                    self.line(&self.describe(record));
                }
                if self.epoch == self.epochs {
                    self.clear();
                }
            }
            Event::StoppedEarly { stage, epoch } => {
                self.clear();
                self.line(&format!("{}: stopped early after epoch {epoch}, no better since", stage.name()));
            }
            Event::CheckpointWritten(path) => tracing::debug!("wrote {}", path.display()),
            _ => {}
        }
    }

    /// Removes the bar.
    pub fn clear(&mut self) {
        self.bar.finish_and_clear();
        self.bar = ProgressBar::hidden();
    }

    /// Writes a line without disturbing the bar.
    pub fn line(&self, text: &str) {
        self.bar.suspend(|| tracing::info!("{text}"));
    }

    fn describe(&self, record: &EpochRecord) -> String {
        let EpochRecord { stage, epoch, loss, images_per_second, seconds, .. } = record;
        let name = match stage {
            Stage::Pretrain => "pre-training",
            Stage::Finetune => "fine-tuning",
        };
        let mut text =
            format!("{name} {epoch}/{}: loss {loss:.4}, {images_per_second:.1} images/s", self.epochs);
        let metrics = [("AUROC", record.val_auroc), ("F1-max", record.val_f1), ("AUPRO", record.val_aupro)];
        for (name, value) in metrics {
            if let Some(value) = value {
                text += &format!(", {name} {value:.3}");
            }
        }
        let left = (self.epochs - epoch) as f64 * seconds;
        if left > 0.0 {
            text += &format!(", {} left", duration(left));
        }
        text
    }
}

/// A bar on standard error, or, where none can be drawn, one that nobody sees.
pub fn bar(output: &Output, total: Option<usize>, what: &'static str) -> ProgressBar {
    match total {
        Some(total) if output.bar && total > 1 => drawn(total, what, COUNTING),
        _ => ProgressBar::hidden(),
    }
}

fn drawn(total: usize, prefix: &'static str, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(total as u64).with_prefix(prefix);
    let speed = |state: &ProgressState, text: &mut dyn Write| {
        // What cannot be drawn is left out.
        let _ = write!(text, "{:.1} images/s", state.per_sec());
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.with_key("speed", speed));
    }
    bar
}

/// Seconds in words: `1.5 s`, `40 s`, `12.5 min`, `3.2 h`.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 9.95 => format!("{s:.1} s"),
        s if s < 59.5 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.1} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

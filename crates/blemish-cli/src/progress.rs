//! Training as a person sees it: a bar on a terminal, a line per epoch elsewhere.

use std::fmt::Write;

use blemish::history::{EpochRecord, Stage};
use blemish_train::train::Event;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::output::Output;

const TEMPLATE: &str = "{prefix} {wide_bar} {msg}  {speed}  {eta} left";

/// Shows training events.
pub struct Progress {
    draws: bool,
    bar: ProgressBar,
    epochs: usize,
    epoch: usize,
}

impl Progress {
    /// Shows nothing yet.
    pub fn new(output: &Output) -> Self {
        Self { draws: output.bar, bar: ProgressBar::hidden(), epochs: 0, epoch: 0 }
    }

    /// Shows `event`.
    pub fn show(&mut self, event: &Event) {
        match event {
            Event::StageStarted { stage, done, epochs, epoch_images } => {
                (self.epochs, self.epoch) = (*epochs, *done);
                if *done > 0 {
                    self.line(&format!("{}: continuing after epoch {done} of {epochs}", stage.name()));
                }
                if self.draws && done < epochs {
                    self.draw(*stage, done * epoch_images, epochs * epoch_images);
                }
            }
            Event::Step { loss, images } => {
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
                    self.bar.finish_and_clear();
                }
            }
            Event::StoppedEarly { stage, epoch } => {
                self.bar.finish_and_clear();
                self.line(&format!("{}: stopped early after epoch {epoch}, no better since", stage.name()));
            }
            Event::CheckpointWritten(path) => tracing::debug!("wrote {}", path.display()),
        }
    }

    /// Removes the bar.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn draw(&mut self, stage: Stage, done: usize, all: usize) {
        self.bar = ProgressBar::new(all as u64).with_prefix(stage.name());
        let speed = |state: &ProgressState, text: &mut dyn Write| {
            // What cannot be drawn is left out.
            let _ = write!(text, "{:.1} images/s", state.per_sec());
        };
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            self.bar.set_style(style.with_key("speed", speed));
        }
        self.bar.set_position(done as u64);
        self.bar.reset_eta();
    }

    fn line(&self, text: &str) {
        self.bar.suspend(|| tracing::info!("{text}"));
    }

    fn describe(&self, record: &EpochRecord) -> String {
        let EpochRecord { stage, epoch, loss, images_per_second, seconds, .. } = record;
        let mut text = format!(
            "{} {epoch}/{}: loss {loss:.4}, {images_per_second:.1} images/s",
            stage.name(),
            self.epochs
        );
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

/// Seconds in words: `1.5 s`, `40 s`, `12.5 min`, `3.2 h`.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 9.95 => format!("{s:.1} s"),
        s if s < 59.5 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.1} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

//! What a fit tells its listener, and how it is stopped.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::config::Config;
use crate::dataset::Problem;
use crate::error::{Error, Result};

/// Something that happened while a detector was fitted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FitEvent {
    /// The good images were looked over.
    Surveyed {
        /// What was found, one sentence each.
        facts: Vec<String>,
    },
    /// The good images are ready.
    Prepared {
        /// How many can be used.
        images: usize,
        /// Files that cannot.
        problems: Vec<Problem>,
        /// The settled configuration.
        config: Box<Config>,
    },
    /// Something that a user should know, and can act on.
    Warning {
        /// A sentence.
        text: String,
    },
    /// Some of a stage's work is done.
    Step {
        /// What is being done.
        stage: &'static str,
        /// How much of it is done.
        done: usize,
        /// How much there is.
        total: usize,
    },
}

/// Where progress is told, and where a stop is asked for.
#[derive(Clone, Copy)]
pub struct Progress<'a> {
    listener: &'a (dyn Fn(FitEvent) + Sync),
    stop: &'a AtomicBool,
}

impl<'a> Progress<'a> {
    /// Tells `listener`, stops when `stop` is set.
    pub fn new(listener: &'a (dyn Fn(FitEvent) + Sync), stop: &'a AtomicBool) -> Self {
        Self { listener, stop }
    }

    /// Tells the listener.
    pub fn tell(&self, event: FitEvent) {
        (self.listener)(event);
    }

    /// Tells how far a stage is.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn step(&self, stage: &'static str, done: usize, total: usize) -> Result<()> {
        self.tell(FitEvent::Step { stage, done, total });
        self.check()
    }

    /// To be asked at least ten times a second.
    ///
    /// # Errors
    /// [`Error::Interrupted`] once a stop was asked for.
    pub fn check(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }
}

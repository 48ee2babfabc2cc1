//! Ctrl-C: work stops at the next place where it can, and the program ends within a second in any case. Files are written
//! whole or not at all, so neither leaves anything half-written.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use crate::failure::Failure;
use crate::output;

/// How long work may take to stop by itself.
const GRACE: Duration = Duration::from_millis(800);

/// What Ctrl-C sets, and what is said then.
#[derive(Clone)]
pub struct Stop {
    flag: Arc<AtomicBool>,
    next: Arc<str>,
}

impl Stop {
    /// Catches Ctrl-C from now on; `next` tells how to go on.
    pub fn on_ctrl_c(next: impl Into<String>) -> Self {
        let next: String = next.into();
        let stop = Self { flag: Arc::default(), next: next.into() };
        let caught = stop.clone();
        let outcome = ctrlc::set_handler(move || {
            if caught.flag.swap(true, Ordering::Relaxed) {
                process::exit(130);
            }
            sleep(GRACE);
            output::error(&Failure::Interrupted(caught.next()));
            process::exit(130);
        });
        if let Err(error) = outcome {
            tracing::warn!("warning: Ctrl-C will stop at once: {error}");
        }
        stop
    }

    /// Set once the work is to stop.
    pub fn flag(&self) -> &AtomicBool {
        &self.flag
    }

    /// The same, shared.
    pub fn shared(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }

    /// How to go on.
    pub fn next(&self) -> String {
        self.next.to_string()
    }
}

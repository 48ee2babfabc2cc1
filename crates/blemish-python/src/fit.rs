//! Fitting on a thread of its own, so that this one can listen for Ctrl-C.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use blemish::config::Config;
use blemish::dataset::OnError;
use blemish::fit::{FitEvent, FitOptions, prepare};
use blemish::pools::shared;
use blemish::{Detector, Images};
use pyo3::prelude::*;

use crate::errors::{named, raise};

/// How often signals are looked for.
const PAUSE: Duration = Duration::from_millis(50);

/// Fits; `progress(stage, done, total)` is called on this thread. What it raises, and Ctrl-C, ends the fit.
pub fn fit(
    py: Python<'_>,
    images: &Images,
    config: &Config,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<Detector> {
    let stop = &AtomicBool::new(false);
    let (sender, mut events) = channel();
    let work = move || {
        let listener = move |event| {
            if let FitEvent::Step { stage, done, total } = event {
                // Nobody may be listening any more: then the fit is being stopped.
                let _ = sender.send((stage, done, total));
            }
        };
        let options = FitOptions { on_error: OnError::Stop, listener: &listener, stop };
        shared(|| prepare(images, config, &options)?.fit(None, &options))
    };
    thread::scope(|scope| {
        let worker = scope.spawn(work);
        let mut raised = None;
        loop {
            let (still, event) = py.detach(move || {
                let event = events.recv_timeout(PAUSE);
                (events, event)
            });
            events = still;
            let told = match (event, progress) {
                (Err(RecvTimeoutError::Disconnected), _) => break,
                (Ok(step), Some(progress)) if raised.is_none() => progress.call1(step).map(drop),
                _ => Ok(()),
            };
            if let Err(error) = told.and_then(|()| py.check_signals()) {
                stop.store(true, Ordering::Relaxed);
                raised.get_or_insert(error);
            }
        }
        let outcome = py.detach(|| worker.join());
        match (raised, outcome) {
            (Some(error), _) => Err(error),
            (None, Ok(outcome)) => outcome.map_err(|error| raise(py, error)),
            (None, Err(_)) => Err(named(py, "BlemishError", "internal error: the fit panicked")),
        }
    })
}

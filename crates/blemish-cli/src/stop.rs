//! Ctrl-C: the first asks to stop after the current step, the second ends the program at once.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Catches Ctrl-C from now on; the flag is set by it.
pub fn on_ctrl_c() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let caught = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            process::exit(130);
        }
        tracing::warn!("stopping after this step; press Ctrl-C again to stop at once");
    });
    if let Err(error) = caught {
        tracing::warn!("warning: Ctrl-C will stop at once: {error}");
    }
    stop
}

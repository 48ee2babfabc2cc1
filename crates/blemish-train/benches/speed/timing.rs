//! Seconds of repeated work.

use std::hint::black_box;
use std::time::Instant;

/// Runs `work` that many times; the seconds of each.
pub fn seconds<T>(repeats: usize, mut work: impl FnMut() -> T) -> Vec<f64> {
    (0..repeats)
        .map(|_| {
            let start = Instant::now();
            black_box(work());
            start.elapsed().as_secs_f64()
        })
        .collect()
}

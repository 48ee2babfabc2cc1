//! The large buffers of a training step, kept for the next one.
//!
//! Every step makes the same few dozen activations and gradients of megabytes each. Given back to the system and asked
//! for again they cost a page fault and a cleared page for every 4 KiB; kept, they also need no zeros.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Floats from which a buffer is worth keeping: 64 KiB.
const LARGE: usize = 16 * 1024;

/// The buffers of one capacity.
#[derive(Default)]
struct Kept {
    free: Vec<Vec<f32>>,
    /// Taken and not given back: no more than that is accepted, so that nothing gathers here.
    taken: usize,
}

static KEPT: Mutex<BTreeMap<usize, Kept>> = Mutex::new(BTreeMap::new());

fn kept() -> MutexGuard<'static, BTreeMap<usize, Kept>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A buffer of `len` floats of unspecified content. It may be a longer one's beginning: were only equal lengths used
/// again, what is free at one moment of a step could not serve another.
pub fn take(len: usize) -> Vec<f32> {
    if len < LARGE {
        return vec![0.0; len];
    }
    let mut kept = kept();
    let reused = kept.range_mut(len..=len + len / 2).find_map(|(_, kept)| {
        let buffer = kept.free.pop()?;
        kept.taken += 1;
        Some(buffer)
    });
    match reused {
        Some(mut buffer) => {
            drop(kept);
            buffer.resize(len, 0.0);
            buffer
        }
        None => {
            let buffer = vec![0.0; len];
            kept.entry(buffer.capacity()).or_default().taken += 1;
            buffer
        }
    }
}

/// Gives a buffer back.
pub fn give(buffer: Vec<f32>) {
    if buffer.capacity() >= LARGE
        && let Some(kept) = kept().get_mut(&buffer.capacity())
        && kept.taken > 0
    {
        kept.taken -= 1;
        kept.free.push(buffer);
    }
}

/// Returns all that is kept to the system.
pub fn release() {
    kept().clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_kept_than_was_taken() {
        // A length that no other test uses.
        let len = LARGE + 12_345;
        let place = |buffer: &[f32]| buffer.as_ptr();
        give(vec![1.0; len]);
        let first = take(len);
        assert!(first.iter().all(|&x| x == 0.0), "what nobody took is not kept");
        let at = place(&first);
        give(first);
        give(vec![1.0; len]);
        let (again, other) = (take(len), take(len));
        assert_eq!(place(&again), at);
        assert!(other.iter().all(|&x| x == 0.0));
    }
}

//! Batches are prepared on another thread while the model works.

use std::any::Any;
use std::sync::mpsc::sync_channel;
use std::thread;

use blemish::{Error, Result};

/// Batches that may wait for the model: enough for it never to wait, little to keep.
const AHEAD: usize = 2;

/// Calls `make` for 0 to `count` on another thread, and `each` with what it gives, in order.
///
/// # Errors
/// The first of `make` or `each`; [`Error::Training`] when `make` panics.
pub(crate) fn each_prepared<T: Send>(
    count: usize,
    make: impl Fn(usize) -> Result<T> + Send,
    mut each: impl FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        let loader = scope.spawn(move || {
            for i in 0..count {
                // The receiver is gone when training stopped: nothing is left to do.
                if sender.send(make(i)).is_err() {
                    return;
                }
            }
        });
        let mut done = 0;
        let outcome = receiver.iter().try_for_each(|prepared| {
            each(done, prepared?)?;
            done += 1;
            Ok(())
        });
        drop(receiver);
        let joined = loader.join();
        outcome?;
        joined.map_err(|panic| Error::Training(format!("preparing a batch failed: {}", message(&*panic))))?;
        if done == count {
            return Ok(());
        }
        Err(Error::Training(format!("{done} of {count} batches were prepared")))
    })
}

/// What a panic says.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn all_come_in_order() {
        let mut got = Vec::new();
        each_prepared(20, Ok, |i, value| {
            got.push((i, value));
            Ok(())
        })
        .unwrap();
        assert_eq!(got, (0..20).map(|i| (i, i)).collect::<Vec<_>>());
    }

    #[test]
    fn a_panic_while_a_batch_is_prepared_is_an_error() {
        let make = |i: usize| {
            assert!(i < 3, "batch {i} is too large");
            Ok(i)
        };
        let mut done = 0;
        let error = each_prepared(10, make, |_, _| {
            done += 1;
            Ok(())
        });
        assert!(matches!(error, Err(Error::Training(reason)) if reason.contains("batch 3 is too large")));
        assert_eq!(done, 3);
    }

    #[test]
    fn the_first_error_ends_it() {
        let make = |i: usize| if i == 2 { Err(Error::Interrupted) } else { Ok(i) };
        assert!(matches!(each_prepared(10, make, |_, _| Ok(())), Err(Error::Interrupted)));
        let each = |i: usize, _| if i == 1 { Err(Error::Training("enough".to_owned())) } else { Ok(()) };
        let error = each_prepared(1_000_000, Ok, each).unwrap_err();
        assert!(error.to_string().contains("enough"));
    }
}

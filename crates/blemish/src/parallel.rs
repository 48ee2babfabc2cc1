//! A list of independent pieces of work on all cores, with answers in the order of the list.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

/// Answers that may wait for an earlier one, for every thread: rayon itself knows no such limit, and images are large.
const AHEAD: usize = 4;

/// Calls `work` on every item, on rayon's threads, and `each` on every answer, in the order of the items, until `each`
/// fails. `each` runs on the calling thread, which must not be one of rayon's. Items are taken when they are needed, so they
/// may come from somewhere slow; no more than a few are begun before an earlier one is answered, so memory is bounded.
///
/// # Errors
/// What `each` gives; no further item is begun.
///
/// # Panics
/// When `work` does.
pub fn in_order<T: Send, R: Send, E>(
    items: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> R + Sync,
    mut each: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    let ahead = AHEAD * rayon::current_num_threads();
    let (work, stopped) = (&work, AtomicBool::new(false));
    let stopped = &stopped;
    let (sender, answers) = channel::<(usize, Result<R, Box<dyn Any + Send>>)>();
    let outcome = rayon::in_place_scope(|scope| {
        let mut items = items.into_iter();
        let mut waiting = BTreeMap::new();
        let (mut begun, mut next) = (0, 0);
        loop {
            while begun < next + ahead {
                let Some(item) = items.next() else { break };
                let (sender, number) = (sender.clone(), begun);
                scope.spawn(move |_| {
                    if !stopped.load(Ordering::Relaxed) {
                        // Nobody listens any more where it stopped.
                        let _ = sender.send((number, catch_unwind(AssertUnwindSafe(|| work(item)))));
                    }
                });
                begun += 1;
            }
            if next == begun {
                return Ok(Ok(()));
            }
            let Ok((number, answer)) = answers.recv() else { return Ok(Ok(())) };
            waiting.insert(number, answer);
            while let Some(answer) = waiting.remove(&next) {
                next += 1;
                let result = answer.map(&mut each);
                if !matches!(result, Ok(Ok(()))) {
                    stopped.store(true, Ordering::Relaxed);
                    return result;
                }
            }
        }
    });
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn answers_come_in_order_however_long_each_takes() {
        let slow_at_first = |i: u64| {
            thread::sleep(Duration::from_millis((40 - i) / 8));
            i
        };
        let mut got = Vec::new();
        in_order(0..40, slow_at_first, |i| {
            got.push(i);
            Ok::<(), ()>(())
        })
        .expect("no failure");
        assert_eq!(got, (0..40).collect::<Vec<_>>());
        in_order(Vec::<u64>::new(), slow_at_first, |_| Err(())).expect("nothing to fail on");
    }

    #[test]
    fn a_failure_ends_it_and_little_was_begun() {
        let begun = AtomicUsize::new(0);
        let work = |i: usize| {
            begun.fetch_add(1, Ordering::Relaxed);
            i
        };
        let outcome = in_order(0..100_000, work, |i| if i == 3 { Err("full") } else { Ok(()) });
        assert_eq!(outcome, Err("full"));
        assert!(begun.into_inner() <= 4 + AHEAD * rayon::current_num_threads());
    }

    #[test]
    fn a_panic_is_passed_on_and_nobody_waits_forever() {
        let outcome = std::panic::catch_unwind(|| {
            let work = |i: usize| assert!(i != 5, "the fifth");
            in_order(0..1000, work, |()| Ok::<(), ()>(()))
        });
        let panic = outcome.expect_err("a panic");
        assert!(
            panic.downcast_ref::<String>().is_some_and(|text| text.contains("the fifth"))
                || panic.downcast_ref::<&str>().is_some_and(|text| text.contains("the fifth"))
        );
    }

    #[test]
    fn items_are_taken_when_they_are_needed() {
        let taken = AtomicUsize::new(0);
        let items = (0..1000).inspect(|_| _ = taken.fetch_add(1, Ordering::Relaxed));
        let mut answered = 0;
        in_order(
            items,
            |i| i,
            |_| {
                answered += 1;
                let ahead = AHEAD * rayon::current_num_threads();
                assert!(taken.load(Ordering::Relaxed) <= answered + ahead);
                Ok::<(), ()>(())
            },
        )
        .expect("no failure");
        assert_eq!(answered, 1000);
    }
}

//! A list of independent pieces of work on all cores, with answers in the order of the list.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::mpsc::channel;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use rayon::ThreadPoolBuilder;

/// Answers that may wait for an earlier one, for every worker.
const AHEAD: usize = 4;

/// Calls `work` on every item and `each` on every answer, in the order of the items, until `each` fails.
///
/// There are as many workers as rayon has threads, or as items, if these are fewer; the threads are shared out among
/// the workers. So many images are each scored by one thread, decoding and model alike, which keeps all cores busy, and
/// a single one is scored by all threads. `each` runs on the calling thread, beside the workers. A worker stays at most
/// a few items ahead of `each`, so memory is bounded.
///
/// # Errors
/// What `each` gives; no further item is begun.
///
/// # Panics
/// When `work` does.
pub fn in_order<T: Send, R: Send, E>(
    items: Vec<T>,
    work: impl Fn(T) -> R + Sync,
    mut each: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    let threads = rayon::current_num_threads();
    let workers = threads.min(items.len()).max(1);
    let queue = Queue::new(items, AHEAD * workers);
    let (sender, answers) = channel();
    thread::scope(|scope| {
        let (queue, work) = (&queue, &work);
        let handles: Vec<_> = (0..workers)
            .map(|_| {
                let sender = sender.clone();
                scope.spawn(move || {
                    let _stop = StopOnPanic(queue);
                    // Without a pool of its own a worker shares the global one: slower, but right.
                    let pool = ThreadPoolBuilder::new().num_threads(threads / workers).build().ok();
                    while let Some((index, item)) = queue.next() {
                        let answer = match &pool {
                            Some(pool) => pool.install(|| work(item)),
                            None => work(item),
                        };
                        if sender.send((index, answer)).is_err() {
                            return;
                        }
                    }
                })
            })
            .collect();
        drop(sender);
        let outcome = deliver(queue, answers.into_iter(), &mut each);
        queue.stop();
        // The scope alone would hide what a worker said when it panicked.
        for handle in handles {
            handle.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
        outcome
    })
}

/// Passes answers on in their order.
fn deliver<T, R, E>(
    queue: &Queue<T>,
    answers: impl Iterator<Item = (usize, R)>,
    each: &mut impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    let (mut waiting, mut next) = (BTreeMap::new(), 0);
    for (index, answer) in answers {
        waiting.insert(index, answer);
        while let Some(answer) = waiting.remove(&next) {
            each(answer)?;
            next += 1;
            queue.delivered(next);
        }
    }
    Ok(())
}

/// The items that are left, for workers that may not run too far ahead.
struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    ahead: usize,
}

struct State<T> {
    items: std::iter::Enumerate<std::vec::IntoIter<T>>,
    taken: usize,
    delivered: usize,
    stopped: bool,
}

impl<T> Queue<T> {
    fn new(items: Vec<T>, ahead: usize) -> Self {
        let state = State { items: items.into_iter().enumerate(), taken: 0, delivered: 0, stopped: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), ahead }
    }

    /// The next item with its number, once it may be begun; `None` when there is none.
    fn next(&self) -> Option<(usize, T)> {
        let too_far = |state: &mut State<T>| !state.stopped && state.taken >= state.delivered + self.ahead;
        let waited = self.changed.wait_while(self.lock(), too_far);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.taken += 1;
        if state.stopped { None } else { state.items.next() }
    }

    fn delivered(&self, count: usize) {
        self.lock().delivered = count;
        self.changed.notify_all();
    }

    fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends the other workers home when one panics: the answer that it owes would be waited for forever.
struct StopOnPanic<'a, T>(&'a Queue<T>);

impl<T> Drop for StopOnPanic<'_, T> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn answers_come_in_order_however_long_each_takes() {
        let slow_at_first = |i: u64| {
            thread::sleep(Duration::from_millis((40 - i) / 8));
            i
        };
        let mut got = Vec::new();
        in_order((0..40).collect(), slow_at_first, |i| {
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
        let outcome = in_order((0..100_000).collect(), work, |i| if i == 3 { Err("full") } else { Ok(()) });
        assert_eq!(outcome, Err("full"));
        assert!(begun.into_inner() <= 4 + (AHEAD + 1) * rayon::current_num_threads());
    }

    #[test]
    fn a_panic_is_passed_on_and_nobody_waits_forever() {
        let outcome = std::panic::catch_unwind(|| {
            let work = |i: usize| assert!(i != 5, "the fifth");
            in_order((0..1000).collect(), work, |()| Ok::<(), ()>(()))
        });
        let panic = outcome.expect_err("a panic");
        assert!(
            panic.downcast_ref::<String>().is_some_and(|text| text.contains("the fifth"))
                || panic.downcast_ref::<&str>().is_some_and(|text| text.contains("the fifth"))
        );
    }

    #[test]
    fn a_single_item_gets_all_threads() {
        let threads = rayon::current_num_threads();
        let mut seen = 0;
        in_order(
            vec![()],
            |()| rayon::current_num_threads(),
            |n| {
                seen = n;
                Ok::<(), ()>(())
            },
        )
        .expect("no failure");
        assert_eq!(seen, threads);
    }
}

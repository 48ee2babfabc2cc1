//! Threads for callers that predict from threads of their own, or from processes that `fork` made.

use std::mem::forget;
use std::process;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

/// Idle pools that are kept; more are given up when their work is done.
const KEPT: usize = 64;

/// The process whose threads rayon's shared pool has; 0: it has none yet.
static OWNER: AtomicU32 = AtomicU32::new(0);

/// The pool that a process made by `fork` shares, which has none of its parent's threads.
static FORKED: Mutex<Option<Owned<Arc<ThreadPool>>>> = Mutex::new(None);

/// Threads and the process that they belong to.
#[derive(Debug)]
struct Owned<P> {
    process: u32,
    pool: P,
}

/// How many threads each piece of work may use. Bindings keep one beside every detector: where images come from many threads
/// at once, one thread for each image is fastest; a single image is fastest on all threads.
#[derive(Debug, Default)]
pub struct Pools {
    /// 0: the threads that the whole process shares.
    threads: AtomicUsize,
    idle: Mutex<Vec<Owned<ThreadPool>>>,
}

impl Pools {
    /// Gives each piece of work that begins from now on so many threads of its own; 0: the threads that the process shares.
    pub fn set_threads(&self, threads: usize) {
        self.threads.store(threads, Ordering::Relaxed);
        while self.take().is_some() {}
    }

    /// Threads of each piece of work, 0: those that the process shares.
    pub fn threads(&self) -> usize {
        self.threads.load(Ordering::Relaxed)
    }

    /// Does `work` on threads of its own. Where the system gives none, on those that the process shares: slower, but right.
    ///
    /// # Panics
    /// When `work` does.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        let threads = self.threads();
        if threads == 0 {
            return shared(work);
        }
        let idle = self.take().filter(|pool| pool.current_num_threads() == threads);
        let Some(pool) = idle.or_else(|| ThreadPoolBuilder::new().num_threads(threads).build().ok()) else {
            return shared(work);
        };
        let answer = pool.install(work);
        let mut idle = self.idle();
        if idle.len() < KEPT && threads == self.threads() {
            idle.push(Owned { process: process::id(), pool });
        }
        answer
    }

    /// An idle pool of this process.
    fn take(&self) -> Option<ThreadPool> {
        loop {
            let Owned { process, pool } = self.idle().pop()?;
            if process == process::id() {
                return Some(pool);
            }
            // Its threads stayed in the parent: not even an end can be told to them.
            forget(pool);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Owned<ThreadPool>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does `work` on the threads that the process shares. Everything that a binding does on many threads goes through this or
/// [`Pools::run`], so that it works after a `fork`, in the child too: rayon's own pool would wait for the parent's threads.
///
/// # Panics
/// When `work` does.
pub fn shared<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    match forked() {
        Some(pool) => pool.install(work),
        None => work(),
    }
}

/// The pool of a child; `None` in the process that first worked, and where the system gives no threads.
fn forked() -> Option<Arc<ThreadPool>> {
    let here = process::id();
    let owner = OWNER.compare_exchange(0, here, Ordering::Relaxed, Ordering::Relaxed);
    if owner.is_ok_and(|none| none == 0) || owner == Err(here) {
        return None;
    }
    let mut forked = FORKED.lock().unwrap_or_else(PoisonError::into_inner);
    if forked.as_ref().is_none_or(|owned| owned.process != here) {
        let pool = Arc::new(ThreadPoolBuilder::new().build().ok()?);
        // A grandchild's: its parent's threads again.
        forget(forked.replace(Owned { process: here, pool }));
    }
    forked.as_ref().map(|owned| Arc::clone(&owned.pool))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_has_the_threads_that_were_asked_for() {
        let pools = Pools::default();
        assert_eq!(pools.run(rayon::current_num_threads), rayon::current_num_threads());
        for threads in [1, 3, 2] {
            pools.set_threads(threads);
            assert_eq!(pools.run(rayon::current_num_threads), threads);
            assert_eq!(pools.run(rayon::current_num_threads), threads);
        }
        assert_eq!(pools.idle().len(), 1);
    }

    #[test]
    fn pools_of_another_process_are_left_alone() {
        let pools = Pools::default();
        pools.set_threads(2);
        pools.run(|| ());
        pools.idle().iter_mut().for_each(|owned| owned.process += 1);
        assert_eq!(pools.run(rayon::current_num_threads), 2);
        assert_eq!(pools.idle().iter().map(|owned| owned.process).collect::<Vec<_>>(), [process::id()]);
    }
}

//! Threads for callers that predict from threads of their own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

/// Idle pools that are kept; more are given up when their work is done.
const KEPT: usize = 64;

/// How many threads each piece of work may use. Bindings keep one beside every detector: where images come from many threads
/// at once, one thread for each image is fastest; a single image is fastest on all threads.
#[derive(Debug, Default)]
pub struct Pools {
    /// 0: the threads that the whole process shares.
    threads: AtomicUsize,
    idle: Mutex<Vec<ThreadPool>>,
}

impl Pools {
    /// Gives each piece of work that begins from now on so many threads of its own; 0: the threads that the process shares.
    pub fn set_threads(&self, threads: usize) {
        self.threads.store(threads, Ordering::Relaxed);
        self.idle().clear();
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
            return work();
        }
        let idle = self.idle().pop().filter(|pool| pool.current_num_threads() == threads);
        let Some(pool) = idle.or_else(|| ThreadPoolBuilder::new().num_threads(threads).build().ok()) else {
            return work();
        };
        let answer = pool.install(work);
        let mut idle = self.idle();
        if idle.len() < KEPT && threads == self.threads() {
            idle.push(pool);
        }
        answer
    }

    fn idle(&self) -> MutexGuard<'_, Vec<ThreadPool>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
}

//! How the work of a pass is cut: by shape alone, so that no result depends on the number of threads.

use std::cell::Cell;

use rayon::prelude::*;

/// Multiply-adds below which a region is not worth waking another thread for.
const SMALL: usize = 200_000;
/// The most tokens of a block: their rows of every buffer stay in a second-level cache.
const BLOCK: usize = 64;

thread_local! {
    /// Whether this thread keeps its tasks to itself.
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// Calls `work`, whose tasks all run on this thread.
pub fn alone<R>(work: impl FnOnce() -> R) -> R {
    let before = ALONE.replace(true);
    let result = work();
    ALONE.set(before);
    result
}

/// Calls `work` for every task, on all threads if together they take at least a few microseconds, and unless this one
/// works [alone].
pub fn each<T: Send>(tasks: Vec<T>, multiply_adds: usize, work: impl Fn(T) + Send + Sync) {
    if tasks.len() < 2 || multiply_adds < SMALL || ALONE.get() {
        tasks.into_iter().for_each(work);
    } else {
        tasks.into_par_iter().for_each(work);
    }
}

/// Tokens of a block, for sequences of `tokens`: an even number of blocks where there are several.
pub fn block(tokens: usize) -> usize {
    let count = tokens.div_ceil(BLOCK);
    let count = if count > 1 { count.next_multiple_of(2) } else { count };
    tokens.div_ceil(count.max(1)).next_multiple_of(4)
}

/// Lines of a task whose lines take `line` floats: about 48 KiB, a power of two.
pub fn lines(line: usize, height: usize) -> usize {
    let lines = (12 * 1024 / line.max(1)).clamp(1, height);
    1 << lines.ilog2()
}

/// Every image's part of `data`, cut into parts of `part` floats; the last of an image may be shorter.
pub fn parts(data: &mut [f32], image: usize, part: usize) -> impl Iterator<Item = &mut [f32]> {
    data.chunks_mut(image).flat_map(move |image| image.chunks_mut(part))
}

/// How the tokens of a batch are cut into blocks.
#[derive(Clone, Copy, Debug)]
pub struct Blocks {
    /// Images.
    pub batch: usize,
    /// Tokens of an image.
    pub tokens: usize,
    /// Tokens of a block; the last of an image may have fewer.
    pub block: usize,
}

impl Blocks {
    /// Cuts images of `tokens`.
    pub fn new(batch: usize, tokens: usize) -> Self {
        Self { batch, tokens, block: block(tokens) }
    }

    /// Blocks of an image.
    pub(crate) fn per_image(self) -> usize {
        self.tokens.div_ceil(self.block)
    }

    /// The image and the first token of task `task`.
    pub fn place(self, task: usize) -> (usize, usize) {
        (task / self.per_image(), task % self.per_image() * self.block)
    }

    /// The rows of every block, of `width` values.
    pub fn rows(self, data: &mut [f32], width: usize) -> impl Iterator<Item = &mut [f32]> {
        parts(data, self.tokens * width, self.block * width)
    }

    /// One part of `len` floats per block.
    pub fn packed(self, data: &mut [f32], len: usize) -> impl Iterator<Item = &mut [f32]> {
        data.chunks_mut(len).take(self.batch * self.per_image())
    }
}

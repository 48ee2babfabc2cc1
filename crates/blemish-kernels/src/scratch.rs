//! Reused work buffers, one stack of them per thread, so that hot loops neither allocate nor fault pages in.

use std::cell::RefCell;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Floats in a cache line: what [`with`] aligns to.
const LINE: usize = 16;

/// Calls `work` with a buffer of `len` floats of unspecified content, aligned to a cache line.
///
/// Calls may nest, and a thread that steals other work in the middle simply takes another buffer.
pub fn with<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buffer = BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default();
    if buffer.len() < len + LINE {
        // A fresh zeroed allocation: growing in place would copy content that nobody wants.
        buffer = vec![0.0; len + LINE];
    }
    let skip = buffer.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
    let result = work(&mut buffer[skip..skip + len]);
    BUFFERS.with_borrow_mut(|buffers| buffers.push(buffer));
    result
}

//! Buffers that start on a cache line, so that no vector load straddles two.

use std::ops::{Deref, DerefMut};

/// Floats in a cache line.
const LINE: usize = 16;

/// A buffer of floats that starts on a cache line and grows when asked to.
#[derive(Debug, Default)]
pub struct Aligned {
    data: Vec<f32>,
    skip: usize,
    len: usize,
}

impl Aligned {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        let data = vec![0.0f32; len + LINE];
        let skip = data.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        Self { data, skip, len }
    }

    /// The first `len` floats; what was there is kept unless the buffer must grow, then all are zeros.
    pub fn take(&mut self, len: usize) -> &mut [f32] {
        if self.len < len {
            *self = Self::zeros(len);
        }
        &mut self[..len]
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.data[self.skip..self.skip + self.len]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.data[self.skip..self.skip + self.len]
    }
}

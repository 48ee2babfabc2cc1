//! Arrays that are too many for memory, in a temporary file that nobody else sees.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};

/// Equally long arrays of `f32`, appended one by one and read by their number. The file has no name and is gone with the
/// process; it lies where the system keeps temporary files (`TMPDIR`).
#[derive(Debug)]
pub struct Spill {
    file: Mutex<File>,
    length: usize,
    count: usize,
}

impl Spill {
    /// For arrays of `length` values.
    ///
    /// # Errors
    /// [`Error::Io`] that names the folder.
    pub fn new(length: usize) -> Result<Self> {
        let file = tempfile::tempfile().map_err(failed)?;
        Ok(Self { file: Mutex::new(file), length, count: 0 })
    }

    /// How many arrays it holds.
    pub fn len(&self) -> usize {
        self.count
    }

    /// The length of each.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Appends an array of the right length.
    ///
    /// # Errors
    /// [`Error::Io`], such as a full disk.
    pub fn push(&mut self, values: &[f32]) -> Result<()> {
        self.set(self.count, values)?;
        self.count += 1;
        Ok(())
    }

    /// Replaces array `i`.
    ///
    /// # Errors
    /// [`Error::Io`], such as a full disk.
    pub fn set(&self, i: usize, values: &[f32]) -> Result<()> {
        assert_eq!(values.len(), self.length, "arrays of one length");
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start((i * self.length * size_of::<f32>()) as u64)).map_err(failed)?;
        file.write_all(&bytes).map_err(failed)
    }

    /// Array `i`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn get(&self, i: usize) -> Result<Vec<f32>> {
        assert!(i < self.count, "one of those that were appended");
        let mut bytes = vec![0; self.length * size_of::<f32>()];
        {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start((i * bytes.len()) as u64)).map_err(failed)?;
            file.read_exact(&mut bytes).map_err(failed)?;
        }
        Ok(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
    }
}

fn failed(source: std::io::Error) -> Error {
    Error::io(std::env::temp_dir(), source)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn arrays_come_back() {
        let mut spill = Spill::new(3).unwrap();
        spill.push(&[1.0, 2.0, 3.0]).unwrap();
        spill.push(&[4.0, f32::NAN, -0.0]).unwrap();
        spill.set(0, &[7.0, 8.0, 9.0]).unwrap();
        assert_eq!((spill.len(), spill.get(0).unwrap()), (2, vec![7.0, 8.0, 9.0]));
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(spill.get(1).unwrap()), bits(vec![4.0, f32::NAN, -0.0]));
    }
}

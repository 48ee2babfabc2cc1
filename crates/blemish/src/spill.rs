//! Arrays that are too many for memory, in a temporary file that nobody else sees.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};

/// Arrays of `f32`, appended one by one and read by their number. The file has no name and is gone with the
/// process; it lies where the system keeps temporary files (`TMPDIR`).
#[derive(Debug)]
pub struct Spill {
    file: Mutex<File>,
    /// Where each array begins, and its length, in values.
    spans: Vec<[usize; 2]>,
}

impl Spill {
    /// Without any array.
    ///
    /// # Errors
    /// [`Error::Io`] that names the folder.
    pub fn new() -> Result<Self> {
        let file = tempfile::tempfile().map_err(failed)?;
        Ok(Self { file: Mutex::new(file), spans: Vec::new() })
    }

    /// How many arrays it holds.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// The length of array `i`.
    pub fn length(&self, i: usize) -> usize {
        self.spans[i][1]
    }

    /// Appends an array.
    ///
    /// # Errors
    /// [`Error::Io`], such as a full disk.
    pub fn push(&mut self, values: &[f32]) -> Result<()> {
        let start = self.spans.last().map_or(0, |[start, length]| start + length);
        self.write(start, values)?;
        self.spans.push([start, values.len()]);
        Ok(())
    }

    /// Replaces array `i` by another of its length.
    ///
    /// # Errors
    /// [`Error::Io`], such as a full disk.
    pub fn set(&self, i: usize, values: &[f32]) -> Result<()> {
        assert_eq!(values.len(), self.length(i), "an array of the same length");
        self.write(self.spans[i][0], values)
    }

    fn write(&self, start: usize, values: &[f32]) -> Result<()> {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start((start * size_of::<f32>()) as u64)).map_err(failed)?;
        file.write_all(&bytes).map_err(failed)
    }

    /// Array `i`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn get(&self, i: usize) -> Result<Vec<f32>> {
        self.part(i, 0..self.length(i))
    }

    /// Some values of array `i`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn part(&self, i: usize, range: Range<usize>) -> Result<Vec<f32>> {
        assert!(range.end <= self.length(i), "values of the array");
        let start = self.spans[i][0] + range.start;
        let mut bytes = vec![0; range.len() * size_of::<f32>()];
        {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start((start * size_of::<f32>()) as u64)).map_err(failed)?;
            file.read_exact(&mut bytes).map_err(failed)?;
        }
        Ok(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
    }
}

fn failed(source: std::io::Error) -> Error {
    let reason = format!("the folder for temporary files (TMPDIR): {source}");
    Error::io(std::env::temp_dir(), std::io::Error::new(source.kind(), reason))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn arrays_come_back() {
        let mut spill = Spill::new().unwrap();
        spill.push(&[1.0, 2.0, 3.0]).unwrap();
        spill.push(&[]).unwrap();
        spill.push(&[4.0, f32::NAN, -0.0, 5.0]).unwrap();
        spill.set(0, &[7.0, 8.0, 9.0]).unwrap();
        assert_eq!((spill.len(), spill.get(0).unwrap()), (3, vec![7.0, 8.0, 9.0]));
        assert_eq!([spill.part(0, 1..2).unwrap(), spill.part(2, 3..4).unwrap()], [[8.0], [5.0]]);
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(spill.get(2).unwrap()), bits(vec![4.0, f32::NAN, -0.0, 5.0]));
    }
}

//! What good images show, described once, whatever folds they are in.

use std::collections::HashMap;

use crate::error::Result;
use crate::good::{GoodImages, Progress};
use crate::image::Image;
use crate::spill::Spill;

/// The vectors of images, `[places, count]` each, outside memory.
#[derive(Debug)]
pub struct Seen {
    /// The number of each image, by what [`GoodImages::key`] calls it.
    numbers: HashMap<(usize, usize), usize>,
    vectors: Spill,
}

impl Seen {
    /// The vectors that `of` gives for every image.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn new(
        images: &GoodImages<'_>,
        of: impl Fn(&Image) -> Vec<f32> + Sync,
        progress: &Progress<'_>,
    ) -> Result<Self> {
        let (mut vectors, mut written) = (Spill::new()?, Ok(()));
        images.for_each(progress, of, |own| {
            if written.is_ok() {
                written = vectors.push(&own);
            }
        })?;
        written?;
        Ok(Self { numbers: (0..images.len()).map(|i| (images.key(i), i)).collect(), vectors })
    }

    /// The vectors of images that are numbered as they come.
    #[cfg(test)]
    pub fn of(images: &[Vec<f32>]) -> Result<Self> {
        let mut vectors = Spill::new()?;
        images.iter().try_for_each(|image| vectors.push(image))?;
        Ok(Self { numbers: (0..images.len()).map(|i| ((i, 0), i)).collect(), vectors })
    }

    /// Whether it has the vectors of all these images.
    pub fn holds(&self, images: &GoodImages<'_>) -> bool {
        (0..images.len()).all(|i| self.numbers.contains_key(&images.key(i)))
    }

    /// The numbers of `images`, all of which it [holds](Self::holds).
    pub fn numbers(&self, images: &GoodImages<'_>) -> Vec<usize> {
        (0..images.len()).map(|i| self.numbers[&images.key(i)]).collect()
    }

    /// Values of each image.
    pub fn length(&self) -> usize {
        self.vectors.length(0)
    }

    /// Values `from .. from + count` of image `number`.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub fn get(&self, number: usize, from: usize, count: usize) -> Result<Vec<f32>> {
        self.vectors.part(number, from, count)
    }
}

//! Images to fit on: files, or images in memory.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{DataSet, Sample, image_files, open};
use crate::error::{Error, Result};
use crate::hash::{START, fnv1a};
use crate::image::{DecodeOptions, Image, ImageFacts, decode_with_facts, depth_range, require_size};

/// How many images decide whether a data set is grey, and how deep.
const PROBES: usize = 16;

/// A list of good images: files that are read when they are needed, or images in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Images {
    sources: Vec<Source>,
}

#[derive(Clone, Debug, PartialEq)]
enum Source {
    File(PathBuf),
    Memory(Image),
}

impl Images {
    /// The good images to fit on at `path`: those of a data set in any known layout, or all in a folder.
    ///
    /// # Errors
    /// [`Error::Io`] if a folder cannot be read, [`Error::Data`] if there is no image.
    pub fn at(path: &Path) -> Result<Self> {
        match open(path, None) {
            Ok(set) => Ok(Self::from(&set)),
            Err(error) => image_files(path).map(Self::from).map_err(|_| error),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The file of image `i`, or its number.
    pub fn name(&self, i: usize) -> String {
        match &self.sources[i] {
            Source::File(path) => path.display().to_string(),
            Source::Memory(_) => format!("image {i}"),
        }
    }

    /// The file of image `i`, where it is one.
    pub fn file(&self, i: usize) -> Option<&Path> {
        match &self.sources[i] {
            Source::File(path) => Some(path),
            Source::Memory(_) => None,
        }
    }

    /// What tells the content of image `i` from that of others, where it is a file: FNV-1a of its bytes, 64 bits.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn fingerprint(&self, i: usize) -> Result<Option<u64>> {
        let Some(path) = self.file(i) else { return Ok(None) };
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        Ok(Some(fnv1a(START, bytes)))
    }

    /// The [`fingerprint`](Self::fingerprint) of every image; none of what is no file, or cannot be read.
    pub(crate) fn fingerprints(&self) -> Vec<Option<u64>> {
        (0..self.len()).into_par_iter().map(|i| self.fingerprint(i).ok().flatten()).collect()
    }

    /// These images, then `others`.
    #[must_use]
    pub fn and(&self, others: &Self) -> Self {
        Self { sources: [&self.sources[..], &others.sources[..]].concat() }
    }

    /// Those of these images that `which` numbers.
    #[must_use]
    pub fn some(&self, which: &[usize]) -> Self {
        Self { sources: which.iter().map(|&i| self.sources[i].clone()).collect() }
    }

    /// A number that is drawn from `seed` and from what image `i` is: its file's name, or its pixels (FNV-1a, 64 bits).
    pub fn key(&self, i: usize, seed: u64) -> u64 {
        let start = fnv1a(START, seed.to_le_bytes());
        match &self.sources[i] {
            Source::File(path) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                fnv1a(start, name.bytes())
            }
            Source::Memory(image) => fnv1a(start, image.pixels.iter().flat_map(|v| v.to_le_bytes())),
        }
    }

    /// Image `i`.
    ///
    /// # Errors
    /// Those of [`decode()`](crate::image::decode).
    pub fn read(&self, i: usize, options: &DecodeOptions) -> Result<Image> {
        self.read_with_facts(i, options).map(|(image, _)| image)
    }

    /// Image `i`, and what its file is like.
    ///
    /// # Errors
    /// Those of [`decode()`](crate::image::decode); an image in memory without pixels, or with more than the limit.
    pub(crate) fn read_with_facts(&self, i: usize, options: &DecodeOptions) -> Result<(Image, ImageFacts)> {
        match &self.sources[i] {
            Source::File(path) => decode_with_facts(path, options),
            Source::Memory(image) => {
                require_size(Path::new(&self.name(i)), [image.height, image.width], options.max_pixels)?;
                let deep = image.is_deep();
                let image = match options.range {
                    Some(range) if deep => image.clone().in_range(range),
                    _ => image.clone(),
                };
                let facts = ImageFacts::new(&image, if deep { 16 } else { 8 });
                let channels = options.channels.unwrap_or(image.channels);
                Ok((image.with_channels(channels)?, facts))
            }
        }
    }

    /// Which values of images like these become black and white: [`depth_range`] of up to 16 of them, evenly spread. Those that
    /// cannot be decoded are ignored, or stop the fit later.
    pub(crate) fn detect_range(&self, max_pixels: u64) -> Option<[f64; 2]> {
        let options = DecodeOptions { max_pixels, ..DecodeOptions::default() };
        let step = self.len().div_ceil(PROBES).max(1);
        let probes: Vec<usize> = (0..self.len()).step_by(step).collect();
        let deep = |&i: &usize| self.read(i, &options).ok().filter(Image::is_deep);
        depth_range(&probes.par_iter().filter_map(deep).collect::<Vec<_>>())
    }

    /// The number of channels that the images need: 1 if the first ones (up to 16) are grey, be it as images of one channel or
    /// with R = G = B in every pixel; else 3. Images that cannot be decoded, or have more than `max_pixels`, are ignored.
    ///
    /// # Errors
    /// [`Error::Config`] if there is no image; the first image's error if none can be decoded.
    pub fn detect_channels(&self, max_pixels: u64) -> Result<usize> {
        let options = DecodeOptions { max_pixels, ..DecodeOptions::default() };
        let is_grey = |i: usize| Ok(self.read(i, &options)?.is_grey());
        let probes: Vec<Result<bool>> = (0..self.len().min(PROBES)).into_par_iter().map(is_grey).collect();
        let (mut grey_seen, mut first_error) = (false, None);
        for result in probes {
            match result {
                Ok(true) => grey_seen = true,
                Ok(false) => return Ok(3),
                Err(error) => _ = first_error.get_or_insert(error),
            }
        }
        match first_error {
            _ if grey_seen => Ok(1),
            Some(error) => Err(error),
            None => {
                Err(Error::config("data.channels", "there is no image to tell the number of channels from"))
            }
        }
    }
}

impl From<Vec<PathBuf>> for Images {
    fn from(files: Vec<PathBuf>) -> Self {
        Self { sources: files.into_iter().map(Source::File).collect() }
    }
}

impl From<Vec<Image>> for Images {
    fn from(images: Vec<Image>) -> Self {
        Self { sources: images.into_iter().map(Source::Memory).collect() }
    }
}

impl From<&[Sample]> for Images {
    fn from(samples: &[Sample]) -> Self {
        Self { sources: samples.iter().map(|sample| Source::File(sample.path.clone())).collect() }
    }
}

impl From<&DataSet> for Images {
    fn from(set: &DataSet) -> Self {
        Self::from(&set.train[..])
    }
}

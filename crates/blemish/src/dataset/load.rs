//! Decoding whole lists of samples, in parallel, into images of one size.

use rayon::prelude::*;

use super::{Label, Problem, Sample, decode_masks};
use crate::error::{Error, Result};
use crate::image::{DecodeOptions, PixelMask, decode_with_facts};
use crate::view::{Framed, ViewConfig};

/// What happens at an image that cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// It ends the loading, with an error that names it.
    #[default]
    Stop,
    /// It is left out and listed among the problems.
    Skip,
}

/// How samples are loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadOptions {
    /// The size `[H, W]` that every image is resized to, unless its view keeps its scale.
    pub image_size: [usize; 2],
    /// How views are cut.
    pub view: ViewConfig,
    /// 1 (grey) or 3 (RGB), whatever the files have; see [`Images::detect_channels`](super::Images::detect_channels).
    pub channels: usize,
    /// As [`DecodeOptions::max_pixels`].
    pub max_pixels: u64,
    /// As [`DecodeOptions::range`].
    pub range: Option<[f64; 2]>,
    /// Stop at an image that cannot be used, or skip it.
    pub on_error: OnError,
}

/// Samples in memory, in the order of the list.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The images that could be used.
    pub images: Vec<LoadedImage>,
    /// Those that could not ([`OnError::Skip`] only).
    pub problems: Vec<Problem>,
}

/// One sample in memory.
#[derive(Clone, Debug)]
pub struct LoadedImage {
    /// Where it comes from.
    pub sample: Sample,
    /// The image, of [`LoadOptions::image_size`], or its own where its view keeps its scale, and [`LoadOptions::channels`].
    pub framed: Framed,
}

/// Decodes and resizes every sample once, in parallel; they stay in memory.
///
/// # Errors
///
/// Under [`OnError::Stop`] the error of the first image of the list that cannot be used, as [`decode`](crate::image::decode) gives it. Under
/// [`OnError::Skip`] that error only if no image at all can be used. [`Error::Config`] for a size of 0 or a number of
/// channels that is neither 1 nor 3.
pub fn load(samples: &[Sample], options: &LoadOptions) -> Result<Loaded> {
    let decoding = DecodeOptions {
        max_pixels: options.max_pixels,
        channels: Some(options.channels),
        range: options.range,
    };
    let results: Vec<Result<LoadedImage>> = samples
        .par_iter()
        .map(|sample| {
            let (image, facts) = decode_with_facts(&sample.path, &decoding)?;
            let framed = Framed::new(&image, facts, options.image_size, &options.view)?;
            Ok(LoadedImage { sample: sample.clone(), framed })
        })
        .collect();

    let mut loaded = Loaded { images: Vec::new(), problems: Vec::new() };
    let mut first_error = None;
    for (sample, result) in samples.iter().zip(results) {
        match result {
            Ok(image) => loaded.images.push(image),
            Err(error) if options.on_error == OnError::Stop || matches!(error, Error::Config { .. }) => {
                return Err(error);
            }
            Err(error) => {
                loaded.problems.push(Problem::new(&sample.path, error.reason()));
                first_error.get_or_insert(error);
            }
        }
    }
    match first_error {
        Some(error) if loaded.images.is_empty() => Err(error),
        _ => Ok(loaded),
    }
}

/// The ground truth of `images`, in their order, each at the size of its framed image: empty for good ones, `None` for
/// defective ones whose mask is missing or, under [`OnError::Skip`], cannot be used; those masks are the problems.
///
/// # Errors
///
/// Under [`OnError::Stop`] the error of the first mask that cannot be used, as [`decode_masks`] gives it.
pub fn load_masks(
    images: &[LoadedImage],
    options: &LoadOptions,
) -> Result<(Vec<Option<PixelMask>>, Vec<Problem>)> {
    let read = |image: &LoadedImage| {
        let size @ [height, width] = [image.framed.image.height, image.framed.image.width];
        match (image.sample.label, image.sample.masks.as_slice()) {
            (Label::Good, _) => Ok(Some(PixelMask::empty(height, width))),
            (Label::Defective, []) => Ok(None),
            (Label::Defective, paths) => {
                decode_masks(paths, size, image.framed.original_size, options.max_pixels).map(Some)
            }
        }
    };
    let (mut masks, mut problems) = (Vec::with_capacity(images.len()), Vec::new());
    let results: Vec<_> = images.par_iter().map(read).collect();
    for (image, result) in images.iter().zip(results) {
        masks.push(match result {
            Err(error) if options.on_error == OnError::Skip => {
                let path = image.sample.masks.first().unwrap_or(&image.sample.path);
                problems.push(Problem::new(path, format!("mask: {}", error.reason())));
                None
            }
            result => result?,
        });
    }
    Ok((masks, problems))
}

#[cfg(test)]
mod tests;

//! Validation while training: how well the network of the moment tells good from defective.

use std::sync::atomic::{AtomicBool, Ordering};

use blemish::detector::image_score;
use blemish::image::PixelMask;
use blemish::metrics::{aupro, auroc, f1_max};
use blemish::parts::DetectorPart;
use blemish::parts::network::Network;
use blemish::view::View;
use blemish::{Config, Error, Result};
use rayon::prelude::*;

/// AUPRO is integrated up to this false-positive rate (Bergmann et al. 2021).
const FPR_LIMIT: f64 = 0.3;

/// A validation image.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// What the model sees of it.
    pub view: View,
    /// Whether it has a defect.
    pub defective: bool,
    /// Where, if known: of the whole image, all at one size. Empty for good images.
    pub mask: Option<PixelMask>,
}

/// What a validation measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Validation {
    /// Image AUROC.
    pub auroc: f64,
    /// Largest F1.
    pub f1_max: f64,
    /// The score that gives it.
    pub threshold: f64,
    /// Per-region overlap up to a false-positive rate of 0.3, where there are masks.
    pub aupro: Option<f64>,
}

/// Whether there are both good and defective images.
pub(crate) fn can_validate(images: &[Labelled]) -> bool {
    [true, false].iter().all(|defective| images.iter().any(|image| image.defective == *defective))
}

/// Scores `images`, among which there must be good and defective ones.
///
/// # Errors
/// Scores that are not finite; [`Error::Interrupted`].
pub fn validate(
    network: &Network,
    config: &Config,
    images: &[Labelled],
    stop: &AtomicBool,
) -> Result<Validation> {
    let defective: Vec<bool> = images.iter().map(|image| image.defective).collect();
    let map = |image: &Labelled| {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let map = network.map(&config.data.normalize.apply(&image.view.image));
        if map.iter().all(|v| v.is_finite()) {
            return Ok(map);
        }
        Err(Error::Training("a validation image's anomaly map is not finite".to_owned()))
    };
    let maps = images.par_iter().map(map).collect::<Result<Vec<_>>>()?;
    let scores: Vec<f32> = maps.iter().map(|map| image_score(map, &config.score)).collect();
    let best = f1_max(&scores, &defective)?;
    let (mut framed, mut masks): (Vec<Vec<f32>>, Vec<&PixelMask>) = (Vec::new(), Vec::new());
    for (image, map) in images.iter().zip(maps) {
        if let Some(mask) = &image.mask {
            framed.push(image.view.to_frame(map, [mask.height, mask.width])?);
            masks.push(mask);
        }
    }
    let map_refs: Vec<&[f32]> = framed.iter().map(Vec::as_slice).collect();
    Ok(Validation {
        auroc: auroc(&scores, &defective)?,
        f1_max: best.f1,
        threshold: f64::from(best.threshold),
        // Without any mask there is no region to overlap with.
        aupro: aupro(&map_refs, &masks, FPR_LIMIT).ok(),
    })
}

//! Validation while training: how well the detector of the moment tells good from defective.

use super::split::Labelled;
use blemish::image::PixelMask;
use blemish::error::Result;
use blemish::metrics::{aupro, auroc, f1_max};
use blemish::detector::Detector;

/// What a validation measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Validation {
    /// Image AUROC.
    pub auroc: f64,
    /// Largest F1.
    pub f1_max: f64,
    /// The score that gives it: the dynamic threshold.
    pub threshold: f64,
    /// Per-region overlap up to a false-positive rate of 0.3, where there are masks.
    pub aupro: Option<f64>,
}

/// Scores `images`; `None` where there are not both good and defective ones.
///
/// # Errors
/// Scores that are not finite.
pub fn validate(detector: &Detector, images: &[Labelled]) -> Result<Option<Validation>> {
    let defective: Vec<bool> = images.iter().map(|l| l.defective).collect();
    if !defective.contains(&true) || !defective.contains(&false) {
        return Ok(None);
    }
    let pictures: Vec<_> = images.iter().map(|l| l.view.image.to_image()).collect();
    let maps = detector.anomaly_maps(&pictures);
    let scores: Vec<f32> = maps.iter().map(|map| detector.score(map)).collect();
    let best = f1_max(&scores, &defective)?;
    let (mut framed, mut masks): (Vec<Vec<f32>>, Vec<&PixelMask>) = (Vec::new(), Vec::new());
    for (image, map) in images.iter().zip(maps) {
        if let Some(mask) = &image.mask {
            framed.push(image.view.to_frame(map, [mask.height, mask.width])?);
            masks.push(mask);
        }
    }
    let map_refs: Vec<&[f32]> = framed.iter().map(Vec::as_slice).collect();
    Ok(Some(Validation {
        auroc: auroc(&scores, &defective)?,
        f1_max: best.f1,
        threshold: f64::from(best.threshold),
        // Without any mask there is no region to overlap with.
        aupro: aupro(&map_refs, &masks, 0.3).ok(),
    }))
}

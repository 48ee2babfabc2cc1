//! Validation while training: how well the detector of the moment tells good from defective.

use super::split::Labelled;
use crate::data::PixelMask;
use crate::error::Result;
use crate::metrics::{aupro, auroc, f1_max};
use crate::score::Detector;

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
    let pictures: Vec<_> = images.iter().map(|l| l.image.to_image()).collect();
    let maps = detector.anomaly_maps(&pictures);
    let scores: Vec<f32> = maps.iter().map(|map| detector.score(map)).collect();
    let best = f1_max(&scores, &defective)?;
    let known: Vec<(&[f32], PixelMask)> = images
        .iter()
        .zip(&maps)
        .filter(|(l, _)| !l.defective || l.mask.is_some())
        .map(|(l, map)| {
            let none = || PixelMask::empty(l.image.height, l.image.width);
            (map.as_slice(), l.mask.clone().unwrap_or_else(none))
        })
        .collect();
    let (map_refs, masks): (Vec<&[f32]>, Vec<&PixelMask>) =
        known.iter().map(|(map, mask)| (*map, mask)).unzip();
    Ok(Some(Validation {
        auroc: auroc(&scores, &defective)?,
        f1_max: best.f1,
        threshold: f64::from(best.threshold),
        // Without any mask there is no region to overlap with.
        aupro: aupro(&map_refs, &masks, 0.3).ok(),
    }))
}

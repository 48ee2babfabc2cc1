//! Validation while training: how well the network of the moment tells good from defective.

use std::sync::atomic::{AtomicBool, Ordering};

use blemish::detector::view_score;
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
    /// Height and width of the image that it is a view of.
    pub original: [usize; 2],
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
    let scores = scores(config, images, &maps);
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

/// What `maps` of `images` score, as in the detector: regions smaller than `score.min_area` do not count.
fn scores(config: &Config, images: &[Labelled], maps: &[Vec<f32>]) -> Vec<f32> {
    images.iter().zip(maps).map(|(image, map)| view_score(map, config, image.original)).collect()
}

#[cfg(test)]
mod tests {
    use blemish::image::Image;

    use super::*;

    #[test]
    fn regions_that_are_too_small_make_no_score() {
        let mut config = Config::default();
        config.data.image_size = [32, 32];
        let view = View::whole(Image::filled(32, 32, 1, 0.5));
        let images = [Labelled { view, original: [64, 64], defective: true, mask: None }];
        // A speck of 9, and two pixels of 4, on a ground of 1.
        let mut map = vec![1.0; 32 * 32];
        (map[0], map[500], map[501]) = (9.0, 4.0, 4.0);
        // A pixel of the view is four of the image.
        for (area, expected) in [(1, 9.0), (8, 4.0), (12, 1.0)] {
            config.score.min_area = area;
            assert_eq!(scores(&config, &images, std::slice::from_ref(&map)), [expected], "{area}");
        }
    }
}

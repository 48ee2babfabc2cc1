//! Which images validate: decided by seed, named in every report.

use blemish::dataset::{Label, LoadOptions, LoadedImage, OnError, Problem, Sample, load, load_masks};
use blemish::fit::Prepared;
use blemish::image::PixelMask;
use blemish::view::{View, foreground};
use blemish::{Error, Result};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::validate::Labelled;
use crate::augment::DefectGenerator;
use crate::config::RunConfig;

/// Defective validation images that are made, as far as [`MOST_COPIES`] allows: fewer would leave the choice of the epoch
/// to chance.
const DEFECTIVE: usize = 64;
/// Most defective copies of one held-out image.
const MOST_COPIES: usize = 4;
/// Most held-out images that validate: more cost time and memory and hardly change the choice.
const MOST_GOOD: usize = 256;

/// How validation images are found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Held-out good images, and synthetic defects made from them. No test image is seen.
    #[default]
    Holdout,
    /// As published: a fifth of every kind of test images validates, see [`diyt_split`].
    Diyt {
        /// All test images.
        test: Vec<Sample>,
    },
}

impl Protocol {
    /// What the protocol means, for reports.
    pub fn describe(&self) -> String {
        match self {
            Self::Holdout => {
                "network validated on held-out good images and synthetic defects made from them; \
                              no test image was seen"
                    .to_owned()
            }
            Self::Diyt { .. } => {
                "network validated on 20 % of the official test images, as published (diyt)".to_owned()
            }
        }
    }

    /// The validation images, and files that cannot be used.
    pub(super) fn images(
        &self,
        config: &RunConfig,
        prepared: &Prepared,
        on_error: OnError,
    ) -> Result<(Vec<Labelled>, Vec<Problem>)> {
        match self {
            Self::Holdout => Ok((synthetic(config, prepared)?, Vec::new())),
            Self::Diyt { test } => {
                let (validation, _) = diyt_split(test, config.detector.seed);
                if validation.is_empty() {
                    let reason = "the published split (diyt) validates on a fifth of each kind of test images: \
                                  there are none, or too few";
                    return Err(Error::data("test images", reason));
                }
                labelled(&validation, prepared, on_error)
            }
        }
    }
}

/// Held-out images as they are, and each a few times with a synthetic defect.
fn synthetic(config: &RunConfig, prepared: &Prepared) -> Result<Vec<Labelled>> {
    let mut rng = ChaCha8Rng::seed_from_u64(config.detector.seed ^ 0x5eed);
    let defects = DefectGenerator::new(&config.train.defects, config.train.pose.fills()).always_one();
    let holdout = prepared.holdout().min(MOST_GOOD);
    let copies = DEFECTIVE.div_ceil(holdout.max(1)).clamp(1, MOST_COPIES);
    let mut validation = Vec::with_capacity((1 + copies) * holdout);
    for i in 0..holdout {
        let clean = prepared.views.get(i)?;
        let other = prepared.views.get((i + 1) % holdout)?;
        let centres = foreground(&clean);
        let mask = Some(PixelMask::empty(clean.height, clean.width));
        let original = prepared.sizes[i];
        validation.push(Labelled { view: View::whole(clean.clone()), original, defective: false, mask });
        for _ in 0..copies {
            let defective = defects.corrupt(&clean, &other, Some(&centres), &mut rng);
            // A deformation of plain background may leave nothing to see: that is no defect.
            if defective.mask.count() > 0 {
                let (view, mask) = (View::whole(defective.image), Some(defective.mask));
                validation.push(Labelled { view, original, defective: true, mask });
            }
        }
    }
    Ok(validation)
}

fn labelled(
    samples: &[Sample],
    prepared: &Prepared,
    on_error: OnError,
) -> Result<(Vec<Labelled>, Vec<Problem>)> {
    let config = &prepared.config;
    let options = LoadOptions {
        image_size: config.data.image_size,
        view: config.view(),
        channels: config.data.channels.unwrap_or(3),
        max_pixels: config.data.max_pixels,
        range: config.data.range,
        on_error,
    };
    let mut loaded = load(samples, &options)?;
    let (masks, bad_masks) = load_masks(&loaded.images, &options)?;
    loaded.problems.extend(bad_masks);
    let view = |view: View| match prepared.views.normaliser().template() {
        Some(template) => view.registered(template),
        None => view,
    };
    let one = |(image, mask): (LoadedImage, Option<PixelMask>)| Labelled {
        defective: image.sample.label == Label::Defective,
        original: image.framed.original_size,
        view: view(image.framed.view),
        mask,
    };
    Ok((loaded.images.into_iter().zip(masks).map(one).collect(), loaded.problems))
}

/// The published split: of every kind's images, in seeded order, the first fifth validates and the rest tests.
pub fn diyt_split(test: &[Sample], seed: u64) -> (Vec<Sample>, Vec<Sample>) {
    let mut kinds: Vec<&str> = test.iter().map(|s| s.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut validation, mut rest) = (Vec::new(), Vec::new());
    for kind in kinds {
        let mut samples: Vec<Sample> = test.iter().filter(|s| s.kind == kind).cloned().collect();
        samples.shuffle(&mut rng);
        let count = (samples.len() as f64 * 0.2).round() as usize;
        rest.extend(samples.split_off(count));
        validation.extend(samples);
    }
    (validation, rest)
}

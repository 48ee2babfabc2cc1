//! Which images train, which validate: decided by seed, named in every report.

use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::augment::{corrupt, foreground, image_statistics};
use crate::config::{Align, RunConfig};
use crate::data::{
    self, ByteImage, DataSet, Label, LoadOptions, LoadedImage, OnError, PixelMask, Problem, Sample, Template,
    View, load, load_masks,
};
use crate::error::{Error, Result};

/// How validation images are found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Held-out good training images, and synthetic defects made from them. No test image is seen.
    #[default]
    Holdout,
    /// As published: a fifth of every test folder validates, the other four fifths test.
    Diyt,
    /// The user's own labelled images, in any layout.
    Labelled(std::path::PathBuf),
}

impl Protocol {
    /// What the protocol means, for reports.
    pub fn describe(&self) -> String {
        match self {
            Self::Holdout => {
                "checkpoint and thresholds chosen on held-out good training images and synthetic defects made from \
                 them; no test image was seen"
                    .to_owned()
            }
            Self::Diyt => "as published (diyt): checkpoint and threshold chosen on 20 % of the official test images"
                .to_owned(),
            Self::Labelled(path) => format!("checkpoint and threshold chosen on {}", path.display()),
        }
    }
}

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

/// All images that training needs, decoded once and kept as bytes.
#[derive(Clone, Debug)]
pub struct TrainingData {
    /// Good images to learn from.
    pub train: Vec<ByteImage>,
    /// Good images that are not learnt from: thresholds come from them.
    pub holdout: Vec<ByteImage>,
    /// Files of `holdout`, then of `train`, in their order.
    pub files: Vec<PathBuf>,
    /// Labelled images that choose the checkpoint and the dynamic threshold.
    pub validation: Vec<Labelled>,
    /// What every view was laid upon, where views are aligned.
    pub template: Option<Template>,
    /// Files that were left out.
    pub problems: Vec<Problem>,
    /// How bright the good training images are.
    pub light: Light,
}

/// Brightness and contrast that `equalised` sets images to: medians over the training images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Light {
    /// Of their median grey levels.
    pub median: f32,
    /// Of their grey levels' standard deviations.
    pub spread: f32,
}

impl Light {
    /// Of whole images, at least one.
    fn of<'a>(images: impl Iterator<Item = &'a ByteImage>) -> Self {
        let (mut medians, mut spreads): (Vec<f32>, Vec<f32>) = images
            .map(|image| image_statistics(&image.to_image()))
            .map(|statistics| (statistics.median, statistics.spread))
            .unzip();
        let middle = |values: &mut Vec<f32>| {
            let at = values.len() / 2;
            *values.select_nth_unstable_by(at, f32::total_cmp).1
        };
        Self { median: middle(&mut medians), spread: middle(&mut spreads) }
    }
}

impl TrainingData {
    /// Loads `set` and splits it. `config.data.channels` must be set.
    ///
    /// # Errors
    /// Those of [`load()`], and too few images.
    pub fn load(config: &RunConfig, set: &DataSet, protocol: &Protocol, on_error: OnError) -> Result<Self> {
        let options = load_options(config, on_error);
        let loaded = load(&set.train, &options)?;
        let mut problems = loaded.problems;
        if loaded.images.is_empty() {
            return Err(Error::data(&set.root, "no good training image could be used"));
        }
        let light = Light::of(loaded.images.iter().map(|l| &l.picture.image));
        let mut loaded = loaded.images;
        loaded.shuffle(&mut ChaCha8Rng::seed_from_u64(config.seed));
        let held = held_out(loaded.len(), config.train.holdout);
        let (files, mut holdout): (Vec<PathBuf>, Vec<ByteImage>) =
            loaded.into_iter().map(|l| (l.sample.path, l.picture.view.image)).unzip();
        let mut train = holdout.split_off(held);
        let template =
            (config.data.align == Align::Always).then(|| align(&mut train, &mut holdout)).flatten();
        let validation = match protocol {
            Protocol::Holdout => synthetic(config, &holdout),
            Protocol::Diyt => {
                let (validation, _) = diyt_split(&set.test, config.seed);
                if validation.is_empty() {
                    let reason = "the published split (diyt) validates on a fifth of each kind of test images: \
                                  there are none, or too few";
                    return Err(Error::data(&set.root, reason));
                }
                labelled(&validation, &options, template.as_ref(), &mut problems)?
            }
            Protocol::Labelled(path) => {
                labelled(&labelled_samples(path)?, &options, template.as_ref(), &mut problems)?
            }
        };
        Ok(Self { train, holdout, files, validation, template, problems, light })
    }
}

impl TrainingData {
    /// The data without the images that are left out, as [`files`](Self::files) lists them, and without those to validate
    /// with; and the images that are left out.
    pub fn divided(&self, left_out: &[bool]) -> (Self, Vec<&ByteImage>) {
        fn kept<T: Clone>(all: &[T], left_out: &[bool]) -> Vec<T> {
            let pairs = all.iter().zip(left_out).filter(|(_, left_out)| !**left_out);
            pairs.map(|(one, _)| one.clone()).collect()
        }
        let (of_holdout, of_train) = left_out.split_at(self.holdout.len());
        let images = self.holdout.iter().chain(&self.train).zip(left_out);
        let others = images.filter(|(_, left_out)| **left_out).map(|(image, _)| image).collect();
        let data = Self {
            train: kept(&self.train, of_train),
            holdout: kept(&self.holdout, of_holdout),
            files: kept(&self.files, left_out),
            validation: Vec::new(),
            template: self.template.clone(),
            problems: Vec::new(),
            light: self.light,
        };
        (data, others)
    }
}

/// How images are read for `config`; `data.channels` absent means 3.
pub fn load_options(config: &RunConfig, on_error: OnError) -> LoadOptions {
    LoadOptions {
        image_size: config.data.image_size,
        view: config.view(),
        channels: config.data.channels.unwrap_or(3),
        max_pixels: config.data.max_pixels,
        on_error,
    }
}

/// Lays the training images upon their mean, and the held-out ones upon the same, as images to come will be.
fn align(train: &mut [ByteImage], holdout: &mut [ByteImage]) -> Option<Template> {
    let (template, poses) = Template::learn(train)?;
    train.par_iter_mut().zip(poses).for_each(|(image, pose)| *image = pose.apply(image));
    holdout.par_iter_mut().for_each(|image| *image = template.pose(image).apply(image));
    Some(template)
}

/// At least 4 where there are 12 images or more, never more than a third, none of fewer than 3.
fn held_out(images: usize, share: f64) -> usize {
    if share == 0.0 || images < 3 {
        return 0;
    }
    ((images as f64 * share).round() as usize).max(4).min(images / 3)
}

/// Defective validation images that are made, as far as [`MOST_COPIES`] allows: fewer would leave the choice of checkpoint
/// and of the threshold `val` to chance.
const DEFECTIVE: usize = 64;
/// Most defective copies of one held-out image.
const MOST_COPIES: usize = 4;

/// Each held-out image as it is, and a few times with a synthetic defect.
fn synthetic(config: &RunConfig, holdout: &[ByteImage]) -> Vec<Labelled> {
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed ^ 0x5eed);
    let mut defects = config.train.defects.clone();
    defects.probability = 1.0;
    defects.count = [1, 1];
    let copies = DEFECTIVE.div_ceil(holdout.len().max(1)).clamp(1, MOST_COPIES);
    let mut validation = Vec::with_capacity((1 + copies) * holdout.len());
    for (i, image) in holdout.iter().enumerate() {
        let clean = image.to_image();
        let mask = Some(PixelMask::empty(image.height, image.width));
        validation.push(Labelled { view: View::whole(image.clone()), defective: false, mask });
        let other = holdout[(i + 1) % holdout.len()].to_image();
        let centres = foreground(&clean);
        for _ in 0..copies {
            let defective = corrupt(&clean, &other, Some(&centres), &defects, 1.0, &mut rng);
            // A deformation of plain background may leave nothing to see: that is no defect.
            if defective.mask.count() > 0 {
                let mask = Some(defective.mask);
                let view = View::whole(defective.image.to_bytes());
                validation.push(Labelled { view, defective: true, mask });
            }
        }
    }
    validation
}

fn labelled(
    samples: &[Sample],
    options: &LoadOptions,
    template: Option<&Template>,
    problems: &mut Vec<Problem>,
) -> Result<Vec<Labelled>> {
    let loaded = load(samples, options)?;
    let (masks, bad_masks) = load_masks(&loaded.images, options)?;
    problems.extend(loaded.problems.into_iter().chain(bad_masks));
    let defective = |l: &LoadedImage| l.sample.label == Label::Defective;
    let pairs = loaded.images.into_iter().zip(masks);
    let view = |view: View| template.map_or(view.clone(), |template| view.aligned(template));
    Ok(pairs
        .map(|(l, mask)| Labelled { defective: defective(&l), view: view(l.picture.view), mask })
        .collect())
}

/// Every labelled image below `path`: its test images where it has any, otherwise its folders named `good` or `ok`
/// against all others.
fn labelled_samples(path: &Path) -> Result<Vec<Sample>> {
    if let Ok(set) = data::open(path, None)
        && !set.test.is_empty()
    {
        return Ok(set.test);
    }
    let mut samples = Vec::new();
    for file in data::images_in(path)? {
        let kind = file.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
        let good = ["good", "ok"].contains(&kind.to_lowercase().as_str());
        samples.push(if good { Sample::good(file) } else { Sample::defective(file, kind, None) });
    }
    let has = |label| samples.iter().any(|s| s.label == label);
    if !has(Label::Good) || !has(Label::Defective) {
        let reason =
            "validation needs good and defective images: a test folder, or folders `good` and others";
        return Err(Error::data(path, reason));
    }
    Ok(samples)
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

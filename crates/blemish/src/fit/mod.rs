//! Fitting a detector on good images: survey, views, registration, parts, calibration, suspected outliers.
//!
//! Every good image is scored by parts that were fitted on others (cross-conformal prediction, Vovk 2015): those scores
//! make the thresholds, and name the images that are least like the rest.

mod cross;
pub(crate) mod duplicates;
mod estimate;
mod extend;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod field_tests;
mod outliers;
mod places;
mod recalibrate;
#[cfg(test)]
mod tests;

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use rayon::prelude::*;

use self::cross::{CrossFit, cross_fit};
use self::duplicates::Groups;
pub use self::estimate::DefectSource;
pub use self::extend::Extended;
pub use self::recalibrate::{Calibrated, CurvePoint};
use crate::config::{Align, Config, Fit};
use crate::dataset::{Images, OnError, Problem};
use crate::detector::Detector;
use crate::engine::Weights;
use crate::error::{Error, Result};
pub use crate::good::FitEvent;
use crate::good::Progress;
#[doc(hidden)]
pub use crate::good::Views;
use crate::image::{DecodeOptions, Image, ImageFacts, PixelMask, image_statistics, is_blank, median};
use crate::number::{counted, some_of};
use crate::parts::features::require_weights;
use crate::parts::network::Start;
use crate::parts::used;
use crate::provenance::Provenance;
pub use crate::provenance::{GoodFile, SuspectedOutlier};
use crate::scoring::see;
use crate::view::{Framed, Pose, Survey, TrainingFacts, View, faint, shrunk};

/// The pre-trained weights that come with the library. Only fitting refers to them: a program that loads and predicts does not
/// hold them, a model file has its own.
const LIGHT: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../weights/light.safetensors"));

/// Good images that are named as the least like the rest.
const NAMED: usize = 20;

/// Around a fit: what happens at a bad image, who listens, and how it is stopped.
pub struct FitOptions<'a> {
    /// What happens at an image that cannot be used.
    pub on_error: OnError,
    /// Told what happens.
    pub listener: &'a (dyn Fn(FitEvent) + Sync),
    /// Set from elsewhere to stop within a second.
    pub stop: &'a AtomicBool,
}

/// Good images made ready: looked over, brought to one size, registered.
#[derive(Debug)]
pub struct Prepared {
    /// The settled configuration.
    pub config: Config,
    /// What the images look like.
    pub survey: Survey,
    /// Every usable image's view.
    pub views: Views,
    /// Files that could not be used.
    pub problems: Vec<Problem>,
    /// How bright the good images are.
    pub brightness: Brightness,
    /// Their sizes, channels, depth and brightness.
    pub facts: Option<TrainingFacts>,
    /// Near-duplicates; see [`repeated`](Self::repeated).
    pub groups: Groups,
    /// Height and width of each image, pixels.
    pub sizes: Vec<[usize; 2]>,
    /// The configuration before it was settled.
    asked: Config,
    files: Vec<GoodFile>,
    blank: usize,
    always_found: bool,
    started: Instant,
}

/// Medians over the good images of their grey levels' median and standard deviation, in [0, 1].
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Brightness {
    /// Of their medians.
    pub median: f32,
    /// Of their standard deviations.
    pub spread: f32,
}

/// Looks the good images over and makes them ready to be fitted on.
///
/// # Errors
/// No image that can be used; an image that cannot under [`OnError::Stop`]; settings that the images rule out.
pub fn prepare(images: &Images, config: &Config, options: &FitOptions<'_>) -> Result<Prepared> {
    let started = Instant::now();
    let asked = config.clone();
    let mut config = config.clone();
    config.validate()?;
    require_weights(&config)?;
    let progress = Progress::new(options.listener, options.stop);
    let channels = match config.data.channels {
        Some(channels) => channels,
        None => images.detect_channels(config.data.max_pixels)?,
    };
    config.data.channels = Some(channels);
    if config.data.range.is_none() {
        config.data.range = images.detect_range(config.data.max_pixels);
    }
    let (survey, contrast) = look_over(images, &config.data.decoding())?;
    if config.data.fit == Fit::Auto && config.data.view.is_none() {
        survey.require_shape(config.data.image_size, config.model.patch_size)?;
    }
    config.resolve(channels, &survey);
    config.validate()?;
    progress.tell(FitEvent::Surveyed { facts: survey.describe() });

    let mut order: Vec<usize> = (0..images.len()).collect();
    // By what each image is, not by its place in the list: one more or less leaves the others in their order, and folds.
    order.sort_by_cached_key(|&i| (images.key(i, config.seed), i));
    let (view, frame, decoding) = (config.view(), config.data.image_size, config.data.decoding());
    let mut views = Views::new(config.view_size(), channels, config.data.normaliser())?;
    let (mut problems, mut first_error, mut light, mut sizes) = (Vec::new(), None, Vec::new(), Vec::new());
    let (mut used, mut facts, mut blank) = (Vec::new(), Vec::new(), 0);
    let (mut is_cut, mut always_found) = (false, true);
    // A few at a time: decoded images may be large.
    for some in order.chunks(16) {
        let read = |&i: &usize| -> Result<(Framed, [f32; 2])> {
            let (image, facts) = images.read_with_facts(i, &decoding)?;
            let framed = Framed::new(&image, facts, frame, &view)?;
            let own = image_statistics(&framed.image);
            Ok((framed, [own.median, own.spread]))
        };
        for (&i, result) in some.iter().zip(some.par_iter().map(read).collect::<Vec<_>>()) {
            let nothing = match &result {
                Ok((framed, _)) => framed.blank.or_else(|| faint(framed.facts.contrast, contrast)),
                Err(_) => None,
            };
            match (result, nothing) {
                // A frame that shows nothing is no example of a good product.
                (_, Some(reason)) => {
                    problems.push(Problem::new(images.name(i), reason.describe()));
                    blank += 1;
                }
                (Ok((framed, own)), None) => {
                    views.push(images.name(i), &framed.view.image)?;
                    light.push(own);
                    sizes.push(framed.original_size);
                    facts.push(framed.facts);
                    used.push(i);
                    is_cut |= framed.view.is_cut();
                    always_found &= framed.product_found == Some(true);
                }
                (Err(error), None)
                    if options.on_error == OnError::Stop || matches!(error, Error::Config { .. }) =>
                {
                    return Err(error);
                }
                (Err(error), None) => {
                    problems.push(Problem::new(images.name(i), error.reason()));
                    first_error.get_or_insert(error);
                }
            }
        }
        progress.step("reading good images", views.len(), images.len())?;
    }
    if views.is_empty() && blank > 0 {
        let reason =
            format!("shows nothing, as do all {blank} images that could be read: {}", problems[0].reason);
        return Err(Error::data(&problems[0].path, reason));
    }
    if views.is_empty() {
        return Err(first_error.unwrap_or_else(|| Error::data("images", "there is no good image to fit on")));
    }
    match config.data.align {
        Align::Always if is_cut => {
            let recut = |i: usize, pose: Pose| -> Result<Image> {
                Ok(View::new(&images.read(used[i], &decoding)?, &view)?.in_pose(pose).image)
            };
            views.register(&progress, Some(&recut))?;
        }
        Align::Always => views.register(&progress, None)?,
        _ => {}
    }
    let [middle, spread] = [0, 1].map(|k| median(&mut light.iter().map(|own| own[k]).collect::<Vec<f32>>()));
    let brightness = Brightness { median: middle, spread };
    progress.tell(FitEvent::Prepared {
        images: views.len(),
        problems: problems.clone(),
        config: Box::new(config.clone()),
    });
    let facts = TrainingFacts::of(&facts).map(|facts| facts.of_any_shape(config.one_size().is_none()));
    let groups = duplicates::groups(&views, view.usual_pixels_of_image(&sizes), &progress)?;
    // In the order in which they were given.
    used.sort_unstable();
    let files = used.par_iter().map(|&i| good_file(images, i)).collect::<Result<Vec<_>>>()?;
    Ok(Prepared {
        asked,
        files: files.into_iter().flatten().collect(),
        config,
        survey,
        views,
        problems,
        brightness,
        facts,
        groups,
        sizes,
        blank,
        always_found,
        started,
    })
}

/// What is written down of image `i`, where it is a file.
fn good_file(images: &Images, i: usize) -> Result<Option<GoodFile>> {
    let (Some(path), Some(fingerprint)) = (images.file(i), images.fingerprint(i)?) else { return Ok(None) };
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    Ok(Some(GoodFile { path: path.display().to_string(), fingerprint: format!("{fingerprint:016x}") }))
}

/// Looks at up to 64 of `images`, evenly spread; those that cannot be decoded are ignored.
///
/// # Errors
/// None of them can be decoded: the first one's error.
#[doc(hidden)]
pub fn survey(images: &Images, options: &DecodeOptions) -> Result<Survey> {
    look_over(images, options).map(|(survey, _)| survey)
}

/// As [`survey`], with the images' median contrast.
fn look_over(images: &Images, options: &DecodeOptions) -> Result<(Survey, f32)> {
    let step = images.len().div_ceil(Survey::IMAGES).max(1);
    let looked: Vec<usize> = (0..images.len()).step_by(step).collect();
    let (mut seen, mut sizes, mut contrasts, mut first_error) = (Vec::new(), Vec::new(), Vec::new(), None);
    let look = |&i: &usize| -> Result<(Image, ImageFacts, bool)> {
        let (image, facts) = images.read_with_facts(i, options)?;
        let blank = is_blank(&image).is_some();
        Ok((shrunk(image)?, facts, blank))
    };
    let mut read = Vec::new();
    for result in looked.par_iter().map(look).collect::<Vec<_>>() {
        match result {
            Ok(own) => read.push(own),
            Err(error) => _ = first_error.get_or_insert(error),
        }
    }
    // Frames that show nothing do not say how products lie, unless there is nothing else.
    let mut own: Vec<f32> = read.iter().filter(|own| !own.2).map(|own| own.1.contrast).collect();
    let usual = if own.is_empty() { 0.0 } else { median(&mut own) };
    let shows = |own: &(_, ImageFacts, bool)| !own.2 && faint(own.1.contrast, usual).is_none();
    if read.iter().any(shows) {
        read.retain(shows);
    }
    for (image, facts, _) in read {
        seen.push(image);
        sizes.push(facts.size);
        contrasts.push(facts.contrast);
    }
    match first_error {
        Some(error) if seen.is_empty() => Err(error),
        _ => Ok((
            Survey::of_sizes(&seen, &sizes),
            if contrasts.is_empty() { 0.0 } else { median(&mut contrasts) },
        )),
    }
}

impl Prepared {
    /// How many images, the first ones, a network that is trained on these must not see.
    pub fn holdout(&self) -> usize {
        let (images, share) = (self.views.len(), self.config.fit.holdout);
        if share == 0.0 || images < 3 {
            return 0;
        }
        ((images as f64 * share).round() as usize).max(4).min(images / 3)
    }

    /// The held-out images that are no near-duplicates of any that a trained network has seen; all of them where every one is.
    fn held_out(&self) -> Vec<usize> {
        let count = self.holdout();
        let unseen = |i: &usize| !self.groups.of[count..].contains(&self.groups.of[*i]);
        let own: Vec<usize> = (0..count).filter(unseen).collect();
        if own.is_empty() { (0..count).collect() } else { own }
    }

    /// How many images are near-duplicates of others: several photos of one product, or frames of a camera that stood still.
    /// They are fitted on, but never score each other, and count once.
    pub fn repeated(&self) -> usize {
        self.groups.repeated()
    }

    /// Ignores what `mask` marks (1), in scores, thresholds and regions. It covers the view: the whole image, or the product
    /// where that is rectified; where views are registered it moves with them.
    ///
    /// # Errors
    /// A mask that leaves nothing, or has no pixels; [`Error::Io`].
    pub fn ignore(&mut self, mask: &PixelMask) -> Result<()> {
        self.views.ignore(mask.of_view(self.config.size_of_masks()?)?)
    }

    /// 1 where nothing is to be found, `[H, W]` of the view.
    fn ignored(&self) -> Option<&[f32]> {
        self.views.normaliser().ignored()
    }

    /// The weights that training a network starts from, where `network.init` names some.
    ///
    /// # Errors
    /// A file that cannot be read, or holds weights of another network.
    pub fn initial_weights(&self) -> Result<Option<Weights>> {
        Ok(Start::of(&self.config, Some(LIGHT))?.map(|start| start.weights))
    }

    /// Fits every part that the configuration uses, and calibrates them. `trained` are the weights of a network that was
    /// trained on all images but the first [`holdout`](Self::holdout).
    ///
    /// # Errors
    /// [`Error::Interrupted`]; maps that are not finite; a configuration without any part.
    pub fn fit(&self, trained: Option<&Weights>, options: &FitOptions<'_>) -> Result<Detector> {
        let progress = Progress::new(options.listener, options.stop);
        if used(&self.config).next().is_none() {
            let reason = "is never, and these images suit no other part: nothing is left to score with";
            return Err(Error::config("network.use", reason));
        }
        let all: Vec<usize> = (0..self.views.len()).collect();
        let mut fitted = cross_fit(self, &all, trained, &progress)?;
        let mut left_out = outliers::find(&fitted.scores, self.config.fit.contamination);
        if left_out.contains(&true) {
            let trusted: Vec<usize> = all.iter().copied().filter(|&i| !left_out[i]).collect();
            if cross::is_enough(trusted.len()) {
                let outliers: Vec<usize> = all.iter().copied().filter(|&i| left_out[i]).collect();
                fitted = self.without(&outliers, &trusted, trained, &progress)?;
            } else {
                left_out.fill(false);
            }
        }
        let mut profile = self.survey.describe();
        profile.extend(self.remarks(&fitted.places, &progress));
        let suspected = outliers::name(self.views.names(), &fitted.scores, &left_out, NAMED);
        let good = self.one_score_each(&fitted.scores, &left_out);
        let provenance = Provenance {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            median: self.brightness.median,
            spread: self.brightness.spread,
            seconds: self.started.elapsed().as_secs_f64(),
            suspected_outliers: suspected,
            left_out: left_out.iter().filter(|&&left_out| left_out).count(),
            profile,
            facts: self.facts.clone(),
            always_found: self.always_found,
            images: self.views.len(),
            few_products: self.groups.few_products,
            files: self.files.clone(),
            settings: Some(Box::new(self.asked.clone())),
            pretrained: fitted.parts.iter().find_map(|part| part.part.pretrained()).cloned(),
            ..Provenance::default()
        };
        let normaliser = self.views.normaliser().clone();
        let detector = Detector::new(self.config.clone(), normaliser, fitted.parts, good, provenance);
        if let Some(text) = detector.threshold()?.warning {
            progress.tell(FitEvent::Warning { text });
        }
        Ok(detector)
    }

    /// The scores of the images that were fitted on; of near-duplicates the largest, since a product is good where all its
    /// photos are, and since one product is one draw of the process, however often it was photographed.
    fn one_score_each(&self, scores: &[Option<f32>], left_out: &[bool]) -> Vec<f32> {
        let mut own: Vec<Option<f32>> = vec![None; self.views.len()];
        for (i, score) in scores.iter().enumerate().filter(|(i, _)| !left_out[*i]) {
            let group = &mut own[self.groups.of[i]];
            *group = score.map(|score| group.map_or(score, |other: f32| other.max(score))).or(*group);
        }
        own.into_iter().flatten().collect()
    }

    /// What a user should know of the good images; told as warnings and kept in the model file.
    fn remarks(&self, places: &[[usize; 4]], progress: &Progress<'_>) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.blank > 0 {
            let blank = if self.blank == 1 { "is blank and was" } else { "are blank and were" };
            remarks.push(format!("{} {blank} not fitted on", counted(self.blank, "good image")));
        }
        if self.repeated() > 0 {
            let groups = self.views.len() - self.repeated();
            let what = if self.repeated() == 1 {
                "a near-duplicate of another"
            } else {
                "near-duplicates of others"
            };
            remarks.push(format!(
                "{} {what}: each product counts once, so rates are those of {}",
                some_of(self.repeated(), self.views.len(), "good image"),
                counted(groups, "image"),
            ));
        }
        let view = self.config.view_size();
        let original =
            self.sizes.first().copied().filter(|_| self.config.view().product.is_none()).unwrap_or(view);
        for &[y, x, height, width] in places {
            let [down, across] = [0, 1].map(|k| original[k] as f64 / view[k] as f64);
            let (top, left) = ((y as f64 * down) as usize, (x as f64 * across) as usize);
            let (bottom, right) = (((y + height) as f64 * down).ceil(), ((x + width) as f64 * across).ceil());
            remarks.push(format!(
                "a place varies far more than the rest on good images (columns {left} to {right}, rows {top} to {bottom}, in pixels): \
                 differences there count less; if it is a code or a label, ignore it with a mask"
            ));
        }
        remarks.iter().for_each(|text| progress.tell(FitEvent::Warning { text: text.clone() }));
        remarks
    }

    /// Fits on the `trusted` images only; the others have scores all the same.
    fn without(
        &self,
        outliers: &[usize],
        trusted: &[usize],
        trained: Option<&Weights>,
        progress: &Progress<'_>,
    ) -> Result<CrossFit> {
        let mut fitted = cross_fit(self, trusted, trained, progress)?;
        for &i in outliers {
            let image = self.views.normalised(i)?;
            let seen = see(&fitted.parts, &image, &self.config, self.sizes[i], self.ignored());
            fitted.scores[i] = Some(cross::finite(seen.score)?);
        }
        Ok(fitted)
    }
}

impl Detector {
    /// Fits a detector on good images, with everything that belongs to it: survey, view, registration, parts, calibration.
    ///
    /// # Errors
    /// The first image that cannot be used; settings that the images rule out.
    pub fn fit(images: &Images, config: &Config) -> Result<Self> {
        let stop = AtomicBool::new(false);
        let options = FitOptions { on_error: OnError::Stop, listener: &|_| {}, stop: &stop };
        prepare(images, config, &options)?.fit(None, &options)
    }
}

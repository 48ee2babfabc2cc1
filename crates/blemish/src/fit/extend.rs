//! Adding good images to a model.
//!
//! Registration, coresets, folds and calibration follow from all good images together, so a sum of what was fitted cannot be had
//! exactly. A model knows the files that it was fitted on and the settings: with more images it is fitted on all of them.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::{FitEvent, FitOptions, GoodFile, prepare};
use crate::config::{Config, ScoreConfig};
use crate::dataset::{Images, OnError, Problem, resolved};
use crate::detector::Detector;
use crate::error::{Error, Result};
use crate::provenance::Provenance;
use crate::view::Differences;

/// A model with good images added to it.
#[derive(Debug)]
pub struct Extended {
    /// Fitted on all images.
    pub detector: Detector,
    /// Good images that it is fitted on.
    pub images: usize,
    /// How many of these are new.
    pub added: usize,
    /// Files that it was fitted on already: they are named once more, and not fitted on twice.
    pub known: usize,
    /// Files that could not be used.
    pub problems: Vec<Problem>,
}

impl Detector {
    /// A detector that is fitted on the images of this one and on `more`, with this one's settings. It equals
    /// [`Detector::fit`] on all of them, to the last bit.
    ///
    /// The images that it was fitted on are read once more, from the files where they were.
    ///
    /// # Errors
    /// Files that are not there any more, or have changed; a detector that was fitted on images in memory (see
    /// [`extend_with`](Self::extend_with)); one whose network was trained; an image that cannot be used; no new image.
    pub fn extend(&self, more: &Images) -> Result<Self> {
        let stop = AtomicBool::new(false);
        let options = FitOptions { on_error: OnError::Stop, listener: &|_| {}, stop: &stop };
        Ok(self.extend_with(None, more, &options)?.detector)
    }

    /// As [`extend`](Self::extend); `originals` are the images that it was fitted on, where they lie elsewhere now (among others:
    /// files are known by their content) or are in memory.
    ///
    /// # Errors
    /// As [`extend`](Self::extend); [`Error::Interrupted`].
    pub fn extend_with(
        &self,
        originals: Option<&Images>,
        more: &Images,
        options: &FitOptions<'_>,
    ) -> Result<Extended> {
        let origin = self.provenance();
        if !self.history().is_empty() || !origin.training.is_empty() {
            let reason = "the network was trained on the model's images: with more of them it must be trained anew, with 'train'";
            return Err(Error::config("network.use", reason));
        }
        let unusable = |reason: &str| Error::model(Path::new("the model"), reason);
        let Some(mut asked) = origin.settings.as_deref().cloned() else {
            return Err(unusable(
                "does not say what it was fitted on: it comes from an earlier version; fit it anew",
            ));
        };
        let originals = match originals {
            Some(images) if (0..images.len()).all(|i| images.file(i).is_none()) => images.clone(),
            other => self.originals(other)?,
        };
        let own: HashSet<PathBuf> =
            (0..originals.len()).filter_map(|i| originals.file(i)).map(resolved).collect();
        let is_known = |i: &usize| more.file(*i).is_some_and(|path| own.contains(&resolved(path)));
        let (known, new): (Vec<usize>, Vec<usize>) = (0..more.len()).partition(is_known);
        if new.is_empty() {
            let reason = match known.len() {
                0 => "there is no image to add".to_owned(),
                n => format!("all {n} images are part of the model already"),
            };
            return Err(Error::data("good images", reason));
        }
        let new = more.some(&new);
        self.remark_on(&new, options);
        // What was chosen since the fit stays chosen; how a map becomes a score follows from the images.
        asked.data.max_pixels = self.config().data.max_pixels;
        let score = ScoreConfig { reduce: asked.score.reduce, ..self.config().score.clone() };
        let mut prepared = prepare(&originals.and(&new), &Config { score, ..asked }, options)?;
        let (before, after) = (self.config(), &prepared.config);
        let names = |config: &Config| crate::parts::used(config).map(|kind| kind.title).collect::<Vec<_>>();
        let is_other = before.view().product.is_some() != after.view().product.is_some()
            || names(before) != names(after);
        if is_other {
            let text = format!(
                "with the new images the model inspects its product by other parts or another view ({}, before: {}): are they of the same product?",
                names(after).join(", "),
                names(before).join(", ")
            );
            (options.listener)(FitEvent::Warning { text });
        }
        if let Some(ignored) = self.ignored() {
            if before.view() != after.view() {
                let reason = "with the new images the model inspects another part of them, which the mask of what is ignored does not \
                              fit any more; use 'train' with the mask";
                return Err(Error::config("ignore", reason));
            }
            prepared.views.ignore(ignored.to_vec())?;
        }
        let images = prepared.views.len();
        let names_of_new: HashSet<String> = (0..new.len()).map(|i| new.name(i)).collect();
        let added = prepared.views.names().iter().filter(|name| names_of_new.contains(*name)).count();
        if added == 0 {
            let reason =
                prepared.problems.first().map_or("none can be used".to_owned(), |p| p.reason.clone());
            return Err(Error::data("good images", format!("no new image can be used: {reason}")));
        }
        let detector = prepared.fit(None, options)?;
        let own = detector.provenance().clone();
        let provenance = Provenance {
            data: origin.data.clone(),
            category: origin.category.clone(),
            split: origin.split.clone(),
            fitted: origin.fitted.clone(),
            ..own
        };
        let detector = detector.with_origin(provenance, Vec::new());
        Ok(Extended { detector, images, added, known: known.len(), problems: prepared.problems })
    }

    /// The files that it was fitted on, unchanged, in their order: where they were, or wherever they lie among `others`.
    fn originals(&self, others: Option<&Images>) -> Result<Images> {
        let Provenance { files, images, .. } = self.provenance();
        if files.len() < *images || files.is_empty() {
            let reason = "was fitted on images in memory: they must be given once more";
            return Err(Error::model(Path::new("the model"), reason));
        }
        let mut elsewhere: HashMap<String, PathBuf> = HashMap::new();
        if let Some(others) = others {
            for i in 0..others.len() {
                if let (Some(path), Some(own)) = (others.file(i), others.fingerprint(i)?) {
                    elsewhere.entry(format!("{own:016x}")).or_insert_with(|| path.to_path_buf());
                }
            }
        }
        let find = |GoodFile { path, fingerprint }: &GoodFile| -> Result<PathBuf> {
            if let Some(found) = elsewhere.get(fingerprint) {
                return Ok(found.clone());
            }
            let path = PathBuf::from(path);
            let what = match Images::from(vec![path.clone()]).fingerprint(0) {
                Ok(Some(own)) if format!("{own:016x}") == *fingerprint => return Ok(path),
                Ok(_) => "has changed since",
                Err(_) => "is not there any more",
            };
            let reason = format!(
                "is one of the {images} images that the model was fitted on, and {what}; name the folder that holds them now (--originals), or train anew"
            );
            Err(Error::data(&path, reason))
        };
        Ok(Images::from(files.iter().map(find).collect::<Result<Vec<_>>>()?))
    }

    /// Says which new images are unlike those that the model was fitted on.
    fn remark_on(&self, new: &Images, options: &FitOptions<'_>) {
        let Some(facts) = &self.provenance().facts else { return };
        let decoding = self.config().data.decoding();
        let mut differences = Differences::default();
        for i in 0..new.len() {
            // One that cannot be read is told where it is fitted on.
            if let Ok((_, own)) = new.read_with_facts(i, &decoding) {
                differences.add(&new.name(i), &own, Some(facts));
            }
        }
        if let Some(text) = differences.in_words("new image") {
            (options.listener)(FitEvent::Warning { text });
        }
    }
}

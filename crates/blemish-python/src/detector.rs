//! The detector, as Python sees it.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use blemish::config::ThresholdRule;
use blemish::dataset::{DataSet, Sample, open, open_folders};
use blemish::evaluate::{EvaluateOptions, evaluate};
use blemish::evaluation::Rate;
use blemish::image::ImageFacts;
use blemish::metrics::{Confusion, auroc, f1_at, f1_max};
use blemish::pools::{Pools, shared};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use rayon::prelude::*;
use serde_json::json;

use crate::array::{Pixels, Source, good_images, order_of, sources};
use crate::errors::{named, raise};
use crate::fit::fit;
use crate::prediction::Prediction;
use crate::settings;

/// Images of a batch between two looks for Ctrl-C.
const CHUNK: usize = 16;

/// Finds what is wrong with a product in an image. Made by `Detector.fit` or `Detector.load`; may be used by many threads at once.
#[pyclass(frozen, module = "blemish")]
pub struct Detector {
    inner: RwLock<blemish::Detector>,
    pools: Pools,
}

impl Detector {
    fn new(detector: blemish::Detector) -> Self {
        Self { inner: RwLock::new(detector), pools: Pools::default() }
    }

    /// Not to be called while Python's lock is held: who writes may wait for it.
    fn read(&self) -> RwLockReadGuard<'_, blemish::Detector> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<R: Send>(&self, py: Python<'_>, work: impl FnOnce(&blemish::Detector) -> R + Send) -> R {
        py.detach(|| work(&self.read()))
    }

    fn change<R: Send>(&self, py: Python<'_>, work: impl FnOnce(&mut blemish::Detector) -> R + Send) -> R {
        py.detach(|| work(&mut self.inner.write().unwrap_or_else(PoisonError::into_inner)))
    }

    fn predict_all(&self, py: Python<'_>, all: &[Source<'_>]) -> PyResult<Vec<Prediction>> {
        let mut predictions = Vec::with_capacity(all.len());
        for some in all.chunks(CHUNK) {
            let pixels: Vec<Pixels<'_>> = some.iter().map(Source::pixels).collect();
            let found: Vec<blemish::Result<_>> = self.with(py, |detector| {
                self.pools.run(|| match &pixels[..] {
                    [one] => vec![predict(detector, one)],
                    many => many.par_iter().map(|one| predict(detector, one)).collect(),
                })
            });
            for (source, found) in some.iter().zip(found) {
                let path = match source {
                    Source::File(path) => Some(path.display().to_string()),
                    Source::Array(_) => None,
                };
                predictions.push(Prediction::new(py, found.map_err(|error| raise(py, error))?, path)?);
            }
            py.check_signals()?;
        }
        Ok(predictions)
    }
}

fn predict(detector: &blemish::Detector, pixels: &Pixels<'_>) -> blemish::Result<blemish::Prediction> {
    match pixels {
        Pixels::File(path) => detector.predict_file(path),
        Pixels::View(view) => detector.predict(*view),
        Pixels::Image(image) => {
            let deep = image.is_deep();
            let image = match detector.config().data.range {
                Some(range) if deep => (*image).clone().in_range(range),
                _ => (*image).clone(),
            };
            let facts = ImageFacts::new(&image, if deep { 16 } else { 8 });
            detector.predict_framed(&detector.frame_with(&image, facts)?)
        }
    }
}

#[pymethods]
impl Detector {
    /// Fits a detector on good images.
    ///
    /// images: a folder, a data set, a list of paths, a list of arrays of shape [H, W] or [H, W, C], or an array of shape
    ///     [N, H, W, C]; C is 1 or 3, dtype uint8, uint16, or float32 or float64 from 0 to 1.
    /// order: "rgb" or "bgr", of arrays of 3 channels.
    /// progress: called as progress(stage, done, total); what it raises ends the fit, as Ctrl-C does.
    /// settings: such as seed=1, data__image_size=[128, 128] or score={"fpr": 0.01}.
    #[staticmethod]
    #[pyo3(signature = (images, *, order = "rgb", progress = None, **settings))]
    fn fit(
        images: &Bound<'_, PyAny>,
        order: &str,
        progress: Option<&Bound<'_, PyAny>>,
        settings: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let py = images.py();
        let config = settings::config(py, settings)?;
        let images = good_images(images, order_of(py, order)?)?;
        fit(py, &images, &config, progress).map(Self::new)
    }

    /// Loads a model file.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        py.detach(|| shared(|| blemish::Detector::load(path)))
            .map(Self::new)
            .map_err(|error| raise(py, error))
    }

    /// Loads the bytes of a model file.
    #[staticmethod]
    fn from_bytes(model: &Bound<'_, PyBytes>) -> PyResult<Self> {
        let (py, bytes) = (model.py(), model.as_bytes());
        py.detach(|| shared(|| blemish::Detector::from_bytes(bytes)))
            .map(Self::new)
            .map_err(|error| raise(py, error))
    }

    /// Writes the model file, whole or not at all.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        self.with(py, |detector| shared(|| detector.save(path))).map_err(|error| raise(py, error))
    }

    /// Scores one image or several, and locates defects.
    ///
    /// image: a path, an array of shape [H, W] or [H, W, C] with C 1 or 3, or several of them: a list, or an array of shape
    ///     [N, H, W, C]. dtype uint8, uint16, or float32 or float64 from 0 to 1. Contiguous uint8 and uint16 arrays are not
    ///     copied, and must not be written to meanwhile.
    /// order: "rgb" or "bgr", of arrays of 3 channels.
    ///
    /// A Prediction, or for several images a list of them.
    #[pyo3(signature = (image, *, order = "rgb"))]
    fn predict<'py>(&self, image: &Bound<'py, PyAny>, order: &str) -> PyResult<Bound<'py, PyAny>> {
        let py = image.py();
        let (sources, many) = sources(image, order_of(py, order)?)?;
        let mut predictions = self.predict_all(py, &sources)?;
        if many {
            return predictions.into_pyobject(py);
        }
        match predictions.pop() {
            Some(prediction) => Ok(Bound::new(py, prediction)?.into_any()),
            None => Err(named(py, "ImageError", "there is no image")),
        }
    }

    /// Measures the detector on labelled images.
    ///
    /// dataset: a data set in the layout of MVTec AD, BTAD or VisA, whose test images are scored; or a list of images (arrays or
    ///     paths) with `labels`, true where defective.
    /// category: the category of a data set that has several.
    /// good, defective, masks: instead of `dataset`, folders of test images; the mask of defective/scratch/7.png is
    ///     masks/scratch/7.png or 7_mask.png.
    ///
    /// A dict: image_auroc, f1, f1_max, false_alarms and detections; with masks also pixel_auroc and aupro. What is not
    /// defined on the images is None.
    #[pyo3(signature = (dataset = None, *, labels = None, category = None, good = None, defective = None, masks = None, order = "rgb"))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn evaluate<'py>(
        &self,
        py: Python<'py>,
        dataset: Option<&Bound<'py, PyAny>>,
        labels: Option<Vec<Bound<'py, PyAny>>>,
        category: Option<&str>,
        good: Option<PathBuf>,
        defective: Option<PathBuf>,
        masks: Option<PathBuf>,
        order: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        let text = match (dataset, labels, good, defective) {
            (Some(images), Some(labels), None, None) => {
                let labels = labels.iter().map(|label| label.is_truthy()).collect::<PyResult<Vec<bool>>>()?;
                let (sources, _) = sources(images, order_of(py, order)?)?;
                if labels.len() != sources.len() {
                    let reason = format!("{} labels for {} images", labels.len(), sources.len());
                    return Err(named(py, "DataError", reason));
                }
                let scores: Vec<f32> = self.predict_all(py, &sources)?.iter().map(|p| p.score).collect();
                self.with(py, |detector| measured(&scores, &labels, detector.threshold()?.value))
            }
            (Some(path), None, None, None) => {
                let path: PathBuf = path.extract()?;
                self.with(py, |detector| {
                    let set = open(&path, category)?;
                    shared(|| evaluated(detector, &set, &set.test))
                })
            }
            (None, None, Some(good), Some(defective)) => {
                self.with(py, |detector| shared(|| folders(detector, &good, &defective, masks.as_deref())))
            }
            _ => {
                return Err(named(
                    py,
                    "DataError",
                    "evaluate takes a data set, or images and labels, or good= and defective=",
                ));
            }
        };
        py.import("json")?.call_method1("loads", (text.map_err(|error| raise(py, error))?,))
    }

    /// The score from which on an image is defective.
    #[getter]
    fn threshold(&self, py: Python<'_>) -> PyResult<f64> {
        self.with(py, |detector| detector.threshold()).map(|t| t.value).map_err(|error| raise(py, error))
    }

    /// From now on an image is defective when its score is at least this.
    fn set_threshold(&self, py: Python<'_>, threshold: f32) -> PyResult<()> {
        if !threshold.is_finite() {
            return Err(named(py, "ConfigError", format!("threshold: {threshold} is not finite")));
        }
        self.change(py, |detector| detector.set_threshold(threshold));
        Ok(())
    }

    /// From now on the threshold is that which the share `fpr` of good images is expected to exceed, 0.000001 or more and below 1.
    fn set_fpr(&self, py: Python<'_>, fpr: f64) -> PyResult<()> {
        let chosen = self.change(py, |detector| detector.choose_threshold(ThresholdRule::Fpr, Some(fpr)));
        chosen.map_err(|error| raise(py, error))
    }

    /// Threads of each call of `predict`; 0, the default: all calls share one thread for each core. 1 is best where as many
    /// Python threads predict at once as there are cores. Scores do not depend on it.
    #[getter]
    fn threads(&self) -> usize {
        self.pools.threads()
    }

    #[setter]
    fn set_threads(&self, py: Python<'_>, threads: usize) -> PyResult<()> {
        if threads > 1024 {
            return Err(named(py, "ConfigError", format!("threads: {threads} is more than 1024")));
        }
        self.pools.set_threads(threads);
        Ok(())
    }

    /// Height and width of maps, pixels; where a surface's images have many sizes each map has its own.
    #[getter]
    fn image_size(&self, py: Python<'_>) -> (usize, usize) {
        self.with(py, |detector| detector.config().data.image_size).into()
    }

    /// 1 (grey) or 3 (RGB): what images are brought to.
    #[getter]
    fn channels(&self, py: Python<'_>) -> usize {
        self.with(py, |detector| detector.channels())
    }

    /// The settled configuration, as a dict.
    #[getter]
    fn config<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let text = self.with(py, |detector| json!(detector.config()).to_string());
        py.import("json")?.call_method1("loads", (text,))
    }

    /// The good images that are least like the rest, the least first: dicts with path, score and left_out.
    #[getter]
    fn suspected_outliers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let text = self.with(py, |detector| json!(detector.provenance().suspected_outliers).to_string());
        py.import("json")?.call_method1("loads", (text,))
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let of = |detector: &blemish::Detector| {
            let [h, w] = detector.config().data.image_size;
            let threshold = detector.threshold().map_or(f64::NAN, |threshold| threshold.value);
            format!("Detector({}, {h} x {w} pixels, threshold={threshold:.3})", detector.active_parts())
        };
        self.with(py, of)
    }
}

fn evaluated(detector: &blemish::Detector, set: &DataSet, samples: &[Sample]) -> blemish::Result<String> {
    Ok(json!(evaluate(detector, set, samples, &EvaluateOptions::default())?.evaluation).to_string())
}

fn folders(
    detector: &blemish::Detector,
    good: &Path,
    defective: &Path,
    masks: Option<&Path>,
) -> blemish::Result<String> {
    let set = open_folders(&[good.to_path_buf()], &[defective.to_path_buf()], masks)?;
    let samples: Vec<Sample> = set.train.iter().chain(&set.test).cloned().collect();
    evaluated(detector, &set, &samples)
}

/// The metrics of scores alone, with the names that an evaluation has.
fn measured(scores: &[f32], defective: &[bool], threshold: f64) -> blemish::Result<String> {
    let Confusion { tp, fp, tn, fn_ } = Confusion::at(scores, defective, threshold)?;
    let both = defective.contains(&true) && defective.contains(&false);
    let known = |value: blemish::Result<f64>| if both { value.map(Some) } else { Ok(None) };
    let values = json!({
        "image_auroc": known(auroc(scores, defective))?,
        "f1": known(f1_at(scores, defective, threshold))?,
        "f1_max": known(f1_max(scores, defective).map(|best| best.f1))?,
        "false_alarms": Rate::new(fp, fp + tn),
        "detections": Rate::new(tp, tp + fn_),
        "threshold": threshold,
    });
    Ok(values.to_string())
}

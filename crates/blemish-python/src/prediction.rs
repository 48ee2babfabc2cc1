//! What a detector says of one image.

use blemish::metrics::outlined;
use blemish::prediction::{Reason, Verdict};
use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A connected part of the image that is anomalous: its box, in pixels of the image.
#[pyclass(frozen, eq, get_all, module = "blemish")]
#[derive(Clone, PartialEq)]
pub struct Region {
    /// Leftmost column.
    x: usize,
    /// Topmost row.
    y: usize,
    /// Columns, at least 1.
    width: usize,
    /// Rows, at least 1.
    height: usize,
    /// Pixels of the region itself.
    area: usize,
    /// The largest value of the map in it.
    peak: f32,
}

#[pymethods]
impl Region {
    fn __repr__(&self) -> String {
        let Self { x, y, width, height, area, peak } = self;
        format!("Region(x={x}, y={y}, width={width}, height={height}, area={area}, peak={peak:.3})")
    }
}

/// What a detector says of one image.
#[pyclass(frozen, module = "blemish")]
pub struct Prediction {
    /// Higher = more defective.
    #[pyo3(get)]
    pub score: f32,
    /// The threshold that the score was compared with.
    #[pyo3(get)]
    threshold: f32,
    verdict: Verdict,
    reason: Reason,
    /// Share of the image that was inspected, 0 to 1.
    #[pyo3(get)]
    inspected: f32,
    /// The lower threshold, from which on a person decides; None where there is none.
    #[pyo3(get)]
    review_threshold: Option<f32>,
    regions: Vec<Region>,
    /// The anomaly map of the whole image, float32, shape [H, W] of the detector's `image_size`, or of the image
    /// itself, scaled, where a surface's images have many sizes.
    #[pyo3(get)]
    map: Py<PyArray2<f32>>,
    /// From which value of the map on a pixel belongs to a region; infinite on a good image.
    #[pyo3(get)]
    outlined_from: f32,
    /// The image's file; `None` for an array.
    #[pyo3(get)]
    image_path: Option<String>,
}

impl Prediction {
    /// Of the library's prediction, whose map is not copied.
    pub fn new(
        py: Python<'_>,
        prediction: blemish::Prediction,
        image_path: Option<String>,
    ) -> PyResult<Self> {
        let blemish::Prediction {
            score,
            threshold,
            verdict,
            reason,
            regions,
            map,
            map_size,
            outlined_from,
            ..
        } = prediction;
        let blemish::Prediction { review_threshold, inspected, .. } = prediction;
        let regions = regions.into_iter().map(|r| Region {
            x: r.x,
            y: r.y,
            width: r.width,
            height: r.height,
            area: r.area,
            peak: r.peak,
        });
        let map = PyArray1::from_vec(py, map).reshape(map_size)?.unbind();
        let regions = regions.collect();
        Ok(Self {
            score,
            threshold,
            verdict,
            reason,
            inspected,
            review_threshold,
            regions,
            map,
            outlined_from,
            image_path,
        })
    }
}

#[pymethods]
impl Prediction {
    /// `"good"`, `"review"` or `"defective"`.
    #[getter]
    fn verdict(&self) -> &'static str {
        self.verdict.name()
    }

    /// Why: `"normal"`, `"anomaly"`, `"blank"` or `"no_product"`.
    #[getter]
    fn reason(&self) -> &'static str {
        self.reason.name()
    }

    /// Whether the image is defective, and not only to be reviewed.
    #[getter]
    fn is_defective(&self) -> bool {
        self.verdict == Verdict::Defective
    }

    /// Connected parts of the map, the most anomalous first; none on a good image.
    #[getter]
    fn regions(&self) -> Vec<Region> {
        self.regions.clone()
    }

    /// `score`, as anomalib calls it.
    #[getter]
    fn pred_score(&self) -> f32 {
        self.score
    }

    /// `is_defective`, as anomalib calls it.
    #[getter]
    fn pred_label(&self) -> bool {
        self.is_defective()
    }

    /// `map`, as anomalib calls it: float32, shape [H, W].
    #[getter]
    fn anomaly_map(&self, py: Python<'_>) -> Py<PyArray2<f32>> {
        self.map.clone_ref(py)
    }

    /// Which pixels of the map belong to a region: bool, shape [H, W]; none on a good image.
    #[getter]
    fn pred_mask<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<bool>>> {
        let map = self.map.bind(py).try_readonly()?;
        let (values, shape) = (map.as_array(), map.as_array().raw_dim());
        let values: Vec<f32> = values.iter().copied().collect();
        let shown = outlined(&values, shape[1], self.outlined_from);
        let shown = Array2::from_shape_vec(shape, shown).map_err(|e| PyValueError::new_err(e.to_string()))?;
        Ok(shown.into_pyarray(py))
    }

    fn __repr__(&self) -> String {
        let Self { score, threshold, regions, .. } = self;
        format!(
            "Prediction({}, score={score:.3}, threshold={threshold:.3}, regions={})",
            self.verdict(),
            regions.len()
        )
    }
}

//! The metrics against scikit-learn and adeval; `reference/metrics_oracle.py` writes the fixture.

use blemish::image::PixelMask;
use blemish::metrics::{
    Confusion, aupro, auroc, connected_components, f1_all_positive, f1_at, f1_max, pixel_auroc, pro_curve,
    roc_curve,
};
use serde::Deserialize;

/// Against scikit-learn, which computes in `f64` as we do.
const TOLERANCE: f64 = 1e-9;

#[derive(Deserialize)]
struct Fixture {
    height: usize,
    width: usize,
    masks: Vec<Vec<u8>>,
    /// 8-connected regions of each mask, by SciPy.
    regions: Vec<usize>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    /// Scores times 8.
    levels: Vec<Vec<i16>>,
    image: ImageMetrics,
    pixel_auroc: f64,
    aupro: Vec<Aupro>,
}

/// Image score = maximum of the map; defective = the mask is not empty.
#[derive(Deserialize)]
struct ImageMetrics {
    auroc: f64,
    roc_curve: Vec<(f64, f64)>,
    f1_max: f64,
    f1_at: Vec<(f64, f64)>,
    f1_all_positive: f64,
    precision_at: Vec<f64>,
    recall_at: Vec<f64>,
}

#[derive(Deserialize)]
struct Aupro {
    fpr_limit: f64,
    exact: f64,
    adeval: Option<Sampled>,
}

#[derive(Deserialize)]
struct Sampled {
    value: f64,
    tolerance: f64,
}

fn fixture() -> (Fixture, Vec<PixelMask>) {
    let fixture: Fixture = serde_json::from_str(include_str!("../fixtures/metrics.json")).unwrap();
    let (height, width) = (fixture.height, fixture.width);
    let masks =
        fixture.masks.iter().map(|pixels| PixelMask { height, width, pixels: pixels.clone() }).collect();
    (fixture, masks)
}

impl Case {
    fn maps(&self) -> Vec<Vec<f32>> {
        self.levels.iter().map(|map| map.iter().map(|&level| f32::from(level) / 8.0).collect()).collect()
    }
}

#[track_caller]
fn close(ours: f64, oracle: f64, tolerance: f64, what: &str) {
    assert!((ours - oracle).abs() <= tolerance, "{what}: {ours}, the oracle says {oracle} +- {tolerance}");
}

#[test]
fn regions_are_those_of_scipy() {
    let (fixture, masks) = fixture();
    let counts: Vec<_> = masks.iter().map(|mask| connected_components(mask).unwrap().count).collect();
    assert_eq!(counts, fixture.regions);
}

#[test]
fn image_metrics_are_those_of_scikit_learn() {
    let (fixture, masks) = fixture();
    let positive: Vec<bool> = masks.iter().map(|mask| mask.count() > 0).collect();
    for case in &fixture.cases {
        let (name, image) = (case.name.as_str(), &case.image);
        let scores: Vec<f32> =
            case.maps().iter().map(|map| map.iter().copied().fold(f32::MIN, f32::max)).collect();

        close(auroc(&scores, &positive).unwrap(), image.auroc, TOLERANCE, name);
        close(f1_max(&scores, &positive).unwrap().f1, image.f1_max, TOLERANCE, name);
        close(f1_all_positive(&positive).unwrap(), image.f1_all_positive, TOLERANCE, name);

        let curve = roc_curve(&scores, &positive).unwrap();
        assert_eq!(curve.len(), image.roc_curve.len(), "{name}");
        for (point, &(fpr, tpr)) in curve.iter().zip(&image.roc_curve) {
            close(point.fpr, fpr, TOLERANCE, name);
            close(point.tpr, tpr, TOLERANCE, name);
        }
        for ((&(threshold, f1), &precision), &recall) in
            image.f1_at.iter().zip(&image.precision_at).zip(&image.recall_at)
        {
            close(f1_at(&scores, &positive, threshold).unwrap(), f1, TOLERANCE, name);
            let counts = Confusion::at(&scores, &positive, threshold).unwrap();
            close(counts.precision().unwrap(), precision, TOLERANCE, name);
            close(counts.recall().unwrap(), recall, TOLERANCE, name);
        }
    }
}

#[test]
fn pixel_metrics_are_those_of_scikit_learn_and_adeval() {
    let (fixture, masks) = fixture();
    let masks: Vec<&PixelMask> = masks.iter().collect();
    for case in &fixture.cases {
        let (name, maps) = (case.name.as_str(), case.maps());
        let maps: Vec<&[f32]> = maps.iter().map(Vec::as_slice).collect();
        close(pixel_auroc(&maps, &masks).unwrap(), case.pixel_auroc, TOLERANCE, name);
        for &Aupro { fpr_limit, exact, ref adeval } in &case.aupro {
            let area = aupro(&maps, &masks, fpr_limit).unwrap();
            close(area, exact, TOLERANCE, name);
            // adeval samples the curve at the good pixels; the script derives how far that may be off.
            if let Some(Sampled { value, tolerance }) = *adeval {
                close(area, value, tolerance, name);
            }
            let curve = pro_curve(&maps, &masks, fpr_limit).unwrap();
            let thinned: f64 = curve.windows(2).map(|w| (w[1].0 - w[0].0) * (w[1].1 + w[0].1) / 2.0).sum();
            close(thinned / fpr_limit, exact, 1.0 / 499.0, name);
        }
    }
}

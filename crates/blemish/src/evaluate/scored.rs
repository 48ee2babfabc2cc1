//! Scores and maps of a set of images, the maps outside memory, and the metrics of all or some of them.

use crate::calibrate::Threshold;
use crate::dataset::{INVERTED, Sample, are_inverted};
use crate::error::Result;
use crate::evaluation::{ImageRow, KindRow, Metrics, Rate, ThresholdRow};
use crate::image::PixelMask;
use crate::metrics::{
    Confusion, MapSource, PixelMetrics, auroc, f1_all_positive, f1_at, f1_max, pixel_metrics,
};
use crate::number::counted;
use crate::spill::Spill;

use super::FPR_LIMIT;

/// Maps and scores of images, in one order.
pub(super) struct Scored {
    /// Of each map.
    sizes: Vec<[usize; 2]>,
    maps: Spill,
    pub(super) scores: Vec<f32>,
    pub(super) defective: Vec<bool>,
    masks: Vec<Mask>,
}

/// An image's ground truth, small.
enum Mask {
    /// Not known.
    Missing,
    /// Lengths of what is good and what is defective, in turn, row by row.
    Runs(Vec<u32>),
}

impl Mask {
    fn of(mask: Option<&PixelMask>) -> Self {
        let Some(mask) = mask else { return Self::Missing };
        let (mut runs, mut last) = (vec![0], 0);
        for &pixel in &mask.pixels {
            let pixel = u8::from(pixel != 0);
            if pixel != last {
                runs.push(0);
                last = pixel;
            }
            if let Some(run) = runs.last_mut() {
                *run += 1;
            }
        }
        Self::Runs(runs)
    }

    fn open(&self, [height, width]: [usize; 2]) -> Option<PixelMask> {
        let Self::Runs(runs) = self else { return None };
        let pixels =
            runs.iter().enumerate().flat_map(|(i, &run)| vec![(i % 2) as u8; run as usize]).collect();
        Some(PixelMask { height, width, pixels })
    }

    /// The share of the image that is defective.
    fn share(&self) -> Option<f64> {
        let Self::Runs(runs) = self else { return None };
        let sum = |runs: &mut dyn Iterator<Item = &u32>| runs.map(|&run| f64::from(run)).sum::<f64>();
        Some(sum(&mut runs.iter().skip(1).step_by(2)) / sum(&mut runs.iter()))
    }

    fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }

    fn has_defect(&self) -> bool {
        matches!(self, Self::Runs(runs) if runs.len() > 1)
    }
}

/// The maps of some images.
struct Chosen<'a> {
    scored: &'a Scored,
    which: Vec<usize>,
}

impl MapSource for Chosen<'_> {
    fn count(&self) -> usize {
        self.which.len()
    }

    fn map(&self, i: usize) -> Result<(Vec<f32>, PixelMask)> {
        let i = self.which[i];
        let [height, width] = self.scored.sizes[i];
        let mask = self.scored.mask(i).unwrap_or_else(|| PixelMask::empty(height, width));
        Ok((self.scored.map(i)?, mask))
    }
}

impl Scored {
    /// None yet.
    pub(super) fn new() -> Result<Self> {
        let (sizes, maps) = (Vec::new(), Spill::new()?);
        Ok(Self { sizes, maps, scores: Vec::new(), defective: Vec::new(), masks: Vec::new() })
    }

    /// Adds an image, whose map and mask have this height and width.
    pub(super) fn push(
        &mut self,
        map: &[f32],
        size: [usize; 2],
        score: f32,
        defective: bool,
        mask: Option<&PixelMask>,
    ) -> Result<()> {
        self.maps.push(map)?;
        self.sizes.push(size);
        self.scores.push(score);
        self.defective.push(defective);
        self.masks.push(Mask::of(mask));
        Ok(())
    }

    /// The map of image `i`.
    pub(super) fn map(&self, i: usize) -> Result<Vec<f32>> {
        self.maps.get(i)
    }

    /// The ground truth of image `i`, where it is known.
    pub(super) fn mask(&self, i: usize) -> Option<PixelMask> {
        self.masks[i].open(self.sizes[i])
    }

    fn all(&self) -> Vec<usize> {
        (0..self.scores.len()).collect()
    }

    /// Why a metric will be missing.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.defective.contains(&true) {
            notes.push("no defective image: nothing that needs one is defined".to_owned());
        }
        if !self.defective.contains(&false) {
            notes.push("no good image: nothing that needs one is defined".to_owned());
        }
        let defective = counted(self.defective.iter().filter(|d| **d).count(), "defective image");
        let without = self.masks.iter().filter(|mask| mask.is_missing()).count();
        if without > 0 {
            notes.push(format!("without a mask, and left out of pixel metrics: {without} of {defective}"));
        }
        let pairs = self.masks.iter().zip(&self.defective);
        let empty = pairs.filter(|(mask, d)| **d && !mask.is_missing() && !mask.has_defect()).count();
        if empty > 0 {
            notes.push(format!("with a mask that is empty at this resolution: {empty} of {defective}"));
        }
        let marked = self.masks.iter().zip(&self.defective).filter(|(_, d)| **d);
        if are_inverted(marked.filter_map(|(mask, _)| mask.share())) {
            notes.push(INVERTED.to_owned());
        }
        notes
    }

    /// The metrics of all images, and the PRO curve where there is one.
    pub(super) fn metrics(&self, threshold: f64) -> Result<(Metrics, Vec<(f64, f64)>)> {
        let (mut metrics, pixels) = self.metrics_of(self.all(), threshold, true)?;
        let Some(PixelMetrics { pixel_auroc, aupro, pro_curve }) = pixels else {
            return Ok((metrics, Vec::new()));
        };
        (metrics.pixel_auroc, metrics.aupro) = (pixel_auroc, Some(aupro));
        Ok((metrics, pro_curve))
    }

    fn metrics_of(
        &self,
        which: Vec<usize>,
        threshold: f64,
        with_auroc: bool,
    ) -> Result<(Metrics, Option<PixelMetrics>)> {
        let scores: Vec<f32> = which.iter().map(|&i| self.scores[i]).collect();
        let defective: Vec<bool> = which.iter().map(|&i| self.defective[i]).collect();
        let confusion = Confusion::at(&scores, &defective, threshold)?;
        let mut metrics = Metrics {
            false_alarms: Rate::new(confusion.fp, confusion.fp + confusion.tn),
            detections: Rate::new(confusion.tp, confusion.tp + confusion.fn_),
            ..Metrics::default()
        };
        if defective.contains(&true) && defective.contains(&false) {
            metrics.image_auroc = Some(auroc(&scores, &defective)?);
            metrics.f1 = Some(f1_at(&scores, &defective, threshold)?);
            metrics.f1_max = Some(f1_max(&scores, &defective)?.f1);
            metrics.f1_all_positive = Some(f1_all_positive(&defective)?);
        }
        let which: Vec<usize> = which.into_iter().filter(|&i| !self.masks[i].is_missing()).collect();
        if !which.iter().any(|&i| self.masks[i].has_defect()) {
            return Ok((metrics, None));
        }
        let pixels = pixel_metrics(&Chosen { scored: self, which }, FPR_LIMIT, with_auroc)?;
        Ok((metrics, Some(pixels)))
    }

    pub(super) fn threshold_row(&self, threshold: &Threshold, used: bool) -> ThresholdRow {
        let at = |defective: bool| {
            let of_kind = || self.scores.iter().zip(&self.defective).filter(move |(_, d)| **d == defective);
            let flagged = of_kind().filter(|(s, _)| f64::from(**s) >= threshold.value).count();
            Rate::new(flagged, of_kind().count())
        };
        ThresholdRow {
            name: threshold.rule.name().to_owned(),
            value: threshold.value,
            rule: threshold.how.clone(),
            used,
            target_fpr: threshold.target_fpr,
            interval: threshold.interval,
            false_alarms: at(false),
            detections: at(true),
        }
    }

    /// One row per kind of defect, against all good images.
    pub(super) fn per_kind(&self, rows: &[ImageRow], threshold: f64) -> Result<Vec<KindRow>> {
        let mut kinds: Vec<&str> =
            rows.iter().filter(|row| row.defective).map(|row| row.kind.as_str()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let row = |kind: &str| {
            let chosen = (0..rows.len()).filter(|&i| !self.defective[i] || rows[i].kind == kind).collect();
            let (metrics, pixels) = self.metrics_of(chosen, threshold, false)?;
            Ok(KindRow {
                kind: kind.to_owned(),
                image_auroc: metrics.image_auroc,
                detections: metrics.detections,
                aupro: pixels.map(|pixels| pixels.aupro),
            })
        };
        kinds.into_iter().map(row).collect()
    }
}

/// The kind of a sample, for a row.
pub(super) fn row_of(sample: &Sample, defective: bool, score: f32, decided: super::Decided) -> ImageRow {
    ImageRow {
        path: sample.path.display().to_string(),
        kind: sample.kind.clone(),
        defective,
        score,
        predicted: decided.verdict,
        reason: decided.reason,
        inspected: decided.inspected,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn masks_come_back() {
        for pixels in
            [vec![0, 0, 0, 0, 0, 0], vec![1, 1, 1, 1, 1, 1], vec![0, 1, 1, 0, 0, 1], vec![1, 0, 0, 0, 0, 0]]
        {
            let mask = PixelMask { height: 2, width: 3, pixels };
            let packed = Mask::of(Some(&mask));
            assert_eq!((packed.open([2, 3]), packed.has_defect()), (Some(mask.clone()), mask.count() > 0));
        }
        assert!(Mask::of(None).open([2, 3]).is_none() && Mask::of(None).is_missing());
    }

    #[test]
    fn metrics_by_hand_with_a_missing_mask() {
        let mut scored = Scored::new().unwrap();
        let mask = PixelMask { height: 1, width: 2, pixels: vec![1, 0] };
        scored.push(&[0.9, 0.1], [1, 2], 0.9, true, Some(&mask)).unwrap();
        scored.push(&[0.2, 0.3], [1, 2], 0.3, false, Some(&PixelMask::empty(1, 2))).unwrap();
        scored.push(&[0.2, 0.8], [1, 2], 0.8, true, None).unwrap();
        let (metrics, curve) = scored.metrics(0.5).unwrap();
        assert_eq!(
            (metrics.image_auroc, metrics.pixel_auroc, metrics.aupro),
            (Some(1.0), Some(1.0), Some(1.0))
        );
        assert_eq!((metrics.detections.count, metrics.false_alarms.count), (2, 0));
        assert_eq!(curve[..2], [(0.0, 0.0), (0.0, 1.0)]);
        assert!(scored.notes()[0].starts_with("without a mask, and left out of pixel metrics: 1 of 2"));
    }
}

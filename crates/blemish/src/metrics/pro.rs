//! Per-region overlap (PRO): how much of each defect is found, every defect weighing the same.
//!
//! Bergmann et al., "The MVTec Anomaly Detection Dataset", IJCV 2021: regions are the 8-connected
//! components of the masks; PRO at a threshold is the mean over all regions of the share of their pixels at
//! or above it; the false positive rate counts all defect-free pixels of all images, good images included.
//! Exact: every distinct score is a threshold, where implementations with 200 sampled thresholds or a
//! rescaled FPR give other numbers.

use super::ranking::Ranking;
use crate::error::Result;
use crate::image::PixelMask;

/// A kept point of [`pro_curve`] lies at least this share of the range, across or up, from the one before.
const SPACING: f64 = 1.0 / 499.0;

/// Area under the PRO curve from FPR 0 to `fpr_limit`, by the trapezoid rule with linear interpolation at the
/// limit, divided by the limit: 0 to 1. The usual limit is 0.3.
///
/// Chance level is not 0.5 but `fpr_limit / 2`, as for any curve cut off so.
///
/// # Errors
/// [`Error::Metric`](crate::error::Error::Metric) if maps and masks differ in number or size, a score is not
/// finite, there is no good or no defective pixel, or the limit is not in (0, 1].
pub fn aupro(maps: &[&[f32]], masks: &[&PixelMask], fpr_limit: f64) -> Result<f64> {
    Ranking::of_regions(maps, masks, fpr_limit).map(|ranking| ranking.area())
}

/// The PRO curve as `(fpr, pro)` from (0, 0) to `fpr_limit`, both 0 to 1 and rising; for plots, so of the
/// exact points at most 1000 are kept.
///
/// # Errors
/// As [`aupro`].
pub fn pro_curve(maps: &[&[f32]], masks: &[&PixelMask], fpr_limit: f64) -> Result<Vec<(f64, f64)>> {
    let ranking = Ranking::of_regions(maps, masks, fpr_limit)?;
    let mut curve = Thinned::new(fpr_limit);
    ranking.curve().skip(1).for_each(|(fp, tp)| curve.push((fp / ranking.goods, tp / ranking.total)));
    Ok(curve.finish())
}

/// A curve from (0, 0) of which at most about 1000 points are kept.
pub(super) struct Thinned {
    fpr_limit: f64,
    kept: Vec<(f64, f64)>,
    end: (f64, f64),
}

impl Thinned {
    pub(super) fn new(fpr_limit: f64) -> Self {
        Self { fpr_limit, kept: vec![(0.0, 0.0)], end: (0.0, 0.0) }
    }

    /// Goes on to a point that lies no lower and no further left.
    pub(super) fn push(&mut self, point: (f64, f64)) {
        self.end = point;
        let far =
            |last: &(f64, f64)| point.0 - last.0 >= self.fpr_limit * SPACING || point.1 - last.1 >= SPACING;
        if self.kept.last().is_none_or(far) {
            self.kept.push(point);
        }
    }

    pub(super) fn finish(mut self) -> Vec<(f64, f64)> {
        if self.kept.last() != Some(&self.end) {
            self.kept.push(self.end);
        }
        self.kept
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use rand::{Rng, SeedableRng, seq::SliceRandom};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::metrics::{connected_components, pixel_auroc};

    fn mask(height: usize, width: usize, pixels: &[u8]) -> PixelMask {
        PixelMask { height, width, pixels: pixels.to_vec() }
    }

    #[track_caller]
    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    }

    /// The definition, threshold by threshold, in O(pixels^2), with its own way of cutting the curve at the
    /// limit.
    fn brute_force(maps: &[&[f32]], masks: &[&PixelMask], limit: f64) -> f64 {
        let (mut good, mut regions) = (Vec::new(), Vec::new());
        for (map, mask) in maps.iter().zip(masks) {
            let components = connected_components(mask).unwrap();
            let of = |label| {
                map.iter().zip(&components.labels).filter(move |(_, l)| **l == label).map(|(s, _)| *s)
            };
            good.extend(of(0));
            regions.extend((1..=components.count as u32).map(|label| of(label).collect::<Vec<f32>>()));
        }
        let share =
            |scores: &[f32], t: f32| scores.iter().filter(|&&s| s >= t).count() as f64 / scores.len() as f64;
        let mut thresholds = maps.concat();
        thresholds.sort_by(|a, b| b.total_cmp(a));
        let (mut area, mut x0, mut y0) = (0.0, 0.0, 0.0);
        for t in thresholds {
            let x = share(&good, t);
            let y = regions.iter().map(|r| share(r, t)).sum::<f64>() / regions.len() as f64;
            // The part of this trapezoid to the left of the limit.
            let part = ((limit.min(x) - x0) / (x - x0)).clamp(0.0, 1.0);
            if x > x0 && x0 < limit {
                area += part * (x - x0) * (y0 + part * (y - y0) / 2.0);
            }
            (x0, y0) = (x, y);
        }
        area / limit
    }

    /// Some small images of different sizes with tied scores, masks of several regions, and good images.
    fn draw(rng: &mut ChaCha8Rng) -> (Vec<Vec<f32>>, Vec<PixelMask>) {
        let (levels, density) = (rng.random_range(1..9), rng.random_range(0.05..0.6));
        let mut images: Vec<_> = (0..rng.random_range(1..5))
            .map(|_| {
                let (height, width) = (rng.random_range(1..7), rng.random_range(2..7));
                let defective = rng.random_bool(0.7);
                let pixels = (0..height * width).map(|_| u8::from(defective && rng.random_bool(density)));
                let mask = PixelMask { height, width, pixels: pixels.collect() };
                let map =
                    (0..height * width).map(|_| rng.random_range(-levels..=levels) as f32 / 3.0).collect();
                (map, mask)
            })
            .collect();
        (images[0].1.pixels[0], images[0].1.pixels[1]) = (1, 0);
        images.shuffle(rng);
        images.into_iter().unzip()
    }

    fn views<'a>(maps: &'a [Vec<f32>], masks: &'a [PixelMask]) -> (Vec<&'a [f32]>, Vec<&'a PixelMask>) {
        (maps.iter().map(Vec::as_slice).collect(), masks.iter().collect())
    }

    #[test]
    fn by_hand() {
        // Two regions: {0.9, 0.4}, which touch at a corner, and {0.6}; eight good pixels.
        let (pair, single) = (mask(2, 3, &[1, 0, 0, 0, 1, 0]), mask(1, 5, &[1, 0, 0, 0, 0]));
        let maps: [&[f32]; 2] = [&[0.9, 0.8, 0.6, 0.5, 0.4, 0.3], &[0.6, 0.2, 0.1, 0.0, 0.0]];
        let masks = [&pair, &single];
        // (fp of 8, PRO): (0, 1/4) (1, 1/4) (2, 3/4: tied 0.6) (3, 3/4) (3, 1) ...
        let curve = pro_curve(&maps, &masks, 0.375).unwrap();
        assert_eq!(&curve[..5], [(0.0, 0.0), (0.0, 0.25), (0.125, 0.25), (0.25, 0.75), (0.375, 0.75)]);
        close(aupro(&maps, &masks, 0.375).unwrap(), (0.25 + 0.5 + 0.75) / 3.0);
        // The limit in the middle of the tie: PRO there is 1/2.
        close(aupro(&maps, &masks, 0.1875).unwrap(), (0.25 + 0.5 * (0.25 + 0.5) / 2.0) / 1.5);
        assert_eq!(*pro_curve(&maps, &masks, 0.1875).unwrap().last().unwrap(), (0.1875, 0.5));
        // The limit before the first good pixel.
        close(aupro(&maps, &masks, 0.01).unwrap(), 0.25);
    }

    #[test]
    fn extremes() {
        let truth = mask(1, 4, &[1, 1, 0, 0]);
        close(aupro(&[&[4.0, 3.0, 2.0, 1.0]], &[&truth], 0.3).unwrap(), 1.0);
        close(aupro(&[&[1.0, 2.0, 3.0, 4.0]], &[&truth], 0.3).unwrap(), 0.0);
        // A constant map is a straight line to (1, 1).
        close(aupro(&[&[5.0; 4]], &[&truth], 0.3).unwrap(), 0.15);
    }

    #[test]
    fn a_small_region_weighs_as_much_as_a_large_one() {
        let truth = mask(1, 8, &[1, 1, 1, 1, 0, 1, 0, 0]);
        let only_large = aupro(&[&[9.0, 9.0, 9.0, 9.0, 5.0, 0.0, 5.0, 5.0]], &[&truth], 0.3).unwrap();
        let only_small = aupro(&[&[0.0, 0.0, 0.0, 0.0, 5.0, 9.0, 5.0, 5.0]], &[&truth], 0.3).unwrap();
        close(only_large, 0.5);
        close(only_small, 0.5);
    }

    #[test]
    fn good_images_count_in_the_false_positive_rate() {
        let (truth, good) = (mask(1, 4, &[1, 0, 0, 0]), PixelMask::empty(1, 5));
        let map = [1.0, 2.0, 0.0, 0.0];
        // One false alarm of 3 ends beyond the limit; of 8 it is at 0.125, after which the region is found.
        close(aupro(&[&map], &[&truth], 0.25).unwrap(), 0.0);
        close(aupro(&[&map, &[0.0; 5]], &[&truth, &good], 0.25).unwrap(), 0.5);
    }

    #[test]
    fn equals_the_definition_in_any_order_and_under_monotone_maps() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..300 {
            let (mut maps, mut masks) = draw(&mut rng);
            let limit = if rng.random_bool(0.2) { 1.0 } else { rng.random_range(0.01..1.0) };
            let (map_views, mask_views) = views(&maps, &masks);
            let area = aupro(&map_views, &mask_views, limit).unwrap();
            close(area, brute_force(&map_views, &mask_views, limit));
            maps.reverse();
            masks.reverse();
            maps.iter_mut().flatten().for_each(|s| *s = s.exp() - 2.0);
            let (map_views, mask_views) = views(&maps, &masks);
            close(aupro(&map_views, &mask_views, limit).unwrap(), area);
        }
    }

    #[test]
    fn with_one_pixel_regions_and_no_limit_it_is_pixel_auroc() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for _ in 0..50 {
            let map: Vec<f32> = (0..40).map(|_| rng.random_range(0..10) as f32).collect();
            let pixels: Vec<u8> =
                (0..40).map(|at| u8::from(at % 2 == 0 && rng.random_bool(0.3) || at == 0)).collect();
            let truth = mask(1, 40, &pixels);
            close(aupro(&[&map], &[&truth], 1.0).unwrap(), pixel_auroc(&[&map], &[&truth]).unwrap());
        }
    }

    #[test]
    fn a_thinned_curve_keeps_its_ends_and_its_area() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let map: Vec<f32> = (0..100 * 100).map(|_| rng.random()).collect();
        let pixels: Vec<u8> = (0..100 * 100).map(|at| u8::from(at / 100 % 7 == 0 && at % 9 < 4)).collect();
        let truth = mask(100, 100, &pixels);
        for limit in [0.001, 0.3, 1.0] {
            let curve = pro_curve(&[&map], &[&truth], limit).unwrap();
            assert!(curve.len() <= 1000, "{}", curve.len());
            assert!(curve.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1));
            assert_eq!((curve[0], curve[curve.len() - 1].0), ((0.0, 0.0), limit));
            let area: f64 = curve.windows(2).map(|w| (w[1].0 - w[0].0) * (w[1].1 + w[0].1) / 2.0).sum();
            assert!((area / limit - aupro(&[&map], &[&truth], limit).unwrap()).abs() < 1.0 / 499.0);
        }
        assert_eq!(*pro_curve(&[&map], &[&truth], 1.0).unwrap().last().unwrap(), (1.0, 1.0));
    }

    #[test]
    fn degenerate_input_is_an_error() {
        let (empty, full, half) = (mask(1, 2, &[0, 0]), mask(1, 2, &[1, 1]), mask(1, 2, &[1, 0]));
        let broken = PixelMask { height: 2, width: 2, pixels: vec![1, 0] };
        for (map, truth, missing) in [
            (&[0.1, 0.2][..], &empty, "no defective pixel"),
            (&[0.1, 0.2], &full, "no good pixel"),
            (&[0.1, f32::NAN], &half, "map 0, row 0, column 1: NaN"),
            (&[f32::INFINITY, 0.0], &half, "map 0, row 0, column 0: inf"),
            (&[0.1], &half, "map 0 has 1 values, its 1 x 2 mask has 2"),
            (&[0.1, 0.2], &broken, "map 0 has 2 values, its 2 x 2 mask has 2"),
        ] {
            let error = aupro(&[map], &[truth], 0.3).unwrap_err().to_string();
            assert!(error.contains(missing), "{error}");
            assert_eq!(pro_curve(&[map], &[truth], 0.3).unwrap_err().to_string(), error);
            assert_eq!(pixel_auroc(&[map], &[truth]).unwrap_err().to_string(), error);
        }
        assert!(aupro(&[&[0.1, 0.2]], &[], 0.3).unwrap_err().to_string().contains("1 maps but 0 masks"));
        assert!(aupro(&[], &[], 0.3).unwrap_err().to_string().contains("no defective pixel"));
        for limit in [0.0, -0.1, 1.1, f64::NAN, f64::INFINITY] {
            let error = aupro(&[&[0.1, 0.2]], &[&half], limit).unwrap_err().to_string();
            assert!(error.contains("FPR limit"), "{error}");
        }
    }
}

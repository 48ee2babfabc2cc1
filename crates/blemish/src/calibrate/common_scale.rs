//! The score of an image that two maps say something of.

use super::robust::quantile;
use crate::hysteresis::NORMAL_MAX;

/// Good images that count as much as the assumption that both scores spread alike.
const ASSUMED: f64 = 10.0;
/// The quantile of good images' scores up to which a score is usual.
const USUAL: f64 = 0.95;

/// How the values of a map that is scored apart are brought to the scale of the shown map, so that the larger score counts.
///
/// Both maps' scores of good images are brought to one median and one 95 % quantile, which makes an image as anomalous as the rarer of its
/// two scores (of two tests the smaller p-value, Tippett 1931): a map that does not see a defect does not hide it, as it would in a mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CommonScale {
    /// A value `v` of the map that is scored apart is `offset + factor v` on the scale of the shown one.
    offset: f32,
    factor: f32,
    /// The largest score of the shown map that is usual for good images.
    usual: f32,
}

impl CommonScale {
    /// From the scores of good images, at least one, by both maps. Few images count for little against equal spreads.
    pub fn new(shown: &[f32], apart: &[f32]) -> Self {
        let n = shown.len() as f64;
        let [(shown, usual), (apart, most)] = [shown, apart].map(|scores| {
            let mut sorted: Vec<f64> = scores.iter().map(|&v| f64::from(v)).collect();
            sorted.sort_unstable_by(f64::total_cmp);
            (quantile(&sorted, 0.5), quantile(&sorted, USUAL))
        });
        let spreads = [usual - shown, most - apart].map(|spread| spread.powi(2));
        let assumed = ASSUMED * 0.5 * (spreads[0] + spreads[1]);
        let [of_shown, of_apart] = spreads.map(|own| n * own + assumed);
        let factor = if assumed > 0.0 { (of_shown / of_apart).sqrt() } else { 1.0 };
        Self { offset: (shown - factor * apart) as f32, factor: factor as f32, usual: usual as f32 }
    }

    /// A value of the map that is scored apart, or its score, on the scale of the shown one.
    pub fn of(&self, value: f32) -> f32 {
        self.offset + self.factor * value
    }

    /// How much of the shown map's scale a step on the other's is.
    pub(crate) fn factor(&self) -> f32 {
        self.factor
    }

    /// The larger of an image's two scores; not a number where one is none.
    pub fn score(&self, shown: f32, apart: f32) -> f32 {
        let apart = self.of(apart);
        if apart > shown || apart.is_nan() { apart } else { shown }
    }

    /// The map of an image whose score by the shown one is `score`: that, and where its score is usual also what is beyond the normal on the
    /// other one, so that what only that shows is outlined.
    pub fn map(&self, score: f32, shown: Vec<f32>, apart: &[f32]) -> Vec<f32> {
        if score > self.usual {
            return shown;
        }
        let join = |(shown, apart): (f32, f32)| if apart > NORMAL_MAX { shown.max(apart) } else { shown };
        shown.into_iter().zip(apart.iter().map(|&v| self.of(v))).map(join).collect()
    }

    /// What a model file keeps of it.
    pub fn values(&self) -> [f32; 3] {
        [self.offset, self.factor, self.usual]
    }

    /// From what a model file has kept; `None` if that is none.
    pub fn from_values(values: &[f32]) -> Option<Self> {
        let &[offset, factor, usual] = values else { return None };
        let ok = [offset, factor, usual].iter().all(|v| v.is_finite()) && factor > 0.0;
        ok.then_some(Self { offset, factor, usual })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_scores_get_one_median_and_one_spread() {
        let scores = |median: f32, spread: f32| -> Vec<f32> {
            (0..101u8).map(|i| median + spread * (f32::from(i) - 50.0) / 50.0).collect()
        };
        let (shown, apart) = (scores(2.0, 0.6), scores(1.0, 0.2));
        let scale = CommonScale::new(&shown, &apart);
        // Squares of 9 to 1, and ten images that say 5 to 5.
        let expected = ((101.0 * 9.0 + 50.0) / (101.0 + 50.0f32)).sqrt();
        assert!((scale.factor - expected).abs() < 1e-3, "{} {expected}", scale.factor);
        assert!((scale.of(1.0) - 2.0).abs() < 1e-5 && (scale.of(1.1) - 2.0 - 0.1 * expected).abs() < 1e-3);
        // Of few images less is believed.
        let few = CommonScale::new(&[shown[0], shown[50], shown[100]], &[apart[0], apart[50], apart[100]]);
        assert!(few.factor > 1.0 && few.factor < 1.6, "{}", few.factor);
        for one in [CommonScale::new(&[2.0], &[0.5]), CommonScale::new(&[2.0; 40], &[0.5; 40])] {
            assert_eq!((one.factor, one.of(0.5)), (1.0, 2.0));
        }
    }

    #[test]
    fn what_only_the_other_map_shows_is_in_the_map() {
        let scale = CommonScale { offset: -1.0, factor: 2.0, usual: 1.4 };
        let [shown, apart] = [[0.1, 0.2, 1.2], [0.9, 3.0, 1.05]];
        assert_eq!(scale.map(1.4, shown.to_vec(), &apart), [0.1, 5.0, 1.2]);
        assert_eq!(scale.map(1.5, shown.to_vec(), &apart), shown);
        assert_eq!([scale.score(4.0, 3.0), scale.score(30.0, 3.0)], [5.0, 30.0]);
        assert!(scale.score(f32::NAN, 3.0).is_nan() && scale.score(5.0, f32::NAN).is_nan());
    }

    #[test]
    fn values_that_are_none_are_refused() {
        let scale = CommonScale { offset: -3.0, factor: 0.5, usual: 1.0 };
        assert_eq!(CommonScale::from_values(&scale.values()), Some(scale));
        for values in [&[0.5, 1.0][..], &[1.5, 0.0, 1.0], &[f32::NAN, 1.0, 1.0], &[0.5, 1.0, f32::INFINITY]] {
            assert_eq!(CommonScale::from_values(values), None);
        }
    }
}

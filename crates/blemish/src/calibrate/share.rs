//! The score of an image that two maps say something of.

use super::robust::{qn, quantile};
use crate::hysteresis::NORMAL_MAX;

/// Good images that count as much as the assumption that both scores vary alike.
const ASSUMED: f64 = 10.0;
/// The quantile of good images' scores up to which a score is usual.
const USUAL: f64 = 0.95;

/// How the scores of two maps, the shown one and another, become one.
///
/// The score is their mean with the reciprocals of the variances of good images' scores as weights, which has the least variance of all means
/// of two independent readings; few images count for little against equal weights. The map of an image is the shown one, but where its score
/// is usual also what is beyond the normal on the other one, so that what only that shows is outlined.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreShare {
    /// Of the other map's score, 0 to 1.
    share: f32,
    /// The largest score of the shown map that is usual for good images.
    usual: f32,
}

impl ScoreShare {
    /// From the scores of good images by both maps.
    pub fn new(shown: &[f32], other: &[f32]) -> Self {
        let sorted = |scores: &[f32]| {
            let mut sorted: Vec<f64> = scores.iter().map(|&v| f64::from(v)).collect();
            sorted.sort_unstable_by(f64::total_cmp);
            sorted
        };
        let (shown, other) = (sorted(shown), sorted(other));
        let n = shown.len() as f64;
        let [a, b] = [&shown, &other].map(|scores| qn(scores).powi(2));
        let both = 0.5 * (a + b);
        let [a, b] = [a, b].map(|own| (n * own + ASSUMED * both) / (n + ASSUMED));
        let share = if a + b > 0.0 { a / (a + b) } else { 0.5 };
        Self { share: share as f32, usual: quantile(&shown, USUAL) as f32 }
    }

    /// The score of an image with these by the shown map and the other one.
    pub fn score(&self, shown: f32, other: f32) -> f32 {
        (1.0 - self.share) * shown + self.share * other
    }

    /// The map of an image with this score by the shown one.
    pub fn map(&self, score: f32, shown: Vec<f32>, other: &[f32]) -> Vec<f32> {
        if score > self.usual {
            return shown;
        }
        let joined = |(shown, &other): (f32, &f32)| if other > NORMAL_MAX { shown.max(other) } else { shown };
        shown.into_iter().zip(other).map(joined).collect()
    }

    /// What a model file keeps of it.
    pub fn values(&self) -> [f32; 2] {
        [self.share, self.usual]
    }

    /// From what a model file has kept; `None` if that is none.
    pub fn from_values(values: &[f32]) -> Option<Self> {
        let &[share, usual] = values else { return None };
        ((0.0..=1.0).contains(&share) && usual.is_finite()).then_some(Self { share, usual })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_that_varies_less_counts_more() {
        let scores = |spread: f32| -> Vec<f32> {
            (0..101u8).map(|i| 1.0 + spread * (f32::from(i) - 50.0) / 50.0).collect()
        };
        let (wide, narrow) = (scores(0.6), scores(0.2));
        let equal = ScoreShare::new(&wide, &wide);
        assert!((equal.share - 0.5).abs() < 1e-6);
        // Variances of 9 to 1, and ten images that say 5 to 5.
        let share = ScoreShare::new(&wide, &narrow).share;
        let expected = (101.0 * 9.0 + 50.0) / (101.0 * 10.0 + 100.0);
        assert!((share - expected).abs() < 1e-3, "{share} {expected}");
        let few = ScoreShare::new(&wide[..3], &narrow[..3]).share;
        assert!(few > 0.5 && few < 0.65, "{few}");
        assert_eq!(ScoreShare::new(&[1.0], &[2.0]).share, 0.5);
        let joint = ScoreShare { share: 0.25, usual: 1.0 };
        assert_eq!(joint.score(1.0, 3.0), 1.5);
    }

    #[test]
    fn what_only_the_other_map_shows_is_in_the_map() {
        let joint = ScoreShare::new(&[0.5, 1.0, 1.5], &[1.0; 3]);
        assert!((joint.usual - 1.45).abs() < 1e-6);
        assert_eq!(joint.map(1.0, vec![0.1, 0.2], &[0.5, 3.0]), [0.1, 3.0]);
        assert_eq!(joint.map(2.0, vec![2.0, 0.2], &[0.5, 3.0]), [2.0, 0.2]);
    }

    #[test]
    fn values_that_are_none_are_refused() {
        let joint = ScoreShare { share: 0.25, usual: 1.5 };
        assert_eq!(ScoreShare::from_values(&joint.values()), Some(joint));
        for values in [&[0.5][..], &[1.5, 1.0], &[f32::NAN, 1.0], &[0.5, f32::INFINITY]] {
            assert_eq!(ScoreShare::from_values(values), None);
        }
    }
}

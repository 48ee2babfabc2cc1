//! The receiver operating characteristic and the area under it, for images and for pixels.

use serde::{Deserialize, Serialize};

use super::ranking::{Ranking, Step};
use crate::error::Result;
use crate::image::PixelMask;

/// What calling `score >= threshold` defective does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RocPoint {
    /// Share of the good images called defective, 0 to 1.
    pub fpr: f64,
    /// Share of the defective images called defective, 0 to 1.
    pub tpr: f64,
    /// A score that occurs; at the first point the next number above all of them.
    pub threshold: f32,
}

/// Area under the ROC curve of image scores, 0 to 1: the probability that a defective image scores above a
/// good one, equal scores counting one half (Fawcett, "An introduction to ROC analysis", 2006).
///
/// # Errors
/// [`Error::Metric`](crate::error::Error::Metric) if the lengths differ, a score is not finite, or there is
/// no good or no defective image.
pub fn auroc(scores: &[f32], positive: &[bool]) -> Result<f64> {
    Ranking::of_images(scores, positive).map(|ranking| ranking.area())
}

/// The ROC curve of image scores, from (0, 0) to (1, 1), one point for each distinct score.
///
/// # Errors
/// As [`auroc`].
pub fn roc_curve(scores: &[f32], positive: &[bool]) -> Result<Vec<RocPoint>> {
    let ranking = Ranking::of_images(scores, positive)?;
    let point =
        |Step { threshold, fp, tp }| RocPoint { fpr: fp / ranking.goods, tpr: tp / ranking.total, threshold };
    let highest =
        ranking.steps().next().map(|first| Step { threshold: first.threshold.next_up(), fp: 0.0, tp: 0.0 });
    Ok(highest.into_iter().chain(ranking.steps()).map(point).collect())
}

/// Area under the ROC curve of all pixels of all images, good images included, 0 to 1.
///
/// # Errors
/// [`Error::Metric`](crate::error::Error::Metric) if maps and masks differ in number or size, a score is not
/// finite, or there is no good or no defective pixel.
pub fn pixel_auroc(maps: &[&[f32]], masks: &[&PixelMask]) -> Result<f64> {
    Ranking::of_pixels(maps, masks).map(|ranking| ranking.area())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use rand::{Rng, SeedableRng, seq::SliceRandom};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Scores of few levels, so that most are tied, and labels of both kinds.
    fn draw(rng: &mut ChaCha8Rng) -> (Vec<f32>, Vec<bool>) {
        let n = rng.random_range(2..30);
        let levels = rng.random_range(1..12);
        let scores = (0..n).map(|_| rng.random_range(-levels..=levels) as f32 / 4.0).collect();
        let mut positive: Vec<bool> = (0..n).map(|_| rng.random()).collect();
        (positive[0], positive[1]) = (true, false);
        (scores, positive)
    }

    /// The definition: the share of (defective, good) pairs in the right order, ties one half.
    fn pairs(scores: &[f32], positive: &[bool]) -> f64 {
        let of = |kind| scores.iter().zip(positive).filter(move |(_, p)| **p == kind).map(|(s, _)| *s);
        let wins: f64 = of(true)
            .flat_map(|d| of(false).map(move |g| if d > g { 1.0 } else { f64::from(u8::from(d == g)) / 2.0 }))
            .sum();
        wins / (of(true).count() * of(false).count()) as f64
    }

    #[test]
    fn by_hand() {
        // Of the 2 x 3 pairs, 0.8 wins three; 0.4 wins one, ties one, loses one.
        let (scores, positive) = ([0.8, 0.4, 0.1, 0.4, 0.5], [true, true, false, false, false]);
        assert_eq!(auroc(&scores, &positive).unwrap(), 4.5 / 6.0);
        let curve: Vec<_> =
            roc_curve(&scores, &positive).unwrap().iter().map(|p| (p.fpr, p.tpr, p.threshold)).collect();
        let third = 1.0 / 3.0;
        assert_eq!(
            curve,
            [
                (0.0, 0.0, 0.8_f32.next_up()),
                (0.0, 0.5, 0.8),
                (third, 0.5, 0.5),
                (2.0 * third, 1.0, 0.4),
                (1.0, 1.0, 0.1)
            ]
        );
    }

    #[test]
    fn extremes_are_exact() {
        assert_eq!(auroc(&[3.0, 2.0, 1.0], &[true, false, false]).unwrap(), 1.0);
        assert_eq!(auroc(&[3.0, 2.0, 1.0], &[false, false, true]).unwrap(), 0.0);
        assert_eq!(auroc(&[7.0; 5], &[true, false, false, true, false]).unwrap(), 0.5);
        assert_eq!(auroc(&[0.0, -0.0], &[true, false]).unwrap(), 0.5);
        assert_eq!(auroc(&[f32::MAX, f32::MIN], &[true, false]).unwrap(), 1.0);
    }

    #[test]
    fn equals_the_pairwise_definition_in_any_order_and_under_monotone_maps() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..300 {
            let (scores, positive) = draw(&mut rng);
            let area = auroc(&scores, &positive).unwrap();
            assert!((area - pairs(&scores, &positive)).abs() < 1e-12);

            let monotone: Vec<f32> = scores.iter().map(|s| s.exp() - 3.0).collect();
            assert_eq!(auroc(&monotone, &positive).unwrap(), area);
            let reversed: Vec<f32> = scores.iter().map(|s| -s).collect();
            assert!((auroc(&reversed, &positive).unwrap() - (1.0 - area)).abs() < 1e-12);

            let mut both: Vec<_> = scores.into_iter().zip(positive).collect();
            both.shuffle(&mut rng);
            let (scores, positive): (Vec<_>, Vec<_>) = both.into_iter().unzip();
            assert_eq!(auroc(&scores, &positive).unwrap(), area);
        }
    }

    #[test]
    fn the_curve_rises_from_0_0_to_1_1_and_its_thresholds_fall() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for _ in 0..100 {
            let (scores, positive) = draw(&mut rng);
            let curve = roc_curve(&scores, &positive).unwrap();
            let (first, last) = (curve[0], curve[curve.len() - 1]);
            assert_eq!((first.fpr, first.tpr, last.fpr, last.tpr), (0.0, 0.0, 1.0, 1.0));
            assert!(curve.is_sorted_by(|a, b| a.fpr <= b.fpr && a.tpr <= b.tpr && a.threshold > b.threshold));
            for point in curve {
                let called = |kind| {
                    let of = scores.iter().zip(&positive).filter(|(_, p)| **p == kind);
                    of.clone().filter(|(s, _)| **s >= point.threshold).count() as f64 / of.count() as f64
                };
                assert_eq!((point.fpr, point.tpr), (called(false), called(true)));
            }
        }
    }

    #[test]
    fn pixels_of_all_images_are_one_set() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..50 {
            let (scores, positive) = draw(&mut rng);
            let cut = rng.random_range(0..=scores.len());
            let mask = |part: &[bool]| {
                let pixels: Vec<u8> = part.iter().map(|&p| u8::from(p) * 255).collect();
                PixelMask { height: 1, width: pixels.len(), pixels }
            };
            let (left, right) = (mask(&positive[..cut]), mask(&positive[cut..]));
            let pixels = pixel_auroc(&[&scores[..cut], &scores[cut..]], &[&left, &right]).unwrap();
            assert_eq!(pixels, auroc(&scores, &positive).unwrap());
        }
    }

    #[test]
    fn degenerate_input_is_an_error() {
        for (scores, positive, missing) in [
            (&[0.1, 0.2][..], &[false, false][..], "no defective image"),
            (&[0.1, 0.2], &[true, true], "no good image"),
            (&[0.1, f32::NEG_INFINITY], &[true, false], "the score of image 1 is -inf"),
            (&[0.1], &[true, false], "1 scores but 2 labels"),
        ] {
            let error = auroc(scores, positive).unwrap_err().to_string();
            assert!(error.contains(missing), "{error}");
            assert_eq!(roc_curve(scores, positive).unwrap_err().to_string(), error);
        }
    }
}

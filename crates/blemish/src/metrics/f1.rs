//! F1 of image scores, positive = defective = score >= threshold.

use serde::{Deserialize, Serialize};

use super::ranking::{Ranking, Step, check_images};
use crate::error::{Error, Result};

/// The largest F1 and where it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct F1Max {
    /// 0 to 1.
    pub f1: f64,
    /// The score that occurs and gives this F1 with `score >= threshold`; the highest one where several do.
    pub threshold: f32,
}

/// What a threshold does with a set of images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Defective, called defective.
    pub tp: usize,
    /// Good, called defective: false alarms.
    pub fp: usize,
    /// Good, called good.
    pub tn: usize,
    /// Defective, called good: missed defects.
    #[serde(rename = "fn")]
    pub fn_: usize,
}

impl Confusion {
    /// Counts the images, `positive` = defective, with the threshold of [`f1_at`]; images of one kind only
    /// are fine.
    ///
    /// # Errors
    /// [`Error::Metric`] if the lengths differ, a score is not finite, or the threshold is NaN.
    pub fn at(scores: &[f32], positive: &[bool], threshold: impl Into<f64>) -> Result<Self> {
        check_images(scores, positive)?;
        let threshold = not_nan(threshold.into())?;
        let mut counts = Self::default();
        for (&score, &positive) in scores.iter().zip(positive) {
            let count = match (f64::from(score) >= threshold, positive) {
                (true, true) => &mut counts.tp,
                (true, false) => &mut counts.fp,
                (false, false) => &mut counts.tn,
                (false, true) => &mut counts.fn_,
            };
            *count += 1;
        }
        Ok(counts)
    }

    /// Share of the images called defective that are, or `None` if none is called so.
    pub fn precision(&self) -> Option<f64> {
        ratio(self.tp, self.tp + self.fp)
    }

    /// Share of the defective images that are called so, or `None` if there is none.
    pub fn recall(&self) -> Option<f64> {
        ratio(self.tp, self.tp + self.fn_)
    }
}

fn ratio(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The largest F1 over every distinct score as the threshold.
///
/// # Errors
/// [`Error::Metric`] if the lengths differ, a score is not finite, or there is no good or no defective image.
pub fn f1_max(scores: &[f32], positive: &[bool]) -> Result<F1Max> {
    let ranking = Ranking::of_images(scores, positive)?;
    let f1s = ranking.steps().map(|step| F1Max { f1: f1(step, &ranking), threshold: step.threshold });
    let start = F1Max { f1: 0.0, threshold: f32::INFINITY };
    // The lowest threshold calls every image defective, so some step is above 0 and replaces the start.
    Ok(f1s.fold(start, |best, next| if next.f1 > best.f1 { next } else { best }))
}

/// F1 at one threshold, which may lie between the scores. Scores are compared with it in `f64`, so a
/// threshold that is itself a score has to stay `f32`: 0.7 is above `0.7_f32`.
///
/// # Errors
/// As [`f1_max`], and if the threshold is NaN.
pub fn f1_at(scores: &[f32], positive: &[bool], threshold: impl Into<f64>) -> Result<f64> {
    let threshold = not_nan(threshold.into())?;
    let ranking = Ranking::of_images(scores, positive)?;
    let called = ranking.steps().take_while(|step| f64::from(step.threshold) >= threshold).last();
    Ok(called.map_or(0.0, |step| f1(step, &ranking)))
}

/// F1 of calling every image defective: what a model has to beat before its F1 says anything.
///
/// # Errors
/// [`Error::Metric`] if there is no good or no defective image.
pub fn f1_all_positive(positive: &[bool]) -> Result<f64> {
    f1_at(&vec![0.0; positive.len()], positive, 0.0)
}

/// `2 tp / (2 tp + fp + fn)`, the harmonic mean of precision and recall; 0 where both are 0 or undefined.
fn f1(step: Step, ranking: &Ranking) -> f64 {
    2.0 * step.tp / (step.tp + step.fp + ranking.total)
}

fn not_nan(threshold: f64) -> Result<f64> {
    if threshold.is_nan() { Err(Error::Metric("the threshold is NaN".into())) } else { Ok(threshold) }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const SCORES: [f32; 6] = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4];
    const POSITIVE: [bool; 6] = [true, false, true, true, false, false];

    #[test]
    fn by_hand() {
        // Thresholds from the top: F1 = 2/4, 2/5, 4/6, 6/7, 6/8, 6/9.
        assert_eq!(f1_max(&SCORES, &POSITIVE).unwrap(), F1Max { f1: 6.0 / 7.0, threshold: 0.6 });
        for (threshold, f1) in
            [(f64::INFINITY, 0.0), (0.91, 0.0), (0.85, 0.5), (0.65, 4.0 / 6.0), (0.0, 6.0 / 9.0)]
        {
            assert_eq!(f1_at(&SCORES, &POSITIVE, threshold).unwrap(), f1, "{threshold}");
        }
        assert_eq!(f1_all_positive(&POSITIVE).unwrap(), 6.0 / 9.0);
    }

    #[test]
    fn equal_scores_fall_together_and_the_threshold_reproduces_the_maximum() {
        let (scores, positive) = ([0.1, 0.3, 0.3, 0.3], [false, true, false, true]);
        let best = f1_max(&scores, &positive).unwrap();
        assert_eq!(best, F1Max { f1: 0.8, threshold: 0.3 });
        assert_eq!(f1_at(&scores, &positive, best.threshold).unwrap(), best.f1);
    }

    #[test]
    fn of_equal_maxima_the_highest_threshold_is_taken() {
        // F1 is 2/3 at 4.0 and, with two false alarms more, again at 1.0.
        let best = f1_max(&[4.0, 3.0, 2.0, 1.0], &[true, false, false, true]).unwrap();
        assert_eq!(best, F1Max { f1: 2.0 / 3.0, threshold: 4.0 });
    }

    #[test]
    fn all_scores_equal_is_all_positive() {
        let best = f1_max(&[-1.0; 4], &[true, true, true, false]).unwrap();
        assert_eq!(best.f1, f1_all_positive(&[true, true, true, false]).unwrap());
    }

    #[test]
    fn confusion_by_hand() {
        let counts = Confusion::at(&SCORES, &POSITIVE, 0.7_f32).unwrap();
        assert_eq!(counts, Confusion { tp: 2, fp: 1, tn: 2, fn_: 1 });
        assert_eq!((counts.precision(), counts.recall()), (Some(2.0 / 3.0), Some(2.0 / 3.0)));
        let none = Confusion::at(&SCORES, &POSITIVE, 2.0).unwrap();
        assert_eq!((none.precision(), none.recall()), (None, Some(0.0)));
        let only_good = Confusion::at(&[0.1, 0.9], &[false, false], 0.5).unwrap();
        assert_eq!((only_good.precision(), only_good.recall()), (Some(0.0), None));
        assert_eq!(serde_json::to_string(&counts).unwrap(), r#"{"tp":2,"fp":1,"tn":2,"fn":1}"#);
    }

    #[test]
    fn degenerate_input_is_an_error() {
        for (scores, positive, missing) in [
            (&[0.1, 0.2][..], &[false, false][..], "no defective image"),
            (&[0.1, 0.2], &[true, true], "no good image"),
            (&[], &[], "no defective image"),
            (&[0.1, f32::NAN], &[true, false], "the score of image 1 is NaN"),
            (&[f32::INFINITY, 0.1], &[true, false], "the score of image 0 is inf"),
            (&[0.1, 0.2], &[true], "2 scores but 1 labels"),
        ] {
            for error in [f1_max(scores, positive).map(|best| best.f1), f1_at(scores, positive, 0.5)]
                .map(Result::unwrap_err)
            {
                assert!(error.to_string().contains(missing), "{error}");
            }
        }
        assert!(f1_all_positive(&[true]).unwrap_err().to_string().contains("no good image"));
        assert!(f1_all_positive(&[false]).unwrap_err().to_string().contains("no defective image"));
        assert!(f1_at(&SCORES, &POSITIVE, f64::NAN).unwrap_err().to_string().contains("threshold"));
        assert!(Confusion::at(&SCORES, &POSITIVE, f64::NAN).is_err());
        assert!(Confusion::at(&SCORES, &POSITIVE[..2], 0.5).is_err());
    }
}

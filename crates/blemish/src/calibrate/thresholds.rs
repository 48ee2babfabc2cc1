//! From which score on an image is defective.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

use crate::config::{ScoreConfig, ThresholdRule};

/// Target false-positive rates that are always listed.
const LISTED: [f64; 2] = [0.05, 0.01];

/// A threshold: an image is defective when its score is at least this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// The rule that made it.
    pub rule: ThresholdRule,
    /// The score.
    pub value: f64,
    /// How it was made, in words.
    pub how: String,
    /// The false-positive rate that it is meant to have, where it is meant to have one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target_fpr: Option<f64>,
}

/// Scores of good images, each by what others were fitted on, and the thresholds that follow from them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thresholds {
    good: Vec<f32>,
    fixed: Option<f32>,
}

impl Thresholds {
    /// Of the scores of good images, in any order.
    pub fn new(mut good: Vec<f32>) -> Self {
        good.sort_unstable_by(f32::total_cmp);
        Self { good, fixed: None }
    }

    /// The scores, ascending.
    pub fn good_scores(&self) -> &[f32] {
        &self.good
    }

    /// Decides by `value`, whatever the rule.
    pub fn fix(&mut self, value: f32) {
        self.fixed = Some(value);
    }

    /// Decides by the rule again.
    pub fn follow_rule(&mut self) {
        self.fixed = None;
    }

    /// The threshold that `config` asks for.
    ///
    /// # Errors
    /// A sentence: there are no scores.
    pub fn of(&self, config: &ScoreConfig) -> Result<Threshold, String> {
        if let Some(value) = self.fixed {
            let (rule, how) = (config.threshold, "as it was given".to_owned());
            return Ok(Threshold { rule, value: f64::from(value), how, target_fpr: None });
        }
        if self.good.is_empty() {
            return Err("holds no scores of good images: it was never calibrated".to_owned());
        }
        Ok(match config.threshold {
            ThresholdRule::Fpr => self.at_rate(config.fpr),
            ThresholdRule::Percentile => self.at_percentile(config.percentile),
            ThresholdRule::Sigma => self.at_sigmas(config.sigmas),
        })
    }

    /// The threshold of every rule, and of the usual rates; none without scores.
    pub fn all(&self, config: &ScoreConfig) -> Vec<Threshold> {
        if self.good.is_empty() {
            return Vec::new();
        }
        let mut rates = vec![config.fpr];
        rates.extend(LISTED.into_iter().filter(|rate| *rate != config.fpr));
        let mut all: Vec<Threshold> = rates.into_iter().map(|rate| self.at_rate(rate)).collect();
        all.extend([self.at_percentile(config.percentile), self.at_sigmas(config.sigmas)]);
        all
    }

    /// The score that a share `rate` of good images exceeds. With fewer than `2 / rate` scores their tail is too thin to read
    /// off, and a normal distribution fitted to their logarithms stands in, but not below what the scores do show: what two
    /// of them exceed.
    fn at_rate(&self, rate: f64) -> Threshold {
        let (sorted, n) = (self.sorted(), self.good.len());
        let percent = rate * 100.0;
        let (value, how) = if n as f64 >= 2.0 / rate || sorted[0] <= 0.0 || n < 3 {
            (quantile(&sorted, 1.0 - rate), format!("exceeded by {percent} % of the scores of {n} good images"))
        } else {
            let logs: Vec<f64> = sorted.iter().map(|s| s.ln()).collect();
            let mean = logs.iter().sum::<f64>() / n as f64;
            // A new draw from a normal distribution whose deviation was estimated from n values.
            let widen = (1.0 + 1.0 / n as f64).sqrt();
            let fitted = (mean + normal_quantile(1.0 - rate) * deviation(&logs, mean) * widen).exp();
            let value = fitted.max(quantile(&sorted, 1.0 - 2.0 / n as f64));
            (value, format!("exceeded by {percent} % of a log-normal fitted to the scores of {n} good images"))
        };
        Threshold { rule: ThresholdRule::Fpr, value: above(value), how, target_fpr: Some(rate) }
    }

    fn at_percentile(&self, percentile: f64) -> Threshold {
        let value = above(quantile(&self.sorted(), percentile / 100.0));
        let how = format!("percentile {percentile} of the scores of {} good images", self.good.len());
        Threshold { rule: ThresholdRule::Percentile, value, how, target_fpr: None }
    }

    fn at_sigmas(&self, sigmas: f64) -> Threshold {
        let (sorted, n) = (self.sorted(), self.good.len());
        let mean = sorted.iter().sum::<f64>() / n as f64;
        let value = above(mean + sigmas * deviation(&sorted, mean));
        let how = format!("mean + {sigmas} standard deviations of the scores of {n} good images");
        Threshold { rule: ThresholdRule::Sigma, value, how, target_fpr: None }
    }

    fn sorted(&self) -> Vec<f64> {
        self.good.iter().map(|&score| f64::from(score)).collect()
    }
}

/// The smallest `f32` above `value`: a good score equal to its own quantile is no false alarm.
fn above(value: f64) -> f64 {
    f64::from((value as f32).next_up())
}

fn deviation(values: &[f64], mean: f64) -> f64 {
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (squares / (values.len() as f64 - 1.0).max(1.0)).sqrt()
}

/// Linear interpolation between order statistics (Hyndman and Fan 1996, type 7).
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let low = place.floor() as usize;
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + (place - low as f64) * (sorted[high] - sorted[low])
}

fn normal_quantile(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_rarer_alarm_never_has_a_lower_threshold() {
        // Two images far beyond what a log-normal of the others would allow, among 100.
        let mut good: Vec<f32> = (0..100u8).map(|i| 1.0 + 1e-3 * f32::from(i)).collect();
        good[98..].copy_from_slice(&[50.0, 60.0]);
        let thresholds = Thresholds::new(good);
        let [often, rarely] = [0.02, 0.01].map(|rate| thresholds.at_rate(rate).value);
        assert!(often <= rarely, "{often} {rarely}");
        // By hand: place 0.98 * 99 = 97.02 between 1.097 and 50.
        assert!((often - (1.097 + 0.02 * 48.903)).abs() < 1e-4, "{often}");
    }

    #[test]
    fn a_rate_lets_its_share_through() {
        let thresholds = Thresholds::new((1..=100u8).map(f32::from).collect());
        let threshold = thresholds.at_rate(0.05);
        let above = thresholds.good_scores().iter().filter(|&&s| f64::from(s) >= threshold.value).count();
        assert_eq!(above, 5);
    }

    #[test]
    fn a_given_threshold_decides_and_none_without_scores() {
        let mut thresholds = Thresholds::default();
        assert!(thresholds.of(&ScoreConfig::default()).is_err() && thresholds.all(&ScoreConfig::default()).is_empty());
        thresholds.fix(0.75);
        assert_eq!(thresholds.of(&ScoreConfig::default()).unwrap().value, 0.75);
    }
}

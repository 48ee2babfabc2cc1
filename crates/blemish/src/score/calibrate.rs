//! Calibration against good images: what is normal at a place, and from which score on an image is rejected.

use serde::{Deserialize, Serialize};

use crate::config::{ScoreConfig, ThresholdRule};

/// What good images give at each position: the mean of their maps, `[H, W]`.
///
/// Dividing by it asks "how many times more than usual here?", which is what matters where the pose is fixed.
#[derive(Clone, Debug, PartialEq)]
pub struct PositionMap {
    /// Mean over the good maps, floored at a tenth of its own median so that nothing is divided by almost nothing.
    pub mean: Vec<f32>,
}

impl PositionMap {
    /// The mean of `maps`, at least one, all of one size.
    pub fn new(maps: &[Vec<f32>]) -> Self {
        let mut mean = vec![0.0; maps[0].len()];
        for map in maps {
            mean.iter_mut().zip(map).for_each(|(sum, v)| *sum += v / maps.len() as f32);
        }
        let mut sorted = mean.clone();
        let middle = sorted.len() / 2;
        let (_, median, _) = sorted.select_nth_unstable_by(middle, f32::total_cmp);
        let floor = (*median * 0.1).max(f32::MIN_POSITIVE);
        mean.iter_mut().for_each(|v| *v = v.max(floor));
        Self { mean }
    }

    /// Divides `map` by the mean.
    pub fn apply(&self, map: &mut [f32]) {
        map.iter_mut().zip(&self.mean).for_each(|(v, mean)| *v /= mean);
    }
}

/// A stored threshold: an image is defective when its score is at least this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// The rule that made it.
    pub rule: ThresholdRule,
    /// The score.
    pub value: f64,
    /// How it was made, in words.
    pub how: String,
    /// The false-alarm rate that it promises, where it does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stated_rate: Option<f64>,
}

/// Every threshold that the scores allow: `val` needs a validation result, the others good scores.
///
/// `far` is stored at the configured rate and at 1 % and 5 %.
pub fn thresholds(good: &[f32], validation: Option<f64>, config: &ScoreConfig) -> Vec<Threshold> {
    let mut all = Vec::new();
    if let Some(value) = validation {
        let how = "best F1 on the validation set".to_owned();
        all.push(Threshold { rule: ThresholdRule::Val, value, how, stated_rate: None });
    }
    if good.is_empty() {
        return all;
    }
    let mut sorted: Vec<f64> = good.iter().map(|&s| f64::from(s)).collect();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    let how = format!("percentile {} of {n} held-out good scores", config.percentile);
    let value = above(quantile(&sorted, config.percentile / 100.0));
    all.push(Threshold { rule: ThresholdRule::Percentile, value, how, stated_rate: None });

    let mean = sorted.iter().sum::<f64>() / n as f64;
    let spread = spread(&sorted, mean);
    let how = format!("mean + {} standard deviations of {n} held-out good scores", config.sigmas);
    let value = above(mean + config.sigmas * spread);
    all.push(Threshold { rule: ThresholdRule::Sigma, value, how, stated_rate: None });

    let mut rates = vec![config.far, 0.05, 0.01];
    rates.dedup();
    rates.retain({
        let mut seen = Vec::new();
        move |rate| {
            !seen.contains(&rate.to_bits()) && {
                seen.push(rate.to_bits());
                true
            }
        }
    });
    for rate in rates {
        let (value, how) = false_alarm(&sorted, rate);
        all.push(Threshold { rule: ThresholdRule::Far, value: above(value), how, stated_rate: Some(rate) });
    }
    all
}

/// The score that a share `rate` of good images exceeds. With fewer than `2 / rate` scores their tail is too
/// thin to read off, and a normal distribution fitted to their logarithms stands in, but not below what the scores do
/// show: what two of them exceed.
fn false_alarm(sorted: &[f64], rate: f64) -> (f64, String) {
    let n = sorted.len();
    let percent = rate * 100.0;
    if n as f64 >= 2.0 / rate || sorted[0] <= 0.0 || n < 3 {
        return (
            quantile(sorted, 1.0 - rate),
            format!("exceeded by {percent} % of {n} held-out good scores"),
        );
    }
    let logs: Vec<f64> = sorted.iter().map(|s| s.ln()).collect();
    let mean = logs.iter().sum::<f64>() / n as f64;
    // A new draw from a normal distribution whose spread was estimated from n values.
    let widen = (1.0 + 1.0 / n as f64).sqrt();
    let fitted = (mean + normal_quantile(1.0 - rate) * spread(&logs, mean) * widen).exp();
    let value = fitted.max(quantile(sorted, 1.0 - 2.0 / n as f64));
    (value, format!("exceeded by {percent} % of a log-normal fitted to {n} held-out good scores"))
}

/// The smallest `f32` above `value`: a good score equal to its own quantile is not an alarm.
fn above(value: f64) -> f64 {
    f64::from((value as f32).next_up())
}

fn spread(values: &[f64], mean: f64) -> f64 {
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

/// Inverse of the standard normal distribution function, by bisection on its series-free complement.
fn normal_quantile(p: f64) -> f64 {
    let (mut low, mut high) = (-10.0, 10.0);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if normal_cdf(middle) < p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// Marsaglia 2004, "Evaluating the Normal Distribution": a Taylor series about 0, exact to rounding.
fn normal_cdf(x: f64) -> f64 {
    let (mut sum, mut term, mut i) = (x, x, 1.0);
    while i < 400.0 {
        i += 2.0;
        term *= x * x / i;
        sum += term;
    }
    (0.5 + sum * (-0.5 * x * x - 0.918_938_533_204_672_8).exp()).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rarer_alarm_never_has_a_lower_threshold() {
        // Two pictures far beyond what a log-normal of the others would allow, among 100.
        let mut sorted: Vec<f64> = (0..100).map(|i| 1.0 + 1e-3 * f64::from(i)).collect();
        sorted[98..].copy_from_slice(&[50.0, 60.0]);
        let [often, rarely] = [0.02, 0.01].map(|rate| false_alarm(&sorted, rate).0);
        assert!(often <= rarely, "{often} {rarely}");
        // By hand: place 0.98 * 99 = 97.02 between 1.097 and 50.
        assert!((often - (1.097 + 0.02 * 48.903)).abs() < 1e-9, "{often}");
    }
    use crate::config::{Preset, RunConfig};

    #[test]
    fn normal_quantiles_agree_with_tables() {
        for (p, z) in [(0.5, 0.0), (0.95, 1.644_853_627), (0.99, 2.326_347_874), (0.025, -1.959_963_985)] {
            assert!((normal_quantile(p) - z).abs() < 1e-6, "{p}");
        }
    }

    #[test]
    fn far_lets_its_share_through() {
        let config = RunConfig::preset(Preset::Light).score;
        let good: Vec<f32> = (1..=1000).map(|i| i as f32).collect();
        let all = thresholds(&good, Some(0.5), &config);
        let far =
            |rate: f64| all.iter().find(|t| t.stated_rate == Some(rate)).map(|t| t.value).unwrap_or(0.0);
        let alarms = |t: f64| good.iter().filter(|&&s| f64::from(s) >= t).count();
        assert_eq!(alarms(far(0.05)), 50);
        assert_eq!(alarms(far(0.01)), 10);
        assert_eq!(all[0].rule, ThresholdRule::Val);
    }

    #[test]
    fn few_scores_use_the_fitted_tail() {
        let good: Vec<f32> = (-8..=8).map(|i| (i as f32 * 0.1).exp()).collect();
        let sorted: Vec<f64> = good.iter().map(|&s| f64::from(s)).collect();
        let (value, how) = false_alarm(&sorted, 0.01);
        // 17 equally spaced logarithms: standard deviation 0.1 sqrt(25.5), widened by sqrt(18/17).
        let expected = (2.326_347_874 * 0.1 * 25.5f64.sqrt() * (18.0f64 / 17.0).sqrt()).exp();
        assert!((value - expected).abs() < 1e-4, "{value} {expected} {how}");
    }

    #[test]
    fn position_map_divides_and_never_by_nothing() {
        let position = PositionMap::new(&[vec![2.0, 0.0, 4.0], vec![4.0, 0.0, 4.0]]);
        let mut map = vec![6.0, 1.0, 4.0];
        position.apply(&mut map);
        assert_eq!(map[0], 2.0);
        assert_eq!(map[2], 1.0);
        assert!(map[1].is_finite());
    }
}

//! From which score on an image is defective, and how far the rate that this is meant to have can be relied upon.

use serde::{Deserialize, Serialize};

use super::rate::{clopper_pearson, interval_of_rank, largest_rate, prediction_limit};
use super::robust::{doubtful, log, quantile};
use crate::config::{ScoreConfig, ThresholdRule};
use crate::number::counted;

/// Target false-positive rates that are always listed.
const LISTED: [f64; 2] = [0.05, 0.01];
/// A score that is not above 0 counts as this share of the largest one where logarithms are taken.
const FLOOR: f32 = 1e-3;
/// Percentile of the rule `percentile`.
const PERCENTILE: f64 = 95.0;
/// Standard deviations of the rule `sigma`.
const SIGMAS: f64 = 3.0;

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
    /// 95 % interval of the false-positive rate that it will have on new good images of the same process. It assumes that they
    /// are made like the good images (exchangeability), and nothing of their scores' distribution.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub interval: Option<[f64; 2]>,
    /// What an inspector should know before relying on it, and what helps.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub warning: Option<String>,
}

/// Scores of good images, each by what others were fitted on, and the thresholds that follow from them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thresholds {
    good: Vec<f32>,
    left_out: usize,
    few_products: Option<usize>,
    fixed: Option<f32>,
}

impl Thresholds {
    /// Of the scores of good images, in any order; of near-duplicates one score for all.
    pub fn new(mut good: Vec<f32>) -> Self {
        good.sort_unstable_by(f32::total_cmp);
        Self { good, left_out: 0, few_products: None, fixed: None }
    }

    /// The same, where so many scores were left out as suspected outliers. They move no threshold; but if they are those of good images
    /// after all, as many more of new ones are rejected, and the upper end of every interval says so.
    #[must_use]
    pub fn leaving_out(self, left_out: usize) -> Self {
        Self { left_out, ..self }
    }

    /// The same, where the images may show so few products only, each several times. Then they do not show how products differ: the upper
    /// end of every interval is 1.
    #[must_use]
    pub fn of_few_products(self, few_products: Option<usize>) -> Self {
        Self { few_products, ..self }
    }

    /// The scores, ascending.
    pub fn good_scores(&self) -> &[f32] {
        &self.good
    }

    /// Decides by `value`, whatever the rule.
    pub(crate) fn fix(&mut self, value: f32) {
        self.fixed = Some(value);
    }

    /// Decides by the rule again.
    pub fn release(&mut self) {
        self.fixed = None;
    }

    /// The threshold that `config` asks for.
    ///
    /// # Errors
    /// A sentence: there are no scores.
    pub fn of(&self, config: &ScoreConfig) -> Result<Threshold, String> {
        if let Some(value) = self.fixed {
            let value = f64::from(value);
            let interval = (!self.good.is_empty()).then(|| self.rate_at(value).1);
            let how = "as it was given".to_owned();
            let warning = self.few_products.map(shows_few);
            return Ok(Threshold { rule: config.threshold, value, how, target_fpr: None, interval, warning });
        }
        if self.good.is_empty() {
            return Err("holds no scores of good images: it was never calibrated".to_owned());
        }
        Ok(match config.threshold {
            ThresholdRule::Fpr => self.at_rate(config.fpr),
            ThresholdRule::Percentile => self.at_percentile(),
            ThresholdRule::Sigma => self.at_sigmas(),
        })
    }

    /// The threshold of every rule, that of the rule `fpr` at `config.fpr`, 0.05 and 0.01; none without scores.
    pub fn all(&self, config: &ScoreConfig) -> Vec<Threshold> {
        if self.good.is_empty() {
            return Vec::new();
        }
        let mut rates = vec![config.fpr];
        rates.extend(LISTED.into_iter().filter(|rate| *rate != config.fpr));
        let mut all: Vec<Threshold> = rates.into_iter().map(|rate| self.at_rate(rate)).collect();
        all.extend([self.at_percentile(), self.at_sigmas()]);
        all
    }

    /// The share of the good scores that are at least `value`, and the 95 % interval of the false-positive rate that it has on
    /// new good images (Clopper and Pearson 1934). There must be scores.
    pub(crate) fn rate_at(&self, value: f64) -> (f64, [f64; 2]) {
        let n = self.good.len();
        let rejected = n - self.good.partition_point(|&score| f64::from(score) < value);
        let [low, _] = clopper_pearson(rejected, n);
        let [_, high] = clopper_pearson(rejected + self.left_out, n + self.left_out);
        (rejected as f64 / n as f64, self.at_worst([low, high]))
    }

    /// The interval, whose upper end is 1 where the images may show a few products only.
    fn at_worst(&self, [low, high]: [f64; 2]) -> [f64; 2] {
        [low, if self.few_products.is_some() { 1.0 } else { high }]
    }

    /// The score that new good images exceed with probability `rate` at the most, on average over sets of good images; there
    /// must be scores.
    ///
    /// Of `n >= 1 / rate - 1` scores it is the one of rank `ceil((n + 1)(1 - rate))` (conformal prediction: Vovk, Gammerman and
    /// Shafer, "Algorithmic Learning in a Random World", 2005): that a new score of the same distribution exceeds it has
    /// probability `1 - rank / (n + 1) <= rate`, whatever the distribution. Fewer scores show no rate so rare: the
    /// prediction limit of a log-normal distribution stands in, and never less than the largest score. So
    /// a rarer rate never has a lower threshold.
    pub fn at_rate(&self, rate: f64) -> Threshold {
        let n = self.good.len();
        let (percent, images) = (percent(rate), counted(n, "good image"));
        // The least excess of rounding must not cost a rank.
        let rank = ((n as f64 + 1.0) * (1.0 - rate) - 1e-9).ceil().max(1.0) as usize;
        let (value, interval, how, warning) = if rank <= n {
            let doubtful = doubtful(&self.good);
            let interval = self.with_left_out(rank, interval_of_rank(rank, n, doubtful));
            let how = format!(
                "at most {percent} of good images reach it: score {rank} of {images}; {} of new ones will{}",
                range(interval),
                self.left_out_in_words()
            );
            let warning = (doubtful > 0 && n - doubtful <= rank).then(|| doubts(doubtful, n));
            (f64::from(self.good[rank - 1]), interval, how, warning)
        } else {
            let largest = f64::from(self.good[n - 1]);
            let interval = self.with_left_out(n, [0.0, largest_rate(n)]);
            let how = format!(
                "at most {percent} of good images reach it, if the scores of {images} are log-normal; {} of new ones will, \
                 whatever the scores' distribution{}",
                range(interval),
                self.left_out_in_words()
            );
            (self.prediction_limit(rate).max(largest), interval, how, Some(too_few(n, rate, interval[1])))
        };
        let warning = self.few_products.map(shows_few).or(warning);
        let (rule, value, target_fpr) = (ThresholdRule::Fpr, above(value), Some(rate));
        Threshold { rule, value, how, target_fpr, interval: Some(interval), warning }
    }

    /// The interval of the score of `rank`, whose upper end allows for the scores that were left out.
    fn with_left_out(&self, rank: usize, [low, high]: [f64; 2]) -> [f64; 2] {
        self.at_worst(match self.left_out {
            0 => [low, high],
            left_out => [low, interval_of_rank(rank, self.good.len() + left_out, 0)[1]],
        })
    }

    fn left_out_in_words(&self) -> String {
        match self.left_out {
            0 => String::new(),
            1 => " (one suspected outlier that was left out counted as good)".to_owned(),
            n => format!(" ({n} suspected outliers that were left out counted as good)"),
        }
    }

    /// What a new good score exceeds with probability `rate` if scores are log-normal.
    fn prediction_limit(&self, rate: f64) -> f64 {
        let largest = self.good.last().copied().unwrap_or(0.0);
        if largest <= 0.0 {
            return f64::from(largest);
        }
        let logs: Vec<f64> = self.good.iter().map(|&score| log(score.max(FLOOR * largest))).collect();
        // No score is beyond what a score can be.
        prediction_limit(&logs, rate).exp().min(1e30)
    }

    fn at_percentile(&self) -> Threshold {
        let value = above(quantile(&self.sorted(), PERCENTILE / 100.0));
        let images = counted(self.good.len(), "good image");
        let how = format!("percentile {PERCENTILE} of the scores of {images}");
        self.without_target(ThresholdRule::Percentile, value, how)
    }

    fn at_sigmas(&self) -> Threshold {
        let (sorted, n) = (self.sorted(), self.good.len());
        let mean = sorted.iter().sum::<f64>() / n as f64;
        let value = above(mean + SIGMAS * deviation(&sorted, mean));
        let images = counted(n, "good image");
        let how = format!("mean + {SIGMAS} standard deviations of the scores of {images}");
        self.without_target(ThresholdRule::Sigma, value, how)
    }

    fn without_target(&self, rule: ThresholdRule, value: f64, how: String) -> Threshold {
        let interval = Some(self.rate_at(value).1);
        Threshold { rule, value, how, target_fpr: None, interval, warning: self.few_products.map(shows_few) }
    }

    fn sorted(&self) -> Vec<f64> {
        self.good.iter().map(|&score| f64::from(score)).collect()
    }
}

/// Why `n` good images are too few for `rate`, and what to do.
fn too_few(n: usize, rate: f64, at_most: f64) -> String {
    let needed = (1.0 / rate - 1.0 - 1e-9).ceil();
    let images = counted(n, "good image");
    let alone = if n == 1 { " Shifted copies of it stood in for other images." } else { "" };
    format!(
        "{images} cannot show a rate of {}: at least {needed} are needed.{alone} The threshold is extrapolated from how their \
         scores vary, and up to {} of good images may be rejected; add good images, or calibrate with more of them",
        percent(rate),
        percent(at_most),
    )
}

/// What it means that images may show so few products only, and what to do.
fn shows_few(products: usize) -> String {
    let (those, are) = if products == 1 {
        ("one product".to_owned(), "a new one")
    } else {
        (format!("only {products} products"), "new ones")
    };
    format!(
        "the good images look like several photos each of {those}: if they are, nothing shows how {are} differ, and all of them may be \
         rejected; photograph 20 products or more, once each. If they are kinds of a product, such as moulds, calibrate with photos \
         of other products"
    )
}

/// What doubtful scores may mean, and what to do.
fn doubts(doubtful: usize, n: usize) -> String {
    let (score, are, them) =
        if doubtful == 1 { ("scores", "it is", "it") } else { ("score", "they are", "them") };
    format!(
        "{doubtful} of {n} good images {score} far above the others and decide{} the threshold: if {are} not good, remove {them} and fit \
         anew, and small defects are found again",
        if doubtful == 1 { "s" } else { "" }
    )
}

/// A rate in percent, with two digits that count.
fn percent(rate: f64) -> String {
    let value = 100.0 * rate;
    let digits = (1.0 - value.abs().max(1e-9).log10().floor()).clamp(0.0, 6.0) as usize;
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} %")
}

fn range([low, high]: [f64; 2]) -> String {
    let low = percent(low);
    format!("{} to {} (95 % interval)", low.trim_end_matches(" %"), percent(high))
}

/// The smallest `f32` above `value`: a good score equal to its own quantile is no false alarm.
fn above(value: f64) -> f64 {
    f64::from((value as f32).next_up())
}

fn deviation(values: &[f64], mean: f64) -> f64 {
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (squares / (values.len() as f64 - 1.0).max(1.0)).sqrt()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn of(scores: &[f32]) -> Thresholds {
        Thresholds::new(scores.to_vec())
    }

    #[test]
    fn ranks_by_hand() {
        // (n + 1)(1 - rate) = 19, 95 and 96, 100, 10: scores 19 of 19, 95 of 99 .. , 10 of 19.
        for (n, rate, rank) in
            [(19, 0.05, 19), (99, 0.05, 95), (100, 0.05, 96), (100, 0.01, 100), (19, 0.5, 10)]
        {
            let thresholds = Thresholds::new((1..=n).map(|v| v as f32).collect());
            let threshold = thresholds.at_rate(rate);
            assert_eq!(threshold.value, f64::from((rank as f32).next_up()), "{n} {rate}");
            assert_eq!(threshold.interval, Some(interval_of_rank(rank, n, 0)));
            assert_eq!((threshold.warning, threshold.target_fpr), (None, Some(rate)));
        }
    }

    #[test]
    fn a_rarer_rate_never_has_a_lower_threshold() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..200 {
            let n = rng.random_range(1..150);
            let spread: f32 = rng.random_range(0.0..3.0);
            let mut scores: Vec<f32> = (0..n).map(|_| (spread * rng.random::<f32>()).exp()).collect();
            scores[0] = [0.0, 50.0, 1.0][rng.random_range(0..3)];
            let thresholds = Thresholds::new(scores);
            let mut rate = 0.9;
            let mut last = 0.0;
            while rate > 1e-6 {
                let value = thresholds.at_rate(rate).value;
                assert!(value >= last && value.is_finite(), "{n} {rate}: {value} {last}");
                (last, rate) = (value, rate * 0.8);
            }
            assert!(last > f64::from(*thresholds.good_scores().last().unwrap()));
        }
    }

    #[test]
    fn few_images_are_enough_for_a_threshold_that_warns() {
        for n in 1..=13 {
            let scores: Vec<f32> = (0..n).map(|i| 1.0 + 0.1 * i as f32).collect();
            let threshold = of(&scores).at_rate(0.01);
            let [low, high] = threshold.interval.unwrap();
            assert!(
                threshold.value > f64::from(scores[n - 1]) && threshold.value < 20.0,
                "{n}: {threshold:?}"
            );
            assert!((low, high) == (0.0, 1.0 - 0.05f64.powf(1.0 / n as f64)));
            let warning = threshold.warning.unwrap();
            assert!(warning.contains("cannot show a rate of 1 %: at least 99 are needed"), "{warning}");
            assert_eq!(warning.contains("Shifted copies"), n == 1);
        }
        let warning = of(&[1.0; 13]).at_rate(0.01).warning.unwrap();
        assert!(warning.contains("up to 21 % of good images may be rejected"), "{warning}");
        // Equal scores, and none above 0.
        assert!(of(&[1.0; 5]).at_rate(0.05).value > 1.0);
        assert_eq!(of(&[0.0; 3]).at_rate(0.05).value, f64::from(f32::from_bits(1)));
    }

    #[test]
    fn a_rate_lets_no_more_than_its_share_through() {
        let thresholds = Thresholds::new((1..=100u8).map(f32::from).collect());
        let threshold = thresholds.at_rate(0.05);
        assert_eq!(thresholds.rate_at(threshold.value), (0.04, clopper_pearson(4, 100)));
        assert_eq!(thresholds.rate_at(97.0).0, 0.04);
        assert_eq!(thresholds.rate_at(0.0).0, 1.0);
    }

    #[test]
    fn what_was_left_out_may_be_good_and_widens_the_interval_upwards() {
        let scores: Vec<f32> = (0..38u8).map(|i| 1.0 + 0.01 * f32::from(i)).collect();
        let [whole, without] = [of(&scores), of(&scores).leaving_out(2)];
        let [own, widened] = [&whole, &without].map(|thresholds| thresholds.at_rate(0.05));
        assert_eq!(own.value, widened.value);
        // Score 38 of 38 is the third largest of 40: Beta(3, 38) at 0.975.
        assert_eq!(widened.interval, Some([0.0, interval_of_rank(38, 40, 0)[1]]));
        assert!(widened.interval.unwrap()[1] > 0.16 && own.interval.unwrap()[1] < 0.08);
        assert!(
            widened.how.contains("2 suspected outliers that were left out counted as good"),
            "{}",
            widened.how
        );
        assert_eq!(without.rate_at(1.37).1, [clopper_pearson(1, 38)[0], clopper_pearson(3, 40)[1]]);
        let few = of(&scores[..10]).leaving_out(1).at_rate(0.01);
        assert_eq!(few.interval, Some([0.0, interval_of_rank(10, 11, 0)[1]]));
    }

    #[test]
    fn doubtful_scores_widen_the_interval_downwards_and_are_told() {
        let mut scores: Vec<f32> = (0..100).map(|i| 1.0 + 0.002 * i as f32).collect();
        assert_eq!(of(&scores).at_rate(0.05).warning, None);
        scores[..5].fill(3.0);
        let threshold = of(&scores).at_rate(0.05);
        let [low, high] = threshold.interval.unwrap();
        assert_eq!((low, high), (0.0, interval_of_rank(96, 100, 0)[1]));
        let warning = threshold.warning.unwrap();
        assert!(
            warning.starts_with("5 of 100 good images score far above the others and decide the threshold"),
            "{warning}"
        );
    }

    #[test]
    fn a_given_threshold_decides_and_none_without_scores() {
        let mut thresholds = Thresholds::default();
        let config = ScoreConfig::default();
        assert!(thresholds.of(&config).is_err() && thresholds.all(&config).is_empty());
        thresholds.fix(0.75);
        let threshold = thresholds.of(&config).unwrap();
        assert_eq!((threshold.value, threshold.interval), (0.75, None));
        thresholds.release();
        assert!(thresholds.of(&config).is_err());
        let mut thresholds = of(&[0.1, 0.2, 0.9]);
        thresholds.fix(0.75);
        assert_eq!(thresholds.of(&config).unwrap().interval, Some(clopper_pearson(1, 3)));
    }

    #[test]
    fn percentages_read_well() {
        let texts = [0.05, 0.01, 0.001, 0.2058, 0.6316, 0.0123, 1.0, 0.0].map(percent);
        assert_eq!(texts, ["5 %", "1 %", "0.1 %", "21 %", "63 %", "1.2 %", "100 %", "0 %"]);
    }
}

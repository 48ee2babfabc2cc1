//! What a number of good scores can say of a false-positive rate.

use statrs::distribution::{Beta, ContinuousCDF, StudentsT};

use super::robust::{median, qn};

/// Share of a 95 % interval that lies beyond either end.
const TAIL: f64 = 0.025;
/// What the scores' logarithms deviate by before any is seen: of good images of 15 products they did by 0.06 to 0.35.
const PRIOR_DEVIATION: f64 = 0.2;
/// How many scores that is worth. Without it one score had no deviation, and the 99 % point of two would lie 39 of their own
/// deviations above them.
const PRIOR_WEIGHT: f64 = 2.0;
/// Efficiency of Qn at normal distributions: how many scores each of them is worth.
const EFFICIENCY: f64 = 0.82;

/// The 95 % interval of the false-positive rate of a threshold just above the score of `rank` (from 1, ascending) of `n`
/// good images.
///
/// The rate that new images of the same process have is a draw from Beta(n + 1 - rank, rank), whatever the scores'
/// distribution (Wilks, "Determination of sample sizes for setting tolerance limits", 1941; Vovk, "Conditional validity of
/// inductive conformal predictors", 2012). Above all scores that density falls from 0 on, and the interval is one-sided.
///
/// The `doubtful` largest scores may be those of defects that nobody has seen. Without them the threshold has a higher rank
/// among fewer scores and rejects fewer good images: the interval's lower end is that.
pub(crate) fn interval_of_rank(rank: usize, n: usize, doubtful: usize) -> [f64; 2] {
    if rank == n {
        return [0.0, largest_rate(n)];
    }
    let end = |n: usize, p: f64| beta_quantile((n + 1 - rank) as f64, rank as f64, p);
    let low = if n - doubtful > rank { end(n - doubtful, TAIL) } else { 0.0 };
    [if doubtful > 0 { low } else { end(n, TAIL) }, end(n, 1.0 - TAIL)]
}

/// What 95 % of the rates of a threshold at or above the largest of `n` scores are below: Beta(1, n) in closed form.
pub(crate) fn largest_rate(n: usize) -> f64 {
    1.0 - 0.05f64.powf(1.0 / n as f64)
}

/// The 95 % interval of a rate of which `count` of `n` were seen (Clopper and Pearson, "The use of confidence or fiducial
/// limits", 1934); one-sided where none or all were.
pub(crate) fn clopper_pearson(count: usize, n: usize) -> [f64; 2] {
    let (k, n) = (count as f64, n as f64);
    match count {
        _ if n == 0.0 => [0.0, 1.0],
        0 => [0.0, largest_rate(n as usize)],
        _ if k == n => [1.0 - largest_rate(n as usize), 1.0],
        _ => [beta_quantile(k, n - k + 1.0, TAIL), beta_quantile(k + 1.0, n - k, 1.0 - TAIL)],
    }
}

/// The logarithm that the next of these logarithms, `sorted` and not empty, exceeds with probability `rate`: their median
/// and a `t` quantile of robust standard deviations, `m + t s sqrt(1 + 1 / n)`, the prediction limit of a normal
/// distribution (Hahn and Meeker, "Statistical Intervals", 1991, section 4.8).
///
/// The variance is pooled with a prior of [`PRIOR_WEIGHT`] scores (a scaled inverse chi-squared, Gelman et al., "Bayesian
/// Data Analysis", 3rd edition, section 2.6), so that it is defined for one score and bounded for two.
pub(crate) fn prediction_limit(sorted: &[f64], rate: f64) -> f64 {
    let n = sorted.len() as f64;
    let weight = EFFICIENCY * (n - 1.0);
    let freedom = PRIOR_WEIGHT + weight;
    let variance = (PRIOR_WEIGHT * PRIOR_DEVIATION.powi(2) + weight * qn(sorted).powi(2)) / freedom;
    median(sorted) + t_quantile(freedom, 1.0 - rate) * (variance * (1.0 + 1.0 / n)).sqrt()
}

/// A quantile of Beta(a, b), by bisection of its distribution function to the last bit that matters.
fn beta_quantile(a: f64, b: f64, p: f64) -> f64 {
    let Ok(beta) = Beta::new(a, b) else { return f64::NAN };
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if beta.cdf(middle) < p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

fn t_quantile(freedom: f64, p: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::NAN, |t| t.inverse_cdf(p))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64, within: f64) {
        assert!((a - b).abs() < within, "{a} is not {b}");
    }

    #[test]
    fn intervals_by_hand() {
        // Beta(1, n): 1 - (1 - x)^n = p.
        close(beta_quantile(1.0, 19.0, 0.95), 1.0 - 0.05f64.powf(1.0 / 19.0), 1e-12);
        close(largest_rate(19), 0.145_869, 1e-6);
        close(largest_rate(3), 0.631_597, 1e-6);
        assert_eq!(interval_of_rank(19, 19, 0), [0.0, largest_rate(19)]);
        // Beta(2, 2): 3 x^2 - 2 x^3 = 0.025 at 0.0943.
        let [low, high] = interval_of_rank(2, 3, 0);
        close(3.0 * low * low - 2.0 * low.powi(3), 0.025, 1e-12);
        close(low + high, 1.0, 1e-12);
        // qbeta(c(.025, .975), 10, 191) in R: 0.0241, 0.0840.
        let [low, high] = interval_of_rank(191, 200, 0);
        close(low, 0.0241, 2e-4);
        close(high, 0.0840, 4e-4);
        // Five of the nine above may be no good images: Beta(5, 191) below, all of them: 0.
        assert_eq!(interval_of_rank(191, 200, 5), [interval_of_rank(191, 195, 0)[0], high]);
        assert_eq!(interval_of_rank(191, 200, 9), [0.0, high]);
    }

    #[test]
    fn clopper_and_pearson_by_hand() {
        assert_eq!(clopper_pearson(0, 19), [0.0, largest_rate(19)]);
        assert_eq!(clopper_pearson(0, 0), [0.0, 1.0]);
        // 1 of 2: sqrt(0.975) is the upper end, its complement the lower one.
        let [low, high] = clopper_pearson(1, 2);
        close(high, 0.975f64.sqrt(), 1e-12);
        close(low, 1.0 - 0.975f64.sqrt(), 1e-12);
        let [low, high] = clopper_pearson(7, 7);
        close(low, 0.05f64.powf(1.0 / 7.0), 1e-12);
        assert_eq!(high, 1.0);
    }

    #[test]
    fn student_quantiles_are_those_of_tables() {
        for (freedom, p, t) in
            [(1.0, 0.975, 12.706), (2.0, 0.95, 2.920), (3.0, 0.99, 4.541), (9.0, 0.95, 1.833)]
        {
            close(t_quantile(freedom, p), t, 6e-4);
        }
        // Far out, as rare rates need it.
        close(t_quantile(1.0, 0.9999), 3183.1, 0.2);
    }

    #[test]
    fn one_score_has_a_limit_and_rarer_rates_have_higher_ones() {
        // sqrt(2) of the prior's deviations, t of two degrees of freedom.
        close(prediction_limit(&[0.3], 0.05), 0.3 + 2.919_986 * 0.2 * 2f64.sqrt(), 1e-5);
        for n in 1..30 {
            let logs: Vec<f64> = (0..n).map(|i| 0.01 * f64::from(i * i)).collect();
            let limits: Vec<f64> = [0.5, 0.2, 0.1, 0.05, 0.01, 1e-3, 1e-5]
                .iter()
                .map(|&rate| prediction_limit(&logs, rate))
                .collect();
            assert!(limits.is_sorted() && limits.iter().all(|l| l.is_finite()), "{limits:?}");
        }
    }
}

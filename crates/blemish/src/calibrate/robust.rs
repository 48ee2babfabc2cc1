//! Location, scale and limits that a few outliers do not move.

/// Standard deviations above the median from which a value is an outlier. Those of good images reach 2 to 4 on screw and KolektorSDD
/// (training images, commit 0fe1544).
const LIMIT: f64 = 4.5;
/// The same for values that are doubtful: of normal logarithms one in 740 lies beyond.
const DOUBTFUL: f64 = 3.0;
/// Where the upper quartile of a standard normal distribution lies.
const QUARTILE: f64 = 0.674_489_750_196_082;
/// Values that [`qn`] compares with each other, at most: beyond, evenly spaced order statistics stand for all.
const COMPARED: usize = 400;
/// Fewest values among which an outlier can be told from a wide distribution.
const FEWEST: usize = 5;
/// Standard deviations between a value and all smaller ones that set it apart (more for few values).
const GAP: f64 = 2.0;
/// Fewest values that others can stand apart from.
const FEWEST_APART: usize = 12;

/// The mean of the two middle values; `sorted` must not be empty.
pub fn median(sorted: &[f64]) -> f64 {
    let n = sorted.len();
    0.5 * (sorted[(n - 1) / 2] + sorted[n / 2])
}

/// Linear interpolation between order statistics (Hyndman and Fan 1996, type 7).
pub(crate) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let low = place.floor() as usize;
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + (place - low as f64) * (sorted[high] - sorted[low])
}

/// The scale Qn: the lower quartile of all differences between two values, made unbiased for normal distributions
/// (Rousseeuw and Croux, "Alternatives to the median absolute deviation", 1993, with the factors for small samples of Croux
/// and Rousseeuw 1992). Half of the values may be anything; its efficiency at normal distributions is 0.82, where that of
/// the median absolute deviation is 0.37. 0 for fewer than 2 values.
pub(crate) fn qn(sorted: &[f64]) -> f64 {
    const SMALL: [f64; 8] = [0.399, 0.994, 0.512, 0.844, 0.611, 0.857, 0.669, 0.872];
    let thinned: Vec<f64> = if sorted.len() > COMPARED {
        let at = |i: usize| sorted[(2 * i + 1) * sorted.len() / (2 * COMPARED)];
        (0..COMPARED).map(at).collect()
    } else {
        sorted.to_vec()
    };
    let n = thinned.len();
    if n < 2 {
        return 0.0;
    }
    let mut differences: Vec<f64> = (0..n)
        .flat_map(|i| thinned[i + 1..].iter().map(move |v| (i, v)))
        .map(|(i, v)| v - thinned[i])
        .collect();
    let half = n / 2 + 1;
    let rank = half * (half - 1) / 2;
    let raw = *differences.select_nth_unstable_by(rank - 1, f64::total_cmp).1;
    let factor = match n {
        2..=9 => SMALL[n - 2],
        n if n % 2 == 1 => n as f64 / (n as f64 + 1.4),
        n => n as f64 / (n as f64 + 3.8),
    };
    2.2219 * factor * raw
}

/// Which of these positive values are outliers among them: further above the median of the logarithms than [`LIMIT`] of their
/// standard deviations (more for few values); none of fewer than [`FEWEST`].
///
/// The standard deviation is the larger one of Qn and of what the upper quartile says, so that a distribution with a long
/// upper tail is not cut. The addition for few values keeps what is taken for an outlier among 5 to 10 normal logarithms
/// under 1 % (`a_clean_sample_seldom_has_outliers`).
pub fn outliers(values: &[f32]) -> Vec<bool> {
    beyond(values, LIMIT)
}

/// How many of these positive values are doubtful: no outliers, perhaps, but further from the others than [`DOUBTFUL`] standard
/// deviations (more for few values).
pub(crate) fn doubtful(values: &[f32]) -> usize {
    beyond(values, DOUBTFUL).into_iter().filter(|&is_beyond| is_beyond).count()
}

fn beyond(values: &[f32], deviations: f64) -> Vec<bool> {
    // Rounding to f32 must not make an outlier of a value that equals all others.
    let limit = limit(values, deviations) * (1.0 + 1e-5);
    values.iter().map(|&v| v > limit && v > f32::MIN_POSITIVE).collect()
}

fn limit(values: &[f32], deviations: f64) -> f32 {
    let n = values.len();
    if n < FEWEST {
        return f32::INFINITY;
    }
    let mut logs: Vec<f64> = values.iter().map(|&v| log(v)).collect();
    logs.sort_unstable_by(f64::total_cmp);
    (median(&logs) + deviations * few(n) * scale(&logs)).exp() as f32
}

/// By how much more limits are wider where there are few values.
fn few(values: usize) -> f64 {
    1.0 + 8.0 / values as f64
}

/// The standard deviation of most of these values, ascending.
fn scale(sorted: &[f64]) -> f64 {
    let n = sorted.len();
    qn(sorted).max((sorted[n - 1 - n / 4] - median(sorted)) / QUARTILE)
}

/// The scores that are outliers among all, or lie apart from all others; of these the largest, at most the share `most` of all scores.
pub fn suspected(scores: &[f32], most: f64) -> Vec<bool> {
    let beyond = outliers(scores).into_iter().filter(|&is_beyond| is_beyond).count();
    let count = (most * scores.len() as f64).round() as usize;
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let descending: Vec<f64> = order.iter().map(|&i| log(scores[i])).collect();
    let count = beyond.min(count).max(apart(&descending, count));
    let mut suspected = vec![false; scores.len()];
    order.into_iter().take(count).for_each(|i| suspected[i] = true);
    suspected
}

/// How many of these logarithms, at most so many and the largest ones, lie apart from all others: further above the largest of these than
/// they lie apart (after Dixon's ratio, "Processing data for outliers", 1953), or than [`GAP`] of their standard deviations. Where the
/// others are few, and so their scale is hardly known, [`LIMIT`] allows much, and yet nobody would take such a value for one
/// of them. 0 where fewer than [`FEWEST_APART`] others are left.
fn apart(descending: &[f64], most: usize) -> usize {
    let stands_apart = |&count: &usize| match &descending[count..] {
        [largest, .., least] if descending.len() - count >= FEWEST_APART => {
            let others: Vec<f64> = descending[count..].iter().rev().copied().collect();
            let gap = GAP * few(others.len()) * scale(&others);
            descending[count - 1] - largest > gap.min(largest - least)
        }
        _ => false,
    };
    (1..=most.min(descending.len())).rev().find(stands_apart).unwrap_or(0)
}

/// The logarithm of a score, finite for 0 as well.
pub fn log(value: f32) -> f64 {
    f64::from(value.max(f32::MIN_POSITIVE)).ln()
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use statrs::distribution::{ContinuousCDF, Normal};

    use super::*;

    fn normals(rng: &mut ChaCha8Rng, n: usize) -> Vec<f64> {
        (0..n).map(|_| Normal::standard().inverse_cdf(rng.random_range(1e-12..1.0))).collect()
    }

    #[test]
    fn a_value_apart_from_others_of_a_long_tail_is_suspected() {
        // Good scores of 24 parts and of one with a white square (attack of 2026-11-29): Dixon's ratio alone is just below 1.
        let mut scores = vec![
            1.468f32, 1.363, 1.166, 1.158, 1.129, 1.010, 0.9735, 0.9419, 0.9286, 0.9241, 0.836, 0.8285,
            0.7907, 0.7325, 0.7077, 0.6786, 0.6771, 0.6455, 0.62, 0.6, 0.57, 0.54, 0.5, 0.42,
        ];
        assert!(!suspected(&scores, 0.1).contains(&true));
        scores.push(4.827);
        let found = suspected(&scores, 0.1);
        assert!(found[24] && found.iter().filter(|found| **found).count() == 1);
        scores[24] = 2.0;
        assert!(!suspected(&scores, 0.1).contains(&true));
    }

    #[test]
    fn qn_by_hand() {
        // Differences 1, 3, 6, 2, 5, 3; h = 3, the third smallest is 3: 2.2219 * 0.512 * 3.
        assert!((qn(&[0.0, 1.0, 3.0, 6.0]) - 2.2219 * 0.512 * 3.0).abs() < 1e-12);
        assert_eq!((qn(&[]), qn(&[1.0]), qn(&[2.0; 9])), (0.0, 0.0, 0.0));
        assert_eq!((median(&[1.0, 2.0, 4.0]), median(&[1.0, 2.0])), (2.0, 1.5));
    }

    #[test]
    fn qn_estimates_a_standard_deviation_and_ignores_a_fifth_of_outliers() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for n in [3, 6, 10, 25, 1000] {
            let runs = 20_000 / n;
            let mut sum = 0.0;
            for _ in 0..runs {
                let mut values = normals(&mut rng, n);
                values.sort_unstable_by(f64::total_cmp);
                sum += qn(&values);
            }
            let mean = sum / runs as f64;
            assert!((mean - 1.0).abs() < 0.04, "{n}: {mean}");
        }
        let mut values = normals(&mut rng, 500);
        values[..100].fill(1e6);
        values.sort_unstable_by(f64::total_cmp);
        assert!((0.8..1.7).contains(&qn(&values)), "{}", qn(&values));
    }

    #[test]
    fn a_clean_sample_seldom_has_outliers() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for n in [5, 6, 8, 10, 20, 50, 200] {
            let runs = 2000;
            let found = (0..runs).filter(|_| {
                let values: Vec<f32> = normals(&mut rng, n).iter().map(|v| (0.2 * v).exp() as f32).collect();
                outliers(&values).contains(&true)
            });
            let share = found.count() as f64 / f64::from(runs);
            assert!(share < 0.012, "{n}: {share}");
        }
    }

    #[test]
    fn what_stands_apart_is_suspected_and_a_clean_sample_seldom_is() {
        // Logarithms from 0 to 1.9, and one at 4: twelve times the median would be the limit without.
        let mut scores: Vec<f32> = (0..20u8).map(|i| (0.1 * f32::from(i)).exp()).collect();
        scores.push(4f32.exp());
        assert!(!outliers(&scores).contains(&true));
        assert_eq!(suspected(&scores, 0.1).iter().position(|s| *s), Some(20));
        scores[20] = 3.7f32.exp();
        assert!(!suspected(&scores, 0.1).contains(&true));
        // Two of them, and never more than the share.
        scores.truncate(20);
        scores.extend([6f32.exp(), 6.1f32.exp()]);
        assert_eq!(suspected(&scores, 0.1).iter().filter(|s| **s).count(), 2);
        assert!(!suspected(&scores, 0.0).contains(&true));
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for n in [10, 13, 16, 20, 50] {
            let found = (0..2000).filter(|_| {
                let values: Vec<f32> = normals(&mut rng, n).iter().map(|v| (0.4 * v).exp() as f32).collect();
                suspected(&values, 0.1).contains(&true)
            });
            let share = found.count() as f64 / 2000.0;
            assert!(share < 0.012, "{n}: {share}");
        }
    }

    #[test]
    fn what_lies_far_beyond_the_others_is_an_outlier() {
        let mut values: Vec<f32> = (0..24u8).map(|i| 1.0 + 0.01 * f32::from(i)).collect();
        assert!(!outliers(&values).contains(&true));
        values[5] = 4.0;
        assert_eq!(outliers(&values).iter().position(|o| *o), Some(5));
        assert!(!outliers(&[1.0, 1.0, 1.0, 900.0]).contains(&true), "four are too few to tell");
        assert!(!outliers(&[1.0; 9]).contains(&true) && !outliers(&[0.0; 9]).contains(&true));
    }
}

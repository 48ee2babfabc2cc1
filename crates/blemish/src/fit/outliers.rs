//! Good images that may not be good.

use serde::{Deserialize, Serialize};

/// Standard deviations, of a normal distribution with the scores' median and upper quartile, from which an image is
/// suspected. Those of good images reach 2 to 4 (`docs/experiments/outliers.md`).
const LIMIT: f32 = 4.5;
/// Where the upper quartile of a standard normal distribution lies.
const QUARTILE: f32 = 0.6745;

/// A good image that is unlike the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuspectedOutlier {
    /// The file.
    pub path: String,
    /// Its score by parts that were fitted on others.
    pub score: f32,
    /// Whether it was left out of the fit (`fit.contamination`).
    pub left_out: bool,
}

/// The images whose scores' logarithms lie more than [`LIMIT`] robust standard deviations above the median; of these the
/// largest, at most the share `most` of all images. None where some have no score.
pub fn find(scores: &[Option<f32>], most: f64) -> Vec<bool> {
    let mut outliers = vec![false; scores.len()];
    let logs: Vec<f32> = scores.iter().flatten().map(|v| v.max(f32::MIN_POSITIVE).ln()).collect();
    if logs.len() < scores.len() || logs.is_empty() {
        return outliers;
    }
    let mut order: Vec<usize> = (0..logs.len()).collect();
    order.sort_by(|&a, &b| logs[b].total_cmp(&logs[a]));
    let [quartile, median] = [4, 2].map(|part| logs[order[logs.len() / part]]);
    let limit = median + LIMIT * (quartile - median) / QUARTILE;
    let count = (most * logs.len() as f64).round() as usize;
    order.into_iter().take(count).filter(|&i| logs[i] > limit).for_each(|i| outliers[i] = true);
    outliers
}

/// The `most` images with the largest scores, as far as they are known.
pub fn name(names: &[String], scores: &[Option<f32>], left_out: &[bool], most: usize) -> Vec<SuspectedOutlier> {
    let known = names.iter().zip(scores).zip(left_out).filter_map(|((path, &score), &left_out)| {
        Some(SuspectedOutlier { path: path.clone(), score: score?, left_out })
    });
    let mut known: Vec<SuspectedOutlier> = known.collect();
    known.sort_by(|a, b| b.score.total_cmp(&a.score));
    known.truncate(most);
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_lie_far_beyond_the_quartiles() {
        let mut scores: Vec<Option<f32>> = (0..40).map(|i| Some((0.01 * i as f32).exp())).collect();
        assert!(!find(&scores, 0.1).contains(&true));
        scores[7] = Some(20.0);
        let found = find(&scores, 0.1);
        assert!(found[7] && found.iter().filter(|f| **f).count() == 1);
        // At most the stated share, and none where a score is missing.
        assert!(!find(&scores, 0.0).contains(&true));
        scores[3] = None;
        assert!(!find(&scores, 0.1).contains(&true));
    }
}

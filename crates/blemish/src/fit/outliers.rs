//! Good images that may not be good.

use crate::calibrate::suspected;
use crate::provenance::SuspectedOutlier;

/// The images whose scores are [suspected]; none where some have no score.
pub fn find(scores: &[Option<f32>], most: f64) -> Vec<bool> {
    let known: Vec<f32> = scores.iter().flatten().copied().collect();
    if known.len() < scores.len() { vec![false; scores.len()] } else { suspected(&known, most) }
}

/// The `most` images with the largest scores, as far as they are known.
pub fn name(
    names: &[String],
    scores: &[Option<f32>],
    left_out: &[bool],
    most: usize,
) -> Vec<SuspectedOutlier> {
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

//! Greedy k-centre selection (Sener and Savarese 2018).

use rayon::prelude::*;

use super::super::places::squared_distance;

/// Points from which on one selection is worth several threads.
const MANY: usize = 4096;

/// Greedy k-centre selection: the point nearest the mean, then ever again the one that is furthest from all chosen ones, of equals the
/// last. `min(keep, points)` are chosen. The result does not depend on the number of threads.
pub(crate) fn k_centres(points: &[f32], dims: usize, keep: usize) -> Vec<usize> {
    let n = points.len() / dims;
    let point = |i: usize| &points[i * dims..][..dims];
    let mut mean = vec![0.0; dims];
    for i in 0..n {
        mean.iter_mut().zip(point(i)).for_each(|(m, v)| *m += v / n as f32);
    }
    let from_mean: Vec<f32> = (0..n).map(|i| squared_distance(point(i), &mean)).collect();
    let mut chosen: Vec<usize> =
        (0..n).min_by(|&a, &b| from_mean[a].total_cmp(&from_mean[b])).into_iter().collect();
    let mut away = vec![f32::INFINITY; n];
    while chosen.len() < keep.min(n) {
        let latest = chosen.last().map_or(&[][..], |&i| point(i));
        let nearer = |(i, away): (usize, &mut f32)| *away = away.min(squared_distance(point(i), latest));
        if n < MANY {
            away.iter_mut().enumerate().for_each(nearer);
        } else {
            away.par_iter_mut().enumerate().with_min_len(MANY / 2).for_each(nearer);
        }
        chosen.extend((0..n).max_by(|&a, &b| away[a].total_cmp(&away[b])));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn centres_are_spread_and_never_more_than_there_are_points() {
        let points = [0.0, 0.1, 0.2, 5.0, 5.1, -9.0];
        let mut chosen = k_centres(&points, 1, 3);
        chosen.sort_unstable();
        assert!(chosen.contains(&5) && chosen.iter().any(|i| (3..5).contains(i)), "{chosen:?}");
        assert_eq!(k_centres(&points, 1, 9).len(), 6);
        // As many as there are, each once, on many threads too.
        let many: Vec<f32> = (0..5000u16).map(|i| f32::from(i).sin()).collect();
        let mut chosen = k_centres(&many, 1, 300);
        assert!((many[chosen[0]]).abs() < 0.01);
        chosen.sort_unstable();
        chosen.dedup();
        assert_eq!(chosen.len(), 300);
    }
}

//! Greedy k-centre selection (Sener and Savarese 2018).

/// Greedy k-centre selection: the point nearest the mean, then ever again the one that is furthest from all chosen ones.
pub(crate) fn k_centres(points: &[f32], dims: usize, keep: usize) -> Vec<usize> {
    let n = points.len() / dims;
    let point = |i: usize| &points[i * dims..][..dims];
    let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
    let mut mean = vec![0.0; dims];
    for i in 0..n {
        mean.iter_mut().zip(point(i)).for_each(|(m, v)| *m += v / n as f32);
    }
    let mut chosen: Vec<usize> = (0..n)
        .min_by(|&a, &b| distance(point(a), &mean).total_cmp(&distance(point(b), &mean)))
        .into_iter()
        .collect();
    let mut away = vec![f32::INFINITY; n];
    while chosen.len() < keep.min(n) {
        let latest = chosen.last().map_or(&[][..], |&i| point(i));
        for (i, away) in away.iter_mut().enumerate() {
            *away = away.min(distance(point(i), latest));
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
    }
}

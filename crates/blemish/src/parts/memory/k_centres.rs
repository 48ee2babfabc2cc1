//! Greedy k-centre selection (Sener and Savarese 2018).

use super::super::places::squared_distance;

/// What is added to a bound, so that rounding does not leave out what it must not.
const ROUNDING: f32 = 1.001;

/// A chosen point and those that are nearest to it of all that are chosen.
struct Centre {
    point: usize,
    members: Vec<usize>,
    /// The squared distance of the member that is furthest away, of equals the last, and which it is.
    furthest: (f32, usize),
}

/// Greedy k-centre selection: the point nearest the mean, then ever again the one that is furthest from all chosen ones, of equals the
/// last. `min(keep, points)` are chosen.
///
/// A point is compared with a new centre only where the triangle inequality allows that to be nearer: where the new centre is less than
/// twice as far from its own centre as the point is (Elkan 2003).
pub(crate) fn k_centres(points: &[f32], dims: usize, keep: usize) -> Vec<usize> {
    let n = points.len() / dims;
    let point = |i: usize| &points[i * dims..][..dims];
    let mut mean = vec![0.0; dims];
    for i in 0..n {
        mean.iter_mut().zip(point(i)).for_each(|(m, v)| *m += v / n as f32);
    }
    let from_mean: Vec<f32> = (0..n).map(|i| squared_distance(point(i), &mean)).collect();
    let Some(first) = (0..n).min_by(|&a, &b| from_mean[a].total_cmp(&from_mean[b])) else {
        return Vec::new();
    };
    let mut away: Vec<f32> = (0..n).map(|i| squared_distance(point(i), point(first))).collect();
    let mut centres = vec![Centre::new(first, (0..n).collect(), &away)];
    while centres.len() < keep.min(n) {
        let furthest = centres
            .iter()
            .map(|centre| centre.furthest)
            .max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let Some((_, latest)) = furthest else { break };
        let mut taken = Vec::new();
        for centre in &mut centres {
            let between = squared_distance(point(centre.point), point(latest));
            let is_near = |squared: f32| between < 4.0 * ROUNDING * squared;
            if !is_near(centre.furthest.0) {
                continue;
            }
            let before = taken.len();
            centre.members.retain(|&i| {
                let distance =
                    if is_near(away[i]) { squared_distance(point(i), point(latest)) } else { f32::INFINITY };
                let stays = distance >= away[i];
                if !stays {
                    away[i] = distance;
                    taken.push(i);
                }
                stays
            });
            if taken.len() > before {
                centre.furthest = furthest_of(&centre.members, &away);
            }
        }
        centres.push(Centre::new(latest, taken, &away));
    }
    centres.into_iter().map(|centre| centre.point).collect()
}

impl Centre {
    fn new(point: usize, members: Vec<usize>, away: &[f32]) -> Self {
        let furthest = furthest_of(&members, away);
        Self { point, members, furthest }
    }
}

/// The squared distance of the member that is furthest away, of equals the last, and which it is; of none, nothing is further.
fn furthest_of(members: &[usize], away: &[f32]) -> (f32, usize) {
    let all = members.iter().map(|&i| (away[i], i));
    all.max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))).unwrap_or((f32::NEG_INFINITY, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_would_not_be_nearer() {
        let (dims, n) = (3, 700);
        let points: Vec<f32> =
            (0..dims * n).map(|i| ((i * i % 7919) as f32 * 0.37).sin() * (1.0 + (i % 5) as f32)).collect();
        let point = |i: usize| &points[i * dims..][..dims];
        let chosen = k_centres(&points, dims, 200);
        for (k, &next) in chosen.iter().enumerate().skip(1) {
            let away = |i: usize| {
                let all = chosen[..k].iter().map(|&c| squared_distance(point(i), point(c)));
                all.fold(f32::INFINITY, f32::min)
            };
            let furthest = (0..n).max_by(|&a, &b| away(a).total_cmp(&away(b)));
            assert_eq!(furthest, Some(next), "{k}");
        }
        // Where there are fewer kinds of points than are asked for, some are chosen twice.
        assert_eq!(k_centres(&[2.0; 6], 1, 4).len(), 4);
        assert!(k_centres(&[], 1, 4).is_empty());
    }

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

//! Greedy k-centre selection (Sener and Savarese 2018).

use super::super::places::squared_distance;
use crate::error::Result;
use crate::good::Progress;

/// What is added to a bound, so that rounding does not leave out what it must not.
const ROUNDING: f32 = 1.001;
/// What is furthest where there is nothing: anything is further.
const NOTHING: (f32, usize) = (f32::NEG_INFINITY, 0);

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
///
/// # Errors
/// [`Error::Interrupted`](crate::Error::Interrupted).
pub(crate) fn k_centres(
    points: &[f32],
    dims: usize,
    keep: usize,
    progress: &Progress<'_>,
) -> Result<Vec<usize>> {
    let n = points.len() / dims;
    let point = |i: usize| &points[i * dims..][..dims];
    let mut mean = vec![0.0; dims];
    for i in 0..n {
        mean.iter_mut().zip(point(i)).for_each(|(m, v)| *m += v / n as f32);
    }
    let from_mean: Vec<f32> = (0..n).map(|i| squared_distance(point(i), &mean)).collect();
    let Some(first) = (0..n).min_by(|&a, &b| from_mean[a].total_cmp(&from_mean[b])) else {
        return Ok(Vec::new());
    };
    let mut away: Vec<f32> = (0..n).map(|i| squared_distance(point(i), point(first))).collect();
    let mut centres = vec![Centre::new(first, (0..n).collect(), &away)];
    while centres.len() < keep.min(n) {
        progress.check()?;
        let (_, latest) = furthest_of(centres.iter().map(|centre| centre.furthest));
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
                centre.look_again(&away);
            }
        }
        centres.push(Centre::new(latest, taken, &away));
    }
    Ok(centres.into_iter().map(|centre| centre.point).collect())
}

impl Centre {
    fn new(point: usize, members: Vec<usize>, away: &[f32]) -> Self {
        let mut centre = Self { point, members, furthest: NOTHING };
        centre.look_again(away);
        centre
    }

    /// Finds its furthest member anew.
    fn look_again(&mut self, away: &[f32]) {
        self.furthest = furthest_of(self.members.iter().map(|&i| (away[i], i)));
    }
}

/// Of squared distances and whose they are the largest, of equals the last.
fn furthest_of(all: impl Iterator<Item = (f32, usize)>) -> (f32, usize) {
    all.max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))).unwrap_or(NOTHING)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::Error;

    fn choice(points: &[f32], dims: usize, keep: usize, stop: bool) -> Result<Vec<usize>> {
        let stop = AtomicBool::new(stop);
        k_centres(points, dims, keep, &Progress::new(&|_| {}, &stop))
    }

    #[expect(clippy::unwrap_used, reason = "tests")]
    fn chosen_of(points: &[f32], dims: usize, keep: usize) -> Vec<usize> {
        choice(points, dims, keep, false).unwrap()
    }

    #[test]
    fn a_choice_stops_where_that_is_asked_for() {
        let stopped = choice(&[0.0, 1.0, 2.0], 1, 2, true);
        assert!(matches!(stopped, Err(Error::Interrupted)), "{stopped:?}");
    }

    #[test]
    fn what_is_left_out_would_not_be_nearer() {
        let (dims, n) = (3, 700);
        let points: Vec<f32> =
            (0..dims * n).map(|i| ((i * i % 7919) as f32 * 0.37).sin() * (1.0 + (i % 5) as f32)).collect();
        let point = |i: usize| &points[i * dims..][..dims];
        let chosen = chosen_of(&points, dims, 200);
        for (k, &next) in chosen.iter().enumerate().skip(1) {
            let away = |i: usize| {
                let all = chosen[..k].iter().map(|&c| squared_distance(point(i), point(c)));
                all.fold(f32::INFINITY, f32::min)
            };
            let furthest = (0..n).max_by(|&a, &b| away(a).total_cmp(&away(b)));
            assert_eq!(furthest, Some(next), "{k}");
        }
        // Where there are fewer kinds of points than are asked for, some are chosen twice.
        assert_eq!(chosen_of(&[2.0; 6], 1, 4).len(), 4);
        assert!(chosen_of(&[], 1, 4).is_empty());
    }

    #[test]
    fn centres_are_spread_and_never_more_than_there_are_points() {
        let points = [0.0, 0.1, 0.2, 5.0, 5.1, -9.0];
        let mut chosen = chosen_of(&points, 1, 3);
        chosen.sort_unstable();
        assert!(chosen.contains(&5) && chosen.iter().any(|i| (3..5).contains(i)), "{chosen:?}");
        assert_eq!(chosen_of(&points, 1, 9).len(), 6);
        // Of many, each once.
        let many: Vec<f32> = (0..5000u16).map(|i| f32::from(i).sin()).collect();
        let mut chosen = chosen_of(&many, 1, 300);
        assert!((many[chosen[0]]).abs() < 0.01);
        chosen.sort_unstable();
        chosen.dedup();
        assert_eq!(chosen.len(), 300);
    }
}

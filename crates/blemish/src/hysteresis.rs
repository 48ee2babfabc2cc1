//! What lies beside an anomalous pixel is likelier part of the defect than the same value anywhere else.

use blemish_kernels::math::exp;
use blemish_kernels::simd::run;

/// The most that good images show. Larger values spread no further.
pub(crate) const NORMAL_MAX: f32 = 1.0;
/// The distance in which the share of a neighbour falls to 1 / e where a map is 1, pixels; below that in proportion.
const FADING: f32 = 256.0;

/// Raises values of a map `[H, W]` towards the largest one near them: `map(p)^(1/4) near(p)^(3/4)`, where `near(p)` is `max over q and
/// ways from p to q of min(map(q), 1) exp(-length of the way)` and a step of a way counts one pixel over `256 min(map, 1)`. So
/// cracks are followed through where they fade, as Canny's hysteresis does (1986) but without thresholds; stains are filled, and
/// specks that stand alone stay what they are.
///
/// Steps go to the eight neighbours (Borgefors 1986), along ways that two passes find. Nothing is raised beyond 1, nor
/// beyond the largest value, so no score that is that value, and no outline at more than 1, changes; what is not above 0, or
/// NaN, is left alone.
pub fn propagate(map: &mut [f32], width: usize) {
    // What a step into each pixel leaves of a share.
    let leaves = |step: f32| {
        let mut left = map.to_vec();
        run(
            #[inline(always)]
            || left.iter_mut().for_each(|v| *v = exp(-step / (FADING * v.clamp(0.0, NORMAL_MAX)))),
        );
        left
    };
    let (mut straight, mut diagonal) = (leaves(1.0), leaves(std::f32::consts::SQRT_2));
    let mut near: Vec<f32> = map.iter().map(|v| v.clamp(0.0, NORMAL_MAX)).collect();
    // Down, along every row to the right and back; then up.
    for _ in 0..2 {
        let mut before = vec![0.0; width];
        for (y, row) in near.chunks_exact_mut(width).enumerate() {
            let [straight, diagonal] = [&straight, &diagonal].map(|left| &left[y * width..][..width]);
            run(
                #[inline(always)]
                || {
                    step(row, straight, &before);
                    step(&mut row[1..], &diagonal[1..], &before);
                    step(row, diagonal, &before[1..]);
                },
            );
            for x in 1..width {
                row[x] = larger(row[x], straight[x] * row[x - 1]);
            }
            for x in (1..width).rev() {
                row[x - 1] = larger(row[x - 1], straight[x - 1] * row[x]);
            }
            before.copy_from_slice(row);
        }
        for values in [&mut near, &mut straight, &mut diagonal] {
            values.reverse();
        }
    }
    run(
        #[inline(always)]
        || {
            for (v, near) in map.iter_mut().zip(&near) {
                let raised = (near * (*v * near).sqrt()).sqrt();
                *v = if *v > 0.0 && near > v { raised } else { *v };
            }
        },
    );
}

/// Steps from pixels `before` into those of `row`, with what they leave.
#[inline(always)]
fn step(row: &mut [f32], leaves: &[f32], before: &[f32]) {
    for ((v, leaves), before) in row.iter_mut().zip(leaves).zip(before) {
        *v = larger(*v, leaves * before);
    }
}

/// The larger one; `a` if either is NaN.
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn raised(value: f32, near: f32) -> f32 {
        value.powf(0.25) * near.powf(0.75)
    }

    #[test]
    fn one_peak_by_hand() {
        let (height, width) = (21, 51);
        let mut map = vec![1.0 / 32.0; height * width];
        map[10 * width + 12] = 1.0;
        propagate(&mut map, width);
        assert_eq!(map[10 * width + 12], 1.0);
        let root2 = std::f32::consts::SQRT_2;
        for (y, x, steps) in [(10, 15, 3.0), (6, 12, 4.0), (13, 15, 3.0 * root2), (8, 7, 3.0 + 2.0 * root2)] {
            // 256 / 32 pixels to 1 / e.
            let expected = raised(1.0 / 32.0, (-steps / 8.0f32).exp());
            assert!((map[y * width + x] - expected).abs() < 1e-5, "{y} {x}");
        }
        // Beyond 28 pixels it is no longer above what is there.
        assert_eq!(map[10 * width + 41], 1.0 / 32.0);
    }

    #[test]
    fn a_crack_is_followed_through_where_it_fades() {
        let (height, width) = (9, 60);
        let (ground, crack) = (0.0125, 0.0625);
        let mut map = vec![ground; height * width];
        map[4 * width..][..50].fill(crack);
        map[4 * width + 10] = 2.0;
        propagate(&mut map, width);
        // Along the crack it fades in 16 pixels, beside it in 3.2; what is 2 spreads as 1 does.
        for (x, steps) in [(0, 10.0), (30, 20.0), (42, 32.0)] {
            let expected = raised(crack, (-steps / 16.0f32).exp());
            assert!((map[4 * width + x] - expected).abs() < 1e-5, "{x}: {} {expected}", map[4 * width + x]);
        }
        let beside = raised(ground, (-3.0 / 3.2f32).exp());
        assert!((map[width + 10] - beside).abs() < 1e-5, "{} {beside}", map[width + 10]);
        assert_eq!((map[4 * width + 10], map[8 * width + 59]), (2.0, ground));
    }

    #[test]
    fn nothing_is_raised_beyond_what_is_usual() {
        let mut map = [9.0, 0.9, 1.0, 1.5, 0.5, 0.0];
        propagate(&mut map, 6);
        assert_eq!((map[0], map[2], map[3], map[5]), (9.0, 1.0, 1.5, 0.0));
        assert!(map[1] > 0.9 && map[1] < 1.0 && map[4] > 0.5 && map[4] < 1.0, "{map:?}");
    }

    #[test]
    fn every_direction_is_looked_into_and_the_most_stays() {
        let (height, width) = (17, 23);
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let map: Vec<f32> =
            (0..height * width).map(|_| rng.random_range(0.01f32..1.0).powi(3) / 8.0).collect();
        let left = |p: usize, q: usize| {
            let length = if p % width == q % width || p / width == q / width { 1.0 } else { 2f32.sqrt() };
            (-length / (256.0 * map[p])).exp()
        };
        // All ways there are, until nothing grows.
        let mut near = map.clone();
        loop {
            let before = near.clone();
            for (p, near) in near.iter_mut().enumerate() {
                for (q, before) in before.iter().enumerate() {
                    let beside = (p / width).abs_diff(q / width).max((p % width).abs_diff(q % width)) == 1;
                    *near = near.max(if beside { before * left(p, q) } else { 0.0 });
                }
            }
            if near == before {
                break;
            }
        }
        let mut heeding = map.clone();
        propagate(&mut heeding, width);
        let exact: Vec<f32> = map.iter().zip(&near).map(|(v, near)| raised(*v, *near)).collect();
        for ((v, heeding), exact) in map.iter().zip(&heeding).zip(&exact) {
            assert!(heeding >= v && *heeding < exact * (1.0 + 1e-5));
        }
        let close = heeding.iter().zip(&exact).filter(|(v, exact)| **v > 0.99 * **exact).count();
        assert!(close * 10 > 9 * map.len(), "two passes find nearly all: {close} of {}", map.len());
        let most = |map: &[f32]| map.iter().copied().fold(0.0, f32::max);
        assert_eq!(most(&heeding), most(&map));
        // The same seen in a mirror, whichever way it is turned.
        let mut back: Vec<f32> = map.iter().rev().copied().collect();
        propagate(&mut back, width);
        let differing = back.iter().rev().zip(&heeding).filter(|(a, b)| (*a - *b).abs() > 0.01 * **b).count();
        assert!(differing * 10 < map.len(), "{differing}");
    }

    #[test]
    fn what_is_no_number_stays_visible_and_alone() {
        let mut map = vec![0.5; 9];
        (map[4], map[8]) = (f32::NAN, -1.0);
        propagate(&mut map, 3);
        assert!(map[4].is_nan() && map[8] == -1.0);
        assert!(map.iter().enumerate().all(|(i, &v)| i == 4 || i == 8 || v == 0.5), "{map:?}");
        propagate(&mut [], 3);
    }
}

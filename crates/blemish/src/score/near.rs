//! What lies beside something strange is likelier part of it than the same value anywhere else.

use crate::kernels::math::exp;
use crate::kernels::simd::run;

/// The distance in which the share of a neighbour falls to 1 / e where a map is 1, pixels; elsewhere in proportion.
const FADING: f32 = 64.0;
/// Values from here on fade like this one: around what is very strange a map is strange beyond its outline.
const ENOUGH: f32 = 0.35;

/// Raises every value of a part's map `[H, W]` to its geometric mean with the largest value near it, `max over q and ways from p
/// to q of map(q) exp(-length of the way)`, where a step of a way counts one pixel over `64 min(map, 0.35)`. So cracks are followed
/// through where they fade, as Canny's hysteresis does (1986) but without thresholds; outlines reach as far as a person draws
/// them, and specks that stand alone stay what they are.
///
/// Steps go to the eight neighbours (Borgefors 1986), along ways that two passes find. The largest value stays what it is, so no
/// score and no threshold changes; what is not above 0, or no number, is left alone.
pub fn heed_neighbours(map: &mut [f32], width: usize) {
    // What a step into each pixel leaves of a share.
    let leaves = |step: f32| {
        let mut left = map.to_vec();
        run(
            #[inline(always)]
            || left.iter_mut().for_each(|v| *v = exp(-step / (FADING * v.clamp(0.0, ENOUGH)))),
        );
        left
    };
    let (mut straight, mut diagonal) = (leaves(1.0), leaves(std::f32::consts::SQRT_2));
    let mut near = map.to_vec();
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
    for (v, near) in map.iter_mut().zip(near) {
        if *v > 0.0 && near > *v {
            *v = (*v * near).sqrt();
        }
    }
}

/// Steps from pixels `before` into those of `row`, with what they leave.
#[inline(always)]
fn step(row: &mut [f32], leaves: &[f32], before: &[f32]) {
    for ((v, leaves), before) in row.iter_mut().zip(leaves).zip(before) {
        *v = larger(*v, leaves * before);
    }
}

/// The larger one; `a` if either is no number.
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn one_peak_by_hand() {
        let (height, width) = (21, 31);
        let mut map = vec![0.125; height * width];
        map[10 * width + 12] = 1.0;
        heed_neighbours(&mut map, width);
        assert_eq!(map[10 * width + 12], 1.0);
        let root2 = std::f32::consts::SQRT_2;
        for (y, x, steps) in [(10, 15, 3.0), (6, 12, 4.0), (13, 15, 3.0 * root2), (8, 7, 3.0 + 2.0 * root2)] {
            // 64 / 8 pixels to 1 / e.
            let expected = (0.125 * (-steps / 8.0f32).exp()).sqrt().max(0.125);
            assert!((map[y * width + x] - expected).abs() < 1e-5, "{y} {x}");
        }
        // Beyond 16 pixels it is no longer above what is there.
        assert_eq!(map[10 * width + 30], 0.125);
    }

    #[test]
    fn a_crack_is_followed_through_where_it_fades() {
        let (height, width) = (9, 60);
        let mut map = vec![0.05; height * width];
        map[4 * width..][..50].fill(0.25);
        map[4 * width + 10] = 2.0;
        let along = |steps: f32, fading: f32| 2.0 * (-steps / fading).exp();
        let before = map.clone();
        heed_neighbours(&mut map, width);
        // Along the crack it fades in 16 pixels, beside it in 3.2.
        for (x, steps) in [(0, 10.0), (30, 20.0), (42, 32.0)] {
            let expected = (0.25 * along(steps, 16.0)).sqrt();
            assert!((map[4 * width + x] - expected).abs() < 1e-5, "{x}: {} {expected}", map[4 * width + x]);
        }
        let beside = (0.05 * along(3.0, 3.2)).sqrt();
        assert!((map[width + 10] - beside).abs() < 1e-5, "{} {beside}", map[width + 10]);
        assert_eq!(map[8 * width + 59], before[8 * width + 59]);
        // What is very strange fades in 22 pixels, no slower.
        let mut strong = vec![1.0; 40];
        strong[0] = 9.0;
        heed_neighbours(&mut strong, 40);
        assert!((strong[16] - (9.0 * (-16.0 / 22.4f32).exp()).sqrt()).abs() < 1e-5);
    }

    #[test]
    fn every_direction_is_looked_into_and_the_most_stays() {
        let (height, width) = (17, 23);
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let map: Vec<f32> = (0..height * width).map(|_| rng.random_range(0.01f32..1.0).powi(3)).collect();
        let left = |p: usize, q: usize| {
            let length = if p % width == q % width || p / width == q / width { 1.0 } else { 2f32.sqrt() };
            (-length / (64.0 * map[p].min(0.35))).exp()
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
        heed_neighbours(&mut heeding, width);
        let exact: Vec<f32> = map.iter().zip(&near).map(|(v, near)| (v * near).sqrt()).collect();
        for ((v, heeding), exact) in map.iter().zip(&heeding).zip(&exact) {
            assert!(heeding >= v && *heeding < exact * (1.0 + 1e-5));
        }
        let close = heeding.iter().zip(&exact).filter(|(v, exact)| **v > 0.99 * **exact).count();
        assert!(close * 10 > 9 * map.len(), "two passes find nearly all: {close} of {}", map.len());
        let most = |map: &[f32]| map.iter().copied().fold(0.0, f32::max);
        assert_eq!(most(&heeding), most(&map));
        // The same seen in a mirror, whichever way it is turned.
        let mut back: Vec<f32> = map.iter().rev().copied().collect();
        heed_neighbours(&mut back, width);
        let differing = back.iter().rev().zip(&heeding).filter(|(a, b)| (*a - *b).abs() > 0.01 * **b).count();
        assert!(differing * 10 < map.len(), "{differing}");
    }

    #[test]
    fn what_is_no_number_stays_visible_and_alone() {
        let mut map = vec![0.5; 9];
        (map[4], map[8]) = (f32::NAN, -1.0);
        heed_neighbours(&mut map, 3);
        assert!(map[4].is_nan() && map[8] == -1.0);
        assert!(map.iter().enumerate().all(|(i, &v)| i == 4 || i == 8 || v == 0.5), "{map:?}");
        heed_neighbours(&mut [], 3);
    }
}

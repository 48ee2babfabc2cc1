//! What lies beside something strange is likelier part of it than the same value anywhere else.

/// The distance in which the share of a neighbour falls to 1 / e, pixels.
const FADING: f32 = 8.0;

/// Raises every value of a map `[H, W]` to its geometric mean with the largest value near it, `max over q of map(q) exp(-|p - q| /
/// 8)`: cracks are closed where they fade, outlines reach as far as a person draws them, and specks that stand alone stay
/// what they are. Distances are those of steps to the eight neighbours (Borgefors 1986). The largest value stays what it is, so
/// no score and no threshold changes; what is not above 0, or no number, is left alone.
pub fn heed_neighbours(map: &mut [f32], width: usize) {
    let [straight, diagonal] = [1.0, std::f32::consts::SQRT_2].map(|step: f32| (-step / FADING).exp());
    let mut near = map.to_vec();
    // Down and to the right, then back: every path is a run of steps of the one and then of the other kind.
    for _ in 0..2 {
        let mut before = vec![0.0; width];
        for row in near.chunks_exact_mut(width) {
            for (x, v) in row.iter_mut().enumerate() {
                let beside = [x.checked_sub(1), (x + 1 < width).then_some(x + 1)].into_iter().flatten();
                let most = beside.fold(straight * before[x], |most, x| larger(most, diagonal * before[x]));
                *v = larger(*v, most);
            }
            for x in 1..width {
                row[x] = larger(row[x], straight * row[x - 1]);
            }
            before.copy_from_slice(row);
        }
        near.reverse();
    }
    for (v, near) in map.iter_mut().zip(near) {
        if *v > 0.0 && near > *v {
            *v = (*v * near).sqrt();
        }
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
        let mut map = vec![0.25; height * width];
        map[10 * width + 12] = 1.0;
        heed_neighbours(&mut map, width);
        assert_eq!(map[10 * width + 12], 1.0);
        let root2 = std::f32::consts::SQRT_2;
        for (y, x, steps) in [(10, 15, 3.0), (6, 12, 4.0), (13, 15, 3.0 * root2), (8, 7, 3.0 + 2.0 * root2)] {
            let expected = (0.25 * (-steps / 8.0f32).exp()).sqrt().max(0.25);
            assert!((map[y * width + x] - expected).abs() < 1e-5, "{y} {x}");
        }
        // Beyond 11 pixels it is no longer above what is there.
        assert_eq!(map[10 * width + 30], 0.25);
    }

    #[test]
    fn every_direction_is_looked_into_and_the_most_stays() {
        let (height, width) = (17, 23);
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let map: Vec<f32> = (0..height * width).map(|_| rng.random_range(0.01f32..1.0).powi(6)).collect();
        let mut heeding = map.clone();
        heed_neighbours(&mut heeding, width);
        let steps = |p: usize, q: usize| {
            let (dy, dx) = ((p / width).abs_diff(q / width) as f32, (p % width).abs_diff(q % width) as f32);
            dy.max(dx) - dy.min(dx) + std::f32::consts::SQRT_2 * dy.min(dx)
        };
        for p in 0..map.len() {
            let near = (0..map.len()).map(|q| map[q] * (-steps(p, q) / 8.0).exp()).fold(0.0, f32::max);
            assert!((heeding[p] - (map[p] * near).sqrt()).abs() < 1e-5, "{p}");
        }
        let most = |map: &[f32]| map.iter().copied().fold(0.0, f32::max);
        assert_eq!(most(&heeding), most(&map));
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

//! From the maps of parts to one map and a score.

use crate::config::{Config, Reduce, ScoreConfig};
use crate::hysteresis::propagate;
use crate::image::Image;
use crate::parts::FittedPart;
use rayon::prelude::*;

/// Share of a map's largest values that a surface's score is the mean of.
const TOP_SHARE: f64 = 0.003;

/// What parts say of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The joint map of its view, `[H, W]`.
    pub map: Vec<f32>,
    /// Its score; NaN where a map has a value that is not finite.
    pub score: f32,
}

/// What `parts` say of a normalised view of an image of `original` height and width. What is not 0 in `ignored` is 0 in maps.
pub fn see(
    parts: &[FittedPart],
    image: &Image,
    config: &Config,
    original: [usize; 2],
    ignored: Option<&[f32]>,
) -> Seen {
    let maps = parts.par_iter().map(|part| part.map(image)).collect();
    let (shown, apart) = halves(parts, maps, config, original, ignored);
    let (Some(apart), Some(scale)) = (apart, parts.iter().find_map(|part| part.common_scale)) else {
        return shown;
    };
    Seen { score: scale.score(shown.score, apart.score), map: scale.map(shown.score, shown.map, &apart.map) }
}

/// Joins the calibrated maps of `parts`: those that are shown, and those that are scored apart, where there are both.
pub fn halves(
    parts: &[FittedPart],
    maps: Vec<Vec<f32>>,
    config: &Config,
    original: [usize; 2],
    ignored: Option<&[f32]>,
) -> (Seen, Option<Seen>) {
    let all = parts.iter().zip(maps);
    let (apart, shown): (Vec<_>, Vec<_>) = all.partition(|(part, _)| part.kind.scored_apart);
    let seen = |group: Vec<(&FittedPart, Vec<f32>)>| {
        let map = combine(group, config.view().size_of(original)[1], ignored);
        let is_finite = map.iter().all(|v| v.is_finite());
        Seen { score: if is_finite { view_score(&map, config, original) } else { f32::NAN }, map }
    };
    match (shown.is_empty(), apart.is_empty()) {
        (true, _) => (seen(apart), None),
        (_, true) => (seen(shown), None),
        _ => {
            let (shown, apart) = rayon::join(|| seen(shown), || seen(apart));
            (shown, Some(apart))
        }
    }
}

/// At each pixel the largest of calibrated maps of rows of `width`, propagated. What is not 0 in `ignored` becomes 0 before anything
/// can spread from there.
fn combine(maps: Vec<(&FittedPart, Vec<f32>)>, width: usize, ignored: Option<&[f32]>) -> Vec<f32> {
    let is_calibrated = maps.iter().any(|(part, _)| part.is_calibrated());
    let mut joint = maps
        .into_iter()
        .map(|(_, map)| map)
        .reduce(|mut joint, other| {
            for (v, other) in joint.iter_mut().zip(other) {
                // A value that is not a number stays visible.
                if other > *v || other.is_nan() {
                    *v = other;
                }
            }
            joint
        })
        .unwrap_or_default();
    ignore(&mut joint, ignored);
    if is_calibrated {
        propagate(&mut joint, width);
    }
    joint
}

/// Sets to 0 what is not 0 in `ignored`, unless it is not a number, which must be seen.
pub fn ignore(map: &mut [f32], ignored: Option<&[f32]>) {
    for (v, &ignored) in map.iter_mut().zip(ignored.unwrap_or_default()) {
        if ignored != 0.0 && v.is_finite() {
            *v = 0.0;
        }
    }
}

/// Whether maps are propagated: where values are calibrated, so that 1 is the most that is normal.
pub(crate) fn propagates(parts: &[FittedPart]) -> bool {
    parts.iter().any(FittedPart::is_calibrated)
}

/// The image's score: the largest value of its map, or the mean of the largest 0.3 % (at least one).
pub fn image_score(map: &[f32], score: &ScoreConfig) -> f32 {
    match score.reduce {
        Reduce::Max | Reduce::Auto => map.iter().copied().fold(f32::MIN, f32::max),
        Reduce::TopMean => {
            let count = ((map.len() as f64 * TOP_SHARE).round() as usize).clamp(1, map.len());
            let mut values = map.to_vec();
            let split = values.len() - count;
            values.select_nth_unstable_by(split, f32::total_cmp);
            // From the largest on: which of equal values were taken, and where they lay, is nothing to the sum.
            let top = &mut values[split..];
            top.sort_unstable_by(f32::total_cmp);
            (top.iter().map(|&v| f64::from(v)).sum::<f64>() / count as f64) as f32
        }
    }
}

/// The score of a view's map, of an image of `original` height and width; regions smaller than `score.min_area` do not count.
pub fn view_score(map: &[f32], config: &Config, original: [usize; 2]) -> f32 {
    match config.least_area(original) {
        1 => image_score(map, &config.score),
        least => {
            let [_, width] = config.view().size_of(original);
            image_score(&area_open(map, width, least), &config.score)
        }
    }
}

/// The area opening of a map of rows of `width`: each value lowered to the most at which its 8-connected region of values no
/// smaller has `least` pixels (Vincent, "Morphological area openings and closings for grey-scale images", 1993; computed by
/// union-find as Meijster and Wilkinson, "A comparison of algorithms for connected set openings and closings", 2002).
///
/// So regions that are too small make no score, at any threshold, and good images are scored the same way. A map of fewer
/// than `least` pixels becomes its smallest value throughout. No value may be NaN.
fn area_open(map: &[f32], width: usize, least: usize) -> Vec<f32> {
    if least <= 1 || map.is_empty() {
        return map.to_vec();
    }
    const NEW: u32 = u32::MAX;
    let height = map.len() / width;
    let mut order: Vec<u32> = (0..map.len() as u32).collect();
    order.par_sort_by(|&a, &b| map[b as usize].total_cmp(&map[a as usize]));
    let (mut parent, mut area) = (vec![NEW; map.len()], vec![0usize; map.len()]);
    fn root(parent: &mut [u32], mut at: usize) -> usize {
        while parent[at] as usize != at {
            parent[at] = parent[parent[at] as usize];
            at = parent[at] as usize;
        }
        at
    }
    // A region that is large enough stays a root of its own: what is added later lies lower.
    let mut closed = vec![false; map.len()];
    for &at in &order {
        let at = at as usize;
        (parent[at], area[at]) = (at as u32, 1);
        let (y, x) = (at / width, at % width);
        for row in y.saturating_sub(1)..(y + 2).min(height) {
            for near in row * width + x.saturating_sub(1)..row * width + (x + 2).min(width) {
                if near == at || parent[near] == NEW {
                    continue;
                }
                let other = root(&mut parent, near);
                if other == at {
                    continue;
                }
                if closed[other] && map[other] != map[at] {
                    area[at] = area[at].max(least);
                } else {
                    parent[other] = at as u32;
                    area[at] += area[other];
                }
            }
        }
        closed[at] = area[at] >= least;
    }
    (0..map.len()).map(|at| map[root(&mut parent, at)]).collect()
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::metrics::regions;

    #[test]
    fn scores_by_hand() {
        let map: Vec<f32> = (0..1000u16).map(f32::from).collect();
        let score = |reduce| image_score(&map, &ScoreConfig { reduce, ..ScoreConfig::default() });
        assert_eq!([score(Reduce::Max), score(Reduce::TopMean)], [999.0, 998.0]);
    }

    #[test]
    fn small_regions_are_lowered_to_where_they_are_large_enough() {
        // A speck of 9, a pair of 5 and 4 that touch at a corner, on a ground of 1.
        let mut map = vec![1.0; 5 * 6];
        (map[0], map[2 * 6 + 3], map[3 * 6 + 4]) = (9.0, 5.0, 4.0);
        assert_eq!(area_open(&map, 6, 1), map);
        let mut pair = vec![1.0; 5 * 6];
        (pair[2 * 6 + 3], pair[3 * 6 + 4]) = (4.0, 4.0);
        assert_eq!(area_open(&map, 6, 2), pair);
        assert_eq!(area_open(&map, 6, 3), vec![1.0; 30]);
        assert_eq!(area_open(&map, 6, 31), vec![1.0; 30]);
    }

    /// The definition: for each level, which pixels lie in a region that is large enough.
    #[test]
    fn it_equals_the_definition() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..200 {
            let (height, width) = (rng.random_range(1..9), rng.random_range(1..9));
            let map: Vec<f32> = (0..height * width).map(|_| rng.random_range(0..6) as f32).collect();
            let least = rng.random_range(2..8).min(height * width);
            let opened = area_open(&map, width, least);
            for level in 0..6 {
                let level = level as f32;
                let mask: Vec<u8> = map.iter().map(|&v| u8::from(v >= level)).collect();
                let mask = crate::image::PixelMask { height, width, pixels: mask };
                let components = crate::metrics::connected_components(&mask).expect("a mask");
                let size = |label: u32| components.labels.iter().filter(|l| **l == label).count();
                for (at, &label) in components.labels.iter().enumerate() {
                    assert_eq!(opened[at] >= level, label != 0 && size(label) >= least, "{map:?} {least}");
                }
            }
            let found = regions(&opened, height, width, 1.0).expect("regions");
            assert!(found.iter().all(|region| region.area >= least));
        }
    }

    #[test]
    fn what_is_ignored_is_0_unless_it_is_no_number() {
        let mut map = [1.0, 2.0, f32::NAN];
        ignore(&mut map, Some(&[0.0, 1.0, 1.0]));
        assert_eq!(map[..2], [1.0, 0.0]);
        assert!(map[2].is_nan());
        ignore(&mut map, None);
        assert_eq!(map[0], 1.0);
    }
}

//! Pixel metrics of more maps than memory holds: the same numbers, read from the maps several times.
//!
//! A first pass counts how many values share the 16 leading bits of their [`key`]s, which sort as scores do. Then the
//! values are taken in order, as many at a time as memory may hold, each time in a pass of their own; what one such
//! bucket has too many of is counted by its trailing 16 bits.

use rayon::prelude::*;

use super::components::connected_components;
use super::pro::Thinned;
use super::ranking::{check_both, check_limit, check_map, key, radix_sort};
use crate::error::Result;
use crate::image::PixelMask;

/// Values that are sorted at a time.
const MOST: usize = 1 << 22;
/// Maps that are read at a time.
const READ: usize = 16;
/// Buckets of the leading 16 bits, and values of the trailing ones.
const BUCKETS: usize = 1 << 16;

/// Anomaly maps with their ground truth, which can be read again and again.
pub trait MapSource: Sync {
    /// How many there are.
    fn count(&self) -> usize;

    /// Map `i` and its mask, of the same size.
    ///
    /// # Errors
    /// Those of reading it.
    fn map(&self, i: usize) -> Result<(Vec<f32>, PixelMask)>;
}

/// What is computed from all pixels of all maps.
#[derive(Clone, Debug, PartialEq)]
pub struct PixelMetrics {
    /// As [`pixel_auroc`](super::pixel_auroc); `None` where it was not asked for.
    pub pixel_auroc: Option<f64>,
    /// As [`aupro`](super::aupro).
    pub aupro: f64,
    /// As [`pro_curve`](super::pro_curve).
    pub pro_curve: Vec<(f64, f64)>,
}

/// AUPRO up to `fpr_limit`, its curve, and pixel AUROC where `with_auroc`, of all maps of `source`. Memory does not grow with
/// their number.
///
/// # Errors
/// As [`aupro`](super::aupro); those of the source.
pub fn pixel_metrics(source: &dyn MapSource, fpr_limit: f64, with_auroc: bool) -> Result<PixelMetrics> {
    pixel_metrics_within(source, fpr_limit, with_auroc, MOST)
}

fn pixel_metrics_within(
    source: &dyn MapSource,
    fpr_limit: f64,
    with_auroc: bool,
    most: usize,
) -> Result<PixelMetrics> {
    check_limit(fpr_limit)?;
    let counts = Counts::of(source)?;
    check_both(counts.defects, counts.goods, "pixel")?;
    let (goods, total) = (counts.goods as f64, counts.total.round());
    let mut pro = Area::new(fpr_limit * goods, total);
    let mut roc = Area::new(goods, counts.defects as f64);
    let mut curve = Thinned::new(fpr_limit);
    let (mut fp, mut tp, mut found) = (0usize, 0.0, 0usize);
    let mut step = |good: usize, weight: f64, defects: usize| {
        (fp, tp, found) = (fp + good, tp + weight, found + defects);
        if let Some((x, y)) = pro.step(fp as f64, f64::min(tp, total)) {
            curve.push((x / goods, y / total));
        }
        roc.step(fp as f64, found as f64);
        pro.is_done() && !with_auroc
    };
    for group in counts.groups(most) {
        let is_done = if group.len() == 1 && counts.buckets[group.start] as usize > most {
            Tally::of(source, group.start)?.steps(&mut step)
        } else {
            Values::of(source, group)?.steps(&mut step)
        };
        if is_done {
            break;
        }
    }
    Ok(PixelMetrics {
        pixel_auroc: with_auroc.then(|| roc.share()),
        aupro: pro.share(),
        pro_curve: curve.finish(),
    })
}

/// The area under a curve that is cut off at `limit` across.
struct Area {
    limit: f64,
    total: f64,
    last: (f64, f64),
    area: f64,
}

impl Area {
    fn new(limit: f64, total: f64) -> Self {
        Self { limit, total, last: (0.0, 0.0), area: 0.0 }
    }

    /// Goes on to a point, and gives the one that was reached: at the limit it is interpolated. `None` beyond it.
    fn step(&mut self, fp: f64, tp: f64) -> Option<(f64, f64)> {
        let (x, y) = self.last;
        if x > self.limit {
            return None;
        }
        self.last = (fp, tp);
        let limit = self.limit;
        let point = if fp > limit { (limit, y + (tp - y) * (limit - x) / (fp - x)) } else { (fp, tp) };
        self.area += (point.0 - x) * (point.1 + y) / 2.0;
        Some(point)
    }

    fn is_done(&self) -> bool {
        self.last.0 > self.limit
    }

    fn share(&self) -> f64 {
        (self.area / (self.limit * self.total)).min(1.0)
    }
}

/// How many values there are, in all and by their leading bits.
struct Counts {
    buckets: Vec<u64>,
    goods: usize,
    defects: usize,
    /// Regions.
    total: f64,
}

impl Counts {
    fn of(source: &dyn MapSource) -> Result<Self> {
        let mut counts = Self { buckets: vec![0; BUCKETS], goods: 0, defects: 0, total: 0.0 };
        each(
            source,
            |i, map, mask| {
                check_map(i, &map, &mask)?;
                let regions = if mask.count() > 0 { connected_components(&mask)?.count } else { 0 };
                Ok((map, mask, regions))
            },
            |(map, mask, regions)| {
                map.iter().for_each(|&score| counts.buckets[(key(score) >> 16) as usize] += 1);
                counts.defects += mask.count();
                counts.goods += map.len() - mask.count();
                counts.total += regions as f64;
            },
        )?;
        Ok(counts)
    }

    /// Ranges of buckets, from the highest scores on, of at most so many values unless one bucket has more.
    fn groups(&self, most: usize) -> Vec<std::ops::Range<usize>> {
        let (mut groups, mut start, mut values) = (Vec::new(), 0, 0);
        for (bucket, &count) in self.buckets.iter().enumerate() {
            if values > 0 && values + count > most as u64 {
                groups.push(start..bucket);
                (start, values) = (bucket, 0);
            }
            if values == 0 {
                start = bucket;
            }
            values += count;
        }
        groups.push(start..BUCKETS);
        groups
    }
}

/// The values of some buckets.
#[derive(Default)]
struct Values {
    good: Vec<u32>,
    /// With the share of its region that a pixel is.
    defective: Vec<(u32, f64)>,
}

impl Values {
    fn of(source: &dyn MapSource, group: std::ops::Range<usize>) -> Result<Self> {
        let mut values = Self::default();
        each(
            source,
            |_, map, mask| pick(&map, &mask, |key| group.contains(&((key >> 16) as usize))),
            |picked: Self| {
                values.good.extend(picked.good);
                values.defective.extend(picked.defective);
            },
        )?;
        radix_sort(&mut values.good);
        // Stable: equal keys keep the order of the maps, and sums their last bit.
        values.defective.par_sort_by_key(|&(key, _)| key);
        Ok(values)
    }

    /// One step for each distinct score, until one says that it is the last.
    fn steps(self, step: &mut dyn FnMut(usize, f64, usize) -> bool) -> bool {
        let (mut good, mut defective) = (self.good.iter().peekable(), self.defective.iter().peekable());
        loop {
            let next = match (good.peek(), defective.peek()) {
                (Some(&&g), Some(&&(d, _))) => g.min(d),
                (Some(&&g), None) => g,
                (None, Some(&&(d, _))) => d,
                (None, None) => return false,
            };
            let (mut goods, mut weight, mut defects) = (0, 0.0, 0);
            while good.next_if_eq(&&next).is_some() {
                goods += 1;
            }
            while let Some((_, own)) = defective.next_if(|(key, _)| *key == next) {
                (weight, defects) = (weight + own, defects + 1);
            }
            if step(goods, weight, defects) {
                return true;
            }
        }
    }
}

/// What one bucket holds of each value.
struct Tally {
    good: Vec<usize>,
    weight: Vec<f64>,
    defects: Vec<usize>,
}

impl Tally {
    fn of(source: &dyn MapSource, bucket: usize) -> Result<Self> {
        let mut tally =
            Self { good: vec![0; BUCKETS], weight: vec![0.0; BUCKETS], defects: vec![0; BUCKETS] };
        each(
            source,
            |_, map, mask| pick(&map, &mask, |key| (key >> 16) as usize == bucket),
            |picked: Values| {
                let low = |key: u32| (key & 0xffff) as usize;
                picked.good.iter().for_each(|&key| tally.good[low(key)] += 1);
                for (key, weight) in picked.defective {
                    tally.weight[low(key)] += weight;
                    tally.defects[low(key)] += 1;
                }
            },
        )?;
        Ok(tally)
    }

    fn steps(self, step: &mut dyn FnMut(usize, f64, usize) -> bool) -> bool {
        let held = (0..BUCKETS).filter(|&low| self.good[low] + self.defects[low] > 0);
        held.into_iter().any(|low| step(self.good[low], self.weight[low], self.defects[low]))
    }
}

/// The keys of a map that `wanted` takes.
fn pick(map: &[f32], mask: &PixelMask, wanted: impl Fn(u32) -> bool) -> Result<Values> {
    let keys = || map.iter().map(|&score| key(score)).zip(&mask.pixels);
    let good = keys().filter(|&(key, m)| *m == 0 && wanted(key)).map(|(key, _)| key).collect();
    if mask.count() == 0 {
        return Ok(Values { good, defective: Vec::new() });
    }
    let components = connected_components(mask)?;
    let mut area = vec![0.0; components.count + 1];
    components.labels.iter().for_each(|&label| area[label as usize] += 1.0);
    let weighted = keys().zip(&components.labels).filter(|&((key, m), _)| *m != 0 && wanted(key));
    let defective = weighted.map(|((key, _), &label)| (key, 1.0 / area[label as usize])).collect();
    Ok(Values { good, defective })
}

/// What `of` gives for every map, in order, a few at a time on all threads.
fn each<R: Send>(
    source: &dyn MapSource,
    of: impl Fn(usize, Vec<f32>, PixelMask) -> Result<R> + Sync,
    mut then: impl FnMut(R),
) -> Result<()> {
    let all: Vec<usize> = (0..source.count()).collect();
    for some in all.chunks(READ) {
        let read = |&i: &usize| source.map(i).and_then(|(map, mask)| of(i, map, mask));
        for result in some.par_iter().map(read).collect::<Vec<_>>() {
            then(result?);
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::metrics::{aupro, pixel_auroc, pro_curve};

    struct InMemory(Vec<(Vec<f32>, PixelMask)>);

    impl MapSource for InMemory {
        fn count(&self) -> usize {
            self.0.len()
        }

        fn map(&self, i: usize) -> Result<(Vec<f32>, PixelMask)> {
            Ok(self.0[i].clone())
        }
    }

    /// Maps of 20 x 30 with scores of the given number of levels (0: all different), good ones and defective ones.
    fn draw(rng: &mut ChaCha8Rng, levels: i32) -> InMemory {
        let images = (0..rng.random_range(3..8)).map(|i| {
            let score = |rng: &mut ChaCha8Rng| match levels {
                0 => rng.random_range(-2.0f32..9.0),
                levels => rng.random_range(-levels..=levels) as f32 / 3.0,
            };
            let map = (0..600).map(|_| score(rng)).collect();
            let pixels = (0..600).map(|_| u8::from(i % 2 == 0 && rng.random_bool(0.2))).collect();
            (map, PixelMask { height: 20, width: 30, pixels })
        });
        InMemory(images.collect())
    }

    #[test]
    fn equals_the_metrics_of_what_is_in_memory() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for round in 0..120 {
            let source = draw(&mut rng, [0, 1, 3, 500][round % 4]);
            let limit = [0.3, 1.0, 0.01][round % 3];
            let maps: Vec<&[f32]> = source.0.iter().map(|(map, _)| map.as_slice()).collect();
            let masks: Vec<&PixelMask> = source.0.iter().map(|(_, mask)| mask).collect();
            let expected = aupro(&maps, &masks, limit).unwrap();
            let area = pixel_auroc(&maps, &masks).unwrap();
            // From all at once to bucket by bucket, counted.
            for most in [MOST, 700, 50, 1] {
                let found = pixel_metrics_within(&source, limit, true, most).unwrap();
                assert!((found.aupro - expected).abs() < 1e-12, "{} {expected}", found.aupro);
                assert!((found.pixel_auroc.unwrap() - area).abs() < 1e-12);
                let curve = pro_curve(&maps, &masks, limit).unwrap();
                assert_eq!(found.pro_curve.len(), curve.len());
                let same =
                    |(a, b): (&(f64, f64), &(f64, f64))| (a.0 - b.0).abs().max((a.1 - b.1).abs()) < 1e-12;
                assert!(found.pro_curve.iter().zip(&curve).all(same));
                let alone = pixel_metrics_within(&source, limit, false, most).unwrap();
                assert_eq!((alone.aupro, alone.pixel_auroc), (found.aupro, None));
            }
        }
    }

    #[test]
    fn degenerate_input_is_the_same_error() {
        let mask = |pixels: &[u8]| PixelMask { height: 1, width: 2, pixels: pixels.to_vec() };
        for (map, mask, missing) in [
            (vec![0.1, 0.2], mask(&[0, 0]), "no defective pixel"),
            (vec![0.1, 0.2], mask(&[1, 1]), "no good pixel"),
            (vec![0.1, f32::NAN], mask(&[1, 0]), "map 0, row 0, column 1: NaN"),
            (vec![0.1], mask(&[1, 0]), "map 0 has 1 values, its 1 x 2 mask has 2"),
        ] {
            let error = pixel_metrics(&InMemory(vec![(map, mask)]), 0.3, true).unwrap_err().to_string();
            assert!(error.contains(missing), "{error}");
        }
        assert!(
            pixel_metrics(&InMemory(Vec::new()), 0.3, true).unwrap_err().to_string().contains("no defective")
        );
        assert!(
            pixel_metrics(&InMemory(Vec::new()), 0.0, true).unwrap_err().to_string().contains("FPR limit")
        );
    }
}

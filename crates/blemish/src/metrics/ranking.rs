//! Scores sorted once, highest first: the one thing that ROC, F1 and PRO are all read from.
//!
//! ROC, F1 and PRO walk the same steps: lower the threshold from one distinct score to the next and count
//! what falls above it. They differ only in how much a defective item weighs: an image or a pixel weighs 1, a
//! pixel of a region weighs 1 / |region|, so that PRO is a ROC curve in which every region weighs the same.

use rayon::prelude::*;

use super::components::connected_components;
use crate::error::{Error, Result};
use crate::image::PixelMask;

/// Good and defective scores, each sorted from the highest to the lowest.
pub(super) struct Ranking {
    /// [`key`]s of the good items, down to where their share passes the limit; never empty.
    good: Vec<u32>,
    /// How many good items there are, those below the limit included.
    pub(super) goods: f64,
    /// Largest share of the good items at or above a threshold that counts, in (0, 1].
    fpr_limit: f64,
    /// [`key`]s and weights of the defective items; never empty.
    defective: Vec<(u32, f64)>,
    /// Weight of all defective items together: the number of defective images, pixels or regions.
    pub(super) total: f64,
}

/// What is called defective at `score >= threshold`.
#[derive(Clone, Copy)]
pub(super) struct Step {
    /// A score that occurs.
    pub(super) threshold: f32,
    /// Good items at or above it.
    pub(super) fp: f64,
    /// Weight of the defective items at or above it.
    pub(super) tp: f64,
}

impl Ranking {
    /// Ranks images, `positive` = defective.
    pub(super) fn of_images(scores: &[f32], positive: &[bool]) -> Result<Self> {
        check_images(scores, positive)?;
        let (mut good, mut defective) = (Vec::new(), Vec::new());
        for (&score, &positive) in scores.iter().zip(positive) {
            if positive { defective.push((key(score), 1.0)) } else { good.push(key(score)) }
        }
        Self::new(&[good], defective, 1.0, "image")
    }

    /// Ranks the pixels of all maps; every defective pixel weighs 1.
    pub(super) fn of_pixels(maps: &[&[f32]], masks: &[&PixelMask]) -> Result<Self> {
        Self::floats(maps, masks, 1.0, |mask| Ok(vec![1.0; mask.pixels.len()]))
    }

    /// Ranks the pixels of all maps, down to `fpr_limit`; every 8-connected region of the masks weighs 1.
    pub(super) fn of_regions(maps: &[&[f32]], masks: &[&PixelMask], fpr_limit: f64) -> Result<Self> {
        check_limit(fpr_limit)?;
        Self::floats(maps, masks, fpr_limit, |mask| {
            let components = connected_components(mask)?;
            let mut area = vec![0.0; components.count + 1];
            components.labels.iter().for_each(|&label| area[label as usize] += 1.0);
            Ok(components.labels.iter().map(|&label| 1.0 / area[label as usize]).collect())
        })
    }

    /// `weights` gives a weight for each pixel of a mask; those of good pixels are not used.
    fn floats<W>(maps: &[&[f32]], masks: &[&PixelMask], fpr_limit: f64, weights: W) -> Result<Self>
    where
        W: Fn(&PixelMask) -> Result<Vec<f64>> + Sync,
    {
        check_maps(maps, masks)?;
        let images = maps.par_iter().zip(masks).map(|(map, mask)| {
            let pixels = || map.iter().map(|&score| key(score)).zip(&mask.pixels);
            let good: Vec<u32> = pixels().filter(|(_, m)| **m == 0).map(|(key, _)| key).collect();
            if good.len() == map.len() {
                return Ok((good, Vec::new()));
            }
            let weighted = pixels().zip(weights(mask)?).filter(|((_, m), _)| **m != 0);
            Ok((good, weighted.map(|((key, _), weight)| (key, weight)).collect()))
        });
        let (good, defective): (Vec<_>, Vec<_>) = images.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        Self::new(&good, defective.concat(), fpr_limit, "pixel")
    }

    fn new(good: &[Vec<u32>], mut defective: Vec<(u32, f64)>, fpr_limit: f64, unit: &str) -> Result<Self> {
        let goods: usize = good.iter().map(Vec::len).sum();
        check_both(defective.len(), goods, unit)?;
        let goods = goods as f64;
        let mut good = highest(good, fpr_limit * goods);
        radix_sort(&mut good);
        defective.par_sort_unstable_by_key(|&(key, _)| key);
        // The weights of one image, pixel or region add up to 1, so their sum is a whole number but for
        // rounding.
        let total = defective.iter().map(|&(_, weight)| weight).sum::<f64>().round();
        Ok(Self { good, goods, defective, total, fpr_limit })
    }

    /// One step for each distinct score, from the highest to the lowest; equal scores fall together.
    pub(super) fn steps(&self) -> impl Iterator<Item = Step> {
        let (mut good, mut defective) = (self.good.iter().peekable(), self.defective.iter().peekable());
        let (mut fp, mut tp) = (0_usize, 0.0);
        std::iter::from_fn(move || {
            let next = match (good.peek(), defective.peek()) {
                (Some(&&g), Some(&&(d, _))) => g.min(d),
                (Some(&&g), None) => g,
                (None, Some(&&(d, _))) => d,
                (None, None) => return None,
            };
            while good.next_if_eq(&&next).is_some() {
                fp += 1;
            }
            while let Some((_, weight)) = defective.next_if(|(key, _)| *key == next) {
                tp += weight;
            }
            Some(Step { threshold: score(next), fp: fp as f64, tp: f64::min(tp, self.total) })
        })
    }

    /// The curve `(fp, tp)` from (0, 0) to `fp = fpr_limit * goods`, where it is interpolated linearly.
    pub(super) fn curve(&self) -> impl Iterator<Item = (f64, f64)> {
        let limit = self.fpr_limit * self.goods;
        let steps = self.steps().scan((0.0, 0.0), move |last, Step { fp, tp, .. }| {
            let (x, y) = std::mem::replace(last, (fp, tp));
            if x > limit {
                return None;
            }
            Some(if fp > limit { (limit, y + (tp - y) * (limit - x) / (fp - x)) } else { (fp, tp) })
        });
        std::iter::once((0.0, 0.0)).chain(steps)
    }

    /// Area under [`curve`](Self::curve) by the trapezoid rule, as a share of the largest possible: 0 to 1.
    pub(super) fn area(&self) -> f64 {
        let (mut area, mut last) = (0.0, (0.0, 0.0));
        for (x, y) in self.curve() {
            let (x0, y0) = std::mem::replace(&mut last, (x, y));
            area += (x - x0) * (y + y0) / 2.0;
        }
        (area / (self.fpr_limit * self.goods * self.total)).min(1.0)
    }
}

/// The first keys in sorted order, at least one more than `limit` of them (if there are) and all that equal
/// the last of these, cut off after the 16 leading bits: AUPRO up to 0.3 sorts a third of the pixels instead
/// of all.
fn highest(keys: &[Vec<u32>], limit: f64) -> Vec<u32> {
    let bucket = |key: u32| (key >> 16) as usize;
    let mut counts = vec![0_usize; 1 << 16];
    keys.iter().flatten().for_each(|&key| counts[bucket(key)] += 1);
    let mut seen = 0;
    let passes_limit = |count: &usize| {
        seen += count;
        seen as f64 > limit
    };
    let last = counts.iter().position(passes_limit).unwrap_or(counts.len());
    let mut highest = Vec::with_capacity(counts.iter().take(last + 1).sum());
    keys.iter().for_each(|keys| highest.extend(keys.iter().filter(|&&key| bucket(key) <= last)));
    highest
}

/// A `u32` that sorts ascending as finite scores sort descending; 0.0 and -0.0 are the same.
pub(super) fn key(score: f32) -> u32 {
    flip((score + 0.0).to_bits())
}

/// The score of a [`key`].
fn score(key: u32) -> f32 {
    f32::from_bits(flip(key))
}

/// Reverses the order of the non-negative floats, which ascend as integers where the negative ones already
/// descend.
fn flip(bits: u32) -> u32 {
    if bits >> 31 == 0 { bits ^ 0x7fff_ffff } else { bits }
}

/// Least-significant-digit radix sort, 8 bits a pass: 10 million keys in half the time of `sort_unstable`.
pub(super) fn radix_sort(keys: &mut Vec<u32>) {
    let mut sorted = vec![0; keys.len()];
    for shift in [0, 8, 16, 24] {
        let digit = |key: u32| (key >> shift) as usize & 0xff;
        let mut slots = [0_usize; 0x100];
        keys.iter().for_each(|&key| slots[digit(key)] += 1);
        let mut start = 0;
        slots.iter_mut().for_each(|slot| start += std::mem::replace(slot, start));
        for &key in keys.iter() {
            let slot = &mut slots[digit(key)];
            sorted[*slot] = key;
            *slot += 1;
        }
        std::mem::swap(keys, &mut sorted);
    }
}

/// Checks a false-positive rate up to which a curve is integrated.
pub(super) fn check_limit(fpr_limit: f64) -> Result<()> {
    if fpr_limit > 0.0 && fpr_limit <= 1.0 {
        return Ok(());
    }
    Err(Error::Metric(format!("the FPR limit must be in (0, 1], got {fpr_limit}")))
}

/// Checks that there are defective and good items, images or pixels as `unit` says.
pub(super) fn check_both(defective: usize, good: usize, unit: &str) -> Result<()> {
    for (count, kind) in [(defective, "defective"), (good, "good")] {
        if count == 0 {
            return Err(Error::Metric(format!("no {kind} {unit}: at least one is needed")));
        }
    }
    Ok(())
}

/// Checks that there is one finite score for each label.
pub(super) fn check_images(scores: &[f32], positive: &[bool]) -> Result<()> {
    if scores.len() != positive.len() {
        return Err(Error::Metric(format!("{} scores but {} labels", scores.len(), positive.len())));
    }
    match scores.iter().position(|score| !score.is_finite()) {
        Some(i) => {
            Err(Error::Metric(format!("the score of image {i} is {}, not a finite number", scores[i])))
        }
        None => Ok(()),
    }
}

/// Checks that there is one map of finite scores for each mask, of the same size.
fn check_maps(maps: &[&[f32]], masks: &[&PixelMask]) -> Result<()> {
    if maps.len() != masks.len() {
        return Err(Error::Metric(format!("{} maps but {} masks", maps.len(), masks.len())));
    }
    maps.iter().zip(masks).enumerate().try_for_each(|(i, (map, mask))| check_map(i, map, mask))
}

/// Checks that map `i` is of its mask's size, and finite.
pub(super) fn check_map(i: usize, map: &[f32], mask: &PixelMask) -> Result<()> {
    let (values, height, width) = (map.len(), mask.height, mask.width);
    if values != mask.pixels.len() || height.checked_mul(width) != Some(values) {
        return Err(Error::Metric(format!(
            "map {i} has {values} values, its {height} x {width} mask has {}",
            mask.pixels.len()
        )));
    }
    if let Some(at) = map.iter().position(|score| !score.is_finite()) {
        let (y, x, score) = (at / width, at % width, map[at]);
        return Err(Error::Metric(format!("map {i}, row {y}, column {x}: {score} is not a finite number")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_reverse_the_order_of_all_finite_scores() {
        let descending = [f32::MAX, 2.5, 1.0, f32::MIN_POSITIVE, 1e-45, 0.0, -1e-45, -1.0, -2.5, f32::MIN];
        assert!(descending.map(key).is_sorted_by(|a, b| a < b));
        assert_eq!(descending.map(|s| score(key(s))), descending);
        assert_eq!(key(-0.0), key(0.0));
    }

    #[test]
    fn the_highest_keys_pass_the_limit_and_keep_their_ties() {
        let keys = [vec![5 << 16, 1 << 16, 3 << 16], vec![3 << 16, 9 << 16, (3 << 16) + 7]];
        assert_eq!(highest(&keys, 0.5), [1 << 16]);
        assert_eq!(highest(&keys, 1.0), [1 << 16, 3 << 16, 3 << 16, (3 << 16) + 7]);
        assert_eq!(highest(&keys, 6.0), keys.concat());
    }

    #[test]
    fn radix_sort_sorts() {
        // Knuth's multiplicative hash: all digits of the key vary, and every key comes twice.
        let mut keys: Vec<u32> = (0..5000).map(|i| (i / 2_u32).wrapping_mul(2_654_435_761)).collect();
        keys.extend([0, u32::MAX, 0xff, 0x100, 0xffff, 0x1_0000, 0x00ff_ffff, 0x0100_0000]);
        let mut expected = keys.clone();
        expected.sort_unstable();
        radix_sort(&mut keys);
        assert_eq!(keys, expected);
        radix_sort(&mut Vec::new());
    }
}

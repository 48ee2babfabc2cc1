//! Near-duplicates among good images: frames of one part in one position, such as a burst of a camera that stood still.
//!
//! What was fitted on one of them finds nothing new in another: scored by it, an image looks better than any new product
//! will. So near-duplicates stay in one fold, and count once. Two parts of a kind that look alike are none: what differs
//! between them has a shape, what differs between two frames of one part is the sensor's noise.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use nalgebra::{SMatrix, SVector};
use rayon::prelude::*;

use crate::calibrate::robust::{median, qn, quantile};
use crate::error::Result;
use crate::good::{Progress, Views};
use crate::image::{Image, resize};

/// Shorter side of what is compared, at most.
const SIDE: usize = 64;
/// Pixels of the image along a side of what is compared, at least.
const PIXELS: f64 = 2.0;
/// But so many of these along the shorter side.
const FEWEST_CELLS: usize = 12;
/// Correlation of a difference's neighbouring pixels below which it is noise: white noise has 0 (less, once its mean over a
/// neighbourhood is taken off), a change of shape or surface more. The least among different images of 6 generated products
/// and surfaces that differ by half of what is usual is 0.3 (screw, good training images; 2026-11-28).
const WHITE: f64 = 0.12;
/// Frames of one product differ by noise only. Much less than distinct images usually do: then their departures from the mean of all need
/// not agree much. Or hardly less, where noise outweighs what distinguishes products: then they must agree far beyond chance.
const FRAMES: [Frames; 2] = [
    Frames { energy: 0.5, deviations: 3.0, agreement: 1.0 / 3.0 },
    Frames { energy: 0.95, deviations: 5.0, agreement: 0.08 },
];
/// The most that two images need to agree.
const AGREEMENT: f64 = 0.8;
/// Share of the usual energy, and correlation, of frames in another exposure: the difference may have some shape if it is next to nothing.
const SAME: [f64; 2] = [0.02, 0.2];
/// The quantile of an image's differences from others that is usual for it: with two products, half of the others are its own burst.
const USUAL: f64 = 0.75;
/// Departures from the mean that count as none, in units of how much pixels vary.
const LEVEL: f64 = 0.05;
/// Variance up to which a pixel stands still: less than what rounding to 8 bits leaves of an image that is normalised.
const STILL: f64 = 1e-7;
/// Nearest images that each is compared with closely.
const NEAREST: usize = 16;
/// Others that show how much an image usually differs from one.
const PROBES: usize = 9;
/// One in so many of these pairs must differ in shape for them alone to show it.
const SHAPED: usize = 20;
/// How many times as much they must then differ as the middle of all pairs.
const BIMODAL: f64 = 4.0;
/// Fewer groups than these may as well be kinds of a product, such as two moulds, and are not held together.
const FEWEST_GROUPS: usize = 4;
/// Images from which each is compared only with its neighbours in the order of names: bursts are numbered one after another.
const MANY: usize = 2000;
/// How many such neighbours, either way.
const NEIGHBOURS: usize = 50;
/// What a frame of the same part may differ by: shift down and right, contrast, turn, size.
const CHANGES: usize = 5;

/// Good images in groups of near-duplicates.
#[derive(Debug)]
pub struct Groups {
    /// The number of each view's group, from 0 by first appearance; views that are no near-duplicates have groups of their own.
    pub of: Vec<usize>,
    /// How many products the images show, where these look so few that frames of them cannot be told from kinds of a product. Then only
    /// views with the very same pixels are in one group.
    pub few_products: Option<usize>,
}

impl Groups {
    /// How many images are near-duplicates of others.
    pub fn repeated(&self) -> usize {
        self.of.len() - count(&self.of)
    }
}

/// Finds near-duplicates among `views`, one pixel of which is so many of the image long.
///
/// Compared are details: registered views shrunk to about 64 pixels, or less where these would be smaller than two by two of the image:
/// what is sampled between pixels shares their noise. Their means over 5 x 5 of these are taken off (light). From the
/// difference of two, what a small shift, turn or change of size and contrast makes of their mean is taken away by least
/// squares; each pixel counts in units of how much it varies. Two views are near-duplicates where what is left is noise
/// ([`WHITE`]), and less than what pairs of either usually differ by, and where both depart from the mean of
/// all in the same way ([`FRAMES`]): plain products differ by nothing but noise and how they lie. Groups are what such pairs
/// connect. Views with the very same pixels are in one group in any case: no camera gives a frame twice.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io), [`Error::Interrupted`](crate::Error::Interrupted).
pub fn groups(views: &Views, pixels_of_image: f64, progress: &Progress<'_>) -> Result<Groups> {
    let n = views.len();
    let alone: Vec<usize> = (0..n).collect();
    let equal = equal(views)?;
    if n < 3 {
        return Ok(Groups { of: numbered(&connected(n, &equal)), few_products: None });
    }
    let mut details = Vec::with_capacity(n);
    for some in alone.chunks(64) {
        progress.check()?;
        let read: Vec<Result<Detail>> =
            some.par_iter().map(|&i| Ok(Detail::new(&shown(views, i)?, pixels_of_image))).collect();
        for own in read {
            details.push(own?);
        }
    }
    let weights = weigh(&mut details);
    progress.check()?;
    let pairs = pairs(views.names());
    let apart =
        |&[i, j]: &[usize; 2]| details[i].square + details[j].square - 2.0 * details[i].dot(&details[j]);
    let distances: Vec<f64> = pairs.par_iter().map(apart).collect();
    progress.check()?;
    let differences = |which: &[[usize; 2]]| -> Vec<Difference> {
        which.par_iter().map(|&[i, j]| Difference::new(&details[i], &details[j], &weights)).collect()
    };
    // Each image beside a few others: one that was resampled or blurred differs less from all.
    let probed = probes(&alone);
    let beside = differences(&probed);
    let (long_burst, all) = (beside_a_long_burst(&beside), usual(&beside));
    let each: Vec<f64> = beside.chunks(PROBES.min(n - 1)).map(usual).collect();
    // Energies of independent images add up.
    let expected = |[i, j]: [usize; 2]| long_burst.unwrap_or(each[i] + each[j] - all);
    progress.check()?;
    let near = nearest(n, &pairs, &distances);
    let near: Vec<([usize; 2], Difference)> = near.iter().copied().zip(differences(&near)).collect();
    let is_noise = |which: &Frames, pair: [usize; 2], difference: Difference| {
        difference.is_noise(which.energy, expected(pair))
    };
    let near_that = |is_one: &dyn Fn([usize; 2], Difference) -> bool| -> Vec<[usize; 2]> {
        near.iter().filter(|&&(pair, difference)| is_one(pair, difference)).map(|(pair, _)| *pair).collect()
    };
    let likely = near_that(&|pair, difference| is_noise(&FRAMES[0], pair, difference));
    // Of a long burst one view stands for all: it would be the mean, and most pairs would be its own.
    let roots = connected(n, &likely);
    let distinct: Vec<usize> = (0..n).filter(|&i| long_burst.is_none() || roots[i] == i).collect();
    let signs = signs(&details, &distinct);
    let agreement = |&[i, j]: &[usize; 2]| agreement(&signs[i], &signs[j]);
    // Frames of one product say nothing of how distinct products agree.
    let frames: HashSet<[usize; 2]> = probed
        .into_iter()
        .zip(&beside)
        .filter(|&(pair, difference)| is_noise(&FRAMES[0], pair, *difference))
        .map(|(pair, _)| pair)
        .collect();
    let mut agreements: Vec<f64> =
        probes(&distinct).iter().filter(|pair| !frames.contains(*pair)).map(agreement).collect();
    agreements.sort_unstable_by(f64::total_cmp);
    let least = FRAMES.each_ref().map(|which| which.least_agreement(&agreements));
    let is_frame = |pair: [usize; 2], difference: Difference| {
        let mut both = FRAMES.iter().zip(least);
        both.any(|(which, least)| is_noise(which, pair, difference) && agreement(&pair) > least)
    };
    let mut same = near_that(&is_frame);
    same.extend(&equal);
    let of = numbered(&connected(n, &same));
    let copies = numbered(&connected(n, &equal));
    let few = count(&of) < FEWEST_GROUPS.min(count(&copies));
    Ok(if few {
        Groups { few_products: Some(count(&of)), of: copies }
    } else {
        Groups { of, few_products: None }
    })
}

/// What makes two images frames of one product, besides a difference that is noise.
struct Frames {
    /// The largest energy of the difference, as a share of the usual one.
    energy: f64,
    /// How far the signs of their departures from the mean must agree (quadrant correlation) beyond other pairs, in robust standard
    /// deviations above the median. Signs, since a few strong edges must not count for more than their pixels.
    deviations: f64,
    /// The least that they must agree: a third is what normal values have that correlate by 0.5, 0.08 four standard errors of 2,500 pixels.
    agreement: f64,
}

impl Frames {
    /// The least agreement, where other pairs have these, ascending.
    fn least_agreement(&self, others: &[f64]) -> f64 {
        let beyond = if others.is_empty() { 0.0 } else { median(others) + self.deviations * qn(others) };
        beyond.clamp(self.agreement, AGREEMENT)
    }
}

/// Each view with the first one that has the very same pixels.
fn equal(views: &Views) -> Result<Vec<[usize; 2]>> {
    let mut first: HashMap<u64, usize> = HashMap::new();
    let mut pairs = Vec::new();
    for i in 0..views.len() {
        match first.entry(views.get(i)?.fingerprint()) {
            Entry::Occupied(other) => pairs.push([*other.get(), i]),
            Entry::Vacant(new) => _ = new.insert(i),
        }
    }
    Ok(pairs)
}

/// Groups with these roots, numbered from 0 by first appearance.
fn numbered(roots: &[usize]) -> Vec<usize> {
    let mut first: Vec<usize> = roots.to_vec();
    first.sort_unstable();
    first.dedup();
    roots.iter().map(|root| first.partition_point(|other| other < root)).collect()
}

/// How many groups these are.
fn count(groups: &[usize]) -> usize {
    groups.iter().max().map_or(0, |last| last + 1)
}

/// View `i`, where views have sizes of their own at one size: near-duplicates have about the same, and are stretched alike.
fn shown(views: &Views, i: usize) -> Result<Image> {
    let view = views.normalised(i)?;
    if views.have_one_size() { Ok(view) } else { resize(&view, [SIDE; 2]) }
}

/// What is compared of a view.
struct Detail {
    height: usize,
    width: usize,
    values: Vec<f32>,
    /// The same in units of how much each pixel varies.
    weighted: Vec<f32>,
    /// Sum of the squares of these.
    square: f64,
}

impl Detail {
    fn new(view: &Image, pixels_of_image: f64) -> Self {
        let side = view.height.min(view.width);
        let cell = (PIXELS / pixels_of_image).ceil() as usize;
        let small = view.averaged(cell.min(side / FEWEST_CELLS).max(side.div_ceil(SIDE)).max(1));
        let (height, width, grey) = (small.height, small.width, small.grey());
        let mut values = Vec::with_capacity(grey.len());
        for y in 0..height {
            for x in 0..width {
                let (rows, columns) =
                    (y.saturating_sub(2)..(y + 3).min(height), x.saturating_sub(2)..(x + 3).min(width));
                let count = rows.len() * columns.len();
                let sum: f32 = rows.map(|row| grey[row * width..][columns.clone()].iter().sum::<f32>()).sum();
                values.push(grey[y * width + x] - sum / count as f32);
            }
        }
        Self { height, width, values, weighted: Vec::new(), square: 0.0 }
    }

    fn dot(&self, other: &Self) -> f64 {
        self.weighted.iter().zip(&other.weighted).map(|(a, b)| f64::from(a * b)).sum()
    }
}

/// How much each pixel counts: the reciprocal of its standard deviation over all views (and the middle of all pixels'), so that the
/// edges of a part that lies a little otherwise do not outweigh its surface. Weighs `details`.
fn weigh(details: &mut [Detail]) -> Vec<f32> {
    let (n, pixels) = (details.len() as f64, details[0].values.len());
    let (mut sums, mut squares) = (vec![0.0f64; pixels], vec![0.0f64; pixels]);
    for own in details.iter() {
        for ((sum, square), &v) in sums.iter_mut().zip(&mut squares).zip(&own.values) {
            *sum += f64::from(v);
            *square += f64::from(v) * f64::from(v);
        }
    }
    let variances: Vec<f64> =
        sums.iter().zip(&squares).map(|(sum, square)| (square / n - (sum / n).powi(2)).max(0.0)).collect();
    // Where all views are equal, such as around a cut-out product, rounding is not to count.
    let mut varying: Vec<f64> = variances.iter().copied().filter(|&variance| variance > STILL).collect();
    varying.sort_unstable_by(f64::total_cmp);
    let floor = if varying.is_empty() { STILL } else { median(&varying) };
    let weights: Vec<f32> =
        variances.iter().map(|variance| (variance + floor).sqrt().recip() as f32).collect();
    details.par_iter_mut().for_each(|own| {
        own.weighted = own.values.iter().zip(&weights).map(|(v, weight)| v * weight).collect();
        own.square = own.weighted.iter().map(|&v| f64::from(v * v)).sum();
    });
    weights
}

/// On which side of the mean of some (`of_mean`) each pixel of each view lies; 0 where they are equal.
fn signs(details: &[Detail], of_mean: &[usize]) -> Vec<Vec<i8>> {
    let (mut mean, n) = (vec![0.0f64; details[0].weighted.len()], of_mean.len() as f64);
    for &i in of_mean {
        mean.iter_mut().zip(&details[i].weighted).for_each(|(mean, &v)| *mean += f64::from(v));
    }
    let side = |(&v, sum): (&f32, &f64)| match f64::from(v) - sum / n {
        by if by > LEVEL => 1,
        by if by < -LEVEL => -1,
        _ => 0,
    };
    details.par_iter().map(|own| own.weighted.iter().zip(&mean).map(side).collect()).collect()
}

/// The share of pixels on one side, less the share of those on different sides.
fn agreement(a: &[i8], b: &[i8]) -> f64 {
    let (mut sum, mut count) = (0i64, 0i64);
    for (a, b) in a.iter().zip(b) {
        sum += i64::from(a * b);
        count += i64::from((a * b).abs());
    }
    sum as f64 / count.max(1) as f64
}

/// How two views differ beyond a small change of position and contrast.
#[derive(Clone, Copy, Debug)]
struct Difference {
    /// Mean square.
    energy: f64,
    /// Correlation of neighbouring pixels.
    correlation: f64,
}

impl Difference {
    fn new(a: &Detail, b: &Detail, weights: &[f32]) -> Self {
        let (height, width) = (a.height, a.width);
        if height < 3 || width < 3 {
            let energy = (a.square + b.square - 2.0 * a.dot(b)).max(0.0) / a.values.len() as f64;
            return Self { energy, correlation: 1.0 };
        }
        let mean: Vec<f32> = a.values.iter().zip(&b.values).map(|(a, b)| 0.5 * (a + b)).collect();
        let (rows, columns) = (height - 2, width - 2);
        let changes = |y: usize, x: usize| -> SVector<f64, CHANGES> {
            let at = (y + 1) * width + x + 1;
            let (down, right) = (mean[at + width] - mean[at - width], mean[at + 1] - mean[at - 1]);
            let (down, right) = (f64::from(0.5 * down), f64::from(0.5 * right));
            let (v, u) = (y as f64 / rows as f64 - 0.5, x as f64 / columns as f64 - 0.5);
            let changes: SVector<f64, CHANGES> =
                [down, right, f64::from(mean[at]), v * right - u * down, v * down + u * right].into();
            changes * f64::from(weights[at])
        };
        let difference = |y: usize, x: usize| {
            let at = (y + 1) * width + x + 1;
            f64::from(a.weighted[at] - b.weighted[at])
        };
        let (mut matrix, mut right) = (SMatrix::<f64, CHANGES, CHANGES>::zeros(), SVector::zeros());
        for y in 0..rows {
            for x in 0..columns {
                let own: SVector<f64, CHANGES> = changes(y, x);
                matrix += own * own.transpose();
                right += own * difference(y, x);
            }
        }
        // A direction in which nothing changes is left alone.
        let ridge = 1e-6 * matrix.trace() + 1e-12;
        (0..CHANGES).for_each(|k| matrix[(k, k)] += ridge);
        let by = matrix.cholesky().map_or(SVector::zeros(), |own| own.solve(&right));
        let left: Vec<f64> = (0..rows * columns)
            .map(|i| (i / columns, i % columns))
            .map(|(y, x)| difference(y, x) - changes(y, x).dot(&by))
            .collect();
        let energy = left.iter().map(|v| v * v).sum::<f64>() / left.len() as f64;
        let (mut across, mut down) = (0.0, 0.0);
        for (i, v) in left.iter().enumerate() {
            across += if i % columns + 1 < columns { v * left[i + 1] } else { 0.0 };
            down += if i + columns < left.len() { v * left[i + columns] } else { 0.0 };
        }
        let [across, down] =
            [across / (rows * (columns - 1)).max(1) as f64, down / ((rows - 1) * columns).max(1) as f64];
        // Equal images differ by nothing.
        Self { energy, correlation: 0.5 * (across + down) / energy.max(1e-9) }
    }

    /// Whether it is a frame's noise: of an energy that is at most this share of the `usual` one between distinct images.
    fn is_noise(self, share: f64, usual: f64) -> bool {
        let within = |[share, correlation]: [f64; 2]| {
            self.energy <= share * usual.max(0.0) && self.correlation < correlation
        };
        within([share, WHITE]) || within(SAME)
    }
}

/// The energy that is [`USUAL`] among these.
fn usual(differences: &[Difference]) -> f64 {
    let mut energies: Vec<f64> = differences.iter().map(|difference| difference.energy).collect();
    energies.sort_unstable_by(f64::total_cmp);
    quantile(&energies, USUAL)
}

/// How many differences there are, and their median energy.
fn middle<'a>(all: impl Iterator<Item = &'a Difference>) -> (usize, f64) {
    let mut energies: Vec<f64> = all.map(|difference| difference.energy).collect();
    energies.sort_unstable_by(f64::total_cmp);
    (energies.len(), if energies.is_empty() { 0.0 } else { median(&energies) })
}

/// Where most images are of one long burst, most differences are noise: what distinct ones differ by is then the median of those that
/// have a shape. `None` where that is not [`BIMODAL`] times the median of all, or where these are few.
fn beside_a_long_burst(all: &[Difference]) -> Option<f64> {
    let (_, any) = middle(all.iter());
    let (count, shaped) = middle(all.iter().filter(|difference| difference.correlation >= WHITE));
    (SHAPED * count >= all.len() && shaped > BIMODAL * any).then_some(shaped)
}

/// Each of these views with a few of the others, spread evenly.
fn probes(of: &[usize]) -> Vec<[usize; 2]> {
    let (n, others) = (of.len(), PROBES.min(of.len().saturating_sub(1)));
    let other = |i: usize, k: usize| [of[i], of[(i + 1 + k * (n - 1) / others) % n]];
    (0..n).flat_map(|i| (0..others).map(move |k| other(i, k))).collect()
}

/// The pairs of each view and its nearest ones.
fn nearest(n: usize, pairs: &[[usize; 2]], distances: &[f64]) -> Vec<[usize; 2]> {
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    order.par_sort_unstable_by(|&a, &b| distances[a].total_cmp(&distances[b]).then(a.cmp(&b)));
    let mut taken = vec![0; n];
    let mut near = Vec::new();
    for pair in order.into_iter().map(|at| pairs[at]) {
        if pair.iter().any(|&i| taken[i] < NEAREST) {
            pair.iter().for_each(|&i| taken[i] += 1);
            near.push(pair);
        }
    }
    near
}

/// Which views are compared with each other.
fn pairs(names: &[String]) -> Vec<[usize; 2]> {
    let n = names.len();
    if n <= MANY {
        return (0..n).flat_map(|i| (i + 1..n).map(move |j| [i, j])).collect();
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| names[a].cmp(&names[b]));
    let near = |at: usize| (at + 1..(at + 1 + NEIGHBOURS).min(n)).map(move |other| (at, other));
    (0..n).flat_map(near).map(|(a, b)| [order[a], order[b]]).collect()
}

/// The first view of each view's group, where `pairs` belong together.
fn connected(n: usize, pairs: &[[usize; 2]]) -> Vec<usize> {
    let mut parent: Vec<usize> = (0..n).collect();
    for &[i, j] in pairs {
        let (a, b) = (root(&mut parent, i), root(&mut parent, j));
        parent[a.max(b)] = a.min(b);
    }
    (0..n).map(|i| root(&mut parent, i)).collect()
}

fn root(parent: &mut [usize], mut i: usize) -> usize {
    while parent[i] != i {
        parent[i] = parent[parent[i]];
        i = parent[i];
    }
    i
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::atomic::AtomicBool;

    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::image::Normalize;

    /// A product: an edge that all have, a grain of its own, and frames with more or less noise and light.
    fn frame(product: u64, frame: u64, noise: f32) -> Image {
        let mut grain = ChaCha8Rng::seed_from_u64(product);
        let mut light = ChaCha8Rng::seed_from_u64(1000 * product + frame);
        let slope = light.random_range(-0.1..0.1);
        let mut image = Image::filled(64, 64, 1, 0.0);
        for (i, v) in image.pixels.iter_mut().enumerate() {
            let edge = f32::from(u8::from(i % 64 > 30)) * 0.4;
            *v = 0.3
                + edge
                + slope * (i / 64) as f32 / 64.0
                + grain.random_range(-0.02..0.02)
                + light.random_range(-noise..=noise);
        }
        image
    }

    fn grouped(images: &[Image]) -> Groups {
        let mut views = Views::new([64, 64], 1, Normalize::Robust).unwrap();
        images.iter().enumerate().for_each(|(i, image)| views.push(format!("{i}"), image).unwrap());
        let stop = AtomicBool::new(false);
        groups(&views, 1.0, &Progress::new(&|_| {}, &stop)).unwrap()
    }

    #[test]
    fn frames_of_one_product_belong_together() {
        let images: Vec<Image> = (0..20).map(|i| frame(i % 7, i, 0.012)).collect();
        let groups = grouped(&images);
        let expected: Vec<usize> = (0..20).map(|i| i % 7).collect();
        assert_eq!((groups.repeated(), groups.of), (13, expected));
        // One burst among others.
        let images: Vec<Image> = (0..30).map(|i| frame(if i > 20 { 99 } else { i }, i, 0.012)).collect();
        assert_eq!(grouped(&images).repeated(), 8);
    }

    #[test]
    fn a_burst_of_most_images_is_found_where_the_others_have_a_shape() {
        // Blobs of three pixels beside the grain, of its own on every product.
        let shaped = |product: u64, k: u64| {
            let mut image = frame(product, k, 0.012);
            let mut rng = ChaCha8Rng::seed_from_u64(product ^ 0xb10b);
            for _ in 0..120 {
                let (top, left) = (rng.random_range(0..61), rng.random_range(0..61));
                (0..9).for_each(|i| image.pixels[(top + i / 3) * 64 + left + i % 3] += 0.1);
            }
            image
        };
        let images: Vec<Image> = (0..30).map(|i| shaped(if i < 24 { 99 } else { i }, i)).collect();
        assert_eq!(grouped(&images).repeated(), 23);
    }

    #[test]
    fn products_that_look_alike_are_no_duplicates() {
        for n in [3, 4, 10, 40] {
            let images: Vec<Image> = (0..n).map(|i| frame(i, i, 0.005)).collect();
            assert_eq!(grouped(&images).repeated(), 0, "{n}");
        }
        assert_eq!(grouped(&[frame(0, 0, 0.0)]).of, [0]);
    }

    #[test]
    fn kinds_of_a_product_are_held_apart_and_are_few_products() {
        // Two prints, of a tenth of the pixels, and a grain of its own on every product.
        let images: Vec<Image> = (0..30)
            .map(|i| {
                let mut image = frame(i, i, 0.005);
                let mut print = ChaCha8Rng::seed_from_u64(7 + i % 2);
                image.pixels[..400].iter_mut().for_each(|v| *v += if print.random() { 0.3 } else { 0.0 });
                image
            })
            .collect();
        let groups = grouped(&images);
        assert_eq!((groups.repeated(), groups.few_products), (0, None));
        // As frames of two products are.
        let images: Vec<Image> = (0..20).map(|i| frame(i / 10, i, 0.012)).collect();
        let groups = grouped(&images);
        assert_eq!((groups.repeated(), groups.few_products), (0, Some(2)));
        let images: Vec<Image> = (0..20).map(|i| frame(i, i, 0.012)).collect();
        assert_eq!(grouped(&images).few_products, None);
    }

    #[test]
    fn frames_are_told_where_noise_outweighs_what_distinguishes_products() {
        for noise in [0.02, 0.03] {
            let images: Vec<Image> = (0..40).map(|i| frame(i % 10, i, noise)).collect();
            let groups = grouped(&images);
            assert_eq!(groups.of, (0..40).map(|i| i % 10).collect::<Vec<_>>(), "{noise}");
            let images: Vec<Image> = (0..60).map(|i| frame(i, i, noise)).collect();
            assert_eq!(grouped(&images).repeated(), 0, "{noise}");
        }
    }

    #[test]
    fn a_copy_is_a_duplicate() {
        let mut images: Vec<Image> = (0..12).map(|i| frame(i, i, 0.01)).collect();
        images.push(images[4].clone());
        let groups = grouped(&images);
        assert_eq!((groups.repeated(), groups.of[12]), (1, groups.of[4]));
    }
}

//! Near-duplicates among good images: frames of one part in one position, such as a burst of a camera that stood still.
//!
//! What was fitted on one of them finds nothing new in another: scored by it, an image looks better than any new product
//! will. So near-duplicates stay in one fold, and count once. Two parts of a kind that look alike are none: what differs
//! between them has a shape, what differs between two frames of one part is the sensor's noise.

use nalgebra::{SMatrix, SVector};
use rayon::prelude::*;

use crate::calibrate::robust::median;
use crate::error::Result;
use crate::good::{Progress, Views};
use crate::image::{Image, resize};

/// Shorter side of what is compared, at most.
const SIDE: usize = 64;
/// Of how much two distinct images usually differ, near-duplicates differ by at most this share, and by noise only.
const ENERGY: f64 = 0.5;
/// Correlation of a difference's neighbouring pixels below which it is noise: white noise has 0 (less, once its mean over a
/// neighbourhood is taken off), a change of shape or surface more. The least among different images of 6 generated products
/// and surfaces whose energy is below [`ENERGY`] is 0.3 (screw, good training images; 2026-11-28).
const WHITE: f64 = 0.12;
/// The same two limits for frames in another exposure: the difference may have some shape if it is next to nothing.
const SAME: [f64; 2] = [0.02, 0.2];
/// Nearest images that each is compared with closely.
const NEAREST: usize = 16;
/// Others that show how much an image usually differs from one.
const PROBES: usize = 9;
/// Share of these pairs that must differ in shape for them alone to show it.
const SHAPED: usize = 20;
/// Fewer groups than these are kinds of a product, such as two moulds, and nothing to be held together.
const FEWEST_GROUPS: usize = 4;
/// Images from which each is compared only with its neighbours in the order of names: bursts are numbered one after another.
const MANY: usize = 2000;
/// How many such neighbours, either way.
const NEIGHBOURS: usize = 50;
/// What a frame of the same part may differ by: shift down and right, contrast, turn, size.
const CHANGES: usize = 5;

/// The number of each view's group, from 0 by first appearance; views that are no near-duplicates have groups of their own.
///
/// Compared are details: registered views shrunk to about 64 pixels, without their means over 5 x 5 of these (light). From the
/// difference of two, what a small shift, turn or change of size and contrast makes of their mean is taken away by least
/// squares. Two views are near-duplicates where what is left is noise ([`WHITE`]) and at most half ([`ENERGY`]) of what pairs of
/// either usually differs from others by: plain products differ by nothing but noise, too. Groups are what such pairs connect.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io), [`Error::Interrupted`](crate::Error::Interrupted).
pub fn groups(views: &Views, progress: &Progress<'_>) -> Result<Vec<usize>> {
    let n = views.len();
    let alone: Vec<usize> = (0..n).collect();
    if n < 3 {
        return Ok(alone);
    }
    let mut details = Vec::with_capacity(n);
    for some in alone.chunks(64) {
        progress.check()?;
        let read: Vec<Result<Detail>> =
            some.par_iter().map(|&i| Ok(Detail::new(&shown(views, i)?))).collect();
        for own in read {
            details.push(own?);
        }
    }
    progress.check()?;
    let pairs = pairs(views.names());
    let apart =
        |&[i, j]: &[usize; 2]| details[i].square + details[j].square - 2.0 * details[i].dot(&details[j]);
    let distances: Vec<f64> = pairs.par_iter().map(apart).collect();
    progress.check()?;
    let differences = |which: &[[usize; 2]]| -> Vec<Difference> {
        which.par_iter().map(|&[i, j]| Difference::new(&details[i], &details[j])).collect()
    };
    // Each image beside a few others, spread evenly: one that was resampled or blurred differs less from all.
    let others = PROBES.min(n - 1);
    let probes: Vec<[usize; 2]> =
        (0..n).flat_map(|i| (0..others).map(move |k| [i, (i + 1 + k * (n - 1) / others) % n])).collect();
    let usual: Vec<f64> = differences(&probes).chunks(others).map(usual).collect();
    progress.check()?;
    let near = nearest(n, &pairs, &distances);
    let mut parent = alone.clone();
    for (&[i, j], difference) in near.iter().zip(differences(&near)) {
        if difference.is_noise(usual[i].min(usual[j])) {
            let (a, b) = (root(&mut parent, i), root(&mut parent, j));
            parent[a.max(b)] = a.min(b);
        }
    }
    let roots: Vec<usize> = (0..n).map(|i| root(&mut parent, i)).collect();
    let mut first: Vec<usize> = roots.clone();
    first.sort_unstable();
    first.dedup();
    if first.len() < FEWEST_GROUPS {
        return Ok(alone);
    }
    Ok(roots.iter().map(|root| first.partition_point(|other| other < root)).collect())
}

/// How many images are near-duplicates of others.
pub fn repeated(groups: &[usize]) -> usize {
    groups.len() - groups.iter().max().map_or(0, |last| last + 1)
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
    /// Sum of their squares.
    square: f64,
}

impl Detail {
    fn new(view: &Image) -> Self {
        let small = view.averaged(view.height.min(view.width).div_ceil(SIDE).max(1));
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
        let square = values.iter().map(|&v| f64::from(v * v)).sum();
        Self { height, width, values, square }
    }

    fn dot(&self, other: &Self) -> f64 {
        self.values.iter().zip(&other.values).map(|(a, b)| f64::from(a * b)).sum()
    }
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
    fn new(a: &Detail, b: &Detail) -> Self {
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
            [down, right, f64::from(mean[at]), v * right - u * down, v * down + u * right].into()
        };
        let difference = |y: usize, x: usize| {
            let at = (y + 1) * width + x + 1;
            f64::from(a.values[at] - b.values[at])
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
        Self { energy, correlation: 0.5 * (across + down) / energy.max(1e-12) }
    }

    /// Whether it is a frame's noise, where two images usually differ by `usual`.
    fn is_noise(self, usual: f64) -> bool {
        let within =
            |[energy, correlation]: [f64; 2]| self.energy <= energy * usual && self.correlation < correlation;
        within([ENERGY, WHITE]) || within(SAME)
    }
}

/// What the energy of differences between an image and distinct ones usually is, from those to any others: the median, of those alone that have a
/// shape where these are not few, since most pairs may be of one long burst.
fn usual(all: &[Difference]) -> f64 {
    let median_of = |own: &dyn Fn(&Difference) -> bool| {
        let mut energies: Vec<f64> = all.iter().filter(|d| own(d)).map(|d| d.energy).collect();
        energies.sort_unstable_by(f64::total_cmp);
        (energies.len(), if energies.is_empty() { 0.0 } else { median(&energies) })
    };
    let ((_, any), (count, shaped)) = (median_of(&|_| true), median_of(&|d| d.correlation >= WHITE));
    if SHAPED * count >= all.len() { any.max(shaped) } else { any }
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

    /// A product: an edge that all have, a texture of its own, and frames with more or less noise and light.
    fn frame(product: u64, frame: u64, noise: f32) -> Image {
        let mut texture = ChaCha8Rng::seed_from_u64(product);
        let mut light = ChaCha8Rng::seed_from_u64(1000 * product + frame);
        let slope = light.random_range(-0.1..0.1);
        let mut image = Image::filled(64, 64, 1, 0.0);
        for (i, v) in image.pixels.iter_mut().enumerate() {
            let edge = f32::from(u8::from(i % 64 > 30)) * 0.4;
            *v = 0.3
                + edge
                + slope * (i / 64) as f32 / 64.0
                + texture.random_range(-0.02..0.02)
                + light.random_range(-noise..=noise);
        }
        image
    }

    fn grouped(images: &[Image]) -> Vec<usize> {
        let mut views = Views::new([64, 64], 1, Normalize::Robust).unwrap();
        images.iter().enumerate().for_each(|(i, image)| views.push(format!("{i}"), image).unwrap());
        let stop = AtomicBool::new(false);
        groups(&views, &Progress::new(&|_| {}, &stop)).unwrap()
    }

    #[test]
    fn frames_of_one_product_belong_together() {
        let images: Vec<Image> = (0..20).map(|i| frame(i % 7, i, 0.012)).collect();
        let groups = grouped(&images);
        let expected: Vec<usize> = (0..20).map(|i| i % 7).collect();
        assert_eq!((groups.clone(), repeated(&groups)), (expected, 13));
        // One burst among others.
        let images: Vec<Image> = (0..30).map(|i| frame(if i > 20 { 99 } else { i }, i, 0.012)).collect();
        assert_eq!(repeated(&grouped(&images)), 8);
    }

    #[test]
    fn products_that_look_alike_are_no_duplicates() {
        for n in [3, 4, 10, 40] {
            let images: Vec<Image> = (0..n).map(|i| frame(i, i, 0.005)).collect();
            assert_eq!(repeated(&grouped(&images)), 0, "{n}");
        }
        assert_eq!(grouped(&[frame(0, 0, 0.0)]), [0]);
    }

    #[test]
    fn kinds_of_a_product_are_no_bursts() {
        // Two prints, of a tenth of the pixels, and a texture of its own on every product.
        let images: Vec<Image> = (0..30)
            .map(|i| {
                let mut image = frame(i, i, 0.005);
                let mut print = ChaCha8Rng::seed_from_u64(7 + i % 2);
                image.pixels[..400].iter_mut().for_each(|v| *v += if print.random() { 0.3 } else { 0.0 });
                image
            })
            .collect();
        assert_eq!(repeated(&grouped(&images)), 0);
    }

    #[test]
    fn a_copy_is_a_duplicate() {
        let mut images: Vec<Image> = (0..12).map(|i| frame(i, i, 0.01)).collect();
        images.push(images[4].clone());
        let groups = grouped(&images);
        assert_eq!((repeated(&groups), groups[12]), (1, groups[4]));
    }
}

//! Near-duplicates among good images: several photos of one product, or frames of a camera that stood still.
//!
//! What was fitted on one of them finds nothing new in another: scored by it, an image looks better than any new product
//! will. So near-duplicates stay in one fold, and count once.

use rayon::prelude::*;

use crate::calibrate::robust::{median, qn};
use crate::error::Result;
use crate::good::{Progress, Views};
use crate::image::{Image, resize};

/// Shorter side of what is compared, about.
const SIDE: usize = 64;
/// Correlation below which two images are distinct, whatever the others do.
const LEAST: f64 = 0.4;
/// Correlation from which they are duplicates, whatever the others do.
const CERTAIN: f64 = 0.9;
/// Robust standard deviations of all pairs' correlations above their median: between the two, what duplicates lie beyond.
const LIMIT: f64 = 5.0;
/// Fewer groups than these are kinds of a product, such as two moulds, and nothing to be held together.
const FEWEST_GROUPS: usize = 4;
/// Images from which each is compared only with its neighbours in the order of names: bursts are numbered one after another.
const MANY: usize = 2000;
/// How many such neighbours, either way.
const NEIGHBOURS: usize = 50;

/// The number of each view's group, from 0 by first appearance; views that are no near-duplicates have groups of their own.
///
/// Compared are details: registered views shrunk to about 64 pixels, without their means over 5 x 5 of these (light), less the
/// mean of all views, in units of how much each pixel varies over the views (an edge must not outweigh a surface). Those of two
/// products have nothing in common but chance; those of one have its texture. Two views are near-duplicates where their
/// correlation lies [`LIMIT`] robust standard deviations above what pairs have, and between [`LEAST`] and [`CERTAIN`]: where
/// all good images look alike, it is their differences that are compared. Groups are what such pairs connect.
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
        let read: Vec<Result<Vec<f32>>> =
            some.par_iter().map(|&i| Ok(detail(&shown(views, i)?))).collect();
        for own in read {
            details.push(own?);
        }
    }
    standardise(&mut details);
    progress.check()?;
    let pairs = pairs(views.names());
    let correlations: Vec<f64> = pairs.par_iter().map(|&[i, j]| dot(&details[i], &details[j])).collect();
    let mut sorted = correlations.clone();
    sorted.par_sort_unstable_by(f64::total_cmp);
    let limit = (median(&sorted) + LIMIT * qn(&sorted)).clamp(LEAST, CERTAIN);
    let mut parent = alone.clone();
    for (&[i, j], correlation) in pairs.iter().zip(correlations) {
        if correlation > limit {
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
fn detail(view: &Image) -> Vec<f32> {
    let small = view.averaged((view.height.min(view.width) / SIDE).max(1));
    let (height, width, grey) = (small.height, small.width, small.grey());
    let mut out = Vec::with_capacity(grey.len());
    for y in 0..height {
        for x in 0..width {
            let (rows, columns) =
                (y.saturating_sub(2)..(y + 3).min(height), x.saturating_sub(2)..(x + 3).min(width));
            let count = rows.len() * columns.len();
            let sum: f32 = rows.map(|row| grey[row * width..][columns.clone()].iter().sum::<f32>()).sum();
            out.push(grey[y * width + x] - sum / count as f32);
        }
    }
    out
}

/// Takes the mean of all from each, divides by how much a pixel varies, and makes the length of each 1.
fn standardise(details: &mut [Vec<f32>]) {
    let (n, pixels) = (details.len() as f64, details[0].len());
    let (mut sums, mut squares) = (vec![0.0f64; pixels], vec![0.0f64; pixels]);
    for own in details.iter() {
        for ((sum, square), &v) in sums.iter_mut().zip(&mut squares).zip(own) {
            *sum += f64::from(v);
            *square += f64::from(v) * f64::from(v);
        }
    }
    let means: Vec<f64> = sums.iter().map(|sum| sum / n).collect();
    let variances: Vec<f64> = squares.iter().zip(&means).map(|(s, m)| (s / n - m * m).max(0.0)).collect();
    let mut sorted = variances.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let floor = median(&sorted).max(1e-12);
    details.par_iter_mut().for_each(|own| {
        for ((v, mean), variance) in own.iter_mut().zip(&means).zip(&variances) {
            *v = ((f64::from(*v) - mean) / (variance + floor).sqrt()) as f32;
        }
        let length = dot(own, own).sqrt().max(1e-12) as f32;
        own.iter_mut().for_each(|v| *v /= length);
    });
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

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum()
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

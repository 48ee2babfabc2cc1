//! What all of a region shows: a defect that covers much of an image moves the mean of many places further, beside what good images'
//! means differ by, than any one place.

use super::super::put;
use super::super::whitening::whitening;
use super::taken;
use crate::engine::Weights;
use crate::error::Result;

/// Rows and columns of places of a region, 64 pixels each; fewer where a view has fewer.
const SIDE: usize = 8;
/// Places from one region to the next.
const STEP: usize = 4;

/// Images that the covariance is computed from, at most.
const IMAGES: usize = 256;
/// Share of the mean variance of good images' values that is added to each, and so many times the number of values over that of means
/// more: what few means do not show must not count for much.
const SHRINKAGE: f64 = 0.3;
const FOR_EACH_VALUE: f64 = 3.0;

/// Differences of means, as a root of their mean square, that rounding and light leave where good images hardly differ.
const ROUNDING: f64 = 0.014;

/// A region says something from this much of what good images show at most (the mean of their peaks) on, and then so many times what is
/// beyond it.
const USUAL: f32 = 1.4;
const GAIN: f32 = 2.0;

/// The regions of a view, and what their means are compared in.
#[derive(Debug)]
pub struct Regions {
    /// Rows and columns of places.
    places: [usize; 2],
    /// Values of a mean.
    length: usize,
    /// What makes differences of means independent and of equal variance on good images, `[length, length]`, lower triangular.
    whitening: Vec<f32>,
    /// The least unit of distances: about what [`ROUNDING`] is as they are compared; 0 where it was loaded.
    least: f32,
}

impl Regions {
    /// From the means of so many good images (of some of them, where they are many), each `[regions, length]` as [`means`] gives them: the
    /// covariance of their differences from the mean of their region, or, without `by_place`, of all regions.
    ///
    /// # Errors
    /// Those of `of`.
    pub fn fit(
        places: [usize; 2],
        images: usize,
        by_place: bool,
        of: &dyn Fn(usize) -> Result<Vec<f32>>,
    ) -> Result<Self> {
        let regions = grid_of(places).iter().product::<usize>();
        let some = || (0..images).step_by(images.div_ceil(IMAGES).max(1));
        let images = some().count();
        let mut sums: Vec<f64> = Vec::new();
        for image in some() {
            let own = of(image)?;
            sums.resize(own.len(), 0.0);
            sums.iter_mut().zip(own).for_each(|(sum, v)| *sum += f64::from(v) / images as f64);
        }
        let length = sums.len() / regions;
        if !by_place {
            let all: Vec<f64> = (0..length)
                .map(|i| sums.iter().skip(i).step_by(length).sum::<f64>() / regions as f64)
                .collect();
            sums = all.repeat(regions);
        }
        let mut covariance = vec![0.0f64; length * length];
        for image in some() {
            let own = of(image)?;
            let differences: Vec<f64> = own.iter().zip(&sums).map(|(&v, mean)| f64::from(v) - mean).collect();
            for difference in differences.chunks_exact(length) {
                for (row, a) in covariance.chunks_exact_mut(length).zip(difference) {
                    row.iter_mut().zip(difference).for_each(|(sum, b)| *sum += a * b);
                }
            }
        }
        let count = (images * regions) as f64;
        let mean = covariance.iter().step_by(length + 1).sum::<f64>() / count / length as f64;
        let added = (SHRINKAGE + FOR_EACH_VALUE * length as f64 / count) * mean;
        covariance.iter_mut().for_each(|v| *v /= count);
        covariance.iter_mut().step_by(length + 1).for_each(|v| *v += added.max(1e-9));
        // In the mean over its values, so that distances do not depend on how many there are.
        let scale = (length as f64).sqrt().recip();
        let whitening = whitening(&covariance, length).into_iter().map(|v| (scale * v) as f32).collect();
        let least = (ROUNDING / (mean + added).max(1e-9).sqrt()) as f32;
        Ok(Self { places, length, whitening, least })
    }

    /// What distances are divided by, from the mean of the most that so many good images show: few say little of that.
    pub fn unit(&self, peak: f32, images: usize) -> f32 {
        peak.max(self.least) * (1.0 + 1.0 / images as f32)
    }

    /// Rows and columns of regions.
    pub fn grid(&self) -> [usize; 2] {
        grid_of(self.places)
    }

    /// Means as they are compared, both `[regions, length]`.
    pub fn whitened(&self, means: &[f32]) -> Vec<f32> {
        let of = |mean: &[f32]| {
            let rows = self.whitening.chunks_exact(self.length).enumerate();
            rows.map(|(i, row)| row[..=i].iter().zip(mean).map(|(w, v)| w * v).sum()).collect::<Vec<f32>>()
        };
        means.chunks_exact(self.length).flat_map(of).collect()
    }

    /// Joins what single places say, `[rows, columns]`, and what regions say, `[regions]`, both in units of what good images show at
    /// most. Where a region says more than any place, what its places say is raised by as much: added, it would blur where a defect is.
    pub fn joined(&self, mut near: Vec<f32>, far: Vec<f32>) -> Vec<f32> {
        let far = self.spread(far.into_iter().map(|v| 1.0 + GAIN * (v - USUAL)).collect());
        let most = near.iter().copied().fold(0.0, f32::max);
        if most > 0.0 {
            near.iter_mut().zip(far).for_each(|(v, far)| *v *= (far / most).max(1.0));
        }
        near
    }

    /// Values of regions at every place: bilinear between their centres, those at the border beyond.
    fn spread(&self, values: Vec<f32>) -> Vec<f32> {
        let [rows, columns] = self.places.map(|places| {
            let centres: Vec<f32> =
                starts(places).map(|start| start as f32 + 0.5 * (SIDE.min(places) - 1) as f32).collect();
            (0..places)
                .map(|place| {
                    let next = centres.partition_point(|&centre| centre <= place as f32);
                    let (low, high) = (next.saturating_sub(1), next.min(centres.len() - 1));
                    let along = (place as f32 - centres[low]) / (centres[high] - centres[low]).max(1.0);
                    (low, high, along.clamp(0.0, 1.0))
                })
                .collect::<Vec<_>>()
        });
        let width = self.grid()[1];
        let at = |&(top, bottom, v): &(usize, usize, f32)| {
            let row = |y: usize, left: usize, right: usize, u: f32| {
                values[y * width + left] * (1.0 - u) + values[y * width + right] * u
            };
            let of = |&(left, right, u): &(usize, usize, f32)| {
                row(top, left, right, u) * (1.0 - v) + row(bottom, left, right, u) * v
            };
            columns.iter().map(of).collect::<Vec<f32>>()
        };
        rows.iter().flat_map(at).collect()
    }

    /// Adds what it has been fitted to to a model file's tensors.
    pub fn save(&self, tensors: &mut Weights, name: &str) {
        put(tensors, &format!("{name}.whitening"), &[self.length; 2], &self.whitening);
    }

    /// Takes what [`save`](Self::save) has added, for means of so many values.
    ///
    /// # Errors
    /// A sentence: a tensor that is missing or does not fit.
    pub fn load(
        places: [usize; 2],
        length: usize,
        tensors: &mut Weights,
        name: &str,
    ) -> Result<Self, String> {
        let whitening = taken(tensors, &format!("{name}.whitening"))?;
        if whitening.len() != length * length {
            return Err(format!("{name}.whitening is of another network"));
        }
        Ok(Self { places, length, whitening, least: 0.0 })
    }
}

/// Means of what describes the places of each group, `[places, values]` of a view of so many rows and columns of places, over each
/// region, group after group: `[regions, length]`.
pub fn means(places: [usize; 2], groups: &[Vec<f32>]) -> Vec<f32> {
    let [rows, columns] = places;
    let sides = places.map(|places| SIDE.min(places));
    let scale = 1.0 / (sides[0] * sides[1]) as f32;
    let mut out = Vec::new();
    for top in starts(rows) {
        for left in starts(columns) {
            for vectors in groups {
                let length = vectors.len() / (rows * columns);
                let from = out.len();
                out.resize(from + length, 0.0);
                for y in top..top + sides[0] {
                    let row = &vectors[(y * columns + left) * length..][..sides[1] * length];
                    for vector in row.chunks_exact(length) {
                        out[from..].iter_mut().zip(vector).for_each(|(sum, v)| *sum += v * scale);
                    }
                }
            }
        }
    }
    out
}

/// Rows and columns of regions of a view of so many rows and columns of places.
pub fn grid_of(places: [usize; 2]) -> [usize; 2] {
    places.map(|places| starts(places).count())
}

/// Where regions begin: one after the other, and one that ends with the view.
fn starts(places: usize) -> impl Iterator<Item = usize> {
    let last = places.saturating_sub(SIDE);
    (0..last).step_by(STEP).chain([last])
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn regions_cover_a_view_and_their_means_are_those_of_their_places() {
        let starts = |places| super::starts(places).collect::<Vec<_>>();
        assert_eq!(
            [starts(3), starts(8), starts(10), starts(16)],
            [vec![0], vec![0], vec![0, 2], vec![0, 4, 8]]
        );
        assert_eq!(grid_of([16, 10]), [3, 2]);
        // The column of a place, and a group of two values: its row and 1.
        let places: Vec<(f32, f32)> = (0..100u8).map(|i| (f32::from(i / 10), f32::from(i % 10))).collect();
        let groups = [places.iter().map(|p| p.1).collect(), places.iter().flat_map(|p| [p.0, 1.0]).collect()];
        let expected = [[3.5, 3.5, 1.0], [5.5, 3.5, 1.0], [3.5, 5.5, 1.0], [5.5, 5.5, 1.0]].concat();
        let found = means([10, 10], &groups);
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?}");
        assert_eq!(found.len(), expected.len());
    }

    #[test]
    fn differences_are_measured_in_what_good_images_differ_by() {
        // One region of two values, which differ by 3 and by 0.1 from image to image.
        let own = [[3.0, 0.1], [3.0, -0.1], [-3.0, 0.1], [-3.0, -0.1]];
        let of = |image: usize| Ok(own[image % 4].to_vec());
        let regions = Regions::fit([4, 4], 256, true, &of).unwrap();
        let length = |v: [f32; 2]| regions.whitened(&v).iter().map(|v| v * v).sum::<f32>();
        // Variances 9 and 0.01, and 0.3 + 3 * 2 / 256 of their mean besides; each is half of the distance.
        let added = (0.3 + 6.0 / 256.0) * 4.505;
        for (v, by_hand) in [([1.0, 0.0], 0.5 / (9.0 + added)), ([0.0, 1.0], 0.5 / (0.01 + added))] {
            assert!((length(v) - by_hand).abs() < 1e-4 * by_hand, "{} {by_hand}", length(v));
        }
        // Images that are all alike, and a single one, give something finite.
        for count in [1, 3] {
            let same = Regions::fit([4, 4], count, true, &|_| Ok(vec![2.0, 5.0])).unwrap();
            assert!(same.whitened(&[3.0, 5.0]).iter().all(|v| v.is_finite()));
            // What differs by no more than rounding is in units of that.
            let rounded = same.whitened(&[ROUNDING as f32; 2]).iter().map(|v| v * v).sum::<f32>().sqrt();
            assert!((same.unit(0.0, 4) - 1.25 * rounded).abs() < 0.01 * rounded, "{rounded}");
        }
    }

    #[test]
    fn without_places_all_regions_have_one_mean() {
        // Two regions that are always 0 and 2: by place nothing differs, anywhere they do by 1.
        let fitted = |by_place| Regions::fit([8, 12], 100, by_place, &|_| Ok(vec![0.0, 2.0])).unwrap();
        assert_eq!(fitted(true).grid(), [1, 2]);
        let [near, anywhere] = [true, false].map(|by_place| fitted(by_place).whitened(&[1.0, 1.0])[0]);
        assert!(near > 1e3 && (anywhere - (1.0f32 + 0.315).sqrt().recip()).abs() < 1e-4, "{near} {anywhere}");
    }

    #[test]
    fn a_region_raises_its_places_where_it_says_more_than_any() {
        let regions = Regions { places: [8, 12], length: 1, whitening: vec![1.0], least: 0.0 };
        let near = |peak: f32| [vec![0.5; 95], vec![peak]].concat();
        // 1 + 2 (1.8 - 1.4) = 1.8 from the middle of the second region on, 7.5 of 12 columns from the left, and -1 up to 3.5.
        let far = || vec![0.4, 1.8];
        assert_eq!(regions.joined(near(1.9), far()), near(1.9));
        let joined = regions.joined(near(0.9), far());
        assert_eq!(joined[..7], [0.5; 7]);
        assert!([8, 11].iter().all(|&i| (joined[i] - 1.0).abs() < 1e-6) && (joined[95] - 1.8).abs() < 1e-6);
        // Column 7 lies an eighth of the way before it: 1.8 - 2.8 / 8.
        assert!((joined[7] - 0.5 * 1.45 / 0.9).abs() < 1e-6, "{joined:?}");
        assert_eq!(regions.joined(near(0.9), vec![1.1, 1.1]), near(0.9));
        // Where places show nothing at all.
        assert_eq!(regions.joined(vec![0.0; 96], far()), [0.0; 96]);
    }
}

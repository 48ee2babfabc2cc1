//! What a memory of good images is asked for: a defect is further from all that a good photo shows than what is good is, and a
//! scene is told from others.
//!
//! A level's map of a photo is compared with that of another good photo of its scene as the memory of features compares
//! ([`blemish::parts`]): means over 3 x 3 cells, channels in units of their deviation, Euclidean distance to the nearest
//! place.

use blemish::parts::nearest::{Searched, nearest_near};
use burn::tensor::{Tensor, TensorData};
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;

use super::batch::Pairs;
use super::tensors::{ids, read, select};
use crate::loss::{log_sum_exp, softplus};

/// Share of the places of a photo, the furthest good ones, that a defect is to surpass.
const FURTHEST: f64 = 1.0 / 32.0;
/// Softness of their maximum, in logarithms of distances.
const SOFT_MAXIMUM: f64 = 0.1;
/// Softness of the ranking.
const SOFTNESS: f64 = 0.25;
/// By how much a defect is to surpass them.
const MARGIN: f64 = 0.1;
/// A channel's unit is at least this share of the level's root mean square.
const LEAST_UNIT: f32 = 0.3;
/// Share of a place that is defective where it counts as such; of small defects, half of the largest share.
const DEFECTIVE: f32 = 0.125;
/// Squared distances count as at least this.
const LEAST_SQUARE: f64 = 1e-8;
/// Places of a photo that the contrast takes, and of each reference.
const TAKEN: [usize; 2] = [16, 32];
/// Added to what must not be compared.
const NEVER: f32 = -1e4;

/// One level of both photos of every scene: means over 3 x 3 cells, `[S, h, w, C]`.
pub struct Level {
    first: Tensor<4>,
    reference: Tensor<4>,
    stride: usize,
}

impl Level {
    /// Of the level's maps of the photos that perhaps have a defect and of the other ones, `[S, h, w, C]`, with `stride` pixels between
    /// places.
    pub fn new(first: Tensor<4>, reference: Tensor<4>, stride: usize) -> Self {
        Self { first: means(first), reference: means(reference), stride }
    }

    /// Places of a photo.
    fn places(&self) -> usize {
        let [_, rows, columns, _] = self.first.dims();
        rows * columns
    }

    /// Ranks the distances of a scene's defective places above the largest of its good ones: the mean over the scenes with a
    /// defect, `[1]`; `None` where there is none. As only ratios count, features that shrink or grow change nothing.
    pub fn retrieve(&self, pairs: &Pairs) -> Option<Tensor<1>> {
        let places = self.places();
        let distances = self.distances(pairs);
        let values = read(&distances);
        let count = ((places as f64 * FURTHEST) as usize).max(1);
        // Of every scene that has a defect: its place among the scenes, the furthest good places, and the weights of the defective ones.
        let (mut furthest, mut weights, mut scenes) = (Vec::new(), Vec::new(), Vec::new());
        for scene in 0..pairs.scenes {
            let share = shares(pairs, scene, self.stride);
            let least = (share.iter().copied().fold(0.0, f32::max) / 2.0).min(DEFECTIVE);
            let bad: Vec<f32> =
                share.iter().map(|&share| f32::from(u8::from(share > 0.0 && share >= least))).collect();
            let mut good: Vec<usize> = (0..places).filter(|&place| share[place] == 0.0).collect();
            let total: f32 = bad.iter().sum();
            if total == 0.0 || good.len() < count {
                continue;
            }
            let own = &values[scene * places..][..places];
            good.sort_unstable_by(|&a, &b| own[b].total_cmp(&own[a]));
            furthest.extend(good[..count].iter().map(|&place| (scene * places + place) as i64));
            weights.extend(bad.iter().map(|bad| bad / total));
            scenes.push(scene as i64);
        }
        if scenes.is_empty() {
            return None;
        }
        let (n, device) = (scenes.len(), distances.device());
        let furthest = distances.clone().reshape([pairs.scenes * places]).select(0, ids(&furthest, &device));
        let furthest = furthest.reshape([n, count]) / SOFT_MAXIMUM;
        let limit = (log_sum_exp(furthest) - (count as f64).ln()) * SOFT_MAXIMUM;
        let short = softplus((limit - distances.select(0, ids(&scenes, &device)) + MARGIN) / SOFTNESS);
        Some((short * Tensor::from_data(TensorData::new(weights, [n, places]), &device)).sum() / n as f64)
    }

    /// Places that the contrast takes: of the first photos and of the others, the same of every scene.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> [Vec<i64>; 2] {
        let places = self.places();
        TAKEN.map(|count| sample(rng, places, count.min(places)).into_iter().map(|i| i as i64).collect())
    }

    /// Dense contrast (Wang et al. 2021, "Dense Contrastive Learning") between two photos: the most similar place of the other photo
    /// of the scene is told from places of other scenes, at the places of [`draw`](Self::draw). The mean over good ones,
    /// `[1]`; `None` where there are none.
    pub fn contrast(
        &self,
        pairs: &Pairs,
        temperature: f64,
        [taken, others]: &[Vec<i64>; 2],
    ) -> Option<Tensor<1>> {
        let places = self.places();
        let (scenes, device) = (pairs.scenes, self.first.device());
        let unit = |x: &Tensor<4>| {
            let [_, _, _, c] = x.dims();
            let x = x.clone().reshape([scenes, places, c]);
            let square = (x.clone() * x.clone()).sum_dim(2);
            x / (square + 1e-12).sqrt()
        };
        let (first, reference) = (unit(&self.first).select(1, ids(taken, &device)), unit(&self.reference));
        let [_, n, c] = first.dims();
        let positive = first.clone().matmul(reference.clone().swap_dims(1, 2)).max_dim(2);
        let positive = positive.reshape([scenes * n, 1]) / temperature;
        let m = others.len();
        let others = reference.select(1, ids(others, &device)).reshape([scenes * m, c]);
        let own = (0..scenes * n * scenes * m).map(|at| {
            let (row, column) = (at / (scenes * m), at % (scenes * m));
            if row / n == column / m { NEVER } else { 0.0 }
        });
        let own = TensorData::new(own.collect::<Vec<f32>>(), [scenes * n, scenes * m]);
        let negative = first.reshape([scenes * n, c]).matmul(others.transpose()) / temperature;
        let negative = log_sum_exp(negative + Tensor::from_data(own, &device));
        let mut good = Vec::with_capacity(scenes * n);
        for scene in 0..scenes {
            let share = shares(pairs, scene, self.stride);
            good.extend(taken.iter().map(|&place| f32::from(u8::from(share[place as usize] == 0.0))));
        }
        let total: f32 = good.iter().sum();
        let good = Tensor::<2>::from_data(TensorData::new(good, [scenes * n, 1]), &device);
        (total > 0.0).then(|| (softplus(negative - positive) * good).sum() / f64::from(total))
    }

    /// Logarithms of the distances of every place to the nearest one of the reference, `[S, h w]`. The nearest is looked for without
    /// a gradient.
    fn distances(&self, pairs: &Pairs) -> Tensor<2> {
        let [scenes, rows, columns, c] = self.first.dims();
        let places = rows * columns;
        let (first, reference) = in_units(self.first.clone(), self.reference.clone());
        let (queries, bank) = (read(&first), read(&reference));
        // Cells: 8 to 16 pixels.
        let reach = if self.stride > 8 { 1 } else { 2 };
        let mut chosen = Vec::with_capacity(scenes * places);
        for scene in 0..scenes {
            let [queries, bank] = [&queries, &bank].map(|all| &all[scene * places * c..][..places * c]);
            let found = if pairs.near[scene] {
                nearest_near(queries, bank, [rows, columns], 1, c, reach, &|_| false)
            } else {
                Searched::new(bank.to_vec(), c).nearest(queries, &|_| false)
            };
            chosen.extend(found.into_iter().map(|i| (scene * places + i) as i64));
        }
        let difference = first.reshape([scenes * places, c]) - select(&reference, &chosen);
        let squares = (difference.clone() * difference).sum_dim(1).reshape([scenes, places]);
        squares.clamp_min(LEAST_SQUARE).log() * 0.5
    }
}

/// Means over 3 x 3 cells; at the border over those that there are. `[S, h, w, C]` -> the same.
fn means(x: Tensor<4>) -> Tensor<4> {
    let [n, h, w, c] = x.dims();
    let band = |side: usize| {
        let mut weights = vec![0.0f32; side * side];
        for i in 0..side {
            let near = i.saturating_sub(1)..(i + 2).min(side);
            let weight = 1.0 / near.len() as f32;
            weights[i * side..][near].fill(weight);
        }
        Tensor::<3>::from_data(TensorData::new(weights, [1, side, side]), &x.device())
    };
    let down = band(h).expand([n, h, h]).matmul(x.clone().reshape([n, h, w * c]));
    band(w).expand([n * h, w, w]).matmul(down.reshape([n * h, w, c])).reshape([n, h, w, c])
}

/// Channels of both in units of their deviation in `reference`, by scene, so that all levels have about the same length.
fn in_units(first: Tensor<4>, reference: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
    let [scenes, h, w, c] = reference.dims();
    let values = read(&reference);
    let mut units = Vec::with_capacity(scenes * c);
    for image in values.chunks_exact(h * w * c) {
        let sum = |of: &dyn Fn(usize, f32) -> f64| {
            let mut sums = vec![0.0f64; c];
            for cell in image.chunks_exact(c) {
                sums.iter_mut().enumerate().for_each(|(i, sum)| *sum += of(i, cell[i]));
            }
            sums.iter().map(|sum| sum / (h * w) as f64).collect::<Vec<f64>>()
        };
        let mean = sum(&|_, v| f64::from(v));
        let variance = sum(&|i, v| (f64::from(v) - mean[i]).powi(2));
        let rms = (variance.iter().sum::<f64>() / c as f64).sqrt().max(1e-6);
        let unit = |v: &f64| v.sqrt().max(f64::from(LEAST_UNIT) * rms) * (c as f64).sqrt();
        units.extend(variance.iter().map(|v| (1.0 / unit(v)) as f32));
    }
    let units = Tensor::<4>::from_data(TensorData::new(units, [scenes, 1, 1, c]), &first.device());
    (first * units.clone(), reference * units)
}

/// The share of every place of a scene's first photo that is defective.
fn shares(pairs: &Pairs, scene: usize, stride: usize) -> Vec<f32> {
    let [height, width] = pairs.size;
    let columns = width / stride;
    let mut shares = vec![0.0; height / stride * columns];
    let mask = &pairs.defect[scene * height * width..][..height * width];
    for (at, _) in mask.iter().enumerate().filter(|(_, v)| **v > 0.0) {
        shares[at / width / stride * columns + at % width / stride] += 1.0 / (stride * stride) as f32;
    }
    shares
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use rand::SeedableRng;

    /// One scene, one row of places of one channel; of each place so many pixels are defective.
    fn level(first: &[f32], reference: &[f32], defective: &[usize]) -> (Level, Pairs) {
        let map = |values: &[f32]| {
            let data = TensorData::new(values.to_vec(), [1, 1, values.len(), 1]);
            Tensor::<4>::from_data(data, &Device::flex().autodiff())
        };
        let width = first.len() * 16;
        let mut defect = vec![0.0; 16 * width];
        for (place, &pixels) in defective.iter().enumerate() {
            (0..pixels).for_each(|i| defect[i / 16 * width + place * 16 + i % 16] = 1.0);
        }
        let pairs = Pairs {
            step: 0,
            size: [16, width],
            scenes: 1,
            first: Vec::new(),
            clean: Vec::new(),
            defect,
            reference: Vec::new(),
            near: vec![false],
        };
        (Level::new(map(first), map(reference), 16), pairs)
    }

    fn value(x: Tensor<1>) -> f64 {
        f64::from(read(&x)[0])
    }

    fn close(got: f64, expected: f64) {
        assert!((got - expected).abs() < 1e-5, "{got}, not {expected}");
    }

    #[test]
    fn means_are_over_the_neighbours_that_there_are() {
        let x: Vec<f32> = vec![1., 2., 3., 4., 5., 6.];
        let x = Tensor::<4>::from_data(TensorData::new(x, [1, 2, 3, 1]), &Device::flex());
        let means = read(&means(x));
        means.iter().zip([3.0, 3.5, 4.0, 3.0, 3.5, 4.0]).for_each(|(got, mean)| close(f64::from(*got), mean));
    }

    #[test]
    fn a_defect_is_ranked_above_the_furthest_good_place() {
        let (level, pairs) = level(&[2.8, 1.0, 3.0, 10.0], &[1.0, 1.0, 1.0, 7.0], &[0, 0, 0, 40]);
        // Means: [1.9, 2.27, 4.67, 6.5] and [1, 1, 3, 4]; the latter's deviation is the square root of 27 / 16.
        let unit = (27.0f64 / 16.0).sqrt();
        let log = |d: f64| (d / unit).ln();
        // Of the good places the first is the furthest.
        let short = (log(0.9) + MARGIN - log(2.5)) / SOFTNESS;
        close(value(level.retrieve(&pairs).unwrap()), short.exp().ln_1p());
        // Features that are twice as large give the same.
        let twice = |x: &Tensor<4>| x.clone() * 2.0;
        let scaled =
            Level { first: twice(&level.first), reference: twice(&level.reference), stride: level.stride };
        close(value(scaled.retrieve(&pairs).unwrap()), short.exp().ln_1p());
        // The nearest of each is beside its own place.
        let near = Pairs { near: vec![true], ..pairs.clone() };
        close(value(level.retrieve(&near).unwrap()), short.exp().ln_1p());
        // Without a defect there is nothing to rank.
        assert!(level.retrieve(&Pairs { defect: vec![0.0; 16 * 64], ..pairs }).is_none());
    }

    #[test]
    fn the_loss_pulls_a_defect_away() {
        let (mut level, pairs) = level(&[2.8, 1.0, 3.0, 10.0], &[1.0, 1.0, 1.0, 7.0], &[0, 0, 0, 40]);
        level.first = level.first.require_grad();
        let gradients = level.retrieve(&pairs).unwrap().backward();
        let gradient = level.first.grad(&gradients).map(|g| read(&g)).unwrap();
        // Both lie above what they are compared with: more of the last lowers the loss, more of the first raises it.
        assert!(gradient[3] < 0.0 && gradient[0] > 0.0, "{gradient:?}");
    }

    #[test]
    fn a_scene_is_told_from_others() {
        // Two scenes of one place, two channels.
        let map = |values: [f32; 4]| {
            Tensor::<4>::from_data(TensorData::new(values.to_vec(), [2, 1, 1, 2]), &Device::flex().autodiff())
        };
        let level = Level::new(map([1., 0., 0., 2.]), map([3., 0., 0.6, 0.8]), 16);
        let pairs =
            Pairs { size: [16, 16], scenes: 2, defect: vec![0.0; 512], near: vec![false; 2], ..pairs_of() };
        let places = level.draw(&mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(places, [vec![0], vec![0]]);
        let expected =
            [(1.0, 0.6), (0.8, 0.0)].map(|(own, other): (f64, f64)| ((other - own) / 0.5).exp().ln_1p());
        close(value(level.contrast(&pairs, 0.5, &places).unwrap()), (expected[0] + expected[1]) / 2.0);
        assert!(level.contrast(&Pairs { defect: vec![1.0; 512], ..pairs }, 0.5, &places).is_none());
    }

    fn pairs_of() -> Pairs {
        level(&[0.0], &[0.0], &[0]).1
    }
}

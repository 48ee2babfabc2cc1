//! What a memory of good images is asked for: a defect is further from all that a good photo shows than what is good is, and a
//! scene is told from others.
//!
//! A level's map of a photo is compared with that of another good photo of its scene as the memory of features compares
//! ([`blemish::parts`]): means over 3 x 3 cells, channels in units of their deviation, Euclidean distance to the nearest
//! place. A third photo, a good one, is compared with the same: an image is judged beside others, so a defect has to be
//! further away than what is good there, too.

use blemish::parts::nearest::{Searched, nearest_near};
use burn::tensor::{Tensor, TensorData};
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;

use super::batch::Triples;
use super::tensors::{deviations, ids, read, select};
use crate::loss::{log_sum_exp, softplus};

/// Share of the places of a photo, the furthest good ones, that a defect is to surpass: of its own photo and of another.
const FURTHEST: f64 = 1.0 / 32.0;
/// Softness of their maximum, in logarithms of distances.
pub(super) const SOFT_MAXIMUM: f64 = 0.1;
/// Softness of the ranking.
pub(super) const SOFTNESS: f64 = 0.25;
/// By how much a defect is to surpass them.
pub(super) const MARGIN: f64 = 0.1;
/// Share of a place that is defective where it counts as such; of small defects, half of the largest share.
const DEFECTIVE: f32 = 0.125;
/// Squared distances count as at least this.
pub(super) const LEAST_SQUARE: f64 = 1e-8;
/// Places of a photo that the contrast takes, and of each reference.
const TAKEN: [usize; 2] = [16, 32];
/// Added to what must not be compared.
const NEVER: f32 = -1e4;

/// One level of the three photos of every scene: means over 3 x 3 cells, `[S, h, w, C]`.
pub struct Level {
    first: Tensor<4>,
    reference: Tensor<4>,
    good: Tensor<4>,
    stride: usize,
}

impl Level {
    /// Of the level's maps, `[S, h, w, C]`, with `stride` pixels between places: of the photos that perhaps have a defect, of those that
    /// are compared with, and of other good ones.
    pub fn new(first: Tensor<4>, reference: Tensor<4>, good: Tensor<4>, stride: usize) -> Self {
        Self { first: means(first), reference: means(reference), good: means(good), stride }
    }

    /// Places of a photo.
    fn places(&self) -> usize {
        let [_, rows, columns, _] = self.first.dims();
        rows * columns
    }

    /// Ranks the distances of a scene's defective places above the largest of the good ones, of their own photo and of the other: the
    /// mean over the scenes with a defect, `[1]`; `None` where there is none. As only ratios count, features that shrink or grow change
    /// nothing.
    pub fn retrieve(&self, triples: &Triples) -> Option<Tensor<1>> {
        if triples.defect.iter().all(|v| *v == 0.0) {
            return None;
        }
        let places = self.places();
        let [distances, of_good] = self.distances(triples);
        let (values, good_values) = (read(&distances), read(&of_good));
        let count = furthest_of(places);
        // Of every scene that has a defect: its place among the scenes, the furthest good places, and the weights of the defective ones.
        let (mut furthest, mut weights, mut scenes) = ([Vec::new(), Vec::new()], Vec::new(), Vec::new());
        for scene in 0..triples.scenes {
            let share = shares(triples, scene, self.stride);
            let bad: Vec<f32> = defective(&share).into_iter().map(|bad| f32::from(u8::from(bad))).collect();
            let good: Vec<usize> = (0..places).filter(|&place| share[place] == 0.0).collect();
            let total: f32 = bad.iter().sum();
            if total == 0.0 || good.len() < count {
                continue;
            }
            let all = [(good, &values), ((0..places).collect(), &good_values)];
            for (furthest, (mut candidates, values)) in furthest.iter_mut().zip(all) {
                let own = &values[scene * places..][..places];
                furthest_first(&mut candidates, own);
                furthest.extend(candidates[..count].iter().map(|&place| (scene * places + place) as i64));
            }
            weights.extend(bad.iter().map(|bad| bad / total));
            scenes.push(scene as i64);
        }
        if scenes.is_empty() {
            return None;
        }
        let (n, device) = (scenes.len(), distances.device());
        let [own, other] = furthest.map(|places| ids(&places, &device));
        let chosen = |distances: &Tensor<2>, at| {
            distances.clone().reshape([triples.scenes * places]).select(0, at).reshape([n, count])
        };
        let furthest = Tensor::cat(vec![chosen(&distances, own), chosen(&of_good, other)], 1);
        let short = shortfall(distances.select(0, ids(&scenes, &device)), furthest);
        Some((short * Tensor::from_data(TensorData::new(weights, [n, places]), &device)).sum() / n as f64)
    }

    /// Places that the contrast takes: of the first photos and of the others, the same of every scene.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> [Vec<i64>; 2] {
        let places = self.places();
        TAKEN.map(|count| sample(rng, places, count.min(places)).into_iter().map(|i| i as i64).collect())
    }

    /// Dense contrast (Wang et al. 2021, "Dense Contrastive Learning") between the first photo and the reference: the most similar
    /// place of the scene's reference is told from places of other scenes' references, at the places of [`draw`](Self::draw). The mean over good ones,
    /// `[1]`; `None` where there are none.
    pub fn contrast(
        &self,
        triples: &Triples,
        temperature: f64,
        [taken, others]: &[Vec<i64>; 2],
    ) -> Option<Tensor<1>> {
        let places = self.places();
        let (scenes, device) = (triples.scenes, self.first.device());
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
            let share = shares(triples, scene, self.stride);
            good.extend(taken.iter().map(|&place| f32::from(u8::from(share[place as usize] == 0.0))));
        }
        let total: f32 = good.iter().sum();
        let good = Tensor::<2>::from_data(TensorData::new(good, [scenes * n, 1]), &device);
        (total > 0.0).then(|| (softplus(negative - positive) * good).sum() / f64::from(total))
    }

    /// Logarithms of the distances of every place to the nearest one of the reference, `[S, h w]`: of the first photos and of the other
    /// good ones. The nearest is looked for without a gradient.
    fn distances(&self, triples: &Triples) -> [Tensor<2>; 2] {
        let [scenes, rows, columns, c] = self.first.dims();
        let places = rows * columns;
        let units = units(&self.reference);
        let reference = self.reference.clone() * units.clone();
        let bank = read(&reference);
        // Cells: 8 to 16 pixels.
        let reach = if self.stride > 8 { 1 } else { 2 };
        [&self.first, &self.good].map(|photos| {
            let photos = photos.clone() * units.clone();
            let queries = read(&photos);
            let mut chosen = Vec::with_capacity(scenes * places);
            for scene in 0..scenes {
                let [queries, bank] = [&queries, &bank].map(|all| &all[scene * places * c..][..places * c]);
                let found = if triples.near[scene] {
                    nearest_near(queries, bank, [rows, columns], 1, c, reach, &|_| false)
                } else {
                    Searched::new(bank.to_vec(), c).nearest(queries, &|_| false)
                };
                chosen.extend(found.into_iter().map(|i| (scene * places + i) as i64));
            }
            let difference = photos.reshape([scenes * places, c]) - select(&reference, &chosen);
            let squares = (difference.clone() * difference).sum_dim(1).reshape([scenes, places]);
            squares.clamp_min(LEAST_SQUARE).log() * 0.5
        })
    }
}

/// How many of so many places of a photo, the furthest ones, a defect is to surpass.
pub(super) fn furthest_of(places: usize) -> usize {
    ((places as f64 * FURTHEST) as usize).max(1)
}

/// Orders places by their distances, the furthest first.
pub(super) fn furthest_first(places: &mut [usize], distances: &[f32]) {
    places.sort_unstable_by(|&a, &b| distances[b].total_cmp(&distances[a]));
}

/// Of the share of each place of a photo that is defective, which places count as such.
pub(super) fn defective(shares: &[f32]) -> Vec<bool> {
    let least = (shares.iter().copied().fold(0.0, f32::max) / 2.0).min(DEFECTIVE);
    shares.iter().map(|&share| share > 0.0 && share >= least).collect()
}

/// The softplus by which distances, in logarithms, `[n, places]`, stay below the furthest ones of good places, `[n, m]`, and a margin:
/// `[n, places]`.
pub(super) fn shortfall(distances: Tensor<2>, furthest: Tensor<2>) -> Tensor<2> {
    let [_, count] = furthest.dims();
    let limit = (log_sum_exp(furthest / SOFT_MAXIMUM) - (count as f64).ln()) * SOFT_MAXIMUM;
    softplus((limit - distances + MARGIN) / SOFTNESS)
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

/// What brings channels to units of their deviation in `reference`, by scene, so that all levels have about the same length:
/// `[S, 1, 1, C]`.
fn units(reference: &Tensor<4>) -> Tensor<4> {
    let [scenes, h, w, c] = reference.dims();
    let values = read(reference);
    let units = values.chunks_exact(h * w * c).flat_map(|image| deviations(image, c));
    let units = units.map(|unit| (1.0 / (unit * (c as f64).sqrt())) as f32).collect();
    Tensor::from_data(TensorData::new(units, [scenes, 1, 1, c]), &reference.device())
}

/// The share of every place of a scene's first photo that is defective.
fn shares(triples: &Triples, scene: usize, stride: usize) -> Vec<f32> {
    let pixels = triples.size[0] * triples.size[1];
    shares_of(&triples.defect[scene * pixels..][..pixels], triples.size, stride)
}

/// The share of every place, `stride` pixels apart, whose pixels are above 0 in a mask `[height, width]`.
pub(super) fn shares_of(mask: &[f32], [height, width]: [usize; 2], stride: usize) -> Vec<f32> {
    let columns = width / stride;
    let mut shares = vec![0.0; height / stride * columns];
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
    fn level([first, reference, good]: [&[f32]; 3], defective: &[usize]) -> (Level, Triples) {
        let map = |values: &[f32]| {
            let data = TensorData::new(values.to_vec(), [1, 1, values.len(), 1]);
            Tensor::<4>::from_data(data, &Device::flex().autodiff())
        };
        let width = first.len() * 16;
        let mut defect = vec![0.0; 16 * width];
        for (place, &pixels) in defective.iter().enumerate() {
            (0..pixels).for_each(|i| defect[i / 16 * width + place * 16 + i % 16] = 1.0);
        }
        let triples = Triples {
            step: 0,
            size: [16, width],
            scenes: 1,
            first: Vec::new(),
            clean: Vec::new(),
            defect,
            reference: Vec::new(),
            good: Vec::new(),
            near: vec![false],
        };
        (Level::new(map(first), map(reference), map(good), 16), triples)
    }

    /// The first photo, what it is compared with, and a good one.
    const PHOTOS: [&[f32]; 3] = [&[2.8, 1.0, 3.0, 10.0], &[1.0, 1.0, 1.0, 7.0], &[2.0, 1.0, 1.0, 1.0]];

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
        let (level, triples) = level(PHOTOS, &[0, 0, 0, 40]);
        // Means: [1.9, 2.27, 4.67, 6.5] and [1, 1, 3, 4]; the latter's deviation is the square root of 27 / 16. Those of the good
        // photo: [1.5, 1.33, 1.33, 1].
        let unit = (27.0f64 / 16.0).sqrt();
        let log = |d: f64| (d / unit).ln();
        let loss = |furthest: [f64; 2]| {
            let mean = furthest.map(|d| (log(d) / SOFT_MAXIMUM).exp() / 2.0).iter().sum::<f64>();
            ((SOFT_MAXIMUM * mean.ln() + MARGIN - log(2.5)) / SOFTNESS).exp().ln_1p()
        };
        // Of the good places the first is the furthest; of the good photo its first.
        close(value(level.retrieve(&triples).unwrap()), loss([0.9, 0.5]));
        // Features that are twice as large give the same.
        let twice = |x: &Tensor<4>| x.clone() * 2.0;
        let Level { first, reference, good, stride } = &level;
        let scaled =
            Level { first: twice(first), reference: twice(reference), good: twice(good), stride: *stride };
        close(value(scaled.retrieve(&triples).unwrap()), loss([0.9, 0.5]));
        // The good photo's last value, 1, has its like in the reference only two places away; near, the distance is 2.
        let near = Triples { near: vec![true], ..triples.clone() };
        close(value(level.retrieve(&near).unwrap()), loss([0.9, 2.0]));
        // Without a defect there is nothing to rank.
        assert!(level.retrieve(&Triples { defect: vec![0.0; 16 * 64], ..triples }).is_none());
    }

    #[test]
    fn the_loss_pulls_a_defect_away() {
        let (mut level, triples) = level(PHOTOS, &[0, 0, 0, 40]);
        level.first = level.first.require_grad();
        level.good = level.good.require_grad();
        let gradients = level.retrieve(&triples).unwrap().backward();
        let gradient = |x: &Tensor<4>| x.grad(&gradients).map(|g| read(&g)).unwrap();
        let (first, good) = (gradient(&level.first), gradient(&level.good));
        // All lie above what they are compared with: more of the last lowers the loss, more of what is good raises it.
        assert!(first[3] < 0.0 && first[0] > 0.0 && good[0] > 0.0, "{first:?} {good:?}");
    }

    #[test]
    fn a_scene_is_told_from_others() {
        // Two scenes of one place, two channels.
        let map = |values: [f32; 4]| {
            Tensor::<4>::from_data(TensorData::new(values.to_vec(), [2, 1, 1, 2]), &Device::flex().autodiff())
        };
        let reference = map([3., 0., 0.6, 0.8]);
        let level = Level::new(map([1., 0., 0., 2.]), reference.clone(), reference, 16);
        let triples = Triples {
            size: [16, 16],
            scenes: 2,
            defect: vec![0.0; 512],
            near: vec![false; 2],
            ..triples_of()
        };
        let places = level.draw(&mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(places, [vec![0], vec![0]]);
        let expected =
            [(1.0, 0.6), (0.8, 0.0)].map(|(own, other): (f64, f64)| ((other - own) / 0.5).exp().ln_1p());
        close(value(level.contrast(&triples, 0.5, &places).unwrap()), (expected[0] + expected[1]) / 2.0);
        assert!(level.contrast(&Triples { defect: vec![1.0; 512], ..triples }, 0.5, &places).is_none());
    }

    fn triples_of() -> Triples {
        level([&[0.0]; 3], &[0]).1
    }
}

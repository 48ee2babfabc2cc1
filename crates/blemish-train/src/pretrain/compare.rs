//! The comparison of queries with good references, with gradients: the nearest reference is looked for without, its residual
//! has one.

use blemish::engine::Feature;
use blemish::parts::comparison::levels::{
    FLOOR, GROUPS, LEVELS, LOGIT_SCALE, Level, STRIDE, average, coarse, residual, scales,
};
use blemish::parts::nearest::{Searched, nearest_near};
use burn::tensor::{Device, Tensor, TensorData};

use super::episode::Episodes;
use super::tensors::{ids, read, select};
use crate::loss;
use crate::model::Features;
use crate::ops;

/// References of an episode that say what residuals good images have, at levels of stride 4: searching among all of them is slow.
const PROBED: usize = 2;
/// Pixels of a place that are defective at least where it counts as such.
const LEAST: f32 = 2.0;
/// Places whose mean is an image's score, about.
const COUNTED: f64 = 16.0;

/// What the last layers see of the queries, `[count queries, H/4, W/4, INPUTS]`.
pub fn planes(episodes: &Episodes, features: &Features, logit: &Tensor<4>) -> Tensor<4> {
    let mut planes: Vec<Tensor<4>> =
        LEVELS.iter().flat_map(|level| of_level(episodes, level, map_of(features, level))).collect();
    planes.extend(of_logit(episodes, logit));
    Tensor::cat(planes, 3)
}

fn map_of(features: &Features, level: &Level) -> Tensor<4> {
    match level.feature {
        Feature::Level(i) => features.stem[i].clone(),
        Feature::Tap(i) => features.taps[i].clone(),
        Feature::Head(i) => features.head[i].clone(),
    }
}

/// Planes of the comparison anywhere, and near the place.
fn of_level(episodes: &Episodes, level: &Level, map: Tensor<4>) -> [Tensor<4>; 2] {
    let [_, rows, columns, c] = map.dims();
    let (grid, places) = ([rows, columns], rows * columns);
    let (k, q) = (episodes.references, episodes.queries);
    let values = read(&map);
    let device = map.device();
    let mut chosen: [Vec<i64>; 2] = [Vec::new(), Vec::new()];
    let mut scale: [Vec<f32>; 2] = [Vec::new(), Vec::new()];
    for (episode, &has_places) in episodes.has_places.iter().enumerate() {
        let first = episode * (k + q) * places;
        let image = |i: usize| &values[(first + i * places) * c..][..places * c];
        let searched = Searched::new(values[first * c..][..k * places * c].to_vec(), c);
        let bank = by_place(searched.vectors(), k, places, c);
        let near = |queries: &[f32], left_out: usize| -> Vec<usize> {
            let skip = move |i: usize| i % k == left_out;
            let found = nearest_near(queries, &bank, grid, k, c, level.reach, &skip);
            found.into_iter().map(|i| (i % k) * places + i / k).collect()
        };
        // What good references differ among themselves.
        let probed = if level.stride == STRIDE { PROBED.min(k) } else { k };
        let mut means = [vec![0.0f32; places * GROUPS], vec![0.0f32; places * GROUPS]];
        for probe in 0..probed {
            let own = probe * places..(probe + 1) * places;
            let anywhere = searched.nearest(image(probe), &|i| own.contains(&i));
            let near = if has_places { near(image(probe), probe) } else { anywhere.clone() };
            for (means, found) in means.iter_mut().zip([anywhere, near]) {
                let pairs = image(probe).chunks_exact(c).zip(found);
                for (mean, (query, i)) in means.chunks_exact_mut(GROUPS).zip(pairs) {
                    let residual = residual(query, searched.vector(i));
                    mean.iter_mut().zip(residual).for_each(|(mean, v)| *mean += v / probed as f32);
                }
            }
        }
        let scaled = means.map(|means| scales(&means, grid, GROUPS, has_places));
        for query in 0..q {
            let anywhere = searched.nearest(image(k + query), &|_| false);
            let near = if has_places { near(image(k + query), usize::MAX) } else { anywhere.clone() };
            for (chosen, found) in chosen.iter_mut().zip([anywhere, near]) {
                chosen.extend(found.into_iter().map(|i| (first + i) as i64));
            }
            for (scale, scaled) in scale.iter_mut().zip(&scaled) {
                scale.extend_from_slice(scaled);
            }
        }
    }
    let cells = episodes.count * (k + q) * places;
    let asked: Vec<i64> = (0..cells as i64).filter(|i| *i as usize / places % (k + q) >= k).collect();
    let asked = select(&map, &asked);
    let n = episodes.count * q;
    std::array::from_fn(|way| {
        let found = select(&map, &chosen[way]);
        let difference = asked.clone() - found;
        let squares = (difference.clone() * difference).reshape([n * places, GROUPS, c / GROUPS]);
        let squares = squares.sum_dim(2).reshape([n * places, GROUPS]);
        let scale = std::mem::take(&mut scale[way]);
        let scale = Tensor::<2>::from_data(TensorData::new(scale, [n * places, GROUPS]), &device);
        // Worth 1, but with a gradient: features that merely shrink change nothing, as where the scale is taken from them.
        let good = (squares.clone() * good_weights(episodes, [rows, columns], level.stride, &device))
            .reshape([episodes.count, q * places, GROUPS]);
        let good = good.sum_dim(1) + 1e-12;
        let unit = (good.clone() / good.detach()).expand([episodes.count, q * places, GROUPS]);
        let squares = squares / unit.reshape([n * places, GROUPS]);
        let plane = ((squares / scale + FLOOR).log() * 0.5).reshape([n, rows, columns, GROUPS]);
        repeated(plane, level.stride / STRIDE)
    })
}

/// For every place of the queries, whether it shows no defect, over their number in the episode, `[count queries places, 1]`.
fn good_weights(
    episodes: &Episodes,
    [rows, columns]: [usize; 2],
    stride: usize,
    device: &Device,
) -> Tensor<2> {
    let [h, w] = episodes.size;
    let (k, q) = (episodes.references, episodes.queries);
    let mut weights = Vec::with_capacity(episodes.count * q * rows * columns);
    for masks in episodes.defect.chunks_exact((k + q) * h * w) {
        let first = weights.len();
        for mask in masks[k * h * w..].chunks_exact(h * w) {
            let mut good = vec![1.0f32; rows * columns];
            for (at, _) in mask.iter().enumerate().filter(|(_, v)| **v > 0.0) {
                good[at / w / stride * columns + at % w / stride] = 0.0;
            }
            weights.extend(good);
        }
        let sum: f32 = weights[first..].iter().sum::<f32>().max(1.0);
        weights[first..].iter_mut().for_each(|v| *v /= sum);
    }
    let n = weights.len();
    Tensor::from_data(TensorData::new(weights, [n, 1]), device)
}

/// `[k places, c]` -> `[places, k, c]`
fn by_place(vectors: &[f32], k: usize, places: usize, c: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(vectors.len());
    for place in 0..places {
        for image in 0..k {
            out.extend_from_slice(&vectors[(image * places + place) * c..][..c]);
        }
    }
    out
}

/// The defect logit of the queries over that of the references, and that of the references.
fn of_logit(episodes: &Episodes, logit: &Tensor<4>) -> Vec<Tensor<4>> {
    let [_, h, w, _] = logit.dims();
    let (k, q) = (episodes.references, episodes.queries);
    let [rows, columns] = [h / STRIDE, w / STRIDE];
    let values = read(logit);
    let device = logit.device();
    let mut reference = Vec::new();
    for (episode, &has_places) in episodes.has_places.iter().enumerate() {
        let mut mean = vec![0.0f32; rows * columns];
        for i in 0..k {
            let image = coarse(&values[(episode * (k + q) + i) * h * w..][..h * w], [h, w]);
            mean.iter_mut().zip(image).for_each(|(mean, v)| *mean += v / k as f32);
        }
        if !has_places {
            let average = average(&mean, 1)[0];
            mean.fill(average);
        }
        for _ in 0..q {
            reference.extend_from_slice(&mean);
        }
    }
    let n = episodes.count * q;
    let asked: Vec<i64> =
        (0..(episodes.count * (k + q)) as i64).filter(|i| *i as usize % (k + q) >= k).collect();
    let asked = logit.clone().select(0, ids(&asked, &device)).reshape([n * rows, STRIDE, columns, STRIDE]);
    let asked = asked.mean_dim(3).mean_dim(1).reshape([n, rows, columns, 1]);
    let reference = Tensor::<4>::from_data(TensorData::new(reference, [n, rows, columns, 1]), &device);
    vec![(asked - reference.clone()) / LOGIT_SCALE, reference / LOGIT_SCALE]
}

/// The focal loss of the places, and the cross-entropy of the images by a smooth maximum of their map.
pub fn losses(episodes: &Episodes, map: Tensor<4>, gamma: f64) -> [Tensor<1>; 2] {
    let [n, rows, columns, _] = map.dims();
    let [h, w] = episodes.size;
    let (k, q) = (episodes.references, episodes.queries);
    let mut target = Vec::with_capacity(n * rows * columns);
    let mut defective = Vec::with_capacity(n);
    let masks = episodes.defect.chunks_exact(h * w).enumerate();
    for (_, mask) in masks.filter(|(i, _)| i % (k + q) >= k) {
        let share = coarse(mask, [h, w]);
        let least = LEAST / (STRIDE * STRIDE) as f32;
        target.extend(share.iter().map(|share| f32::from(u8::from(*share >= least))));
        defective.push(f32::from(u8::from(mask.iter().any(|v| *v > 0.0))));
    }
    let device = map.device();
    let target = Tensor::<4>::from_data(TensorData::new(target, [n, rows, columns, 1]), &device);
    let compared = loss::focal_with_logits(map.clone(), target, gamma);
    // log(sum exp(2 z) / 16) / 2, as if 16 places had the largest value.
    let score = (loss::log_sum_exp(map.reshape([n, rows * columns]) * 2.0) - COUNTED.ln()) * 0.5;
    let defective = Tensor::<2>::from_data(TensorData::new(defective, [n, 1]), &device);
    let judged = loss::softplus(score.clone()) - score * defective;
    [compared, judged.mean()]
}

/// Every place `times` times, down and to the side.
fn repeated(x: Tensor<4>, times: usize) -> Tensor<4> {
    if times == 1 {
        return x;
    }
    // By pixel shuffles, whose gradient is fused.
    let mut x = x;
    let mut left = times;
    while left > 1 {
        x = ops::pixel_shuffle(Tensor::cat(vec![x.clone(), x.clone(), x.clone(), x], 3));
        left /= 2;
    }
    x
}

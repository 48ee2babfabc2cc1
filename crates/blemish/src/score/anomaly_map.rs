//! Anomaly maps: how far each pixel is from what the model thinks it should be. Higher = more defective.

use burn::tensor::{Tensor, TensorData};

use super::scorer::Scorer;
use super::tiles::Tiles;
use crate::config::{MapKind, Reduce, ScoreConfig};
use crate::data::Image;
use crate::kernels::blur::blur_same_reflect;
use crate::loss;
use crate::model::Complementary;

/// One map per image, `[H, W]`, smoothed, not calibrated.
///
/// `images` are normalised, of the model's size, or larger: then the model sees them in tiles. With `score.passes` above 1,
/// every patch is judged while it is hidden: the map compares the image with what complementary masks have left of it, put
/// together.
pub fn anomaly_maps(model: &Scorer, images: &[Image], score: &ScoreConfig) -> Vec<Vec<f32>> {
    let Some([h, w]) = images.first().map(|image| [image.height, image.width]) else { return Vec::new() };
    let tiles = ([h, w] != model.image_size()).then(|| Tiles::new([h, w], model.image_size()));
    let look = |images: &[Image]| match &tiles {
        None => of_its_size(model, images, score),
        Some(tiles) => {
            images.iter().map(|image| tiles.join(&of_its_size(model, &tiles.cut(image), score))).collect()
        }
    };
    let mut maps = look(images);
    if score.flips {
        for sides in [[true, false], [false, true], [true, true]] {
            let mirrored: Vec<Image> = images.iter().map(|image| image.mirrored(sides)).collect();
            for (map, other) in maps.iter_mut().zip(look(&mirrored)) {
                let other = Image { height: h, width: w, channels: 1, pixels: other }.mirrored(sides);
                map.iter_mut().zip(other.pixels).for_each(|(sum, v)| *sum += v);
            }
        }
        maps.iter_mut().flatten().for_each(|v| *v /= 4.0);
    }
    if score.smooth_sigma > 0.0 {
        for map in &mut maps {
            *map = blur_same_reflect(map, h, w, score.smooth_sigma as f32);
        }
    }
    maps
}

/// Maps of images, or of tiles, of the model's size.
fn of_its_size(model: &Scorer, images: &[Image], score: &ScoreConfig) -> Vec<Vec<f32>> {
    if score.passes > 1 {
        return images.iter().flat_map(|image| complementary(model, image, score)).collect();
    }
    // A few at a time: enough to fill the machine, little enough to keep memory small.
    images.chunks(8).flat_map(|some| unmasked(model, some, score.map)).collect()
}

fn unmasked(model: &Scorer, images: &[Image], kind: MapKind) -> Vec<Vec<f32>> {
    let input = batch(model, images);
    let output = model.forward(input.clone(), None);
    split(map_of(kind, output.image, output.logit, input))
}

fn complementary(model: &Scorer, image: &Image, score: &ScoreConfig) -> Vec<Vec<f32>> {
    let grid = model.image_size().map(|s| s / model.config().patch_size);
    let input = batch(model, std::slice::from_ref(image));
    let output = model.forward_judged(input.clone(), &Complementary::bands(grid, score.passes));
    split(map_of(score.map, output.image, output.logit, input))
}

fn batch(model: &Scorer, images: &[Image]) -> Tensor<4> {
    let [h, w] = model.image_size();
    let values: Vec<f32> = images.iter().flat_map(|image| image.pixels.iter().copied()).collect();
    let data = TensorData::new(values, [images.len(), h, w, model.channels()]);
    Tensor::from_data(data, &model.device())
}

/// `[B, H, W]`
fn map_of(kind: MapKind, prediction: Tensor<4>, logit: Option<Tensor<4>>, target: Tensor<4>) -> Tensor<3> {
    let probability = || logit.map(|z| burn::tensor::activation::sigmoid(z).squeeze_dim::<3>(3));
    match kind {
        MapKind::Squared => squared(prediction, target),
        MapKind::Ssim => dissimilarity(loss::ssim_map, prediction, target),
        MapKind::SquaredSsim => {
            let structure = dissimilarity(loss::ssim_map, prediction.clone(), target.clone());
            (squared(prediction, target) * structure).sqrt()
        }
        MapKind::Gradient => dissimilarity(loss::gradient_similarity_map, prediction, target),
        // The memory is no part of the network: its owner joins it.
        MapKind::Defect | MapKind::Memory | MapKind::Fused => {
            probability().unwrap_or_else(|| squared(prediction, target))
        }
    }
}

fn squared(prediction: Tensor<4>, target: Tensor<4>) -> Tensor<3> {
    let difference = prediction - target;
    (difference.clone() * difference).mean_dim(3).squeeze_dim(3)
}

/// 1 - `similarity` per pixel, averaged over channels; the border that no window covers repeats its neighbour.
fn dissimilarity(
    similarity: impl Fn(Tensor<4>, Tensor<4>) -> Tensor<3>,
    prediction: Tensor<4>,
    target: Tensor<4>,
) -> Tensor<3> {
    let [b, h, w, c] = prediction.dims();
    let map = similarity(prediction, target);
    let [_, inner_h, inner_w] = map.dims();
    let map = map.reshape([b, c, inner_h, inner_w]).mean_dim(1).squeeze_dim::<3>(1);
    let map = repeat_border(repeat_border(map, 1, h), 2, w);
    // Rounding can take it above 1, and the root of what would follow is no number.
    (map.neg() + 1.0).clamp_min(0.0)
}

fn repeat_border(x: Tensor<3>, dim: usize, to: usize) -> Tensor<3> {
    let size = x.dims()[dim];
    let before = (to - size) / 2;
    let first = x.clone().narrow(dim, 0, 1).repeat_dim(dim, before);
    let last = x.clone().narrow(dim, size - 1, 1).repeat_dim(dim, to - size - before);
    Tensor::cat(vec![first, x, last], dim)
}

fn split(maps: Tensor<3>) -> Vec<Vec<f32>> {
    let [_, h, w] = maps.dims();
    let values: Vec<f32> = maps.into_data().try_into_vec().unwrap_or_default();
    values.chunks_exact(h * w).map(<[f32]>::to_vec).collect()
}

/// The image's score: the largest value (also where `reduce` is not settled), or the mean of the largest `top_fraction` (at
/// least one).
pub fn image_score(map: &[f32], score: &ScoreConfig) -> f32 {
    match score.reduce {
        Reduce::Max | Reduce::Auto => map.iter().copied().fold(f32::MIN, f32::max),
        Reduce::TopFraction => {
            let count = ((map.len() as f64 * score.top_fraction).round() as usize).clamp(1, map.len());
            let mut values = map.to_vec();
            let split = values.len() - count;
            values.select_nth_unstable_by(split, f32::total_cmp);
            values[split..].iter().sum::<f32>() / count as f32
        }
    }
}

//! What a step of pre-training minimises.

use burn::tensor::{Device, Tensor, TensorData};

use super::batch::{Draw, Triples, generator};
use super::config::{CHANNELS, PretrainConfig};
use super::retrieve::Level;
use crate::loss;
use crate::masking::draw_mask;
use crate::model::{Features, Mae};
use blemish::config::Precision;

/// Variance of an image up to which its squared errors count in full. Normalised, a small product on plain ground has several times
/// as much, and a few such images would be all that a step follows.
const VARIANCE: f32 = 0.4;
/// Maps of the pyramid head and levels of the stem that are compared: the coarser ones.
const COMPARED: usize = 2;
/// Levels that the contrast is about: those with much around them.
const CONTRASTED: usize = 1 + COMPARED;

/// A loss and the parts that it is the weighted sum of, by name, before weighting.
pub struct Loss {
    /// The sum, `[1]`.
    pub total: Tensor<1>,
    /// Its parts, `[1]` each.
    pub parts: Vec<(&'static str, Tensor<1>)>,
}

/// A weighted sum that is still being made.
#[derive(Default)]
struct Sum {
    total: Option<Tensor<1>>,
    parts: Vec<(&'static str, Tensor<1>)>,
}

impl Sum {
    /// Adds a part, if there is one and it has a weight.
    fn add(&mut self, name: &'static str, weight: f64, part: Option<Tensor<1>>) {
        let Some(part) = part.filter(|_| weight > 0.0) else { return };
        let weighted = part.clone() * weight;
        self.total = Some(match self.total.take() {
            Some(total) => total + weighted,
            None => weighted,
        });
        self.parts.push((name, part));
    }

    fn into_loss(self, device: &Device) -> Loss {
        let total = self.total.unwrap_or_else(|| Tensor::zeros([1], device));
        Loss { total, parts: self.parts }
    }
}

/// Masked reconstruction of the first `clean` images of a step.
fn masked(
    config: &PretrainConfig,
    model: &Mae,
    (step, [h, w]): (usize, [usize; 2]),
    clean: &[f32],
    precision: Precision,
) -> Option<Tensor<1>> {
    let settings = &config.objective;
    let device = model.device();
    let all = clean.len() / (h * w * CHANNELS);
    let hidden = ((all as f64 * settings.masked_share).ceil() as usize).min(all);
    if settings.masked == 0.0 || hidden == 0 {
        return None;
    }
    let rng = &mut generator(config.seed, Draw::Mask, step, 0);
    let grid = [h, w].map(|side| side / config.model.patch_size);
    let mask = draw_mask(&config.mask, grid, hidden, rng);
    let clean = &clean[..hidden * h * w * CHANNELS];
    let share = weights(clean, hidden, &device);
    let clean = tensor(clean.to_vec(), [hidden, h, w, CHANNELS], &device);
    let image = model.forward_in(precision, clean.clone(), Some(&mask)).image;
    let (patch, ssim) = (config.model.patch_size, settings.ssim);
    let squared = loss::masked_mse(image.clone() * share.clone(), clean.clone() * share, &mask, patch);
    Some(loss::with_ssim(squared, image, clean, ssim))
}

/// The squared error of repaired images, `[B, H, W, C]`.
fn repair(image: Tensor<4>, clean: &[f32]) -> Tensor<1> {
    let shape = image.dims();
    let device = image.device();
    let share = weights(clean, shape[0], &device);
    let clean = tensor(clean.to_vec(), shape, &device);
    loss::mse(image * share.clone(), clean * share)
}

/// By image, of so many, the factor of its errors before they are squared: 1 up to [`VARIANCE`], then the root of `VARIANCE` /
/// variance. `[B, 1, 1, 1]`.
fn weights(images: &[f32], count: usize, device: &Device) -> Tensor<4> {
    let of = |image: &[f32]| {
        let n = image.len() as f64;
        let mean = image.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let variance = image.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
        (VARIANCE / (variance as f32).max(VARIANCE)).sqrt()
    };
    let shares = images.chunks_exact(images.len() / count).map(of).collect();
    tensor(shares, [count, 1, 1, 1], device)
}

/// The loss of a step's images under `model`, which is for images of their size; products in `precision`.
///
/// - `masked`: reconstruction of hidden patches of clean images, as published, but that the squared error of an image whose variance is
///   above 0.4 is multiplied by 0.4 / variance;
/// - `repair`: squared error of the unmasked pass against the image without its defect, multiplied likewise;
/// - `locate`: focal loss of the defect logit;
/// - `retrieve`: defective places are further from a good photo than good places of their own photo and of another are, at
///   strides 16, 8 and 4;
/// - `contrast`: places of the first photo are told to be of the reference of their scene rather than of other scenes' references.
pub fn objective(config: &PretrainConfig, model: &Mae, triples: &Triples, precision: Precision) -> Loss {
    let settings = &config.objective;
    let device = model.device();
    let [h, w] = triples.size;
    let mut sum = Sum::default();
    let hidden = masked(config, model, (triples.step, [h, w]), &triples.clean, precision);
    sum.add("masked", settings.masked, hidden);
    let scenes = triples.scenes;
    let photos = |values: &Vec<f32>, channels| tensor(values.clone(), [scenes, h, w, channels], &device);
    let (output, features) = model.forward_features_in(precision, photos(&triples.first, CHANNELS), None);
    sum.add("repair", settings.repair, (settings.repair > 0.0).then(|| repair(output.image, &triples.clean)));
    if let Some(logit) = output.logit.filter(|_| settings.locate > 0.0) {
        let locate = loss::focal_with_logits(logit, photos(&triples.defect, 1), settings.focal_gamma);
        sum.add("locate", settings.locate, Some(locate));
    }
    if settings.retrieve > 0.0 || settings.contrast > 0.0 {
        // Of the other photos only features are needed: their finest map and the output are not computed.
        let others = vec![photos(&triples.reference, CHANNELS), photos(&triples.good, CHANNELS)];
        let others = model.features_in(precision, Tensor::cat(others, 0), COMPARED);
        let [retrieve, contrast] = compare(config, triples, features, others);
        sum.add("retrieve", settings.retrieve, retrieve);
        sum.add("contrast", settings.contrast, contrast);
    }
    sum.into_loss(&device)
}

/// Ranking and contrast, means over the levels that have places for them. `others`: of the references, then of the good photos.
fn compare(
    config: &PretrainConfig,
    triples: &Triples,
    first: Features,
    others: Features,
) -> [Option<Tensor<1>>; 2] {
    let settings = &config.objective;
    let (mut retrieve, mut contrast) = (Vec::new(), Vec::new());
    let patch = config.model.patch_size;
    let levels = levels(patch, first).into_iter().zip(levels(patch, others));
    for (i, ((first, stride), (others, _))) in levels.enumerate() {
        let [reference, good] = [0, 1].map(|k| others.clone().narrow(0, k * triples.scenes, triples.scenes));
        let level = Level::new(first, reference, good, stride);
        if settings.retrieve > 0.0 {
            retrieve.extend(level.retrieve(triples));
        }
        if settings.contrast > 0.0 && i < CONTRASTED {
            let rng = &mut generator(config.seed, Draw::Places, triples.step, i);
            contrast.extend(level.contrast(triples, settings.temperature, &level.draw(rng)));
        }
    }
    [retrieve, contrast].map(|losses| {
        let count = losses.len() as f64;
        losses.into_iter().reduce(|sum, part| sum + part).map(|sum| sum / count)
    })
}

/// The maps that are compared, with their strides: a middle tap of the encoder, the head's two coarser ones, and the stem's levels at
/// their strides.
fn levels(patch: usize, features: Features) -> Vec<(Tensor<4>, usize)> {
    let tap = features.taps.into_iter().nth(1).map(|map| (map, patch));
    let finer = |maps: Vec<Tensor<4>>| {
        maps.into_iter().take(COMPARED).enumerate().map(move |(i, map)| (map, patch >> (i + 1)))
    };
    let stem = finer(features.stem.into_iter().rev().collect());
    tap.into_iter().chain(finer(features.head)).chain(stem).collect()
}

fn tensor(values: Vec<f32>, shape: [usize; 4], device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

#[cfg(test)]
mod tests {
    use super::super::tensors::read;
    use super::*;

    #[test]
    fn errors_of_an_image_of_much_contrast_count_less() {
        let device = Device::flex();
        // Variances 0, 0.04 and 4.
        let images = [[0.5; 4], [0.3, 0.7, 0.3, 0.7], [-2.0, 2.0, -2.0, 2.0]].concat();
        let shares = read(&weights(&images, 3, &device));
        shares.iter().zip([1.0, 1.0, 0.1f32.sqrt()]).for_each(|(got, v)| assert!((got - v).abs() < 1e-6));
        // Off by 1 everywhere: squares of 1, 1 and 0.1.
        let off = images.iter().map(|v| v + 1.0).collect();
        let error = read(&repair(tensor(off, [3, 2, 2, 1], &device), &images));
        assert!((error[0] - 2.1 / 3.0).abs() < 1e-6, "{error:?}");
    }
}

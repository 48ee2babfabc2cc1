//! What a step of pre-training minimises.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::batch::{Batch, Draw, Views, generator};
use super::compare;
use super::config::{CHANNELS, PretrainConfig};
use super::episode::Episodes;
use super::places::Places;
use crate::loss;
use crate::masking::draw_mask;
use crate::model::{Features, Mae};
use blemish::config::Precision;

/// Maps of the pyramid head that are compared: the coarser ones.
const COMPARED: usize = 2;

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

/// The loss of a step's images under `model`, which is for images of their size; products in `precision`.
///
/// - `masked`: reconstruction of hidden patches of clean images, as published;
/// - `repair`: squared error of the unmasked pass against the image without its defect;
/// - `locate`: focal loss of the defect logit;
/// - `contrast`: every good place is found among all places by its twin under another light, at strides 16, 8 and 4;
/// - `repel`: defective places are unlike the good ones of their image, at the same levels;
/// - `compare`, `judge`: queries are compared with good references; the focal loss of the places, and the cross-entropy of the
///   images.
pub fn objective(config: &PretrainConfig, model: &Mae, batch: &Batch, precision: Precision) -> Loss {
    match batch {
        Batch::Views(views) => of_views(config, model, views, precision),
        Batch::Episodes(episodes) => of_episodes(config, model, episodes, precision),
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
    let clean = clean[..hidden * h * w * CHANNELS].to_vec();
    let clean = tensor(clean, [hidden, h, w, CHANNELS], &device);
    let output = model.forward_in(precision, clean.clone(), Some(&mask));
    Some(loss::reconstruction(output.image, clean, &mask, config.model.patch_size, settings.ssim))
}

fn of_episodes(config: &PretrainConfig, model: &Mae, episodes: &Episodes, precision: Precision) -> Loss {
    let settings = &config.objective;
    let device = model.device();
    let [h, w] = episodes.size;
    let all = episodes.count * (episodes.references + episodes.queries);
    let mut sum = Sum::default();
    let hidden = masked(config, model, (episodes.step, [h, w]), &episodes.clean, precision);
    sum.add("masked", settings.masked, hidden);
    let images = tensor(episodes.images.clone(), [all, h, w, CHANNELS], &device);
    let (output, features) = model.forward_features_in(precision, images, None);
    let clean = || tensor(episodes.clean.clone(), [all, h, w, CHANNELS], &device);
    sum.add("repair", settings.repair, (settings.repair > 0.0).then(|| loss::mse(output.image, clean())));
    if let (Some(logit), Some(layers)) = (output.logit, model.comparison()) {
        // At first the last layers alone: what they ask for at random would undo what the features are.
        let alone = episodes.step < settings.alone;
        let planes = compare::planes(episodes, &features, &logit);
        let planes = if alone { planes.detach() } else { planes };
        let defect = tensor(episodes.defect.clone(), [all, h, w, 1], &device);
        let locate = loss::focal_with_logits(logit, defect, settings.focal_gamma);
        sum.add("locate", settings.locate, Some(locate));
        let map = crate::ops::with_precision(precision, || layers.forward(planes));
        let [compared, judged] = compare::losses(episodes, map, settings.focal_gamma);
        sum.add("compare", settings.compare, Some(compared));
        sum.add("judge", settings.judge, Some(judged));
    }
    sum.into_loss(&device)
}

fn of_views(config: &PretrainConfig, model: &Mae, views: &Views, precision: Precision) -> Loss {
    let settings = &config.objective;
    let device = model.device();
    let [h, w] = views.size;
    let mut sum = Sum::default();
    let hidden = masked(config, model, (views.step, [h, w]), &views.clean, precision);
    sum.add("masked", settings.masked, hidden);

    // Of view B only features are needed: its finest map and the output are not computed.
    let scenes = views.scenes;
    let [a, b] = [&views.a, &views.b].map(|view| tensor(view.clone(), [scenes, h, w, CHANNELS], &device));
    let (output, features) = model.forward_features_in(precision, a, None);
    if settings.repair > 0.0 {
        let clean = tensor(views.clean.clone(), [scenes, h, w, CHANNELS], &device);
        sum.add("repair", settings.repair, Some(loss::mse(output.image, clean)));
    }
    if let Some(logit) = output.logit.filter(|_| settings.locate > 0.0) {
        let defect = tensor(views.defect.clone(), [scenes, h, w, 1], &device);
        let locate = loss::focal_with_logits(logit, defect, settings.focal_gamma);
        sum.add("locate", settings.locate, Some(locate));
    }
    if settings.contrast > 0.0 || settings.repel > 0.0 {
        let twins = model.features_in(precision, b, COMPARED);
        let [contrast, repel] = compare(config, views, features, twins);
        sum.add("contrast", settings.contrast, contrast);
        sum.add("repel", settings.repel, repel);
    }
    sum.into_loss(&device)
}

/// Contrast and repulsion, means over the levels that have places for them.
fn compare(config: &PretrainConfig, views: &Views, a: Features, b: Features) -> [Option<Tensor<1>>; 2] {
    let settings = &config.objective;
    let (mut contrast, mut repel) = (Vec::new(), Vec::new());
    let pairs = levels(config, a).into_iter().zip(levels(config, b));
    for (level, ((map_a, stride), (map_b, _))) in pairs.enumerate() {
        let rng = &mut generator(config.seed, Draw::Places, views.step, level);
        let places = Places::draw(views, stride, settings.places, rng);
        if places.a.len() < 2 {
            continue;
        }
        let (a, b) = (rows(&map_a, &places.a), rows(&map_b, &places.b));
        if settings.repel > 0.0 && !places.defective.is_empty() {
            let (same, margin) = (places.same(), settings.margin);
            let defective = rows(&map_a, &places.defective);
            repel.push(loss::repel(defective, b.clone(), &same, margin, settings.temperature));
        }
        if settings.contrast > 0.0 {
            let apart = if settings.same_image { vec![true; places.a.len().pow(2)] } else { places.apart() };
            contrast.push(loss::info_nce(a, b, &apart, settings.temperature));
        }
    }
    [contrast, repel].map(|losses| {
        let count = losses.len() as f64;
        losses.into_iter().reduce(|sum, part| sum + part).map(|sum| sum / count)
    })
}

/// The maps that are compared, with their strides: a middle tap of the encoder, and the head's two coarser ones.
fn levels(config: &PretrainConfig, mut features: Features) -> Vec<(Tensor<4>, usize)> {
    let mut levels = Vec::new();
    if features.taps.len() > 1 {
        levels.push((features.taps.swap_remove(1), config.model.patch_size));
    }
    for (i, map) in features.head.into_iter().take(COMPARED).enumerate() {
        levels.push((map, config.model.patch_size >> (i + 1)));
    }
    levels
}

/// The rows `ids` of a map `[B, H, W, C]` taken as `[B H W, C]`, each of length 1.
fn rows(map: &Tensor<4>, ids: &[i64]) -> Tensor<2> {
    let [b, h, w, c] = map.dims();
    let ids = Tensor::<1, Int>::from_data(TensorData::from(ids), &map.device());
    loss::normalised(map.clone().reshape([b * h * w, c]).select(0, ids))
}

fn tensor(values: Vec<f32>, shape: [usize; 4], device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

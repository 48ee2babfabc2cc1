//! What pre-trained features are worth on generated scenes of families that they were not trained on: a memory of a few
//! good images finds defects by each level of the network; by the network before training, raw patches and plain filters, for
//! comparison; by the defect logit alone. Settings of pre-training are chosen by this, never by photos.

mod baselines;
mod nearest;
mod readings;

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::Serialize;

use self::readings::{Maps, Network};
use super::scenes::ValidationScene;
use blemish::Result;
use blemish::image::Normalize;
use blemish::image::{Image, PixelMask};
use blemish::metrics::{auroc, pixel_auroc};
use blemish::pretrained::Pretrained;

/// Share of a map's cells whose mean is an image's score.
const TOP: f64 = 0.003;
/// Pixels are compared on every second line and column.
const EVERY: usize = 2;
/// Test images of a scene, half of them defective.
const TESTS: usize = 16;
/// Seed of the scenes.
const SEED: u64 = 1;

/// What the gate measures.
#[derive(Clone, Copy, Debug)]
pub struct GateOptions {
    /// Scenes.
    pub scenes: usize,
    /// Image side, pixels: a multiple of 16.
    pub side: usize,
    /// Also measures the network before any training, patches and filters.
    pub baselines: bool,
}

/// How well one reading tells good from defective: means over the scenes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct GateRow {
    /// The reading.
    pub reading: String,
    /// Image AUROC; an image's score is the mean of the largest 0.3 % of its map.
    pub image_auroc: f64,
    /// Image AUROC by the map's maximum.
    pub image_auroc_max: f64,
    /// The image AUROC that a tenth of the scenes fall short of.
    pub image_auroc_low: f64,
    /// Pixel AUROC of all test images together.
    pub pixel_auroc: f64,
    /// The mean of the pixel AUROC of every defective image by itself. Far above `pixel_auroc`: defects stand out within their image,
    /// but the maps of different images are not comparable.
    pub pixel_auroc_within: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    top: f64,
    max: f64,
    pixel: f64,
    within: f64,
}

/// The rows of all readings, by name.
///
/// # Errors
/// Weights that do not fit their configuration; maps that are not finite.
pub fn gate(pretrained: &Pretrained, options: GateOptions) -> Result<Vec<GateRow>> {
    let network = Network::new(pretrained, options.side)?;
    let untrained = options.baselines.then(|| Network::new(&readings::untrained(pretrained), options.side));
    let untrained = untrained.transpose()?;
    let scenes: Vec<BTreeMap<String, Figures>> = (0..options.scenes)
        .into_par_iter()
        .map(|scene| judge(&network, untrained.as_ref(), options, scene))
        .collect::<Result<_>>()?;
    let mut all: BTreeMap<String, Vec<Figures>> = BTreeMap::new();
    for (reading, figures) in scenes.into_iter().flatten() {
        all.entry(reading).or_default().push(figures);
    }
    Ok(all.into_iter().map(|(reading, figures)| row(reading, &figures)).collect())
}

fn row(reading: String, figures: &[Figures]) -> GateRow {
    let mean = |of: fn(&Figures) -> f64| figures.iter().map(of).sum::<f64>() / figures.len().max(1) as f64;
    let mut ordered: Vec<f64> = figures.iter().map(|f| f.top).collect();
    ordered.sort_by(f64::total_cmp);
    GateRow {
        reading,
        image_auroc: mean(|f| f.top),
        image_auroc_max: mean(|f| f.max),
        image_auroc_low: ordered.get(ordered.len() / 10).copied().unwrap_or_default(),
        pixel_auroc: mean(|f| f.pixel),
        pixel_auroc_within: mean(|f| f.within),
    }
}

/// The figures of every reading on one scene.
fn judge(
    network: &Network,
    untrained: Option<&Network>,
    options: GateOptions,
    scene: usize,
) -> Result<BTreeMap<String, Figures>> {
    let size = [options.side; 2];
    let drawn = ValidationScene::new(SEED.wrapping_mul(1_000_003).wrapping_add(scene as u64));
    // 8 to 16.
    let count = 8 + scene % 9;
    let prepared = |image: &Image| Normalize::Robust.apply(image);
    let references: Vec<Image> = (0..count).map(|i| prepared(&drawn.good(i as u64, size))).collect();
    let good = TESTS / 2;
    let mut tests: Vec<Image> = (0..good).map(|i| prepared(&drawn.good(1000 + i as u64, size))).collect();
    let mut masks = vec![PixelMask::empty(size[0], size[1]); good];
    for i in good..TESTS {
        let defective = drawn.defective(2000 + i as u64, size);
        tests.push(prepared(&defective.image));
        masks.push(PixelMask { height: size[0], width: size[1], pixels: defective.mask });
    }
    let mut readings = network.readings("", &references, &tests);
    if let Some(untrained) = untrained {
        readings.extend(untrained.readings("untrained: ", &references, &tests));
        readings.extend(baselines::readings(&references, &tests));
    }
    let truth: Vec<bool> = masks.iter().map(|mask| mask.count() > 0).collect();
    let coarse: Vec<PixelMask> = masks.iter().map(sparse_mask).collect();
    readings.into_iter().map(|(name, maps)| Ok((name, figures(&maps, &truth, &coarse)?))).collect()
}

fn figures(maps: &Maps, truth: &[bool], masks: &[PixelMask]) -> Result<Figures> {
    let count = ((maps.height * maps.width) as f64 * TOP).ceil() as usize;
    let sorted: Vec<Vec<f32>> = maps
        .images()
        .map(|map| {
            let mut map = map.to_vec();
            map.sort_unstable_by(|a, b| b.total_cmp(a));
            map
        })
        .collect();
    let top: Vec<f32> = sorted.iter().map(|map| map[..count].iter().sum::<f32>() / count as f32).collect();
    let max: Vec<f32> = sorted.iter().map(|map| map[0]).collect();
    let large: Vec<Vec<f32>> = maps
        .images()
        .zip(masks)
        .map(|(map, mask)| {
            let map = Image { height: maps.height, width: maps.width, channels: 1, pixels: map.to_vec() };
            map.enlarged([mask.height, mask.width])
        })
        .collect();
    let large: Vec<&[f32]> = large.iter().map(Vec::as_slice).collect();
    let masks: Vec<&PixelMask> = masks.iter().collect();
    let alone = large.iter().zip(&masks).filter(|(_, mask)| (1..mask.pixels.len()).contains(&mask.count()));
    let alone: Vec<f64> = alone.map(|(map, mask)| pixel_auroc(&[*map], &[*mask])).collect::<Result<_>>()?;
    Ok(Figures {
        top: auroc(&top, truth)?,
        max: auroc(&max, truth)?,
        pixel: pixel_auroc(&large, &masks)?,
        within: alone.iter().sum::<f64>() / alone.len().max(1) as f64,
    })
}

/// Every second line and column; defective where any of the four pixels is.
fn sparse_mask(mask: &PixelMask) -> PixelMask {
    let [height, width] = [mask.height / EVERY, mask.width / EVERY];
    let any = |y: usize, x: usize| {
        (0..EVERY * EVERY)
            .any(|k| mask.pixels[(y * EVERY + k / EVERY) * mask.width + x * EVERY + k % EVERY] != 0)
    };
    let pixels = (0..height * width).map(|at| u8::from(any(at / width, at % width))).collect();
    PixelMask { height, width, pixels }
}

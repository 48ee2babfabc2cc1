//! Episodes: a few good images of one generated product or surface, and others of it, most of them defective, that are compared
//! with them.

use rand::Rng;
use rayon::prelude::*;

use super::batch::{Draw, generator};
use super::config::{CHANNELS, PretrainConfig};
use super::scenes::{Drawn, TrainingScene};
use blemish::image::Normalize;

/// The images of a step's episodes, normalised as scoring does; every episode's references, then its queries.
#[derive(Clone, Debug, PartialEq)]
pub struct Episodes {
    /// The step.
    pub step: usize,
    /// Height and width.
    pub size: [usize; 2],
    /// Episodes.
    pub count: usize,
    /// Good images of an episode.
    pub references: usize,
    /// Images of an episode that are compared with those.
    pub queries: usize,
    /// By episode, whether the same part of the product is at about the same place in every image.
    pub has_places: Vec<bool>,
    /// `[count (references + queries), H, W, 3]`
    pub images: Vec<f32>,
    /// The same without their defects.
    pub clean: Vec<f32>,
    /// Where they are defective, `[count (references + queries), H, W, 1]`.
    pub defect: Vec<f32>,
}

/// The images of a step.
pub fn episodes(config: &PretrainConfig, step: usize) -> Episodes {
    let side = super::batch::side(config, step);
    let size = [side, side];
    let (references, queries) = (config.references, config.queries);
    // About as many pixels as the first photos and the references of a step of triples have, and at least one episode.
    let count = (2 * config.scenes(side) / (references + queries)).max(1);
    let drawn: Vec<(bool, Vec<Drawn>)> =
        (0..count).into_par_iter().map(|item| episode(config, size, step, item)).collect();
    let all = |of: fn(&Drawn) -> &Vec<f32>| drawn.iter().flat_map(|d| &d.1).flat_map(of).copied().collect();
    let masks = drawn.iter().flat_map(|d| &d.1).flat_map(|d| &d.mask);
    Episodes {
        step,
        size,
        count,
        references,
        queries,
        has_places: drawn.iter().map(|d| d.0).collect(),
        images: all(|d| &d.image.pixels),
        clean: all(|d| &d.clean.pixels),
        defect: masks.map(|&v| f32::from(u8::from(v != 0))).collect(),
    }
}

fn episode(config: &PretrainConfig, size: [usize; 2], step: usize, item: usize) -> (bool, Vec<Drawn>) {
    let rng = &mut generator(config.seed, Draw::Episode, step, item);
    let scene = TrainingScene::new(rng.random());
    let mut drawn = Vec::with_capacity(config.references + config.queries);
    for instance in 0..config.references + config.queries {
        let defective = instance >= config.references && rng.random::<f64>() < config.defective;
        let Drawn { mut image, mut clean, mask } = scene.draw(instance as u64, defective, size);
        let affine = Normalize::Robust.affine(&image);
        affine.apply(&mut image);
        affine.apply(&mut clean);
        debug_assert_eq!(image.channels, CHANNELS);
        drawn.push(Drawn { image, clean, mask });
    }
    (!scene.is_surface(), drawn)
}

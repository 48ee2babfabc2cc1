//! Two photos of one generated scene: one that perhaps has a defect, and another good one that it is compared with.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::batch::{Draw, generator};
use super::config::PretrainConfig;
use super::scenes::{Drawn, TrainingScene};
use crate::augment::PhotometricConfig;
use blemish::Image;
use blemish::image::Normalize;

/// How far the light of a photo is, in one of two, from that of the scene.
const LIGHT: PhotometricConfig =
    PhotometricConfig { brightness: 0.0, contrast: 0.0, gradient: 0.15, gamma: 0.25, blur: 0.2, noise: 0.02 };

/// Two photos of a scene, as they are drawn.
pub struct Photos {
    /// The first: as it is, clean, and where it is defective.
    pub first: Drawn,
    /// Another good one, as large: of a product in a slightly other pose, of a surface elsewhere.
    pub reference: Image,
    /// Whether it is a surface rather than a product.
    pub is_surface: bool,
    /// Whether it is without colour.
    pub is_grey: bool,
}

/// Two photos of a scene, normalised as scoring does.
pub struct Pair {
    /// The first, perhaps with a defect.
    pub first: Image,
    /// The first without its defect, normalised as that is.
    pub clean: Image,
    /// Where the first is defective, `[H, W]`.
    pub mask: Vec<u8>,
    /// The other one.
    pub reference: Image,
    /// Whether a place of the first is to be compared with those around it only: so for half of the products.
    pub near: bool,
}

/// The photos of scene `item` of `step`, and the generator that goes on with their light.
pub fn photos(config: &PretrainConfig, size: [usize; 2], step: usize, item: usize) -> (Photos, ChaCha8Rng) {
    let mut rng = generator(config.seed, Draw::Pair, step, item);
    let defective = rng.random::<f64>() < config.defective;
    let scene = TrainingScene::new(rng.random());
    let first = scene.draw(0, defective, size);
    let reference = scene.draw(1, false, size).image;
    let is_grey = [&first.image, &first.clean, &reference].into_iter().all(is_grey);
    (Photos { first, reference, is_surface: scene.is_surface(), is_grey }, rng)
}

/// The pair of scene `item` of `step`.
pub fn pair(config: &PretrainConfig, size: [usize; 2], step: usize, item: usize) -> Pair {
    let (photos, mut rng) = photos(config, size, step, item);
    let Photos { first: Drawn { image: mut first, mut clean, mask }, mut reference, is_surface, is_grey } =
        photos;
    if rng.random::<f32>() < 0.5 {
        // The same draws for both: they differ by the defect alone.
        light(&mut first, is_grey, &mut rng.clone());
        light(&mut clean, is_grey, &mut rng);
    }
    if rng.random::<f32>() < 0.5 {
        light(&mut reference, is_grey, &mut rng);
    }
    let affine = Normalize::Robust.affine(&first);
    affine.apply(&mut first);
    affine.apply(&mut clean);
    let reference = Normalize::Robust.apply(&reference);
    let near = !is_surface && rng.random::<f32>() < 0.5;
    Pair { first, clean, mask, reference, near }
}

fn is_grey(image: &Image) -> bool {
    image.channels == 1 || image.pixels.chunks_exact(3).all(|p| p[0] == p[1] && p[1] == p[2])
}

/// Changes the light; what is grey stays so.
fn light(image: &mut Image, grey: bool, rng: &mut ChaCha8Rng) {
    if !grey || image.channels == 1 {
        return LIGHT.apply(image, rng);
    }
    let pixels = image.pixels.chunks_exact(3).map(|p| p[0]).collect();
    let mut one = Image { height: image.height, width: image.width, channels: 1, pixels };
    LIGHT.apply(&mut one, rng);
    for (p, v) in image.pixels.chunks_exact_mut(3).zip(one.pixels) {
        p.fill(v);
    }
}

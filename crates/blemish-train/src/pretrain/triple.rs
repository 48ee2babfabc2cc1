//! Three photos of one generated scene: one that perhaps has a defect, a good one that it is compared with, and another good one
//! that is compared with that too.

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

/// Three photos of a scene, as they are drawn.
pub struct Photos {
    /// The first: as it is, clean, and where it is defective.
    pub first: Drawn,
    /// A good one, as large: of a product in a slightly other pose, of a surface elsewhere.
    pub reference: Image,
    /// Another good one.
    pub good: Image,
    /// What they are of.
    pub scene: TrainingScene,
    /// Whether it is without colour.
    pub is_grey: bool,
}

/// Three photos of a scene, normalised as scoring does.
pub struct Triple {
    /// The first, perhaps with a defect.
    pub first: Image,
    /// The first without its defect, normalised as that is.
    pub clean: Image,
    /// Where the first is defective, `[H, W]`.
    pub mask: Vec<u8>,
    /// What the others are compared with.
    pub reference: Image,
    /// A good one that is compared.
    pub good: Image,
    /// Whether a place is to be compared with those around it only: so for half of the products.
    pub near: bool,
}

/// The photos of scene `item` of `step`, and the generator that goes on with their light.
pub fn photos(config: &PretrainConfig, size: [usize; 2], step: usize, item: usize) -> (Photos, ChaCha8Rng) {
    let mut rng = generator(config.seed, Draw::Triple, step, item);
    let defective = rng.random::<f64>() < config.defective;
    let scene = TrainingScene::new(rng.random());
    let first = scene.draw(0, defective, size);
    let [reference, good] = [1, 2].map(|instance| scene.draw(instance, false, size).image);
    let is_grey = [&first.image, &first.clean, &reference, &good].into_iter().all(is_grey);
    (Photos { first, reference, good, scene, is_grey }, rng)
}

/// The triple of scene `item` of `step`.
pub fn triple(config: &PretrainConfig, size: [usize; 2], step: usize, item: usize) -> Triple {
    let (photos, mut rng) = photos(config, size, step, item);
    let Photos { first: Drawn { image: mut first, mut clean, mask }, reference, good, scene, is_grey } =
        photos;
    if rng.random::<f32>() < 0.5 {
        // The same draws for both: they differ by the defect alone.
        light(&mut first, is_grey, &mut rng.clone());
        light(&mut clean, is_grey, &mut rng);
    }
    let mut others = [reference, good];
    for photo in &mut others {
        if rng.random::<f32>() < 0.5 {
            light(photo, is_grey, &mut rng);
        }
    }
    let affine = Normalize::Robust.affine(&first);
    affine.apply(&mut first);
    affine.apply(&mut clean);
    let [reference, good] = others.map(|photo| Normalize::Robust.apply(&photo));
    let near = !scene.is_surface() && rng.random::<f32>() < 0.5;
    Triple { first, clean, mask, reference, good, near }
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

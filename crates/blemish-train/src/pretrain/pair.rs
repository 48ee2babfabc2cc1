//! Two views of one generated scene: as it is, perhaps with a defect; and its clean twin in another light, a little
//! further on.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::batch::{Draw, generator};
use super::config::PretrainConfig;
use super::scenes::{Drawn, draw};
use crate::augment::PhotometricConfig;
use blemish::Image;
use blemish::image::Normalize;

/// Pixels that a view may begin earlier or later than the other beside whole patches.
const JITTER: i32 = 2;
/// Largest relative change of one channel against the others in view B.
const TINT: f32 = 0.1;

/// How far the light of view B is from that of view A.
const LIGHT_B: PhotometricConfig =
    PhotometricConfig { brightness: 0.1, contrast: 0.2, gradient: 0.15, gamma: 0.3, blur: 0.25, noise: 0.03 };
/// How far the light of view A is, now and then, from that of the scene.
const LIGHT_A: PhotometricConfig =
    PhotometricConfig { brightness: 0.0, contrast: 0.0, gradient: 0.15, gamma: 0.25, blur: 0.2, noise: 0.02 };

/// Two views of a scene.
pub struct Pair {
    /// As it is, normalised.
    pub a: Image,
    /// View A without its defect, normalised as view A is.
    pub clean: Image,
    /// Where view A is defective, `[H, W]`.
    pub mask: Vec<u8>,
    /// The clean twin, normalised.
    pub b: Image,
    /// How many pixels further down and right view B begins.
    pub shift: [i32; 2],
}

/// A scene that two views are cut from.
pub struct Uncut {
    /// As it is, clean, and where it is defective: a view and the room for the shift.
    pub drawn: Drawn,
    /// Its height and width.
    pub whole: [usize; 2],
    /// How many pixels further down and right view B begins.
    pub shift: [i32; 2],
    /// Whether it is without colour.
    pub grey: bool,
}

/// Scene `item` of `step`, for views of `size`, and the generator that goes on with their light.
pub fn uncut(config: &PretrainConfig, size: [usize; 2], step: usize, item: usize) -> (Uncut, ChaCha8Rng) {
    let mut rng = generator(config.seed, Draw::Pair, step, item);
    let patch = config.model.patch_size as i32;
    let shift = [0, 1].map(|_| patch * rng.random_range(-1..=1) + rng.random_range(-JITTER..=JITTER));
    let room = (patch + JITTER) as usize;
    let whole = size.map(|side| side + room);
    let defective = rng.random::<f64>() < config.defective;
    let drawn = draw(rng.random(), defective, whole);
    let grey = is_grey(&drawn.clean) && is_grey(&drawn.image);
    (Uncut { drawn, whole, shift, grey }, rng)
}

/// The pair of scene `item` of `step`.
pub fn pair(config: &PretrainConfig, size: [usize; 2], step: usize, item: usize) -> Pair {
    let (uncut, mut rng) = uncut(config, size, step, item);
    let Uncut { drawn: Drawn { image, clean, mask }, whole, shift, grey } = uncut;
    // Within what was drawn, one view begins at the first pixel, the other `shift` from there.
    let begin_a = shift.map(|d| usize::try_from(-d).unwrap_or(0));
    let begin_b = shift.map(|d| usize::try_from(d).unwrap_or(0));

    let mut b = clean.part(begin_b, size);
    light(&mut b, &LIGHT_B, grey, &mut rng);
    if !grey {
        tint(&mut b, &mut rng);
    }
    let b = Normalize::Robust.apply(&b);

    let (mut a, mut clean) = (image.part(begin_a, size), clean.part(begin_a, size));
    if rng.random::<f32>() < 0.5 {
        // The same draws for both: they differ by the defect alone.
        let same = rng.clone();
        light(&mut a, &LIGHT_A, grey, &mut same.clone());
        light(&mut clean, &LIGHT_A, grey, &mut same.clone());
    }
    let affine = Normalize::Robust.affine(&a);
    affine.apply(&mut a);
    affine.apply(&mut clean);
    let lines = mask.chunks_exact(whole[1]).skip(begin_a[0]).take(size[0]);
    let mask = lines.flat_map(|line| &line[begin_a[1]..][..size[1]]).copied().collect();
    Pair { a, clean, mask, b, shift }
}

fn is_grey(image: &Image) -> bool {
    image.channels == 1 || image.pixels.chunks_exact(3).all(|p| p[0] == p[1] && p[1] == p[2])
}

/// Changes the light; what is grey stays so.
fn light(image: &mut Image, amount: &PhotometricConfig, grey: bool, rng: &mut ChaCha8Rng) {
    if !grey || image.channels == 1 {
        return amount.apply(image, rng);
    }
    let pixels = image.pixels.chunks_exact(3).map(|p| p[0]).collect();
    let mut one = Image { height: image.height, width: image.width, channels: 1, pixels };
    amount.apply(&mut one, rng);
    for (p, v) in image.pixels.chunks_exact_mut(3).zip(one.pixels) {
        p.fill(v);
    }
}

fn tint(image: &mut Image, rng: &mut ChaCha8Rng) {
    let gains = [0, 1, 2].map(|_| 1.0 + TINT * rng.random_range(-1.0f32..=1.0));
    for pixel in image.pixels.chunks_exact_mut(3) {
        pixel.iter_mut().zip(gains).for_each(|(v, gain)| *v = (*v * gain).min(1.0));
    }
}

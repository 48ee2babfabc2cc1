//! A small model of generated images: a bright disc on a ramp, with noise; defective ones have a dark bar.

use blemish::config::{Config, Overlay};
use blemish::image::Image;
use blemish::{Detector, ImageView, Images, Result};

/// Height and width of what is tested; Miri takes hours for more than [`MIRI_SIDE`].
pub const SIDE: usize = if cfg!(miri) { MIRI_SIDE } else { 64 };
/// Height and width in Miri.
pub const MIRI_SIDE: usize = 32;

/// Image number `seed`, `[SIDE, SIDE, 3]`, red, green, blue.
pub fn pixels(seed: u32, defective: bool) -> Vec<u8> {
    pixels_of(SIDE, seed, defective)
}

fn pixels_of(side: usize, seed: u32, defective: bool) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut noise = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 29) as usize
    };
    let mut pixels = Vec::with_capacity(side * side * 3);
    for y in (0..side).map(|y| y * 64 / side) {
        for x in (0..side).map(|x| x * 64 / side) {
            let disc = x.abs_diff(32).pow(2) + y.abs_diff(30).pow(2) < 18 * 18;
            let bar = defective && (28..32).contains(&y) && (26..40).contains(&x);
            let level = if bar {
                60
            } else if disc {
                180
            } else {
                60 + x / 2
            };
            pixels.extend([level + noise(), level / 2 + noise(), 40 + y + noise()].map(|v| v.min(255) as u8));
        }
    }
    pixels
}

/// A detector of 12 good images of this height and width.
pub fn detector(side: usize) -> Result<Detector> {
    let image = |seed| ImageView::rgb8(&pixels_of(side, seed, false), side, side).to_image(3);
    let images: Result<Vec<Image>> = (1..=12).map(image).collect();
    let prototypes = if side == MIRI_SIDE { 1 } else { Config::default().memory.prototypes };
    let settings = Overlay::default()
        .set(&format!("data.image_size=[{side}, {side}]"))?
        .set("memory.use=always")?
        .set(&format!("memory.prototypes={prototypes}"))?;
    Detector::fit(&Images::from(images?), &Config::default().with(&settings)?)
}

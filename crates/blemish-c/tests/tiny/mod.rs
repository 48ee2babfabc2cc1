//! A small model of generated images of 64 x 64 pixels: a bright disc on a ramp, with noise; defective ones have a dark bar.

use blemish::config::{Config, Overlay};
use blemish::image::Image;
use blemish::{Detector, ImageView, Images, Result};

pub const SIDE: usize = 64;

/// Image number `seed`, `[64, 64, 3]`, red, green, blue.
pub fn pixels(seed: u32, defective: bool) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut noise = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 29) as usize
    };
    let mut pixels = Vec::with_capacity(SIDE * SIDE * 3);
    for y in 0..SIDE {
        for x in 0..SIDE {
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

/// A detector of 12 good images.
pub fn detector() -> Result<Detector> {
    let images: Result<Vec<Image>> =
        (1..=12).map(|seed| ImageView::rgb8(&pixels(seed, false), SIDE, SIDE).to_image(3)).collect();
    let settings = Overlay::default().set("data.image_size=[64, 64]")?.set("memory.use=always")?;
    Detector::fit(&Images::from(images?), &Config::default().with(&settings)?)
}

//! Where the images come from: the generator of scenes.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::data::Image;

/// A generated image.
pub struct Drawn {
    /// As it is, `[H, W, 3]`.
    pub image: Image,
    /// Without its defect.
    pub clean: Image,
    /// 1 where it is defective, `[H, W]`.
    pub mask: Vec<u8>,
}

/// Which families of scenes are drawn, for the weights' file.
pub const FAMILIES: &str = "training";

/// A stand-in: noise with a bright square.
pub fn draw(seed: u64, defective: bool, [height, width]: [usize; 2]) -> Drawn {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let pixels: Vec<f32> = (0..height * width).flat_map(|_| [rng.random::<f32>() * 0.6; 3]).collect();
    let clean = Image { height, width, channels: 3, pixels };
    let mut drawn = Drawn { image: clean.clone(), clean, mask: vec![0; height * width] };
    if defective {
        for y in 20..32 {
            for x in 20..32 {
                drawn.mask[y * width + x] = 1;
                drawn.image.pixels[(y * width + x) * 3..][..3].fill(1.0);
            }
        }
    }
    drawn
}

/// A scene of a family that pre-training never sees.
pub struct ValidationScene(u64);

impl ValidationScene {
    /// The scene of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A good instance.
    pub fn good(&self, instance: u64, size: [usize; 2]) -> Image {
        draw(self.0 * 10_007 + instance, false, size).image
    }

    /// A defective instance.
    pub fn defective(&self, instance: u64, size: [usize; 2]) -> Drawn {
        draw(self.0 * 10_007 + instance, true, size)
    }
}

//! Generated images of surfaces and products, good and defective, with exact masks: what a masked autoencoder is
//! pre-trained and validated on. No photograph is needed, and none goes in.
//!
//! ```
//! use blemish_synthetic::{Families, Scene};
//!
//! let scene = Scene::new(7, Families::Training);
//! let good = scene.good(0, [64, 64]);
//! let defective = scene.defective(1, [64, 64]);
//! assert_eq!(good.pixels.len(), 64 * 64 * 3);
//! assert!(defective.mask.iter().any(|&v| v == 1));
//! ```
//!
//! A [`Scene`] is drawn once from its seed: textures ([`programs`](Families) mixed through masks), materials, an
//! arrangement of parts, light and camera. Each instance is a pure function of scene, instance number and size: the
//! same bytes in any order and on any number of threads (of one platform: sines and powers are its library's).

mod canvas;
mod damaged;
mod defect;
pub mod flange;
mod noise;
mod on_photo;
mod photo;
mod product;
mod random;
mod render;
mod scene;
mod surface;
mod texture;
mod varied;
mod wide;

pub use blemish::Image;
pub use damaged::damaged_photo;
pub use defect::{DefectKind, VISIBLE};
pub use on_photo::PhotoDefects;
pub use scene::{Defective, Scene};
pub use varied::{Varied, VariedSet};
pub use wide::wide_defect;

/// An image as a camera of 8 bits has it: values clamped to [0, 1] and rounded to 255ths.
pub fn in_8_bits(mut image: Image) -> Image {
    image.pixels.iter_mut().for_each(|v| *v = (v.clamp(0.0, 1.0) * 255.0).round() / 255.0);
    image
}

/// Which texture programs, arrangements of parts and kinds of defects a scene may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Families {
    /// Most of them.
    Training,
    /// Textures and arrangements that training never uses; half of the defects are of kinds that it never uses.
    Validation,
}

/// The names of the texture programs and of the arrangements that `families` uses.
pub fn program_names(families: Families) -> Vec<&'static str> {
    let textures = texture::programs(families).into_iter().map(|program| program.name);
    textures.chain(product::arrangements(families).into_iter().map(|each| each.name)).collect()
}

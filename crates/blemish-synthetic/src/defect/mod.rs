//! Defects: drawn on the canvas, before light and camera, so that both photos share them.

mod apply;
mod kind;
mod lines;
mod mask;
mod parts;
mod patches;
mod region;

pub(crate) use apply::{Damage, apply, fits};
pub use kind::DefectKind;
pub use mask::VISIBLE;
pub(crate) use mask::{VISIBLE_PIXELS, enlarge, mask};
pub(crate) use region::{Region, crack, walk};

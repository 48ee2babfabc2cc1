//! The masked autoencoder. It knows neither data nor training: the mask is an input, and the same images,
//! mask and weights give the same output.

pub mod aggregation;
pub mod attention;
mod complementary;
pub mod decoder;
pub mod encoder;
mod flops;
mod grid;
pub mod head;
pub mod init;
pub mod linear;
mod mae;
mod mask;
pub mod mlp;
pub mod norm;
pub mod patch_embed;
pub mod patchify;
pub mod pos_embed;
mod weights;

pub use complementary::Complementary;
pub use grid::{resampling, weights_for_grid};
pub use mae::{Features, Mae, Reconstruction};
pub use mask::Mask;
pub use weights::{Array, Weights, load_weights, read_gradients};

//! The masked autoencoder. It knows neither data nor training: the mask is an input, and the same images,
//! mask and weights give the same output.

pub mod aggregation;
pub mod attention;
pub mod decoder;
pub mod encoder;
pub mod head;
pub mod init;
pub mod linear;
mod mae;
pub mod mlp;
pub mod norm;
pub mod patch_embed;
pub mod patchify;
pub mod pos_embed;
mod weights;

pub use mae::{Features, Mae, Reconstruction};
pub use weights::{load_weights, read_gradients};

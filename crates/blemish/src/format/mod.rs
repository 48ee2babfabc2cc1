//! Files: the model file (safetensors with everything in it) and the import of PyTorch weights.

mod model_file;
mod pretrained;
mod pytorch;

pub use model_file::{ModelFile, Provenance, StrangeImage, read_tensors, write_tensors};
pub use pretrained::{Pretrained, PretrainedOrigin};
pub use pytorch::{ImportOptions, import_pytorch};

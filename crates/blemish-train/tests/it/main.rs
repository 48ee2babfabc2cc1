//! The integration tests, one binary: parity with the PyTorch reference, gradients, the scoring engine, training, files.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod engine;
mod fixture;
mod gradients;
#[cfg(feature = "wgpu")]
mod graphics_card;
mod import_pytorch;
mod imports;
mod masks_and_patches;
mod parity_filters;
mod parity_layers;
mod parity_losses;
mod parity_model;
mod parity_retrieve;
mod pretrain;
mod train_step;
mod training;

//! What the benchmark can be told to do. Python peers understand the same commands, as far as they can.

use std::path::PathBuf;

use blemish::config::{Arithmetic, Precision, Preset};
use serde::Deserialize;

/// One line of standard input.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Writes `model.safetensors`, and a batch as `input.f32`, `target.f32`, `defect.f32`, into a folder.
    Prepare {
        /// Where to.
        folder: PathBuf,
        /// The preset whose model is drawn at random.
        preset: Preset,
        /// 1 or 3.
        channels: usize,
        /// Height and width of the model's input; absent: the preset's.
        #[serde(default)]
        image_size: Option<[usize; 2]>,
        /// Images in the batch.
        images: usize,
    },
    /// Writes `count` PNG files of a drawn part into a folder.
    Images {
        /// Where to.
        folder: PathBuf,
        /// How many files.
        count: usize,
        /// How many of them differ; the others are copies.
        distinct: usize,
        /// Height and width.
        size: usize,
        /// 1 or 3.
        channels: usize,
    },
    /// Writes `maps.f32` and `masks.u8`, some of them empty, into a folder.
    Maps {
        /// Where to.
        folder: PathBuf,
        /// How many.
        count: usize,
        /// Height and width.
        size: usize,
    },
    /// Loads a folder that `prepare` wrote; the seconds are those of the model file alone.
    Load {
        /// Where from.
        folder: PathBuf,
        /// What scoring multiplies in from then on; absent: what this machine does fastest.
        #[serde(default = "Arithmetic::fastest")]
        scoring: Arithmetic,
        /// What training does; absent: likewise.
        #[serde(default = "Precision::fastest")]
        training: Precision,
    },
    /// Unmasked forward passes.
    Forward {
        /// Images.
        batch: usize,
        /// Times.
        repeats: usize,
        /// Where the raw output goes: the reconstruction `[B, H, W, C]`, then the defect logit `[B, H, W, 1]`.
        #[serde(default)]
        output: Option<PathBuf>,
    },
    /// Scoring as the detector does it: normalisation, passes, map, smoothing.
    Score {
        /// Images.
        batch: usize,
        /// 1: unmasked; more: complementary masks.
        passes: usize,
        /// Times.
        repeats: usize,
    },
    /// Where the time of an image goes, from file to verdict: median seconds of each part, on the loaded model.
    Parts {
        /// A folder of images.
        folder: PathBuf,
    },
    /// Whole training steps of the second stage's task.
    Step {
        /// Images.
        batch: usize,
        /// Times.
        repeats: usize,
    },
    /// The loss of the loaded weights and its gradient's norm.
    Loss {
        /// Images.
        batch: usize,
    },
    /// `[n, n]` times `[n, n]`.
    Matmul {
        /// `n`.
        size: usize,
        /// Times.
        repeats: usize,
    },
    /// AUPRO up to 0.3 of what `maps` wrote.
    Aupro {
        /// Where from.
        folder: PathBuf,
        /// How many.
        count: usize,
        /// Height and width.
        size: usize,
        /// Times.
        repeats: usize,
    },
}

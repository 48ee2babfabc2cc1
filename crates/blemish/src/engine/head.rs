//! From tokens to pixels: the pyramid, or one linear map per patch.

use super::blocks::{Normed, Source};
use super::linear::Linear;
use super::map::{Conv, MapShape, Maps};
use super::rows::gelu_rows;
use super::task::{each, lines, parts};
use super::{Output, Workspace};
use crate::config::{self, ModelConfig};
use crate::kernels::scratch;

/// How tokens become pixels.
#[derive(Debug)]
pub enum Head {
    /// One linear map per patch.
    Linear {
        /// The decoder's norm and `[D, p p C]`.
        proj: Normed,
        /// Side of a patch.
        patch_size: usize,
    },
    /// From stride 16 to 1.
    Pyramid {
        /// The decoder's norm and the map to stride 8.
        first: Normed,
        /// The coarsest first.
        levels: Vec<Level>,
    },
}

/// A convolution and GELU on a map, and the map to the next finer level.
#[derive(Debug)]
pub struct Level {
    fuse: Conv,
    up: Linear,
}

/// Where pixels go: those of the image, and what else the model says of each.
struct Pixels<'a> {
    image: &'a mut [f32],
    extra: &'a mut [f32],
}

impl Head {
    /// Reads it; `maps` are the image and the levels, the finest first.
    pub fn read(from: Source<'_>, config: &ModelConfig, maps: &[MapShape]) -> Result<Self, String> {
        let dim = config.decoder_embed_dim;
        if config.head == config::Head::Linear {
            let outputs = config.patch_size * config.patch_size * maps[0].channels;
            let proj = Normed::read(from, "decoder_norm", "head.proj", [dim, outputs])?;
            return Ok(Self::Linear { proj, patch_size: config.patch_size });
        }
        let dims = &config.stem_dims;
        let coarsest = dims.len() - 1;
        let first = Normed::read(from, "decoder_norm", "pyramid.up.0", [dim, 4 * dims[coarsest]])?;
        let level = |i: usize| -> Result<Level, String> {
            let (at, width) = (coarsest - i, dims[coarsest - i]);
            let fuse = from.reader.dense(&format!("pyramid.fuse.{i}"), 9 * maps[at + 1].channels, width)?;
            let up = match at.checked_sub(1) {
                Some(finer) => from.reader.dense(&format!("pyramid.up.{}", i + 1), width, 4 * dims[finer])?,
                None => {
                    let outputs = from.reader.outputs("pyramid.out.weight")?;
                    from.reader.dense("pyramid.out", width, outputs)?
                }
            };
            let (map, channels) = (maps[at + 1], maps[at + 1].channels);
            Ok(Level {
                fuse: Conv::new(fuse.pack_for(from.precision.where_even(&[channels])), map, (0, channels), 1),
                up: up.pack(from.precision),
            })
        };
        Ok(Self::Pyramid { first, levels: (0..dims.len()).map(level).collect::<Result<_, _>>()? })
    }

    /// Numbers per pixel.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Linear { proj, patch_size } => proj.outputs() / (patch_size * patch_size),
            Self::Pyramid { levels, .. } => levels.last().map_or(0, |level| level.up.outputs() / 4),
        }
    }

    /// From `buffers.decoded` to pixels. `features` are the maps after each level's GELU, the coarsest first, where
    /// they are wanted (else empty).
    pub fn run(
        &self,
        buffers: &mut Workspace,
        batch: usize,
        residual: bool,
        output: &mut Output,
        features: &mut [Vec<f32>],
    ) {
        let maps = &mut buffers.maps;
        match self {
            Self::Linear { proj, patch_size } => {
                patches(proj, *patch_size, &buffers.decoded, &maps[0], batch, residual, &mut output.image);
            }
            Self::Pyramid { first, levels } => {
                spread(first, &buffers.decoded, &mut maps[levels.len()], batch);
                for (i, (level, feature)) in levels.iter().zip(features).enumerate() {
                    let (finer, coarser) = maps.split_at_mut(levels.len() - i);
                    let (to, from) = (&mut finer[levels.len() - i - 1], &coarser[0]);
                    if i + 1 < levels.len() {
                        level.up(from, to, batch, feature);
                    } else {
                        level.finish(from, to, batch, residual, output, feature);
                    }
                }
            }
        }
    }
}

/// Tokens to the coarsest level's map.
fn spread(first: &Normed, tokens: &[f32], to: &mut Maps, batch: usize) {
    let shape = to.shape;
    let (width, outputs) = (shape.width / 2, first.outputs());
    let line = width * outputs;
    let lines = lines(line, shape.height / 2);
    let per_image = (shape.height / 2).div_ceil(lines);
    let dim = first.inputs();
    let tasks: Vec<_> = shape.parts(to.take(batch), batch, 2 * lines).enumerate().collect();
    each(tasks, batch * shape.height / 2 * line * dim, |(task, out)| {
        let (image, at) = (task / per_image, task % per_image * lines);
        let rows = lines.min(shape.height / 2 - at) * width;
        let tokens = &tokens[(image * shape.height / 2 + at) * width * dim..][..rows * dim];
        scratch::with(rows * outputs, |values| {
            first.run(tokens, values);
            shuffle(values, width, outputs / 4, out, [shape.line(), shape.channels]);
        });
    });
}

/// Every row's `4 C` values become a 2 x 2 block of pixels; `steps` are those between lines and pixels of `out`.
fn shuffle(values: &[f32], width: usize, channels: usize, out: &mut [f32], [line, pixel]: [usize; 2]) {
    for (y, values) in values.chunks_exact(width * 4 * channels).enumerate() {
        for (x, values) in values.chunks_exact(4 * channels).enumerate() {
            for (i, values) in values.chunks_exact(channels).enumerate() {
                let at = (2 * y + i / 2) * line + (2 * x + i % 2) * pixel;
                out[at..at + channels].copy_from_slice(values);
            }
        }
    }
}

impl Level {
    /// The convolution and GELU of `lines` lines, and what `up` makes of them.
    fn values(
        &self,
        image: &[f32],
        at: usize,
        feature: &mut [f32],
        rows: usize,
        then: impl FnOnce(&mut [f32]),
    ) {
        scratch::with(rows * (self.fuse.outputs() + self.up.outputs()), |buffer| {
            let (fused, values) = buffer.split_at_mut(rows * self.fuse.outputs());
            self.fuse.run(image, at, fused);
            gelu_rows(fused);
            if !feature.is_empty() {
                feature.copy_from_slice(fused);
            }
            self.up.rows(fused, values);
            then(values);
        });
    }

    fn work(&self, shape: MapShape, batch: usize) -> usize {
        batch * shape.height * (self.fuse.work() + shape.width * self.fuse.outputs() * self.up.outputs())
    }

    /// To the next finer level's map.
    fn up(&self, from: &Maps, to: &mut Maps, batch: usize, feature: &mut [f32]) {
        let (shape, finer) = (from.shape, to.shape);
        let line = shape.width * self.fuse.outputs();
        let lines = lines(line, shape.height);
        let per_image = shape.height.div_ceil(lines);
        let mut features = parts(feature, (shape.height * line).max(1), lines * line);
        let outs = finer.parts(to.take(batch), batch, 2 * lines);
        let tasks: Vec<_> = outs.map(|out| (out, features.next().unwrap_or_default())).enumerate().collect();
        each(tasks, self.work(shape, batch), |(task, (out, feature))| {
            let (image, at) = (task / per_image, task % per_image * lines);
            let rows = lines.min(shape.height - at) * shape.width;
            self.values(from.image(image), at, feature, rows, |values| {
                let channels = self.up.outputs() / 4;
                shuffle(values, shape.width, channels, out, [finer.line(), finer.channels]);
            });
        });
    }

    /// To pixels.
    fn finish(
        &self,
        from: &Maps,
        input: &Maps,
        batch: usize,
        residual: bool,
        output: &mut Output,
        feature: &mut [f32],
    ) {
        let (shape, pixels) = (from.shape, input.shape);
        let line = shape.width * self.fuse.outputs();
        let lines = lines(line, shape.height);
        let per_image = shape.height.div_ceil(lines);
        let mut features = parts(feature, (shape.height * line).max(1), lines * line);
        let (channels, extra) = (pixels.channels, self.up.outputs() / 4 - pixels.channels);
        let area = pixels.width * pixels.height;
        let images = parts(&mut output.image, area * channels, 2 * lines * pixels.width * channels);
        let mut extras =
            parts(&mut output.extra, (area * extra).max(1), (2 * lines * pixels.width * extra).max(1));
        let tasks = images.map(|image| {
            let pixels = Pixels { image, extra: extras.next().unwrap_or_default() };
            (pixels, features.next().unwrap_or_default())
        });
        each(tasks.enumerate().collect(), self.work(shape, batch), |(task, (out, feature))| {
            let (index, at) = (task / per_image, task % per_image * lines);
            let rows = lines.min(shape.height - at) * shape.width;
            let Pixels { image, extra: extras } = out;
            self.values(from.image(index), at, feature, rows, |values| {
                let outputs = channels + extra;
                for (i, values) in values.chunks_exact(outputs).enumerate() {
                    let (row, sub) = (i / 4, i % 4);
                    let (y, x) = (2 * (row / shape.width) + sub / 2, 2 * (row % shape.width) + sub % 2);
                    let at = y * pixels.width + x;
                    image[at * channels..][..channels].copy_from_slice(&values[..channels]);
                    extras[at * extra..][..extra].copy_from_slice(&values[channels..]);
                }
            });
            if residual {
                add_pixels(image, input, index, 2 * at);
            }
        });
    }
}

/// Adds the pixels of the input from line `first` on.
fn add_pixels(out: &mut [f32], input: &Maps, image: usize, first: usize) {
    let shape = input.shape;
    let lines = input.image(image)[shape.inside() + first * shape.line()..].chunks(shape.line());
    for (out, pixels) in out.chunks_exact_mut(shape.width * shape.channels).zip(lines) {
        out.iter_mut().zip(pixels).for_each(|(out, pixel)| *out += pixel);
    }
}

/// One linear map per patch.
fn patches(
    proj: &Normed,
    p: usize,
    tokens: &[f32],
    input: &Maps,
    batch: usize,
    residual: bool,
    output: &mut [f32],
) {
    let MapShape { height, width, channels } = input.shape;
    let (rows, columns) = (height / p, width / p);
    let dim = proj.inputs();
    let line = columns * proj.outputs();
    let lines = lines(line, rows);
    let per_image = rows.div_ceil(lines);
    let work = batch * rows * line * dim;
    let tasks: Vec<_> = parts(output, rows * line, lines * line).enumerate().collect();
    each(tasks, work, |(task, out)| {
        let (image, at) = (task / per_image, task % per_image * lines);
        let tokens = &tokens[(image * rows + at) * columns * dim..][..out.len() / line * columns * dim];
        scratch::with(out.len(), |values| {
            proj.run(tokens, values);
            for (i, values) in values.chunks_exact(p * channels).enumerate() {
                let (patch, y) = (i / p, i % p);
                let at = ((patch / columns * p + y) * width + patch % columns * p) * channels;
                out[at..at + p * channels].copy_from_slice(values);
            }
        });
        if residual {
            add_pixels(out, input, image, at * p);
        }
    });
}

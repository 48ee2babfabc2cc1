//! From tokens to pixels: the pyramid, or one linear map per patch.

use super::blocks::{Normed, Source};
use super::linear::Linear;
use super::lines::{Lines, Run, split};
use super::map::{Conv, MapShape, Maps};
use super::plan::Plan;
use super::rows::gelu_rows;
use super::task::{each, lines};
use super::{Pixels, Workspace};
use crate::config::{self, ModelConfig};
use blemish_kernels::scratch;

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
                fuse: Conv::new(fuse.pack_for(map.precision), map, (0, channels), 1),
                up: up.pack_for(map.precision),
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

    /// From `buffers.decoded` to pixels, as far as the plan goes; without `output` no further than the features. `features` are the maps after
    /// each level's GELU, the coarsest first, where they are wanted (else empty).
    pub fn run(
        &self,
        buffers: &mut Workspace,
        plan: &Plan<'_>,
        residual: bool,
        output: Option<Pixels<'_>>,
        features: &mut [Vec<f32>],
    ) {
        let (maps, batch) = (&mut buffers.maps, plan.batch);
        match self {
            Self::Linear { proj, patch_size } => {
                let (tokens, rows) = (&buffers.decoded, &plan.decoded);
                if let Some(Pixels { image, .. }) = output {
                    patches(proj, *patch_size, tokens, rows, &maps[0], residual, image);
                }
            }
            Self::Pyramid { first, levels } => {
                let wanted = match output {
                    Some(_) => levels.len(),
                    None => features.iter().rposition(|feature| !feature.is_empty()).map_or(0, |i| i + 1),
                };
                if wanted > 0 {
                    spread(first, &buffers.decoded, &plan.decoded, &mut maps[levels.len()], batch);
                }
                let mut output = output;
                for (i, (level, feature)) in levels.iter().zip(features).enumerate().take(wanted) {
                    let (finer, coarser) = maps.split_at_mut(levels.len() - i);
                    let (to, from) = (&mut finer[levels.len() - i - 1], &coarser[0]);
                    let fused = &plan.fused[levels.len() - i - 1];
                    if i + 1 < wanted {
                        level.up(from, fused, to, batch, feature);
                    } else if let Some(output) = output.take() {
                        level.finish(from, fused, to, residual, output, feature);
                    } else {
                        level.stop(from, fused, batch, feature);
                    }
                }
            }
        }
    }
}

/// Rows of tokens to the coarsest level's map.
fn spread(first: &Normed, tokens: &[f32], wanted: &Lines, to: &mut Maps, batch: usize) {
    let shape = to.shape;
    let (width, outputs) = (shape.width / 2, first.outputs());
    let line = width * outputs;
    let runs = wanted.runs(lines(line, shape.height / 2));
    let dim = first.inputs();
    let tasks: Vec<_> = runs.iter().zip(shape.parts(to.take(batch), &runs, 2)).collect();
    each(tasks, batch * shape.height / 2 * line * dim, |(run, out)| {
        let rows = run.count * width;
        let tokens = &tokens[(run.image * shape.height / 2 + run.first) * width * dim..][..rows * dim];
        scratch::with(rows * outputs, |values| {
            first.run(tokens, values);
            shape.store_shuffled(values, outputs / 4, out);
        });
    });
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

    /// The runs that the `wanted` lines of a map are worked on in, and the part of `feature` of each.
    fn runs<'a>(
        &self,
        shape: MapShape,
        wanted: &Lines,
        feature: &'a mut [f32],
    ) -> (Vec<Run>, Vec<&'a mut [f32]>) {
        let line = shape.width * self.fuse.outputs();
        let runs = wanted.runs(lines(line, shape.height));
        let step = if feature.is_empty() { [0; 3] } else { [shape.height * line, 0, line] };
        let features = split(feature, &runs, step).collect();
        (runs, features)
    }

    /// To the next finer level's map.
    fn up(&self, from: &Maps, wanted: &Lines, to: &mut Maps, batch: usize, feature: &mut [f32]) {
        let (shape, finer) = (from.shape, to.shape);
        let (runs, features) = self.runs(shape, wanted, feature);
        let outs = finer.parts(to.take(batch), &runs, 2).zip(features);
        each(runs.iter().zip(outs).collect(), self.work(shape, batch), |(run, (out, feature))| {
            self.values(from.image(run.image), run.first, feature, run.count * shape.width, |values| {
                finer.store_shuffled(values, self.up.outputs() / 4, out);
            });
        });
    }

    /// The feature alone.
    fn stop(&self, from: &Maps, wanted: &Lines, batch: usize, feature: &mut [f32]) {
        let shape = from.shape;
        let (runs, features) = self.runs(shape, wanted, feature);
        let work = batch * shape.height * self.fuse.work();
        each(runs.iter().zip(features).collect(), work, |(run, feature)| {
            self.fuse.run(from.image(run.image), run.first, feature);
            gelu_rows(feature);
        });
    }

    /// To pixels.
    fn finish(
        &self,
        from: &Maps,
        wanted: &Lines,
        input: &Maps,
        residual: bool,
        output: Pixels<'_>,
        feature: &mut [f32],
    ) {
        let (shape, pixels) = (from.shape, input.shape);
        let (runs, features) = self.runs(shape, wanted, feature);
        let (channels, extra) = (pixels.channels, self.up.outputs() / 4 - pixels.channels);
        let area = pixels.width * pixels.height;
        let batch = output.image.len() / (area * channels);
        let step = |channels| [area * channels, 0, 2 * pixels.width * channels];
        let images = split(output.image, &runs, step(channels));
        let outs = images.zip(split(output.extra, &runs, step(extra))).zip(features);
        let tasks: Vec<_> = runs.iter().zip(outs).collect();
        each(tasks, self.work(shape, batch), |(run, ((image, extras), feature))| {
            self.values(from.image(run.image), run.first, feature, run.count * shape.width, |values| {
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
                add_pixels(image, input, run.image, 2 * run.first);
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
    wanted: &Lines,
    input: &Maps,
    residual: bool,
    output: &mut [f32],
) {
    let MapShape { height, width, channels, .. } = input.shape;
    let (rows, columns) = (height / p, width / p);
    let dim = proj.inputs();
    let line = columns * proj.outputs();
    let runs = wanted.runs(lines(line, rows));
    let work = output.len() * dim;
    let tasks: Vec<_> = runs.iter().zip(split(output, &runs, [rows * line, 0, line])).collect();
    each(tasks, work, |(run, out)| {
        let at = (run.image * rows + run.first) * columns * dim;
        let tokens = &tokens[at..][..run.count * columns * dim];
        scratch::with(out.len(), |values| {
            proj.run(tokens, values);
            for (i, values) in values.chunks_exact(p * channels).enumerate() {
                let (patch, y) = (i / p, i % p);
                let at = ((patch / columns * p + y) * width + patch % columns * p) * channels;
                out[at..at + p * channels].copy_from_slice(values);
            }
        });
        if residual {
            add_pixels(out, input, run.image, run.first * p);
        }
    });
}

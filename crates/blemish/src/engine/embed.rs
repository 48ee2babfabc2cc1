//! From pixels to tokens: the convolutional stem, or one linear map per patch.

use super::blocks::Source;
use super::linear::{Left, Linear};
use super::lines::{Lines, split};
use super::map::{Conv, MapShape, Maps};
use super::plan::{Level, Plan};
use super::rows::{add, gelu_rows};
use super::task::{each, lines};
use super::{Masked, Workspace};
use crate::config::{ModelConfig, PatchEmbed};
use blemish_kernels::product::Segment;
use blemish_kernels::scratch;

/// What hidden pixels are set to before the stem: middle grey.
pub const BLANK: f32 = 0.5;

/// How pixels become tokens.
#[derive(Debug)]
pub enum Embed {
    /// Convolutions of stride 2; the last gives the tokens.
    Stem(Vec<Conv>),
    /// One linear map per patch.
    Linear {
        /// `[p p C, D]`
        proj: Linear,
        /// The lines of a patch.
        segments: Vec<Segment>,
    },
}

impl Embed {
    /// Reads it; `maps` are the image and the levels, the finest first, and `skip` the first channel of a level in its
    /// map.
    pub fn read(
        from: Source<'_>,
        config: &ModelConfig,
        maps: &[MapShape],
        skip: &[usize],
    ) -> Result<Self, String> {
        let (p, channels) = (config.patch_size, maps[0].channels);
        if config.patch_embed == PatchEmbed::Linear {
            let precision = from.arithmetic.floats().where_even(&[p * channels, maps[0].line()]);
            let proj = from.reader.dense("patch_embed.proj", p * p * channels, config.embed_dim)?;
            let segment =
                |row: usize| Segment { x: row * maps[0].line(), k0: row * p * channels, k: p * channels };
            return Ok(Self::Linear {
                proj: proj.pack_for(precision),
                segments: (0..p).map(segment).collect(),
            });
        }
        let widths = [&[channels], config.stem_dims.as_slice(), &[config.embed_dim]].concat();
        let conv = |(i, w): (usize, &[usize])| {
            let dense = from.reader.dense(&format!("stem.convs.{i}"), 9 * w[0], w[1])?;
            let first = if i == 0 { 0 } else { skip[i - 1] };
            Ok(Conv::new(dense.pack_for(maps[i].precision), maps[i], (first, w[0]), 2))
        };
        Ok(Self::Stem(widths.windows(2).enumerate().map(conv).collect::<Result<_, String>>()?))
    }

    /// Fills `buffers.maps` (the levels) and `buffers.tokens` `[B, N, D]` from `buffers.maps[0]`, the images, as far as
    /// the plan goes.
    pub fn run(&self, buffers: &mut Workspace, plan: &Plan<'_>, skip: &[usize], positions: &[f32]) {
        let batch = plan.batch;
        let tokens = buffers.tokens.take(batch * positions.len());
        match self {
            Self::Stem(convs) => {
                for (i, conv) in convs.iter().enumerate() {
                    let (inputs, outputs) = buffers.maps.split_at_mut(i + 1);
                    let input = &inputs[i];
                    match outputs.first_mut() {
                        Some(output) if i + 1 < convs.len() => {
                            let Level { computed, blank } = &plan.levels[i];
                            if let Some(from) = plan.blank.get(i + 1) {
                                copy(from, output, batch, blank);
                            }
                            level(conv, input, output, skip[i], batch, computed);
                        }
                        _ => last(conv, input, tokens, &plan.embedded, positions),
                    }
                }
            }
            Self::Linear { proj, segments } => {
                linear(proj, segments, &buffers.maps[0], tokens, &plan.embedded, positions)
            }
        }
    }
}

/// Copies lines of images `[B, H, W, C]` into a bordered map, hidden patches blanked. Where the plan has more passes than
/// there are images, each image is that of several.
pub fn load(images: &[f32], maps: &mut Maps, plan: &Plan<'_>, patch_size: usize, masked: Option<&Masked>) {
    let shape = maps.shape;
    let line = shape.width * shape.channels;
    let passes = plan.batch * shape.height * line / images.len();
    let runs = plan.image.runs(1);
    for (run, out) in runs.iter().zip(shape.parts(maps.take(plan.batch), &runs, 1)) {
        let out = &mut out[..line];
        out.copy_from_slice(&images[(run.image / passes * shape.height + run.first) * line..][..line]);
        let Some(masked) = masked else { continue };
        let columns = shape.width / patch_size;
        let first = (run.image * shape.height + run.first) / patch_size * columns;
        let patches = out.chunks_exact_mut(patch_size * shape.channels);
        for (out, row) in patches.zip(&masked.restore[first..first + columns]) {
            if row.is_none() {
                out.fill(BLANK);
            }
        }
    }
}

/// Lines of a level from the one image in `from`, all channels.
fn copy(from: &Maps, to: &mut Maps, batch: usize, wanted: &Lines) {
    let shape = to.shape;
    let runs = wanted.runs(lines(shape.line(), shape.height));
    let tasks: Vec<_> = runs.iter().zip(shape.parts(to.take(batch), &runs, 1)).collect();
    each(tasks, runs.len() * shape.line(), |(run, out)| {
        out.copy_from_slice(&from.image(0)[shape.inside() + run.first * shape.line()..][..out.len()]);
    });
}

/// A convolution and GELU, into the channels from `first` on of the next level's map.
fn level(conv: &Conv, input: &Maps, output: &mut Maps, first: usize, batch: usize, wanted: &Lines) {
    let shape = output.shape;
    let line = shape.width * conv.outputs();
    let runs = wanted.runs(lines(line, shape.height));
    let tasks: Vec<_> = runs.iter().zip(shape.parts(output.take(batch), &runs, 1)).collect();
    each(tasks, batch * shape.height * conv.work(), |(run, out)| {
        scratch::with(run.count * line, |values| {
            conv.run(input.image(run.image), run.first, values);
            gelu_rows(values);
            shape.store(values, conv.outputs(), first, out);
        });
    });
}

/// The last convolution: tokens, and their positions.
fn last(conv: &Conv, input: &Maps, tokens: &mut [f32], wanted: &Lines, positions: &[f32]) {
    let line = conv.out_width() * conv.outputs();
    let runs = wanted.runs(lines(line, positions.len() / line));
    let work = tokens.len() / line * conv.work();
    let tasks: Vec<_> = runs.iter().zip(split(tokens, &runs, [positions.len(), 0, line])).collect();
    each(tasks, work, |(run, out)| {
        conv.run(input.image(run.image), run.first, out);
        add(out, &positions[run.first * line..][..out.len()]);
    });
}

/// One linear map per patch, read where the patch lies in the image.
fn linear(
    proj: &Linear,
    segments: &[Segment],
    input: &Maps,
    tokens: &mut [f32],
    wanted: &Lines,
    positions: &[f32],
) {
    let shape = input.shape;
    let p = segments.len();
    let line = shape.width / p * proj.outputs();
    let runs = wanted.runs(lines(line, shape.height / p));
    let work = tokens.len() * shape.channels * p * p;
    let tasks: Vec<_> = runs.iter().zip(split(tokens, &runs, [positions.len(), 0, line])).collect();
    each(tasks, work, |(run, out)| {
        let left = Left {
            data: &input.image(run.image)[shape.inside() + run.first * p * shape.line()..],
            line: p * shape.line(),
            row: p * shape.channels,
            segments,
            lines: run.count,
            rows: shape.width / p,
        };
        proj.apply(left, out);
        add(out, &positions[run.first * line..][..out.len()]);
    });
}

//! From pixels to tokens: the convolutional stem, or one linear map per patch.

use super::blocks::Source;
use super::linear::{Left, Linear};
use super::map::{Conv, MapShape, Maps};
use super::rows::{add, gelu_rows};
use super::task::{each, lines, parts};
use super::{Masked, Workspace};
use crate::config::{ModelConfig, PatchEmbed};
use crate::kernels::product::Segment;
use crate::kernels::scratch;

/// What hidden pixels are set to before the stem: middle grey.
const BLANK: f32 = 0.5;

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
            let precision = from.precision.where_even(&[p * channels, maps[0].line()]);
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
            Ok(Conv::new(
                dense.pack_for(from.precision.where_even(&[w[0], maps[i].channels])),
                maps[i],
                (first, w[0]),
                2,
            ))
        };
        Ok(Self::Stem(widths.windows(2).enumerate().map(conv).collect::<Result<_, String>>()?))
    }

    /// Fills `buffers.maps` (the levels) and `buffers.tokens` `[B, N, D]` from `buffers.maps[0]`, the images.
    pub fn run(&self, buffers: &mut Workspace, skip: &[usize], batch: usize, positions: &[f32]) {
        let tokens = buffers.tokens.take(batch * positions.len());
        match self {
            Self::Stem(convs) => {
                for (i, conv) in convs.iter().enumerate() {
                    let (inputs, outputs) = buffers.maps.split_at_mut(i + 1);
                    let input = &inputs[i];
                    match outputs.first_mut() {
                        Some(output) if i + 1 < convs.len() => level(conv, input, output, skip[i], batch),
                        _ => last(conv, input, tokens, batch, positions),
                    }
                }
            }
            Self::Linear { proj, segments } => {
                linear(proj, segments, &buffers.maps[0], tokens, batch, positions)
            }
        }
    }
}

/// Copies images `[B, H, W, C]` into a bordered map, hidden patches blanked.
pub fn load(images: &[f32], maps: &mut Maps, batch: usize, patch_size: usize, masked: Option<&Masked>) {
    let shape = maps.shape;
    let line = shape.width * shape.channels;
    let outs = shape.parts(maps.take(batch), batch, 1);
    for (at, (out, pixels)) in outs.zip(images.chunks_exact(line)).enumerate() {
        let out = &mut out[..line];
        out.copy_from_slice(pixels);
        let Some(masked) = masked else { continue };
        let columns = shape.width / patch_size;
        let (image, row) = (at / shape.height, at % shape.height / patch_size);
        let first = (image * (shape.height / patch_size) + row) * columns;
        let patches = out.chunks_exact_mut(patch_size * shape.channels);
        for (out, row) in patches.zip(&masked.restore[first..first + columns]) {
            if row.is_none() {
                out.fill(BLANK);
            }
        }
    }
}

/// A convolution and GELU, into the channels from `first` on of the next level's map.
fn level(conv: &Conv, input: &Maps, output: &mut Maps, first: usize, batch: usize) {
    let shape = output.shape;
    let line = shape.width * conv.outputs();
    let lines = lines(line, shape.height);
    let per_image = shape.height.div_ceil(lines);
    let tasks: Vec<_> = shape.parts(output.take(batch), batch, lines).enumerate().collect();
    each(tasks, batch * shape.height * conv.work(), |(task, out)| {
        let (image, at) = (task / per_image, task % per_image * lines);
        scratch::with(lines.min(shape.height - at) * line, |values| {
            conv.run(input.image(image), at, values);
            gelu_rows(values);
            shape.store(values, conv.outputs(), first, out);
        });
    });
}

/// The last convolution: tokens, and their positions.
fn last(conv: &Conv, input: &Maps, tokens: &mut [f32], batch: usize, positions: &[f32]) {
    let line = conv.out_width() * conv.outputs();
    let height = positions.len() / line;
    let lines = lines(line, height);
    let per_image = height.div_ceil(lines);
    let tasks: Vec<_> = parts(tokens, positions.len(), lines * line).enumerate().collect();
    each(tasks, batch * height * conv.work(), |(task, out)| {
        let (image, at) = (task / per_image, task % per_image * lines);
        conv.run(input.image(image), at, out);
        add(out, &positions[at * line..][..out.len()]);
    });
}

/// One linear map per patch, read where the patch lies in the image.
fn linear(
    proj: &Linear,
    segments: &[Segment],
    input: &Maps,
    tokens: &mut [f32],
    batch: usize,
    positions: &[f32],
) {
    let shape = input.shape;
    let p = segments.len();
    let line = shape.width / p * proj.outputs();
    let rows = shape.height / p;
    let lines = lines(line, rows);
    let per_image = rows.div_ceil(lines);
    let work = batch * rows * line * shape.channels * p * p;
    let tasks: Vec<_> = parts(tokens, positions.len(), lines * line).enumerate().collect();
    each(tasks, work, |(task, out)| {
        let (image, at) = (task / per_image, task % per_image * lines);
        let left = Left {
            data: &input.image(image)[shape.inside() + at * p * shape.line()..],
            line: p * shape.line(),
            row: p * shape.channels,
            segments,
            lines: out.len() / line,
            rows: shape.width / p,
        };
        proj.apply(left, out);
        add(out, &positions[at * line..][..out.len()]);
    });
}

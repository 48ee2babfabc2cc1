//! The decoder: like the encoder, one pass over blocks of tokens per layer, with attention to the features between.

use super::attention::{Heads, Sequence};
use super::blocks::{Attend, Mlp, Projection, Query, Source};
use super::encoder::Encoder;
use super::lines::{Lines, split};
use super::task::{Blocks, each};
use super::{Masked, Workspace};
use crate::config::ModelConfig;

/// All layers, and what stands in for hidden tokens.
#[derive(Debug)]
pub struct Decoder {
    layers: Vec<Layer>,
    heads: Heads,
    mask_token: Vec<f32>,
    /// `[N, D]`
    positions: Option<Vec<f32>>,
    /// Whether hidden places are features of zeros.
    scattered: bool,
}

#[derive(Debug)]
struct Layer {
    project: Projection,
    attend: Attend,
    query: Query,
    cross: Attend,
    mlp: Mlp,
}

impl Decoder {
    /// Reads it; `positions` is its positional embedding, `[N, D]`.
    pub fn read(from: Source<'_>, config: &ModelConfig, positions: Option<Vec<f32>>) -> Result<Self, String> {
        let dim = config.decoder_embed_dim;
        let heads = Heads::new(config.decoder_num_heads, dim, from.arithmetic.floats());
        let layer = |i: usize| -> Result<Layer, String> {
            let name = |part: &str| format!("decoder.{i}.{part}");
            Ok(Layer {
                project: Projection::read(from, &name("norm1"), &name("attn"), heads)?,
                attend: Attend::read(from, &name("attn"), heads)?,
                query: Query::read(from, &name("norm2"), &name("cross_attn"), heads)?,
                cross: Attend::read(from, &name("cross_attn"), heads)?,
                mlp: Mlp::read(from, &name("norm3"), &name("mlp"), [dim, config.decoder_mlp_dim()])?,
            })
        };
        Ok(Self {
            layers: (0..config.decoder_depth).map(layer).collect::<Result<_, _>>()?,
            heads,
            mask_token: from.reader.values("mask_token", &[dim])?.to_vec(),
            positions,
            scattered: config.aggregation_keys == crate::config::AggregationKeys::Scattered,
        })
    }

    /// From the encoder's output to the `wanted` tokens of `buffers.decoded`, `[B, N, D]`; `visible` are the blocks of the
    /// encoder. All tokens go through all layers but the last, where the others are keys and values only.
    pub fn run(
        &self,
        buffers: &mut Workspace,
        encoder: &Encoder,
        (blocks, visible): (Blocks, Blocks),
        masked: Option<&Masked>,
        wanted: &Lines,
    ) {
        let (dim, rows) = (self.heads.width(), blocks.batch * blocks.tokens);
        let hidden = if self.scattered { blocks.tokens - visible.tokens } else { 0 };
        let x = buffers.decoded.take(rows * dim);
        let q = buffers.q.take(rows * dim);
        let packed_len = self.heads.packed_len(blocks.block);
        let count = blocks.batch * blocks.per_image();
        let [old, new] = &mut buffers.kv;
        let (mut old, mut new) = (old.take(count * packed_len), new.take(count * packed_len));
        let (encoded, cross) = (&*buffers.encoded, &*buffers.cross);
        let work = rows * 4 * dim * dim;

        let own = blocks.rows(x, dim).zip(blocks.rows(q, dim)).enumerate();
        each(own.zip(blocks.packed(new, packed_len)).collect(), work, |((task, (x, q)), kv)| {
            self.place(encoded, blocks, task, masked, x);
            if let Some(first) = self.layers.first() {
                first.project.run(x, q, kv);
            }
        });
        for (i, layer) in self.layers.iter().enumerate() {
            std::mem::swap(&mut old, &mut new);
            let keys = &*old;
            let next = self.layers.get(i + 1);
            let runs = match next {
                Some(_) => Lines::all(blocks.batch, blocks.tokens).runs(blocks.block),
                None => wanted.runs(blocks.block),
            };
            let step = [blocks.tokens * dim, 0, dim];
            let own = runs.iter().zip(split(x, &runs, step).zip(split(q, &runs, step)));
            let mut kv = blocks.packed(new, packed_len);
            // The last layer leaves nothing, and its runs may be more than there are blocks.
            let own = own.map(|own| (own, kv.next().unwrap_or_default()));
            each(own.collect(), work, |((run, (x, q)), kv)| {
                let features = encoder.features(cross, i, (visible, run.image), hidden);
                layer.run(x, q, self.heads.sequence(keys, blocks, run.image), features);
                if let Some(next) = next {
                    next.project.run(x, q, kv);
                }
            });
        }
    }

    /// The tokens of a block in image order: encoded ones, mask tokens where hidden, and their positions.
    fn place(&self, encoded: &[f32], blocks: Blocks, task: usize, masked: Option<&Masked>, x: &mut [f32]) {
        let dim = self.heads.width();
        let (image, first) = blocks.place(task);
        for (i, x) in x.chunks_exact_mut(dim).enumerate() {
            let at = image * blocks.tokens + first + i;
            let row = masked.map_or(Some(at), |masked| masked.restore[at]);
            x.copy_from_slice(row.map_or(&self.mask_token, |row| &encoded[row * dim..][..dim]));
        }
        if let Some(positions) = &self.positions {
            super::rows::add(x, &positions[first * dim..][..x.len()]);
        }
    }
}

impl Layer {
    fn run(&self, x: &mut [f32], q: &mut [f32], own: Sequence<'_>, features: Sequence<'_>) {
        self.attend.add(q, own, x);
        self.query.run(x, q);
        self.cross.add(q, features, x);
        self.mlp.add(x);
    }
}

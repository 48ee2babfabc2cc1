//! The encoder: one pass over blocks of tokens per layer. A block attends to all tokens of its image, goes through the
//! rest of the layer, and leaves its queries, keys and values for the next.

use rayon::prelude::*;

use super::Workspace;
use super::attention::{Heads, Sequence};
use super::blocks::{Attend, Mlp, Normed, Projection, Source};
use super::dense::Dense;
use super::linear::TokenLinear;
use super::task::{Blocks, each};
use crate::config::ModelConfig;
use blemish_kernels::aligned::Aligned;
use blemish_kernels::scratch;

/// All layers, and what the decoder wants of their output.
#[derive(Debug)]
pub struct Encoder {
    layers: Vec<Layer>,
    heads: Heads,
    /// For each layer, the place of its output among the taps.
    taps: Vec<Option<usize>>,
    tap_count: usize,
    /// The final norm and the map to the decoder's width.
    out: Normed,
    /// For each decoder layer, the taps to its keys and values: the aggregation is linear, and so are they.
    cross: Vec<TokenLinear>,
    cross_heads: Heads,
    /// Keys and values of hidden places, packed as a block of one token, for each decoder layer.
    hidden: Vec<Aligned>,
}

#[derive(Debug)]
struct Layer {
    project: Projection,
    attend: Attend,
    mlp: Mlp,
}

impl Encoder {
    /// Reads it.
    pub fn read(from: Source<'_>, config: &ModelConfig) -> Result<Self, String> {
        let (dim, decoder_dim) = (config.embed_dim, config.decoder_embed_dim);
        let heads = Heads::new(config.num_heads, dim, from.arithmetic.floats());
        let cross_heads = Heads::new(config.decoder_num_heads, decoder_dim, from.arithmetic.floats());
        let layer = |i: usize| -> Result<Layer, String> {
            let name = |part: &str| format!("encoder.{i}.{part}");
            Ok(Layer {
                project: Projection::read(from, &name("norm1"), &name("attn"), heads)?,
                attend: Attend::read(from, &name("attn"), heads)?,
                mlp: Mlp::read(from, &name("norm2"), &name("mlp"), [dim, config.mlp_dim()])?,
            })
        };
        let at = config.taps();
        let features = aggregation(from, dim, at.len())?;
        let cross = (0..config.decoder_depth).map(|i| {
            let name = format!("decoder.{i}.cross_attn.kv");
            Ok(features.then(&from.reader.dense(&name, dim, 2 * decoder_dim)?))
        });
        let cross = cross.collect::<Result<Vec<Dense>, String>>()?;
        Ok(Self {
            layers: (0..config.depth).into_par_iter().map(layer).collect::<Result<_, _>>()?,
            heads,
            taps: (0..config.depth).map(|i| at.iter().position(|&tap| tap == i + 1)).collect(),
            tap_count: at.len(),
            out: Normed::read(from, "encoder_norm", "decoder_embed", [dim, decoder_dim])?,
            hidden: cross
                .iter()
                .map(|dense| {
                    let mut packed = Aligned::zeros(cross_heads.packed_len(1));
                    cross_heads.pack(&dense.bias, 2 * decoder_dim, 0, &mut packed);
                    packed
                })
                .collect(),
            cross: cross.into_iter().map(|dense| dense.pack(from.arithmetic)).collect(),
            cross_heads,
        })
    }

    /// Taps.
    pub(crate) fn tap_count(&self) -> usize {
        self.tap_count
    }

    /// From `buffers.x`, the visible tokens `[B, tokens, D]`, to `buffers.taps` `[B, tokens, taps * D]`,
    /// `buffers.encoded` `[B, tokens, decoder D]` and the packed keys and values for the decoder, `buffers.cross`.
    pub fn run(&self, buffers: &mut Workspace, blocks: Blocks) {
        let (dim, rows) = (self.heads.width(), blocks.batch * blocks.tokens);
        let tap_width = self.tap_count * dim;
        let x = buffers.x.take(rows * dim);
        let q = buffers.q.take(rows * dim);
        let taps = buffers.taps.take(rows * tap_width);
        let encoded = buffers.encoded.take(rows * self.out.outputs());
        let packed_len = self.heads.packed_len(blocks.block);
        let count = blocks.batch * blocks.per_image();
        let [old, new] = &mut buffers.kv;
        let (mut old, mut new) = (old.take(count * packed_len), new.take(count * packed_len));
        let cross_len = self.cross_heads.packed_len(blocks.block);
        let cross = buffers.cross.take(count * self.cross.len() * cross_len);
        let work = rows * 4 * dim * dim;

        let tasks = blocks.rows(x, dim).zip(blocks.rows(q, dim)).zip(blocks.packed(new, packed_len));
        each(tasks.collect(), work, |((x, q), kv)| self.layers[0].project.run(x, q, kv));
        for (i, layer) in self.layers.iter().enumerate() {
            std::mem::swap(&mut old, &mut new);
            let keys = &*old;
            let leave = |x: &[f32], taps: &mut [f32]| {
                let Some(tap) = self.taps[i] else { return };
                for (x, taps) in x.chunks_exact(dim).zip(taps.chunks_exact_mut(tap_width)) {
                    taps[tap * dim..][..dim].copy_from_slice(x);
                }
            };
            let run = |task: usize, x: &mut [f32], q: &[f32], taps: &mut [f32]| {
                layer.attend.add(q, self.heads.sequence(keys, blocks, blocks.place(task).0), x);
                layer.mlp.add(x);
                leave(x, taps);
            };
            let own =
                blocks.rows(x, dim).zip(blocks.rows(q, dim)).zip(blocks.rows(taps, tap_width)).enumerate();
            match self.layers.get(i + 1) {
                Some(next) => {
                    let tasks = own.zip(blocks.packed(new, packed_len)).collect();
                    each(tasks, work, |((task, ((x, q), taps)), kv)| {
                        run(task, x, q, taps);
                        next.project.run(x, q, kv);
                    });
                }
                None => {
                    let mut cross = blocks.packed(cross, (self.cross.len() * cross_len).max(1));
                    let ends = blocks.rows(encoded, self.out.outputs());
                    // Without decoder layers there are no keys to leave.
                    let ends = ends.map(|encoded| (encoded, cross.next().unwrap_or_default()));
                    each(own.zip(ends).collect(), work, |((task, ((x, q), taps)), (encoded, cross))| {
                        run(task, x, q, taps);
                        self.out.run(x, encoded);
                        self.leave_keys(taps, cross, cross_len);
                    });
                }
            }
        }
    }

    /// Keys and values of a block for every decoder layer.
    fn leave_keys(&self, taps: &[f32], cross: &mut [f32], packed_len: usize) {
        let width = 2 * self.cross_heads.width();
        let rows = taps.len() / (self.tap_count * self.heads.width());
        for (linear, packed) in self.cross.iter().zip(cross.chunks_exact_mut(packed_len)) {
            scratch::with(rows * width, |kv| {
                linear.rows(taps, kv);
                self.cross_heads.pack(kv, width, 0, packed);
            });
        }
    }

    /// What decoder layer `layer` attends to in image `image`; `hidden` places count as features of zeros.
    pub fn features<'a>(
        &'a self,
        cross: &'a [f32],
        layer: usize,
        (blocks, image): (Blocks, usize),
        hidden: usize,
    ) -> Sequence<'a> {
        let packed_len = self.cross_heads.packed_len(blocks.block);
        let step = self.cross.len() * packed_len;
        let repeated = (hidden > 0).then(|| (&*self.hidden[layer], (hidden as f32).ln()));
        let data = &cross[image * blocks.per_image() * step + layer * packed_len..];
        Sequence { data, step, block: blocks.block, keys: blocks.tokens, repeated }
    }
}

/// The taps side by side to the aggregated features: three linear maps, a mix and a projection, multiplied together.
fn aggregation(from: Source<'_>, dim: usize, taps: usize) -> Result<Dense, String> {
    let combine = from.reader.dense("aggregation.combine", taps * dim, dim)?;
    let after = combine.then(&from.reader.dense("aggregation.proj", dim, dim)?);
    let mut whole = Dense { w: Vec::with_capacity(taps * dim * dim), bias: after.bias.clone() };
    for (tap, w) in after.w.chunks_exact(dim * dim).enumerate() {
        let part = from.reader.dense(&format!("aggregation.taps.{tap}"), dim, dim)?;
        let part = part.then(&Dense { w: w.to_vec(), bias: vec![0.0; dim] });
        whole.w.extend(part.w);
        whole.bias.iter_mut().zip(part.bias).for_each(|(whole, part)| *whole += part);
    }
    Ok(whole)
}

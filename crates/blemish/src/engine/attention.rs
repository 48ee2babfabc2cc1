//! Attention of a block of queries to keys and values that were packed block by block.

use super::task::Blocks;
use crate::kernels::math::exp;
use crate::kernels::panels::{Matrix, Panels, pack};
use crate::kernels::product::{Init, Product, Segment};
use crate::kernels::{scratch, simd};

/// How keys and values are packed: per block of tokens, head by head, the keys transposed.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// Heads.
    pub count: usize,
    /// Width of a head.
    pub dim: usize,
}

/// Packed keys and values of one image.
#[derive(Clone, Copy, Debug)]
pub struct Sequence<'a> {
    /// Blocks, each of [`Heads::packed_len`] floats.
    pub data: &'a [f32],
    /// Step between blocks.
    pub step: usize,
    /// Tokens of a block; the last may have fewer.
    pub block: usize,
    /// Tokens.
    pub keys: usize,
    /// A key that stands for many, packed as a block of one token, and the logarithm of their number.
    pub repeated: Option<(&'a [f32], f32)>,
}

impl<'a> Sequence<'a> {
    /// Blocks with their first key and their number of keys.
    fn blocks(self) -> impl Iterator<Item = (&'a [f32], usize, usize)> {
        let blocks = (0..self.keys.div_ceil(self.block)).map(move |i| {
            let first = i * self.block;
            (&self.data[i * self.step..], first, self.block.min(self.keys - first))
        });
        blocks.chain(self.repeated.map(|(data, _)| (data, self.keys, 1)))
    }

    fn all_keys(self) -> usize {
        self.keys + usize::from(self.repeated.is_some())
    }
}

impl Heads {
    /// `count * dim`.
    pub fn width(self) -> usize {
        self.count * self.dim
    }

    /// All blocks of image `image`, as [`pack`](Self::pack) left them one after the other.
    pub fn sequence(self, data: &[f32], blocks: Blocks, image: usize) -> Sequence<'_> {
        let step = self.packed_len(blocks.block);
        let data = &data[image * blocks.per_image() * step..];
        Sequence { data, step, block: blocks.block, keys: blocks.tokens, repeated: None }
    }

    fn lens(self, tokens: usize) -> [usize; 2] {
        [Panels::len(self.dim, tokens), Panels::len(tokens, self.dim)]
    }

    /// Floats of a packed block of `tokens`.
    pub fn packed_len(self, tokens: usize) -> usize {
        self.count * self.lens(tokens).iter().sum::<usize>()
    }

    /// Packs keys and values that lie side by side from column `first` of rows of `step` floats.
    pub fn pack(self, rows: &[f32], step: usize, first: usize, packed: &mut [f32]) {
        let tokens = rows.len() / step;
        let [keys, values] = self.lens(tokens);
        for (head, packed) in packed.chunks_exact_mut(keys + values).take(self.count).enumerate() {
            let (packed_keys, packed_values) = packed.split_at_mut(keys);
            let at = first + head * self.dim;
            let key = Matrix { data: rows, offset: at, row_step: step, col_step: 1 };
            let value = Matrix { offset: at + self.width(), ..key };
            pack(packed_keys, self.dim, tokens, 0, self.dim, key.transposed());
            pack(packed_values, tokens, self.dim, 0, tokens, value);
        }
    }

    /// `out = softmax(q Kᵀ) V` per head; the scale of the scores is part of the queries.
    ///
    /// # Shapes
    /// `q`, `out`: `[rows, width]`
    pub fn attend(self, q: &[f32], sequence: Sequence<'_>, out: &mut [f32]) {
        let (width, keys) = (self.width(), sequence.all_keys());
        let rows = q.len() / width;
        scratch::with(rows * keys, |scores| {
            for head in 0..self.count {
                let at = head * self.dim;
                for (data, first, tokens) in sequence.blocks() {
                    let [keys_len, values_len] = self.lens(tokens);
                    let data = &data[head * (keys_len + values_len)..][..keys_len];
                    let panels = Panels::new(data, self.dim, tokens);
                    multiply(
                        (&q[at..], width),
                        self.dim,
                        panels,
                        rows,
                        Init::Zero,
                        (&mut scores[first..], keys),
                    );
                }
                if let Some((_, log)) = sequence.repeated {
                    scores.chunks_exact_mut(keys).for_each(|row| row[keys - 1] += log);
                }
                scratch::with(rows, |totals| {
                    softmax(scores, keys, totals);
                    let mut init = Init::Zero;
                    for (data, first, tokens) in sequence.blocks() {
                        let [keys_len, values_len] = self.lens(tokens);
                        let data = &data[head * (keys_len + values_len) + keys_len..][..values_len];
                        let panels = Panels::new(data, tokens, self.dim);
                        multiply(
                            (&scores[first..], keys),
                            tokens,
                            panels,
                            rows,
                            init,
                            (&mut out[at..], width),
                        );
                        init = Init::Accumulate;
                    }
                    for (out, total) in out.chunks_exact_mut(width).zip(totals) {
                        out[at..at + self.dim].iter_mut().for_each(|out| *out *= *total);
                    }
                });
            }
        });
    }
}

/// `x = exp(x - max(x))` per row of `width`; the reciprocals of the sums go to `totals`.
fn softmax(x: &mut [f32], width: usize, totals: &mut [f32]) {
    simd::run(
        #[inline(always)]
        || {
            for (row, total) in x.chunks_exact_mut(width).zip(totals) {
                let top = simd::max(row);
                for x in row.iter_mut() {
                    *x = exp(*x - top);
                }
                *total = 1.0 / simd::sum(row);
            }
        },
    );
}

/// `out = init + left * panels`; `left` and `out` come with the steps between their rows.
fn multiply(
    (x, x_row): (&[f32], usize),
    depth: usize,
    panels: Panels<'_>,
    rows: usize,
    init: Init<'_>,
    (out, out_row): (&mut [f32], usize),
) {
    let segments = &[Segment { x: 0, k0: 0, k: depth }];
    Product {
        x,
        x_line: 0,
        x_row,
        x_k: 1,
        segments,
        panels,
        init,
        lines: 1,
        rows,
        out,
        out_line: 0,
        out_row,
    }
    .run();
}

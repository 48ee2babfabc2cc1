//! Attention of a block of queries to keys and values that were packed block by block.

use super::Precision;
use super::task::Blocks;
use blemish_kernels::bf16;
use blemish_kernels::math::exp;
use blemish_kernels::panels::{Matrix, Panels, pack};
use blemish_kernels::product::{Init, Product, Segment};
use blemish_kernels::{scratch, simd};

/// How keys and values are packed: per block of tokens, head by head, the keys transposed.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// Heads.
    pub count: usize,
    /// Width of a head.
    pub dim: usize,
    /// What the products are computed in; bf16 only where `dim` is even.
    pub precision: Precision,
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
    ///
    /// The repeated key begins at an even place.
    fn blocks(self) -> impl Iterator<Item = (&'a [f32], usize, usize)> {
        let blocks = (0..self.keys.div_ceil(self.block)).map(move |i| {
            let first = i * self.block;
            (&self.data[i * self.step..], first, self.block.min(self.keys - first))
        });
        blocks.chain(self.repeated.map(|(data, _)| (data, self.keys.next_multiple_of(2), 1)))
    }

    /// Columns of the scores: an even number, so some may stand for no key.
    fn columns(self) -> usize {
        (self.keys + usize::from(self.keys % 2 == 1)) + if self.repeated.is_some() { 2 } else { 0 }
    }
}

impl Heads {
    /// `count` heads that share `width` columns.
    pub fn new(count: usize, width: usize, precision: Precision) -> Self {
        let dim = width / count;
        Self { count, dim, precision: precision.where_even(&[dim]) }
    }

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
        match self.precision {
            Precision::F32 => [Panels::len(self.dim, tokens), Panels::len(tokens, self.dim)],
            Precision::Bf16 => [Panels::len(self.dim / 2, tokens), Panels::len(tokens.div_ceil(2), self.dim)],
        }
    }

    /// Floats of a packed block of `tokens`.
    pub(crate) fn packed_len(self, tokens: usize) -> usize {
        self.count * self.lens(tokens).iter().sum::<usize>()
    }

    /// Packs keys and values that lie side by side from column `first` of rows of `step` floats.
    pub fn pack(self, rows: &[f32], step: usize, first: usize, packed: &mut [f32]) {
        let (tokens, width) = (rows.len() / step, self.width());
        let key = Matrix { data: rows, offset: first, row_step: step, col_step: 1 };
        match self.precision {
            Precision::F32 => {
                self.pack_heads(
                    tokens,
                    key,
                    (self.dim, self.dim),
                    (tokens, Matrix { offset: first + width, ..key }),
                    packed,
                );
            }
            Precision::Bf16 => {
                let half = tokens.div_ceil(2);
                scratch::with(rows.len() / 2 + half * width, |words| {
                    let (keys, values) = words.split_at_mut(rows.len() / 2);
                    bf16::pairs(rows, keys);
                    bf16::row_pairs(&rows[first + width..], step, width, values);
                    let key = Matrix { data: keys, offset: first / 2, row_step: step / 2, col_step: 1 };
                    self.pack_heads(
                        tokens,
                        key,
                        (self.dim / 2, self.dim),
                        (half, Matrix::rows(values, width)),
                        packed,
                    );
                });
            }
        }
    }

    /// Packs every head's keys, and its values, which have `value_rows` rows; columns of a head in each.
    fn pack_heads(
        self,
        tokens: usize,
        key: Matrix<'_>,
        (key_dim, value_dim): (usize, usize),
        (value_rows, value): (usize, Matrix<'_>),
        packed: &mut [f32],
    ) {
        let [keys, values] = self.lens(tokens);
        for (head, packed) in packed.chunks_exact_mut(keys + values).take(self.count).enumerate() {
            let (packed_keys, packed_values) = packed.split_at_mut(keys);
            let key = Matrix { offset: key.offset + head * key_dim, ..key };
            let value = Matrix { offset: value.offset + head * value_dim, ..value };
            pack(packed_keys, key_dim, tokens, 0, key_dim, key.transposed());
            pack(packed_values, value_rows, value_dim, 0, value_rows, value);
        }
    }

    /// `out = softmax(q Kᵀ) V` per head; the scale of the scores is part of the queries.
    ///
    /// # Shapes
    /// `q`, `out`: `[rows, width]`
    pub fn attend(self, q: &[f32], sequence: Sequence<'_>, out: &mut [f32]) {
        let (width, columns) = (self.width(), sequence.columns());
        let rows = q.len() / width;
        // In bf16, queries and probabilities are read as words of two.
        let part = if self.precision == Precision::Bf16 { 2 } else { 1 };
        scratch::with(rows * columns * 2 + q.len() + rows, |buffer| {
            let (scores, rest) = buffer.split_at_mut(rows * columns);
            let (words, rest) = rest.split_at_mut(rows * columns);
            let (q_words, totals) = rest.split_at_mut(q.len());
            let q = if part == 2 {
                bf16::pairs(q, &mut q_words[..q.len() / 2]);
                &*q_words
            } else {
                q
            };
            for head in 0..self.count {
                let at = head * self.dim;
                let head_of = |tokens: usize| head * self.lens(tokens).iter().sum::<usize>();
                if columns > sequence.keys {
                    scores
                        .chunks_exact_mut(columns)
                        .for_each(|row| row[sequence.keys..].fill(f32::NEG_INFINITY));
                }
                for (data, first, tokens) in sequence.blocks() {
                    let data = &data[head_of(tokens)..][..self.lens(tokens)[0]];
                    let panels = Panels::new(data, self.dim / part, tokens);
                    let q = (&q[at / part..], width / part);
                    self.multiply(
                        q,
                        self.dim / part,
                        panels,
                        rows,
                        Init::Zero,
                        (&mut scores[first..], columns),
                    );
                }
                if let Some((_, log)) = sequence.repeated {
                    scores.chunks_exact_mut(columns).for_each(|row| row[columns - 2] += log);
                }
                softmax(scores, columns, totals);
                let scores: &[f32] = if part == 2 {
                    bf16::pairs(scores, &mut words[..rows * columns / 2]);
                    words
                } else {
                    scores
                };
                let mut init = Init::Zero;
                for (data, first, tokens) in sequence.blocks() {
                    let [keys, values] = self.lens(tokens);
                    let data = &data[head_of(tokens) + keys..][..values];
                    let depth = tokens.div_ceil(part);
                    let panels = Panels::new(data, depth, self.dim);
                    let scores = (&scores[first / part..], columns / part);
                    self.multiply(scores, depth, panels, rows, init, (&mut out[at..], width));
                    init = Init::Accumulate;
                }
                for (out, total) in out.chunks_exact_mut(width).zip(&*totals) {
                    out[at..at + self.dim].iter_mut().for_each(|out| *out *= *total);
                }
            }
        });
    }

    /// `out = init + left * panels`; `left` and `out` come with the steps between their rows.
    fn multiply(
        self,
        (x, x_row): (&[f32], usize),
        depth: usize,
        panels: Panels<'_>,
        rows: usize,
        init: Init<'_>,
        (out, out_row): (&mut [f32], usize),
    ) {
        let segments = &[Segment { x: 0, k0: 0, k: depth }];
        let product = Product {
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
        };
        match self.precision {
            Precision::F32 => product.run(),
            Precision::Bf16 => product.run_words(),
        }
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

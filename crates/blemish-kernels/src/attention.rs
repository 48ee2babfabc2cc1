//! Scaled dot-product attention with heads interleaved (Vaswani et al., 2017, eq. 1), forward and backward.
//!
//! The probabilities are never stored: the forward pass keeps one number per query, the logarithm of its sum, and the
//! backward pass computes them again (as Dao et al., "FlashAttention", 2022, do).

use super::bf16::{pack_in, pairs, row_pairs, with_packed_in};
use super::panels::{Matrix, Panels};
use super::precision::Precision;
use super::product::{Init, Product, Segment};
use super::{math, scratch, simd};
use rayon::prelude::*;

/// Queries per task: their scores against 256 keys take 64 KiB of a second-level cache.
const QUERIES: usize = 64;

/// Sizes of an attention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionShape {
    /// Sequences.
    pub batch: usize,
    /// Heads.
    pub heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Queries per sequence.
    pub queries: usize,
    /// Keys and values per sequence.
    pub keys: usize,
    /// What the scores are multiplied by, usually `1 / sqrt(head_dim)`; positive.
    pub scale: f32,
    /// What the products are computed in; 32 bits where a head's width or the number of keys is odd.
    pub precision: Precision,
}

impl AttentionShape {
    /// `heads * head_dim`.
    pub fn width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Elements of the output.
    pub fn output_len(&self) -> usize {
        self.batch * self.queries * self.width()
    }

    fn product_precision(&self) -> Precision {
        self.precision.where_even(&[self.head_dim, self.keys])
    }
}

/// Rows of `heads * head_dim` values inside wider rows: the queries of a packed `[B, N, 3 D]`, say.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The buffer.
    pub data: &'a [f32],
    /// Column of the first value.
    pub offset: usize,
    /// Distance between two rows.
    pub step: usize,
}

impl<'a> Rows<'a> {
    /// Contiguous rows of `width` values.
    pub fn contiguous(data: &'a [f32], width: usize) -> Self {
        Self { data, offset: 0, step: width }
    }

    /// Queries, keys and values of a packed `[B, N, 3 D]`.
    pub fn packed(data: &'a [f32], width: usize) -> [Self; 3] {
        std::array::from_fn(|part| Self { data, offset: part * width, step: 3 * width })
    }

    /// A head's columns from row `row` on, as a matrix.
    fn head(self, row: usize, head: usize, shape: AttentionShape) -> Matrix<'a> {
        let offset = row * self.step + self.offset + head * shape.head_dim;
        Matrix { data: self.data, offset, row_step: self.step, col_step: 1 }
    }
}

/// `out = softmax(scale * Q Kᵀ) V` per head; `log_sums` receives `ln(sum(exp(scale * q kᵀ)))`, which the backward
/// pass needs.
///
/// # Shapes
/// - `q`: rows `[B, Nq, D]`; `k`, `v`: rows `[B, Nk, D]`
/// - `out`: `[B, Nq, D]`; `log_sums`: `[B, Nq, heads]`
pub fn attention_forward(
    shape: AttentionShape,
    [q, k, v]: [Rows<'_>; 3],
    out: &mut [f32],
    log_sums: &mut [f32],
) {
    let AttentionShape { batch, heads, head_dim, queries, keys, scale, .. } = shape;
    let (width, precision) = (shape.width(), shape.product_precision());
    assert_eq!((out.len(), log_sums.len()), (shape.output_len(), batch * queries * heads));
    let (key_depth, value_depth) = (precision.depth(head_dim), precision.depth(keys));
    let (keys_len, values_len) = (Panels::len(key_depth, keys), Panels::len(value_depth, head_dim));
    // Keys and values of every head are packed once, then shared by the blocks of queries.
    scratch::with(batch * heads * (keys_len + values_len), |packed| {
        packed.par_chunks_mut(keys_len + values_len).enumerate().for_each(|(at, packed)| {
            let (batch, head) = (at / heads, at % heads);
            let (packed_keys, packed_values) = packed.split_at_mut(keys_len);
            let key = k.head(batch * keys, head, shape).transposed();
            pack_in(precision, packed_keys, head_dim, keys, key);
            pack_in(precision, packed_values, keys, head_dim, v.head(batch * keys, head, shape));
        });
        let packed = &*packed;
        let images = out.par_chunks_mut(queries * width).zip(log_sums.par_chunks_mut(queries * heads));
        images.enumerate().for_each(|(batch, (out, log_sums))| {
            let blocks = out.par_chunks_mut(QUERIES * width).zip(log_sums.par_chunks_mut(QUERIES * heads));
            blocks.enumerate().for_each(|(block, (out, log_sums))| {
                let rows = out.len() / width;
                let first = batch * queries + block * QUERIES;
                scratch::with(rows * keys, |scores| {
                    for head in 0..heads {
                        let packed = &packed[(batch * heads + head) * (keys_len + values_len)..];
                        let (packed_keys, rest) = packed.split_at(keys_len);
                        let key = Panels::new(packed_keys, key_depth, keys);
                        let value = Panels::new(&rest[..values_len], value_depth, head_dim);
                        let q = q.head(first, head, shape);
                        multiply(precision, (q, head_dim), key, rows, Init::Zero, (scores, keys));
                        let sums = &mut log_sums[head..];
                        simd::run(
                            #[inline(always)]
                            || {
                                for (row, sum) in
                                    scores.chunks_exact_mut(keys).zip(sums.iter_mut().step_by(heads))
                                {
                                    *sum = softmax(row, scale);
                                }
                            },
                        );
                        let out = &mut out[head * head_dim..];
                        let scores = Matrix::rows(scores, keys);
                        multiply(precision, (scores, keys), value, rows, Init::Zero, (out, width));
                    }
                });
            });
        });
    });
}

/// `x = softmax(scale * x)` in place; returns the logarithm of the sum of `exp(scale * x)`.
#[inline(always)]
fn softmax(x: &mut [f32], scale: f32) -> f32 {
    let top = scale * simd::max(x);
    for x in x.iter_mut() {
        *x = math::exp((*x).mul_add(scale, -top));
    }
    let total = simd::sum(x);
    let factor = 1.0 / total;
    for x in x.iter_mut() {
        *x *= factor;
    }
    top + total.ln()
}

/// `out = init + left * panels`, for `rows` rows of `left`, which comes with its width; `out` with the step of its rows.
fn multiply(
    precision: Precision,
    (left, depth): (Matrix<'_>, usize),
    panels: Panels<'_>,
    rows: usize,
    init: Init<'_>,
    (out, out_row): (&mut [f32], usize),
) {
    let words_deep = precision.depth(depth);
    let product = Product {
        x: &left.data[left.offset..],
        x_line: 0,
        x_row: left.row_step,
        x_k: left.col_step,
        segments: &[Segment { x: 0, k0: 0, k: words_deep }],
        panels,
        init,
        lines: 1,
        rows,
        out,
        out_line: 0,
        out_row,
    };
    if precision == Precision::F32 {
        return product.run();
    }
    scratch::with(rows * words_deep, |words| {
        let (x_row, x_k) = if left.col_step == 1 {
            for (words, x) in words.chunks_exact_mut(words_deep).zip(product.x.chunks(left.row_step)) {
                pairs(&x[..depth], words);
            }
            (words_deep, 1)
        } else {
            let x = &product.x[..(depth - 1) * left.col_step + rows];
            row_pairs(x, left.col_step, rows, words);
            (1, rows)
        };
        Product { x: words, x_row, x_k, ..product }.run_words();
    });
}

/// Where the gradients of queries, keys and values go.
#[derive(Debug)]
pub enum AttentionGradients<'a> {
    /// One buffer `[B, N, 3 D]`, for self-attention.
    Packed(&'a mut [f32]),
    /// Three buffers: `[B, Nq, D]`, `[B, Nk, D]`, `[B, Nk, D]`.
    Separate([&'a mut [f32]; 3]),
}

/// The gradients of queries, keys and values for the output's gradient `dy`, `[B, Nq, D]`, and the forward pass's
/// `log_sums`, `[B, Nq, heads]`.
pub fn attention_backward(
    shape: AttentionShape,
    qkv: [Rows<'_>; 3],
    log_sums: &[f32],
    dy: &[f32],
    gradients: AttentionGradients<'_>,
) {
    let AttentionShape { heads, head_dim, queries, keys, .. } = shape;
    let width = shape.width();
    assert_eq!((log_sums.len(), dy.len()), (shape.batch * queries * heads, shape.output_len()));
    // Every head of a sequence in turn; `write` puts (part, head, gradient) where it belongs.
    let sequence = |batch: usize, write: &mut dyn FnMut(usize, usize, &[f32])| {
        scratch::with((queries + 2 * keys) * head_dim, |buffer| {
            for head in 0..heads {
                let (dq, rest) = buffer.split_at_mut(queries * head_dim);
                let (dk, dv) = rest.split_at_mut(keys * head_dim);
                head_backward(shape, qkv, log_sums, dy, (batch, head), [&mut *dq, &mut *dk, &mut *dv]);
                for (part, gradient) in [dq, dk, dv].into_iter().enumerate() {
                    write(part, head, gradient);
                }
            }
        });
    };
    let scatter = |out: &mut [f32], offset: usize, step: usize, gradient: &[f32]| {
        for (out, gradient) in out.chunks_exact_mut(step).zip(gradient.chunks_exact(head_dim)) {
            out[offset..offset + head_dim].copy_from_slice(gradient);
        }
    };
    match gradients {
        AttentionGradients::Packed(out) => {
            assert_eq!((out.len(), queries), (3 * dy.len(), keys));
            out.par_chunks_mut(queries * 3 * width).enumerate().for_each(|(batch, out)| {
                sequence(batch, &mut |part, head, gradient| {
                    scatter(out, part * width + head * head_dim, 3 * width, gradient);
                });
            });
        }
        AttentionGradients::Separate([dq, dk, dv]) => {
            assert_eq!((dq.len(), dk.len(), dv.len()), (dy.len(), shape.batch * keys * width, dk.len()));
            let others = dk.par_chunks_mut(keys * width).zip(dv.par_chunks_mut(keys * width));
            dq.par_chunks_mut(queries * width).zip(others).enumerate().for_each(|(batch, (dq, (dk, dv)))| {
                let mut outs = [dq, dk, dv];
                sequence(batch, &mut |part, head, gradient| {
                    scatter(outs[part], head * head_dim, width, gradient);
                });
            });
        }
    }
}

/// The gradients of one head of one sequence, contiguous `[Nq, d]`, `[Nk, d]`, `[Nk, d]`.
fn head_backward(
    shape: AttentionShape,
    [q, k, v]: [Rows<'_>; 3],
    log_sums: &[f32],
    dy: &[f32],
    (batch, head): (usize, usize),
    [dq, dk, dv]: [&mut [f32]; 3],
) {
    let AttentionShape { heads, head_dim, queries, keys, scale, .. } = shape;
    let (width, precision) = (shape.width(), shape.product_precision());
    let dy = Rows::contiguous(dy, width);
    let key = k.head(batch * keys, head, shape);
    let value = v.head(batch * keys, head, shape);
    with_packed_in(precision, key.transposed(), head_dim, keys, |key_transposed| {
        with_packed_in(precision, value.transposed(), head_dim, keys, |value_transposed| {
            with_packed_in(precision, key, keys, head_dim, |key| {
                scratch::with(2 * QUERIES * keys, |buffer| {
                    let (p, ds) = buffer.split_at_mut(QUERIES * keys);
                    for (block, dq) in dq.chunks_mut(QUERIES * head_dim).enumerate() {
                        let rows = dq.len() / head_dim;
                        let first = batch * queries + block * QUERIES;
                        let (q, dy) = (q.head(first, head, shape), dy.head(first, head, shape));
                        let (p, ds) = (&mut p[..rows * keys], &mut ds[..rows * keys]);
                        let scores = |left, panels, out| {
                            multiply(precision, (left, head_dim), panels, rows, Init::Zero, (out, keys));
                        };
                        scores(q, key_transposed, &mut *p);
                        scores(dy, value_transposed, &mut *ds);
                        let log_sums = log_sums[first * heads + head..].iter().step_by(heads);
                        simd::run(
                            #[inline(always)]
                            || {
                                let lines = p.chunks_exact_mut(keys).zip(ds.chunks_exact_mut(keys));
                                for ((p, ds), log_sum) in lines.zip(log_sums) {
                                    softmax_gradient(p, ds, scale, *log_sum);
                                }
                            },
                        );
                        let (p, ds) = (Matrix::rows(p, keys), Matrix::rows(ds, keys));
                        multiply(precision, (ds, keys), key, rows, Init::Zero, (dq, head_dim));
                        // The sums over queries go on from block to block.
                        let init = if block == 0 { Init::Zero } else { Init::Accumulate };
                        let add = |left: Matrix<'_>, right, out| {
                            with_packed_in(precision, right, rows, head_dim, |right| {
                                let left = (left.transposed(), rows);
                                multiply(precision, left, right, keys, init, (out, head_dim));
                            });
                        };
                        add(p, dy, &mut *dv);
                        add(ds, q, &mut *dk);
                    }
                });
            });
        });
    });
}

/// Turns scores into probabilities `p`, and the probabilities' gradient `ds` into the scores'.
#[inline(always)]
fn softmax_gradient(p: &mut [f32], ds: &mut [f32], scale: f32, log_sum: f32) {
    for (p, ds) in p.iter_mut().zip(ds.iter_mut()) {
        *p = math::exp(p.mul_add(scale, -log_sum));
        *ds *= *p;
    }
    let dot = simd::sum(ds);
    for (p, ds) in p.iter().zip(ds) {
        *ds = scale * (-dot).mul_add(*p, *ds);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, differences, random, wide};
    use super::*;

    /// The definition, on contiguous `[B, N, D]`.
    fn plain(shape: AttentionShape, q: &[f64], k: &[f64], v: &[f64]) -> Vec<f64> {
        let AttentionShape { batch, heads, head_dim, queries, keys, scale, .. } = shape;
        let width = shape.width();
        let mut out = vec![0.0; shape.output_len()];
        for at in 0..batch * queries * heads {
            let (row, column) = (at / heads, at % heads * head_dim);
            let keys = row / queries * keys..(row / queries + 1) * keys;
            let dot = |k_row: usize| -> f64 {
                (column..column + head_dim).map(|c| q[row * width + c] * k[k_row * width + c]).sum()
            };
            let weights: Vec<f64> = keys.clone().map(|k_row| (f64::from(scale) * dot(k_row)).exp()).collect();
            let total: f64 = weights.iter().sum();
            for (weight, v_row) in weights.iter().zip(keys) {
                for c in column..column + head_dim {
                    out[row * width + c] += weight / total * v[v_row * width + c];
                }
            }
        }
        out
    }

    #[test]
    fn separate_buffers_match_f64() {
        for (queries, keys) in [(1, 1), (7, 11), (70, 9)] {
            separate(queries, keys, 5, Precision::F32, 1.0);
        }
        // An odd number of keys stays in 32 bits.
        separate(7, 11, 6, Precision::Bf16, 1.0);
    }

    #[test]
    fn bf16_is_close_to_f64() {
        for (queries, keys) in [(1, 2), (7, 12), (70, 40)] {
            separate(queries, keys, 6, Precision::Bf16, 1e3);
        }
    }

    /// Within `loose` times the tolerance of 32 bits.
    fn separate(queries: usize, keys: usize, head_dim: usize, precision: Precision, loose: f64) {
        let scale = 0.6;
        let shape = AttentionShape { batch: 2, heads: 3, head_dim, queries, keys, scale, precision };
        let width = shape.width();
        let q: Vec<f32> = random(2 * queries * width, 1).iter().map(|x| 3.0 * x).collect();
        let (k, v) = (random(2 * keys * width, 2), random(2 * keys * width, 3));
        let dy = random(q.len(), 4);
        let rows = [&q, &k, &v].map(|x| Rows::contiguous(x, width));
        let (mut out, mut log_sums) = (vec![9.0; q.len()], vec![9.0; 2 * queries * 3]);
        attention_forward(shape, rows, &mut out, &mut log_sums);
        let (q64, k64, v64) = (wide(&q), wide(&k), wide(&v));
        assert_close(&out, &plain(shape, &q64, &k64, &v64), 1e-5 * loose);

        let [mut dq, mut dk, mut dv] = [vec![9.0; q.len()], vec![9.0; k.len()], vec![9.0; v.len()]];
        let gradients = AttentionGradients::Separate([&mut dq, &mut dk, &mut dv]);
        attention_backward(shape, rows, &log_sums, &dy, gradients);
        assert_close(&dq, &differences(&q, &dy, |q| plain(shape, q, &k64, &v64)), 1e-4 * loose);
        assert_close(&dk, &differences(&k, &dy, |k| plain(shape, &q64, k, &v64)), 1e-4 * loose);
        assert_close(&dv, &differences(&v, &dy, |v| plain(shape, &q64, &k64, v)), 1e-4 * loose);
    }

    #[test]
    fn a_packed_buffer_gives_the_same() {
        for precision in [Precision::F32, Precision::Bf16] {
            packed_as_separate(precision);
        }
    }

    fn packed_as_separate(precision: Precision) {
        let shape =
            AttentionShape { batch: 2, heads: 2, head_dim: 8, queries: 68, keys: 68, scale: 0.3, precision };
        let (width, tokens) = (shape.width(), 2 * 68);
        let packed = random(tokens * 3 * width, 1);
        let part = |p: usize| -> Vec<f32> {
            packed.chunks(3 * width).flat_map(|row| row[p * width..(p + 1) * width].to_vec()).collect()
        };
        let parts = [part(0), part(1), part(2)];
        let dy = random(tokens * width, 2);
        let run = |rows: [Rows<'_>; 3], gradients: AttentionGradients<'_>| {
            let (mut out, mut log_sums) = (vec![0.0; dy.len()], vec![0.0; tokens * 2]);
            attention_forward(shape, rows, &mut out, &mut log_sums);
            attention_backward(shape, rows, &log_sums, &dy, gradients);
            out
        };
        let mut together = vec![0.0; packed.len()];
        let out = run(Rows::packed(&packed, width), AttentionGradients::Packed(&mut together));
        let [mut dq, mut dk, mut dv] = [(); 3].map(|()| vec![0.0; dy.len()]);
        let rows = [&parts[0], &parts[1], &parts[2]].map(|x| Rows::contiguous(x, width));
        assert_eq!(run(rows, AttentionGradients::Separate([&mut dq, &mut dk, &mut dv])), out);
        let pairs = dq.chunks(width).zip(dk.chunks(width).zip(dv.chunks(width)));
        for (together, (dq, (dk, dv))) in together.chunks(3 * width).zip(pairs) {
            assert_eq!(together, [dq, dk, dv].concat());
        }
    }
}

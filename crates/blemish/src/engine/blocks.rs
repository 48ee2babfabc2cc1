//! The parts of a transformer layer, on the rows of one block of tokens.

use super::attention::{Heads, Sequence};
use super::linear::TokenLinear;
use super::rows::{Norm, gelu_rows};
use super::{Arithmetic, Reader};
use crate::config;
use blemish_kernels::scratch;

/// What the parts of a layer are read with.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The weights.
    pub reader: Reader<'a>,
    /// The kind of norm.
    pub norm: config::Norm,
    /// What is multiplied in.
    pub arithmetic: Arithmetic,
}

impl Source<'_> {
    /// `1 / sqrt(head_dim)` is part of the queries' weights.
    fn query_scale(heads: Heads) -> f32 {
        1.0 / (heads.dim as f32).sqrt()
    }
}

/// Norm, queries, keys and values.
#[derive(Debug)]
pub struct Projection {
    norm: Norm,
    qkv: TokenLinear,
    heads: Heads,
}

impl Projection {
    /// Reads the norm and the packed projection.
    pub fn read(from: Source<'_>, norm: &str, attn: &str, heads: Heads) -> Result<Self, String> {
        let width = heads.width();
        let qkv = from.reader.dense(&format!("{attn}.qkv"), width, 3 * width)?;
        let qkv = qkv.after(from.reader.scale(norm, width)?).scaled(0..width, Source::query_scale(heads));
        Ok(Self { norm: Norm::read(from.reader, from.norm, norm)?, qkv: qkv.pack(from.arithmetic), heads })
    }

    /// Queries of the rows `x`, and their packed keys and values.
    pub fn run(&self, x: &[f32], q: &mut [f32], packed: &mut [f32]) {
        let width = self.heads.width();
        scratch::with(x.len() * 4, |buffer| {
            let (normal, qkv) = buffer.split_at_mut(x.len());
            self.norm.apply(x, width, normal);
            self.qkv.rows(normal, qkv);
            for (q, qkv) in q.chunks_exact_mut(width).zip(qkv.chunks_exact(3 * width)) {
                q.copy_from_slice(&qkv[..width]);
            }
            self.heads.pack(qkv, 3 * width, width, packed);
        });
    }
}

/// Norm and queries, for attention to something else.
#[derive(Debug)]
pub struct Query {
    norm: Norm,
    q: TokenLinear,
    width: usize,
}

impl Query {
    /// Reads the norm and the projection.
    pub fn read(from: Source<'_>, norm: &str, attn: &str, heads: Heads) -> Result<Self, String> {
        let width = heads.width();
        let q = from.reader.dense(&format!("{attn}.q"), width, width)?;
        let q = q.after(from.reader.scale(norm, width)?).scaled(0..width, Source::query_scale(heads));
        Ok(Self { norm: Norm::read(from.reader, from.norm, norm)?, q: q.pack(from.arithmetic), width })
    }

    /// Queries of the rows `x`.
    pub fn run(&self, x: &[f32], q: &mut [f32]) {
        scratch::with(x.len(), |normal| {
            self.norm.apply(x, self.width, normal);
            self.q.rows(normal, q);
        });
    }
}

/// Attention and the projection of its output.
#[derive(Debug)]
pub struct Attend {
    heads: Heads,
    proj: TokenLinear,
}

impl Attend {
    /// Reads the projection.
    pub fn read(from: Source<'_>, attn: &str, heads: Heads) -> Result<Self, String> {
        let width = heads.width();
        let proj = from.reader.dense(&format!("{attn}.proj"), width, width)?.pack(from.arithmetic);
        Ok(Self { heads, proj })
    }

    /// `x += proj(attention(q, sequence))`
    pub fn add(&self, q: &[f32], sequence: Sequence<'_>, x: &mut [f32]) {
        scratch::with(x.len(), |out| {
            self.heads.attend(q, sequence, out);
            self.proj.add_rows(out, x);
        });
    }
}

/// Norm and the two-layer perceptron.
#[derive(Debug)]
pub struct Mlp {
    norm: Norm,
    fc1: TokenLinear,
    fc2: TokenLinear,
    width: usize,
}

impl Mlp {
    /// Reads them; `width` to `hidden` and back.
    pub fn read(
        from: Source<'_>,
        norm: &str,
        mlp: &str,
        [width, hidden]: [usize; 2],
    ) -> Result<Self, String> {
        let fc1 = from.reader.dense(&format!("{mlp}.fc1"), width, hidden)?;
        Ok(Self {
            norm: Norm::read(from.reader, from.norm, norm)?,
            fc1: fc1.after(from.reader.scale(norm, width)?).pack(from.arithmetic),
            fc2: from.reader.dense(&format!("{mlp}.fc2"), hidden, width)?.pack(from.arithmetic),
            width,
        })
    }

    /// `x += fc2(gelu(fc1(norm(x))))`
    pub fn add(&self, x: &mut [f32]) {
        let rows = x.len() / self.width;
        scratch::with(x.len() + rows * self.fc1.outputs(), |buffer| {
            let (normal, hidden) = buffer.split_at_mut(x.len());
            self.norm.apply(x, self.width, normal);
            self.fc1.rows(normal, hidden);
            gelu_rows(hidden);
            self.fc2.add_rows(hidden, x);
        });
    }
}

/// Norm and one linear map.
#[derive(Debug)]
pub struct Normed {
    norm: Norm,
    linear: TokenLinear,
    width: usize,
}

impl Normed {
    /// Reads the norm and the linear map of `[width, outputs]`.
    pub fn read(
        from: Source<'_>,
        norm: &str,
        linear: &str,
        [width, outputs]: [usize; 2],
    ) -> Result<Self, String> {
        let dense = from.reader.dense(linear, width, outputs)?.after(from.reader.scale(norm, width)?);
        Ok(Self {
            norm: Norm::read(from.reader, from.norm, norm)?,
            linear: dense.pack(from.arithmetic),
            width,
        })
    }

    /// Columns of the input.
    pub fn inputs(&self) -> usize {
        self.width
    }

    /// Columns of the output.
    pub fn outputs(&self) -> usize {
        self.linear.outputs()
    }

    /// `out = linear(norm(x))`
    pub fn run(&self, x: &[f32], out: &mut [f32]) {
        scratch::with(x.len(), |normal| {
            self.norm.apply(x, self.width, normal);
            self.linear.rows(normal, out);
        });
    }
}

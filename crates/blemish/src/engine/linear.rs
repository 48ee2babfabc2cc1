//! A matrix packed once at load, with its bias.

use super::Precision;
use blemish_kernels::aligned::Aligned;
use blemish_kernels::bf16::row_pairs;
use blemish_kernels::int8::{Linear8, Write};
use blemish_kernels::panels::{Matrix, Panels, pack};
use blemish_kernels::product::{Init, Product, Segment};
use blemish_kernels::simd;

/// `x W + b`, packed.
#[derive(Debug)]
pub struct Linear {
    inputs: usize,
    outputs: usize,
    precision: Precision,
    packed: Aligned,
    bias: Vec<f32>,
}

/// The left side of a product: `lines` x `rows` rows, each made of runs of the input; see [`Product`].
#[derive(Clone, Copy, Debug)]
pub struct Left<'a> {
    /// The data.
    pub data: &'a [f32],
    /// Step between lines.
    pub line: usize,
    /// Step between rows.
    pub row: usize,
    /// The runs that a row is made of.
    pub segments: &'a [Segment],
    /// Lines.
    pub lines: usize,
    /// Rows of a line.
    pub rows: usize,
}

impl Linear {
    /// Packs `w`, `[inputs, bias.len()]`. With [`Precision::Bf16`], every step and run of the left side must be even.
    pub fn new(w: &[f32], bias: Vec<f32>, precision: Precision) -> Self {
        let outputs = bias.len();
        let inputs = w.len() / outputs;
        let packed = match precision {
            Precision::F32 => packed(w, inputs, outputs),
            Precision::Bf16 => {
                assert!(inputs.is_multiple_of(2), "bf16 numbers come in pairs");
                let mut words = vec![0.0; w.len() / 2];
                row_pairs(w, outputs, outputs, &mut words);
                packed(&words, inputs / 2, outputs)
            }
        };
        Self { inputs, outputs, precision, packed, bias }
    }

    /// Rows of the matrix.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Columns of the output.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// `out = left W + b`, `out` a contiguous `[lines * rows, outputs]`.
    pub fn apply(&self, left: Left<'_>, out: &mut [f32]) {
        self.product(left, Init::Bias(&self.bias), out).run_in(self.precision);
    }

    /// [`apply`](Self::apply) to what is kept in `precision`, which is that of the matrix: with [`Precision::Bf16`] the data,
    /// steps and runs of the left side are words.
    pub(crate) fn apply_to(&self, precision: Precision, left: Left<'_>, out: &mut [f32]) {
        assert_eq!(precision, self.precision);
        let product = self.product(left, Init::Bias(&self.bias), out);
        match precision {
            Precision::F32 => product.run(),
            Precision::Bf16 => product.run_words(),
        }
    }

    /// `out = x W + b` for contiguous rows.
    pub fn rows(&self, x: &[f32], out: &mut [f32]) {
        let segments = &[Segment { x: 0, k0: 0, k: self.inputs }];
        self.apply(self.contiguous(x, segments), out);
    }

    /// `out += x W + b` for contiguous rows.
    pub(crate) fn add_rows(&self, x: &[f32], out: &mut [f32]) {
        let segments = &[Segment { x: 0, k0: 0, k: self.inputs }];
        self.product(self.contiguous(x, segments), Init::Accumulate, out).run_in(self.precision);
        simd::run(
            #[inline(always)]
            || {
                for row in out.chunks_exact_mut(self.outputs) {
                    for (out, bias) in row.iter_mut().zip(&self.bias) {
                        *out += bias;
                    }
                }
            },
        );
    }

    fn contiguous<'a>(&self, x: &'a [f32], segments: &'a [Segment]) -> Left<'a> {
        Left { data: x, line: 0, row: self.inputs, segments, lines: 1, rows: x.len() / self.inputs }
    }

    fn product<'a>(&'a self, left: Left<'a>, init: Init<'a>, out: &'a mut [f32]) -> Product<'a> {
        let Left { data, line, row, segments, lines, rows } = left;
        let (out_line, out_row) = (rows * self.outputs, self.outputs);
        let panels = Panels::new(&self.packed, self.precision.depth(self.inputs), self.outputs);
        let (x_line, x_row, x_k) = (line, row, 1);
        Product { x: data, x_line, x_row, x_k, segments, panels, init, lines, rows, out, out_line, out_row }
    }
}

/// `x W + b` for rows of tokens.
#[derive(Debug)]
pub enum TokenLinear {
    /// In floats.
    Float(Linear),
    /// In 8-bit integers.
    Int8(Linear8),
}

impl TokenLinear {
    /// Columns of the output.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Float(linear) => linear.outputs(),
            Self::Int8(linear) => linear.outputs(),
        }
    }

    /// `out = x W + b` for contiguous rows.
    pub fn rows(&self, x: &[f32], out: &mut [f32]) {
        match self {
            Self::Float(linear) => linear.rows(x, out),
            Self::Int8(linear) => linear.rows(x, Write::Set, out),
        }
    }

    /// `out += x W + b` for contiguous rows.
    pub(crate) fn add_rows(&self, x: &[f32], out: &mut [f32]) {
        match self {
            Self::Float(linear) => linear.add_rows(x, out),
            Self::Int8(linear) => linear.rows(x, Write::Add, out),
        }
    }
}

fn packed(w: &[f32], rows: usize, cols: usize) -> Aligned {
    let mut packed = Aligned::zeros(Panels::len(rows, cols));
    pack(&mut packed, rows, cols, 0, rows, Matrix::rows(w, cols));
    packed
}

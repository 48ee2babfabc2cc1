//! A matrix packed once at load, with its bias.

use super::Precision;
use crate::kernels::aligned::Aligned;
use crate::kernels::panels::{Matrix, Panels, pack};
use crate::kernels::product::{Init, Product, Segment};
use crate::kernels::simd;

/// `x W + b`, packed.
#[derive(Debug)]
pub struct Linear {
    inputs: usize,
    outputs: usize,
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
    /// Packs `w`, `[inputs, bias.len()]`.
    pub fn new(w: &[f32], bias: Vec<f32>, _precision: Precision) -> Self {
        let outputs = bias.len();
        let inputs = w.len() / outputs;
        let mut packed = Aligned::zeros(Panels::len(inputs, outputs));
        pack(&mut packed, inputs, outputs, 0, inputs, Matrix::rows(w, outputs));
        Self { inputs, outputs, packed, bias }
    }

    /// Columns of the output.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// `out = left W + b`, `out` a contiguous `[lines * rows, outputs]`.
    pub fn apply(&self, left: Left<'_>, out: &mut [f32]) {
        self.product(left, Init::Bias(&self.bias), out);
    }

    /// `out = x W + b` for contiguous rows.
    pub fn rows(&self, x: &[f32], out: &mut [f32]) {
        let segments = &[Segment { x: 0, k0: 0, k: self.inputs }];
        self.apply(self.contiguous(x, segments), out);
    }

    /// `out += x W + b` for contiguous rows.
    pub fn add_rows(&self, x: &[f32], out: &mut [f32]) {
        let segments = &[Segment { x: 0, k0: 0, k: self.inputs }];
        self.product(self.contiguous(x, segments), Init::Accumulate, out);
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

    fn product(&self, left: Left<'_>, init: Init<'_>, out: &mut [f32]) {
        let Left { data, line, row, segments, lines, rows } = left;
        Product {
            x: data,
            x_line: line,
            x_row: row,
            x_k: 1,
            segments,
            panels: Panels::new(&self.packed, self.inputs, self.outputs),
            init,
            lines,
            rows,
            out,
            out_line: rows * self.outputs,
            out_row: self.outputs,
        }
        .run();
    }
}

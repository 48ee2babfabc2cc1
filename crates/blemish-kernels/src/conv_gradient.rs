//! The gradients of the [3 x 3 convolution](super::conv): that of the input is the same product with other weights, that
//! of the weight the same product transposed.

use super::bf16::{pairs, row_pairs, zip};
use super::conv::{ConvShape, FeatureMap, Input, ROWS};
use super::panels::{Matrix, Panels, pack, with_packed};
use super::precision::Precision;
use super::product::{Init, Product, Segment};
use super::reduce::{add_parts, column_sum};
use super::scratch;
use rayon::prelude::*;

/// Output pixels per pass of the weight gradient: what they touch stays in a first-level cache.
const PIXELS: usize = 128;
/// The most parts that the sum of the weight gradient is cut into.
const PARTS: usize = 8;

/// The gradient of the input, `dx` `[B, H, W, Cin]`.
pub fn conv3x3_backward_input(shape: ConvShape, precision: Precision, w: &[f32], dy: &[f32], dx: &mut [f32]) {
    assert_eq!(dx.len(), shape.input_len());
    with_input_gradient(shape, precision, w, dy, |gradient| {
        let line = shape.width * shape.in_channels;
        dx.par_chunks_mut(shape.height * line).enumerate().for_each(|(image, dx)| {
            dx.par_chunks_mut(ROWS * line)
                .enumerate()
                .for_each(|(task, out)| gradient.rows(image, task * ROWS, out));
        });
    });
}

/// The gradient of a [joined](Input::Joined) input, one part each.
pub fn conv3x3_backward_joined(
    shape: ConvShape,
    precision: Precision,
    w: &[f32],
    dy: &[f32],
    d_up: &mut [f32],
    d_level: &mut [f32],
) {
    let ConvShape { height, width, in_channels, .. } = shape;
    assert_eq!((d_up.len() * 2, d_level.len() * 2), (shape.input_len(), shape.input_len()));
    let (line, c) = (width * in_channels, in_channels / 2);
    with_input_gradient(shape, precision, w, dy, |gradient| {
        let half = height * line / 2;
        let images = d_up.par_chunks_mut(half).zip(d_level.par_chunks_mut(half));
        images.enumerate().for_each(|(image, (d_up, d_level))| {
            let tasks = d_up.par_chunks_mut(ROWS * line / 2).zip(d_level.par_chunks_mut(ROWS * line / 2));
            tasks.enumerate().for_each(|(task, (d_up, d_level))| {
                scratch::with(2 * d_level.len(), |dx| {
                    gradient.rows(image, task * ROWS, dx);
                    for (row, dx) in dx.chunks_exact(line).enumerate() {
                        let up = d_up[row / 2 * line..][..line].chunks_exact_mut(4 * c);
                        let level = d_level[row * line / 2..][..line / 2].chunks_exact_mut(2 * c);
                        for (dx, (up, level)) in dx.chunks_exact(4 * c).zip(up.zip(level)) {
                            let up = &mut up[row % 2 * 2 * c..][..2 * c];
                            up[..c].copy_from_slice(&dx[..c]);
                            level[..c].copy_from_slice(&dx[c..2 * c]);
                            up[c..].copy_from_slice(&dx[2 * c..3 * c]);
                            level[c..].copy_from_slice(&dx[3 * c..]);
                        }
                    }
                });
            });
        });
    });
}

/// Calls `work` with what the gradient of the input is computed from, its weights packed.
fn with_input_gradient(
    shape: ConvShape,
    precision: Precision,
    w: &[f32],
    dy: &[f32],
    work: impl FnOnce(&InputGradient<'_>),
) {
    assert_eq!((dy.len(), w.len()), (shape.output_len(), shape.weight_len()));
    let phases: Vec<Phase> = match shape.stride {
        // dx[y] = sum over ky of dy[y + 1 - ky] w[ky]; `dy` padded by 1.
        1 => vec![Phase::new(0, 0, &[2, 1, 0], &[2, 1, 0])],
        // Even places meet the middle weight alone, odd ones the two outer; `dy` padded below and right.
        _ => {
            let taps: [&[usize]; 2] = [&[1], &[2, 0]];
            [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(py, px)| Phase::new(py, px, taps[py], taps[px])).into()
        }
    };
    let precision = shape.precision(precision);
    // In bf16, two channels of the output share a word.
    let words = if precision == Precision::Bf16 { w.len() / 2 } else { 0 };
    let inner = if words > 0 { ConvShape { out_channels: shape.out_channels / 2, ..shape } } else { shape };
    let len: usize = phases.iter().map(|phase| phase.packed_len(inner)).sum();
    scratch::with(len + words, |buffer| {
        let (words, mut rest) = buffer.split_at_mut(words);
        let w = if words.is_empty() {
            w
        } else {
            pairs(w, words);
            &*words
        };
        let packed: Vec<Panels<'_>> = phases
            .iter()
            .map(|phase| {
                let (mine, others) = std::mem::take(&mut rest).split_at_mut(phase.packed_len(inner));
                rest = others;
                phase.pack(inner, w, mine)
            })
            .collect();
        work(&InputGradient { shape, inner, precision, dy, phases: &phases, packed: &packed });
    });
}

/// The gradient of the input, computed some rows at a time.
struct InputGradient<'a> {
    shape: ConvShape,
    /// The same, with as many output channels as words that hold them.
    inner: ConvShape,
    precision: Precision,
    dy: &'a [f32],
    phases: &'a [Phase],
    packed: &'a [Panels<'a>],
}

impl InputGradient<'_> {
    /// Writes rows `first ..` of image `image`, as many as `out` holds; `first` is even.
    fn rows(&self, image: usize, first: usize, out: &mut [f32]) {
        let shape = self.shape;
        let ConvShape { width, in_channels, out_channels, stride, .. } = shape;
        let map = FeatureMap {
            data: Input::Map(self.dy).image(image, shape.batch),
            height: shape.out_height(),
            width: shape.out_width(),
            channels: out_channels,
        };
        let lines = out.len() / (width * in_channels);
        let before = usize::from(stride == 1);
        let padded_width = shape.out_width() + 1 + before;
        let padded_rows = lines.div_ceil(stride) + 1 + before;
        let len = padded_rows * padded_width * out_channels;
        scratch::with(len + len / 2, |buffer| {
            let (padded, words) = buffer.split_at_mut(len);
            map.pad(first / stride, before, padded_width, padded);
            let padded = if self.precision == Precision::Bf16 {
                pairs(padded, words);
                words
            } else {
                padded
            };
            for (phase, &panels) in self.phases.iter().zip(self.packed) {
                phase.run((self.inner, self.precision), padded, padded_width, panels, lines, out);
            }
        });
    }
}

/// The input pixels `(stride * i + y, stride * j + x)`: their gradient is a convolution of `dy` with some of the
/// weights, `rows[a]`, `cols[b]` meeting `dy` at `(i + a, j + b)` of the padded image.
struct Phase {
    y: usize,
    x: usize,
    rows: Vec<usize>,
    cols: Vec<usize>,
}

impl Phase {
    fn new(y: usize, x: usize, rows: &[usize], cols: &[usize]) -> Self {
        Self { y, x, rows: rows.to_vec(), cols: cols.to_vec() }
    }

    /// Inner dimension of its product.
    fn depth(&self, shape: ConvShape) -> usize {
        self.rows.len() * self.cols.len() * shape.out_channels
    }

    fn packed_len(&self, shape: ConvShape) -> usize {
        Panels::len(self.depth(shape), shape.in_channels)
    }

    /// Packs its weights, transposed to `[.., Cout, Cin]`.
    fn pack<'a>(&self, shape: ConvShape, w: &[f32], out: &'a mut [f32]) -> Panels<'a> {
        let ConvShape { in_channels, out_channels, .. } = shape;
        let depth = self.depth(shape);
        let taps = self.rows.iter().flat_map(|&ky| self.cols.iter().map(move |&kx| 3 * ky + kx));
        for (i, tap) in taps.enumerate() {
            let tap = &w[tap * in_channels * out_channels..][..in_channels * out_channels];
            let tap = Matrix::rows(tap, out_channels).transposed();
            pack(out, depth, in_channels, i * out_channels, out_channels, tap);
        }
        Panels::new(out, depth, in_channels)
    }

    /// Computes its pixels of `lines` rows of `dx`, the first of which is even.
    fn run(
        &self,
        (shape, precision): (ConvShape, Precision),
        padded: &[f32],
        padded_width: usize,
        panels: Panels<'_>,
        lines: usize,
        out: &mut [f32],
    ) {
        let ConvShape { width, in_channels, out_channels, stride, .. } = shape;
        let (lines, rows) = ((lines + stride - 1 - self.y) / stride, (width + stride - 1 - self.x) / stride);
        if lines == 0 || rows == 0 {
            return;
        }
        let line = padded_width * out_channels;
        let depth = self.cols.len() * out_channels;
        let segments: Vec<Segment> =
            (0..self.rows.len()).map(|i| Segment { x: i * line, k0: i * depth, k: depth }).collect();
        let product = Product {
            x: padded,
            x_line: line,
            x_row: out_channels,
            x_k: 1,
            segments: &segments,
            panels,
            init: Init::Zero,
            lines,
            rows,
            out: &mut out[(self.y * width + self.x) * in_channels..],
            out_line: stride * width * in_channels,
            out_row: stride * in_channels,
        };
        match precision {
            Precision::F32 => product.run(),
            Precision::Bf16 => product.run_words(),
        }
    }
}

/// The gradients of the weight, `dw` `[3, 3, Cin, Cout]`, and of the bias, `db` `[Cout]`.
pub fn conv3x3_backward_weight(
    shape: ConvShape,
    precision: Precision,
    x: Input<'_>,
    dy: &[f32],
    dw: &mut [f32],
    db: Option<&mut [f32]>,
) {
    assert_eq!((x.len(), dy.len()), (shape.input_len(), shape.output_len()));
    assert_eq!(dw.len(), shape.weight_len());
    let add = match shape.precision(precision) {
        Precision::F32 => add_weight_gradient,
        Precision::Bf16 => add_weight_gradient_bf16,
    };
    let out_height = shape.out_height();
    let blocks_per_image = out_height.div_ceil(ROWS);
    let blocks = shape.batch * blocks_per_image;
    let per_part = blocks.div_ceil(PARTS);
    let parts: Vec<Vec<f32>> = (0..blocks.div_ceil(per_part))
        .into_par_iter()
        .map(|part| {
            let mut sums = vec![0.0; dw.len()];
            for index in part * per_part..((part + 1) * per_part).min(blocks) {
                let (image, first) = (index / blocks_per_image, index % blocks_per_image * ROWS);
                add(shape, x, dy, image, first..(first + ROWS).min(out_height), &mut sums);
            }
            sums
        })
        .collect();
    add_parts(&parts, dw);
    if let Some(db) = db {
        column_sum(dy, db);
    }
}

/// Adds what some output rows of an image give to `dw`.
fn add_weight_gradient(
    shape: ConvShape,
    x: Input<'_>,
    dy: &[f32],
    image: usize,
    rows: std::ops::Range<usize>,
    dw: &mut [f32],
) {
    let ConvShape { height, width, in_channels, out_channels, stride, .. } = shape;
    let out_width = shape.out_width();
    let line = (width + 2) * in_channels;
    let data = x.image(image, shape.batch);
    let map = FeatureMap { data, height, width, channels: in_channels };
    scratch::with(((rows.len() - 1) * stride + 3) * line, |padded| {
        map.pad(rows.start * stride, 1, width + 2, padded);
        let pass = (PIXELS / out_width).clamp(1, rows.len());
        for first in (0..rows.len()).step_by(pass) {
            let lines = pass.min(rows.len() - first);
            let segments: Vec<Segment> = (0..lines)
                .map(|row| Segment { x: (first + row) * stride * line, k0: row * out_width, k: out_width })
                .collect();
            let dy = Matrix {
                data: dy,
                offset: (image * shape.out_height() + rows.start + first) * out_width * out_channels,
                row_step: out_channels,
                col_step: 1,
            };
            with_packed(dy, lines * out_width, out_channels, |panels| {
                Product {
                    x: padded,
                    x_line: line,
                    x_row: 1,
                    x_k: stride * in_channels,
                    segments: &segments,
                    panels,
                    init: Init::Accumulate,
                    lines: 3,
                    rows: 3 * in_channels,
                    out: &mut *dw,
                    out_line: 3 * in_channels * out_channels,
                    out_row: out_channels,
                }
                .run();
            });
        }
    });
}

/// [`add_weight_gradient`] in bf16: pixels that follow each other on an output row share words, and so do their inputs.
fn add_weight_gradient_bf16(
    shape: ConvShape,
    x: Input<'_>,
    dy: &[f32],
    image: usize,
    rows: std::ops::Range<usize>,
    dw: &mut [f32],
) {
    let ConvShape { height, width, in_channels, out_channels, stride, .. } = shape;
    let out_width = shape.out_width();
    let (line, step) = ((width + 2) * in_channels, stride * in_channels);
    // Where a row has an odd number of pixels, the last one's partner is a gradient of 0.
    let row_words = out_width.div_ceil(2);
    let data = x.image(image, shape.batch);
    let map = FeatureMap { data, height, width, channels: in_channels };
    let len = ((rows.len() - 1) * stride + 3) * line;
    scratch::with(2 * len + step, |buffer| {
        let (padded, left) = buffer.split_at_mut(len + step);
        map.pad(rows.start * stride, 1, width + 2, &mut padded[..len]);
        padded[len..].fill(0.0);
        zip(&padded[..len], &padded[step..], left);
        let pass = (PIXELS / out_width).clamp(1, rows.len());
        for first in (0..rows.len()).step_by(pass) {
            let lines = pass.min(rows.len() - first);
            let segments: Vec<Segment> = (0..lines)
                .map(|row| Segment { x: (first + row) * stride * line, k0: row * row_words, k: row_words })
                .collect();
            let at = (image * shape.out_height() + rows.start + first) * out_width * out_channels;
            scratch::with(lines * row_words * out_channels, |right| {
                for (row, right) in right.chunks_exact_mut(row_words * out_channels).enumerate() {
                    let dy = &dy[at + row * out_width * out_channels..][..out_width * out_channels];
                    row_pairs(dy, out_channels, out_channels, right);
                }
                with_packed(Matrix::rows(right, out_channels), lines * row_words, out_channels, |panels| {
                    Product {
                        x: left,
                        x_line: line,
                        x_row: 1,
                        x_k: 2 * step,
                        segments: &segments,
                        panels,
                        init: Init::Accumulate,
                        lines: 3,
                        rows: 3 * in_channels,
                        out: &mut *dw,
                        out_line: 3 * in_channels * out_channels,
                        out_row: out_channels,
                    }
                    .run_words();
                });
            });
        }
    });
}

//! The 3 x 3 convolution, padding 1, stride 1 or 2, channels last, without im2col.
//!
//! In a padded picture the 3 x Cin inputs of an output pixel that lie on one row are contiguous, and the next pixel's
//! begin `stride * Cin` floats further. So an output row is a sum of three matrix products whose left matrices are
//! rows of the picture itself, overlapping; the input gradient is the same with other weights, and the weight
//! gradient the same product transposed.

use super::panels::{Matrix, Panels, pack, with_packed};
use super::product::{Init, Product, Segment};
use super::reduce::{add_parts, column_sum};
use super::scratch;
use rayon::prelude::*;

/// Output rows per task of a product: the padded rows of 32 x 32 x 96 then take 130 KiB of a second-level cache.
const ROWS: usize = 8;
/// Output pixels per pass of the weight gradient: what they touch stays in a first-level cache.
const PIXELS: usize = 128;
/// The most parts that the sum of the weight gradient is cut into.
const PARTS: usize = 8;

/// Sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Pictures.
    pub batch: usize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// 1 or 2.
    pub stride: usize,
}

impl ConvShape {
    /// Rows of the output.
    pub fn out_height(&self) -> usize {
        (self.height - 1) / self.stride + 1
    }

    /// Columns of the output.
    pub fn out_width(&self) -> usize {
        (self.width - 1) / self.stride + 1
    }

    /// Elements of the input.
    pub fn input_len(&self) -> usize {
        self.batch * self.height * self.width * self.in_channels
    }

    /// Elements of the output.
    pub fn output_len(&self) -> usize {
        self.batch * self.out_height() * self.out_width() * self.out_channels
    }

    /// Elements of the weight.
    pub fn weight_len(&self) -> usize {
        9 * self.in_channels * self.out_channels
    }
}

/// One picture `[H, W, C]`, to be copied with a border of zeros.
#[derive(Clone, Copy)]
struct Picture<'a> {
    data: &'a [f32],
    height: usize,
    width: usize,
    channels: usize,
}

impl Picture<'_> {
    /// Copies rows `first - before ..` of the picture, `before` zero columns on the left and the rest of
    /// `padded_width` on the right; rows beyond the picture are zeros.
    fn pad(&self, first: usize, before: usize, padded_width: usize, out: &mut [f32]) {
        let (left, row_len) = (before * self.channels, self.width * self.channels);
        for (i, out) in out.chunks_exact_mut(padded_width * self.channels).enumerate() {
            match (first + i).checked_sub(before).filter(|&row| row < self.height) {
                Some(row) => {
                    out[..left].fill(0.0);
                    out[left..left + row_len].copy_from_slice(&self.data[row * row_len..][..row_len]);
                    out[left + row_len..].fill(0.0);
                }
                None => out.fill(0.0),
            }
        }
    }
}

/// `y = conv(x, w) + bias`.
///
/// # Shapes
/// - `x`: `[B, H, W, Cin]`, `w`: `[3, 3, Cin, Cout]`, `bias`: `[Cout]`
/// - `y`: `[B, H', W', Cout]`, `H' = (H - 1) / stride + 1`
pub fn conv3x3_forward(shape: ConvShape, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let ConvShape { height, width, in_channels, out_channels, stride, .. } = shape;
    assert_eq!((x.len(), w.len()), (shape.input_len(), shape.weight_len()));
    assert_eq!(y.len(), shape.output_len());
    let (out_height, out_width) = (shape.out_height(), shape.out_width());
    let line = (width + 2) * in_channels;
    let depth = 3 * in_channels;
    let segments: [Segment; 3] = std::array::from_fn(|ky| Segment { x: ky * line, k0: ky * depth, k: depth });
    let init = bias.map_or(Init::Zero, Init::Bias);
    with_packed(Matrix::rows(w, out_channels), 3 * depth, out_channels, |panels| {
        let images = x.par_chunks(height * width * in_channels);
        let out_line = out_width * out_channels;
        y.par_chunks_mut(out_height * out_line).zip(images).for_each(|(y, data)| {
            let picture = Picture { data, height, width, channels: in_channels };
            y.par_chunks_mut(ROWS * out_line).enumerate().for_each(|(task, out)| {
                let lines = out.len() / out_line;
                scratch::with(((lines - 1) * stride + 3) * line, |padded| {
                    picture.pad(task * ROWS * stride, 1, width + 2, padded);
                    Product {
                        x: padded,
                        x_line: stride * line,
                        x_row: stride * in_channels,
                        x_k: 1,
                        segments: &segments,
                        panels,
                        init,
                        lines,
                        rows: out_width,
                        out,
                        out_line,
                        out_row: out_channels,
                    }
                    .run();
                });
            });
        });
    });
}

/// The gradient of the input, `dx` `[B, H, W, Cin]`.
pub fn conv3x3_backward_input(shape: ConvShape, w: &[f32], dy: &[f32], dx: &mut [f32]) {
    assert_eq!((dy.len(), w.len()), (shape.output_len(), shape.weight_len()));
    assert_eq!(dx.len(), shape.input_len());
    let phases: Vec<Phase> = match shape.stride {
        // dx[y] = sum over ky of dy[y + 1 - ky] w[ky]; `dy` padded by 1.
        1 => vec![Phase::new(0, 0, &[2, 1, 0], &[2, 1, 0])],
        // Even places meet the middle weight alone, odd ones the two outer; `dy` padded below and right.
        _ => {
            let taps: [&[usize]; 2] = [&[1], &[2, 0]];
            [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(py, px)| Phase::new(py, px, taps[py], taps[px])).into()
        }
    };
    let ConvShape { height, width, in_channels, out_channels, stride, .. } = shape;
    let len: usize = phases.iter().map(|phase| phase.packed_len(shape)).sum();
    scratch::with(len, |buffer| {
        let mut rest = &mut *buffer;
        let packed: Vec<Panels<'_>> = phases
            .iter()
            .map(|phase| {
                let (mine, others) = std::mem::take(&mut rest).split_at_mut(phase.packed_len(shape));
                rest = others;
                phase.pack(shape, w, mine)
            })
            .collect();
        let images = dy.par_chunks(shape.output_len() / shape.batch);
        let dx_line = width * in_channels;
        dx.par_chunks_mut(height * dx_line).zip(images).for_each(|(dx, data)| {
            let picture = Picture {
                data,
                height: shape.out_height(),
                width: shape.out_width(),
                channels: out_channels,
            };
            dx.par_chunks_mut(ROWS * dx_line).enumerate().for_each(|(task, out)| {
                let lines = out.len() / dx_line;
                let before = usize::from(stride == 1);
                let padded_width = shape.out_width() + 1 + before;
                let padded_rows = lines.div_ceil(stride) + 1 + before;
                scratch::with(padded_rows * padded_width * out_channels, |padded| {
                    picture.pad(task * ROWS / stride, before, padded_width, padded);
                    for (phase, &panels) in phases.iter().zip(&packed) {
                        phase.run(shape, padded, padded_width, panels, lines, out);
                    }
                });
            });
        });
    });
}

/// The input pixels `(stride * i + y, stride * j + x)`: their gradient is a convolution of `dy` with some of the
/// weights, `rows[a]`, `cols[b]` meeting `dy` at `(i + a, j + b)` of the padded picture.
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
        shape: ConvShape,
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
        Product {
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
        }
        .run();
    }
}

/// The gradients of the weight, `dw` `[3, 3, Cin, Cout]`, and of the bias, `db` `[Cout]`.
pub fn conv3x3_backward_weight(
    shape: ConvShape,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    db: Option<&mut [f32]>,
) {
    assert_eq!((x.len(), dy.len()), (shape.input_len(), shape.output_len()));
    assert_eq!(dw.len(), shape.weight_len());
    let out_height = shape.out_height();
    let block = (PIXELS / shape.out_width()).clamp(1, out_height);
    let blocks_per_image = out_height.div_ceil(block);
    let blocks = shape.batch * blocks_per_image;
    let per_part = blocks.div_ceil(PARTS);
    let parts: Vec<Vec<f32>> = (0..blocks.div_ceil(per_part))
        .into_par_iter()
        .map(|part| {
            let mut sums = vec![0.0; dw.len()];
            for index in part * per_part..((part + 1) * per_part).min(blocks) {
                let (image, first) = (index / blocks_per_image, index % blocks_per_image * block);
                add_weight_gradient(shape, x, dy, image, first..(first + block).min(out_height), &mut sums);
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
    x: &[f32],
    dy: &[f32],
    image: usize,
    rows: std::ops::Range<usize>,
    dw: &mut [f32],
) {
    let ConvShape { height, width, in_channels, out_channels, stride, .. } = shape;
    let out_width = shape.out_width();
    let line = (width + 2) * in_channels;
    let pixels = rows.len() * out_width;
    let image_len = height * width * in_channels;
    let picture =
        Picture { data: &x[image * image_len..][..image_len], height, width, channels: in_channels };
    let dy = Matrix {
        data: dy,
        offset: (image * shape.out_height() + rows.start) * out_width * out_channels,
        row_step: out_channels,
        col_step: 1,
    };
    let segments: Vec<Segment> = (0..rows.len())
        .map(|row| Segment { x: row * stride * line, k0: row * out_width, k: out_width })
        .collect();
    scratch::with(((rows.len() - 1) * stride + 3) * line, |padded| {
        picture.pad(rows.start * stride, 1, width + 2, padded);
        with_packed(dy, pixels, out_channels, |panels| {
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
                out: dw,
                out_line: 3 * in_channels * out_channels,
                out_row: out_channels,
            }
            .run();
        });
    });
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, random, wide};
    use super::*;

    /// Calls `visit(input, weight, output)` for every product of the definition.
    fn each(shape: ConvShape, mut visit: impl FnMut(usize, usize, usize)) {
        let ConvShape { batch, height, width, in_channels, out_channels, stride } = shape;
        for b in 0..batch {
            for oy in 0..shape.out_height() {
                for ox in 0..shape.out_width() {
                    for tap in 0..9 {
                        let (y, x) = (oy * stride + tap / 3, ox * stride + tap % 3);
                        if y == 0 || x == 0 || y > height || x > width {
                            continue;
                        }
                        let pixel = (b * height + y - 1) * width + x - 1;
                        let out = (b * shape.out_height() + oy) * shape.out_width() + ox;
                        for ci in 0..in_channels {
                            for co in 0..out_channels {
                                let weight = (tap * in_channels + ci) * out_channels + co;
                                visit(pixel * in_channels + ci, weight, out * out_channels + co);
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn forward_and_backward_match_f64() {
        let sizes =
            [(1, 1, 1, 1, 1), (2, 5, 7, 3, 5), (3, 12, 9, 8, 24), (1, 19, 31, 17, 3), (2, 16, 16, 24, 33)];
        for (batch, height, width, in_channels, out_channels) in sizes {
            for stride in [1, 2] {
                let shape = ConvShape { batch, height, width, in_channels, out_channels, stride };
                let (x, w) = (random(shape.input_len(), 1), random(shape.weight_len(), 2));
                let (bias, dy) = (random(out_channels, 3), random(shape.output_len(), 4));
                let (x64, w64, dy64) = (wide(&x), wide(&w), wide(&dy));
                let mut y64: Vec<f64> = (0..dy.len()).map(|i| f64::from(bias[i % out_channels])).collect();
                let (mut dx64, mut dw64) = (vec![0.0; x.len()], vec![0.0; w.len()]);
                each(shape, |i, j, o| {
                    y64[o] += x64[i] * w64[j];
                    dx64[i] += dy64[o] * w64[j];
                    dw64[j] += dy64[o] * x64[i];
                });
                let (mut y, mut dx) = (vec![9.0; dy.len()], vec![9.0; x.len()]);
                let (mut dw, mut db) = (vec![9.0; w.len()], vec![9.0; out_channels]);
                conv3x3_forward(shape, &x, &w, Some(&bias), &mut y);
                conv3x3_backward_input(shape, &w, &dy, &mut dx);
                conv3x3_backward_weight(shape, &x, &dy, &mut dw, Some(&mut db));
                assert_close(&y, &y64, 1e-5);
                assert_close(&dx, &dx64, 1e-5);
                assert_close(&dw, &dw64, 1e-5);
            }
        }
    }

    #[test]
    #[expect(clippy::unwrap_used, reason = "tests")]
    fn threads_change_no_bit() {
        let shape = ConvShape { batch: 5, height: 33, width: 20, in_channels: 7, out_channels: 9, stride: 1 };
        let (x, dy) = (random(shape.input_len(), 1), random(shape.output_len(), 2));
        let [one, three] = [1, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (mut dw, mut db) = (vec![0.0; shape.weight_len()], vec![0.0; 9]);
            pool.install(|| conv3x3_backward_weight(shape, &x, &dy, &mut dw, Some(&mut db)));
            (dw, db)
        });
        assert_eq!(one, three);
    }
}

//! The 3 x 3 convolution, padding 1, stride 1 or 2, channels last, without im2col.
//!
//! In a padded image the 3 x Cin inputs of an output pixel that lie on one row are contiguous, and the next pixel's
//! begin `stride * Cin` floats further. So an output row is a sum of three matrix products whose left matrices are
//! rows of the image itself, overlapping.

use super::bf16::with_packed_in;
use super::panels::Matrix;
use super::precision::Precision;
use super::product::{Init, Product, Segment};
use super::scratch;
use rayon::prelude::*;

/// Output rows per task of a product: the padded rows of 32 x 32 x 96 then take 130 KiB of a second-level cache.
pub(super) const ROWS: usize = 8;

/// Sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Images.
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
    pub(crate) fn input_len(&self) -> usize {
        self.batch * self.height * self.width * self.in_channels
    }

    /// Elements of the output.
    pub fn output_len(&self) -> usize {
        self.batch * self.out_height() * self.out_width() * self.out_channels
    }

    /// Elements of the weight.
    pub(crate) fn weight_len(&self) -> usize {
        9 * self.in_channels * self.out_channels
    }

    /// What its products are computed in: bf16 numbers come in pairs.
    pub(super) fn precision(&self, precision: Precision) -> Precision {
        precision.where_even(&[self.in_channels, self.out_channels])
    }
}

/// What a convolution reads, or where the gradient of that goes.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A map, `[B, H, W, Cin]`.
    Map(&'a [f32]),
    /// Two maps side by side, each of `Cin / 2` channels, without a joined copy: one as it is before its
    /// [pixel shuffle](super::pixel_shuffle), and a level. Height and width are even.
    Joined {
        /// `[B, H / 2, W / 2, 2 Cin]`
        up: &'a [f32],
        /// `[B, H, W, Cin / 2]`
        level: &'a [f32],
    },
}

impl<'a> Input<'a> {
    /// Elements.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Map(map) => map.len(),
            Self::Joined { up, level } => up.len() + level.len(),
        }
    }

    /// Image `index` of `batch`.
    pub(super) fn image(self, index: usize, batch: usize) -> Self {
        let part = |data: &'a [f32]| &data[index * (data.len() / batch)..][..data.len() / batch];
        match self {
            Self::Map(map) => Self::Map(part(map)),
            Self::Joined { up, level } => Self::Joined { up: part(up), level: part(level) },
        }
    }
}

/// One image of `[H, W, C]`, to be copied with a border of zeros.
#[derive(Clone, Copy)]
pub(super) struct FeatureMap<'a> {
    pub data: Input<'a>,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
}

impl FeatureMap<'_> {
    /// Copies rows `first - before ..` of the image, `before` zero columns on the left and the rest of
    /// `padded_width` on the right; rows beyond the image are zeros.
    pub fn pad(&self, first: usize, before: usize, padded_width: usize, out: &mut [f32]) {
        let (left, row_len) = (before * self.channels, self.width * self.channels);
        for (i, out) in out.chunks_exact_mut(padded_width * self.channels).enumerate() {
            match (first + i).checked_sub(before).filter(|&row| row < self.height) {
                Some(row) => {
                    out[..left].fill(0.0);
                    self.copy_row(row, &mut out[left..left + row_len]);
                    out[left + row_len..].fill(0.0);
                }
                None => out.fill(0.0),
            }
        }
    }

    fn copy_row(&self, row: usize, out: &mut [f32]) {
        match self.data {
            Input::Map(map) => out.copy_from_slice(&map[row * out.len()..][..out.len()]),
            Input::Joined { up, level } => {
                // A row of the map before its shuffle holds two rows, a block of four pixels at a time.
                let (c, half) = (self.channels / 2, out.len() / 2);
                let up = up[row / 2 * out.len()..][..out.len()].chunks_exact(4 * c);
                let level = level[row * half..][..half].chunks_exact(2 * c);
                for (out, (up, level)) in out.chunks_exact_mut(4 * c).zip(up.zip(level)) {
                    let up = &up[row % 2 * 2 * c..][..2 * c];
                    out[..c].copy_from_slice(&up[..c]);
                    out[c..2 * c].copy_from_slice(&level[..c]);
                    out[2 * c..3 * c].copy_from_slice(&up[c..]);
                    out[3 * c..].copy_from_slice(&level[c..]);
                }
            }
        }
    }
}

/// `y = conv(x, w) + bias`.
///
/// # Shapes
/// - `x`: see [`Input`]; `w`: `[3, 3, Cin, Cout]`, `bias`: `[Cout]`
/// - `y`: `[B, H', W', Cout]`, `H' = (H - 1) / stride + 1`
pub fn conv3x3_forward(
    shape: ConvShape,
    precision: Precision,
    x: Input<'_>,
    w: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let precision = shape.precision(precision);
    let ConvShape { height, width, in_channels, out_channels, stride, .. } = shape;
    assert_eq!((x.len(), w.len()), (shape.input_len(), shape.weight_len()));
    assert_eq!(y.len(), shape.output_len());
    let (out_height, out_width) = (shape.out_height(), shape.out_width());
    let line = (width + 2) * in_channels;
    let depth = 3 * in_channels;
    let segments: [Segment; 3] = std::array::from_fn(|ky| Segment { x: ky * line, k0: ky * depth, k: depth });
    let init = bias.map_or(Init::Zero, Init::Bias);
    with_packed_in(precision, Matrix::rows(w, out_channels), 3 * depth, out_channels, |panels| {
        let out_line = out_width * out_channels;
        y.par_chunks_mut(out_height * out_line).enumerate().for_each(|(image, y)| {
            let data = x.image(image, shape.batch);
            let map = FeatureMap { data, height, width, channels: in_channels };
            y.par_chunks_mut(ROWS * out_line).enumerate().for_each(|(task, out)| {
                let lines = out.len() / out_line;
                scratch::with(((lines - 1) * stride + 3) * line, |padded| {
                    map.pad(task * ROWS * stride, 1, width + 2, padded);
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
                    .run_in(precision);
                });
            });
        });
    });
}

#[cfg(test)]
mod tests {
    use super::super::conv_gradient::{
        conv3x3_backward_input, conv3x3_backward_joined, conv3x3_backward_weight,
    };
    use super::super::pixel_shuffle::pixel_shuffle;
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
        check(&sizes, Precision::F32, 1e-5);
        // An odd number of channels stays in 32 bits.
        check(&sizes[..2], Precision::Bf16, 1e-5);
    }

    #[test]
    fn bf16_is_close_to_f64() {
        let sizes = [(1, 1, 1, 2, 2), (3, 12, 9, 8, 24), (1, 19, 30, 18, 4), (2, 16, 16, 24, 34)];
        check(&sizes, Precision::Bf16, 1e-2);
    }

    /// Sizes are batch, height, width, channels of the input and of the output.
    fn check(sizes: &[(usize, usize, usize, usize, usize)], precision: Precision, tolerance: f64) {
        for &(batch, height, width, in_channels, out_channels) in sizes {
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
                conv3x3_forward(shape, precision, Input::Map(&x), &w, Some(&bias), &mut y);
                conv3x3_backward_input(shape, precision, &w, &dy, &mut dx);
                conv3x3_backward_weight(shape, precision, Input::Map(&x), &dy, &mut dw, Some(&mut db));
                assert_close(&y, &y64, tolerance);
                assert_close(&dx, &dx64, tolerance);
                assert_close(&dw, &dw64, tolerance);
            }
        }
    }

    #[test]
    fn a_joined_input_gives_the_same_bits() {
        for precision in [Precision::F32, Precision::Bf16] {
            joined(precision);
        }
    }

    fn joined(precision: Precision) {
        let (batch, height, width, c) = (2, 22, 14, 5);
        let shape = ConvShape { batch, height, width, in_channels: 2 * c, out_channels: 10, stride: 1 };
        let (up, level) = (random(shape.input_len() / 2, 1), random(shape.input_len() / 2, 2));
        let join = |up: &[f32], level: &[f32]| -> Vec<f32> {
            let mut shuffled = vec![0.0; up.len()];
            pixel_shuffle(up, &mut shuffled, width / 2, c);
            shuffled.chunks(c).zip(level.chunks(c)).flat_map(|(a, b)| [a, b].concat()).collect()
        };
        let x = join(&up, &level);
        let (w, dy) = (random(shape.weight_len(), 3), random(shape.output_len(), 4));
        let run = |x: Input<'_>| {
            let (mut y, mut dw) = (vec![0.0; dy.len()], vec![0.0; w.len()]);
            conv3x3_forward(shape, precision, x, &w, None, &mut y);
            conv3x3_backward_weight(shape, precision, x, &dy, &mut dw, None);
            (y, dw)
        };
        assert_eq!(run(Input::Map(&x)), run(Input::Joined { up: &up, level: &level }));
        let (mut dx, mut d_up, mut d_level) = (vec![0.0; x.len()], vec![9.0; up.len()], vec![9.0; up.len()]);
        conv3x3_backward_input(shape, precision, &w, &dy, &mut dx);
        conv3x3_backward_joined(shape, precision, &w, &dy, &mut d_up, &mut d_level);
        assert_eq!(dx, join(&d_up, &d_level));
    }

    #[test]
    fn threads_change_no_bit() {
        for precision in [Precision::F32, Precision::Bf16] {
            threads(precision);
        }
    }

    #[expect(clippy::unwrap_used, reason = "tests")]
    fn threads(precision: Precision) {
        let shape =
            ConvShape { batch: 5, height: 33, width: 20, in_channels: 8, out_channels: 10, stride: 1 };
        let (x, dy) = (random(shape.input_len(), 1), random(shape.output_len(), 2));
        let [one, three] = [1, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (mut dw, mut db) = (vec![0.0; shape.weight_len()], vec![0.0; 10]);
            pool.install(|| {
                conv3x3_backward_weight(shape, precision, Input::Map(&x), &dy, &mut dw, Some(&mut db))
            });
            (dw, db)
        });
        assert_eq!(one, three);
    }
}

//! Depthwise convolution, channels last.

use blemish_kernels::simd;

/// Channels at a time: their sums stay in registers.
const LANES: usize = 16;

/// A convolution of each channel by itself, with TensorFlow's "same" padding, then ReLU6.
#[derive(Clone, Debug)]
pub struct Depthwise {
    /// 3 or 5.
    pub kernel: usize,
    /// 1 or 2.
    pub stride: usize,
    /// `[kernel, kernel, C]`
    pub w: Vec<f32>,
    /// `[C]`
    pub bias: Vec<f32>,
}

impl Depthwise {
    /// Output rows or columns of so many.
    pub fn outputs(&self, side: usize) -> usize {
        side.div_ceil(self.stride)
    }

    /// Rows or columns of zeros before the first of `side`: what is odd comes behind the last.
    pub fn before(&self, side: usize) -> usize {
        padding(side, self.kernel, self.stride)
    }

    /// One row of the output, `[columns out, C]`.
    ///
    /// `rows` are the input rows that its taps meet, `None` beyond the map, each `[columns, C]`.
    pub fn row(&self, rows: &[Option<&[f32]>], columns: usize, out: &mut [f32]) {
        let (channels, before) = (self.bias.len(), self.before(columns));
        simd::run(
            #[inline(always)]
            || {
                for (x, out) in out.chunks_exact_mut(channels).enumerate() {
                    let first = (x * self.stride) as isize - before as isize;
                    let taps = (-first).max(0) as usize
                        ..(columns as isize - first).min(self.kernel as isize) as usize;
                    let mut at = 0;
                    while at + LANES <= channels {
                        let mut sums = [0.0f32; LANES];
                        sums.copy_from_slice(&self.bias[at..at + LANES]);
                        for (ky, row) in rows.iter().enumerate() {
                            let Some(row) = row else { continue };
                            for kx in taps.clone() {
                                let start = (first + kx as isize) as usize * channels + at;
                                let x = &row[start..start + LANES];
                                let w = &self.w[(ky * self.kernel + kx) * channels + at..][..LANES];
                                for ((sum, x), w) in sums.iter_mut().zip(x).zip(w) {
                                    *sum = x.mul_add(*w, *sum);
                                }
                            }
                        }
                        for (out, sum) in out[at..at + LANES].iter_mut().zip(sums) {
                            *out = relu6(sum);
                        }
                        at += LANES;
                    }
                    for at in at..channels {
                        let mut sum = self.bias[at];
                        for (ky, row) in rows.iter().enumerate() {
                            let Some(row) = row else { continue };
                            for kx in taps.clone() {
                                let x = row[(first + kx as isize) as usize * channels + at];
                                sum = x.mul_add(self.w[(ky * self.kernel + kx) * channels + at], sum);
                            }
                        }
                        out[at] = relu6(sum);
                    }
                }
            },
        );
    }
}

/// Zeros before the first of `side` rows or columns, as TensorFlow pads for "same".
pub fn padding(side: usize, kernel: usize, stride: usize) -> usize {
    ((side.div_ceil(stride) - 1) * stride + kernel).saturating_sub(side) / 2
}

/// Between 0 and 6.
#[inline(always)]
pub fn relu6(x: f32) -> f32 {
    // Comparisons, not `clamp`: an instruction each.
    let x = if x > 0.0 { x } else { 0.0 };
    if x < 6.0 { x } else { 6.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_side_at_stride_2_is_padded_behind() {
        assert_eq!([padding(8, 3, 2), padding(8, 5, 2), padding(7, 3, 2), padding(8, 3, 1)], [0, 1, 1, 1]);
    }

    #[test]
    fn by_hand_in_vectors_and_in_the_rest() {
        // 17 channels, all alike: one vector and one more. Kernel of ones: sums of neighbours.
        let channels = 17;
        let spread = |values: &[f32]| values.iter().flat_map(|&v| vec![v; channels]).collect::<Vec<f32>>();
        let layer = Depthwise { kernel: 3, stride: 2, w: vec![1.0; 9 * channels], bias: vec![0.5; channels] };
        let (top, middle) = (spread(&[0.0, 0.25, 0.5, 1.0]), spread(&[1.0, -9.0, 2.0, 9.0]));
        let mut out = vec![0.0; 2 * channels];
        // Columns 0 to 2, then 2 and 3.
        layer.row(&[Some(&top), None, Some(&middle)], 4, &mut out);
        assert_eq!(out, spread(&[0.0, 6.0]));
        layer.row(&[Some(&top), None, None], 4, &mut out);
        assert_eq!(out, spread(&[1.25, 2.0]));
    }
}

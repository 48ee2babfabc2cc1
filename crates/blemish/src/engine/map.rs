//! Feature maps with a border of zeros, so that a 3 x 3 convolution needs neither a copy nor a special case. Where the
//! convolutions multiply bf16 numbers, their maps hold those, two to a word, and are rounded once, when they are written.

use super::linear::{Left, Linear};
use super::lines::{Run, split};
use blemish_kernels::aligned::Aligned;
use blemish_kernels::bf16::{halves, pairs};
use blemish_kernels::precision::Precision;
use blemish_kernels::product::Segment;
use blemish_kernels::{scratch, simd};

/// Sizes of a map `[B, H + 2, W + 2, C]` whose outer pixels are zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MapShape {
    /// Rows inside the border.
    pub height: usize,
    /// Columns inside the border.
    pub width: usize,
    /// Channels of a pixel.
    pub channels: usize,
    /// What its values are kept in; with [`Precision::Bf16`] there is an even number of channels wherever some are
    /// written or read.
    pub precision: Precision,
}

impl MapShape {
    /// Floats, or words, of a pixel.
    pub fn pixel(self) -> usize {
        self.precision.depth(self.channels)
    }

    /// Floats, or words, of a line with its border.
    pub fn line(self) -> usize {
        (self.width + 2) * self.pixel()
    }

    /// Floats, or words, of an image with its border.
    pub fn image(self) -> usize {
        (self.height + 2) * self.line()
    }

    /// Where the first pixel inside the border lies.
    pub fn inside(self) -> usize {
        self.line() + self.pixel()
    }

    /// The lines of every run, each of which stands for `lines` lines; a part begins at its first inner pixel.
    pub fn parts<'a>(
        self,
        data: &'a mut [f32],
        runs: &[Run],
        lines: usize,
    ) -> impl Iterator<Item = &'a mut [f32]> {
        split(data, runs, [self.image(), self.inside(), lines * self.line()])
    }

    /// Rows of `width` pixels of `from` into the channels from `first` on of the pixels of `to`, a part of this map.
    pub fn store(self, from: &[f32], channels: usize, first: usize, to: &mut [f32]) {
        let [channels, first] = [channels, first].map(|n| self.precision.depth(n));
        self.kept(from, |from| {
            for (from, to) in from.chunks_exact(self.width * channels).zip(to.chunks_mut(self.line())) {
                if channels == self.pixel() {
                    to[..from.len()].copy_from_slice(from);
                    continue;
                }
                for (from, to) in from.chunks_exact(channels).zip(to.chunks_mut(self.pixel())) {
                    to[first..first + channels].copy_from_slice(from);
                }
            }
        });
    }

    /// Every row of `width / 2` times `4 C` values as two lines of blocks of 2 x 2 pixels, into their first channels.
    pub(crate) fn store_shuffled(self, from: &[f32], channels: usize, to: &mut [f32]) {
        let channels = self.precision.depth(channels);
        self.kept(from, |from| {
            for (y, values) in from.chunks_exact(self.width * 2 * channels).enumerate() {
                for (x, values) in values.chunks_exact(4 * channels).enumerate() {
                    for (i, values) in values.chunks_exact(channels).enumerate() {
                        let at = (2 * y + i / 2) * self.line() + (2 * x + i % 2) * self.pixel();
                        to[at..at + channels].copy_from_slice(values);
                    }
                }
            }
        });
    }

    /// Calls `work` with `values` as the map keeps them.
    fn kept(self, values: &[f32], work: impl FnOnce(&[f32])) {
        match self.precision {
            Precision::F32 => work(values),
            Precision::Bf16 => scratch::with(values.len() / 2, |words| {
                pairs(values, words);
                work(words);
            }),
        }
    }

    /// The channels from `first` on of the pixels of an image, contiguous.
    pub fn load(self, image: &[f32], channels: usize, first: usize) -> Vec<f32> {
        let [words, first] = [channels, first].map(|n| self.precision.depth(n));
        let inner = image[self.inside()..].chunks(self.line()).take(self.height);
        let pixels = inner.flat_map(|line| line.chunks_exact(self.pixel()).take(self.width));
        let kept = pixels.map(|pixel| &pixel[first..first + words]);
        let mut values = vec![0.0; self.height * self.width * channels];
        simd::run(
            #[inline(always)]
            || {
                for (out, words) in values.chunks_exact_mut(channels).zip(kept) {
                    match self.precision {
                        Precision::F32 => out.copy_from_slice(words),
                        Precision::Bf16 => {
                            let pairs = out.as_chunks_mut().0.iter_mut().zip(words);
                            pairs.for_each(|(pair, &word)| *pair = halves(word));
                        }
                    }
                }
            },
        );
        values
    }
}

/// A 3 x 3 convolution with padding 1 on some channels of a bordered map.
#[derive(Debug)]
pub struct Conv {
    linear: Linear,
    input: MapShape,
    stride: usize,
    first: usize,
    segments: Vec<Segment>,
}

impl Conv {
    /// Reads `channels` channels from `first` on of the pixels of `input`, which `linear` multiplies as they are kept.
    pub fn new(linear: Linear, input: MapShape, (first, channels): (usize, usize), stride: usize) -> Self {
        let [first, channels] = [first, channels].map(|n| input.precision.depth(n));
        let line = input.line();
        let segments = if channels == input.pixel() {
            (0..3).map(|ky| Segment { x: ky * line, k0: ky * 3 * channels, k: 3 * channels }).collect()
        } else {
            let tap = |tap: usize| (tap / 3 * line + tap % 3 * input.pixel(), tap * channels);
            (0..9).map(tap).map(|(x, k0)| Segment { x, k0, k: channels }).collect()
        };
        Self { linear, input, stride, first, segments }
    }

    /// Channels of the output.
    pub fn outputs(&self) -> usize {
        self.linear.outputs()
    }

    /// Columns of the output.
    pub fn out_width(&self) -> usize {
        self.input.width.div_ceil(self.stride)
    }

    /// Multiply-adds of one output line.
    pub fn work(&self) -> usize {
        self.out_width() * self.outputs() * self.linear.inputs()
    }

    /// Output lines from `line` on of an image, as many as `out` holds, contiguous.
    pub fn run(&self, image: &[f32], line: usize, out: &mut [f32]) {
        let left = Left {
            data: &image[line * self.stride * self.input.line() + self.first..],
            line: self.stride * self.input.line(),
            row: self.stride * self.input.pixel(),
            segments: &self.segments,
            lines: out.len() / (self.out_width() * self.outputs()),
            rows: self.out_width(),
        };
        self.linear.apply_to(self.input.precision, left, out);
    }
}

/// A buffer of bordered maps.
#[derive(Debug, Default)]
pub struct Maps {
    /// Sizes of each.
    pub shape: MapShape,
    data: Aligned,
}

impl Maps {
    /// An empty buffer of maps of that shape.
    pub fn new(shape: MapShape) -> Self {
        Self { shape, data: Aligned::default() }
    }

    /// The first `batch` maps.
    pub fn take(&mut self, batch: usize) -> &mut [f32] {
        self.data.take(batch * self.shape.image())
    }

    /// Map `index`, which [`take`](Self::take) has made.
    pub fn image(&self, index: usize) -> &[f32] {
        &self.data[index * self.shape.image()..][..self.shape.image()]
    }
}

//! A part of an image with a soft edge, worked on inside its bounding box only.

use blemish::image::Image;
use rand::Rng;

use super::super::uniform;

/// A soft-edged part of an image, given inside its bounding box.
pub(super) struct Region {
    /// First row of the box.
    pub top: usize,
    /// First column of the box.
    pub left: usize,
    /// Rows of the box.
    pub height: usize,
    /// Columns of the box.
    pub width: usize,
    /// Coverage `[height, width]`, 0 to 1.
    pub alpha: Vec<f32>,
    /// Depth inside the outline in pixels, negative outside, `[height, width]`.
    pub depth: Vec<f32>,
}

/// A thick line from one point to another, each `[y, x, radius]`.
pub(super) type Stroke = [[f32; 3]; 2];

impl Region {
    /// Pixels of untouched surroundings kept in the box: fills continue them inwards.
    const MARGIN: f32 = 3.0;

    /// An empty region over the box from `low` to `high` (`[y, x]`) with its margin, cut to the image.
    fn around(size: [usize; 2], low: [f32; 2], high: [f32; 2]) -> Self {
        let first = |axis: usize| ((low[axis] - Self::MARGIN).max(0.0) as usize).min(size[axis] - 1);
        let end = |axis: usize| ((high[axis] + Self::MARGIN).max(0.0) as usize + 1).min(size[axis]);
        let (top, left) = (first(0), first(1));
        let (height, width) = (end(0).max(top + 1) - top, end(1).max(left + 1) - left);
        Self {
            top,
            left,
            height,
            width,
            alpha: vec![0.0; height * width],
            depth: vec![f32::MIN; height * width],
        }
    }

    /// An empty region over the square that reaches `reach` pixels from `centre`.
    pub(super) fn square(size: [usize; 2], centre: [f32; 2], reach: f32) -> Self {
        Self::around(size, centre.map(|v| v - reach), centre.map(|v| v + reach))
    }

    /// Sets the depth of every pixel from its place in the image `(y, x)` and its index in the box.
    pub(super) fn fill(&mut self, depth: impl Fn(f32, f32, usize) -> f32) {
        for (i, v) in self.depth.iter_mut().enumerate() {
            *v = depth((self.top + i / self.width) as f32, (self.left + i % self.width) as f32, i);
        }
    }

    /// A union of thick lines.
    pub(super) fn strokes(size: [usize; 2], strokes: &[Stroke], rng: &mut impl Rng) -> Self {
        let points = || strokes.iter().flatten();
        let low = [0, 1].map(|axis| points().map(|p| p[axis] - p[2]).fold(f32::MAX, f32::min));
        let high = [0, 1].map(|axis| points().map(|p| p[axis] + p[2]).fold(f32::MIN, f32::max));
        let mut region = Self::around(size, low, high);
        for stroke in strokes {
            region.add_stroke(stroke);
        }
        region.soften(uniform(0.7, 1.2, rng));
        region
    }

    /// Raises the depth near one thick line.
    fn add_stroke(&mut self, [from, to]: &Stroke) {
        let reach = from[2].max(to[2]) + 2.0;
        let span = |axis: usize, start: usize, length: usize| {
            let local = |v: f32| ((v - start as f32).max(0.0) as usize).min(length);
            local(from[axis].min(to[axis]) - reach)..local(from[axis].max(to[axis]) + reach + 1.0)
        };
        let [dy, dx] = [to[0] - from[0], to[1] - from[1]];
        let squared = (dy * dy + dx * dx).max(1e-6);
        for row in span(0, self.top, self.height) {
            for column in span(1, self.left, self.width) {
                let [y, x] = [(self.top + row) as f32 - from[0], (self.left + column) as f32 - from[1]];
                let t = ((y * dy + x * dx) / squared).clamp(0.0, 1.0);
                let depth = from[2] + (to[2] - from[2]) * t - (y - t * dy).hypot(x - t * dx);
                let v = &mut self.depth[row * self.width + column];
                *v = v.max(depth);
            }
        }
    }

    /// Derives the coverage from the depth: a smoothstep `edge` pixels wide, centred on the outline.
    pub(super) fn soften(&mut self, edge: f32) {
        for (alpha, &depth) in self.alpha.iter_mut().zip(&self.depth) {
            let t = (depth / edge + 0.5).clamp(0.0, 1.0);
            *alpha = t * t * (3.0 - 2.0 * t);
        }
    }

    /// The pixels of `image` under the box, `[height, width, C]`.
    pub(super) fn crop(&self, image: &Image) -> Vec<f32> {
        image.part([self.top, self.left], [self.height, self.width]).pixels
    }

    /// Writes `pixels` back under the box.
    pub(super) fn put(&self, image: &mut Image, pixels: &[f32]) {
        for (row, source) in self.rows(image).zip(pixels.chunks_exact(self.width * image.channels)) {
            image.pixels[row].copy_from_slice(source);
        }
    }

    /// The ranges of values in `image` that the rows of the box take.
    fn rows(&self, image: &Image) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        let (stride, length) = (image.width * image.channels, self.width * image.channels);
        let start = self.top * stride + self.left * image.channels;
        (0..self.height).map(move |y| start + y * stride..start + y * stride + length)
    }
}

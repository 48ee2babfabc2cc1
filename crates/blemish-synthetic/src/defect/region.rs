//! Where a defect is: an opacity for each pixel.

use std::f32::consts::{PI, TAU};

use rand::Rng;

use crate::noise::{Fast, octaves, smoothstep};
use crate::random::{Random, between, chance, log_uniform, normal, uniform};

/// The opacity of a defect, within a box of rows and columns.
pub(crate) struct Region {
    /// Rows and columns of the image.
    pub size: [usize; 2],
    /// Where it may be above zero: first and past-the-last row and column.
    pub bounds: [usize; 4],
    alpha: Vec<f32>,
}

impl Region {
    /// Nothing, within `reach` px around `centre`.
    fn around(size: [usize; 2], [y, x]: [f32; 2], reach: f32) -> Self {
        let clip = |v: f32, n: usize| (v.max(0.0) as usize).min(n);
        let bounds = [
            clip(y - reach, size[0]),
            clip(y + reach + 2.0, size[0]),
            clip(x - reach, size[1]),
            clip(x + reach + 2.0, size[1]),
        ];
        let cells = (bounds[1] - bounds[0]) * (bounds[3] - bounds[2]);
        Self { size, bounds, alpha: vec![0.0; cells] }
    }

    fn fill(&mut self, of: impl Fn(f32, f32) -> f32) {
        let [top, bottom, left, right] = self.bounds;
        let mut at = 0;
        for y in top..bottom {
            for x in left..right {
                self.alpha[at] = self.alpha[at].max(of(y as f32, x as f32));
                at += 1;
            }
        }
    }

    /// Calls `each` with (index in the image, y, x, opacity) wherever the opacity is above zero.
    pub fn each(&self, mut each: impl FnMut(usize, usize, usize, f32)) {
        let [top, bottom, left, right] = self.bounds;
        let mut at = 0;
        for y in top..bottom {
            for x in left..right {
                if self.alpha[at] > 0.0 {
                    each(y * self.size[1] + x, y, x, self.alpha[at]);
                }
                at += 1;
            }
        }
    }

    /// Fewer parts of it where the product is not (`object` in [0, 1]).
    pub fn within(mut self, object: &[f32]) -> Self {
        let [top, bottom, left, right] = self.bounds;
        let mut at = 0;
        for y in top..bottom {
            for x in left..right {
                self.alpha[at] *= object[y * self.size[1] + x];
                at += 1;
            }
        }
        self
    }

    /// A ragged or smooth blob of about `length` px across; `soft` is the width of its edge relative to the radius.
    pub fn blob(rng: &mut Random, size: [usize; 2], centre: [f32; 2], length: f32, soft: f32) -> Self {
        let radius = 0.5 * length;
        let (stretch, wobble) = (log_uniform(rng, 1.0, 2.0), uniform(rng, 0.0, 0.7));
        let (sin, cos) = uniform(rng, 0.0, PI).sin_cos();
        let (seed, cell) = (rng.random(), radius * uniform(rng, 0.5, 1.5));
        let edge = (soft * radius).max(0.8);
        let mut region = Self::around(size, centre, radius * stretch * (1.0 + wobble) + edge);
        region.fill(|y, x| {
            let (dy, dx) = (y - centre[0], x - centre[1]);
            let r = ((cos * dy + sin * dx) / stretch).norm((cos * dx - sin * dy) * stretch);
            if r > radius * (1.0 + wobble) + edge {
                return 0.0;
            }
            let ragged = if wobble > 0.05 { wobble * octaves(seed, 3, 0.5, y / cell, x / cell) } else { 0.0 };
            smoothstep(-edge, edge, radius * (1.0 + ragged) - r)
        });
        region
    }

    /// A turned rectangle, `long` by `wide` px.
    pub fn rectangle(
        size: [usize; 2],
        centre: [f32; 2],
        [long, wide]: [f32; 2],
        angle: f32,
        soft: f32,
    ) -> Self {
        let (sin, cos) = angle.sin_cos();
        let mut region = Self::around(size, centre, 0.5 * long.norm(wide) + soft);
        region.fill(|y, x| {
            let (dy, dx) = (y - centre[0], x - centre[1]);
            let (v, u) = (cos * dy - sin * dx, cos * dx + sin * dy);
            let d = (0.5 * wide - v.abs()).min(0.5 * long - u.abs());
            smoothstep(-soft.max(0.5), soft.max(0.5), d)
        });
        region
    }

    /// Lines through the points of each path, of the width (px) that each point has.
    pub fn strokes(size: [usize; 2], paths: &[Vec<[f32; 3]>]) -> Self {
        let (mut low, mut high) = ([f32::MAX; 2], [f32::MIN; 2]);
        for [y, x, width] in paths.iter().flatten() {
            low = [low[0].min(y - width), low[1].min(x - width)];
            high = [high[0].max(y + width), high[1].max(x + width)];
        }
        let centre = [0.5 * (low[0] + high[0]), 0.5 * (low[1] + high[1])];
        let mut region = Self::around(size, centre, 0.5 * (high[0] - low[0]).max(high[1] - low[1]) + 2.0);
        for path in paths {
            for pair in path.windows(2) {
                region.segment(pair[0], pair[1]);
            }
        }
        region
    }

    fn segment(&mut self, a: [f32; 3], b: [f32; 3]) {
        let [top, bottom, left, right] = self.bounds;
        let wide = a[2].max(b[2]) + 1.0;
        let range = |p: f32, q: f32, low: usize, high: usize| {
            ((p.min(q) - wide).max(0.0) as usize).clamp(low, high)
                ..((p.max(q) + wide + 1.0).max(0.0) as usize).clamp(low, high)
        };
        let (ey, ex) = (b[0] - a[0], b[1] - a[1]);
        let length = (ey * ey + ex * ex).max(1e-6);
        for y in range(a[0], b[0], top, bottom) {
            for x in range(a[1], b[1], left, right) {
                let (dy, dx) = (y as f32 - a[0], x as f32 - a[1]);
                let t = ((dy * ey + dx * ex) / length).clamp(0.0, 1.0);
                let d = (dy - t * ey).norm(dx - t * ex);
                let width = a[2] + t * (b[2] - a[2]);
                let alpha = (0.5 * width + 0.5 - d).clamp(0.0, 1.0).min(width);
                let at = (y - top) * (right - left) + x - left;
                self.alpha[at] = self.alpha[at].max(alpha);
            }
        }
    }

    /// Specks scattered over `length` px.
    pub fn specks(rng: &mut Random, size: [usize; 2], centre: [f32; 2], length: f32) -> Self {
        let count = between(rng, 2, 14);
        let radius = log_uniform(rng, 1.0, (0.2 * length).max(1.5));
        let paths: Vec<Vec<[f32; 3]>> = (0..count)
            .map(|_| {
                let (out, angle) = (0.5 * length * uniform(rng, 0.0, 1.0).sqrt(), uniform(rng, 0.0, TAU));
                let (y, x) = (centre[0] + out * angle.sin(), centre[1] + out * angle.cos());
                let width = 2.0 * radius * uniform(rng, 0.4, 1.0);
                vec![
                    [y, x, width],
                    [y + 0.4 * width * normal(rng), x + 0.4 * width * normal(rng), 0.7 * width],
                ]
            })
            .collect();
        Self::strokes(size, &paths)
    }
}

/// A wandering line of about `length` px centred at `centre`; `bend` is how much it turns in a step of 3 px.
pub(crate) fn walk(
    rng: &mut Random,
    centre: [f32; 2],
    length: f32,
    [width, bend]: [f32; 2],
    drift: f32,
) -> Vec<[f32; 3]> {
    let step = (length / 6.0).clamp(1.0, 3.0);
    let count = (length / step).ceil().max(2.0) as usize;
    let mut angle = uniform(rng, 0.0, TAU);
    let start = angle;
    let (mut y, mut x) = (centre[0] - 0.5 * length * angle.sin(), centre[1] - 0.5 * length * angle.cos());
    let mut path = Vec::with_capacity(count + 1);
    for k in 0..=count {
        let t = k as f32 / count as f32;
        let taper = (4.0 * t * (1.0 - t)).clamp(0.0, 1.0).sqrt().max(0.35);
        path.push([y, x, width * taper * (1.0 + 0.15 * normal(rng)).max(0.3)]);
        angle += bend * normal(rng) + drift * step - 0.05 * (angle - start - drift * step * k as f32);
        y += step * angle.sin();
        x += step * angle.cos();
    }
    path
}

/// A crack: a wandering line with a few branches.
pub(crate) fn crack(rng: &mut Random, centre: [f32; 2], length: f32) -> Vec<Vec<[f32; 3]>> {
    let width = log_uniform(rng, 0.6, 2.0);
    let bend = uniform(rng, 0.1, 0.5);
    let main = walk(rng, centre, length, [width, bend], 0.0);
    let mut paths = vec![main.clone()];
    let branches = if length > 12.0 && chance(rng, 0.6) { between(rng, 1, 4) } else { 0 };
    for _ in 0..branches {
        let [y, x, w] = main[between(rng, 0, main.len() - 1)];
        let long = length * uniform(rng, 0.1, 0.4);
        let mut branch = walk(rng, [y, x], long, [0.7 * w, bend], 0.0);
        // Let it start where it leaves the main line.
        let (dy, dx) = (y - branch[0][0], x - branch[0][1]);
        branch.iter_mut().for_each(|p| *p = [p[0] + dy, p[1] + dx, p[2]]);
        paths.push(branch);
    }
    paths
}

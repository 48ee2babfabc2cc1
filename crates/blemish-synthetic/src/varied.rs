//! Sets whose good photos differ much from one another: crystalline cells of several makes, and ground tiles in uneven light.
//!
//! Nothing here is used for training. Good photos show tolerated flaws that are weaker, shorter or fewer than the defects, so that what
//! is defective follows from extent and strength as well as from kind.

use std::f32::consts::{FRAC_1_SQRT_2, FRAC_PI_2, PI, TAU};

use blemish::Image;
use rand::Rng;

use crate::canvas::blur;
use crate::defect::{Region, crack};
use crate::noise::{cell, gradient, octaves, smoothstep};
use crate::random::{
    Random, bell, between, chance, hash, log_uniform, mix, normal, pick, random, uniform, unit,
};

/// By how much a pixel of the mask differs from the photo without the defect, and how many differ by more how far.
const SEEN: f32 = 0.03;
const STRONG: f32 = 0.08;
const STRONG_PIXELS: usize = 12;

/// What the photos of a set show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Varied {
    /// A cell cut from one crystal: wide, faint unevenness, several makes of contacts.
    Cell,
    /// A cell of many crystals, whose grains are different in every photo.
    GrainyCell,
    /// A ground tile: streaks, light from anywhere, no two photos of one brightness.
    Tile,
}

impl Varied {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cell, Self::GrainyCell, Self::Tile];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cell => "cell",
            Self::GrainyCell => "grainy cell",
            Self::Tile => "tile",
        }
    }

    /// Whether every place of it is like any other.
    pub fn is_surface(self) -> bool {
        self == Self::Tile
    }
}

/// A set: drawn once, photographed any number of times.
pub struct VariedSet {
    kind: Varied,
    seed: u64,
    makes: Vec<Make>,
    /// Typical brightness, and how far it varies.
    level: [f32; 2],
    /// How strong its faint structure is.
    structure: f32,
    noise: f32,
}

/// How the contacts of a cell look.
struct Make {
    bars: usize,
    upright: bool,
    wide: f32,
    dark: f32,
    /// Dashes along a bar; 0 for a continuous one.
    dashes: usize,
    corner: f32,
    fingers: f32,
}

impl VariedSet {
    /// The set of that seed.
    pub fn new(kind: Varied, seed: u64) -> Self {
        let rng = &mut random(seed, 11);
        let (bars, upright) = (between(rng, 2, 4), chance(rng, 0.5));
        let makes = (0..between(rng, 1, 4))
            .map(|_| Make {
                bars,
                upright,
                wide: log_uniform(rng, 0.004, 0.014),
                dark: uniform(rng, 0.25, 0.8),
                dashes: if chance(rng, 0.5) { between(rng, 4, 8) } else { 0 },
                corner: if kind == Varied::Cell { uniform(rng, 0.06, 0.14) } else { 0.0 },
                fingers: uniform(rng, 0.0, 0.06),
            })
            .collect();
        let level = [uniform(rng, 0.35, 0.65), uniform(rng, 0.05, 0.3)];
        let structure = log_uniform(rng, 0.06, 0.2);
        Self { kind, seed, makes, level, structure, noise: log_uniform(rng, 0.004, 0.02) }
    }

    /// A good photo, `[H, W, 3]`.
    pub fn good(&self, instance: u64, size: [usize; 2]) -> Image {
        let mut rng = random(self.seed, 100 + 2 * instance);
        let clean = self.clean(&mut rng, size);
        stored(size, &self.exposed(&mut rng, size, &clean))
    }

    /// A defective photo and its mask: 1 where it differs by more than 0.03 from [`good`](Self::good) of the same instance, which is the
    /// photo without the defect. At least 12 pixels differ by more than 0.08.
    pub fn defective(&self, instance: u64, size: [usize; 2]) -> (Image, Vec<u8>) {
        let mut rng = random(self.seed, 100 + 2 * instance);
        let clean = self.clean(&mut rng, size);
        let before = self.exposed(&mut rng.clone(), size, &clean);
        let mut attempt = 0;
        loop {
            let mut defects = random(self.seed, 101 + 2 * instance + 1_000_000 * attempt);
            let damaged = self.damaged(&mut defects, size, clean.clone());
            let after = self.exposed(&mut rng.clone(), size, &damaged);
            let differing = |by: f32| before.iter().zip(&after).map(move |(a, b)| (a - b).abs() > by);
            if differing(STRONG).filter(|differs| *differs).count() >= STRONG_PIXELS {
                return (stored(size, &after), differing(SEEN).map(u8::from).collect());
            }
            attempt += 1;
        }
    }

    fn clean(&self, rng: &mut Random, size: [usize; 2]) -> Vec<f32> {
        match self.kind {
            Varied::Cell | Varied::GrainyCell => self.cell(rng, size),
            Varied::Tile => self.tile(rng, size),
        }
    }

    /// A cell's light, with what is tolerated on it.
    fn cell(&self, rng: &mut Random, [height, width]: [usize; 2]) -> Vec<f32> {
        let make = &self.makes[between(rng, 0, self.makes.len() - 1)];
        let seed = rng.random::<u32>();
        let grainy = self.kind == Varied::GrainyCell;
        let side = height.min(width) as f32;
        let (dy, dx, turn) = (0.01 * normal(rng), 0.01 * normal(rng), 0.006 * normal(rng));
        let (grain, stretch) = (uniform(rng, 0.06, 0.14), uniform(rng, 0.6, 1.6));
        let (slope, tilt) = (uniform(rng, 0.0, TAU).sin_cos(), 0.25 * self.structure * normal(rng));
        let rim = uniform(rng, 0.0, 2.0) * self.structure;
        let mut out = Vec::with_capacity(height * width);
        for y in 0..height {
            for x in 0..width {
                let (v, u) = (y as f32 / side - 0.5 - dy, x as f32 / side - 0.5 - dx);
                let (v, u) = (v - turn * u, u + turn * v);
                let mut light = 1.0 + self.structure * octaves(seed, 3, 0.5, 3.0 * v, 3.0 * u);
                light += tilt * (slope.0 * v + slope.1 * u) * 4.0;
                light -= rim * (v * v + u * u);
                if grainy {
                    let bend = 0.25 * gradient(seed ^ 5, 6.0 * v, 6.0 * u);
                    let at = cell(seed, 1.0, v / grain + bend, u / (grain * stretch) - bend);
                    let tone = unit(at.id) - 0.5;
                    light += 3.0 * self.structure * tone;
                    light -= 1.5 * self.structure * smoothstep(0.06, 0.0, at.edge);
                    // Dislocations: dark clouds inside some of the grains.
                    if unit(mix(at.id)) < 0.3 {
                        let cloud = octaves(at.id, 3, 0.7, 20.0 * v, 20.0 * u).max(0.0);
                        light -= 2.5 * self.structure * cloud * smoothstep(0.02, 0.3, at.edge);
                    }
                }
                let (along, across) = if make.upright { (v, u) } else { (u, v) };
                light *= 1.0 - make.fingers * (0.5 + 0.5 * (TAU * 45.0 * along).cos());
                for k in 0..make.bars {
                    let place = (k as f32 + 0.5) / make.bars as f32 - 0.5;
                    let thick = match make.dashes {
                        0 => make.wide,
                        n if ((along + 0.5) * n as f32).fract() < 0.5 => make.wide,
                        _ => 0.35 * make.wide,
                    };
                    light *= 1.0 - make.dark * smoothstep(1.5 * thick, 0.6 * thick, (across - place).abs());
                }
                let inside = (0.485 - v.abs()).min(0.485 - u.abs());
                let corner = (0.97 - make.corner - v.abs() - u.abs()) * FRAC_1_SQRT_2;
                let body =
                    smoothstep(-0.004, 0.012, if make.corner > 0.0 { inside.min(corner) } else { inside });
                out.push(0.12 + (0.88 * light.max(0.1) - 0.12) * body);
            }
        }
        // Tolerated: faint or short strips along the fingers, small spots.
        for _ in 0..between(rng, 0, 7) {
            let (long, depth) = (log_uniform(rng, 0.04, 0.15) * side, uniform(rng, 0.05, 0.22));
            strip(rng, [height, width], &mut out, make.upright, [long, 0.008 * side], depth);
        }
        for _ in 0..between(rng, 0, 3) {
            blot(rng, [height, width], &mut out, [0.01, 0.03], [0.05, 0.3]);
        }
        out
    }

    /// A tile's light, with what is tolerated on it.
    fn tile(&self, rng: &mut Random, [height, width]: [usize; 2]) -> Vec<f32> {
        let seed = rng.random::<u32>();
        let side = height.min(width) as f32;
        let (sin, cos) = uniform(rng, 0.0, TAU).sin_cos();
        let slope = 2.0 * self.structure * uniform(rng, 0.0, 2.0);
        let (fine, long) = (uniform(rng, 0.6, 1.2), uniform(rng, 15.0, 60.0));
        let streaks = self.structure * uniform(rng, 0.5, 1.5);
        // A bright or dark edge that the cut shows at changing places.
        let edge = chance(rng, 0.4).then(|| [uniform(rng, 0.38, 0.5), uniform(rng, -0.4, 0.3)]);
        let mut out = Vec::with_capacity(height * width);
        for y in 0..height {
            for x in 0..width {
                let (v, u) = (y as f32 / side - 0.5, x as f32 / side - 0.5);
                let mut light = 1.0 + slope * (sin * v + cos * u);
                light += 1.5 * self.structure * octaves(seed, 3, 0.5, 2.0 * v, 2.0 * u);
                light += streaks * octaves(seed ^ 9, 3, 0.8, y as f32 / fine / 2.0, x as f32 / long);
                light += 0.4 * self.structure * gradient(seed ^ 4, y as f32 / 1.7, x as f32 / 1.7);
                if let Some([at, by]) = edge {
                    light *= 1.0 + by * smoothstep(at - 0.01, at + 0.015, u.max(-v));
                }
                out.push(0.8 * light.max(0.05));
            }
        }
        for _ in 0..between(rng, 0, 6) {
            blot(rng, [height, width], &mut out, [0.006, 0.012], [0.05, 0.35]);
        }
        out
    }

    /// The same with a defect, or several of one kind.
    fn damaged(&self, rng: &mut Random, size: [usize; 2], mut values: Vec<f32>) -> Vec<f32> {
        let side = size[0].min(size[1]) as f32;
        let place = |rng: &mut Random| [(); 2].map(|()| uniform(rng, 0.1, 0.9) * side);
        let depth = uniform(rng, 0.3, 0.8);
        match (self.kind, between(rng, 0, 4)) {
            (Varied::Tile, 0 | 1) => {
                for _ in 0..between(rng, 1, 2) {
                    blot(rng, size, &mut values, [0.02, 0.08], [0.3, 0.8]);
                }
            }
            (Varied::Tile, 2) => {
                let centre = place(rng);
                let long = log_uniform(rng, 0.15, 0.6) * side;
                let paths = crack(rng, centre, long);
                darken(&mut values, &Region::strokes(size, &paths), depth);
            }
            (Varied::Tile, 3) => {
                // Worn: the streaks are gone, the brightness differs.
                let centre = place(rng);
                let length = log_uniform(rng, 0.15, 0.4) * side;
                let region = Region::blob(rng, size, centre, length, 0.4);
                let (smooth, shift) =
                    (blur(size, &values, 4.0), uniform(rng, 0.1, 0.35) * pick(rng, &[-1.0, 1.0]));
                region
                    .each(|at, _, _, alpha| values[at] += alpha * (smooth[at] * (1.0 + shift) - values[at]));
            }
            (Varied::Tile, _) => {
                // Rough: broken out.
                let centre = place(rng);
                let length = log_uniform(rng, 0.1, 0.3) * side;
                let region = Region::blob(rng, size, centre, length, 0.1);
                let seed = rng.random::<u32>();
                region.each(|at, y, x, alpha| {
                    values[at] *= 1.0 + alpha * depth * octaves(seed, 3, 0.7, y as f32 / 5.0, x as f32 / 5.0);
                });
            }
            (_, 0 | 1) => {
                let centre = place(rng);
                let long = log_uniform(rng, 0.2, 0.9) * side;
                let paths = crack(rng, centre, long);
                let paths: Vec<Vec<[f32; 3]>> = paths
                    .into_iter()
                    .map(|path| path.into_iter().map(|[y, x, w]| [y, x, 1.3 * w]).collect())
                    .collect();
                darken(&mut values, &Region::strokes(size, &paths), depth);
            }
            (_, 2) => {
                // A part without current: a polygon, darker.
                let centre = place(rng);
                let (long, wide) = (log_uniform(rng, 0.15, 0.5) * side, log_uniform(rng, 0.08, 0.3) * side);
                let angle = if chance(rng, 0.5) { 0.0 } else { uniform(rng, 0.0, PI) };
                darken(&mut values, &Region::rectangle(size, centre, [long, wide], angle, 1.0), 0.8 * depth);
            }
            (_, 3) => {
                let upright = self.makes[0].upright;
                for _ in 0..between(rng, 2, 8) {
                    let long = log_uniform(rng, 0.15, 0.4) * side;
                    strip(rng, size, &mut values, upright, [long, 0.012 * side], depth);
                }
            }
            _ => blot(rng, size, &mut values, [0.06, 0.25], [0.25, 0.65]),
        }
        values
    }

    /// The camera: brightness, focus, noise.
    fn exposed(&self, rng: &mut Random, size: [usize; 2], values: &[f32]) -> Vec<f32> {
        let level = (self.level[0] * (self.level[1] * normal(rng)).exp()).clamp(0.2, 0.85);
        let seed = rng.random::<u32>();
        let mut out = blur(size, values, uniform(rng, 0.5, 0.9));
        for (at, v) in out.iter_mut().enumerate() {
            let h = hash(seed, (at / size[1]) as i32, (at % size[1]) as i32);
            *v = (*v * level + self.noise * bell(h)).clamp(0.0, 1.0);
        }
        out
    }
}

/// Darkens a strip anywhere, across the bars.
fn strip(
    rng: &mut Random,
    size: [usize; 2],
    values: &mut [f32],
    upright: bool,
    [long, wide]: [f32; 2],
    depth: f32,
) {
    let centre = size.map(|side| uniform(rng, 0.05, 0.95) * side as f32);
    let angle = if upright { 0.0 } else { FRAC_PI_2 };
    darken(values, &Region::rectangle(size, centre, [long, wide.max(1.5)], angle, 1.0), depth);
}

/// Darkens a blob anywhere, of such a length in units of the shorter side.
fn blot(rng: &mut Random, size: [usize; 2], values: &mut [f32], length: [f32; 2], depth: [f32; 2]) {
    let side = size[0].min(size[1]) as f32;
    let (length, depth) = (log_uniform(rng, length[0], length[1]) * side, uniform(rng, depth[0], depth[1]));
    let centre = size.map(|side| uniform(rng, 0.05, 0.95) * side as f32);
    let soft = uniform(rng, 0.1, 0.7);
    darken(values, &Region::blob(rng, size, centre, length.max(2.0), soft), depth);
}

fn darken(values: &mut [f32], region: &Region, depth: f32) {
    region.each(|at, _, _, alpha| values[at] *= 1.0 - depth * alpha.min(1.0));
}

fn stored([height, width]: [usize; 2], values: &[f32]) -> Image {
    Image { height, width, channels: 3, pixels: values.iter().flat_map(|v| [*v; 3]).collect() }
}

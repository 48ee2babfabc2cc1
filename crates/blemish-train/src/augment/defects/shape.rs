//! Where a defect is: its outline, rasterised with an edge of some softness inside its bounding box.

use std::f32::consts::{PI, TAU};

use rand::Rng;

use super::super::noise::fbm;
use super::super::{log_uniform, uniform};
use super::region::{Region, Stroke};

/// The outline of a synthetic defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A rotated ellipse distorted by low-frequency noise.
    Blob,
    /// Noise above a threshold (DRAEM), ragged and in several pieces.
    Noise,
    /// A line 1.5 to 5 pixels wide (at 256 pixels), wandering, tapering, sometimes forked: scratches and cracks.
    Scratch,
    /// A rotated rectangle (CutPaste).
    Rectangle,
    /// A long thin rectangle (the CutPaste scar).
    Scar,
    /// A cluster of dots.
    Dots,
}

impl Shape {
    /// Draws an outline of about `area` pixels around `centre` (`[y, x]`, inside the image).
    pub(super) fn draw(
        self,
        height: usize,
        width: usize,
        centre: [f32; 2],
        area: f32,
        rng: &mut impl Rng,
    ) -> Region {
        let size = [height, width];
        match self {
            Self::Blob => blob(size, centre, area, rng),
            Self::Noise => noise(size, centre, area, rng),
            Self::Scratch => Region::strokes(size, &scratch(size, centre, area, rng), rng),
            Self::Rectangle => rectangle(size, centre, area, log_uniform(1.0, 3.3, rng), rng),
            Self::Scar => {
                rectangle(size, centre, area.min(area.sqrt() * 16.0), log_uniform(4.0, 12.0, rng), rng)
            }
            Self::Dots => Region::strokes(size, &dots(centre, area, rng), rng),
        }
    }
}

fn blob(size: [usize; 2], centre: [f32; 2], area: f32, rng: &mut impl Rng) -> Region {
    let radius = (area / PI).sqrt();
    let stretch = log_uniform(1.0, 1.8, rng);
    let wobble = uniform(0.0, 0.6, rng);
    let reach = radius * stretch * (1.0 + wobble);
    let mut region = Region::square(size, centre, reach);
    let field = fbm(region.height, region.width, &[radius, radius * 0.5, radius * 0.25], rng);
    let turn = uniform(0.0, PI, rng).sin_cos();
    region.fill(|y, x, i| {
        let [u, v] = rotate([y - centre[0], x - centre[1]], turn);
        let r = (u / stretch).hypot(v * stretch) / radius;
        (1.0 + wobble * (2.0 * field[i] - 1.0) - r) * radius / stretch
    });
    region.soften(edge(radius / stretch, rng));
    region
}

fn noise(size: [usize; 2], centre: [f32; 2], area: f32, rng: &mut impl Rng) -> Region {
    let radius = (area / PI).sqrt();
    let reach = 2.0 * radius;
    let mut region = Region::square(size, centre, reach);
    let cell = radius * uniform(0.4, 1.0, rng);
    let mut field = fbm(region.height, region.width, &[cell, cell * 0.5, cell * 0.25], rng);
    let width = region.width;
    for (i, v) in field.iter_mut().enumerate() {
        let (y, x) = ((region.top + i / width) as f32, (region.left + i % width) as f32);
        *v -= 0.5 * ((y - centre[0]).powi(2) + (x - centre[1]).powi(2)) / (reach * reach);
    }
    // The threshold that leaves just `area` pixels.
    let rank = field.len().saturating_sub(area as usize + 1);
    let threshold = *field.clone().select_nth_unstable_by(rank, f32::total_cmp).1;
    region.fill(|_, _, i| (field[i] - threshold) * cell);
    region.soften(edge(cell * 0.3, rng));
    region
}

fn rectangle(size: [usize; 2], centre: [f32; 2], area: f32, aspect: f32, rng: &mut impl Rng) -> Region {
    let half = [(area * aspect).sqrt() * 0.5, (area / aspect).sqrt() * 0.5];
    let reach = half[0].hypot(half[1]);
    let mut region = Region::square(size, centre, reach);
    let turn = uniform(0.0, PI, rng).sin_cos();
    region.fill(|y, x, _| {
        let [u, v] = rotate([y - centre[0], x - centre[1]], turn);
        (half[0] - u.abs()).min(half[1] - v.abs())
    });
    region.soften(edge(half[1] * 0.5, rng));
    region
}

fn dots(centre: [f32; 2], area: f32, rng: &mut impl Rng) -> Vec<Stroke> {
    let count = rng.random_range(2..=12);
    let radius = (area / (PI * count as f32)).sqrt();
    let spread = area.sqrt() * uniform(0.7, 2.0, rng);
    let mut dot = |_| {
        let (turn, away) = (uniform(0.0, TAU, rng), spread * rng.random::<f32>());
        let radius = (radius * uniform(0.5, 1.4, rng)).max(0.7);
        let at = [centre[0] + away * turn.sin(), centre[1] + away * turn.cos(), radius];
        [at, at]
    };
    (0..count).map(&mut dot).collect()
}

/// A line that starts half its length before `centre`, with a fork now and then.
fn scratch(size: [usize; 2], centre: [f32; 2], area: f32, rng: &mut impl Rng) -> Vec<Stroke> {
    let unit = ((size[0] * size[1]) as f32).sqrt() / 256.0;
    let width = (unit * log_uniform(1.5, 5.0, rng)).max(1.5);
    let length = (area / width).max(3.0 * width).min(0.8 * size[0].max(size[1]) as f32);
    let heading = uniform(0.0, TAU, rng);
    let start = [centre[0] - 0.5 * length * heading.sin(), centre[1] - 0.5 * length * heading.cos()];
    let taper = rng.random::<f32>();
    let mut strokes = wander(start, heading, length, [width * 0.5, width * 0.5 * (1.0 - taper)], rng);
    if rng.random::<f32>() < 0.25 {
        let [y, x, radius] = strokes[rng.random_range(0..strokes.len())][1];
        let side = uniform(0.3, 0.8, rng) * if rng.random() { 1.0 } else { -1.0 };
        let fork = wander([y, x], heading + side, length * uniform(0.2, 0.5, rng), [radius, 0.2], rng);
        strokes.extend(fork);
    }
    strokes
}

/// A walk with a steady bend and a drifting heading; the radius goes from the first to the second value.
fn wander(start: [f32; 2], heading: f32, length: f32, radius: [f32; 2], rng: &mut impl Rng) -> Vec<Stroke> {
    let steps = (length / 3.0).ceil().max(2.0);
    let bend = uniform(-1.0, 1.0, rng) * rng.random::<f32>() / steps;
    let restless = uniform(0.0, 0.5, rng);
    let step = length / steps;
    let mut at = [start[0], start[1], radius[0]];
    let mut drift = 0.0;
    let mut walk = |i: usize| {
        drift = 0.8 * drift + uniform(-restless, restless, rng);
        let turn = heading + bend * i as f32 + drift;
        let thickness = radius[0] + (radius[1] - radius[0]) * (i + 1) as f32 / steps;
        let next = [
            at[0] + step * turn.sin(),
            at[1] + step * turn.cos(),
            thickness * (1.0 + restless * uniform(-1.0, 1.0, rng)),
        ];
        [std::mem::replace(&mut at, next), next]
    };
    (0..steps as usize).map(&mut walk).collect()
}

/// Softness of an edge in pixels: hard for half of the defects, else up to `most`.
fn edge(most: f32, rng: &mut impl Rng) -> f32 {
    if rng.random() { 1.0 } else { uniform(1.0, most.max(1.0), rng) }
}

/// `[y, x]` turned by an angle given as `(sin, cos)`.
fn rotate([y, x]: [f32; 2], (sin, cos): (f32, f32)) -> [f32; 2] {
    [y * cos + x * sin, x * cos - y * sin]
}

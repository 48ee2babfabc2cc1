//! Defects of the synthetic product: where they lie, and what they do to the light that a point sends back.

use std::f32::consts::TAU;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::noise::{Point, dot, length, minus, polar, rotate, value_noise};
use super::product::{HOLES, TEETH, part_distance};
use crate::noise::smoothstep;

/// The kinds of defects that the product can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefectKind {
    /// A thin line, dark with a bright lip.
    Scratch,
    /// A shallow pit, bright on one side and dark on the other.
    Dent,
    /// A darker spot of irregular outline.
    Stain,
    /// A hole that was not drilled, a broken tooth, or no lot number.
    MissingPart,
    /// A fibre or a few particles.
    Contamination,
}

impl DefectKind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Scratch, Self::Dent, Self::Stain, Self::MissingPart, Self::Contamination];

    /// The name of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scratch => "scratch",
            Self::Dent => "dent",
            Self::Stain => "stain",
            Self::MissingPart => "missing_part",
            Self::Contamination => "contamination",
        }
    }
}

/// One defect of one part. Lengths are in units of the part's radius.
pub(super) enum Defect {
    Scratch { line: Vec<Point>, half_width: f32, depth: f32 },
    Dent { centre: Point, radii: Point, angle: f32, depth: f32 },
    Stain { centre: Point, radius: f32, seed: u32, depth: f32 },
    MissingHole(usize),
    MissingTooth(usize),
    MissingPrint,
    Fibre { line: Vec<Point>, half_width: f32, depth: f32 },
    Particles { grains: Vec<(Point, f32)>, depth: f32 },
}

/// What a defect does at a point.
#[derive(Clone, Copy)]
pub(super) struct Effect {
    /// Factor on each colour channel.
    pub factor: [f32; 3],
    /// Whether the point belongs to the mask.
    pub covered: bool,
}

impl Effect {
    fn grey(factor: f32, covered: bool) -> Self {
        Self { factor: [factor; 3], covered }
    }
}

impl Defect {
    /// Draws one defect of a kind, somewhere on the part.
    pub(super) fn draw(kind: DefectKind, rng: &mut ChaCha8Rng) -> Self {
        let centre = point_on_part(rng);
        match kind {
            DefectKind::Scratch => Self::Scratch {
                line: curve(centre, rng.random_range(0.35..0.75), 0.08, rng),
                half_width: rng.random_range(0.009..0.014),
                depth: rng.random_range(0.22..0.36),
            },
            DefectKind::Dent => Self::Dent {
                centre,
                radii: [rng.random_range(0.055..0.085), rng.random_range(0.055..0.085)],
                angle: rng.random_range(0.0..TAU),
                depth: rng.random_range(0.18..0.28),
            },
            DefectKind::Stain => Self::Stain {
                centre,
                radius: rng.random_range(0.11..0.20),
                seed: rng.random(),
                depth: rng.random_range(0.13..0.22),
            },
            DefectKind::MissingPart => match rng.random_range(0..3) {
                0 => Self::MissingHole(rng.random_range(0..HOLES)),
                1 => Self::MissingTooth(rng.random_range(0..TEETH)),
                _ => Self::MissingPrint,
            },
            DefectKind::Contamination if rng.random() => Self::Fibre {
                line: curve(centre, rng.random_range(0.3..0.5), 0.5, rng),
                half_width: rng.random_range(0.009..0.013),
                depth: rng.random_range(0.22..0.34),
            },
            DefectKind::Contamination => Self::Particles {
                grains: (0..rng.random_range(3..8)).map(|_| particle(centre, rng)).collect(),
                depth: rng.random_range(0.18..0.30),
            },
        }
    }

    /// The effect on a point of the part, with `light` the direction that the light comes from (both in the part's own
    /// frame). Missing parts change the part's shape instead and have none.
    pub(super) fn effect(&self, at: Point, light: Point) -> Effect {
        match self {
            Self::Scratch { line, half_width, depth } => {
                let (across, along) = distance_to(line, at);
                let u = across / half_width;
                let taper = smoothstep(0.0, 0.15, along) * smoothstep(1.0, 0.85, along);
                let groove = (-u * u).exp() - 0.45 * (-(u - 1.8) * (u - 1.8)).exp();
                Effect::grey(1.0 - depth * taper * groove, u.abs() < 1.3 && taper > 0.15)
            }
            Self::Dent { centre, radii, angle, depth } => {
                let [x, y] = rotate(minus(at, *centre), -angle);
                let u = [x / radii[0], y / radii[1]];
                let squared = dot(u, u);
                // The slope of a Gaussian pit towards the light, scaled to 1 at its steepest.
                let slope = dot(u, rotate(light, -angle)) * (0.5 - squared).exp() * std::f32::consts::SQRT_2;
                Effect::grey(1.0 + depth * slope, squared < 1.6 * 1.6)
            }
            Self::Stain { centre, radius, seed, depth } => {
                let from = minus(at, *centre);
                let wobble = 0.3 * value_noise(*seed, at[0] * 9.0, at[1] * 9.0, i32::MAX);
                let inside = smoothstep(1.2, 0.8, length(from) / radius + wobble);
                let rim = 1.0 + 0.4 * smoothstep(0.6, 0.95, length(from) / radius + wobble);
                let strength = depth * inside * rim;
                Effect { factor: [0.85, 1.0, 1.15].map(|k| 1.0 - k * strength), covered: inside > 0.5 }
            }
            Self::Fibre { line, half_width, depth } => {
                let u = distance_to(line, at).0 / half_width;
                Effect::grey(1.0 - depth * (-u * u * u * u).exp(), u.abs() < 1.1)
            }
            Self::Particles { grains, depth } => {
                let nearest =
                    grains.iter().map(|(p, radius)| length(minus(at, *p)) / radius).fold(9.0, f32::min);
                Effect::grey(1.0 - depth * smoothstep(1.2, 0.7, nearest), nearest < 1.0)
            }
            Self::MissingHole(_) | Self::MissingTooth(_) | Self::MissingPrint => Effect::grey(1.0, false),
        }
    }
}

/// A point well inside the part's outer face, away from holes and edges.
fn point_on_part(rng: &mut ChaCha8Rng) -> Point {
    /// Distance to the nearest edge.
    const MARGIN: f32 = 0.06;
    loop {
        let point = polar(rng.random_range(0.45..0.84), rng.random_range(0.0..TAU));
        if part_distance(point, None) < -MARGIN {
            return point;
        }
    }
}

/// A smooth curve through `centre` in a random direction, bent sideways by up to `bend` times its length.
fn curve(centre: Point, span: f32, bend: f32, rng: &mut ChaCha8Rng) -> Vec<Point> {
    const STEPS: usize = 12;
    let angle = rng.random_range(0.0..TAU);
    let bend = span * rng.random_range(-bend..bend);
    (0..=STEPS)
        .map(|step| {
            let t = 2.0 * step as f32 / STEPS as f32 - 1.0;
            let [x, y] = rotate([t * span / 2.0, bend * t * t], angle);
            [centre[0] + x, centre[1] + y]
        })
        .collect()
}

/// A grain near `centre`: its place and radius.
fn particle(centre: Point, rng: &mut ChaCha8Rng) -> (Point, f32) {
    let [x, y] = polar(rng.random_range(0.0..0.15), rng.random_range(0.0..TAU));
    ([centre[0] + x, centre[1] + y], rng.random_range(0.018..0.036))
}

/// The signed distance from a line of points, and how far along it the nearest point lies (0 to 1).
fn distance_to(line: &[Point], at: Point) -> (f32, f32) {
    let segments = line.len() - 1;
    let (mut nearest, mut along) = (f32::INFINITY, 0.0);
    for (index, ends) in line.windows(2).enumerate() {
        let (from, step) = (minus(at, ends[0]), minus(ends[1], ends[0]));
        let t = (dot(from, step) / dot(step, step)).clamp(0.0, 1.0);
        let away = minus(from, [step[0] * t, step[1] * t]);
        if length(away) < nearest.abs() {
            nearest = length(away).copysign(step[0] * away[1] - step[1] * away[0]);
            along = (index as f32 + t) / segments as f32;
        }
    }
    (nearest, along)
}

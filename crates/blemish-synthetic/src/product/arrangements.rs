//! Arrangements of repeated parts, and registered assemblies that fill the image.

use std::f32::consts::{FRAC_PI_2, TAU};

use super::{Arrangement, Maker, Part, Shape};

const fn filling(name: &'static str, make: fn(&mut Maker) -> Vec<Part>) -> Arrangement {
    Arrangement { name, held_out: false, filling: true, turns: false, make }
}

const fn loose(name: &'static str, make: fn(&mut Maker) -> Vec<Part>) -> Arrangement {
    Arrangement { name, held_out: false, filling: false, turns: false, make }
}

const fn held_out(name: &'static str, filling: bool, make: fn(&mut Maker) -> Vec<Part>) -> Arrangement {
    Arrangement { name, held_out: true, filling, turns: false, make }
}

pub(super) const ALL: &[Arrangement] = &[
    loose("grid of parts", |m| grid(m, 2, 6)),
    filling("dense grid of parts", |m| grid(m, 5, 9)),
    loose("row of parts", row),
    loose("scattered parts", scattered),
    filling("plate with fittings", plate),
    filling("circuit board", board),
    filling("solar cell", solar_cell),
    filling("commutator", commutator),
    filling("nested panels", panels),
    filling("tubes", tubes),
    held_out("blister pack", false, blister),
    held_out("grille", true, grille),
];

fn any_shape(m: &mut Maker, r: f32) -> Shape {
    match m.between(0, 9) {
        0 | 1 => Shape::Disc(r),
        2 => Shape::Box(m.uniform(0.4, 1.0) * r, r, m.uniform(0.0, 0.4) * r),
        3 => Shape::Polygon(m.between(3, 8) as u8, r),
        4 => Shape::Ring(0.75 * r, 0.25 * r),
        5 => Shape::Ellipse(m.uniform(0.4, 0.9) * r, r),
        6 => Shape::Cross(r, m.uniform(0.2, 0.5) * r),
        7 => Shape::Gear(m.between(5, 14) as u8, 0.85 * r, 0.15 * r),
        8 => Shape::Arc(0.8 * r, 0.2 * r, m.uniform(0.3, 1.5)),
        _ => Shape::Blob(0.8 * r, m.between(2, 5) as u8, 0.1),
    }
}

fn grid(m: &mut Maker, low: usize, high: usize) -> Vec<Part> {
    let (rows, columns) = (m.between(low, high), m.between(low, high));
    let span = 0.9;
    let pitch = span / rows.max(columns) as f32;
    let shape = any_shape(m, half_width(pitch));
    let inner = m.chance(0.5).then(|| any_shape(m, 0.5 * half_width(pitch)));
    let (bevel, angle) = (m.uniform(-0.01, 0.03), m.uniform(0.0, TAU));
    let mut parts = Vec::new();
    if m.chance(0.4) {
        parts.push(Part::new(Shape::Box(0.47, 0.47, 0.03), [0.0; 2], 3));
    }
    for i in 0..rows {
        for j in 0..columns {
            let at = [
                (i as f32 - 0.5 * (rows - 1) as f32) * pitch,
                (j as f32 - 0.5 * (columns - 1) as f32) * pitch,
            ];
            parts.push(Part::new(shape, at, 0).turned(angle).bevel(bevel).loose());
            if let Some(inner) = inner {
                parts.push(Part::new(inner, at, 1).turned(angle).bevel(-bevel));
            }
        }
    }
    parts
}

/// Half of the width of a part that repeats every `pitch`, with a gap to the next.
fn half_width(pitch: f32) -> f32 {
    0.42 * pitch
}

fn row(m: &mut Maker) -> Vec<Part> {
    let count = m.between(3, 12);
    let pitch = 0.92 / count as f32;
    let shape = if m.chance(0.5) {
        Shape::Box(m.uniform(0.1, 0.4), 0.35 * pitch, 0.1 * pitch)
    } else {
        any_shape(m, 0.45 * pitch)
    };
    let bevel = m.uniform(0.0, 0.03);
    let mut parts =
        vec![Part::new(Shape::Box(m.uniform(0.04, 0.1), 0.48, 0.01), [m.uniform(-0.2, 0.2), 0.0], 1)];
    for k in 0..count {
        let x = (k as f32 - 0.5 * (count - 1) as f32) * pitch;
        parts.push(Part::new(shape, [0.0, x], 0).bevel(bevel).loose());
    }
    parts
}

fn scattered(m: &mut Maker) -> Vec<Part> {
    let r = m.uniform(0.05, 0.13);
    let shape = any_shape(m, r);
    let mut parts: Vec<Part> = Vec::new();
    for _ in 0..60 {
        let at = [m.uniform(-0.42, 0.42), m.uniform(-0.42, 0.42)];
        let free = parts.iter().all(|other| (other.at[0] - at[0]).hypot(other.at[1] - at[1]) > 2.1 * r);
        if free && parts.len() < 9 {
            parts.push(Part::new(shape, at, 0).turned(m.uniform(0.0, TAU)).bevel(0.3 * r).loose());
        }
    }
    parts
}

fn plate(m: &mut Maker) -> Vec<Part> {
    let mut parts = Vec::new();
    for _ in 0..m.between(4, 14) {
        let (at, size) = ([m.uniform(-0.45, 0.45), m.uniform(-0.45, 0.45)], m.uniform(0.03, 0.2));
        let material = m.between(0, 3);
        let turn = FRAC_PI_2 * m.between(0, 3) as f32;
        let shape = any_shape(m, size);
        let part = Part::new(shape, at, material).turned(turn).bevel(m.uniform(-0.02, 0.02));
        parts.push(if size < 0.12 { part.loose() } else { part });
    }
    parts
}

fn board(m: &mut Maker) -> Vec<Part> {
    let mut parts = Vec::new();
    for _ in 0..m.between(4, 12) {
        let (at, long) = ([m.uniform(-0.5, 0.5), m.uniform(-0.5, 0.5)], m.uniform(0.1, 0.5));
        let turn = FRAC_PI_2 * m.between(0, 1) as f32;
        parts.push(Part::new(Shape::Box(m.uniform(0.006, 0.015), long, 0.0), at, 3).turned(turn).ink());
    }
    for _ in 0..m.between(2, 6) {
        let at = [m.uniform(-0.4, 0.4), m.uniform(-0.4, 0.4)];
        let (tall, wide) = (m.uniform(0.04, 0.12), m.uniform(0.05, 0.16));
        let pins = m.between(2, 6);
        for k in 0..pins {
            let x = at[1] + wide * (2.0 * (k as f32 + 0.5) / pins as f32 - 1.0);
            parts.push(
                Part::new(Shape::Box(tall + 0.03, 0.4 * wide / pins as f32, 0.0), [at[0], x], 1).bevel(0.005),
            );
        }
        parts.push(Part::new(Shape::Box(tall, wide, 0.005), at, 0).loose());
    }
    for _ in 0..m.between(3, 14) {
        let at = [m.uniform(-0.47, 0.47), m.uniform(-0.47, 0.47)];
        parts.push(Part::new(Shape::Ring(0.016, 0.006), at, 1).bevel(0.005).loose());
    }
    parts
}

fn solar_cell(m: &mut Maker) -> Vec<Part> {
    let mut parts = Vec::new();
    let (fingers, bars) = (m.between(12, 40), m.between(2, 5));
    let shade = m.uniform(0.6, 0.95);
    for k in 0..fingers {
        let y = (k as f32 + 0.5) / fingers as f32 - 0.5;
        parts.push(Part::new(Shape::Box(0.0025, 0.5, 0.0), [y, 0.0], 0).shaded(shade).ink());
    }
    for k in 0..bars {
        let x = (k as f32 + 0.5) / bars as f32 - 0.5;
        let wide = 0.008 + 0.01 * shade;
        parts.push(Part::new(Shape::Box(0.5, wide, 0.0), [0.0, x], 1).bevel(0.0));
    }
    if m.chance(0.5) {
        for [y, x] in [[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]] {
            parts.push(Part::new(Shape::Polygon(4, 0.08), [y, x], 2).shaded(0.2).bevel(0.0));
        }
    }
    parts
}

fn commutator(m: &mut Maker) -> Vec<Part> {
    let (bars, gap) = (m.between(1, 6), m.uniform(0.008, 0.025));
    let wide = 1.1 / bars as f32;
    let mut parts: Vec<Part> = (0..=bars)
        .map(|k| {
            Part::new(Shape::Box(0.8, gap, 0.0), [0.0, k as f32 * wide - 0.55], 1).bevel(-0.01).shaded(0.5)
        })
        .collect();
    let foot = m.uniform(0.3, 0.45);
    parts.push(Part::new(Shape::Box(0.1, 1.0, 0.0), [foot, 0.0], 2).bevel(m.uniform(-0.02, 0.02)));
    if m.chance(0.5) {
        parts.push(Part::new(Shape::Box(0.06, 1.0, 0.0), [-foot - 0.05, 0.0], 3));
    }
    parts
}

fn panels(m: &mut Maker) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut tall, mut wide, mut at) = (m.uniform(0.38, 0.48), m.uniform(0.38, 0.48), [0.0f32; 2]);
    for k in 0..m.between(2, 5) {
        let round = m.uniform(0.0, 0.3) * tall.min(wide);
        parts.push(Part::new(Shape::Box(tall, wide, round), at, k).bevel(m.uniform(-0.02, 0.02)));
        at = [at[0] + 0.1 * tall * m.uniform(-1.0, 1.0), at[1] + 0.1 * wide * m.uniform(-1.0, 1.0)];
        tall *= m.uniform(0.5, 0.85);
        wide *= m.uniform(0.5, 0.85);
    }
    for [v, u] in [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]] {
        parts.push(Part::new(Shape::Disc(0.022), [0.44 * v, 0.44 * u], 3).loose());
    }
    parts
}

fn tubes(m: &mut Maker) -> Vec<Part> {
    let count = m.between(3, 12);
    let pitch = 1.1 / count as f32;
    let fill = m.uniform(0.35, 0.5);
    (0..count)
        .map(|k| {
            let y = (k as f32 + 0.5) * pitch - 0.55;
            Part::new(Shape::Box(fill * pitch, 1.0, 0.0), [y, 0.0], k % 2).bevel(fill * pitch).loose()
        })
        .collect()
}

fn blister(m: &mut Maker) -> Vec<Part> {
    let (rows, columns) = (m.between(2, 3), m.between(3, 5));
    let mut parts = vec![Part::new(Shape::Box(0.1 + 0.1 * rows as f32, 0.46, 0.05), [0.0; 2], 0)];
    for i in 0..rows {
        for j in 0..columns {
            let at = [
                (i as f32 - 0.5 * (rows - 1) as f32) * 0.19,
                (j as f32 - 0.5 * (columns - 1) as f32) * 0.84 / columns as f32,
            ];
            parts.push(Part::new(Shape::Ellipse(0.085, 0.36 / columns as f32), at, 1).bevel(0.03));
            parts.push(Part::new(Shape::Ellipse(0.06, 0.26 / columns as f32), at, 2).bevel(0.03).loose());
        }
    }
    parts
}

fn grille(m: &mut Maker) -> Vec<Part> {
    let (slots, count) = (m.between(2, 4), m.between(5, 12));
    let mut parts = Vec::new();
    for i in 0..slots {
        for j in 0..count {
            let (y, x) = ((i as f32 + 0.5) / slots as f32 - 0.5, (j as f32 + 0.5) / count as f32 - 0.5);
            let shape = Shape::Box(0.4 / slots as f32, 0.25 / count as f32, 0.25 / count as f32);
            parts.push(Part::new(shape, [y, x], 0).bevel(-0.012).shaded(0.5).loose());
        }
    }
    parts
}

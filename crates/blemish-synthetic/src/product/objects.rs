//! Single objects on a ground.

use std::f32::consts::{PI, TAU};

use super::{Arrangement, Maker, Part, Shape};

const fn object(name: &'static str, make: fn(&mut Maker) -> Vec<Part>) -> Arrangement {
    Arrangement { name, held_out: false, filling: false, turns: true, make }
}

const fn held_out(name: &'static str, make: fn(&mut Maker) -> Vec<Part>) -> Arrangement {
    Arrangement { name, held_out: true, filling: false, turns: true, make }
}

pub(super) const ALL: &[Arrangement] = &[
    object("screw", screw),
    object("washer", washer),
    object("gear", gear),
    object("label", label),
    object("bottle from above", bottle),
    object("tablet", tablet),
    object("blob", blob),
    object("bracket", bracket),
    object("ring of parts", ring_of_parts),
    object("key", key),
    object("plug", plug),
    object("spring", spring),
    held_out("nut", nut),
    held_out("cable", cable),
    held_out("transistor", transistor),
    held_out("zip", zip),
];

fn screw(m: &mut Maker) -> Vec<Part> {
    let (long, wide) = (m.uniform(0.2, 0.3), m.uniform(0.03, 0.07));
    let (pitch, head) = (m.uniform(0.025, 0.06), m.uniform(1.6, 2.6) * wide);
    let deep = m.uniform(0.15, 0.35) * wide;
    let thick = m.uniform(0.04, 0.09);
    let bare = m.uniform(0.0, 0.4) * long;
    let mut parts = vec![
        Part::new(Shape::Thread(long, wide, pitch, deep), [0.0, 0.03], 0).bevel(0.7 * wide),
        Part::new(Shape::Box(wide * 0.95, 0.5 * bare + 0.001, 0.0), [0.0, 0.03 - long + 0.5 * bare], 0)
            .bevel(0.7 * wide),
    ];
    let ridges = (2.0 * long / pitch) as usize;
    for k in (bare / pitch) as usize..ridges {
        let x = 0.03 - long + (k as f32 + 0.5) * pitch;
        parts.push(
            Part::new(Shape::Box(wide * 0.92, 0.16 * pitch, 0.0), [0.0, x], 0)
                .turned(0.25)
                .shaded(0.6)
                .bevel(0.0),
        );
    }
    let at = [0.0, 0.03 - long - 0.5 * thick];
    let cap =
        if m.chance(0.5) { Shape::Box(head, thick, 0.4 * thick) } else { Shape::Ellipse(head, 1.4 * thick) };
    parts.push(Part::new(cap, at, usize::from(m.chance(0.2))).bevel(0.03));
    if m.chance(0.7) {
        parts
            .push(Part::new(Shape::Taper(0.04, wide * 0.9, 0.005), [0.0, 0.03 + long + 0.04], 0).bevel(0.02));
    }
    parts
}

fn washer(m: &mut Maker) -> Vec<Part> {
    let (r, w) = (m.uniform(0.2, 0.32), m.uniform(0.04, 0.11));
    let mut parts = vec![Part::new(Shape::Ring(r, w), [0.0; 2], 0).bevel(m.uniform(0.005, 0.04))];
    if m.chance(0.5) {
        parts.push(Part::new(Shape::Ring(r, 0.4 * w), [0.0; 2], 1).bevel(m.uniform(-0.01, 0.01)));
    }
    let count = m.between(0, 8);
    for k in 0..count {
        let (sin, cos) = (TAU * k as f32 / count as f32).sin_cos();
        parts.push(Part::new(Shape::Disc(0.4 * w), [r * sin, r * cos], 2).bevel(-0.01).loose());
    }
    parts
}

fn gear(m: &mut Maker) -> Vec<Part> {
    let (teeth, r) = (m.between(7, 28) as u8, m.uniform(0.25, 0.38));
    let mut parts = vec![
        Part::new(Shape::Gear(teeth, r, m.uniform(0.03, 0.08)), [0.0; 2], 0).bevel(m.uniform(0.005, 0.03)),
        Part::new(Shape::Disc(m.uniform(0.4, 0.7) * r), [0.0; 2], 1).bevel(m.uniform(-0.02, 0.02)),
    ];
    let holes = m.between(0, 6);
    for k in 0..holes {
        let (sin, cos) = (TAU * k as f32 / holes as f32).sin_cos();
        parts.push(
            Part::new(Shape::Disc(0.13 * r), [0.55 * r * sin, 0.55 * r * cos], 2)
                .bevel(-0.012)
                .shaded(0.4)
                .loose(),
        );
    }
    parts.push(Part::new(Shape::Disc(0.2 * r), [0.0; 2], 2).bevel(-0.02).shaded(0.3));
    parts
}

/// Strokes like a line of writing.
fn writing(m: &mut Maker, [y, x]: [f32; 2], long: f32, tall: f32, parts: &mut Vec<Part>) {
    let count = ((long / (0.75 * tall)) as usize).max(1);
    for k in 0..count {
        if m.chance(0.12) {
            continue;
        }
        let at = x - 0.5 * long + (k as f32 + 0.5) * long / count as f32;
        let thin = 0.09 * tall;
        for _ in 0..m.between(1, 3) {
            let turn = [0.0, 0.5 * PI, 0.5 * PI, 0.6, -0.6][m.between(0, 4)];
            let (dy, dx) = (m.uniform(-0.25, 0.25) * tall, m.uniform(-0.1, 0.1) * tall);
            let half = tall * if turn == 0.0 { 0.22 } else { 0.42 };
            parts.push(Part::new(Shape::Box(thin, half, 0.0), [y + dy, at + dx], 2).turned(turn).ink());
        }
        if m.chance(0.3) {
            parts.push(Part::new(Shape::Ring(0.25 * tall, thin), [y, at], 2).ink());
        }
    }
}

fn label(m: &mut Maker) -> Vec<Part> {
    let (tall, wide) = (m.uniform(0.2, 0.42), m.uniform(0.25, 0.44));
    let mut parts = vec![Part::new(Shape::Box(tall, wide, m.uniform(0.0, 0.08)), [0.0; 2], 0).bevel(0.006)];
    if m.chance(0.5) {
        parts.push(Part::new(Shape::Box(0.2 * tall, wide, 0.0), [-0.7 * tall, 0.0], 1).ink());
    }
    let lines = m.between(1, 4);
    for k in 0..lines {
        let y = tall * (-0.55 + 1.3 * (k as f32 + 0.5) / lines as f32);
        let size = (0.7 * tall / lines as f32).min(m.uniform(0.05, 0.14));
        let long = m.uniform(0.9, 1.6) * wide;
        writing(m, [y, 0.0], long, size, &mut parts);
    }
    parts
}

fn bottle(m: &mut Maker) -> Vec<Part> {
    let r = m.uniform(0.3, 0.44);
    let mut parts = vec![Part::new(Shape::Disc(r), [0.0; 2], 0).bevel(m.uniform(0.01, 0.06))];
    let mut radius = r;
    for k in 0..m.between(2, 5) {
        radius *= m.uniform(0.65, 0.93);
        let shade = m.uniform(0.4, 1.4);
        let bevel = m.uniform(-0.03, 0.03);
        parts.push(Part::new(Shape::Disc(radius), [0.0; 2], k).bevel(bevel).shaded(shade));
    }
    parts
}

fn tablet(m: &mut Maker) -> Vec<Part> {
    let (a, b) = (m.uniform(0.12, 0.36), m.uniform(0.2, 0.4));
    let body = if m.chance(0.5) { Shape::Ellipse(a, b) } else { Shape::Box(a, b, a.min(b) * 0.98) };
    let mut parts = vec![Part::new(body, [0.0; 2], 0).bevel(m.uniform(0.3, 0.9) * a)];
    if m.chance(0.4) {
        parts.push(Part::new(Shape::Box(a, 0.5 * b, 0.0), [0.0, 0.5 * b], 1).bevel(0.0).shaded(0.9));
        parts.truncate(1 + usize::from(m.chance(0.3)));
    }
    if m.chance(0.7) {
        writing(m, [0.0; 2], b, 0.5 * a, &mut parts);
    } else {
        parts.push(Part::new(Shape::Box(0.008, 0.7 * a, 0.0), [0.0; 2], 2).turned(0.5 * PI).bevel(-0.01));
    }
    parts
}

fn blob(m: &mut Maker) -> Vec<Part> {
    let mut parts = Vec::new();
    for _ in 0..m.between(1, 4) {
        let at = if parts.is_empty() { [0.0; 2] } else { [m.uniform(-0.25, 0.25), m.uniform(-0.25, 0.25)] };
        let r = if parts.is_empty() { m.uniform(0.22, 0.34) } else { m.uniform(0.06, 0.15) };
        let shape = Shape::Blob(r, m.between(2, 6) as u8, m.uniform(0.03, 0.12));
        parts.push(Part::new(shape, at, parts.len()).bevel(m.uniform(0.01, 0.2)).turned(m.uniform(0.0, TAU)));
    }
    parts
}

fn bracket(m: &mut Maker) -> Vec<Part> {
    let (long, wide) = (m.uniform(0.3, 0.42), m.uniform(0.08, 0.16));
    let round = m.uniform(0.0, 0.9) * wide;
    let mut parts = vec![Part::new(Shape::Box(wide, long, round), [0.0; 2], 0)];
    if m.chance(0.5) {
        parts.push(Part::new(Shape::Box(long * 0.6, wide, round), [0.2, long - wide], 0));
    }
    for k in 0..m.between(1, 5) {
        let x = -long + wide + 2.0 * (long - wide) * k as f32 / 4.0;
        let hole =
            if m.chance(0.7) { Shape::Disc(0.4 * wide) } else { Shape::Box(0.3 * wide, 0.5 * wide, 0.02) };
        parts.push(Part::new(hole, [0.0, x], 1).bevel(-0.012).shaded(0.5).loose());
    }
    parts
}

fn ring_of_parts(m: &mut Maker) -> Vec<Part> {
    let (r, count) = (m.uniform(0.32, 0.44), m.between(3, 14));
    let body = if m.chance(0.6) { Shape::Disc(r) } else { Shape::Polygon(m.between(3, 10) as u8, r) };
    let mut parts = vec![Part::new(body, [0.0; 2], 0).bevel(m.uniform(0.005, 0.03))];
    let (at, size) = (m.uniform(0.55, 0.78) * r, (1.2 / count as f32).min(0.2) * r);
    let each = match m.between(0, 3) {
        0 => Shape::Disc(size),
        1 => Shape::Box(0.6 * size, size, 0.2 * size),
        2 => Shape::Polygon(6, size),
        _ => Shape::Ellipse(0.5 * size, size),
    };
    let bevel = m.uniform(-0.02, 0.02);
    for k in 0..count {
        let angle = TAU * k as f32 / count as f32;
        parts.push(
            Part::new(each, [at * angle.sin(), at * angle.cos()], 1).turned(angle).bevel(bevel).loose(),
        );
    }
    parts.push(Part::new(Shape::Disc(m.uniform(0.15, 0.4) * r), [0.0; 2], 2).bevel(m.uniform(-0.03, 0.03)));
    parts
}

fn key(m: &mut Maker) -> Vec<Part> {
    let long = m.uniform(0.2, 0.3);
    let mut parts = vec![
        Part::new(Shape::Box(0.03, long, 0.01), [0.0, 0.1], 0),
        Part::new(Shape::Disc(m.uniform(0.09, 0.16)), [0.0, 0.1 - long], 0),
        Part::new(Shape::Disc(0.035), [0.0, 0.06 - long], 1).shaded(0.4).bevel(-0.01),
    ];
    for k in 0..m.between(3, 7) {
        let deep = m.uniform(0.01, 0.04);
        parts.push(Part::new(Shape::Box(deep, 0.015, 0.0), [0.04, 0.12 + 0.035 * k as f32], 0).loose());
    }
    parts
}

fn plug(m: &mut Maker) -> Vec<Part> {
    let (tall, wide) = (m.uniform(0.12, 0.25), m.uniform(0.25, 0.38));
    let pins = m.between(2, 12);
    let mut parts = vec![Part::new(Shape::Box(tall, wide, 0.03), [0.0; 2], 0)];
    let (pin, reach) = (0.6 * wide / pins as f32, m.uniform(0.08, 0.18));
    for k in 0..pins {
        let x = -wide + 2.0 * wide * (k as f32 + 0.5) / pins as f32;
        parts.push(Part::new(Shape::Box(reach, 0.5 * pin, 0.004), [tall + 0.8 * reach, x], 1).loose());
        parts.push(Part::new(Shape::Box(0.3 * tall, 0.6 * pin, 0.0), [-0.3 * tall, x], 2).bevel(-0.01));
    }
    parts
}

fn spring(m: &mut Maker) -> Vec<Part> {
    let (turns, tall) = (m.between(5, 14), m.uniform(0.08, 0.17));
    let step = 0.75 / turns as f32;
    let thin = (0.3 * step).min(0.02);
    (0..turns)
        .map(|k| {
            let x = -0.375 + (k as f32 + 0.5) * step;
            Part::new(Shape::Box(tall, thin, thin), [0.0, x], 0).turned(0.2).bevel(thin)
        })
        .collect()
}

fn nut(m: &mut Maker) -> Vec<Part> {
    let r = m.uniform(0.25, 0.4);
    let mut parts = vec![Part::new(Shape::Polygon(6, r), [0.0; 2], 0).bevel(0.03)];
    parts.push(Part::new(Shape::Ring(0.62 * r, 0.05 * r), [0.0; 2], 1));
    for k in 0..3 {
        let shade = if k % 2 == 0 { 0.3 } else { 0.6 };
        parts.push(
            Part::new(Shape::Disc((0.52 - 0.05 * k as f32) * r), [0.0; 2], 2).bevel(-0.01).shaded(shade),
        );
    }
    parts
}

fn cable(m: &mut Maker) -> Vec<Part> {
    let (r, cores) = (m.uniform(0.36, 0.44), m.between(2, 5));
    let mut parts = vec![Part::new(Shape::Disc(r), [0.0; 2], 0)];
    let size = [0.42, 0.42, 0.4, 0.36, 0.31][cores - 1] * r;
    for k in 0..cores {
        let angle = TAU * k as f32 / cores as f32 + 0.4;
        let at = [0.48 * r * angle.sin(), 0.48 * r * angle.cos()];
        parts.push(Part::new(Shape::Disc(size), at, 1).loose());
        for j in 0..19 {
            let turn = 2.4 * j as f32;
            let out = 0.15 * size * (j as f32).sqrt();
            let strand = [at[0] + out * turn.sin(), at[1] + out * turn.cos()];
            parts.push(Part::new(Shape::Disc(0.13 * size), strand, 2).bevel(0.01).loose());
        }
    }
    parts
}

fn transistor(m: &mut Maker) -> Vec<Part> {
    let (tall, wide) = (m.uniform(0.13, 0.2), m.uniform(0.15, 0.24));
    let mut parts: Vec<Part> = (0..3)
        .map(|k| Part::new(Shape::Box(0.2, 0.016, 0.0), [0.25, (k as f32 - 1.0) * 0.6 * wide], 1).loose())
        .collect();
    parts.push(Part::new(Shape::Box(tall, wide, 0.02), [-0.08, 0.0], 0).bevel(0.02));
    writing(m, [-0.08, 0.0], 1.4 * wide, 0.07, &mut parts);
    parts
}

fn zip(m: &mut Maker) -> Vec<Part> {
    let pitch = m.uniform(0.03, 0.06);
    let mut parts = vec![
        Part::new(Shape::Box(2.0, 0.13, 0.0), [0.0, -0.16], 0).bevel(0.0),
        Part::new(Shape::Box(2.0, 0.13, 0.0), [0.0, 0.16], 0).bevel(0.0),
    ];
    for k in -16..=16 {
        let (side, y) = (if k & 1 == 0 { -1.0 } else { 1.0 }, 0.5 * pitch * k as f32 * 1.2);
        parts.push(Part::new(Shape::Box(0.3 * pitch, 0.05, 0.01), [y, 0.025 * side], 1).loose());
    }
    parts
}

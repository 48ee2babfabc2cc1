//! Printed matter: glyph-like strokes, halftone, bars, circuit traces.

use rand::Rng;

use super::{Field, Program, hold, train};
use crate::noise::{Fast, gradient, octaves, smoothstep, split};
use crate::random::{Random, hash, log_uniform, mix, uniform, unit};

pub(super) const PROGRAMS: &[Program] = &[
    train("text, small", |rng| text(rng, 6.0, 11.0)),
    train("text, large", |rng| text(rng, 12.0, 36.0)),
    train("halftone", halftone),
    train("bar code", bars),
    train("block code", blocks),
    train("checks", checks),
    hold("dot matrix", dot_matrix),
    train("circuit traces", |rng| truchet(rng, true)),
    hold("arcs", |rng| truchet(rng, false)),
    train("marks", marks),
];

fn segment(p: [f32; 2], a: [f32; 2], b: [f32; 2]) -> f32 {
    let (d, e) = ([p[0] - a[0], p[1] - a[1]], [b[0] - a[0], b[1] - a[1]]);
    let t = ((d[0] * e[0] + d[1] * e[1]) / (e[0] * e[0] + e[1] * e[1]).max(1e-6)).clamp(0.0, 1.0);
    (d[0] - t * e[0]).norm(d[1] - t * e[1])
}

/// How far a point of the unit square lies from the strokes of the glyph `id`: three to four strokes between points of
/// a 3 by 4 lattice.
pub(super) fn glyph(id: u32, v: f32, u: f32) -> f32 {
    let point = |bits: u32| [0.15 + 0.7 * (bits & 3) as f32 / 3.0, 0.2 + 0.3 * ((bits >> 2) % 3) as f32];
    let mut k = mix(id);
    let mut from = point(k);
    let mut nearest = f32::MAX;
    for _ in 0..3 + (id & 1) {
        k = mix(k ^ 0x51);
        let to = point(k >> 7);
        nearest = nearest.min(segment([v, u], from, to));
        from = if k & 3 == 0 { point(k >> 13) } else { to };
    }
    nearest
}

fn text(rng: &mut Random, low: f32, high: f32) -> Field {
    let (seed, tall, wide) = (rng.random::<u32>(), log_uniform(rng, low, high), uniform(rng, 0.55, 0.9));
    let (leading, weight) = (uniform(rng, 1.1, 2.0), uniform(rng, 0.06, 0.13));
    Box::new(move |y, x| {
        let (i, fv) = split(y / (tall * leading));
        let (j, fu) = split(x / (tall * wide));
        let h = hash(seed, i, j);
        let v = fv * leading;
        if v > 1.0 || unit(h) < 0.15 {
            return 0.0;
        }
        let d = glyph(mix(h), v, fu);
        smoothstep(0.6, -0.6, tall * (d - weight))
    })
}

fn halftone(rng: &mut Random) -> Field {
    let (seed, pitch, size) = (rng.random::<u32>(), log_uniform(rng, 4.0, 9.0), log_uniform(rng, 30.0, 90.0));
    let (sin, cos) = uniform(rng, 0.0, 1.5).sin_cos();
    Box::new(move |y, x| {
        let shade = 0.35 + 0.25 * octaves(seed, 2, 0.5, y / size, x / size);
        let (_, a) = split((cos * y + sin * x) / pitch);
        let (_, b) = split((cos * x - sin * y) / pitch);
        smoothstep(0.6, -0.6, pitch * ((a - 0.5).norm(b - 0.5) - shade))
    })
}

fn bars(rng: &mut Random) -> Field {
    let (seed, module, tall) =
        (rng.random::<u32>(), log_uniform(rng, 2.0, 5.0), log_uniform(rng, 20.0, 70.0));
    let gap = uniform(rng, 0.1, 0.4);
    Box::new(move |y, x| {
        let (i, fv) = split(y / tall);
        let h = hash(seed, i, (x / module).below() as i32);
        if fv < gap { 0.0 } else { (h & 1) as f32 }
    })
}

fn blocks(rng: &mut Random) -> Field {
    let (seed, module, share) = (rng.random::<u32>(), log_uniform(rng, 3.0, 10.0), uniform(rng, 0.3, 0.6));
    Box::new(move |y, x| {
        let h = hash(seed, (y / module).below() as i32, (x / module).below() as i32);
        f32::from(u8::from(unit(h) < share))
    })
}

fn checks(rng: &mut Random) -> Field {
    let (seed, pitch, soft) = (rng.random::<u32>(), log_uniform(rng, 5.0, 30.0), uniform(rng, 0.05, 0.4));
    let tones = uniform(rng, 0.0, 0.4);
    Box::new(move |y, x| {
        let ((i, fv), (j, fu)) = (split(y / pitch), split(x / pitch));
        let parity = (i + j).rem_euclid(2) as f32;
        let rim = smoothstep(0.5 - soft, 0.5, (fv - 0.5).abs().max((fu - 0.5).abs()));
        parity + tones * unit(hash(seed, i, j)) - 0.3 * rim * parity
    })
}

fn dot_matrix(rng: &mut Random) -> Field {
    let (seed, pitch) = (rng.random::<u32>(), log_uniform(rng, 3.0, 6.0));
    Box::new(move |y, x| {
        let ((i, fv), (j, fu)) = (split(y / pitch), split(x / pitch));
        let blank = i.rem_euclid(9) > 6 || j.rem_euclid(6) > 4;
        let on = !blank && unit(hash(seed, i, j)) < 0.55;
        if on { smoothstep(0.45, 0.3, (fv - 0.5).norm(fu - 0.5)) } else { 0.0 }
    })
}

/// Random tiles whose lines meet at their borders (Truchet): straight for circuit traces, else arcs.
fn truchet(rng: &mut Random, straight: bool) -> Field {
    let (seed, pitch, weight) = (rng.random::<u32>(), log_uniform(rng, 8.0, 28.0), uniform(rng, 0.06, 0.16));
    Box::new(move |y, x| {
        let ((i, v), (j, u)) = (split(y / pitch), split(x / pitch));
        let h = hash(seed, i, j);
        let u = if h & 1 == 0 { u } else { 1.0 - u };
        let d = if straight {
            match (h >> 1) & 3 {
                0 => (v - 0.5).abs(),
                1 => (u - 0.5).abs(),
                2 => segment([v, u], [0.5, 0.0], [0.5, 0.5]).min(segment([v, u], [0.5, 0.5], [0.0, 0.5])),
                _ => ((v - 0.5).norm(u - 0.5) - 0.22).abs().min(segment([v, u], [0.5, 0.7], [0.5, 1.0])),
            }
        } else {
            (v.norm(u) - 0.5).abs().min(((1.0 - v).norm(1.0 - u) - 0.5).abs())
        };
        smoothstep(0.6, -0.6, pitch * (d - weight))
    })
}

fn marks(rng: &mut Random) -> Field {
    let (seed, pitch, share) = (rng.random::<u32>(), log_uniform(rng, 14.0, 50.0), uniform(rng, 0.5, 1.0));
    let weight = uniform(rng, 0.05, 0.1);
    let same = rng.random::<u32>();
    Box::new(move |y, x| {
        let ((i, v), (j, u)) = (split(y / pitch), split(x / pitch));
        let h = hash(seed, i, j);
        let ground = 0.1 * gradient(seed, y / 7.0, x / 7.0);
        if unit(h) > share {
            return ground;
        }
        let d = glyph(same, v, u).min(((v - 0.5).norm(u - 0.5) - 0.42).abs());
        ground + smoothstep(0.7, -0.7, pitch * (d - weight))
    })
}

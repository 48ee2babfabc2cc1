//! Woven and knitted fabrics, with even or uneven threads.

use std::f32::consts::{PI, TAU};

use rand::Rng;

use super::{Field, Program, hold, train};
use crate::noise::{gradient, smoothstep, split};
use crate::random::{Random, hash, log_uniform, uniform, unit};

pub(super) const PROGRAMS: &[Program] = &[
    train("plain weave", |rng| weave(rng, |i, j| (i + j).rem_euclid(2) == 0, 0.1)),
    train("plain weave, uneven", |rng| weave(rng, |i, j| (i + j).rem_euclid(2) == 0, 0.8)),
    train("twill, 2 over 1", |rng| weave(rng, |i, j| (i + j).rem_euclid(3) < 2, 0.2)),
    train("twill, 2 over 2", |rng| weave(rng, |i, j| (i + j).rem_euclid(4) < 2, 0.4)),
    train("satin", |rng| weave(rng, |i, j| (2 * i + j).rem_euclid(5) == 0, 0.3)),
    train("basket weave", |rng| {
        weave(rng, |i, j| (i.div_euclid(2) + j.div_euclid(2)).rem_euclid(2) == 0, 0.3)
    }),
    hold("herringbone weave", |rng| {
        weave(rng, |i, j| (i + if j.rem_euclid(16) < 8 { j } else { -j }).rem_euclid(4) < 2, 0.3)
    }),
    train("knit", knit),
    train("rib", rib),
    train("gauze", gauze),
    hold("waffle", waffle),
    train("pile", pile),
];

/// Threads of two directions; `over(i, j)` says which lies on top at a crossing.
fn weave(rng: &mut Random, over: fn(i32, i32) -> bool, uneven: f32) -> Field {
    let (seed, pitch, ratio) = (rng.random::<u32>(), log_uniform(rng, 3.5, 16.0), log_uniform(rng, 0.7, 1.4));
    let (tones, gap, twist) = (uniform(rng, 0.0, 0.6), uniform(rng, 0.0, 0.5), uniform(rng, 0.0, 0.3));
    let wander = 0.35 * uneven;
    Box::new(move |y, x| {
        let (v, u) = (y / pitch, x / (pitch * ratio));
        let dv = wander * gradient(seed, 0.15 * u, 0.4 * v);
        let du = wander * gradient(seed ^ 1, 0.15 * v, 0.4 * u);
        let ((i, fv), (j, fu)) = (split(v + dv), split(u + du));
        let (across, along, id) =
            if over(i, j) { (fu, fv, hash(seed, j, 1)) } else { (fv, fu, hash(seed ^ 2, i, 2)) };
        let round = (PI * across).sin().max(0.0).powf(0.3 + gap) * (0.6 + 0.4 * (PI * along).sin());
        let strand = 1.0 + twist * (TAU * (2.0 * along + across)).sin();
        let base = if over(i, j) { 0.0 } else { tones };
        round * strand + base + uneven * 0.5 * unit(id)
    })
}

fn knit(rng: &mut Random) -> Field {
    let (seed, pitch, tall) = (rng.random::<u32>(), log_uniform(rng, 6.0, 22.0), uniform(rng, 0.6, 1.0));
    let (lean, fuzz) = (uniform(rng, 0.5, 1.0), uniform(rng, 0.0, 0.4));
    Box::new(move |y, x| {
        let (_, fu) = split(x / pitch);
        let side = (2.0 * fu - 1.0).abs();
        let (i, fv) = split(y / (pitch * tall) + lean * side);
        let loop_ = (PI * fv).sin() * (PI * side).sin().max(0.0).powf(0.5);
        loop_ + 0.1 * unit(hash(seed, i, 0)) + fuzz * gradient(seed, y / 2.0, x / 2.0)
    })
}

fn rib(rng: &mut Random) -> Field {
    let (seed, pitch, stitch) =
        (rng.random::<u32>(), log_uniform(rng, 6.0, 26.0), log_uniform(rng, 2.5, 6.0));
    Box::new(move |y, x| {
        let (j, fu) = split(x / pitch + 0.1 * gradient(seed, y / 40.0, x / 40.0));
        (PI * fu).sin().max(0.0).sqrt() * (0.75 + 0.25 * (TAU * (y / stitch + 0.5 * j as f32)).sin())
    })
}

/// Thin threads with open meshes.
fn gauze(rng: &mut Random) -> Field {
    let (seed, pitch, thin) = (rng.random::<u32>(), log_uniform(rng, 5.0, 18.0), uniform(rng, 0.12, 0.35));
    let wander = uniform(rng, 0.0, 0.3);
    Box::new(move |y, x| {
        let (v, u) = (y / pitch, x / pitch);
        let (i, fv) = split(v + wander * gradient(seed, 0.3 * u, 0.3 * v));
        let (j, fu) = split(u + wander * gradient(seed ^ 1, 0.3 * v, 0.3 * u));
        let a = smoothstep(thin, 0.5 * thin, (fv - 0.5).abs()) * (0.7 + 0.3 * unit(hash(seed, i, 0)));
        let b = smoothstep(thin, 0.5 * thin, (fu - 0.5).abs()) * (0.7 + 0.3 * unit(hash(seed, j, 1)));
        a.max(0.85 * b)
    })
}

fn waffle(rng: &mut Random) -> Field {
    let (seed, pitch, thread) =
        (rng.random::<u32>(), log_uniform(rng, 10.0, 30.0), log_uniform(rng, 2.5, 4.0));
    Box::new(move |y, x| {
        let (_, fv) = split(y / pitch + 0.05 * gradient(seed, y / 30.0, x / 30.0));
        let (_, fu) = split(x / pitch);
        let pit = (fv - 0.5).abs().max((fu - 0.5).abs());
        pit + 0.12 * (TAU * y / thread).sin() * (TAU * x / thread).sin()
    })
}

/// Short hairs combed in a slowly changing direction.
fn pile(rng: &mut Random) -> Field {
    let (seed, fine, long) = (rng.random::<u32>(), log_uniform(rng, 1.5, 3.5), uniform(rng, 3.0, 9.0));
    let turn = uniform(rng, 0.3, 1.5);
    Box::new(move |y, x| {
        let (sin, cos) = (turn * gradient(seed, y / 60.0, x / 60.0)).sin_cos();
        gradient(seed ^ 1, (cos * y + sin * x) / fine, (cos * x - sin * y) / (fine * long))
            + 0.4 * gradient(seed ^ 2, y / 25.0, x / 25.0)
    })
}

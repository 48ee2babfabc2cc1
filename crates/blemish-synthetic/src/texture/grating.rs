//! Stripes and lines.

use std::f32::consts::TAU;

use rand::Rng;

use super::{Field, Program, hold, train};
use crate::noise::{Fast, gradient, smoothstep, split};
use crate::random::{Random, hash, log_uniform, uniform, unit};

pub(super) const PROGRAMS: &[Program] = &[
    train("sine grating", |rng| grating(rng, 1.0)),
    train("square grating", |rng| grating(rng, 12.0)),
    train("saw-tooth grating", saw),
    train("crossed gratings", crossed),
    train("moire", moire),
    train("wavy lines", wavy),
    train("uneven stripes", uneven),
    train("dashed lines", dashed),
    hold("chevrons", chevrons),
    train("distant rings", rings),
    hold("lamellae", lamellae),
];

fn grating(rng: &mut Random, sharp: f32) -> Field {
    let (seed, pitch, level) = (rng.random::<u32>(), log_uniform(rng, 3.5, 30.0), uniform(rng, -0.5, 0.5));
    let wander = uniform(rng, 0.0, 0.2);
    Box::new(move |y, x| {
        let phase = y / pitch + wander * gradient(seed, y / 50.0, x / 50.0);
        (sharp * ((TAU * phase).sin() - level)).tanh()
    })
}

fn saw(rng: &mut Random) -> Field {
    let (pitch, seed, drop) = (log_uniform(rng, 5.0, 30.0), rng.random::<u32>(), uniform(rng, 0.6, 0.95));
    Box::new(move |y, x| {
        let (_, f) = split(y / pitch + 0.04 * gradient(seed, y / 30.0, x / 30.0));
        if f < drop { f / drop } else { (1.0 - f) / (1.0 - drop) }
    })
}

fn crossed(rng: &mut Random) -> Field {
    let (a, b) = (log_uniform(rng, 3.5, 24.0), log_uniform(rng, 3.5, 24.0));
    let (lean, power) = (uniform(rng, -0.6, 0.6), uniform(rng, 0.5, 3.0));
    Box::new(move |y, x| {
        let (p, q) = ((TAU * y / a).sin(), (TAU * (x + lean * y) / b).sin());
        (0.5 + 0.5 * p).powf(power).max((0.5 + 0.5 * q).powf(power))
    })
}

fn moire(rng: &mut Random) -> Field {
    let (a, turn) = (log_uniform(rng, 3.5, 9.0), uniform(rng, 0.03, 0.3));
    let b = a * uniform(rng, 0.9, 1.1);
    Box::new(move |y, x| (TAU * y / a).sin() * (TAU * (turn.cos() * y + turn.sin() * x) / b).sin())
}

fn wavy(rng: &mut Random) -> Field {
    let (seed, pitch, swing) = (rng.random::<u32>(), log_uniform(rng, 5.0, 20.0), uniform(rng, 0.3, 2.5));
    let (size, width) = (log_uniform(rng, 20.0, 80.0), uniform(rng, 0.15, 0.4));
    Box::new(move |y, x| {
        let (_, f) = split(y / pitch + swing * gradient(seed, y / size, x / size));
        smoothstep(width, 0.5 * width, (f - 0.5).abs())
    })
}

fn uneven(rng: &mut Random) -> Field {
    let (seed, pitch, soft) = (rng.random::<u32>(), log_uniform(rng, 3.0, 26.0), uniform(rng, 0.05, 0.5));
    Box::new(move |y, _| {
        let (i, f) = split(y / pitch);
        let (a, b) = (unit(hash(seed, i, 0)), unit(hash(seed, i + 1, 0)));
        a + (b - a) * smoothstep(1.0 - soft, 1.0, f)
    })
}

fn dashed(rng: &mut Random) -> Field {
    let (seed, pitch, length) = (rng.random::<u32>(), log_uniform(rng, 4.0, 16.0), uniform(rng, 1.5, 5.0));
    let (fill, width) = (uniform(rng, 0.4, 0.8), uniform(rng, 0.15, 0.4));
    Box::new(move |y, x| {
        let (i, fv) = split(y / pitch);
        let (_, fu) = split(x / (pitch * length) + unit(hash(seed, i, 0)));
        smoothstep(width, 0.6 * width, (fv - 0.5).abs())
            * smoothstep(fill, fill - 0.1, 2.0 * (fu - 0.5).abs())
    })
}

fn chevrons(rng: &mut Random) -> Field {
    let (pitch, wide, steep) =
        (log_uniform(rng, 5.0, 16.0), log_uniform(rng, 12.0, 50.0), uniform(rng, 0.4, 1.2));
    Box::new(move |y, x| {
        let (_, f) = split(x / wide);
        ((TAU * (y + steep * wide * (f - 0.5).abs()) / pitch).sin() * 3.0).tanh()
    })
}

/// Arcs of machining around a far centre, again and again on a wide grid.
fn rings(rng: &mut Random) -> Field {
    let (seed, pitch, wide) =
        (rng.random::<u32>(), log_uniform(rng, 3.0, 12.0), log_uniform(rng, 150.0, 500.0));
    let jitter = uniform(rng, 0.0, 0.5);
    Box::new(move |y, x| {
        let ((_, fv), (_, fu)) = (split(y / wide), split(x / wide));
        let r = wide * (fv - 0.5).norm(fu - 0.5) / pitch;
        let (i, f) = split(r);
        (TAU * f).sin() + 2.0 * jitter * unit(hash(seed, i, 0))
    })
}

fn lamellae(rng: &mut Random) -> Field {
    let (seed, pitch, size) =
        (rng.random::<u32>(), log_uniform(rng, 4.0, 10.0), log_uniform(rng, 20.0, 60.0));
    Box::new(move |y, x| {
        let bend = gradient(seed, y / size, x / size);
        let (i, f) = split((y + 0.6 * size * bend) / pitch);
        (TAU * f).sin() * (0.5 + unit(hash(seed, i, (x / (6.0 * pitch)).below() as i32)))
    })
}

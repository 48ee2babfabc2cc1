//! Wood, marble, stains, rust, paper.

use std::f32::consts::TAU;

use rand::Rng;

use super::{Field, Program, hold, train};
use crate::noise::{cell, gradient, octaves, smoothstep, split};
use crate::random::{Random, hash, log_uniform, uniform, unit};

pub(super) const PROGRAMS: &[Program] = &[
    train("wood, rings", wood_rings),
    train("wood, boards", boards),
    hold("marble", marble),
    train("veins", veins),
    train("stains", stains),
    train("tide marks", tide_marks),
    train("rust", rust),
    train("paper", paper),
    train("cork", cork),
    hold("drips", drips),
    train("scuffed", scuffed),
];

fn wood_rings(rng: &mut Random) -> Field {
    let (seed, pitch, long) = (rng.random::<u32>(), log_uniform(rng, 4.0, 14.0), uniform(rng, 4.0, 12.0));
    let pores = uniform(rng, 0.0, 0.5);
    Box::new(move |y, x| {
        let bend = octaves(seed, 2, 0.4, y / 60.0, x / (60.0 * long));
        let (_, f) = split((y + 30.0 * bend) / pitch);
        f * f + pores * gradient(seed ^ 1, y / 1.5, x / 18.0)
    })
}

fn boards(rng: &mut Random) -> Field {
    let (seed, wide, pitch) = (rng.random::<u32>(), log_uniform(rng, 24.0, 70.0), log_uniform(rng, 3.0, 9.0));
    Box::new(move |y, x| {
        let (i, fv) = split(y / wide);
        let h = hash(seed, i, 0);
        let bend = octaves(h, 2, 0.4, y / 40.0, x / 260.0);
        let (_, f) = split((y + 14.0 * bend) / pitch);
        let joint = smoothstep(1.5, 0.5, wide * (0.5 - (fv - 0.5).abs()));
        0.5 * f + 0.7 * unit(h) + 0.2 * gradient(h, y / 1.5, x / 25.0) - joint
    })
}

fn marble(rng: &mut Random) -> Field {
    let (seed, size, lines) = (rng.random::<u32>(), log_uniform(rng, 30.0, 90.0), uniform(rng, 1.0, 3.0));
    Box::new(move |y, x| {
        let bend = octaves(seed, 4, 0.6, y / size, x / size);
        (TAU * (lines * y / size + 0.8 * bend)).sin().abs().powf(0.4)
    })
}

fn veins(rng: &mut Random) -> Field {
    let (seed, size, thin) = (rng.random::<u32>(), log_uniform(rng, 20.0, 70.0), uniform(rng, 6.0, 20.0));
    Box::new(move |y, x| {
        let (dy, dx) = (gradient(seed ^ 2, y / 12.0, x / 12.0), gradient(seed ^ 3, y / 12.0, x / 12.0));
        let v = gradient(seed, (y + 3.0 * dy) / size, (x + 3.0 * dx) / size).abs();
        (-thin * v).exp() + 0.2 * octaves(seed ^ 1, 2, 0.6, y / 8.0, x / 8.0)
    })
}

fn stains(rng: &mut Random) -> Field {
    let (seed, size, level) = (rng.random::<u32>(), log_uniform(rng, 20.0, 70.0), uniform(rng, 0.0, 0.5));
    Box::new(move |y, x| {
        let v = octaves(seed, 4, 0.4, y / size, x / size);
        smoothstep(level, level + 0.4, v) + 0.1 * octaves(seed ^ 1, 2, 0.7, y / 4.0, x / 4.0)
    })
}

/// Dried drops: dark rims and paler middles.
fn tide_marks(rng: &mut Random) -> Field {
    let (seed, size, rim) = (rng.random::<u32>(), log_uniform(rng, 24.0, 80.0), uniform(rng, 0.04, 0.12));
    Box::new(move |y, x| {
        let v = octaves(seed, 3, 0.35, y / size, x / size) - 0.15;
        0.35 * smoothstep(0.0, 0.1, v) + smoothstep(rim, 0.0, v.abs()) * smoothstep(-0.03, 0.0, v)
    })
}

fn rust(rng: &mut Random) -> Field {
    let (seed, size) = (rng.random::<u32>(), log_uniform(rng, 16.0, 60.0));
    Box::new(move |y, x| {
        let v = octaves(seed, 5, 0.75, y / size, x / size);
        smoothstep(0.0, 0.8, v) * (0.6 + 0.4 * octaves(seed ^ 1, 2, 0.8, y / 3.0, x / 3.0))
    })
}

fn paper(rng: &mut Random) -> Field {
    let (seed, fine, cloud) = (rng.random::<u32>(), log_uniform(rng, 1.5, 4.0), uniform(rng, 0.2, 1.0));
    Box::new(move |y, x| {
        let a = gradient(seed, y / fine, x / (5.0 * fine)).abs();
        let b = gradient(seed ^ 1, (y + x) / (5.0 * fine), (y - x) / fine).abs();
        a.min(b) + 0.3 * cloud * gradient(seed ^ 2, y / 22.0, x / 22.0)
    })
}

fn cork(rng: &mut Random) -> Field {
    let (seed, size) = (rng.random::<u32>(), log_uniform(rng, 6.0, 20.0));
    Box::new(move |y, x| {
        let cell = cell(seed, 1.0, y / size, x / size);
        0.5 * unit(cell.id) + 0.5 * octaves(cell.id, 3, 0.8, y / size, x / size)
            - 0.6 * smoothstep(1.2, 0.2, size * cell.edge)
    })
}

fn drips(rng: &mut Random) -> Field {
    let (seed, wide, long) = (rng.random::<u32>(), log_uniform(rng, 5.0, 20.0), uniform(rng, 5.0, 14.0));
    Box::new(move |y, x| {
        let v = gradient(seed, y / (wide * long), x / wide);
        smoothstep(0.1, 0.5, v + 0.3 * gradient(seed ^ 1, y / 40.0, x / 15.0))
    })
}

fn scuffed(rng: &mut Random) -> Field {
    let (seed, size) = (rng.random::<u32>(), log_uniform(rng, 12.0, 50.0));
    Box::new(move |y, x| {
        let patch = smoothstep(0.0, 0.6, gradient(seed, y / size, x / (2.0 * size)));
        patch * gradient(seed ^ 1, y / 1.6, x / 30.0) + 0.3 * octaves(seed ^ 2, 3, 0.6, y / size, x / size)
    })
}

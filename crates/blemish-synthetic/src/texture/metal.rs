//! Metal: brushed, ground, turned, cast, rolled, blasted, hammered.

use std::f32::consts::TAU;

use rand::Rng;

use super::{Field, Program, hold, train};
use crate::noise::{Fast, cell, gradient, octaves, scattered, smoothstep, split};
use crate::random::{Random, hash, log_uniform, mix, uniform, unit};

pub(super) const PROGRAMS: &[Program] = &[
    train("brushed, fine", |rng| brushed(rng, 1.0, 2.2)),
    train("brushed, coarse", |rng| brushed(rng, 2.2, 5.0)),
    train("brushed with streaks", streaks),
    train("ground crosswise", ground),
    hold("turned", turned),
    train("cast, bumpy", cast),
    train("cast, pitted", pitted),
    train("orange peel", orange_peel),
    train("sand-blasted", blasted),
    train("hammered", hammered),
    train("rolled", rolled),
    train("mill scale", scale),
    hold("dimpled", dimpled),
];

fn brush(seed: u32, fine: f32, long: f32, y: f32, x: f32) -> f32 {
    gradient(seed, y / fine, x / (fine * long))
        + 0.7 * gradient(seed ^ 1, y / (2.3 * fine), x / (3.0 * fine * long))
}

fn brushed(rng: &mut Random, low: f32, high: f32) -> Field {
    let (seed, fine, long) = (rng.random::<u32>(), log_uniform(rng, low, high), log_uniform(rng, 12.0, 60.0));
    let tone = uniform(rng, 0.0, 0.8);
    Box::new(move |y, x| brush(seed, fine, long, y, x) + tone * gradient(seed ^ 5, y / 40.0, x / 200.0))
}

fn streaks(rng: &mut Random) -> Field {
    let (seed, fine, density) = (rng.random::<u32>(), log_uniform(rng, 1.2, 2.5), uniform(rng, 0.1, 0.5));
    let long = log_uniform(rng, 20.0, 90.0);
    Box::new(move |y, x| {
        let (i, fv) = split(y / fine);
        let (j, fu) = split(x / long + unit(hash(seed ^ 9, i, 0)));
        let h = hash(seed, i, j);
        let on =
            if unit(h) < density { (unit(mix(h)) - 0.3) * (1.0 - (2.0 * fu - 1.0).powi(2)) } else { 0.0 };
        0.25 * brush(seed, fine, 30.0, y, x) + on * (1.0 - (2.0 * fv - 1.0).powi(2))
    })
}

fn ground(rng: &mut Random) -> Field {
    let (seed, fine, long) = (rng.random::<u32>(), log_uniform(rng, 1.2, 3.0), log_uniform(rng, 10.0, 40.0));
    let (sin, cos) = uniform(rng, 0.4, 1.4).sin_cos();
    Box::new(move |y, x| {
        let a = brush(seed, fine, long, y, x);
        a.max(brush(seed ^ 77, fine, long, cos * y + sin * x, cos * x - sin * y))
    })
}

fn turned(rng: &mut Random) -> Field {
    let (seed, pitch, wide) =
        (rng.random::<u32>(), log_uniform(rng, 1.6, 4.0), log_uniform(rng, 60.0, 200.0));
    Box::new(move |y, x| {
        let cell = cell(seed, 0.2, y / wide, x / wide);
        let r = cell.near * wide;
        let angle = cell.offset[0].atan2(cell.offset[1]);
        gradient(seed, r / pitch, angle * 1.5) + 0.5 * (2.0 * angle).cos()
    })
}

fn cast(rng: &mut Random) -> Field {
    let (seed, size, gain) = (rng.random::<u32>(), log_uniform(rng, 4.0, 14.0), uniform(rng, 0.4, 0.8));
    Box::new(move |y, x| {
        let v = octaves(seed, 3, gain, y / size, x / size);
        v - 0.8 * (-v - 0.5).max(0.0)
    })
}

fn pitted(rng: &mut Random) -> Field {
    let (seed, size, level) = (rng.random::<u32>(), log_uniform(rng, 4.0, 12.0), uniform(rng, 0.2, 0.7));
    Box::new(move |y, x| {
        let v = octaves(seed, 3, 0.6, y / size, x / size);
        0.2 * octaves(seed ^ 1, 2, 0.7, y / 3.0, x / 3.0) - smoothstep(level, level + 0.3, v)
    })
}

fn orange_peel(rng: &mut Random) -> Field {
    let (seed, size, ease) = (rng.random::<u32>(), log_uniform(rng, 4.0, 16.0), uniform(rng, 0.1, 0.4));
    Box::new(move |y, x| {
        let (a, b) = (gradient(seed, y / size, x / size), gradient(seed, (y + 1.5) / size, (x + 1.5) / size));
        (b - a) / ease + 0.2 * a
    })
}

fn blasted(rng: &mut Random) -> Field {
    let (seed, size) = (rng.random::<u32>(), log_uniform(rng, 1.3, 3.5));
    Box::new(move |y, x| {
        gradient(seed, y / size, x / size).abs()
            - gradient(seed ^ 1, (y + 1.0) / size, (x + 1.0) / size).abs()
    })
}

fn hammered(rng: &mut Random) -> Field {
    let (seed, size, light) = (rng.random::<u32>(), log_uniform(rng, 10.0, 34.0), uniform(rng, 0.0, TAU));
    let (sin, cos) = light.sin_cos();
    Box::new(move |y, x| {
        let cell = cell(seed, 0.8, y / size, x / size);
        (sin * cell.offset[0] + cos * cell.offset[1]) + 0.6 * cell.near * cell.near
    })
}

fn rolled(rng: &mut Random) -> Field {
    let (seed, fine, pitch) = (rng.random::<u32>(), log_uniform(rng, 2.0, 5.0), log_uniform(rng, 20.0, 80.0));
    let chatter = uniform(rng, 0.1, 0.6);
    Box::new(move |y, x| {
        brush(seed, fine, 25.0, y, x)
            + chatter * (TAU * (x / pitch + 0.2 * gradient(seed, y / 90.0, 0.0))).sin()
    })
}

fn scale(rng: &mut Random) -> Field {
    let (seed, size, level) = (rng.random::<u32>(), log_uniform(rng, 14.0, 60.0), uniform(rng, -0.3, 0.3));
    Box::new(move |y, x| {
        let v = octaves(seed, 4, 0.65, y / size, x / size);
        smoothstep(level - 0.05, level + 0.15, v) + 0.25 * octaves(seed ^ 1, 2, 0.7, y / 4.0, x / 4.0)
    })
}

fn dimpled(rng: &mut Random) -> Field {
    let (seed, size, deep) = (rng.random::<u32>(), log_uniform(rng, 7.0, 22.0), uniform(rng, 0.2, 0.45));
    Box::new(move |y, x| {
        let mut sum = 0.15 * gradient(seed, y / 3.0, x / 3.0);
        scattered(seed, y / size, x / size, |h, dy, dx| {
            let r = deep * (0.6 + 0.4 * unit(mix(h)));
            let d = dy.norm(dx) / r;
            sum += if d < 1.0 { (dy + dx) / r } else { 0.0 };
        });
        sum
    })
}

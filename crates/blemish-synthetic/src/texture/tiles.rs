//! Regular tilings: bricks, tiles, plates, honeycombs, studs.

use std::f32::consts::{PI, TAU};

use rand::Rng;

use super::{Field, Program, hold, train};
use crate::noise::{Fast, gradient, octaves, smoothstep, split};
use crate::random::{Random, chance, hash, log_uniform, uniform, unit};

pub(super) const PROGRAMS: &[Program] = &[
    train("bricks", bricks),
    train("square tiles", tiles),
    train("honeycomb", honeycomb),
    train("tread plate", tread_plate),
    hold("studs", studs),
    train("corrugated", corrugated),
    train("shingles", shingles),
    train("cell with fingers", fingers),
    train("quilt", quilt),
    hold("parquet", parquet),
    train("coils", coils),
];

fn bricks(rng: &mut Random) -> Field {
    let (seed, tall, wide) = (rng.random::<u32>(), log_uniform(rng, 8.0, 30.0), uniform(rng, 1.5, 3.5));
    let (joint, tone) = (log_uniform(rng, 0.8, 2.5), uniform(rng, 0.1, 0.8));
    Box::new(move |y, x| {
        let (i, fv) = split(y / tall);
        let (j, fu) = split(x / (tall * wide) + 0.5 * (i & 1) as f32);
        let d = (tall * (0.5 - (fv - 0.5).abs())).min(tall * wide * (0.5 - (fu - 0.5).abs()));
        smoothstep(0.4 * joint, 1.4 * joint, d) * (1.0 + tone * unit(hash(seed, i, j)))
            + 0.2 * octaves(seed, 2, 0.7, y / 5.0, x / 5.0)
    })
}

fn tiles(rng: &mut Random) -> Field {
    let (seed, size, joint) = (rng.random::<u32>(), log_uniform(rng, 10.0, 60.0), log_uniform(rng, 0.8, 3.0));
    let (tone, bevel) = (uniform(rng, 0.0, 0.6), uniform(rng, 0.0, 0.6));
    Box::new(move |y, x| {
        let ((i, fv), (j, fu)) = (split(y / size), split(x / size));
        let d = size * (0.5 - (fv - 0.5).abs().max((fu - 0.5).abs()));
        smoothstep(0.3 * joint, 1.3 * joint, d) + tone * unit(hash(seed, i, j)) + bevel * (fv + fu - 1.0)
    })
}

fn honeycomb(rng: &mut Random) -> Field {
    let (seed, size, wall) = (rng.random::<u32>(), log_uniform(rng, 8.0, 36.0), uniform(rng, 0.05, 0.2));
    let tone = uniform(rng, 0.0, 0.5);
    Box::new(move |y, x| {
        const TALL: f32 = 1.732_050_8;
        let (v, u) = (y / size, x / size);
        let place = |shift: f32| {
            let (i, fv) = split(v / TALL + shift);
            let (j, fu) = split(u + shift);
            ((fv - 0.5) * TALL, fu - 0.5, hash(seed ^ (shift * 8.0) as u32, i, j))
        };
        let (a, b) = (place(0.0), place(0.5));
        let (v, u, id) = if a.0 * a.0 + a.1 * a.1 < b.0 * b.0 + b.1 * b.1 { a } else { b };
        let d = 0.5 - u.abs().max(0.5 * u.abs() + 0.866 * v.abs());
        smoothstep(0.3 * wall, wall, d) + tone * unit(id)
    })
}

fn tread_plate(rng: &mut Random) -> Field {
    let (seed, size, thin) = (rng.random::<u32>(), log_uniform(rng, 9.0, 30.0), uniform(rng, 3.0, 6.0));
    Box::new(move |y, x| {
        let ((i, fv), (j, fu)) = (split(y / size), split(x / size));
        let (a, b) = (0.7 * (fv + fu - 1.0), 0.7 * (fv - fu));
        let (a, b) = if (i + j).rem_euclid(2) == 0 { (a, b) } else { (b, a) };
        let d = (a * a + b * b * thin * thin).sqrt();
        smoothstep(0.5, 0.3, d) * (1.0 + 3.0 * b) + 0.15 * octaves(seed, 2, 0.7, y / 4.0, x / 4.0)
    })
}

fn studs(rng: &mut Random) -> Field {
    let (size, radius, height) =
        (log_uniform(rng, 8.0, 30.0), uniform(rng, 0.2, 0.42), uniform(rng, 0.3, 1.0));
    Box::new(move |y, x| {
        let ((_, fv), (_, fu)) = (split(y / size), split(x / size));
        let (v, u) = (fv - 0.5, fu - 0.5);
        let d = v.norm(u) / radius;
        if d < 1.0 { 0.5 - height * (v + u) / radius } else { 0.3 * smoothstep(1.0, 1.4, d) }
    })
}

fn corrugated(rng: &mut Random) -> Field {
    let (seed, pitch, power) = (rng.random::<u32>(), log_uniform(rng, 6.0, 40.0), uniform(rng, 0.3, 2.0));
    let grit = uniform(rng, 0.0, 0.3);
    Box::new(move |y, x| {
        let wave = (PI * y / pitch).sin().abs().powf(power);
        wave + grit * gradient(seed, y / 2.0, x / 14.0)
    })
}

fn shingles(rng: &mut Random) -> Field {
    let (seed, size, round) = (rng.random::<u32>(), log_uniform(rng, 8.0, 34.0), uniform(rng, 0.0, 0.5));
    Box::new(move |y, x| {
        let row = (y / size).below();
        let (j, fu) = split(x / size + 0.5 * row.rem_euclid(2.0));
        let hang = round * (1.0 - (2.0 * fu - 1.0).powi(2)).max(0.0).sqrt();
        let (i, fv) = split(y / size - hang);
        fv + 0.4 * unit(hash(seed, i, j)) - smoothstep(1.5, 0.3, size * (0.5 - (fu - 0.5).abs()))
    })
}

/// The thin fingers and wide busbars of a solar cell, over cloudy silicon.
fn fingers(rng: &mut Random) -> Field {
    let (seed, pitch, every) =
        (rng.random::<u32>(), log_uniform(rng, 3.5, 9.0), log_uniform(rng, 30.0, 110.0));
    let (line, bar) = (uniform(rng, 0.2, 0.7), uniform(rng, 1.5, 5.0));
    Box::new(move |y, x| {
        let (_, f) = split(y / pitch);
        let (_, g) = split(x / every);
        let bars = smoothstep(bar + 0.8, bar - 0.3, every * (g - 0.5).abs());
        let lines = line * smoothstep(0.35, 0.15, (f - 0.5).abs());
        0.7 * octaves(seed, 4, 0.55, y / 50.0, x / 50.0) - lines.max(1.6 * bars)
    })
}

fn quilt(rng: &mut Random) -> Field {
    let (seed, size, stitch) = (rng.random::<u32>(), log_uniform(rng, 14.0, 50.0), chance(rng, 0.6));
    Box::new(move |y, x| {
        let (a, b) = ((y + x) / size, (y - x) / size);
        let puff = ((PI * a).sin() * (PI * b).sin()).abs().powf(0.4);
        let seam = if stitch && puff < 0.35 { 0.4 * (TAU * y / 3.5).sin().max(0.0) } else { 0.0 };
        puff + seam + 0.15 * gradient(seed, y / 3.0, x / 3.0)
    })
}

fn parquet(rng: &mut Random) -> Field {
    let (seed, size) = (rng.random::<u32>(), log_uniform(rng, 16.0, 48.0));
    Box::new(move |y, x| {
        let ((i, fv), (j, fu)) = (split(y / size), split(x / size));
        let (a, b) = if (i + j).rem_euclid(2) == 0 { (fv, fu) } else { (fu, fv) };
        let (k, f) = split(4.0 * a);
        let id = hash(seed ^ k as u32, i, j);
        unit(id) + 0.3 * gradient(id, a * size / 1.5, b * size / 14.0)
            - smoothstep(1.2, 0.3, size * 0.25 * (0.5 - (f - 0.5).abs()))
    })
}

fn coils(rng: &mut Random) -> Field {
    let (seed, wide, pitch) = (rng.random::<u32>(), log_uniform(rng, 10.0, 40.0), log_uniform(rng, 3.0, 9.0));
    let lean = uniform(rng, 0.1, 0.6);
    Box::new(move |y, x| {
        let (j, fu) = split(x / wide);
        let round = (1.0 - (2.0 * fu - 1.0).powi(2)).max(0.0).sqrt();
        let turn = if j & 1 == 0 { lean } else { -lean };
        round * (0.6 + 0.4 * (TAU * (y + turn * wide * fu) / pitch).sin())
            + 0.1 * gradient(seed, y / 20.0, x / 20.0)
    })
}

//! Noise with a power-law or a band-limited spectrum, isotropic or not.

use std::f32::consts::{PI, TAU};

use rand::Rng;

use super::{Field, Program, hold, train};
use crate::noise::{Fast, gradient, octaves, smoothstep};
use crate::random::{Random, between, hash, log_uniform, uniform, unit};

pub(super) const PROGRAMS: &[Program] = &[
    train("clouds, smooth", |rng| power_law(rng, 0.25, 0.42)),
    train("clouds, pink", |rng| power_law(rng, 0.45, 0.65)),
    train("clouds, rough", |rng| power_law(rng, 0.7, 1.0)),
    train("ridges", ridges),
    hold("billows", billows),
    train("warped clouds", warped),
    train("contour lines", contours),
    train("terraces", terraces),
    train("grain", grain),
    train("streaked clouds", streaked),
    train("band-pass", band_pass),
    train("waves, all directions", |rng| waves(rng, PI, 0.2)),
    train("waves, one direction", |rng| waves(rng, 0.25, 0.15)),
    train("labyrinth", labyrinth),
    hold("mottle", mottle),
];

fn power_law(rng: &mut Random, low: f32, high: f32) -> Field {
    let (seed, size, gain) = (rng.random::<u32>(), log_uniform(rng, 12.0, 70.0), uniform(rng, low, high));
    Box::new(move |y, x| octaves(seed, 5, gain, y / size, x / size))
}

fn ridges(rng: &mut Random) -> Field {
    let (seed, size, gain) = (rng.random::<u32>(), log_uniform(rng, 12.0, 60.0), uniform(rng, 0.4, 0.6));
    let sharp = uniform(rng, 1.0, 5.0);
    Box::new(move |y, x| {
        let (a, b) = (gradient(seed, y / size, x / size), gradient(seed ^ 7, 2.0 * y / size, 2.0 * x / size));
        (1.0 - a.abs()).max(0.0).powf(sharp) + gain * (1.0 - b.abs()).max(0.0).powf(sharp)
    })
}

fn billows(rng: &mut Random) -> Field {
    let (seed, size, gain) = (rng.random::<u32>(), log_uniform(rng, 10.0, 50.0), uniform(rng, 0.4, 0.7));
    Box::new(move |y, x| {
        (0..3)
            .map(|k| (y / size * f32::powi(2.0, k), x / size * f32::powi(2.0, k), gain.powi(k), k))
            .fold(0.0, |sum, (y, x, weight, k)| {
                sum + weight * gradient(seed.wrapping_add(k as u32), y, x).abs()
            })
    })
}

fn warped(rng: &mut Random) -> Field {
    let (seed, size, gain) = (rng.random::<u32>(), log_uniform(rng, 14.0, 60.0), uniform(rng, 0.35, 0.6));
    let reach = uniform(rng, 0.4, 1.6);
    Box::new(move |y, x| {
        let (y, x) = (y / size, x / size);
        let (dy, dx) = (gradient(seed ^ 1, y, x), gradient(seed ^ 2, y, x));
        octaves(seed, 4, gain, y + reach * dy, x + reach * dx)
    })
}

fn contours(rng: &mut Random) -> Field {
    let (seed, size, lines) = (rng.random::<u32>(), log_uniform(rng, 30.0, 90.0), uniform(rng, 2.0, 7.0));
    let sharp = uniform(rng, 0.4, 4.0);
    Box::new(move |y, x| {
        let v = octaves(seed, 2, 0.4, y / size, x / size);
        (0.5 + 0.5 * (TAU * lines * v).cos()).powf(sharp)
    })
}

fn terraces(rng: &mut Random) -> Field {
    let (seed, size, steps) = (rng.random::<u32>(), log_uniform(rng, 14.0, 70.0), uniform(rng, 2.0, 6.0));
    let gain = uniform(rng, 0.3, 0.6);
    Box::new(move |y, x| {
        let v = steps * octaves(seed, 4, gain, y / size, x / size);
        v.below() + smoothstep(0.35, 0.65, v - v.below())
    })
}

fn grain(rng: &mut Random) -> Field {
    let (seed, size) = (rng.random::<u32>(), log_uniform(rng, 1.2, 3.5));
    Box::new(move |y, x| {
        let (i, j) = ((y / size).below() as i32, (x / size).below() as i32);
        unit(hash(seed, i, j)) + unit(hash(seed ^ 1, i, j)) + gradient(seed, 0.2 * y / size, 0.2 * x / size)
    })
}

fn streaked(rng: &mut Random) -> Field {
    let (seed, size, gain) = (rng.random::<u32>(), log_uniform(rng, 3.0, 14.0), uniform(rng, 0.4, 0.8));
    let long = log_uniform(rng, 3.0, 16.0);
    Box::new(move |y, x| octaves(seed, 3, gain, y / size, x / (size * long)))
}

fn band_pass(rng: &mut Random) -> Field {
    let (seed, size, sharp) = (rng.random::<u32>(), log_uniform(rng, 2.5, 22.0), uniform(rng, 0.5, 4.0));
    Box::new(move |y, x| (sharp * gradient(seed, y / size, x / size)).tanh())
}

fn plane_waves(rng: &mut Random, fan: f32, band: f32) -> Vec<[f32; 3]> {
    let (length, about) = (log_uniform(rng, 4.0, 26.0), uniform(rng, 0.0, TAU));
    (0..between(rng, 5, 9))
        .map(|_| {
            let (k, angle) = (TAU / length * uniform(rng, 1.0 - band, 1.0 + band), uniform(rng, -fan, fan));
            let (sin, cos) = (about + angle).sin_cos();
            [k * sin, k * cos, uniform(rng, 0.0, TAU)]
        })
        .collect()
}

fn waves(rng: &mut Random, fan: f32, band: f32) -> Field {
    let waves = plane_waves(rng, fan, band);
    Box::new(move |y, x| waves.iter().map(|[ky, kx, phase]| (ky * y + kx * x + phase).cos()).sum())
}

/// Thresholded random waves look like the stripes and spots of reaction and diffusion.
fn labyrinth(rng: &mut Random) -> Field {
    let (waves, level, sharp) = (plane_waves(rng, PI, 0.1), uniform(rng, -1.0, 1.0), uniform(rng, 0.8, 4.0));
    Box::new(move |y, x| {
        let v: f32 = waves.iter().map(|[ky, kx, phase]| (ky * y + kx * x + phase).cos()).sum();
        (sharp * (v - level)).tanh()
    })
}

fn mottle(rng: &mut Random) -> Field {
    let (seed, size, fine) = (rng.random::<u32>(), log_uniform(rng, 8.0, 24.0), log_uniform(rng, 1.5, 4.0));
    Box::new(move |y, x| {
        let v = gradient(seed, y / size, x / size);
        (6.0 * v).tanh() * (0.6 + 0.4 * gradient(seed ^ 3, y / fine, x / fine))
    })
}

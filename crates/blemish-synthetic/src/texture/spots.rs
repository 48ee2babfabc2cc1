//! Scattered things: spots, pores, bubbles, fibres, speckles.

use std::f32::consts::TAU;

use rand::Rng;

use super::{Field, Program, hold, train};
use crate::noise::{Fast, gradient, octaves, scattered, smoothstep};
use crate::random::{Random, chance, log_uniform, mix, uniform, unit};

pub(super) const PROGRAMS: &[Program] = &[
    train("spots, scattered", spots),
    train("spots, soft", soft_spots),
    train("pores", |rng| pores(rng, false)),
    train("pores, clustered", |rng| pores(rng, true)),
    train("bubbles", bubbles),
    train("fibres, short", |rng| fibres(rng, 6.0, 14.0)),
    train("fibres, long", |rng| fibres(rng, 16.0, 40.0)),
    train("granite", granite),
    hold("terrazzo", terrazzo),
    train("dust", dust),
    train("perforated", perforated),
    hold("crystals", crystals),
    train("chips pressed together", chips),
];

fn spots(rng: &mut Random) -> Field {
    let (seed, size, radius) = (rng.random::<u32>(), log_uniform(rng, 6.0, 30.0), uniform(rng, 0.15, 0.45));
    let share = uniform(rng, 0.4, 1.0);
    Box::new(move |y, x| {
        let mut v: f32 = 0.0;
        scattered(seed, y / size, x / size, |h, dy, dx| {
            let (k, r) = (mix(h ^ 4), radius * (0.4 + 0.6 * unit(mix(h))));
            if unit(k) < share {
                let d = size * (dy.norm(dx) - r);
                v = v.max((0.4 + 0.6 * unit(mix(k))) * smoothstep(0.7, -0.7, d));
            }
        });
        v
    })
}

fn soft_spots(rng: &mut Random) -> Field {
    let (seed, size, radius) = (rng.random::<u32>(), log_uniform(rng, 8.0, 36.0), uniform(rng, 0.2, 0.5));
    Box::new(move |y, x| {
        let mut v = 0.0;
        scattered(seed, y / size, x / size, |h, dy, dx| {
            let d = (1.0 - (dy * dy + dx * dx) / (radius * radius)).max(0.0);
            v += (2.0 * unit(mix(h)) - 1.0) * d * d;
        });
        v
    })
}

fn pores(rng: &mut Random, clustered: bool) -> Field {
    let (seed, size) = (rng.random::<u32>(), log_uniform(rng, 7.0, 26.0));
    let share = uniform(rng, 0.3, 0.9);
    Box::new(move |y, x| {
        let here =
            if clustered { share * (0.7 + 1.2 * gradient(seed ^ 3, y / 60.0, x / 60.0)) } else { share };
        let mut v = 0.15 * octaves(seed ^ 1, 2, 0.7, y / 4.0, x / 4.0);
        scattered(seed, y / size, x / size, |h, dy, dx| {
            let k = mix(h ^ 4);
            if unit(k) < here {
                let (r, ratio) = (0.06 + 0.22 * unit(mix(k)).powi(2), 0.6 + 0.8 * unit(mix(h)));
                let d = size * ((dy * ratio).norm(dx) - r);
                v -= smoothstep(0.8, -0.8, d) - 0.3 * smoothstep(1.2, 0.0, (d - 1.0).abs());
            }
        });
        v
    })
}

fn bubbles(rng: &mut Random) -> Field {
    let (seed, size, width) = (rng.random::<u32>(), log_uniform(rng, 8.0, 36.0), log_uniform(rng, 0.8, 2.0));
    Box::new(move |y, x| {
        let mut v: f32 = 0.0;
        scattered(seed, y / size, x / size, |h, dy, dx| {
            let r = 0.15 + 0.5 * unit(mix(h));
            let d = size * (dy.norm(dx) - r);
            let shine = 0.6 + 0.4 * (dy - dx) / r;
            v = v.max(shine * smoothstep(width, 0.3 * width, d.abs()));
        });
        v
    })
}

fn fibres(rng: &mut Random, low: f32, high: f32) -> Field {
    let (seed, size) = (rng.random::<u32>(), log_uniform(rng, low, high));
    let (width, fan) =
        (log_uniform(rng, 0.6, 1.6), if chance(rng, 0.5) { TAU } else { uniform(rng, 0.3, 1.5) });
    Box::new(move |y, x| {
        let mut v: f32 = 0.0;
        for layer in 0..2 {
            scattered(seed.wrapping_add(layer), y / size, x / size, |h, dy, dx| {
                let k = mix(h);
                let (sin, cos) = (fan * unit(k)).sin_cos();
                let bend = (unit(mix(k ^ 2)) - 0.5) * 0.8;
                let along = cos * dx + sin * dy;
                let across = cos * dy - sin * dx - bend * (along * along - 0.2);
                let d = size * across.abs().max(0.4 * (along.abs() - 0.8).max(0.0));
                v = v.max((0.4 + 0.6 * unit(mix(k ^ 1))) * smoothstep(width, 0.3 * width, d));
            });
        }
        v
    })
}

fn granite(rng: &mut Random) -> Field {
    let (seed, size, share) = (rng.random::<u32>(), log_uniform(rng, 3.0, 12.0), uniform(rng, 0.1, 0.35));
    Box::new(move |y, x| {
        let a = octaves(seed, 3, 0.7, y / size, x / size);
        let b = octaves(seed ^ 1, 3, 0.7, y / size, x / size);
        smoothstep(share, share + 0.15, a) - smoothstep(share, share + 0.15, b) + 0.2 * a
    })
}

fn terrazzo(rng: &mut Random) -> Field {
    let (seed, size) = (rng.random::<u32>(), log_uniform(rng, 12.0, 40.0));
    Box::new(move |y, x| {
        let mut v = 0.1 * octaves(seed ^ 1, 2, 0.7, y / 3.0, x / 3.0);
        scattered(seed, y / size, x / size, |h, dy, dx| {
            let k = mix(h);
            let (sin, cos) = (TAU * unit(k)).sin_cos();
            let (a, b) = (cos * dy + sin * dx, cos * dx - sin * dy);
            let r = 0.1 + 0.25 * unit(mix(k));
            let d = (a.abs() * 1.3).max((0.8 * a + 0.9 * b).abs()).max((0.5 * a - b).abs()) - r;
            if size * d < 0.0 {
                v = unit(mix(k ^ 5)) * 2.0 - 1.0;
            }
        });
        v
    })
}

fn dust(rng: &mut Random) -> Field {
    let (seed, size, share) = (rng.random::<u32>(), log_uniform(rng, 3.0, 8.0), uniform(rng, 0.05, 0.3));
    Box::new(move |y, x| {
        let mut v = 0.12 * gradient(seed ^ 1, y / 20.0, x / 20.0);
        scattered(seed, y / size, x / size, |h, dy, dx| {
            let k = mix(h ^ 4);
            if unit(k) < share {
                v += unit(mix(k)) * smoothstep(1.2, 0.2, size * dy.norm(dx));
            }
        });
        v
    })
}

fn perforated(rng: &mut Random) -> Field {
    let (pitch, radius, seed) = (log_uniform(rng, 6.0, 26.0), uniform(rng, 0.18, 0.42), rng.random::<u32>());
    let staggered = chance(rng, 0.5);
    Box::new(move |y, x| {
        let row = (y / pitch).below();
        let shift = if staggered && row.rem_euclid(2.0) > 0.5 { 0.5 } else { 0.0 };
        let (fv, fu) = (y / pitch - row - 0.5, (x / pitch + shift).rem_euclid(1.0) - 0.5);
        smoothstep(-0.8, 0.8, pitch * (fv.norm(fu) - radius)) + 0.15 * gradient(seed, y / 5.0, x / 25.0)
    })
}

fn crystals(rng: &mut Random) -> Field {
    let (seed, size) = (rng.random::<u32>(), log_uniform(rng, 8.0, 30.0));
    Box::new(move |y, x| {
        let mut v: f32 = 0.0;
        scattered(seed, y / size, x / size, |h, dy, dx| {
            let k = mix(h);
            let (sin, cos) = (std::f32::consts::FRAC_PI_3 * (k % 3) as f32).sin_cos();
            let (a, b) = ((cos * dy + sin * dx).abs(), (cos * dx - sin * dy).abs());
            let d = size * (a - 0.08).max(b - 0.7 * unit(mix(k)));
            v = v.max(smoothstep(0.8, -0.8, d) * (0.5 + 0.5 * unit(mix(k ^ 3))));
        });
        v
    })
}

fn chips(rng: &mut Random) -> Field {
    let (seed, size) = (rng.random::<u32>(), log_uniform(rng, 8.0, 26.0));
    Box::new(move |y, x| {
        let (mut top, mut v) = (0, 0.5);
        scattered(seed, y / size, x / size, |h, dy, dx| {
            let k = mix(h);
            let (sin, cos) = (TAU * unit(mix(k ^ 1))).sin_cos();
            let (a, b) = (cos * dy + sin * dx, cos * dx - sin * dy);
            if k > top && a.abs() < 0.25 && b.abs() < 0.8 {
                (top, v) = (k, unit(mix(k ^ 2)) + 0.6 * gradient(k, a * size / 2.0, b * size / 20.0) + a);
            }
        });
        v
    })
}

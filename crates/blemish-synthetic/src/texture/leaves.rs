//! Dead leaves: shapes that cover one another, whose statistics resemble those of natural images (Lee, Mumford and
//! Huang 2001; as training images, Baradad et al. 2021, arXiv:2106.05963).

use std::f32::consts::TAU;

use rand::Rng;

use super::{Field, Program, hold, train};
use crate::noise::{Fast, gradient, scattered, smoothstep};
use crate::random::{Random, log_uniform, mix, uniform, unit};

pub(super) const PROGRAMS: &[Program] = &[
    train("leaves, discs", |rng| leaves(rng, Outline::Disc, 0.0)),
    train("leaves, squares", |rng| leaves(rng, Outline::Square, 0.0)),
    train("leaves, textured", |rng| leaves(rng, Outline::Disc, 0.5)),
    train("leaves, flakes", |rng| leaves(rng, Outline::Flake, 0.1)),
    hold("leaves, triangles", |rng| leaves(rng, Outline::Triangle, 0.2)),
    train("leaves, shaded", |rng| leaves(rng, Outline::Dome, 0.0)),
];

#[derive(Clone, Copy, PartialEq)]
enum Outline {
    Disc,
    Square,
    Flake,
    Triangle,
    Dome,
}

fn leaves(rng: &mut Random, outline: Outline, textured: f32) -> Field {
    let (seed, size, ratio) = (rng.random::<u32>(), log_uniform(rng, 8.0, 40.0), uniform(rng, 0.5, 0.8));
    let (stripe, reach) = (log_uniform(rng, 2.5, 8.0), uniform(rng, 0.6, 0.95));
    Box::new(move |y, x| {
        let mut scale = size;
        for layer in 0..4u32 {
            let mut top: Option<(u32, f32, [f32; 2])> = None;
            scattered(seed.wrapping_add(layer), y / scale, x / scale, |h, dy, dx| {
                let k = mix(h);
                if top.is_some_and(|(best, ..)| best > k) {
                    return;
                }
                let radius = reach * (0.3 + 0.7 * unit(mix(k ^ 1)));
                let (sin, cos) = (TAU * unit(mix(k ^ 2))).sin_cos();
                let (v, u) = (cos * dy + sin * dx, cos * dx - sin * dy);
                let inside = match outline {
                    Outline::Disc | Outline::Dome => dy.norm(dx),
                    Outline::Square => 1.3 * v.abs().max(u.abs()),
                    Outline::Flake => (2.6 * v).norm(u),
                    Outline::Triangle => 1.4 * (v.max(-0.5 * v + 0.866 * u.abs())),
                } / radius;
                if inside < 1.0 {
                    top = Some((k, inside, [v, u]));
                }
            });
            if let Some((k, inside, [v, u])) = top {
                let mut value = unit(mix(k ^ 3));
                if outline == Outline::Dome {
                    value = 0.4 * value + 0.6 * (1.0 - inside * inside).max(0.0).sqrt();
                }
                if textured > 0.0 {
                    let pattern = if k & 1 == 0 {
                        (TAU * v * scale / stripe).sin()
                    } else {
                        gradient(k, v * scale / stripe, u * scale / stripe)
                    };
                    value += textured * pattern;
                }
                return value - 0.3 * smoothstep(0.9, 1.0, inside);
            }
            scale *= ratio;
        }
        0.5
    })
}

//! Voronoi cells: grains, polycrystalline tiles, leather, crazed glaze.

use std::f32::consts::TAU;

use rand::Rng;

use super::{Field, Program, hold, train};
use crate::noise::{Cell, cell, gradient, octaves, smoothstep};
use crate::random::{Random, log_uniform, mix, uniform, unit};

pub(super) const PROGRAMS: &[Program] = &[
    train("cell borders", borders),
    train("grains, flat", |rng| grains(rng, 0.0, 0.0)),
    train("grains with borders", |rng| grains(rng, 0.5, 0.15)),
    train("polycrystal, striped grains", striped_grains),
    train("polycrystal, large", |rng| large_grains(rng, 0.25)),
    hold("polycrystal, shaded grains", shaded_grains),
    train("cobbles", cobbles),
    train("leather, coarse", |rng| leather(rng, 9.0, 22.0)),
    train("leather, fine", |rng| leather(rng, 4.0, 9.0)),
    hold("leather, stretched", stretched_leather),
    train("crazed glaze", glaze),
    train("cone cells", cones),
    train("shards", shards),
    train("foam", foam),
];

/// The cell of size `size` px at a point displaced by noise of `wobble` cells.
fn wobbled(seed: u32, size: f32, wobble: f32, y: f32, x: f32) -> Cell {
    let (y, x) = (y / size, x / size);
    let (dy, dx) = (gradient(seed ^ 11, 1.7 * y, 1.7 * x), gradient(seed ^ 13, 1.7 * y, 1.7 * x));
    cell(seed, 0.95, y + wobble * dy, x + wobble * dx)
}

fn borders(rng: &mut Random) -> Field {
    let (seed, size, width) = (rng.random::<u32>(), log_uniform(rng, 7.0, 40.0), log_uniform(rng, 0.7, 2.5));
    let wobble = uniform(rng, 0.0, 0.3);
    Box::new(move |y, x| smoothstep(0.3 * width, 1.3 * width, size * wobbled(seed, size, wobble, y, x).edge))
}

fn grains(rng: &mut Random, border: f32, grit: f32) -> Field {
    let (seed, size) = (rng.random::<u32>(), log_uniform(rng, 5.0, 40.0));
    let wobble = uniform(rng, 0.0, 0.35);
    Box::new(move |y, x| {
        let cell = wobbled(seed, size, wobble, y, x);
        let rim = if border > 0.0 { border * smoothstep(1.5, 0.5, size * cell.edge) } else { 0.0 };
        let fine = if grit > 0.0 { grit * gradient(seed ^ 5, y / 3.0, x / 3.0) } else { 0.0 };
        unit(cell.id) - rim + fine
    })
}

fn striped_grains(rng: &mut Random) -> Field {
    let (seed, size, length) =
        (rng.random::<u32>(), log_uniform(rng, 14.0, 70.0), log_uniform(rng, 2.5, 9.0));
    let depth = uniform(rng, 0.1, 0.5);
    Box::new(move |y, x| {
        let cell = wobbled(seed, size, 0.15, y, x);
        let (sin, cos) = (TAU * unit(mix(cell.id ^ 9))).sin_cos();
        unit(cell.id) + depth * (TAU * (sin * y + cos * x) / length).sin()
    })
}

fn large_grains(rng: &mut Random, depth: f32) -> Field {
    let (seed, size, fine) =
        (rng.random::<u32>(), log_uniform(rng, 40.0, 130.0), log_uniform(rng, 2.0, 12.0));
    let twins = uniform(rng, 0.0, 0.4);
    Box::new(move |y, x| {
        let coarse = wobbled(seed, size, 0.12, y, x);
        let inner = cell(seed ^ coarse.id, 1.0, 4.0 * y / size, 1.1 * x / size);
        unit(coarse.id) + twins * unit(inner.id) + depth * octaves(seed ^ 3, 2, 0.6, y / fine, x / fine)
    })
}

fn shaded_grains(rng: &mut Random) -> Field {
    let (seed, size, slope) = (rng.random::<u32>(), log_uniform(rng, 12.0, 60.0), uniform(rng, 0.4, 1.2));
    Box::new(move |y, x| {
        let cell = wobbled(seed, size, 0.1, y, x);
        let (sin, cos) = (TAU * unit(mix(cell.id ^ 3))).sin_cos();
        unit(cell.id) + slope * (sin * cell.offset[0] + cos * cell.offset[1])
            - 0.4 * smoothstep(1.6, 0.4, size * cell.edge)
    })
}

fn cobbles(rng: &mut Random) -> Field {
    let (seed, size, power) = (rng.random::<u32>(), log_uniform(rng, 6.0, 32.0), uniform(rng, 0.3, 1.0));
    let tone = uniform(rng, 0.0, 0.5);
    Box::new(move |y, x| {
        let cell = wobbled(seed, size, 0.1, y, x);
        cell.edge.max(0.0).powf(power) + tone * unit(cell.id)
    })
}

fn leather(rng: &mut Random, low: f32, high: f32) -> Field {
    let (seed, size) = (rng.random::<u32>(), log_uniform(rng, low, high));
    let (wobble, crease, fine) = (uniform(rng, 0.2, 0.5), uniform(rng, 0.08, 0.25), uniform(rng, 0.0, 0.3));
    Box::new(move |y, x| {
        let cell = wobbled(seed, size, wobble, y, x);
        let dome = smoothstep(0.0, crease, cell.edge) - 0.3 * cell.near;
        dome + 0.15 * unit(cell.id) + fine * octaves(seed ^ 5, 2, 0.6, y * 2.5 / size, x * 2.5 / size)
    })
}

fn stretched_leather(rng: &mut Random) -> Field {
    let (seed, size, long) = (rng.random::<u32>(), log_uniform(rng, 4.0, 12.0), uniform(rng, 1.8, 4.0));
    Box::new(move |y, x| {
        let cell = wobbled(seed, size, 0.6, y, x / long);
        smoothstep(0.0, 0.2, cell.edge) + 0.4 * octaves(seed ^ 1, 3, 0.5, y / (4.0 * size), x / (4.0 * size))
    })
}

/// Wide cells broken into smaller ones, with hairlines between them.
fn glaze(rng: &mut Random) -> Field {
    let (seed, size, width) = (rng.random::<u32>(), log_uniform(rng, 25.0, 90.0), log_uniform(rng, 0.5, 1.4));
    let inner = uniform(rng, 0.0, 0.8);
    Box::new(move |y, x| {
        let coarse = wobbled(seed, size, 0.2, y, x);
        let fine = wobbled(seed ^ coarse.id, 0.4 * size, 0.15, y, x);
        let main = smoothstep(1.6 * width, 0.5 * width, size * coarse.edge);
        let side = smoothstep(width, 0.3 * width, 0.4 * size * fine.edge);
        let ground = 0.12 * gradient(seed ^ 4, 2.0 * y / size, 2.0 * x / size);
        ground - main.max(inner * side)
    })
}

fn cones(rng: &mut Random) -> Field {
    let (seed, size, power) = (rng.random::<u32>(), log_uniform(rng, 5.0, 30.0), uniform(rng, 0.5, 2.0));
    Box::new(move |y, x| cell(seed, 0.9, y / size, x / size).near.powf(power))
}

fn shards(rng: &mut Random) -> Field {
    let (seed, size, long) = (rng.random::<u32>(), log_uniform(rng, 8.0, 40.0), uniform(rng, 2.0, 5.0));
    Box::new(move |y, x| {
        let (a, b) =
            (cell(seed, 1.0, y / size, x / (size * long)), cell(seed ^ 1, 1.0, y / (size * long), x / size));
        unit(a.id) + unit(b.id)
    })
}

fn foam(rng: &mut Random) -> Field {
    let (seed, size) = (rng.random::<u32>(), log_uniform(rng, 8.0, 36.0));
    let (rim, inner) = (uniform(rng, 0.05, 0.18), uniform(rng, 0.35, 0.6));
    Box::new(move |y, x| {
        let (large, small) = (
            cell(seed, 1.0, y / size, x / size),
            cell(seed ^ 1, 1.0, y / (inner * size), x / (inner * size)),
        );
        smoothstep(rim, 0.0, large.edge) + 0.5 * smoothstep(rim, 0.0, small.edge) + 0.5 * large.near
    })
}

//! Cracks, scratches, fibres, and broken or doubled threads.

use super::Damage;
use super::region::{Region, crack as crack_paths, walk};
use crate::canvas::Canvas;
use crate::random::{chance, log_uniform, uniform};

/// Adds `delta` times the opacity to the colour of every pixel of `region`.
fn shift(canvas: &mut Canvas, region: &Region, delta: f32) {
    region.each(|at, _, _, alpha| {
        for plane in &mut canvas.colour {
            plane[at] = (plane[at] + delta * alpha).clamp(0.0, 1.0);
        }
    });
}

pub(super) fn crack(damage: &mut Damage) -> Option<Canvas> {
    let centre = damage.place()?;
    let delta = damage.sign(centre) * (1.3 * damage.amplitude).min(0.8);
    let paths = crack_paths(damage.rng, centre, damage.length);
    let region = Region::strokes(damage.view.size, &paths).within(&damage.clean.object);
    let mut canvas = damage.clean.clone();
    shift(&mut canvas, &region, delta);
    Some(canvas)
}

/// A groove: its middle darker or brighter, a rim of the opposite sign beside it.
pub(super) fn scratch(damage: &mut Damage) -> Option<Canvas> {
    let centre = damage.place()?;
    let sign = damage.sign(centre);
    let width = log_uniform(damage.rng, 0.8, 3.5);
    let drift = if chance(damage.rng, 0.5) { 0.0 } else { uniform(damage.rng, -1.5, 1.5) / damage.length };
    let bend = if chance(damage.rng, 0.3) { 0.06 } else { 0.0 };
    let path = walk(damage.rng, centre, damage.length, [width, bend], drift);
    let mut canvas = damage.clean.clone();
    let object = &damage.clean.object;
    if chance(damage.rng, 0.6) {
        let off = 0.5 * width + 0.6;
        let rim: Vec<_> = path.iter().map(|[y, x, w]| [y + 0.7 * off, x + 0.7 * off, 0.7 * w]).collect();
        let rim = Region::strokes(damage.view.size, &[rim]).within(object);
        shift(&mut canvas, &rim, -0.7 * sign * damage.amplitude);
    }
    let mut paths = vec![path];
    if chance(damage.rng, 0.2) {
        let (dy, dx) = (uniform(damage.rng, -8.0, 8.0), uniform(damage.rng, -8.0, 8.0));
        paths.push(paths[0].iter().map(|[y, x, w]| [y + dy, x + dx, 0.7 * w]).collect());
    }
    let region = Region::strokes(damage.view.size, &paths).within(object);
    shift(&mut canvas, &region, sign * damage.amplitude);
    Some(canvas)
}

pub(super) fn fibre(damage: &mut Damage) -> Option<Canvas> {
    let centre = damage.place()?;
    let delta = damage.sign(centre) * damage.amplitude;
    let width = log_uniform(damage.rng, 0.9, 2.2);
    let drift = uniform(damage.rng, -4.0, 4.0) / damage.length;
    let length = damage.length.max(10.0);
    let path: Vec<_> = walk(damage.rng, centre, length, [width, 0.15], drift)
        .iter()
        .map(|[y, x, _]| [*y, *x, width])
        .collect();
    let shadow: Vec<_> = path.iter().map(|[y, x, w]| [y + 1.5, x + 1.0, 1.5 * w]).collect();
    let mut canvas = damage.clean.clone();
    shift(
        &mut canvas,
        &Region::strokes(damage.view.size, &[shadow]).within(&damage.clean.object),
        -0.3 * delta.abs(),
    );
    let region = Region::strokes(damage.view.size, &[path]).within(&damage.clean.object);
    let colour = damage.mean(centre, 6).map(|v| v + delta);
    region.each(|at, _, _, alpha| canvas.blend(at, colour, 0.9 * alpha));
    Some(canvas)
}

/// A strip along the texture's axis, and the unit vector along it.
fn strip(damage: &mut Damage) -> Option<(Region, [f32; 2], f32)> {
    let centre = damage.place()?;
    let upright = chance(damage.rng, 0.5);
    let angle = if upright { std::f32::consts::FRAC_PI_2 } else { 0.0 } + uniform(damage.rng, -0.05, 0.05);
    let wide = log_uniform(damage.rng, 2.0, 9.0);
    let long = damage.length.max(1.5 * wide);
    let region = Region::rectangle(damage.view.size, centre, [long, wide], angle, 0.6);
    Some((region, [angle.sin(), angle.cos()], wide))
}

/// Resamples the canvas in `region` at places displaced by `[dy, dx]`.
fn displace(damage: &Damage, region: &Region, [dy, dx]: [f32; 2]) -> Canvas {
    let (size, mut canvas) = (damage.view.size, damage.clean.clone());
    let clean = damage.clean;
    let planes = canvas.colour.iter_mut().zip(&clean.colour).chain([(&mut canvas.fine, &clean.fine)]);
    for (plane, source) in planes {
        region.each(|at, y, x, alpha| {
            let v = Canvas::bilinear(size, source, y as f32 + dy, x as f32 + dx);
            plane[at] += alpha * (v - plane[at]);
        });
    }
    canvas
}

pub(super) fn thread_break(damage: &mut Damage) -> Option<Canvas> {
    let (region, [sin, cos], wide) = strip(damage)?;
    let along = uniform(damage.rng, 2.0, 3.0 * wide);
    let across = uniform(damage.rng, -0.4, 0.4) * wide;
    let mut canvas = displace(damage, &region, [along * sin + across * cos, along * cos - across * sin]);
    if chance(damage.rng, 0.5) {
        let delta = if chance(damage.rng, 0.7) { -damage.amplitude } else { damage.amplitude };
        shift(&mut canvas, &region, delta);
    }
    Some(canvas)
}

pub(super) fn doubled_thread(damage: &mut Damage) -> Option<Canvas> {
    let (region, [sin, cos], wide) = strip(damage)?;
    let across = if chance(damage.rng, 0.5) { wide } else { -wide };
    let mut canvas = displace(damage, &region, [across * cos, -across * sin]);
    let delta = if chance(damage.rng, 0.6) { 0.6 * damage.amplitude } else { -0.6 * damage.amplitude };
    shift(&mut canvas, &region, delta);
    Some(canvas)
}

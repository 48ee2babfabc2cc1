//! Defects of a region: colour, height, texture, sharpness.

use std::f32::consts::{FRAC_PI_2, TAU};

use rand::Rng;

use super::Damage;
use super::region::Region;
use crate::canvas::{Canvas, blur};
use crate::noise::{gradient, lerp, octaves};
use crate::random::{chance, log_uniform, pick, uniform};
use crate::surface::{Surface, surface_look, tint};

/// A blob or, now and then, a rectangle on the product.
fn region(damage: &mut Damage, soft: [f32; 2]) -> Option<(Region, [f32; 2])> {
    let centre = damage.place()?;
    let size = damage.view.size;
    let region = if chance(damage.rng, 0.2) {
        let (angle, ratio) = (uniform(damage.rng, 0.0, TAU), log_uniform(damage.rng, 0.4, 1.0));
        let angle = if chance(damage.rng, 0.5) { pick(damage.rng, &[0.0, FRAC_PI_2]) } else { angle };
        Region::rectangle(size, centre, [damage.length, damage.length * ratio], angle, 0.7)
    } else {
        let soft = uniform(damage.rng, soft[0], soft[1]);
        Region::blob(damage.rng, size, centre, damage.length, soft)
    };
    Some((region.within(&damage.clean.object), centre))
}

/// Blends `other` over the clean canvas within `region`.
fn blend(
    damage: &Damage,
    region: &Region,
    opacity: f32,
    other: impl Fn(&[f32], usize, usize, usize) -> f32,
) -> Canvas {
    let mut canvas = damage.clean.clone();
    let planes = canvas.colour.iter_mut().zip(&damage.clean.colour);
    for (plane, source) in planes.chain([(&mut canvas.fine, &damage.clean.fine)]) {
        region.each(|at, y, x, alpha| plane[at] = lerp(plane[at], other(source, at, y, x), alpha * opacity));
    }
    canvas
}

pub(super) fn stain(damage: &mut Damage) -> Option<Canvas> {
    let (region, centre) = region(damage, [0.2, 1.0])?;
    let sign = damage.sign(centre);
    let coloured = damage.clean.colour.len() == 3;
    let tinted = coloured && chance(damage.rng, 0.7);
    let tone = tint(damage.rng, 0.5, tinted).map(|v| v - 0.5);
    let (rim, mottle, seed): (f32, f32, u32) =
        (uniform(damage.rng, 0.0, 1.0).powi(2), uniform(damage.rng, 0.0, 0.6), damage.rng.random());
    let mut canvas = damage.clean.clone();
    let amplitude = damage.amplitude;
    region.each(|at, y, x, alpha| {
        let rough = 1.0 + mottle * octaves(seed, 3, 0.6, y as f32 / 9.0, x as f32 / 9.0);
        let shape = alpha + rim * 4.0 * alpha * (1.0 - alpha);
        for (k, plane) in canvas.colour.iter_mut().enumerate() {
            let delta = amplitude * shape * rough * (sign + 0.9 * tone[k]);
            let factor = if sign < 0.0 { plane[at].max(0.35) } else { (1.0 - plane[at]).max(0.35) };
            plane[at] = (plane[at] + delta * factor * 1.5).clamp(0.0, 1.0);
        }
    });
    Some(canvas)
}

pub(super) fn colour_change(damage: &mut Damage) -> Option<Canvas> {
    let (region, centre) = region(damage, [0.02, 0.3])?;
    let sign = damage.sign(centre);
    let amplitude = 0.8 * damage.amplitude;
    let shift = if damage.clean.colour.len() == 3 && chance(damage.rng, 0.8) {
        let hue = uniform(damage.rng, 0.0, TAU);
        [0.0, 2.1, 4.2].map(|turn: f32| 1.3 * amplitude * (hue + turn).cos())
    } else {
        [sign * amplitude; 3]
    };
    let mut canvas = damage.clean.clone();
    region.each(|at, _, _, alpha| {
        for (plane, shift) in canvas.colour.iter_mut().zip(shift) {
            plane[at] = (plane[at] + alpha * shift).clamp(0.0, 1.0);
        }
    });
    Some(canvas)
}

pub(super) fn contamination(damage: &mut Damage) -> Option<Canvas> {
    let centre = damage.place()?;
    let delta = damage.sign(centre) * damage.amplitude.max(0.1);
    let length = damage.length;
    let region = Region::specks(damage.rng, damage.view.size, centre, length).within(&damage.clean.object);
    let coloured = damage.clean.colour.len() == 3;
    let tinted = coloured && chance(damage.rng, 0.5);
    let tone = tint(damage.rng, 0.5, tinted).map(|v| v - 0.5);
    let mean = damage.mean(centre, 6);
    let colour = [0, 1, 2].map(|k| mean[k] + delta + 0.5 * damage.amplitude * tone[k]);
    let height = uniform(damage.rng, 0.0, 2.0);
    let seed = damage.rng.random();
    let mut canvas = damage.clean.clone();
    region.each(|at, y, x, alpha| {
        let grit = 0.08 * gradient(seed, y as f32 / 2.5, x as f32 / 2.5);
        canvas.blend(at, colour.map(|c| c + grit), 0.95 * alpha);
        canvas.relief[at] += height * alpha;
    });
    Some(canvas)
}

pub(super) fn dent(damage: &mut Damage) -> Option<Canvas> {
    let (region, _) = region(damage, [0.6, 1.0])?;
    let deep =
        (0.2 + 0.5 * damage.amplitude) * damage.length * if chance(damage.rng, 0.7) { -1.0 } else { 1.0 };
    let mut canvas = damage.clean.clone();
    let shade = 1.0 - 0.3 * damage.amplitude * uniform(damage.rng, 0.0, 1.0);
    region.each(|at, _, _, alpha| {
        canvas.relief[at] += deep * alpha;
        for plane in &mut canvas.colour {
            plane[at] *= lerp(1.0, shade, alpha);
        }
    });
    Some(canvas)
}

pub(super) fn hole(damage: &mut Damage) -> Option<Canvas> {
    damage.length = damage.length.min(0.16 * damage.view.side).max(4.0);
    let (region, centre) = region(damage, [0.02, 0.15])?;
    let dark = damage.mean(centre, 5).map(|v| v * (0.9 - 1.2 * damage.amplitude).max(0.05));
    let mut canvas = damage.clean.clone();
    region.each(|at, _, _, alpha| {
        canvas.blend(at, dark, alpha);
        canvas.fine[at] *= 1.0 - alpha;
        canvas.relief[at] -= 2.5 * alpha;
    });
    Some(canvas)
}

pub(super) fn foreign_texture(damage: &mut Damage) -> Option<Canvas> {
    let (region, centre) = region(damage, [0.02, 0.5])?;
    let mean = damage.mean(centre, 8);
    let coloured = damage.clean.colour.len() == 3;
    let mut look = surface_look(damage.rng, coloured);
    // Often as bright as the place itself.
    if chance(damage.rng, 0.7) {
        look.brightness = (mean.iter().sum::<f32>() / 3.0).clamp(0.15, 0.85);
    }
    look.contrast *= uniform(damage.rng, 0.3, 1.0);
    look.layers = 0;
    let surface = Surface::new(damage.rng, damage.families, look);
    let opacity = (0.25 + 2.0 * damage.amplitude).min(1.0);
    let mut canvas = damage.clean.clone();
    region.each(|at, y, x, alpha| {
        let value = surface.value(y as f32, x as f32);
        canvas.blend(at, surface.colour(value), alpha * opacity);
        canvas.fine[at] = lerp(canvas.fine[at], value * surface.relief, alpha * opacity);
    });
    Some(canvas)
}

/// Fills `region` with what lies elsewhere, turned.
fn paste(damage: &mut Damage, region: &Region, centre: [f32; 2]) -> Option<Canvas> {
    let from = damage.place()?;
    let angle = if chance(damage.rng, 0.5) { 0.0 } else { uniform(damage.rng, 0.0, TAU) };
    let (sin, cos) = angle.sin_cos();
    let (size, gain) = (damage.view.size, 1.0 + uniform(damage.rng, -0.4, 0.4) * damage.amplitude);
    Some(blend(damage, region, 1.0, |source, _, y, x| {
        let (dy, dx) = (y as f32 - centre[0], x as f32 - centre[1]);
        gain * Canvas::bilinear(size, source, from[0] + cos * dy + sin * dx, from[1] + cos * dx - sin * dy)
    }))
}

pub(super) fn cut_paste(damage: &mut Damage) -> Option<Canvas> {
    let (region, centre) = region(damage, [0.02, 0.4])?;
    paste(damage, &region, centre)
}

pub(super) fn scar(damage: &mut Damage) -> Option<Canvas> {
    let centre = damage.place()?;
    let (angle, wide) = (uniform(damage.rng, 0.0, TAU), log_uniform(damage.rng, 2.0, 8.0));
    let long = damage.length.max(2.0 * wide);
    let region =
        Region::rectangle(damage.view.size, centre, [long, wide], angle, 0.5).within(&damage.clean.object);
    paste(damage, &region, centre)
}

pub(super) fn contrast_change(damage: &mut Damage) -> Option<Canvas> {
    let (region, _) = region(damage, [0.1, 1.0])?;
    let gain =
        if chance(damage.rng, 0.5) { 1.0 + 3.0 * damage.amplitude } else { 1.0 - 1.6 * damage.amplitude };
    let sigma = 0.3 * damage.length.clamp(6.0, 30.0);
    let smooth: Vec<_> =
        damage.clean.colour.iter().map(|plane| blur(damage.view.size, plane, sigma)).collect();
    let mut canvas = damage.clean.clone();
    for (plane, smooth) in canvas.colour.iter_mut().zip(&smooth) {
        region.each(|at, _, _, alpha| {
            let v = smooth[at] + gain.max(0.0) * (plane[at] - smooth[at]);
            plane[at] = lerp(plane[at], v, alpha).clamp(0.0, 1.0);
        });
    }
    region.each(|at, _, _, alpha| canvas.fine[at] *= lerp(1.0, gain.max(0.0), alpha));
    Some(canvas)
}

pub(super) fn local_blur(damage: &mut Damage) -> Option<Canvas> {
    let (region, _) = region(damage, [0.1, 1.0])?;
    let sigma = 0.8 + 6.0 * damage.amplitude;
    let size = damage.view.size;
    let mut canvas = damage.clean.clone();
    for plane in canvas.colour.iter_mut().chain([&mut canvas.fine]) {
        let smooth = blur(size, plane, sigma);
        region.each(|at, _, _, alpha| plane[at] = lerp(plane[at], smooth[at], alpha));
    }
    Some(canvas)
}

pub(super) fn texture_warp(damage: &mut Damage) -> Option<Canvas> {
    damage.length = damage.length.max(8.0);
    let (region, centre) = region(damage, [0.05, 0.6])?;
    let turned = chance(damage.rng, 0.5);
    let angle = if turned { uniform(damage.rng, 0.2, 1.6) } else { 0.0 };
    let zoom = if turned { 1.0 } else { log_uniform(damage.rng, 0.5, 2.0) };
    let (sin, cos) = (angle.sin() * zoom, angle.cos() * zoom);
    let size = damage.view.size;
    Some(blend(damage, &region, 1.0, |source, _, y, x| {
        let (dy, dx) = (y as f32 - centre[0], x as f32 - centre[1]);
        Canvas::bilinear(size, source, centre[0] + cos * dy + sin * dx, centre[1] + cos * dx - sin * dy)
    }))
}

/// The darkest or the brightest value within a small disc takes over.
pub(super) fn bleed(damage: &mut Damage) -> Option<Canvas> {
    let (region, _) = region(damage, [0.1, 0.7])?;
    let reach = (1.0 + 4.0 * damage.amplitude).round().min(3.0) as isize;
    let dark = chance(damage.rng, 0.6);
    let [height, width] = damage.view.size;
    Some(blend(damage, &region, 1.0, |source, at, y, x| {
        let mut best = source[at];
        for dy in -reach..=reach {
            for dx in -reach..=reach {
                let (i, j) = (y.saturating_add_signed(dy), x.saturating_add_signed(dx));
                if dy * dy + dx * dx <= reach * reach + 1 && i < height && j < width {
                    let v = source[i * width + j];
                    best = if dark { best.min(v) } else { best.max(v) };
                }
            }
        }
        best
    }))
}

pub(super) fn glare(damage: &mut Damage) -> Option<Canvas> {
    damage.length = damage.length.max(8.0);
    let (region, _) = region(damage, [0.7, 1.0])?;
    let mut canvas = damage.clean.clone();
    region.each(|at, _, _, alpha| canvas.blend(at, [1.0; 3], (1.5 * damage.amplitude * alpha).min(1.0)));
    Some(canvas)
}

pub(super) fn pitting(damage: &mut Damage) -> Option<Canvas> {
    let centre = damage.place()?;
    let mut canvas = damage.clean.clone();
    for _ in 0..4 {
        let length = damage.length;
        let region =
            Region::specks(damage.rng, damage.view.size, centre, length).within(&damage.clean.object);
        region.each(|at, _, _, alpha| {
            canvas.relief[at] -= 1.5 * alpha;
            for plane in &mut canvas.colour {
                plane[at] *= 1.0 - 0.8 * damage.amplitude * alpha;
            }
        });
    }
    Some(canvas)
}

pub(super) fn smear(damage: &mut Damage) -> Option<Canvas> {
    let (region, _) = region(damage, [0.1, 0.8])?;
    let (sin, cos) = uniform(damage.rng, 0.0, TAU).sin_cos();
    let (size, long) = (damage.view.size, 2.0 + 16.0 * damage.amplitude);
    Some(blend(damage, &region, 1.0, |source, _, y, x| {
        let taps = (0..9).map(|k| {
            let t = long * (k as f32 / 8.0 - 0.5);
            Canvas::bilinear(size, source, y as f32 + t * sin, x as f32 + t * cos)
        });
        taps.sum::<f32>() / 9.0
    }))
}

pub(super) fn fold(damage: &mut Damage) -> Option<Canvas> {
    damage.length = damage.length.max(10.0);
    let (region, centre) = region(damage, [0.8, 1.0])?;
    let pull = uniform(damage.rng, 0.1, 0.3) * damage.length;
    let (sin, cos) = uniform(damage.rng, 0.0, TAU).sin_cos();
    let (size, half) = (damage.view.size, 0.5 * damage.length);
    Some(blend(damage, &region, 1.0, |source, _, y, x| {
        let r = ((y as f32 - centre[0]) / half).hypot((x as f32 - centre[1]) / half);
        let t = pull * (1.0 - 0.5 * r).max(0.0);
        Canvas::bilinear(size, source, y as f32 + t * sin, x as f32 + t * cos)
    }))
}

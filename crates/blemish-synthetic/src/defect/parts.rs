//! Defects of whole parts: missing, moved, chipped, not printed.

use std::f32::consts::{PI, TAU};

use super::Damage;
use super::region::Region;
use crate::canvas::{Canvas, blur};
use crate::product::Part;
use crate::random::{between, chance, log_uniform, pick, uniform};

/// A part that may go, and that lies in the image.
fn loose(damage: &mut Damage) -> Option<usize> {
    let [height, width] = damage.view.size;
    let found: Vec<usize> = (0..damage.composition.parts.len())
        .filter(|&k| {
            let part = &damage.composition.parts[k];
            let [y, x] = damage.view.outwards(part.at);
            part.loose && y > 0.0 && x > 0.0 && y < height as f32 && x < width as f32
        })
        .collect();
    (!found.is_empty()).then(|| pick(damage.rng, &found))
}

fn rendered(damage: &Damage, parts: &[Part]) -> Canvas {
    damage.view.render(damage.composition, parts, damage.clean.colour.len())
}

pub(super) fn missing(damage: &mut Damage) -> Option<Canvas> {
    let gone = loose(damage)?;
    let mut parts = damage.composition.parts.clone();
    // The parts after it keep their numbers, and so their textures.
    parts[gone].shape = crate::product::Shape::Disc(-1.0);
    Some(rendered(damage, &parts))
}

pub(super) fn moved(damage: &mut Damage) -> Option<Canvas> {
    let gone = loose(damage)?;
    let mut parts = damage.composition.parts.clone();
    let part = &mut parts[gone];
    let pixel = 1.0 / damage.view.side;
    let reach = log_uniform(damage.rng, 2.0, 30.0) * pixel;
    let reach = reach.min(0.8 * part.shape.reach());
    let angle = uniform(damage.rng, 0.0, TAU);
    if chance(damage.rng, 0.7) {
        part.at = [part.at[0] + reach * angle.sin(), part.at[1] + reach * angle.cos()];
    } else {
        part.angle += log_uniform(damage.rng, 0.05, 0.8);
    }
    if chance(damage.rng, 0.3) {
        part.shade *= 1.0 - 0.8 * damage.amplitude;
    }
    Some(rendered(damage, &parts))
}

/// A bite out of the outline shows the ground behind.
pub(super) fn chipped(damage: &mut Damage) -> Option<Canvas> {
    let [height, width] = damage.view.size;
    let object = &damage.clean.object;
    let mut edge = None;
    for _ in 0..2000 {
        let (y, x) = (between(damage.rng, 1, height - 2), between(damage.rng, 1, width - 2));
        let at = y * width + x;
        if object[at] > 0.5 && [at - 1, at + 1, at - width, at + width].iter().any(|&k| object[k] < 0.5) {
            edge = Some([y as f32, x as f32]);
            break;
        }
    }
    let centre = edge?;
    let length = damage.length.min(0.2 * height.min(width) as f32).max(5.0);
    let region = Region::blob(damage.rng, damage.view.size, centre, length, 0.1).within(object);
    let bare = rendered(damage, &[]);
    let mut canvas = damage.clean.clone();
    let whole = chance(damage.rng, 0.7);
    let shade = damage.mean(centre, 6).map(|v| v * (1.0 - damage.amplitude));
    region.each(|at, _, _, alpha| {
        if whole {
            for (plane, bare) in canvas.colour.iter_mut().zip(&bare.colour) {
                plane[at] += alpha * (bare[at] - plane[at]);
            }
            canvas.relief[at] *= 1.0 - alpha;
            canvas.fine[at] += alpha * (bare.fine[at] - canvas.fine[at]);
        } else {
            canvas.blend(at, shade, alpha);
            canvas.relief[at] -= 2.0 * alpha;
        }
    });
    Some(canvas)
}

/// Ink is not there; where nothing is printed, the texture is smoothed away.
pub(super) fn print_missing(damage: &mut Damage) -> Option<Canvas> {
    let printed = damage.composition.parts.iter().any(|part| part.print);
    let mut centre = damage.place()?;
    let bare = if printed {
        let mut parts = damage.composition.parts.clone();
        let inked: Vec<usize> = (0..parts.len()).filter(|&k| parts[k].print).collect();
        let chosen = pick(damage.rng, &inked);
        let along = parts[chosen].shape.reach().min(0.3) * uniform(damage.rng, -1.0, 1.0);
        let (sin, cos) = parts[chosen].angle.sin_cos();
        let at = parts[chosen].at;
        centre = damage.view.outwards([at[0] + along * sin, at[1] + along * cos]);
        parts
            .iter_mut()
            .filter(|part| part.print)
            .for_each(|part| part.shape = crate::product::Shape::Disc(-1.0));
        rendered(damage, &parts)
    } else {
        let size = damage.view.size;
        let sigma = (0.25 * damage.length).clamp(3.0, 12.0);
        let mut bare = damage.clean.clone();
        for plane in bare.colour.iter_mut().chain([&mut bare.fine]) {
            *plane = blur(size, plane, sigma);
        }
        bare
    };
    let soft = uniform(damage.rng, 0.05, 0.6);
    let region = if chance(damage.rng, 0.3) {
        let angle = uniform(damage.rng, 0.0, PI);
        let long = [damage.length, log_uniform(damage.rng, 3.0, damage.length.max(4.0))];
        Region::rectangle(damage.view.size, centre, long, angle, 0.8)
    } else {
        Region::blob(damage.rng, damage.view.size, centre, damage.length, soft)
    }
    .within(&damage.clean.object);
    let opacity = (3.0 * damage.amplitude).clamp(0.3, 1.0);
    let mut canvas = damage.clean.clone();
    region.each(|at, _, _, alpha| {
        for (plane, bare) in canvas.colour.iter_mut().zip(&bare.colour) {
            plane[at] += opacity * alpha * (bare[at] - plane[at]);
        }
        canvas.fine[at] += opacity * alpha * (bare.fine[at] - canvas.fine[at]);
    });
    Some(canvas)
}

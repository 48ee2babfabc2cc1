//! Texture programs: infinite scalar fields over pixel coordinates, with parameters drawn from a generator.
//!
//! Many simple programs, mixed by masks that are made from further programs, carry over to real images better than a few
//! elaborate ones (Baradad et al. 2021, arXiv:2106.05963; 2022, arXiv:2211.16412; mixtures: arXiv:2508.11697).

mod cells;
mod grating;
mod leaves;
mod metal;
mod organic;
mod power_law;
mod print;
mod spots;
mod tiles;
mod weave;

use crate::Families;
use crate::random::{Random, chance, log_uniform, pick, uniform};

/// A field over pixel coordinates (y, x).
pub(crate) type Field = Box<dyn Fn(f32, f32) -> f32 + Send + Sync>;

/// One way of making a texture.
#[derive(Clone, Copy)]
pub(crate) struct Program {
    /// Its name, unique.
    pub name: &'static str,
    /// Never used for training.
    pub held_out: bool,
    /// Draws its parameters; values need not be in [0, 1].
    make: fn(&mut Random) -> Field,
}

/// A program that training uses.
const fn train(name: &'static str, make: fn(&mut Random) -> Field) -> Program {
    Program { name, held_out: false, make }
}

/// A program that only validation uses.
const fn hold(name: &'static str, make: fn(&mut Random) -> Field) -> Program {
    Program { name, held_out: true, make }
}

/// The programs that `families` may use.
pub(crate) fn programs(families: Families) -> Vec<Program> {
    let all: [&[Program]; 10] = [
        power_law::PROGRAMS,
        cells::PROGRAMS,
        leaves::PROGRAMS,
        weave::PROGRAMS,
        grating::PROGRAMS,
        metal::PROGRAMS,
        spots::PROGRAMS,
        print::PROGRAMS,
        organic::PROGRAMS,
        tiles::PROGRAMS,
    ];
    let wanted = families == Families::Validation;
    all.into_iter().flatten().copied().filter(|program| program.held_out == wanted).collect()
}

/// A program with its parameters, turned, stretched and scaled to values in [0, 1].
pub(crate) struct Texture {
    /// The program's name.
    pub name: &'static str,
    field: Field,
    axes: [f32; 4],
    low: f32,
    gain: f32,
}

impl Texture {
    /// Draws a program and its parameters.
    pub fn new(rng: &mut Random, families: Families) -> Self {
        let program = pick(rng, &programs(families));
        Self::of(program, rng)
    }

    /// Draws the parameters of `program`.
    pub fn of(program: Program, rng: &mut Random) -> Self {
        let field = (program.make)(rng);
        // Upright, lying, or at any angle; sometimes stretched.
        let angle = if chance(rng, 0.35) {
            uniform(rng, 0.0, std::f32::consts::TAU)
        } else {
            pick(rng, &[0.0, 0.0, std::f32::consts::FRAC_PI_2])
        };
        let zoom = log_uniform(rng, 0.7, 1.5);
        let stretch = if chance(rng, 0.25) { log_uniform(rng, 0.6, 1.7) } else { 1.0 };
        let (sin, cos) = angle.sin_cos();
        let axes = [cos, sin, -sin, cos].map(|v| v / zoom);
        let axes = [axes[0] * stretch, axes[1] * stretch, axes[2], axes[3]];
        let mut texture = Self { name: program.name, field, axes, low: 0.0, gain: 1.0 };
        texture.normalise(rng);
        if chance(rng, 0.3) {
            texture.low += 1.0 / texture.gain;
            texture.gain = -texture.gain;
        }
        texture
    }

    /// Finds the range of values: the 2nd to the 98th percentile, or all of it where few points differ.
    fn normalise(&mut self, rng: &mut Random) {
        let mut values: Vec<f32> =
            (0..300).map(|_| self.raw(uniform(rng, -600.0, 600.0), uniform(rng, -600.0, 600.0))).collect();
        values.sort_by(f32::total_cmp);
        let (least, most) = (values[0], values[values.len() - 1]);
        let (low, high) = (values[6], values[values.len() - 7]);
        let (low, high) = if high - low > 0.4 * (most - least) { (low, high) } else { (least, most) };
        if high - low > 1e-3 {
            self.low = low;
            self.gain = 1.0 / (high - low);
        }
    }

    #[inline]
    fn raw(&self, y: f32, x: f32) -> f32 {
        let [a, b, c, d] = self.axes;
        (self.field)(a * y + b * x, c * y + d * x)
    }

    /// Its value at a point, 0 to 1.
    #[inline]
    pub fn at(&self, y: f32, x: f32) -> f32 {
        ((self.raw(y, x) - self.low) * self.gain).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::random;

    #[test]
    fn every_program_is_finite_and_not_flat_whatever_its_parameters() {
        for program in [Families::Training, Families::Validation].map(programs).concat() {
            for seed in 0..12 {
                let texture = Texture::of(program, &mut random(seed, 0));
                let mut values = Vec::new();
                for y in -40..40 {
                    for x in -40..40 {
                        // Whole numbers are where divisions and roots go wrong.
                        values.push(texture.at(2.0 * y as f32, 2.0 * x as f32));
                        values.push(texture.at(-0.001 + 3.1 * y as f32, 1e-6 - 3.1 * x as f32));
                    }
                }
                assert!(values.iter().all(|v| v.is_finite()), "{} {seed}", program.name);
                let mean = values.iter().sum::<f32>() / values.len() as f32;
                let deviation =
                    (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / values.len() as f32).sqrt();
                assert!(deviation > 0.02, "{} {seed}: {deviation}", program.name);
            }
        }
    }
}

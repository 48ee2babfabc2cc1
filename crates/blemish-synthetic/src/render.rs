//! Draws a composition at some size, as one instance sees it.

use std::f32::consts::TAU;

use crate::canvas::Canvas;
use crate::product::{Composition, Part};
use crate::random::{Random, random, uniform};
use crate::surface::Surface;

/// Where in an infinite surface an instance looks.
#[derive(Clone, Copy)]
struct Place {
    sin: f32,
    cos: f32,
    at: [f32; 2],
}

impl Place {
    /// Far anywhere at up to `angle`; a `fixed` surface shows the same place each time.
    fn new(rng: &mut Random, seed: u64, fixed: bool, angle: f32, zoom: f32) -> Self {
        let (sin, cos) = if fixed { (0.0, 1.0) } else { uniform(rng, -angle, angle).sin_cos() };
        let (sin, cos) = (sin / zoom, cos / zoom);
        let mut own = random(seed, 99);
        let rng = if fixed { &mut own } else { rng };
        Self { sin, cos, at: [uniform(rng, -3000.0, 3000.0), uniform(rng, -3000.0, 3000.0)] }
    }

    #[inline]
    fn value(self, surface: &Surface, y: f32, x: f32) -> f32 {
        surface.value(self.cos * y + self.sin * x + self.at[0], self.cos * x - self.sin * y + self.at[1])
    }
}

/// The pose of one instance.
pub(crate) struct View {
    /// Rows and columns.
    pub size: [usize; 2],
    /// Pixels in a unit of the composition.
    pub side: f32,
    sin: f32,
    cos: f32,
    centre: [f32; 2],
    ground: Place,
    materials: Vec<Place>,
}

impl View {
    /// Draws the pose of an instance.
    pub fn new(rng: &mut Random, composition: &Composition, size: [usize; 2], seed: u64) -> Self {
        let pose = composition.pose;
        let side = size[0].min(size[1]) as f32;
        let angle = if pose.angle > 3.0 { TAU } else { pose.angle };
        let (sin, cos) = if composition.is_surface { 0.0 } else { uniform(rng, -angle, angle) }.sin_cos();
        let centre = size.map(|n| 0.5 * n as f32 - 0.5 + side * uniform(rng, -pose.shift, pose.shift));
        let scale = side * uniform(rng, 1.0 - pose.scale, 1.0 + pose.scale);
        let turn = if composition.is_surface { angle } else { 0.02 };
        let ground = Place::new(rng, seed, composition.ground.fixed, turn, composition.zoom);
        let materials = composition
            .materials
            .iter()
            .enumerate()
            .map(|(k, material)| {
                Place::new(rng, seed ^ (k as u64 + 1), material.fixed, 0.02, composition.zoom)
            })
            .collect();
        Self { size, side: scale, sin, cos, centre, ground, materials }
    }

    /// Composition coordinates of a pixel position.
    pub fn inwards(&self, y: f32, x: f32) -> [f32; 2] {
        let (dy, dx) = ((y - self.centre[0]) / self.side, (x - self.centre[1]) / self.side);
        [self.cos * dy - self.sin * dx, self.cos * dx + self.sin * dy]
    }

    /// Pixel position of composition coordinates.
    pub fn outwards(&self, [v, u]: [f32; 2]) -> [f32; 2] {
        [
            self.centre[0] + self.side * (self.cos * v + self.sin * u),
            self.centre[1] + self.side * (self.cos * u - self.sin * v),
        ]
    }

    /// Draws the ground and then `parts` over it.
    pub fn render(&self, composition: &Composition, parts: &[Part], channels: usize) -> Canvas {
        let mut canvas = Canvas::new(self.size, channels);
        self.ground(composition, &mut canvas);
        for (index, part) in parts.iter().enumerate() {
            self.part(composition, part, index, &mut canvas);
        }
        canvas
    }

    fn ground(&self, composition: &Composition, canvas: &mut Canvas) {
        let [height, width] = self.size;
        let surface = &composition.ground;
        for y in 0..height {
            for x in 0..width {
                let at = y * width + x;
                let value = self.ground.value(surface, y as f32, x as f32);
                canvas.blend(at, surface.colour(value), 1.0);
                canvas.fine[at] = value * surface.relief;
                canvas.object[at] = f32::from(u8::from(composition.filling));
            }
        }
    }

    fn part(&self, composition: &Composition, part: &Part, index: usize, canvas: &mut Canvas) {
        let [height, width] = self.size;
        let [cy, cx] = self.outwards(part.at);
        let reach = part.shape.reach() * self.side + 2.0;
        let range = |c: f32, n: usize| {
            ((c - reach).max(0.0) as usize).min(n)..((c + reach + 1.0).max(0.0) as usize).min(n)
        };
        let (sin, cos) = part.angle.sin_cos();
        let surface = &composition.materials[part.material];
        let place = self.materials[part.material];
        let phase = 41.0 * index as f32;
        let bevel = (part.bevel.abs() * self.side).max(1.0);
        for y in range(cy, height) {
            for x in range(cx, width) {
                let [v, u] = self.inwards(y as f32, x as f32);
                let (v, u) = (v - part.at[0], u - part.at[1]);
                let (v, u) = (cos * v - sin * u, cos * u + sin * v);
                let depth = -self.side * part.shape.distance(v, u);
                let alpha = (depth + 0.5).clamp(0.0, 1.0);
                if alpha <= 0.0 {
                    continue;
                }
                let at = y * width + x;
                let value = place.value(surface, v * self.side + phase, u * self.side);
                canvas.blend(at, surface.colour(value).map(|c| c * part.shade), alpha);
                canvas.object[at] = canvas.object[at].max(alpha);
                if part.print {
                    continue;
                }
                canvas.fine[at] += alpha * (value * surface.relief - canvas.fine[at]);
                if part.bevel != 0.0 {
                    let t = (depth / bevel).clamp(0.0, 1.0);
                    canvas.relief[at] += 0.6 * bevel * (t * (2.0 - t)).sqrt() * part.bevel.signum();
                }
            }
        }
    }
}

//! Light and camera: shading, uneven light, blur, exposure, sensor noise, JPEG-like quantisation.

use std::f32::consts::TAU;

use crate::canvas::{Canvas, blur};
use crate::noise::gradient;
use crate::random::{Random, bell, chance, hash, log_uniform, mix, uniform};
use blemish::Image;

/// What a scene's photos have in common.
pub(crate) struct Style {
    light: f32,
    strength: f32,
    gloss: f32,
    uneven: f32,
    vignette: f32,
    sigma: f32,
    read: f32,
    shot: f32,
    gamma: f32,
    contrast: f32,
    jpeg: Option<f32>,
    jitter: f32,
}

impl Style {
    /// Draws a style.
    pub fn new(rng: &mut Random) -> Self {
        Self {
            light: uniform(rng, 0.0, TAU),
            strength: log_uniform(rng, 0.15, 0.8),
            gloss: if chance(rng, 0.3) { uniform(rng, 0.05, 0.4) } else { 0.0 },
            uneven: if chance(rng, 0.6) { uniform(rng, 0.0, 0.3) } else { 0.0 },
            vignette: if chance(rng, 0.4) { uniform(rng, 0.0, 0.35) } else { 0.0 },
            sigma: if chance(rng, 0.7) { log_uniform(rng, 0.25, 0.9) } else { 0.0 },
            read: log_uniform(rng, 0.001, 0.015),
            shot: log_uniform(rng, 0.001, 0.02),
            gamma: log_uniform(rng, 0.75, 1.35),
            contrast: if chance(rng, 0.1) { uniform(rng, 0.35, 0.6) } else { uniform(rng, 0.85, 1.05) },
            jpeg: chance(rng, 0.25).then(|| log_uniform(rng, 0.006, 0.03)),
            jitter: uniform(rng, 0.0, 1.0),
        }
    }
}

/// The light and camera of one photo.
pub(crate) struct Photo {
    direction: [f32; 2],
    gloss: f32,
    slope: [f32; 2],
    patch: f32,
    vignette: f32,
    middle: [f32; 2],
    sigma: f32,
    read: f32,
    shot: f32,
    gain: f32,
    gamma: f32,
    contrast: f32,
    jpeg: Option<f32>,
    seed: u32,
}

impl Photo {
    /// Draws the photo of an instance.
    pub fn new(style: &Style, rng: &mut Random) -> Self {
        let jitter = style.jitter;
        let (sin, cos) = (style.light + jitter * uniform(rng, -0.15, 0.15)).sin_cos();
        let strength = style.strength * uniform(rng, 0.92, 1.08);
        let (ly, lx) = (style.light + uniform(rng, -0.5, 0.5)).sin_cos();
        let gain = if chance(rng, 0.03) { 1.25 } else { 1.0 + 0.1 * jitter * uniform(rng, -1.0, 1.0) };
        Self {
            direction: [strength * sin, strength * cos],
            gloss: style.gloss,
            slope: [style.uneven * ly, style.uneven * lx],
            patch: 0.4 * style.uneven,
            vignette: style.vignette * uniform(rng, 0.8, 1.2),
            middle: [uniform(rng, -0.1, 0.1), uniform(rng, -0.1, 0.1)],
            sigma: style.sigma * uniform(rng, 0.8, 1.0 + 0.5 * jitter),
            read: style.read * uniform(rng, 0.9, 1.1),
            shot: style.shot,
            gain,
            gamma: style.gamma * uniform(rng, 0.96, 1.04),
            contrast: style.contrast,
            jpeg: style.jpeg,
            seed: mix(rand::Rng::random(rng)),
        }
    }

    /// What the sensor sees of `canvas`: one plane or three.
    pub fn expose(&self, canvas: &Canvas) -> Vec<Vec<f32>> {
        let light = self.light(canvas);
        canvas
            .colour
            .iter()
            .enumerate()
            .map(|(k, colour)| {
                let lit: Vec<f32> = colour.iter().zip(&light).map(|(c, [f, shine])| c * f + shine).collect();
                let mut plane = blur(canvas.size, &lit, self.sigma);
                self.develop(&mut plane, k as u32, canvas.size[1]);
                plane
            })
            .collect()
    }

    /// The stored image `[H, W, 3]` of what the sensor saw.
    pub fn store(&self, [height, width]: [usize; 2], mut planes: Vec<Vec<f32>>) -> Image {
        for plane in &mut planes {
            if let Some(step) = self.jpeg {
                quantise([height, width], plane, step);
            }
            plane.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
        }
        let pixels = match planes.as_slice() {
            [r, g, b] => r.iter().zip(g).zip(b).flat_map(|((r, g), b)| [*r, *g, *b]).collect(),
            grey => grey[0].iter().flat_map(|v| [*v; 3]).collect(),
        };
        Image { height, width, channels: 3, pixels }
    }

    /// Factor and shine of every pixel.
    fn light(&self, canvas: &Canvas) -> Vec<[f32; 2]> {
        let [height, width] = canvas.size;
        let relief: Vec<f32> = canvas.relief.iter().zip(&canvas.fine).map(|(a, b)| a + b).collect();
        let side = height.max(width) as f32;
        let mut light = Vec::with_capacity(relief.len());
        for y in 0..height {
            let (up, down) = (y.saturating_sub(1) * width, (y + 1).min(height - 1) * width);
            let v = (y as f32 - 0.5 * height as f32) / side;
            for x in 0..width {
                let (left, right) = (x.saturating_sub(1), (x + 1).min(width - 1));
                let gy = 0.5 * (relief[down + x] - relief[up + x]);
                let gx = 0.5 * (relief[y * width + right] - relief[y * width + left]);
                let tilt = self.direction[0] * gy + self.direction[1] * gx;
                let u = (x as f32 - 0.5 * width as f32) / side;
                let mut field = 1.0 + self.slope[0] * v + self.slope[1] * u;
                if self.patch > 0.0 {
                    field += self.patch * gradient(self.seed, 2.0 * v + 9.0, 2.0 * u + 9.0);
                }
                if self.vignette > 0.0 {
                    let r = (v - self.middle[0]).powi(2) + (u - self.middle[1]).powi(2);
                    field -= 1.5 * self.vignette * r;
                }
                let shine = self.gloss * (2.0 * tilt - 0.4).clamp(0.0, 1.0).powi(2);
                light.push([field * (1.0 + tilt).clamp(0.3, 1.7), shine]);
            }
        }
        light
    }

    /// Exposure, tone curve and noise.
    fn develop(&self, plane: &mut [f32], channel: u32, width: usize) {
        let curve: Vec<f32> = (0..=256)
            .map(|k| 0.5 + self.contrast * ((self.gain * k as f32 / 256.0).min(1.0).powf(self.gamma) - 0.5))
            .collect();
        for (at, v) in plane.iter_mut().enumerate() {
            let level = 256.0 * v.clamp(0.0, 0.999_9);
            let k = level as usize;
            let toned = curve[k] + (level - k as f32) * (curve[k + 1] - curve[k]);
            let h = hash(self.seed.wrapping_add(channel), (at / width) as i32, (at % width) as i32);
            *v = toned + bell(h) * (self.read * self.read + self.shot * self.shot * toned.max(0.0)).sqrt();
        }
    }
}

/// Rounds the cosine coefficients of 8 x 8 blocks to multiples of a step that grows with frequency.
fn quantise([height, width]: [usize; 2], plane: &mut [f32], step: f32) {
    let mut basis = [[0.0f32; 8]; 8];
    for (k, row) in basis.iter_mut().enumerate() {
        let norm = if k == 0 { 0.125f32.sqrt() } else { 0.5 };
        for (n, v) in row.iter_mut().enumerate() {
            *v = norm * (std::f32::consts::PI * (n as f32 + 0.5) * k as f32 / 8.0).cos();
        }
    }
    for top in (0..height).step_by(8) {
        for left in (0..width).step_by(8) {
            let mut block = [[0.0f32; 8]; 8];
            for (y, row) in block.iter_mut().enumerate() {
                for (x, v) in row.iter_mut().enumerate() {
                    *v = plane[(top + y).min(height - 1) * width + (left + x).min(width - 1)];
                }
            }
            let mut coefficients = product(&basis, &transposed(&product(&basis, &block)));
            for (k, row) in coefficients.iter_mut().enumerate() {
                for (j, v) in row.iter_mut().enumerate() {
                    let step = step * (1.0 + 0.6 * (k + j) as f32);
                    *v = step * (*v / step).round();
                }
            }
            let back = transposed(&basis);
            let block = product(&back, &transposed(&product(&back, &coefficients)));
            for y in 0..8.min(height - top) {
                for x in 0..8.min(width - left) {
                    plane[(top + y) * width + left + x] = block[y][x];
                }
            }
        }
    }
}

type Block = [[f32; 8]; 8];

fn product(a: &Block, b: &Block) -> Block {
    let mut c = [[0.0; 8]; 8];
    for (out, row) in c.iter_mut().zip(a) {
        for (weight, line) in row.iter().zip(b) {
            for (out, v) in out.iter_mut().zip(line) {
                *out += weight * v;
            }
        }
    }
    c
}

fn transposed(a: &Block) -> Block {
    let mut b = [[0.0; 8]; 8];
    for (i, row) in a.iter().enumerate() {
        for (j, v) in row.iter().enumerate() {
            b[j][i] = *v;
        }
    }
    b
}

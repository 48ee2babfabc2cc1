//! A surface: one to three textures mixed by masks that are made from further textures, coloured, with a relief.
//!
//! Mixing images through a third one follows arXiv:2508.11697.

use rand::Rng;

use crate::Families;
use crate::noise::{lerp, smoothstep};
use crate::random::{Random, between, chance, log_uniform, pick, uniform};
use crate::texture::Texture;

#[derive(Clone, Copy)]
enum Mix {
    /// Level, softness: where the mask passes the level, the layer's texture takes over.
    Mask(f32, f32),
    Add(f32),
    Multiply(f32),
    Darkest,
    Brightest,
}

struct Layer {
    texture: Texture,
    mix: Mix,
    mask: Option<Texture>,
}

/// How a surface is drawn: how much contrast, how many textures.
#[derive(Clone, Copy)]
pub(crate) struct Look {
    /// Difference of brightness between the darkest and the brightest value.
    pub contrast: f32,
    /// Most layers above the first.
    pub layers: usize,
    /// Mean brightness.
    pub brightness: f32,
    /// Whether the palette has colours.
    pub coloured: bool,
}

/// A mixed texture with a palette and a relief.
pub(crate) struct Surface {
    first: Texture,
    layers: Vec<Layer>,
    palette: [[f32; 3]; 3],
    middle: f32,
    /// Height in pixels between the lowest and the highest value.
    pub relief: f32,
    /// Whether good images all show the same place of it.
    pub fixed: bool,
}

impl Surface {
    /// Draws a surface.
    pub fn new(rng: &mut Random, families: Families, look: Look) -> Self {
        let first = Texture::new(rng, families);
        let layers = (0..between(rng, 0, look.layers)).map(|_| layer(rng, families)).collect();
        let relief = if chance(rng, 0.35) { log_uniform(rng, 0.3, 3.0) } else { 0.0 };
        // A shaded relief shows by itself: its colours may be nearly equal.
        let contrast = if relief > 0.8 { look.contrast * uniform(rng, 0.1, 1.0) } else { look.contrast };
        let middle = uniform(rng, 0.25, 0.75);
        Self { first, layers, palette: palette(rng, look, contrast), middle, relief, fixed: false }
    }

    /// The names of its programs.
    pub fn names(&self) -> Vec<&'static str> {
        let layers = self.layers.iter().flat_map(|layer| {
            std::iter::once(layer.texture.name).chain(layer.mask.as_ref().map(|mask| mask.name))
        });
        std::iter::once(self.first.name).chain(layers).collect()
    }

    /// The mixed value at a point, 0 to 1.
    pub fn value(&self, y: f32, x: f32) -> f32 {
        let mut v = self.first.at(y, x);
        for layer in &self.layers {
            v = match layer.mix {
                Mix::Mask(level, soft) => {
                    let mask = layer.mask.as_ref().map_or(0.5, |mask| mask.at(y, x));
                    let t = smoothstep(level - soft, level + soft, mask);
                    match t {
                        t if t <= 0.0 => v,
                        t if t >= 1.0 => layer.texture.at(y, x),
                        t => lerp(v, layer.texture.at(y, x), t),
                    }
                }
                Mix::Add(weight) => v + weight * (layer.texture.at(y, x) - 0.5),
                Mix::Multiply(weight) => v * (1.0 - weight + weight * layer.texture.at(y, x)),
                Mix::Darkest => v.min(layer.texture.at(y, x)),
                Mix::Brightest => v.max(layer.texture.at(y, x)),
            };
        }
        v.clamp(0.0, 1.0)
    }

    /// The colour of a value, each channel about 0 to 1.
    pub fn colour(&self, value: f32) -> [f32; 3] {
        let [a, b, c] = self.palette;
        let (from, to, t) = if value < self.middle {
            (a, b, value / self.middle)
        } else {
            (b, c, (value - self.middle) / (1.0 - self.middle))
        };
        [0, 1, 2].map(|k| lerp(from[k], to[k], t))
    }
}

fn layer(rng: &mut Random, families: Families) -> Layer {
    let mix = match rng.random_range(0..8) {
        0..=2 => {
            let soft = if chance(rng, 0.5) { 0.05 } else { uniform(rng, 0.1, 0.4) };
            Mix::Mask(uniform(rng, 0.3, 0.7), soft)
        }
        3 | 4 => Mix::Add(uniform(rng, 0.2, 0.9)),
        5 => Mix::Multiply(uniform(rng, 0.3, 0.9)),
        6 => Mix::Darkest,
        _ => Mix::Brightest,
    };
    let mask = matches!(mix, Mix::Mask(..)).then(|| Texture::new(rng, families));
    Layer { texture: Texture::new(rng, families), mix, mask }
}

/// A colour of `brightness`; grey unless `coloured`.
pub(crate) fn tint(rng: &mut Random, brightness: f32, coloured: bool) -> [f32; 3] {
    if !coloured {
        return [brightness; 3];
    }
    let (hue, saturation) = (uniform(rng, 0.0, std::f32::consts::TAU), uniform(rng, 0.0, 0.6).powf(1.3));
    let third = std::f32::consts::TAU / 3.0;
    [0.0, third, 2.0 * third].map(|turn| {
        let room = brightness.min(1.0 - brightness).max(0.1);
        (brightness + 1.3 * saturation * room * (hue + turn).cos()).clamp(0.0, 1.0)
    })
}

fn palette(rng: &mut Random, look: Look, contrast: f32) -> [[f32; 3]; 3] {
    let low = (look.brightness - 0.5 * contrast).clamp(0.02, 0.98 - contrast.min(0.9));
    let bend = uniform(rng, 0.3, 0.7);
    let levels = [low, low + bend * contrast, (low + contrast).min(0.98)];
    // Often one hue throughout, sometimes a hue for each stop.
    if look.coloured && chance(rng, 0.4) {
        return levels.map(|level| tint(rng, level, true));
    }
    let base = tint(rng, 0.5, look.coloured);
    levels.map(|level| {
        base.map(|v| if level < 0.5 { 2.0 * level * v } else { 1.0 - 2.0 * (1.0 - level) * (1.0 - v) })
    })
}

/// A random look of a large surface.
pub(crate) fn surface_look(rng: &mut Random, coloured: bool) -> Look {
    let contrast = pick(rng, &[0.15, 0.3, 0.5, 0.8]) * uniform(rng, 0.7, 1.1);
    Look { contrast, layers: 2, brightness: uniform(rng, 0.25, 0.75), coloured }
}

/// A random look of a part of a product: quieter.
pub(crate) fn material_look(rng: &mut Random, coloured: bool) -> Look {
    let contrast = log_uniform(rng, 0.03, 0.45);
    Look { contrast, layers: 1, brightness: uniform(rng, 0.12, 0.88), coloured }
}

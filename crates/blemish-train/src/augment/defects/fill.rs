//! What a defect looks like: the new content of its bounding box.

use std::f32::consts::{PI, TAU};

use blemish::image::{Border, Image, sample};
use rand::Rng;

use super::super::noise::{fbm, normal};
use super::super::{log_uniform, uniform};
use super::blend::membrane;
use super::region::Region;

/// The content of a synthetic defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// One colour, shaded and slightly grainy: stains, dirt, bare metal.
    Flat,
    /// Noise of a random grain.
    Grain,
    /// Changed brightness and contrast: dents, wear, wet spots.
    Lighting,
    /// A patch of another good image, turned and resized (CutPaste).
    Foreign,
    /// A patch of the same image from another place: misplaced structure.
    Misplaced,
    /// A patch of another good image without a visible seam (NSA).
    Blended,
    /// The surroundings continued over it, from all sides or from one: a missing part.
    Erase,
    /// A push, pinch or twist: bent parts.
    Warp,
    /// Blurred or smeared.
    Smear,
}

impl Fill {
    /// Every fill.
    pub const ALL: [Self; 9] = [
        Self::Flat,
        Self::Grain,
        Self::Lighting,
        Self::Foreign,
        Self::Misplaced,
        Self::Blended,
        Self::Erase,
        Self::Warp,
        Self::Smear,
    ];

    /// Whether it shows on a surface without places, such as leather or concrete: there a patch of the surface is as good
    /// in one place as in another, and what only moves the texture is no defect.
    pub(crate) fn shows_on_surfaces(self) -> bool {
        !matches!(self, Self::Foreign | Self::Misplaced | Self::Blended | Self::Warp)
    }

    /// Whether the content already fades into its surroundings, so that blending it again would show both.
    pub(super) fn is_displacement(self) -> bool {
        self == Self::Warp
    }

    /// New content for the box of `region`, `[height, width, C]`, not clamped.
    pub(super) fn paint(self, image: &Image, other: &Image, region: &Region, rng: &mut impl Rng) -> Vec<f32> {
        match self {
            Self::Flat => flat(image, region, rng),
            Self::Grain => grain(image, region, rng),
            Self::Lighting => lighting(image, region, rng),
            Self::Foreign => anywhere(other, region, rng),
            Self::Misplaced if rng.random() => nearby(image, region, rng),
            Self::Misplaced => anywhere(image, region, rng),
            Self::Blended => blended(image, other, region, rng),
            Self::Erase => erase(image, region, rng),
            Self::Warp => displace(image, region, rng),
            Self::Smear => smear(image, region, rng),
        }
    }
}

/// Half of the time the colour of some pixel of the image, else any colour; only greys where the image is grey, as a grey
/// camera sees no colour, and half of the time elsewhere.
fn colour(image: &Image, rng: &mut impl Rng) -> Vec<f32> {
    if rng.random() {
        let start = rng.random_range(0..image.height * image.width) * image.channels;
        return image.pixels[start..start + image.channels].to_vec();
    }
    let is_grey = |pixel: &[f32]| pixel.iter().all(|v| (v - pixel[0]).abs() < 0.02);
    let grey_image = image.pixels.chunks_exact(image.channels).step_by(101).all(is_grey);
    let tint = if grey_image || rng.random() { 0.0 } else { rng.random::<f32>() };
    let grey = rng.random::<f32>();
    (0..image.channels).map(|_| grey + tint * (rng.random::<f32>() - grey)).collect()
}

fn flat(image: &Image, region: &Region, rng: &mut impl Rng) -> Vec<f32> {
    let colour = colour(image, rng);
    let [down, right] = [0; 2].map(|_| uniform(-0.15, 0.15, rng));
    let deviation = uniform(0.0, 0.04, rng);
    let mut paint = Vec::with_capacity(region.alpha.len() * colour.len());
    for i in 0..region.alpha.len() {
        let [y, x] = [
            (i / region.width) as f32 / region.height as f32,
            (i % region.width) as f32 / region.width as f32,
        ];
        let light = down * (y - 0.5) + right * (x - 0.5) + deviation * normal(rng);
        paint.extend(colour.iter().map(|c| c + light));
    }
    paint
}

fn grain(image: &Image, region: &Region, rng: &mut impl Rng) -> Vec<f32> {
    let base = if rng.random() { mean(&region.crop(image), image.channels) } else { colour(image, rng) };
    let unit = image.height.min(image.width) as f32 / 256.0;
    let cell = log_uniform(1.0, 16.0, rng) * unit;
    let field = fbm(region.height, region.width, &[cell, cell * 0.5], rng);
    let amplitude = uniform(0.1, 0.5, rng);
    field.iter().flat_map(|n| base.iter().map(move |b| b + amplitude * (2.0 * n - 1.0))).collect()
}

fn lighting(image: &Image, region: &Region, rng: &mut impl Rng) -> Vec<f32> {
    let mut paint = region.crop(image);
    let mean = mean(&paint, image.channels);
    let gain = uniform(0.3, 1.7, rng);
    let light = uniform(0.08, 0.4, rng) * if rng.random() { 1.0 } else { -1.0 };
    for pixel in paint.chunks_exact_mut(image.channels) {
        pixel.iter_mut().zip(&mean).for_each(|(v, m)| *v = m + (*v - m) * gain + light);
    }
    paint
}

/// A patch from a random place, turned and resized.
fn anywhere(source: &Image, region: &Region, rng: &mut impl Rng) -> Vec<f32> {
    let [y, x] = [source.height, source.width].map(|side| uniform(0.0, side as f32, rng));
    let (sin, cos) = uniform(0.0, TAU, rng).sin_cos();
    let scale = log_uniform(0.7, 1.4, rng);
    let (cy, cx) = (region.height as f32 * 0.5, region.width as f32 * 0.5);
    resample(source, region, |v, u| {
        let (v, u) = ((v - cy) * scale, (u - cx) * scale);
        [y + v * cos + u * sin, x + u * cos - v * sin]
    })
}

/// A patch from up to one box away.
fn nearby(image: &Image, region: &Region, rng: &mut impl Rng) -> Vec<f32> {
    let distance = (region.height.max(region.width) as f32 * uniform(0.15, 1.0, rng)).max(2.0);
    let (dy, dx) = uniform(0.0, TAU, rng).sin_cos();
    let [top, left] = [region.top as f32 + dy * distance, region.left as f32 + dx * distance];
    resample(image, region, |v, u| [top + v, left + u])
}

/// A foreign patch plus the membrane that makes it meet its surroundings.
fn blended(image: &Image, other: &Image, region: &Region, rng: &mut impl Rng) -> Vec<f32> {
    let mut patch = anywhere(other, region, rng);
    let known: Vec<bool> = region.alpha.iter().map(|&a| a == 0.0).collect();
    let mut correction: Vec<f32> = region.crop(image).iter().zip(&patch).map(|(a, b)| a - b).collect();
    membrane(&mut correction, &known, region.height, region.width);
    patch.iter_mut().zip(correction).for_each(|(v, c)| *v += c);
    patch
}

/// The surroundings drawn over the defect, half of the time from one side only, as where a tip is broken off.
fn erase(image: &Image, region: &Region, rng: &mut impl Rng) -> Vec<f32> {
    let mut paint = region.crop(image);
    let mut known: Vec<bool> = region.alpha.iter().map(|&a| a == 0.0).collect();
    if rng.random() {
        let (sin, cos) = uniform(0.0, TAU, rng).sin_cos();
        let (cy, cx) = (region.height as f32 * 0.5, region.width as f32 * 0.5);
        let reach = 0.25 * region.height.min(region.width) as f32;
        let beside = |i: usize| {
            ((i / region.width) as f32 - cy) * sin + ((i % region.width) as f32 - cx) * cos > reach
        };
        let one_side: Vec<bool> = known.iter().enumerate().map(|(i, &k)| k && beside(i)).collect();
        if one_side.contains(&true) {
            known = one_side;
        }
    }
    membrane(&mut paint, &known, region.height, region.width);
    let deviation = uniform(0.0, 0.02, rng);
    paint.iter_mut().for_each(|v| *v += deviation * normal(rng));
    paint
}

/// A push in one direction, a pinch or bulge, or a twist, strongest deep inside the region.
fn displace(image: &Image, region: &Region, rng: &mut impl Rng) -> Vec<f32> {
    let deepest = region.depth.iter().copied().fold(1.0, f32::max);
    let (cy, cx) = (region.height as f32 * 0.5, region.width as f32 * 0.5);
    let sign = if rng.random() { 1.0 } else { -1.0 };
    let kind = rng.random_range(0..3);
    let (push_y, push_x) = uniform(0.0, TAU, rng).sin_cos();
    let push = (uniform(0.3, 1.0, rng) * deepest).max(2.0);
    let strength = sign * uniform(0.3, 0.8, rng);
    let (sin, cos) = (strength * PI).sin_cos();
    let (top, left) = (region.top as f32, region.left as f32);
    resample(image, region, |v, u| {
        let depth = region.depth[v as usize * region.width + u as usize];
        let t = (depth / deepest + 0.15).clamp(0.0, 1.0);
        let weight = t * t * (3.0 - 2.0 * t);
        let (y, x) = (v - cy, u - cx);
        let [dy, dx] = match kind {
            0 => [push * push_y, push * push_x],
            1 => [strength * y, strength * x],
            _ => [y * cos + x * sin - y, x * cos - y * sin - x],
        };
        [top + v + weight * dy, left + u + weight * dx]
    })
}

/// The mean of eight copies moved along a line, or in all directions.
fn smear(image: &Image, region: &Region, rng: &mut impl Rng) -> Vec<f32> {
    const COPIES: usize = 8;
    let unit = image.height.min(image.width) as f32 / 256.0;
    let length = (log_uniform(2.0, 10.0, rng) * unit).max(1.5);
    let (sin, cos) = uniform(0.0, TAU, rng).sin_cos();
    let line = rng.random::<bool>();
    let offsets: [[f32; 2]; COPIES] = std::array::from_fn(|_| {
        let along = length * uniform(-1.0, 1.0, rng);
        if line { [along * sin, along * cos] } else { [0; 2].map(|_| 0.5 * length * normal(rng)) }
    });
    let mut total = vec![0.0; region.alpha.len() * image.channels];
    let mut copy = vec![0.0; image.channels];
    for (i, out) in total.chunks_exact_mut(image.channels).enumerate().filter(|&(i, _)| region.alpha[i] > 0.0)
    {
        let (y, x) = (region.top + i / region.width, region.left + i % region.width);
        for [dy, dx] in offsets {
            sample(image, x as f32 + dx, y as f32 + dy, Border::Reflect, &mut copy);
            out.iter_mut().zip(&copy).for_each(|(t, v)| *t += v / COPIES as f32);
        }
    }
    total
}

/// The box filled from `source` at the `[y, x]` that `place` gives for each row and column of the box.
fn resample(source: &Image, region: &Region, place: impl Fn(f32, f32) -> [f32; 2]) -> Vec<f32> {
    let mut paint = vec![0.0; region.alpha.len() * source.channels];
    for (i, out) in paint.chunks_exact_mut(source.channels).enumerate() {
        let [y, x] = place((i / region.width) as f32, (i % region.width) as f32);
        sample(source, x, y, Border::Reflect, out);
    }
    paint
}

/// The mean colour of interleaved pixels.
fn mean(pixels: &[f32], channels: usize) -> Vec<f32> {
    let mut sum = vec![0.0; channels];
    for pixel in pixels.chunks_exact(channels) {
        sum.iter_mut().zip(pixel).for_each(|(s, v)| *s += v);
    }
    let inverse = channels as f32 / pixels.len() as f32;
    sum.iter().map(|s| s * inverse).collect()
}

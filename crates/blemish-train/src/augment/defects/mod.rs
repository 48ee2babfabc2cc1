//! Synthetic defects: good images spoilt on purpose, with the exact mask of what changed.
//!
//! Each defect is a [`Shape`] painted with a [`Fill`]; any shape goes with any fill. The parts come from CutPaste
//! (Li et al. 2021: pasted patches and scars), DRAEM (Zavrtanik et al. 2021: thresholded noise as a shape), NSA
//! (Schlueter et al. 2022: seamlessly blended patches); deformation, missing parts and changed lighting are added,
//! as they are what metal and plastic parts suffer.

mod blend;
mod config;
mod fill;
mod foreground;
mod region;
mod shape;

pub use config::DefectConfig;
pub use fill::Fill;
pub use foreground::foreground;
pub use shape::Shape;

use super::{log_uniform, uniform};
use blemish::image::{Image, PixelMask};
use rand::Rng;
use std::collections::BTreeMap;

/// A good image with synthetic defects on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Defective {
    /// The spoilt image, in [0, 1].
    pub image: Image,
    /// 1 where some channel differs from the good image by more than [`DefectConfig::visibility`], and in the small holes
    /// between such pixels.
    pub mask: PixelMask,
}

/// Draws defects onto a copy of `clean`, values in [0, 1].
///
/// `other` is another good image, the source of foreign patches (of any size; one with other channels is not used).
/// `foreground` weighs each pixel's chance to be a defect's centre, `[H, W]` in [0, 1]; see [`foreground()`].
/// `difficulty` in [0, 1] is the curriculum: at 0 only the larger half of the (logarithmic) sizes at full opacity, at 1
/// the whole of both ranges. `config` must be valid.
pub fn corrupt(
    clean: &Image,
    other: &Image,
    foreground: Option<&[f32]>,
    config: &DefectConfig,
    difficulty: f32,
    rng: &mut impl Rng,
) -> Defective {
    /// Draws until one is visible: a deformation of plain background is not.
    const ATTEMPTS: usize = 8;
    let mut image = clean.clone();
    if rng.random::<f32>() < config.probability {
        let other = if other.channels == clean.channels { other } else { clean };
        for _ in 0..rng.random_range(config.count[0]..=config.count[1]) {
            let _ = (0..ATTEMPTS).any(|_| add_defect(&mut image, other, foreground, config, difficulty, rng));
        }
    }
    let mask = difference(clean, &image, config.visibility);
    Defective { image, mask }
}

/// Paints one defect; undoes it and returns false where hardly any of it would be seen.
fn add_defect(
    image: &mut Image,
    other: &Image,
    foreground: Option<&[f32]>,
    config: &DefectConfig,
    difficulty: f32,
    rng: &mut impl Rng,
) -> bool {
    let [smallest, largest] = config.area;
    let least = largest * (smallest / largest).powf(0.5 + 0.5 * difficulty);
    let area = log_uniform(least, largest, rng) * (image.height * image.width) as f32;
    let weakest = config.opacity[1] - (config.opacity[1] - config.opacity[0]) * difficulty;
    let opacity = uniform(weakest, config.opacity[1], rng);
    let centre = draw_centre(image, foreground.filter(|_| rng.random::<f32>() < config.foreground_bias), rng);
    let shape = draw_weighted(&config.shapes, Shape::Blob, rng);
    let fill = draw_weighted(&config.fills, Fill::Flat, rng);

    let region = shape.draw(image.height, image.width, centre, area.max(4.0), rng);
    let paint = fill.paint(image, other, &region, rng);
    let before = region.crop(image);
    let (mut covered, mut visible) = (0, 0);
    let mut after = before.clone();
    let pixels = after.chunks_exact_mut(image.channels).zip(paint.chunks_exact(image.channels));
    for ((pixel, paint), &alpha) in pixels.zip(&region.alpha) {
        let weight = opacity * if fill.is_displacement() { f32::from(alpha > 0.0) } else { alpha };
        let mut change = 0.0f32;
        for (v, p) in pixel.iter_mut().zip(paint) {
            let new = (*v + weight * (p - *v)).clamp(0.0, 1.0);
            change = change.max((new - *v).abs());
            *v = new;
        }
        covered += usize::from(alpha > 0.5);
        visible += usize::from(change > config.visibility);
    }
    let seen = visible >= 3.max(covered / 5);
    if seen {
        region.put(image, &after);
    }
    seen
}

/// 1 where a channel differs by more than `visibility`, and in the holes: where most of the 5 x 5 pixels around do. A patch
/// of another texture agrees with the old one here and there by chance; a person would outline it as a whole.
fn difference(clean: &Image, spoilt: &Image, visibility: f32) -> PixelMask {
    let Image { height, width, channels, .. } = *clean;
    let pairs = clean.pixels.chunks_exact(channels).zip(spoilt.pixels.chunks_exact(channels));
    let changed: Vec<u8> =
        pairs.map(|(a, b)| a.iter().zip(b).any(|(a, b)| (a - b).abs() > visibility).into()).collect();
    let window = |at: usize, length: usize| at.saturating_sub(2)..(at + 3).min(length);
    let across: Vec<u8> = changed
        .chunks_exact(width)
        .flat_map(|row| (0..width).map(move |x| row[window(x, width)].iter().sum()))
        .collect();
    let around = |y: usize, x: usize| window(y, height).map(|row| across[row * width + x]).sum::<u8>();
    let mostly =
        (0..height).flat_map(|y| (0..width).map(move |x| (y, x))).map(|(y, x)| u8::from(around(y, x) > 12));
    let pixels = changed.iter().zip(mostly).map(|(c, m)| c | m).collect();
    PixelMask { height, width, pixels }
}

/// A pixel `[y, x]`: by rejection from `weights`, or anywhere when there are none or they are nearly empty.
fn draw_centre(image: &Image, weights: Option<&[f32]>, rng: &mut impl Rng) -> [f32; 2] {
    let mut anywhere =
        || (rng.random_range(0..image.height), rng.random_range(0..image.width), rng.random::<f32>());
    let (mut y, mut x, mut lot) = anywhere();
    if let Some(weights) = weights {
        for _ in 0..100 {
            if weights.get(y * image.width + x).is_some_and(|&w| lot < w) {
                break;
            }
            (y, x, lot) = anywhere();
        }
    }
    [y as f32, x as f32]
}

/// A key drawn by its weight; `fallback` when rounding leaves none.
fn draw_weighted<K: Copy>(weights: &BTreeMap<K, f32>, fallback: K, rng: &mut impl Rng) -> K {
    let mut lot = rng.random::<f32>() * weights.values().sum::<f32>();
    let drawn = weights.iter().find(|&(_, &weight)| {
        lot -= weight;
        lot < 0.0
    });
    drawn.map_or(fallback, |(&key, _)| key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    const SHAPES: [Shape; 6] =
        [Shape::Blob, Shape::Noise, Shape::Scratch, Shape::Rectangle, Shape::Scar, Shape::Dots];

    fn texture(height: usize, width: usize, channels: usize, seed: u64) -> Image {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let field = super::super::noise::fbm(height, width, &[9.0, 4.0, 2.0], &mut rng);
        let pixels = field.iter().flat_map(|&v| std::iter::repeat_n(v, channels)).collect();
        Image { height, width, channels, pixels }
    }

    fn only(shape: Shape, fill: Fill) -> DefectConfig {
        DefectConfig {
            probability: 1.0,
            count: [1, 1],
            shapes: [(shape, 1.0)].into(),
            fills: [(fill, 1.0)].into(),
            ..Default::default()
        }
    }

    #[test]
    fn every_kind_is_in_range_and_masked() {
        for (height, width) in [(16, 16), (1, 5), (64, 48)] {
            for channels in [1, 3] {
                let (clean, other) = (texture(height, width, channels, 1), texture(40, 30, channels, 2));
                for (shape, fill) in SHAPES.into_iter().flat_map(|s| Fill::ALL.map(|f| (s, f))) {
                    let config = only(shape, fill);
                    let mut rng = ChaCha8Rng::seed_from_u64(3);
                    for difficulty in [0.0, 0.5, 1.0] {
                        let out = corrupt(&clean, &other, None, &config, difficulty, &mut rng);
                        assert!(
                            out.image.pixels.iter().all(|v| (0.0..=1.0).contains(v)),
                            "{shape:?} {fill:?}"
                        );
                        let pairs =
                            clean.pixels.chunks_exact(channels).zip(out.image.pixels.chunks_exact(channels));
                        let visible = |(a, b): (&[f32], &[f32])| {
                            a.iter().zip(b).any(|(a, b)| (a - b).abs() > config.visibility)
                        };
                        let changed: Vec<bool> = pairs.map(visible).collect();
                        assert!((0..changed.len()).all(|i| !changed[i] || out.mask.pixels[i] == 1));
                        let count = changed.iter().filter(|&&c| c).count();
                        assert!(out.mask.count() <= 2 * count, "{shape:?} {fill:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_kind_is_seen_on_a_texture_and_stays_local() {
        let (clean, other) = (texture(128, 128, 1, 1), texture(128, 128, 1, 2));
        for (shape, fill) in SHAPES.into_iter().flat_map(|s| Fill::ALL.map(|f| (s, f))) {
            let config = DefectConfig { area: [0.01, 0.01], ..only(shape, fill) };
            let out = corrupt(&clean, &other, None, &config, 0.0, &mut ChaCha8Rng::seed_from_u64(4));
            assert!(out.mask.count() >= 3, "{shape:?} {fill:?}");
            let touched = out.image.pixels.iter().zip(&clean.pixels).filter(|(a, b)| a != b).count();
            // The area asked for, up to a soft edge and the distortion of the outline.
            assert!(touched < 3 * 164, "{shape:?} {fill:?} {touched}");
        }
    }

    #[test]
    fn the_mask_is_what_changed_without_small_holes() {
        let clean = Image::filled(12, 12, 3, 0.5);
        let mut spoilt = clean.clone();
        for (y, x) in (2..8).flat_map(|y| (2..8).map(move |x| (y, x))).filter(|&at| at != (4, 5)) {
            spoilt.pixels[(y * 12 + x) * 3 + 1] = 0.6;
        }
        spoilt.pixels[143 * 3] = 0.52;
        let mask = difference(&clean, &spoilt, 0.025);
        assert!(
            (0..144)
                .all(|i| (mask.pixels[i] == 1) == ((2..8).contains(&(i / 12)) && (2..8).contains(&(i % 12))))
        );
    }

    #[test]
    fn the_same_seed_gives_the_same_defects() {
        let (clean, other) = (texture(48, 48, 3, 1), texture(48, 48, 3, 2));
        let draw = |seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            corrupt(&clean, &other, None, &DefectConfig::default(), 0.7, &mut rng)
        };
        assert_eq!(draw(8), draw(8));
        assert_ne!(draw(8), draw(9));
    }

    #[test]
    fn probability_zero_leaves_the_image_alone() {
        let clean = texture(20, 20, 1, 1);
        let config = DefectConfig { probability: 0.0, ..Default::default() };
        let out = corrupt(&clean, &clean, None, &config, 1.0, &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!((out.image, out.mask.count()), (clean, 0));
    }

    #[test]
    fn defects_are_centred_on_the_foreground() {
        let clean = texture(64, 64, 1, 1);
        let weights: Vec<f32> = (0..64 * 64).map(|i| f32::from(i % 64 < 8)).collect();
        let config =
            DefectConfig { foreground_bias: 1.0, area: [0.002, 0.002], ..only(Shape::Rectangle, Fill::Flat) };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..30 {
            let out = corrupt(&clean, &clean, Some(&weights), &config, 0.0, &mut rng);
            assert!((0..64 * 64).all(|i| out.mask.pixels[i] == 0 || i % 64 < 16));
        }
    }

    #[test]
    fn an_image_of_other_channels_is_not_used() {
        let (clean, other) = (texture(16, 16, 1, 1), texture(16, 16, 3, 1));
        let config = only(Shape::Blob, Fill::Foreign);
        let out = corrupt(&clean, &other, None, &config, 0.0, &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(out.image.pixels.len(), 256);
    }
}

//! Synthetic defects: good images corrupted on purpose, with the exact mask of what changed.
//!
//! Each defect is a [`Shape`] painted with a [`Fill`]; any shape goes with any fill. The parts come from CutPaste
//! (Li et al. 2021: pasted patches and scars), DRAEM (Zavrtanik et al. 2021: thresholded noise as a shape), NSA
//! (Schlueter et al. 2022: seamlessly blended patches); deformation, missing parts and changed lighting are added,
//! as they are what metal and plastic parts suffer.

mod blend;
mod config;
mod fill;
mod region;
mod shape;

use blemish::image::{Image, PixelMask};
use rand::Rng;

pub use self::config::DefectConfig;
pub use self::fill::Fill;
pub use self::shape::Shape;
use super::{log_uniform, uniform};

/// Fewest and most defects on an image that gets any.
const COUNT: [usize; 2] = [1, 5];
/// Share of the defects that are centred on the product, where it is known; the others lie anywhere.
const FOREGROUND_BIAS: f32 = 0.8;
/// Change of a value that counts as visible: the mask holds the pixels that change by more.
const VISIBILITY: f32 = 0.04;
/// How often each shape is drawn.
const SHAPES: [(Shape, f32); 6] = [
    (Shape::Blob, 3.0),
    (Shape::Noise, 2.0),
    (Shape::Scratch, 2.0),
    (Shape::Rectangle, 1.0),
    (Shape::Scar, 1.0),
    (Shape::Dots, 0.5),
];

/// A good image with synthetic defects on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Defective {
    /// The corrupted image, in [0, 1].
    pub image: Image,
    /// 1 where some channel differs from the good image by more than 0.04, and in the small holes between such pixels.
    pub mask: PixelMask,
}

/// Draws synthetic defects.
#[derive(Clone, Debug)]
pub struct DefectGenerator {
    config: DefectConfig,
    count: [usize; 2],
    foreground_bias: f32,
    shapes: Vec<(Shape, f32)>,
    fills: Vec<(Fill, f32)>,
}

impl DefectGenerator {
    /// With these fills, each as often as the others; `config` must be valid.
    pub fn new(config: &DefectConfig, fills: Vec<Fill>) -> Self {
        Self {
            config: config.clone(),
            count: COUNT,
            foreground_bias: FOREGROUND_BIAS,
            shapes: SHAPES.to_vec(),
            fills: fills.into_iter().map(|fill| (fill, 1.0)).collect(),
        }
    }

    /// The same that gives every image one defect.
    #[must_use]
    pub(crate) fn always_one(mut self) -> Self {
        (self.config.probability, self.count) = (1.0, [1, 1]);
        self
    }

    /// Draws defects onto a copy of `clean`, values in [0, 1].
    ///
    /// `other` is another good image, the source of foreign patches (of any size; one with other channels is not used).
    /// `foreground` weighs each pixel's chance to be a defect's centre, `[H, W]` in [0, 1]; see
    /// [`foreground`](blemish::view::foreground).
    pub(crate) fn corrupt(
        &self,
        clean: &Image,
        other: &Image,
        foreground: Option<&[f32]>,
        rng: &mut impl Rng,
    ) -> Defective {
        /// Draws until one is visible: a deformation of plain background is not.
        const ATTEMPTS: usize = 8;
        let mut image = clean.clone();
        if rng.random::<f32>() < self.config.probability {
            let other = if other.channels == clean.channels { other } else { clean };
            for _ in 0..rng.random_range(self.count[0]..=self.count[1]) {
                let _ = (0..ATTEMPTS).any(|_| self.add_defect(&mut image, other, foreground, rng));
            }
        }
        let mask = difference(clean, &image, VISIBILITY);
        Defective { image, mask }
    }

    /// Paints one defect; undoes it and returns false where hardly any of it would be seen.
    fn add_defect(
        &self,
        image: &mut Image,
        other: &Image,
        foreground: Option<&[f32]>,
        rng: &mut impl Rng,
    ) -> bool {
        let DefectConfig { area: [smallest, largest], opacity: [weakest, strongest], .. } = self.config;
        let area = log_uniform(smallest, largest, rng) * (image.height * image.width) as f32;
        let opacity = uniform(weakest, strongest, rng);
        let foreground = foreground.filter(|_| rng.random::<f32>() < self.foreground_bias);
        let centre = draw_centre(image, foreground, rng);
        let shape = draw_weighted(&self.shapes, Shape::Blob, rng);
        let fill = draw_weighted(&self.fills, Fill::Flat, rng);

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
            visible += usize::from(change > VISIBILITY);
        }
        let seen = visible >= 3.max(covered / 5);
        if seen {
            region.put(image, &after);
        }
        seen
    }
}

/// 1 where a channel differs by more than `visibility`, and in the holes: where most of the 5 x 5 pixels around do. A patch
/// of another texture agrees with the old one here and there by chance; a person would outline it as a whole.
fn difference(clean: &Image, corrupted: &Image, visibility: f32) -> PixelMask {
    let Image { height, width, channels, .. } = *clean;
    let pairs = clean.pixels.chunks_exact(channels).zip(corrupted.pixels.chunks_exact(channels));
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
fn draw_weighted<K: Copy>(weights: &[(K, f32)], fallback: K, rng: &mut impl Rng) -> K {
    let mut lot = rng.random::<f32>() * weights.iter().map(|(_, weight)| weight).sum::<f32>();
    let drawn = weights.iter().find(|(_, weight)| {
        lot -= weight;
        lot < 0.0
    });
    drawn.map_or(fallback, |&(key, _)| key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn texture(height: usize, width: usize, channels: usize, seed: u64) -> Image {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let field = super::super::noise::fbm(height, width, &[9.0, 4.0, 2.0], &mut rng);
        let pixels = field.iter().flat_map(|&v| std::iter::repeat_n(v, channels)).collect();
        Image { height, width, channels, pixels }
    }

    fn only(shape: Shape, fill: Fill, config: DefectConfig) -> DefectGenerator {
        let shapes = vec![(shape, 1.0)];
        DefectGenerator { shapes, ..DefectGenerator::new(&config, vec![fill]).always_one() }
    }

    fn sized(share: f32) -> DefectConfig {
        DefectConfig { area: [share, share], ..DefectConfig::default() }
    }

    fn every_kind() -> impl Iterator<Item = (Shape, Fill)> {
        SHAPES.into_iter().flat_map(|(shape, _)| Fill::ALL.map(|fill| (shape, fill)))
    }

    #[test]
    fn every_kind_is_in_range_and_masked() {
        for (height, width) in [(16, 16), (1, 5), (64, 48)] {
            for channels in [1, 3] {
                let (clean, other) = (texture(height, width, channels, 1), texture(40, 30, channels, 2));
                for (shape, fill) in every_kind() {
                    let defects = only(shape, fill, DefectConfig::default());
                    let mut rng = ChaCha8Rng::seed_from_u64(3);
                    for _ in 0..3 {
                        let out = defects.corrupt(&clean, &other, None, &mut rng);
                        assert!(
                            out.image.pixels.iter().all(|v| (0.0..=1.0).contains(v)),
                            "{shape:?} {fill:?}"
                        );
                        let pairs =
                            clean.pixels.chunks_exact(channels).zip(out.image.pixels.chunks_exact(channels));
                        let visible = |(a, b): (&[f32], &[f32])| {
                            a.iter().zip(b).any(|(a, b)| (a - b).abs() > VISIBILITY)
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
        for (shape, fill) in every_kind() {
            let config = DefectConfig { opacity: [1.0, 1.0], ..sized(0.01) };
            let out =
                only(shape, fill, config).corrupt(&clean, &other, None, &mut ChaCha8Rng::seed_from_u64(4));
            assert!(out.mask.count() >= 3, "{shape:?} {fill:?}");
            let touched = out.image.pixels.iter().zip(&clean.pixels).filter(|(a, b)| a != b).count();
            // The area asked for, up to a soft edge and the distortion of the outline.
            assert!(touched < 3 * 164, "{shape:?} {fill:?} {touched}");
        }
    }

    #[test]
    fn the_mask_is_what_changed_without_small_holes() {
        let clean = Image::filled(12, 12, 3, 0.5);
        let mut corrupted = clean.clone();
        for (y, x) in (2..8).flat_map(|y| (2..8).map(move |x| (y, x))).filter(|&at| at != (4, 5)) {
            corrupted.pixels[(y * 12 + x) * 3 + 1] = 0.6;
        }
        corrupted.pixels[143 * 3] = 0.52;
        let mask = difference(&clean, &corrupted, 0.025);
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
            let defects = DefectGenerator::new(&DefectConfig::default(), Fill::ALL.to_vec());
            defects.corrupt(&clean, &other, None, &mut rng)
        };
        assert_eq!(draw(8), draw(8));
        assert_ne!(draw(8), draw(9));
    }

    #[test]
    fn probability_zero_leaves_the_image_alone() {
        let clean = texture(20, 20, 1, 1);
        let config = DefectConfig { probability: 0.0, ..Default::default() };
        let defects = DefectGenerator::new(&config, Fill::ALL.to_vec());
        let out = defects.corrupt(&clean, &clean, None, &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!((out.image, out.mask.count()), (clean, 0));
    }

    #[test]
    fn defects_are_centred_on_the_foreground() {
        let clean = texture(64, 64, 1, 1);
        let weights: Vec<f32> = (0..64 * 64).map(|i| f32::from(i % 64 < 8)).collect();
        let defects =
            DefectGenerator { foreground_bias: 1.0, ..only(Shape::Rectangle, Fill::Flat, sized(0.002)) };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..30 {
            let out = defects.corrupt(&clean, &clean, Some(&weights), &mut rng);
            assert!((0..64 * 64).all(|i| out.mask.pixels[i] == 0 || i % 64 < 16));
        }
    }

    #[test]
    fn an_image_of_other_channels_is_not_used() {
        let (clean, other) = (texture(16, 16, 1, 1), texture(16, 16, 3, 1));
        let defects = only(Shape::Blob, Fill::Foreign, DefectConfig::default());
        let out = defects.corrupt(&clean, &other, None, &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(out.image.pixels.len(), 256);
    }
}

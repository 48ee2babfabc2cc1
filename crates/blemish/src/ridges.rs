//! Lines and spots that stand out of a surface's grain: what scratches and cracks are.
//!
//! Second derivatives of an elongated Gaussian at twelve angles (Freeman and Adelson 1991; Lindeberg 1998), signed: the
//! grain averages out along a line, a scratch adds up. Each angle is measured in units of its own spread on the picture
//! at hand, so a coarser or more contrasty surface is no defect; then what good pictures show at the same place (edges
//! of the part, reflections) is taken out.

use rayon::prelude::*;

use crate::data::Image;
use crate::kernels::blur::blur_same_reflect;
use crate::kernels::simd::run;
use crate::rarity::Rarity;

/// Pixels averaged along each side, fine to coarse.
const LEVELS: [usize; 3] = [1, 2, 4];
/// Angles.
const ANGLES: usize = 12;
/// Standard deviations across and along a line, pixels of the level.
const ACROSS: f32 = 1.5;
const ALONG: f32 = 8.0;
/// How far a line is followed to either side, and one more, pixels of the level.
const REACH: usize = (2.5 * ALONG) as usize + 1;
/// How far good pictures' statistics are smoothed, pixels.
const SMOOTH: f32 = 6.0;

/// What good pictures of a surface show.
#[derive(Clone, Debug, PartialEq)]
pub struct Ridges {
    /// Mean of their maps, `[H, W]`, smoothed.
    pub mean: Vec<f32>,
    /// Standard deviation of their maps, `[H, W]`, smoothed, above 0.
    pub spread: Vec<f32>,
    /// How rare its values are on good pictures that it was not learnt from, once that is known.
    pub rarity: Option<Rarity>,
}

impl Ridges {
    /// Of `images`, all of one size; `None` without any.
    pub fn fit(images: &[Image]) -> Option<Self> {
        let [height, width] = images.first().map(|image| [image.height, image.width])?;
        let (mut mean, mut square) = (vec![0.0; height * width], vec![0.0; height * width]);
        let count = images.len() as f32;
        // A few at a time: a map is as large as its picture.
        for some in images.chunks(8) {
            for map in some.par_iter().map(strength).collect::<Vec<_>>() {
                for ((mean, square), v) in mean.iter_mut().zip(&mut square).zip(&map) {
                    *mean += v / count;
                    *square += v * v / count;
                }
            }
        }
        let spread: Vec<f32> =
            mean.iter().zip(&square).map(|(m, s)| (s - m * m).max(0.0).sqrt().max(0.05)).collect();
        let smooth = |map: &[f32]| blur_same_reflect(map, height, width, SMOOTH);
        Some(Self { mean: smooth(&mean), spread: smooth(&spread), rarity: None })
    }

    /// How far `image`, of the size that was learnt, stands out at each pixel, `[H, W]`: in standard deviations of good
    /// pictures, or by their [`Rarity`].
    pub fn map(&self, image: &Image) -> Vec<f32> {
        let mut map = strength(image);
        for ((v, mean), spread) in map.iter_mut().zip(&self.mean).zip(&self.spread) {
            *v = (*v - mean) / spread;
        }
        if let Some(rarity) = &self.rarity {
            map.iter_mut().for_each(|v| *v = rarity.of(*v));
        }
        map
    }
}

/// The strongest line through each pixel, `[H, W]`: the largest filter answer over the angles, in units of that angle's
/// spread on this picture. A line is dark or bright at every level alike, so each sign is averaged over the levels by
/// itself before the stronger one is taken.
fn strength(image: &Image) -> Vec<f32> {
    let Image { height, width, .. } = *image;
    let grey = Image { height, width, channels: 1, pixels: image.grey() };
    let mut signs = [1.0, -1.0].map(|sign| (sign, vec![0.0; height * width]));
    for level in LEVELS {
        let small = grey.averaged(level);
        let curvature = Curvature::of(&small);
        let answers: Vec<(Vec<f32>, f32)> =
            (0..ANGLES).into_par_iter().map(|angle| curvature.along(angle)).collect();
        for (sign, out) in &mut signs {
            let mut strongest = vec![0.0f32; small.pixels.len()];
            for (answer, spread) in &answers {
                let scale = *sign / spread;
                run(
                    #[inline(always)]
                    || strongest.iter_mut().zip(answer).for_each(|(most, v)| *most = most.max(scale * v)),
                );
            }
            let strongest = Image { pixels: strongest, ..small }.enlarged([height, width]);
            strongest.iter().zip(out).for_each(|(v, out)| *out += v / LEVELS.len() as f32);
        }
    }
    let [(_, dark), (_, bright)] = signs;
    dark.into_iter().zip(bright).map(|(d, b)| d.max(b)).collect()
}

/// Second derivatives of a picture smoothed across the lines that are looked for, continued by [`REACH`] pixels on every
/// side as its own mirror image. (Were the edge repeated, one pixel of grain would count as a line.)
struct Curvature {
    height: usize,
    width: usize,
    yy: Vec<f32>,
    xx: Vec<f32>,
    xy: Vec<f32>,
}

impl Curvature {
    fn of(image: &Image) -> Self {
        let Image { height, width, .. } = *image;
        let smooth = blur_same_reflect(&image.pixels, height, width, ACROSS);
        let at = |y: usize, x: usize| smooth[y.min(height - 1) * width + x.min(width - 1)];
        let places = |length: usize| (0..length + 2 * REACH).map(move |i| mirrored(i, length));
        let columns: Vec<usize> = places(width).collect();
        let (mut yy, mut xx, mut xy) = (Vec::new(), Vec::new(), Vec::new());
        for y in places(height) {
            for &x in &columns {
                let (up, left) = (y.saturating_sub(1), x.saturating_sub(1));
                let middle = at(y, x);
                yy.push(at(up, x) + at(y + 1, x) - 2.0 * middle);
                xx.push(at(y, left) + at(y, x + 1) - 2.0 * middle);
                xy.push(0.25 * (at(up, left) + at(y + 1, x + 1) - at(up, x + 1) - at(y + 1, left)));
            }
        }
        Self { height, width, yy, xx, xy }
    }

    /// The answer of the filter whose line runs at `angle` of [`ANGLES`], above 0 on dark lines, and its spread: what its
    /// median size says of a normal distribution.
    fn along(&self, angle: usize) -> (Vec<f32>, f32) {
        let across = self.across(angle);
        let (taps, padded_width) = (taps(angle), self.width + 2 * REACH);
        let mut out = vec![0.0; self.height * self.width];
        run(
            #[inline(always)]
            || {
                for (y, out) in out.chunks_exact_mut(self.width).enumerate() {
                    let row = |[dy, dx]: [usize; 2]| &across[(y + dy) * padded_width + dx..][..self.width];
                    // Four at a time: what they add up to stays in a register.
                    for four in &taps {
                        let [(a, u), (b, v), (c, w), (d, x)] =
                            four.map(|(place, weight)| (row(place), weight));
                        for ((((out, a), b), c), d) in out.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                            *out += (u * a + v * b) + (w * c + x * d);
                        }
                    }
                }
            },
        );
        // Sizes are ordered as their bits are.
        let mut sizes: Vec<u32> = out.iter().map(|v| v.abs().to_bits()).collect();
        let middle = sizes.len() / 2;
        let median = f32::from_bits(*sizes.select_nth_unstable(middle).1);
        (out, median.max(1e-6) / 0.6745)
    }

    /// The second derivative across lines of `angle`, continued like the others.
    fn across(&self, angle: usize) -> Vec<f32> {
        let (sin, cos) = (std::f32::consts::PI * angle as f32 / ANGLES as f32).sin_cos();
        // Across the line: (x, y) = (-sin, cos).
        let mut across = vec![0.0; self.yy.len()];
        run(
            #[inline(always)]
            || {
                for (((out, yy), xx), xy) in across.iter_mut().zip(&self.yy).zip(&self.xx).zip(&self.xy) {
                    *out = cos * cos * yy + sin * sin * xx - 2.0 * sin * cos * xy;
                }
            },
        );
        across
    }
}

/// What the filter of an angle adds up: places `[y, x]` beside the pixel, [`REACH`] being the pixel itself, and weights, a
/// multiple of four. One step along the longer axis at a time, between two pixels of the other.
fn taps(angle: usize) -> Vec<[([usize; 2], f32); 4]> {
    let (sin, cos) = (std::f32::consts::PI * angle as f32 / ANGLES as f32).sin_cos();
    let (longest, steep) = (sin.abs().max(cos.abs()), sin.abs() > cos.abs());
    let mut taps = Vec::new();
    let reach = REACH as isize - 1;
    for step in -reach..=reach {
        let [y, x] = [sin, cos].map(|slope| step as f32 * slope / longest);
        let weight = (-0.5 * (step as f32 / longest / ALONG).powi(2)).exp();
        let part = if steep { x - x.floor() } else { y - y.floor() };
        let first = if steep { [y.round(), x.floor()] } else { [y.floor(), x.round()] };
        let second = if steep { [first[0], first[1] + 1.0] } else { [first[0] + 1.0, first[1]] };
        let place = |at: [f32; 2]| at.map(|v| (v + REACH as f32) as usize);
        taps.extend([(place(first), weight * (1.0 - part)), (place(second), weight * part)]);
    }
    taps.retain(|&(_, weight)| weight > 1e-6);
    taps.resize(taps.len().next_multiple_of(4), ([REACH; 2], 0.0));
    taps.as_chunks::<4>().0.to_vec()
}

/// The place of `at - REACH` in a row of `length` that goes on as its own mirror image, the outermost value twice.
fn mirrored(at: usize, length: usize) -> usize {
    let at = (at as isize - REACH as isize).rem_euclid(2 * length as isize) as usize;
    at.min(2 * length - 1 - at)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// Grain of a fixed pattern that repeats nowhere.
    fn surface(seed: u32, contrast: f32) -> Image {
        let mut state = seed.wrapping_mul(2_654_435_761).max(1);
        let mut draw = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 8) as f32 / (1u32 << 24) as f32 - 0.5
        };
        let pixels = (0..96 * 128).map(|_| 0.5 + contrast * (draw() + draw())).collect();
        Image { height: 96, width: 128, channels: 1, pixels }
    }

    /// A line of single pixels, weaker than the grain.
    fn scratched(mut image: Image) -> Image {
        (20..80).for_each(|i| image.pixels[(30 + i / 3) * 128 + i] -= 0.25);
        image
    }

    #[test]
    fn a_scratch_below_the_grain_stands_out_where_it_is() {
        let good: Vec<Image> = (1..9).map(|seed| surface(seed, 0.3)).collect();
        let ridges = Ridges::fit(&good[..5]).unwrap();
        let largest = |image: &Image| ridges.map(image).into_iter().fold(0.0, f32::max);
        let usual = good[5..].iter().map(largest).sum::<f32>() / 3.0;
        let map = ridges.map(&scratched(surface(20, 0.3)));
        let peak = (0..map.len()).max_by(|&a, &b| map[a].total_cmp(&map[b])).unwrap();
        let (y, x) = (peak / 128, peak % 128);
        assert!((18..82).contains(&x) && (30 + x / 3).abs_diff(y) <= 3, "({y}, {x})");
        assert!(map[peak] > 1.3 * usual, "{} {usual}", map[peak]);
        // Contrast alone is no defect.
        let strong = largest(&surface(21, 0.9));
        assert!(strong < 1.3 * usual, "{strong} {usual}");
        assert!(Ridges::fit(&[]).is_none());
    }

    #[test]
    fn every_angle_answers_its_own_line_most() {
        for angle in 0..ANGLES {
            let (sin, cos) = (std::f32::consts::PI * angle as f32 / ANGLES as f32).sin_cos();
            let mut image = Image::filled(81, 81, 1, 0.0);
            for (i, v) in image.pixels.iter_mut().enumerate() {
                let (y, x) = ((i / 81) as f32 - 40.0, (i % 81) as f32 - 40.0);
                let (along, across) = (x * cos + y * sin, y * cos - x * sin);
                *v = (-0.5 * (across / 1.5).powi(2)).exp() * f32::from(along.abs() < 25.0);
            }
            let curvature = Curvature::of(&image);
            let raw =
                |angle: usize| curvature.across(angle)[(REACH + 40) * (81 + 2 * REACH) + REACH + 40].abs();
            let best = (0..ANGLES).max_by(|&a, &b| raw(a).total_cmp(&raw(b))).unwrap();
            assert_eq!(best, angle);
        }
    }

    #[test]
    fn rows_go_on_as_their_mirror_image() {
        let places: Vec<usize> = (REACH - 4..REACH + 7).map(|at| mirrored(at, 3)).collect();
        assert_eq!(places, [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]);
        assert_eq!(mirrored(0, 1), 0);
    }

    #[test]
    fn taps_of_a_level_line_by_hand() {
        let taps = taps(0).concat();
        assert_eq!(taps.len(), 44);
        let gauss = |step: f32| (-0.5 * (step / 8.0).powi(2)).exp();
        for (i, &([y, x], weight)) in taps[..41].iter().enumerate() {
            assert_eq!([y, x], [REACH, i + 1]);
            assert!((weight - gauss(i as f32 - 20.0)).abs() < 1e-6);
        }
        assert!(taps[41..].iter().all(|&(_, weight)| weight == 0.0));
        // Between two pixels a step weighs what it does on one.
        let sum = |angle: usize, of: fn(usize) -> bool| {
            let taps = super::taps(angle).concat();
            taps.iter().filter(|(place, _)| of(place[1])).map(|(_, weight)| weight).sum::<f32>()
        };
        assert!((sum(1, |x| x == REACH + 5) - gauss(5.0 / (std::f32::consts::PI / 12.0).cos())).abs() < 1e-5);
    }

    /// Without mirroring, the border's single pixels answer like lines.
    #[test]
    fn the_border_of_a_surface_is_no_stronger_than_its_middle() {
        let strengths: Vec<Vec<f32>> = (1..7).map(|seed| strength(&surface(seed, 0.3))).collect();
        let mean = |inside: fn(usize) -> bool| {
            let at = || (0..96 * 128).filter(|i| inside(i % 128));
            let sum: f32 = strengths.iter().map(|map| at().map(|i| map[i]).sum::<f32>()).sum();
            sum / (6 * at().count()) as f32
        };
        let (border, middle) = (mean(|x| x < 3), mean(|x| (40..88).contains(&x)));
        assert!(border < 1.15 * middle, "{border} {middle}");
    }
}

//! Lines and spots that stand out of a surface's texture: what scratches and cracks are.
//!
//! Second derivatives of elongated Gaussians at sixteen angles, in two lengths (Freeman and Adelson 1991; Lindeberg 1998),
//! signed: texture averages out along a line, a scratch adds up. Each filter is divided by its own standard deviation on the
//! image at hand, so a coarser or more contrasty surface is no defect. The long filters are made of the short ones' responses,
//! some pixels apart (the algorithme à trous, Holschneider et al. 1989).

use rayon::prelude::*;

use crate::image::Image;
use blemish_kernels::blur::blur_same_reflect;
use blemish_kernels::scratch;
use blemish_kernels::simd::{CHUNK, run};

/// Pixels averaged along each side, fine to coarse.
const LEVELS: [usize; 3] = [1, 2, 4];
/// Angles.
const ANGLES: usize = 16;
/// Standard deviation across a line, pixels of the level.
const ACROSS: f32 = 1.5;
/// The filters along a line, one after the other: how far their taps are apart, and the standard deviation that they come
/// to together, pixels of the level.
const ALONG: [(usize, f32); 3] = [(1, 3.0), (3, 8.0), (8, 16.0)];
/// The first of them whose response counts: what is short or bent shows there, what is long and faint after the last.
const SHORTEST: usize = 1;
/// Every such pixel counts for the standard deviation of a response.
const SAMPLED: usize = 5;

/// The strongest line through each pixel, `[H, W]`. A line is dark or bright at every level alike, so each sign is averaged
/// over the levels by itself before the stronger one is taken.
pub fn responses(image: &Image) -> Vec<f32> {
    let Image { height, width, .. } = *image;
    let grey = Image { height, width, channels: 1, pixels: image.grey() };
    let mut signs = [vec![0.0; height * width], vec![0.0; height * width]];
    for level in LEVELS {
        let small = grey.averaged(level);
        for (strongest, out) in strongest(&small).into_iter().zip(&mut signs) {
            let strongest = Image { pixels: strongest, ..small }.enlarged([height, width]);
            strongest.iter().zip(out).for_each(|(v, out)| *out += v / LEVELS.len() as f32);
        }
    }
    let [dark, bright] = signs;
    dark.into_iter().zip(bright).map(|(dark, bright)| dark.max(bright)).collect()
}

/// The largest response at each pixel over the filters of every angle and length, in units of the standard deviation of that
/// filter's responses on this image: of dark lines, and of bright ones.
fn strongest(image: &Image) -> [Vec<f32>; 2] {
    let size @ [height, width] = [image.height, image.width];
    let pixels = height * width;
    let mut signs = [1.0, -1.0].map(|sign| (sign, vec![0.0f32; pixels]));
    let curvature = Curvature::of(image);
    scratch::with(2 * ANGLES * pixels, |buffer| {
        let (mut responses, mut longer) = buffer.split_at_mut(ANGLES * pixels);
        responses.par_chunks_mut(pixels).enumerate().for_each(|(angle, out)| curvature.across(angle, out));
        for stage in 0..ALONG.len() {
            lengthen(stage, size, responses, longer);
            std::mem::swap(&mut responses, &mut longer);
            if stage < SHORTEST {
                continue;
            }
            let deviations: Vec<f32> = responses.par_chunks(pixels).map(deviation).collect();
            for (sign, strongest) in &mut signs {
                strongest.par_chunks_mut(CHUNK).enumerate().for_each(|(i, strongest)| {
                    for (response, deviation) in responses.chunks_exact(pixels).zip(&deviations) {
                        let (scale, response) =
                            (*sign / deviation, &response[i * CHUNK..][..strongest.len()]);
                        run(
                            #[inline(always)]
                            || {
                                strongest
                                    .iter_mut()
                                    .zip(response)
                                    .for_each(|(most, v)| *most = most.max(scale * v));
                            },
                        );
                    }
                });
            }
        }
    });
    signs.map(|(_, strongest)| strongest)
}

/// Applies [`ALONG`]'s `stage` to the responses of every angle, maps of `size` one after the other.
fn lengthen(stage: usize, size @ [height, width]: [usize; 2], responses: &[f32], longer: &mut [f32]) {
    let pixels = height * width;
    longer.par_chunks_mut(pixels).enumerate().for_each(|(angle, out)| {
        // In a mirror, a line runs at the opposite angle.
        let sides = [angle, (ANGLES - angle) % ANGLES].map(|angle| &responses[angle * pixels..][..pixels]);
        Taps::new(angle, stage).apply(size, sides, out);
    });
}

/// The standard deviation of a response, from the median size of some of its values, as for a normal distribution.
fn deviation(response: &[f32]) -> f32 {
    // Sizes are ordered as their bits are.
    let mut sizes: Vec<u32> = response.iter().step_by(SAMPLED).map(|v| v.abs().to_bits()).collect();
    let middle = sizes.len() / 2;
    f32::from_bits(*sizes.select_nth_unstable(middle).1).max(1e-6) / 0.6745
}

/// Second derivatives of an image smoothed across the lines that are looked for.
struct Curvature {
    yy: Vec<f32>,
    xx: Vec<f32>,
    xy: Vec<f32>,
}

impl Curvature {
    fn of(image: &Image) -> Self {
        let [height, width] = [image.height, image.width];
        let smooth = blur_same_reflect(&image.pixels, height, width, ACROSS);
        let [mut yy, mut xx, mut xy] = [(); 3].map(|()| vec![0.0; height * width]);
        let rows = yy.par_chunks_mut(width).zip(xx.par_chunks_mut(width)).zip(xy.par_chunks_mut(width));
        rows.enumerate().for_each(|(y, ((yy, xx), xy))| {
            let row = |y: usize| &smooth[y.min(height - 1) * width..][..width];
            let [up, middle, down] = [row(y.saturating_sub(1)), row(y), row(y + 1)];
            run(
                #[inline(always)]
                || {
                    for x in 0..width {
                        let (left, right) = (x.saturating_sub(1), (x + 1).min(width - 1));
                        yy[x] = up[x] + down[x] - 2.0 * middle[x];
                        xx[x] = middle[left] + middle[right] - 2.0 * middle[x];
                        xy[x] = 0.25 * (up[left] + down[right] - up[right] - down[left]);
                    }
                },
            );
        });
        Self { yy, xx, xy }
    }

    /// The second derivative across lines of `angle`.
    fn across(&self, angle: usize, out: &mut [f32]) {
        let (sin, cos) = direction(angle);
        // Across the line: (x, y) = (-sin, cos).
        run(
            #[inline(always)]
            || {
                for (((out, yy), xx), xy) in out.iter_mut().zip(&self.yy).zip(&self.xx).zip(&self.xy) {
                    *out = cos * cos * yy + sin * sin * xx - 2.0 * sin * cos * xy;
                }
            },
        );
    }
}

/// Sine and cosine of the direction in which lines of `angle` run.
fn direction(angle: usize) -> (f32, f32) {
    (std::f32::consts::PI * angle as f32 / ANGLES as f32).sin_cos()
}

/// A map continued by `reach` pixels on every side as its own mirror image, from what it is itself and what its values are in
/// a mirror. (Were the edge repeated, one pixel of texture would count as a line.)
fn extended([height, width]: [usize; 2], reach: usize, sides: [&[f32]; 2], out: &mut [f32]) {
    let places =
        |length: usize| (0..length + 2 * reach).map(move |i| mirrored(i as isize - reach as isize, length));
    let columns: Vec<(usize, bool)> = places(width).collect();
    for (out, (y, down)) in out.chunks_exact_mut(columns.len()).zip(places(height)) {
        let rows = [down, !down].map(|mirrored| &sides[usize::from(mirrored)][y * width..][..width]);
        let (left, rest) = out.split_at_mut(reach);
        let (middle, right) = rest.split_at_mut(width);
        middle.copy_from_slice(rows[0]);
        for (out, columns) in [(left, &columns[..reach]), (right, &columns[reach + width..])] {
            out.iter_mut().zip(columns).for_each(|(out, &(x, across))| *out = rows[usize::from(across)][x]);
        }
    }
}

/// The place of `at` in a row of `length` that goes on as its own mirror image, the outermost value twice, and whether it is
/// seen in an odd number of mirrors.
fn mirrored(at: isize, length: usize) -> (usize, bool) {
    let at = at.rem_euclid(2 * length as isize) as usize;
    if at < length { (at, false) } else { (2 * length - 1 - at, true) }
}

/// What a filter along lines of an angle adds up.
struct Taps {
    /// How far it reaches to either side.
    reach: usize,
    /// Places `[y, x]` beside the pixel, `reach` being the pixel itself, and weights.
    taps: Vec<[([usize; 2], f32); 4]>,
}

impl Taps {
    /// That of [`ALONG`]'s `stage`: each tap the pixel that is nearest to the line.
    fn new(angle: usize, stage: usize) -> Self {
        let (sin, cos) = direction(angle);
        let longest = sin.abs().max(cos.abs());
        let (step, together) = ALONG[stage];
        let before = if stage == 0 { 0.0 } else { ALONG[stage - 1].1 };
        let sigma = (together * together - before * before).sqrt();
        let count = (2.5 * sigma / step as f32) as usize;
        let reach = count * step;
        let taps = (0..=2 * count).map(|i| {
            // Steps along the longer axis.
            let along = (i * step) as f32 - reach as f32;
            let place = [sin, cos].map(|slope| (reach as f32 + (along * slope / longest).round()) as usize);
            (place, (-0.5 * (along / longest / sigma).powi(2)).exp())
        });
        let mut taps: Vec<_> = taps.collect();
        taps.resize(taps.len().next_multiple_of(4), ([reach; 2], 0.0));
        Self { reach, taps: taps.as_chunks::<4>().0.to_vec() }
    }

    /// Of a map of `size`, whose values are those of `sides`: itself, and in a mirror.
    fn apply(&self, size @ [height, width]: [usize; 2], sides: [&[f32]; 2], out: &mut [f32]) {
        let step = width + 2 * self.reach;
        scratch::with((height + 2 * self.reach) * step, |map| {
            extended(size, self.reach, sides, map);
            out.fill(0.0);
            run(
                #[inline(always)]
                || {
                    for (y, out) in out.chunks_exact_mut(width).enumerate() {
                        let row = |[dy, dx]: [usize; 2]| &map[(y + dy) * step + dx..][..width];
                        // Four at a time: what they add up to stays in a register.
                        for four in &self.taps {
                            let [(a, u), (b, v), (c, w), (d, x)] =
                                four.map(|(place, weight)| (row(place), weight));
                            for ((((out, a), b), c), d) in out.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                                *out += (u * a + v * b) + (w * c + x * d);
                            }
                        }
                    }
                },
            );
        });
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
pub mod tests {
    use super::*;

    /// Texture of a fixed pattern that repeats nowhere.
    pub fn surface(seed: u32, contrast: f32) -> Image {
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

    #[test]
    fn every_angle_responds_to_its_own_line_most() {
        for angle in 0..ANGLES {
            let (sin, cos) = direction(angle);
            let mut image = Image::filled(81, 81, 1, 0.0);
            for (i, v) in image.pixels.iter_mut().enumerate() {
                let (y, x) = ((i / 81) as f32 - 40.0, (i % 81) as f32 - 40.0);
                let (along, across) = (x * cos + y * sin, y * cos - x * sin);
                *v = (-0.5 * (across / 1.5).powi(2)).exp() * f32::from(along.abs() < 25.0);
            }
            for stages in SHORTEST + 1..=ALONG.len() {
                let responses = after(&image, stages);
                let raw = |angle: usize| responses[(angle * 81 + 40) * 81 + 40].abs();
                let best = (0..ANGLES).max_by(|&a, &b| raw(a).total_cmp(&raw(b))).unwrap();
                assert_eq!(best, angle, "{stages}");
            }
        }
    }

    /// The responses at every angle after that many stages, one map after the other.
    fn after(image: &Image, stages: usize) -> Vec<f32> {
        let curvature = Curvature::of(image);
        let mut responses = vec![0.0; ANGLES * image.pixels.len()];
        let maps = responses.chunks_exact_mut(image.pixels.len()).enumerate();
        maps.for_each(|(angle, out)| curvature.across(angle, out));
        for stage in 0..stages {
            let before = responses.clone();
            lengthen(stage, [image.height, image.width], &before, &mut responses);
        }
        responses
    }

    #[test]
    fn rows_go_on_as_their_mirror_image() {
        let places: Vec<(usize, bool)> = (-4..7).map(|at| mirrored(at, 3)).collect();
        let place = |&(place, _): &(usize, bool)| place;
        assert_eq!(places.iter().map(place).collect::<Vec<_>>(), [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]);
        assert!(places.iter().enumerate().all(|(i, &(_, odd))| odd == (matches!(i, 1..4 | 7..10))));
        assert_eq!(mirrored(-7, 1), (0, true));
    }

    /// What lies in two mirrors is itself again, and so is the filter's response there.
    #[test]
    fn an_extended_map_by_hand() {
        let (own, twin) = ([1.0, 2.0, 3.0, 4.0], [-1.0, -2.0, -3.0, -4.0]);
        let mut out = [0.0; 16];
        extended([2, 2], 1, [&own, &twin], &mut out);
        let expected =
            [1.0, -1.0, -2.0, 2.0, -1.0, 1.0, 2.0, -2.0, -3.0, 3.0, 4.0, -4.0, 3.0, -3.0, -4.0, 4.0];
        assert_eq!(out, expected);
    }

    /// The filters see no border: a surface that goes on as its mirror image gets the responses of the one that was cut out of it.
    #[test]
    fn a_mirrored_surface_answers_as_its_quarter() {
        let quarter = surface(3, 0.3);
        let mut whole = Image::filled(2 * 96, 2 * 128, 1, 0.0);
        for (i, v) in whole.pixels.iter_mut().enumerate() {
            let (y, x) = (i / 256, i % 256);
            *v = quarter.pixels[y.min(191 - y) * 128 + x.min(255 - x)];
        }
        let (part, whole) = (after(&quarter, 3), after(&whole, 3));
        for (part, whole) in part.chunks_exact(96 * 128).zip(whole.chunks_exact(192 * 256)) {
            let largest = whole.iter().fold(0.0f32, |most, v| most.max(v.abs()));
            for (i, a) in part.iter().enumerate() {
                let b = whole[i / 128 * 256 + i % 128];
                assert!((a - b).abs() < 1e-3 * largest, "{i}: {a} {b}");
            }
        }
    }

    #[test]
    fn taps_of_a_level_line_by_hand() {
        let taps = Taps::new(0, 0);
        assert_eq!((taps.reach, taps.taps.len()), (7, 4));
        for (i, &([y, x], weight)) in taps.taps.concat()[..15].iter().enumerate() {
            assert_eq!([y, x], [7, i]);
            assert!((weight - (-0.5 * ((i as f32 - 7.0) / 3.0).powi(2)).exp()).abs() < 1e-6);
        }
        assert_eq!(taps.taps[3][3].1, 0.0);
        // The last one: four steps of 8 to either side, 13.86 pixels wide.
        let taps = Taps::new(4, 2);
        assert_eq!(taps.reach, 32);
        let &([y, x], weight) = &taps.taps.concat()[8];
        assert_eq!([y, x], [64, 64]);
        assert!((weight - (-0.5f32 * 2.0 * 32.0 * 32.0 / 192.0).exp()).abs() < 1e-6);
    }

    /// Without mirroring, the border's single pixels respond like lines.
    #[test]
    fn the_border_of_a_surface_is_no_stronger_than_its_middle() {
        let strengths: Vec<Vec<f32>> = (1..7).map(|seed| responses(&surface(seed, 0.3))).collect();
        let mean = |inside: fn(usize) -> bool| {
            let at = || (0..96 * 128).filter(|i| inside(i % 128));
            let sum: f32 = strengths.iter().map(|map| at().map(|i| map[i]).sum::<f32>()).sum();
            sum / (6 * at().count()) as f32
        };
        let (border, middle) = (mean(|x| x < 3), mean(|x| (40..88).contains(&x)));
        assert!(border < 1.15 * middle, "{border} {middle}");
    }
}

//! Defects that cover much of a photo: what is wrong there is seen from far, not at any one place.

use std::f32::consts::TAU;

use blemish::Image;
use rand::Rng;

use crate::canvas::blur;
use crate::noise::{octaves, smoothstep};
use crate::random::{Random, bell, chance, hash, log_uniform, pick, random, uniform};

/// Which of a seed's random streams draws the defect.
const STREAM: u64 = 12;
/// The least change of what is covered, as a mean over its pixels; values are in [0, 1].
const SEEN: f32 = 0.02;
/// The shares of a photo that may be covered.
const COVERED: [f32; 2] = [0.2, 0.8];

/// What happens to the pixels that are covered.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// All darker, or all brighter.
    Shade,
    /// Clouds of about a quarter of the photo.
    Clouds,
    /// Less contrast.
    Fade,
    /// Out of focus.
    Blur,
    /// Noise.
    Noise,
    /// Stripes of 4 to 12 pixels.
    Stripes,
}

const CHANGES: [Change; 6] =
    [Change::Shade, Change::Clouds, Change::Fade, Change::Blur, Change::Noise, Change::Stripes];

/// The photo with a fifth to four fifths of it changed (darker or brighter, clouds, less contrast, blur, noise or stripes), and the mask of that: 1
/// where the change has more than half of its strength. What is covered changes by 0.02 or more in the mean.
pub fn wide_defect(photo: &Image, seed: u64) -> (Image, Vec<u8>) {
    for attempt in 0.. {
        let mut rng = random(seed ^ (attempt << 40), STREAM);
        let cover = cover(&mut rng, [photo.height, photo.width]);
        let mask: Vec<u8> = cover.iter().map(|&v| u8::from(v > 0.5)).collect();
        let covered = mask.iter().map(|&v| usize::from(v)).sum::<usize>();
        let share = covered as f32 / mask.len() as f32;
        if !(COVERED[0]..=COVERED[1]).contains(&share) {
            continue;
        }
        let change = pick(&mut rng, &CHANGES);
        let changed = changed(&mut rng, photo, &cover, change);
        let pairs = changed.pixels.iter().zip(&photo.pixels).enumerate();
        let sum: f32 =
            pairs.filter(|(i, _)| mask[i / photo.channels] == 1).map(|(_, (a, b))| (a - b).abs()).sum();
        if sum >= SEEN * (covered * photo.channels) as f32 {
            return (changed, mask);
        }
    }
    unreachable!("attempts do not end")
}

/// How much of the change each pixel shows, 0 to 1: a side of a line, or a round part.
fn cover(rng: &mut Random, [height, width]: [usize; 2]) -> Vec<f32> {
    let (sin, cos) = uniform(rng, 0.0, TAU).sin_cos();
    let centre = [uniform(rng, -0.3, 0.3), uniform(rng, -0.3, 0.3)];
    let (round, reach, soft) = (chance(rng, 0.4), uniform(rng, 0.3, 0.6), log_uniform(rng, 0.01, 0.3));
    let at = |y: usize, x: usize| {
        let v = (y as f32 + 0.5) / height as f32 - 0.5 - centre[0];
        let u = (x as f32 + 0.5) / width as f32 - 0.5 - centre[1];
        let beyond = if round { v.hypot(u) - reach } else { sin * v + cos * u };
        smoothstep(0.5 * soft, -0.5 * soft, beyond)
    };
    (0..height).flat_map(|y| (0..width).map(move |x| (y, x))).map(|(y, x)| at(y, x)).collect()
}

fn changed(rng: &mut Random, photo: &Image, cover: &[f32], change: Change) -> Image {
    let size @ [height, width] = [photo.height, photo.width];
    let side = height.min(width) as f32;
    let seed = rng.random::<u32>();
    let (sin, cos) = uniform(rng, 0.0, TAU).sin_cos();
    let darker = if chance(rng, 0.7) { -1.0 } else { 1.0 };
    let mut out = photo.clone();
    let mut each = |of: &dyn Fn(usize, f32) -> f32| {
        for (at, pixel) in out.pixels.chunks_exact_mut(photo.channels).enumerate() {
            pixel.iter_mut().for_each(|v| *v = (*v + cover[at] * (of(at, *v) - *v)).clamp(0.0, 1.0));
        }
    };
    let place = |at: usize| ((at / width) as f32, (at % width) as f32);
    match change {
        Change::Shade => {
            let by = 1.0 + darker * log_uniform(rng, 0.08, 0.4);
            each(&|_, v| v * by);
        }
        Change::Clouds => {
            let by = log_uniform(rng, 0.1, 0.4);
            each(&|at, v| {
                let (y, x) = place(at);
                v * (1.0 + by * octaves(seed, 3, 0.5, 4.0 * y / side, 4.0 * x / side))
            });
        }
        Change::Fade => {
            let keep = uniform(rng, 0.3, 0.7);
            let mean = photo.pixels.iter().sum::<f32>() / photo.pixels.len() as f32;
            each(&|_, v| mean + keep * (v - mean));
        }
        Change::Blur => {
            let sigma = log_uniform(rng, 1.2, 4.0);
            let planes: Vec<Vec<f32>> = (0..photo.channels)
                .map(|c| photo.pixels.iter().skip(c).step_by(photo.channels).copied().collect::<Vec<f32>>())
                .map(|plane| blur(size, &plane, sigma))
                .collect();
            for (i, v) in out.pixels.iter_mut().enumerate() {
                let at = i / photo.channels;
                *v += cover[at] * (planes[i % photo.channels][at] - *v);
            }
        }
        Change::Noise => {
            let by = log_uniform(rng, 0.03, 0.1);
            each(&|at, v| v + by * bell(hash(seed, (at / width) as i32, (at % width) as i32)));
        }
        Change::Stripes => {
            let (by, period) = (log_uniform(rng, 0.04, 0.12), uniform(rng, 4.0, 12.0));
            each(&|at, v| {
                let (y, x) = place(at);
                v + by * (TAU * (sin * y + cos * x) / period).sin()
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Families, Scene};

    #[test]
    fn much_of_a_photo_changes_visibly_and_nothing_else_does_more_than_half() {
        let photo = Scene::new(3, Families::Training).good(0, [48, 64]);
        for seed in 0..24 {
            let (changed, mask) = wide_defect(&photo, seed);
            assert_eq!((&changed, &mask), (&wide_defect(&photo, seed).0, &wide_defect(&photo, seed).1));
            let covered = mask.iter().filter(|&&v| v == 1).count();
            assert!((614..=2458).contains(&covered), "{covered} of 3,072");
            let by: f32 = changed.pixels.iter().zip(&photo.pixels).map(|(a, b)| (a - b).abs()).sum();
            assert!(by >= SEEN * (3 * covered) as f32, "seed {seed}: {by}");
            assert!(changed.pixels.iter().all(|v| (0.0..=1.0).contains(v)));
        }
    }
}

//! The synthetic product itself, drawn from signed distances: a toothed flange with a keyed bore, drilled holes, a turned
//! face and a printed lot number, on a dark mat.

use std::f32::consts::{PI, TAU};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::defect::{Defect, DefectKind, Effect};
use super::noise::{Point, dot, length, minus, polar, rotate, value_noise};
use crate::noise::smoothstep;
use blemish::image::{Image, PixelMask};

pub(super) const TEETH: usize = 12;
pub(super) const HOLES: usize = 6;

const HOLE_CIRCLE: f32 = 0.66;
const HOLE_RADIUS: f32 = 0.125;
const BORE_RADIUS: f32 = 0.25;
const HUB_RADIUS: f32 = 0.41;
const TOOTH_HEIGHT: f32 = 0.05;

const METAL: [f32; 3] = [0.600, 0.590, 0.570];
const MAT: [f32; 3] = [0.185, 0.205, 0.225];
/// What the ink leaves of the light.
const INK: [f32; 3] = [0.52, 0.58, 0.72];

/// The lot number, the outermost row of its cells first.
const PRINT: [&[u8; 11]; 5] = [
    b" #  # # ###", //
    b"# # # #   #",
    b"### ### ###",
    b"# #   # #  ",
    b"# #   # ###",
];
const PRINT_CELL: f32 = 0.027;
/// Half way between the first two holes.
const PRINT_ANGLE: f32 = PI / HOLES as f32;

/// One image of the product, `image_size` square with `channels` (1 or 3) channels, and the mask of its defect, which
/// is empty without one. The same random numbers give the same part under the same light, with and without a defect.
pub(super) fn product_image(
    rng: &mut ChaCha8Rng,
    image_size: usize,
    channels: usize,
    defect: Option<DefectKind>,
) -> (Image, PixelMask) {
    let mut scene = Scene::draw(image_size, rng);
    scene.defect = defect.map(|kind| Defect::draw(kind, rng));

    let mut image = Image::filled(image_size, image_size, channels, 0.0);
    let mut mask = PixelMask::empty(image_size, image_size);
    for (index, pixel) in image.pixels.chunks_exact_mut(channels).enumerate() {
        let (colour, covered) = scene.look_at(index % image_size, index / image_size);
        mask.pixels[index] = u8::from(covered);
        match pixel {
            [grey] => *grey = colour.iter().sum::<f32>() / 3.0,
            _ => pixel.copy_from_slice(&colour),
        }
    }
    scene.photograph(&mut image);
    (image, mask)
}

/// Everything that differs between two images of the product.
struct Scene {
    image_size: f32,
    /// In pixels.
    centre: Point,
    /// In pixels.
    radius: f32,
    /// How far the part is turned.
    angle: f32,
    /// Where the light comes from, in the part's own frame.
    light: Point,
    gain: f32,
    /// How the light falls off over the width of the image.
    falloff: Point,
    /// Of the textures.
    seed: u32,
    /// Standard deviation of the blur, in pixels.
    blur: f32,
    /// Standard deviation of the camera's noise.
    noise: f32,
    noise_seed: u64,
    defect: Option<Defect>,
}

impl Scene {
    fn draw(image_size: usize, rng: &mut ChaCha8Rng) -> Self {
        let size = image_size as f32;
        let mut jitter = |range: f32| rng.random_range(-range..range);
        let angle = jitter(0.09);
        Self {
            image_size: size,
            centre: [size * (0.5 + jitter(0.015)), size * (0.5 + jitter(0.015))],
            radius: size * 0.42 * (1.0 + jitter(0.02)),
            angle,
            light: polar(1.0, -0.7 * PI + jitter(0.3) - angle),
            gain: 1.0 + jitter(0.1),
            falloff: [jitter(0.2), jitter(0.2)],
            blur: size / 256.0 * (0.65 + jitter(0.2)),
            noise: 0.011 + jitter(0.003),
            seed: rng.random(),
            noise_seed: rng.random(),
            defect: None,
        }
    }

    /// The light that reaches the camera from a pixel, and whether that pixel is defective.
    fn look_at(&self, x: usize, y: usize) -> ([f32; 3], bool) {
        let pixel = [x as f32 + 0.5, y as f32 + 0.5];
        let [x, y] = rotate(minus(pixel, self.centre), -self.angle);
        let at = [x / self.radius, y / self.radius];
        let distance = part_distance(at, self.defect.as_ref());
        let on_part = self.coverage(distance);
        let ink = self.ink(at);
        let effect = self.defect.as_ref().map(|defect| defect.effect(at, self.light));
        let effect = effect.unwrap_or(Effect { factor: [1.0; 3], covered: false });

        let lit =
            self.gain * (1.0 + dot(self.falloff, minus(pixel, [self.image_size / 2.0; 2])) / self.image_size);
        let face = if on_part > 0.0 { self.face(at, distance) } else { 0.0 };
        let mat = if on_part < 1.0 { self.mat(at) } else { 0.0 };
        let printed = if matches!(self.defect, Some(Defect::MissingPrint)) { 0.0 } else { ink };
        let colour = [0, 1, 2].map(|c| {
            let part = METAL[c] * face * (1.0 + printed * (INK[c] - 1.0)) * effect.factor[c];
            lit * (on_part * part + (1.0 - on_part) * MAT[c] * mat)
        });
        let missing = match &self.defect {
            Some(Defect::MissingPrint) => ink > 0.5,
            Some(Defect::MissingHole(_) | Defect::MissingTooth(_)) => {
                (distance < 0.0) != (part_distance(at, None) < 0.0)
            }
            _ => effect.covered && distance < 0.0,
        };
        (colour, missing)
    }

    /// How much of a pixel lies inside an edge at this signed distance.
    fn coverage(&self, distance: f32) -> f32 {
        (0.5 - distance * self.radius).clamp(0.0, 1.0)
    }

    /// The brightness of the turned face, about 1.
    fn face(&self, at: Point, distance: f32) -> f32 {
        let (radius, angle) = (length(at), at[1].atan2(at[0]));
        let turns = angle / TAU + 0.5;
        let grain = 0.060 * value_noise(self.seed, turns * 16.0, radius * 75.0, 16)
            + 0.035 * value_noise(self.seed ^ 1, turns * 5.0, radius * 14.0, 5)
            + 0.030 * value_noise(self.seed ^ 2, at[0] * 11.0, at[1] * 11.0, i32::MAX);
        // Turned metal shines in two lobes along the light.
        let towards = dot(at, self.light) / radius.max(1e-6);
        let shine = 0.09 * (2.0 * towards * towards - 1.0);
        // Edges: the rim and the hub's step face outwards, the chamfers of the holes inwards.
        let nearest_hole = hole_centre(slot(angle, HOLES));
        let into_hole = minus(at, nearest_hole);
        let chamfer = smoothstep(0.03, 0.0, -distance);
        let edge = if length(into_hole) < HOLE_RADIUS + 0.04 {
            -dot(into_hole, self.light) / length(into_hole).max(1e-6) * chamfer
        } else if radius < HUB_RADIUS - 0.05 {
            -towards * chamfer
        } else {
            towards * chamfer
        };
        let step = towards * (-((radius - HUB_RADIUS) / 0.014).powi(2)).exp();
        let groove = smoothstep(0.02, 0.008, (radius - 0.87).abs());
        (1.0 + grain + shine + 0.2 * edge + 0.2 * step) * (1.0 - 0.3 * groove)
    }

    /// The brightness of the mat, about 1, darker in the part's shadow and in its holes.
    fn mat(&self, at: Point) -> f32 {
        let weave = 0.12 * value_noise(self.seed ^ 3, at[0] * 38.0, at[1] * 38.0, i32::MAX)
            + 0.12 * value_noise(self.seed ^ 4, at[0] * 6.0, at[1] * 6.0, i32::MAX);
        let shadow = [at[0] + 0.07 * self.light[0], at[1] + 0.07 * self.light[1]];
        (1.0 + weave) * (1.0 - 0.5 * smoothstep(1.08, 0.94, length(shadow)))
    }

    /// How much of a pixel is printed on, from four points in it.
    fn ink(&self, at: Point) -> f32 {
        let upright = rotate(at, -PRINT_ANGLE);
        let quarter = 0.25 / self.radius;
        let corners = [[-quarter, -quarter], [-quarter, quarter], [quarter, -quarter], [quarter, quarter]];
        corners.iter().filter(|corner| is_printed(minus(upright, **corner))).count() as f32 / 4.0
    }

    /// Lens and sensor: blur, then noise.
    fn photograph(&self, image: &mut Image) {
        blur(image, self.blur);
        let mut rng = ChaCha8Rng::seed_from_u64(self.noise_seed);
        for value in &mut image.pixels {
            // The sum of three uniform numbers in [-1, 1] has a variance of 1: near enough to a normal one.
            let sum: f32 = (0..3).map(|_| rng.random_range(-1.0..1.0f32)).sum();
            *value = (*value + self.noise * sum).clamp(0.0, 1.0);
        }
    }
}

/// The signed distance from the part's edge, negative inside (near edges; its value far off is only a bound).
pub(super) fn part_distance(at: Point, missing: Option<&Defect>) -> f32 {
    let (radius, angle) = (length(at), at[1].atan2(at[0]));
    let tooth = match missing {
        Some(&Defect::MissingTooth(tooth)) if tooth == slot(angle, TEETH) => -1.0,
        _ => (1.8 * (TEETH as f32 * angle).cos()).clamp(-1.0, 1.0),
    };
    let rim = radius - 1.0 - TOOTH_HEIGHT * tooth;
    let bore = (radius - BORE_RADIUS).min((at[0].abs() - 0.055).max((at[1] + BORE_RADIUS).abs() - 0.07));
    let hole = match missing {
        Some(&Defect::MissingHole(hole)) if hole == slot(angle, HOLES) => f32::INFINITY,
        _ => length(minus(at, hole_centre(slot(angle, HOLES)))) - HOLE_RADIUS,
    };
    rim.max(-bore).max(-hole)
}

/// Which of `count` equal sectors, the first one centred on angle 0, holds an angle.
fn slot(angle: f32, count: usize) -> usize {
    (angle / TAU * count as f32).round().rem_euclid(count as f32) as usize
}

fn hole_centre(hole: usize) -> Point {
    polar(HOLE_CIRCLE, hole as f32 / HOLES as f32 * TAU)
}

/// Whether there is ink, at a point turned so that the lot number's lines run along y.
fn is_printed([outwards, along]: Point) -> bool {
    let row = (HOLE_CIRCLE - outwards) / PRINT_CELL + PRINT.len() as f32 / 2.0;
    let column = along / PRINT_CELL + PRINT[0].len() as f32 / 2.0;
    row >= 0.0
        && column >= 0.0
        && PRINT.get(row as usize).and_then(|cells| cells.get(column as usize)) == Some(&b'#')
}

/// A Gaussian blur, along rows and then along columns, cut off at 2.5 standard deviations; the border repeats.
fn blur(image: &mut Image, sigma: f32) {
    let reach = (2.5 * sigma).floor().max(1.0) as usize;
    let weights: Vec<f32> =
        (0..=2 * reach).map(|i| (-0.5 * ((i as f32 - reach as f32) / sigma).powi(2)).exp()).collect();
    let total: f32 = weights.iter().sum();
    let Image { height, width, channels, .. } = *image;
    // Blocks of `count` places with `stride` values each: a row of pixels, then the image as a column of rows.
    for (count, stride) in [(width, channels), (height, width * channels)] {
        let source = image.pixels.clone();
        let blocks = image.pixels.chunks_exact_mut(count * stride).zip(source.chunks_exact(count * stride));
        for (blurred, block) in blocks {
            blurred.fill(0.0);
            for (place, values) in blurred.chunks_exact_mut(stride).enumerate() {
                for (i, weight) in weights.iter().enumerate() {
                    let near = (place + i).saturating_sub(reach).min(count - 1);
                    for (value, from) in values.iter_mut().zip(&block[near * stride..]) {
                        *value += weight / total * from;
                    }
                }
            }
        }
    }
}

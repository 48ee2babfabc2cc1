//! Registration of an image to the good images' mean by a similarity: shift, rotation and scale.
//!
//! Gauss-Newton on brightness differences, coarse to fine, with weights that ignore what does not fit (Lucas and
//! Kanade 1981; Baker and Matthews 2004). Brightness and contrast of the image do not matter: they are found together
//! with the pose, by the same weights, so that a large defect decides neither.

use nalgebra::{SMatrix, SVector};
use rayon::prelude::*;

use crate::error::Result;
use crate::image::{Border, Image, median, sample};

/// Pixels averaged along each side, coarse to fine.
const LEVELS: [usize; 2] = [4, 2];
/// Steps at each level.
const STEPS: usize = 8;
/// Rounds in which the mean image and the poses sharpen each other.
const ROUNDS: usize = 2;
/// A direction in which the image changes less than this share of the strongest is left alone: a round part has no angle.
const RIDGE: f64 = 0.01;
/// Largest pose that is accepted: shift as a share of the shorter side, radians, logarithm of the scale.
const LARGEST: [f32; 4] = [0.12, 0.12, 0.2, 0.12];
/// Shift down and right, rotation, logarithm of the scale.
const PARAMETERS: usize = 4;
/// The same, offset and logarithm of the contrast.
const UNKNOWNS: usize = PARAMETERS + 2;
/// Differences count half at so many of their medians and of the template's standard deviations: noise-free images have no median.
const ALIKE: [f32; 2] = [3.0, 0.05];
/// A place follows the template where it differs by no more than so many medians of all differences (6 standard deviations of noise) and of
/// the template's standard deviations.
const FOLLOWS: [f32; 2] = [9.0, 0.25];
/// But none does in an image whose median difference is more of the template's standard deviations than this.
const UNLIKE: f32 = 2.0;
/// The largest step of the logarithm of the contrast.
const CONTRAST_STEP: f64 = 0.3;

/// Gives an image by its number.
type Read<'a> = dyn Fn(usize) -> Result<Image> + Sync + 'a;

/// How an image lies beside the mean image.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pose {
    /// `[y, x]`, pixels.
    shift: [f32; 2],
    /// Radians.
    angle: f32,
    /// Logarithm of the relative size.
    size: f32,
}

/// The mean image of a product that always lies (nearly) the same way.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    height: usize,
    width: usize,
    /// Grey levels, `[height, width]`.
    pixels: Vec<f32>,
    levels: Vec<Level>,
}

/// The template at one level, and what a small change of each parameter does to it.
#[derive(Clone, Debug, PartialEq)]
struct Level {
    factor: usize,
    /// Height and width.
    shape: [usize; 2],
    /// Zero mean.
    pixels: Vec<f32>,
    /// Their standard deviation.
    deviation: f32,
    slopes: Vec<[f32; PARAMETERS]>,
}

/// How an image's grey levels follow the template's: `contrast * template + offset`.
#[derive(Clone, Copy, Debug)]
struct Light {
    contrast: f32,
    offset: f32,
}

/// A pose in a light.
#[derive(Clone, Copy, Debug)]
struct Fit {
    pose: Pose,
    light: Light,
}

impl Pose {
    /// The place `[y, x]` in the image that belongs at `[y, x]` of the template, both from the image's middle.
    pub(super) fn place(&self, [y, x]: [f32; 2]) -> [f32; 2] {
        let (sin, cos) = self.angle.sin_cos();
        let size = self.size.exp();
        [size * (cos * y + sin * x) + self.shift[0], size * (cos * x - sin * y) + self.shift[1]]
    }

    /// The place `[y, x]` of the template that belongs at `[y, x]` of the image: the inverse of [`place`](Self::place).
    pub(super) fn inverse(&self, [y, x]: [f32; 2]) -> [f32; 2] {
        let (sin, cos) = self.angle.sin_cos();
        let size = (-self.size).exp();
        let (y, x) = (y - self.shift[0], x - self.shift[1]);
        [size * (cos * y - sin * x), size * (cos * x + sin * y)]
    }

    /// `image` as it would be in the template's place.
    pub fn apply(&self, image: &Image) -> Image {
        warp(image, self)
    }

    /// A pose of this shift (`[y, x]`, pixels), angle (radians) and logarithm of the size.
    #[cfg(test)]
    pub(super) fn of(shift: [f32; 2], angle: f32, size: f32) -> Self {
        Self { shift, angle, size }
    }

    fn is_plausible(&self, shorter: f32) -> bool {
        let values = [self.shift[0] / shorter, self.shift[1] / shorter, self.angle, self.size];
        values.iter().zip(LARGEST).all(|(v, most)| v.abs() <= most)
    }
}

impl Template {
    /// The mean image of `count` images of one size, and the pose of each; `None` without images. `read` gives an image by its
    /// number, each several times: they need not all be in memory.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn fit(count: usize, read: &Read<'_>) -> Result<Option<(Self, Vec<Pose>)>> {
        let all: Vec<usize> = (0..count).collect();
        let Some(mut template) = Self::mean(&all, read, |_| Pose::default())? else { return Ok(None) };
        // An image that goes against the mean of all is none of this product: a single one must not move the others.
        let is_alike = |&i: &usize| Ok(template.correlation(&read(i)?) > 0.0);
        let is_alike: Vec<bool> = all.par_iter().map(is_alike).collect::<Result<_>>()?;
        let alike: Vec<usize> = all.iter().copied().filter(|&i| is_alike[i]).collect();
        let used = if 2 * alike.len() > count { &alike } else { &all };
        if used.len() < count {
            template = Self::mean(used, read, |_| Pose::default())?.unwrap_or(template);
        }
        for _ in 0..ROUNDS {
            template = Self::mean(used, read, |image| template.pose(image))?.unwrap_or(template);
        }
        let poses = all.par_iter().map(|&i| Ok(template.pose(&read(i)?))).collect::<Result<_>>()?;
        Ok(Some((template, poses)))
    }

    /// Correlation of an image's grey levels with the template's, -1 to 1; 0 where either is constant.
    fn correlation(&self, image: &Image) -> f64 {
        let centred = |values: &[f32]| -> Vec<f64> {
            let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len().max(1) as f64;
            values.iter().map(|&v| f64::from(v) - mean).collect()
        };
        let (own, other) = (centred(&self.pixels), centred(&image.grey()));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        dot(&own, &other) / (dot(&own, &own) * dot(&other, &other)).sqrt().max(f64::MIN_POSITIVE)
    }

    /// The mean of these images, each moved out of its pose; `None` without any.
    fn mean(which: &[usize], read: &Read<'_>, pose: impl Fn(&Image) -> Pose + Sync) -> Result<Option<Self>> {
        let (mut size, mut sums) = ([0; 2], Vec::<f64>::new());
        let moved = |&i: &usize| -> Result<Image> {
            let image = read(i)?;
            Ok(warp(&image, &pose(&image)))
        };
        for some in which.chunks(8) {
            // Added in the order of the images, whatever the number of threads.
            for image in some.par_iter().map(moved).collect::<Result<Vec<_>>>()? {
                size = [image.height, image.width];
                sums.resize(image.height * image.width, 0.0);
                sums.iter_mut().zip(image.grey()).for_each(|(sum, v)| *sum += f64::from(v));
            }
        }
        let pixels = sums.into_iter().map(|sum| (sum / which.len() as f64) as f32).collect();
        Ok((!which.is_empty()).then(|| Self::new(size[0], size[1], pixels)))
    }

    /// A template of these grey levels, `[height, width]`.
    pub fn new(height: usize, width: usize, pixels: Vec<f32>) -> Self {
        let image = Image { height, width, channels: 1, pixels };
        let levels = LEVELS.iter().map(|&factor| Level::new(&image, factor)).collect();
        Self { height, width, pixels: image.pixels, levels }
    }

    /// Height and width.
    pub fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// Its grey levels, `[height, width]`.
    pub fn pixels(&self) -> &[f32] {
        &self.pixels
    }

    /// For every pixel of a registered image, `[height, width]`, whether it follows the template, in whatever light; `None` where
    /// most of the image does not.
    pub(super) fn follows(&self, image: &Image) -> Option<Vec<bool>> {
        let coarse = self.levels.first()?;
        let small = grey(image).averaged(coarse.factor);
        let start = coarse.light(&small)?;
        let in_place = |light: Light| Fit { pose: Pose::default(), light };
        let light = (0..STEPS).fold(start, |light, _| coarse.compare(&small, in_place(light)).0.light);
        let apart: Vec<f32> = coarse.differences(&small.pixels, light).iter().map(|d| d.abs()).collect();
        let middle = median(&mut apart.clone());
        if middle > UNLIKE * coarse.deviation {
            return None;
        }
        let most = FOLLOWS[0] * middle + FOLLOWS[1] * coarse.deviation;
        let [rows, columns] = coarse.shape;
        let cell = |i: usize, count: usize| (i / coarse.factor).min(count - 1);
        let at = |i: usize| cell(i / image.width, rows) * columns + cell(i % image.width, columns);
        Some((0..image.height * image.width).map(|i| apart[at(i)] <= most).collect())
    }

    /// How `image`, of the template's size, lies. An image that cannot be registered to it lies as it is.
    pub fn pose(&self, image: &Image) -> Pose {
        let grey = grey(image);
        let shown: Vec<Image> = self.levels.iter().map(|level| grey.averaged(level.factor)).collect();
        let (Some(coarse), Some(fine)) = (self.levels.first(), self.levels.last()) else {
            return Pose::default();
        };
        let Some(light) = coarse.light(&shown[0]) else { return Pose::default() };
        let start = Fit { pose: Pose::default(), light };
        let found =
            self.levels.iter().zip(&shown).fold(start, |fit, (level, small)| {
                (0..STEPS).fold(fit, |fit, _| level.compare(small, fit).0)
            });
        let apart = |fit: Fit| fine.compare(&shown[shown.len() - 1], fit).1;
        let is_plausible = found.pose.is_plausible(self.height.min(self.width) as f32);
        if is_plausible && apart(found) < apart(start) { found.pose } else { Pose::default() }
    }
}

impl Level {
    fn new(image: &Image, factor: usize) -> Self {
        let small = image.averaged(factor);
        let (height, width) = (small.height, small.width);
        let mean = small.pixels.iter().sum::<f32>() / small.pixels.len().max(1) as f32;
        let pixels: Vec<f32> = small.pixels.iter().map(|v| v - mean).collect();
        let deviation = (pixels.iter().map(|v| v * v).sum::<f32>() / pixels.len().max(1) as f32).sqrt();
        let radius = 0.5 * height.min(width) as f32;
        let slope = |i: usize| {
            let (row, column) = (i / width, i % width);
            // The border has no neighbours on one side, and images end there: it is ignored.
            if row == 0 || column == 0 || row + 1 == height || column + 1 == width {
                return [0.0; PARAMETERS];
            }
            let dy = 0.5 * (pixels[i + width] - pixels[i - width]);
            let dx = 0.5 * (pixels[i + 1] - pixels[i - 1]);
            let [y, x] = middle(i, height, width);
            [dy, dx, (dy * x - dx * y) / radius, (dy * y + dx * x) / radius]
        };
        let slopes = (0..height * width).map(slope).collect();
        Self { factor, shape: [height, width], pixels, deviation, slopes }
    }

    /// The light of an image that lies about as the template does, by the least sum of absolute differences; `None` where it
    /// does not follow the template's grey levels. What covers less than about half of the product does not count.
    fn light(&self, small: &Image) -> Option<Light> {
        let middle_of = |values: &[f32]| median(&mut values.to_vec());
        let (grey, own) = (middle_of(&small.pixels), middle_of(&self.pixels));
        // The weighted median of the slopes of lines through the medians.
        let mut slopes: Vec<(f32, f32)> = small
            .pixels
            .iter()
            .zip(&self.pixels)
            .map(|(v, t)| (v - grey, t - own))
            .filter(|(_, t)| *t != 0.0)
            .map(|(v, t)| (v / t, t.abs()))
            .collect();
        slopes.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let half = 0.5 * slopes.iter().map(|(_, weight)| f64::from(*weight)).sum::<f64>();
        let mut sum = 0.0;
        let contrast = slopes
            .iter()
            .find(|(_, weight)| {
                sum += f64::from(*weight);
                sum >= half
            })?
            .0;
        let differences: Vec<f32> =
            small.pixels.iter().zip(&self.pixels).map(|(v, t)| v - contrast * t).collect();
        (contrast > 0.0).then(|| Light { contrast, offset: middle_of(&differences) })
    }

    /// How far grey levels seen in this light are from the template's.
    fn differences(&self, pixels: &[f32], light: Light) -> Vec<f32> {
        pixels.iter().zip(&self.pixels).map(|(v, t)| (v - light.offset) / light.contrast - t).collect()
    }

    /// The fit that brings `small` nearer to the template, and how far it is away by the fit that is given.
    fn compare(&self, small: &Image, fit: Fit) -> (Fit, f64) {
        let Fit { pose, light } = fit;
        let scaled = Pose { shift: pose.shift.map(|s| s / self.factor as f32), ..pose };
        let now = warp(small, &scaled).pixels;
        let differences = self.differences(&now, light);
        let mut sizes: Vec<f32> = differences.iter().map(|d| d.abs()).collect();
        let scale = ALIKE[0] * median(&mut sizes) + ALIKE[1] * self.deviation + 1e-6;
        let mut normal = SMatrix::<f64, UNKNOWNS, UNKNOWNS>::zeros();
        let mut right = SVector::<f64, UNKNOWNS>::zeros();
        let mut total = 0.0;
        for ((&d, slope), &t) in differences.iter().zip(&self.slopes).zip(&self.pixels) {
            // Cauchy's weight.
            let weight = 1.0 / (1.0 + (d / scale) * (d / scale));
            total += f64::from(weight * d * d);
            let change: SVector<f64, UNKNOWNS> =
                [slope[0], slope[1], slope[2], slope[3], 1.0, t].map(f64::from).into();
            right += change * f64::from(weight * d);
            normal += change * change.transpose() * f64::from(weight);
        }
        let strongest = (0..PARAMETERS).map(|k| normal[(k, k)]).fold(0.0, f64::max);
        (0..PARAMETERS).for_each(|k| normal[(k, k)] += RIDGE * strongest);
        // The ridge makes it positive definite.
        (0..UNKNOWNS).for_each(|k| normal[(k, k)] += 1e-6);
        let step = normal.cholesky().map_or(SVector::zeros(), |cholesky| cholesky.solve(&right));
        let pose = self.moved(&pose, [0, 1, 2, 3].map(|k| step[k] as f32));
        let light = Light {
            offset: light.offset + light.contrast * step[4] as f32,
            contrast: light.contrast * step[5].clamp(-CONTRAST_STEP, CONTRAST_STEP).exp() as f32,
        };
        (Fit { pose, light }, total / now.len() as f64)
    }

    /// `pose` after a step.
    fn moved(&self, pose: &Pose, step: [f32; PARAMETERS]) -> Pose {
        let factor = self.factor as f32;
        // The steps of rotation and scale are lengths at the rim.
        let radius = 0.5 * self.shape[0].min(self.shape[1]) as f32;
        Pose {
            shift: [pose.shift[0] - factor * step[0], pose.shift[1] - factor * step[1]],
            angle: pose.angle - step[2] / radius,
            size: pose.size - step[3] / radius,
        }
    }
}

/// An image's grey levels.
fn grey(image: &Image) -> Image {
    Image { height: image.height, width: image.width, channels: 1, pixels: image.grey() }
}

/// A pixel's place `[y, x]` from the middle of an image.
fn middle(i: usize, height: usize, width: usize) -> [f32; 2] {
    [(i / width) as f32 - 0.5 * (height as f32 - 1.0), (i % width) as f32 - 0.5 * (width as f32 - 1.0)]
}

/// `image` moved into the template's place.
fn warp(image: &Image, pose: &Pose) -> Image {
    let Image { height, width, channels, .. } = *image;
    let mut out = Image::filled(height, width, channels, 0.0);
    let centre = [0.5 * (height as f32 - 1.0), 0.5 * (width as f32 - 1.0)];
    for (i, pixel) in out.pixels.chunks_exact_mut(channels).enumerate() {
        let [y, x] = pose.place(middle(i, height, width));
        sample(image, x + centre[1], y + centre[0], Border::Replicate, pixel);
    }
    out
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// A part with a hole, a notch and a gradient, lying at `pose` in other light.
    fn part(pose: &Pose, gain: f32, spot: bool) -> Image {
        let (height, width) = (96, 128);
        let mut image = Image::filled(height, width, 1, 0.2);
        for (i, v) in image.pixels.iter_mut().enumerate() {
            let [y, x] = pose.inverse(middle(i, height, width));
            let edge = |d: f32| 1.0 / (1.0 + (-d).exp());
            let body = edge(36.0 - (y * y + 0.6 * x * x).sqrt());
            let hole = edge(8.0 - ((y - 10.0).powi(2) + (x + 12.0).powi(2)).sqrt());
            let notch = edge(6.0 - ((y + 25.0).powi(2) + (x - 20.0).powi(2)).sqrt());
            *v = gain * (0.2 + 0.5 * body - 0.4 * hole - 0.3 * notch + 0.001 * x) + 0.05;
            if spot && (y - 5.0).abs() < 4.0 && (x - 15.0).abs() < 4.0 {
                *v = 1.0;
            }
        }
        image
    }

    #[test]
    fn images_are_registered_to_the_template() {
        let wanted = Pose { shift: [3.0, -4.5], angle: 0.07, size: 0.03 };
        let template = Template::new(96, 128, part(&Pose::default(), 1.0, false).grey());
        // In other light, and with a defect, which must not pull.
        let pose = template.pose(&part(&wanted, 0.8, true));
        let close = |a: f32, b: f32, within: f32| (a - b).abs() < within;
        assert!((0..2).all(|k| close(pose.shift[k], wanted.shift[k], 0.2)), "{pose:?}");
        assert!(close(pose.angle, wanted.angle, 0.006) && close(pose.size, wanted.size, 0.006), "{pose:?}");
    }

    #[test]
    fn registered_together_they_agree() {
        let poses: Vec<Pose> = (0..8)
            .map(|i| {
                let t = i as f32;
                Pose {
                    shift: [(t * 1.3).sin() * 3.0, (t * 0.7).cos() * 3.0],
                    angle: 0.05 * t.sin(),
                    size: 0.0,
                }
            })
            .collect();
        let images: Vec<Image> = poses.iter().map(|pose| part(pose, 1.0, false)).collect();
        let (_, found) = Template::fit(images.len(), &|i| Ok(images[i].clone())).unwrap().unwrap();
        let registered: Vec<Image> =
            images.iter().zip(&found).map(|(image, pose)| pose.apply(image)).collect();
        let different = |images: &[Image]| -> f64 {
            let pairs = images[1..].iter().flat_map(|image| image.pixels.iter().zip(&images[0].pixels));
            pairs.map(|(a, b)| f64::from((a - b).abs())).sum()
        };
        assert!(
            different(&registered) < 0.15 * different(&images),
            "{} {}",
            different(&registered),
            different(&images)
        );
        assert!(Template::fit(0, &|i| Ok(images[i].clone())).unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_registered_stays() {
        let template = Template::new(96, 128, part(&Pose::default(), 1.0, false).grey());
        let flat = Image::filled(96, 128, 1, 0.4);
        assert_eq!(template.pose(&flat), Pose::default());
        // A round part has no angle: none is made up.
        let disc = |shift: f32| {
            let mut image = Image::filled(96, 128, 1, 0.0);
            for (i, v) in image.pixels.iter_mut().enumerate() {
                let [y, x] = middle(i, 96, 128);
                *v = 1.0 / (1.0 + ((y * y + (x - shift).powi(2)).sqrt() - 30.0).exp());
            }
            image
        };
        let pose = Template::new(96, 128, disc(0.0).grey()).pose(&disc(2.0));
        assert!(pose.angle.abs() < 0.01 && (pose.shift[1] - 2.0).abs() < 0.2, "{pose:?}");
    }

    #[test]
    fn inverse_undoes_place() {
        let pose = Pose { shift: [3.0, -4.5], angle: 0.3, size: -0.2 };
        let [y, x] = pose.inverse(pose.place([7.0, -11.0]));
        assert!((y - 7.0).abs() < 1e-4 && (x + 11.0).abs() < 1e-4);
    }
}

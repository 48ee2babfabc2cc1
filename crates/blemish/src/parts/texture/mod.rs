//! What the texture of good surfaces is like: stains, holes, rubbed and rough places change it.
//!
//! The neighbourhood of every pixel is described (`describe`) and scored by its squared Mahalanobis distance from those of
//! good images, wherever they lie (the Gaussian of PaDiM, Defard et al. 2021, without its places and its network).

mod description;

use rayon::prelude::*;

use self::description::{describe, features};
use super::whitening::whitening;
use super::{DetectorPart, FitInput, put, take};
use crate::calibrate::NORMAL_SHARE;
use crate::config::Config;
use crate::engine::Weights;
use crate::error::Result;
use crate::image::{Image, median};
use blemish_kernels::blur::blur_same_reflect;
use blemish_kernels::simd::run;

/// Images that it is fitted on, at most.
const IMAGES: usize = 256;
/// How far means are smoothed over places, standard deviation, pixels.
const SMOOTH: f32 = 16.0;
/// Pixels that are scored at a time: their descriptions stay in a cache.
const BLOCK: usize = 2048;
/// The statistics use one pixel of so many.
const STEP: usize = 7;
/// Smallest mean distance, and median, that distances are divided by.
const FLOOR: f32 = 1e-3;

/// A Gaussian of the descriptions of good neighbourhoods.
#[derive(Clone, Debug, PartialEq)]
pub struct TextureModel {
    /// Of the planes that follow: that of the view, or 1 x 1 where views have sizes of their own and so no places.
    size: [usize; 2],
    /// Mean description, a smooth plane for each value, `[F, H, W]`: light may fall off towards an edge.
    mean: Vec<f32>,
    /// What turns a difference from the mean into independent numbers of variance 1, `[F, F]`, lower triangular.
    whitening: Vec<f32>,
    /// Mean squared distance of good images from it, `[H, W]`, smoothed, above 0: edges vary more than the middle.
    mean_distance: Vec<f32>,
    /// The median squared distance of an image: of the middle one of the good images, and what one in twenty exceeds. Both
    /// above 0, the second at least the first.
    medians: [f32; 2],
}

impl DetectorPart for TextureModel {
    fn takes_any_size() -> bool {
        true
    }

    fn fit(input: &FitInput<'_>) -> Result<Self> {
        let images = input.images.at_most(IMAGES);
        let anywhere = input.config.one_size().is_none();
        let size @ [height, width] = input.config.one_size().unwrap_or([1, 1]);
        let (count, pixels) = (features(images.channels()), height * width);
        let (mut sums, mut products) = (vec![vec![0.0f64; pixels]; count], vec![0.0f64; count * count]);
        // Sums of products, image by image: the same on any number of threads.
        let described = |image: &Image| {
            let mut planes = describe(image);
            let products = products_of(&planes);
            if anywhere {
                // Of the very pixels that the products are of, so that the covariance cannot become negative.
                planes.iter_mut().for_each(|plane| *plane = plane.iter().copied().step_by(STEP).collect());
            }
            (products, planes)
        };
        // How often each place was seen, and how many pixels the products are of.
        let (mut each, mut sampled) = (0.0f64, 0.0f64);
        images.for_each(input.progress, described, |(own, planes)| {
            products.iter_mut().zip(own).for_each(|(total, v)| *total += v);
            for (sum, plane) in sums.iter_mut().zip(&planes) {
                for plane in plane.chunks_exact(pixels) {
                    sum.iter_mut().zip(plane).for_each(|(sum, &v)| *sum += f64::from(v));
                }
            }
            each += (planes[0].len() / pixels) as f64;
            sampled += if anywhere { planes[0].len() } else { pixels.div_ceil(STEP) } as f64;
        })?;
        let means: Vec<Vec<f32>> =
            sums.iter().map(|sum| sum.iter().map(|v| (v / each) as f32).collect()).collect();
        drop(sums);
        let smooth: Vec<Vec<f32>> =
            means.par_iter().map(|mean| blur_same_reflect(mean, height, width, SMOOTH)).collect();
        products.iter_mut().for_each(|v| *v /= sampled);
        let covariance = centred(products, &means, &smooth, pixels.div_ceil(STEP) as f64);
        let mut model = Self {
            size,
            mean: smooth.concat(),
            whitening: whitening(&covariance, count).into_iter().map(|v| v as f32).collect(),
            mean_distance: vec![1.0; pixels],
            medians: [1.0; 2],
        };
        let (mut distance, mut medians, mut each) = (vec![0.0f64; pixels], Vec::new(), 0.0f64);
        images.for_each(
            input.progress,
            |image| model.map(image),
            |map| {
                for map in map.chunks_exact(pixels) {
                    distance.iter_mut().zip(map).for_each(|(sum, &v)| *sum += f64::from(v));
                }
                each += (map.len() / pixels) as f64;
                medians.push(median_of(&map));
            },
        )?;
        medians.sort_unstable_by(f32::total_cmp);
        let exceeded_by = |part: usize| medians[medians.len() - 1 - medians.len() / part].max(FLOOR);
        model.medians = [exceeded_by(2), exceeded_by(NORMAL_SHARE)];
        let distance: Vec<f32> = distance.iter().map(|sum| (sum / each) as f32).collect();
        model.mean_distance = blur_same_reflect(&distance, height, width, SMOOTH);
        model.mean_distance.iter_mut().for_each(|v| *v = v.max(FLOOR));
        Ok(model)
    }

    /// The squared Mahalanobis distance of each neighbourhood, over the mean one of good images there (or anywhere).
    ///
    /// An image that is more anomalous than most throughout is measured by its own median, but only as far as good images'
    /// medians go: what covers an image is a defect as well.
    fn map(&self, image: &Image) -> Vec<f32> {
        let (mut planes, pixels) = (describe(image), image.height * image.width);
        let places = self.mean_distance.len();
        planes.par_iter_mut().zip(self.mean.par_chunks_exact(places)).for_each(|(plane, mean)| match mean {
            [mean] => plane.iter_mut().for_each(|v| *v -= mean),
            _ => plane.iter_mut().zip(mean).for_each(|(v, mean)| *v -= mean),
        });
        let mut squares = vec![0.0; pixels];
        squares.par_chunks_mut(BLOCK).enumerate().for_each(|(at, squares)| {
            let mut mixed = [0.0; BLOCK];
            run(
                #[inline(always)]
                || {
                    for (row, i) in self.whitening.chunks_exact(planes.len()).zip(1..) {
                        mixed.fill(0.0);
                        for (plane, weight) in planes[..i].iter().zip(row) {
                            let plane = &plane[at * BLOCK..][..squares.len()];
                            mixed.iter_mut().zip(plane).for_each(|(out, v)| *out += weight * v);
                        }
                        squares.iter_mut().zip(&mixed).for_each(|(sum, v)| *sum += v * v);
                    }
                },
            );
        });
        let [middle, most] = self.medians;
        let throughout = median_of(&squares).clamp(middle, most) / middle;
        match self.mean_distance[..] {
            [mean] => squares.iter_mut().for_each(|v| *v /= mean * throughout),
            _ => squares.iter_mut().zip(&self.mean_distance).for_each(|(v, mean)| *v /= mean * throughout),
        }
        squares
    }

    fn save(&self, tensors: &mut Weights) {
        let ([height, width], count) = (self.size, self.mean.len() / self.mean_distance.len());
        put(tensors, "texture.mean", &[count, height, width], &self.mean);
        put(tensors, "texture.whitening", &[count, count], &self.whitening);
        put(tensors, "texture.mean_distance", &self.size, &self.mean_distance);
        put(tensors, "texture.medians", &[2], &self.medians);
    }

    fn load(tensors: &mut Weights, config: &Config) -> Result<Self, String> {
        let size = config.one_size().unwrap_or([1, 1]);
        let (pixels, count) = (size[0] * size[1], features(config.data.channels.unwrap_or(3)));
        let mut values = |name: &str, length: usize| match take(tensors, name)? {
            values if values.len() == length => Ok(values),
            values => Err(format!("{name} has {} values, not {length}", values.len())),
        };
        let mean = values("texture.mean", count * pixels)?;
        let whitening = values("texture.whitening", count * count)?;
        let mean_distance = values("texture.mean_distance", pixels)?;
        let medians = values("texture.medians", 2)?;
        let medians = [medians[0], medians[1]];
        if !(0.0 < medians[0] && medians[0] <= medians[1]) {
            return Err("its medians are not above 0 and in order".to_owned());
        }
        if !mean_distance.iter().all(|&v| v > 0.0) {
            return Err("a mean distance is not above 0".to_owned());
        }
        Ok(Self { size, mean, whitening, mean_distance, medians })
    }
}

/// Sums of the products of every two planes, `[F, F]`, over one pixel of [`STEP`].
fn products_of(planes: &[Vec<f32>]) -> Vec<f64> {
    let count = planes.len();
    let mut sums = vec![0.0; count * count];
    let mut values = vec![0.0; count];
    for at in (0..planes[0].len()).step_by(STEP) {
        values.iter_mut().zip(planes).for_each(|(v, plane)| *v = f64::from(plane[at]));
        for (row, a) in sums.chunks_exact_mut(count).zip(&values) {
            row.iter_mut().zip(&values).for_each(|(sum, b)| *sum += a * b);
        }
    }
    sums
}

/// The covariance about a smooth mean `s`, from the mean products and the mean `m`, place by place:
/// `E[(x - s)(x - s)^T] = E[x x^T] - m s^T - s m^T + s s^T`.
fn centred(mut products: Vec<f64>, means: &[Vec<f32>], smooth: &[Vec<f32>], samples: f64) -> Vec<f64> {
    let (count, pixels) = (means.len(), means[0].len());
    for (i, row) in products.chunks_exact_mut(count).enumerate() {
        for (j, v) in row.iter_mut().enumerate() {
            let at = |at: usize| {
                let [m, s] = [means, smooth].map(|planes| [i, j].map(|k| f64::from(planes[k][at])));
                m[0] * s[1] + s[0] * m[1] - s[0] * s[1]
            };
            *v -= (0..pixels).step_by(STEP).map(at).sum::<f64>() / samples;
        }
        row[i] += 1e-6;
    }
    products
}

/// The median of a map, of one pixel of [`STEP`].
fn median_of(map: &[f32]) -> f32 {
    median(&mut map.iter().step_by(STEP).copied().collect::<Vec<_>>())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::parts::testing::{config_of, config_of_any_size, fitted, fitted_as};

    /// Texture that is finer or coarser by `sigma`.
    fn surface(seed: u64, sigma: f32, channels: usize) -> Image {
        let (height, width) = (96, 128);
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let noise: Vec<f32> = (0..height * width).map(|_| rng.random_range(-1.0..1.0)).collect();
        let smooth = blur_same_reflect(&noise, height, width, sigma);
        let pixels =
            smooth.iter().flat_map(|v| std::iter::repeat_n(v * (1.0 + 3.0 * sigma), channels)).collect();
        Image { height, width, channels, pixels }
    }

    fn peak(map: &[f32]) -> (usize, usize, f32) {
        let at = (0..map.len()).max_by(|&a, &b| map[a].total_cmp(&map[b])).unwrap();
        (at / 128, at % 128, map[at])
    }

    #[test]
    fn stains_and_rubbed_places_stand_out_where_they_are() {
        for channels in [1, 3] {
            let good: Vec<Image> = (1..9).map(|seed| surface(seed, 0.7, channels)).collect();
            let model = fitted::<TextureModel>(&good[..5]);
            let usual = good[5..].iter().map(|image| peak(&model.map(image)).2).sum::<f32>() / 3.0;
            assert_eq!(model.mean.len(), features(channels) * 96 * 128);
            let (mut stained, mut rubbed) = (surface(20, 0.7, channels), surface(21, 0.7, channels));
            let coarse = surface(22, 3.0, channels);
            for i in 0..96 * 128_usize {
                let (y, x) = (i / 128, i % 128);
                if y.abs_diff(40) < 8 && x.abs_diff(70) < 8 {
                    // In colour, one channel alone.
                    stained.pixels[i * channels] += 1.5;
                    let at = i * channels..(i + 1) * channels;
                    rubbed.pixels[at.clone()].copy_from_slice(&coarse.pixels[at]);
                }
            }
            for (what, image) in [("stained", stained), ("rubbed", rubbed)] {
                let (y, x, value) = peak(&model.map(&image));
                assert!(
                    value > 1.5 * usual && y.abs_diff(40) < 14 && x.abs_diff(70) < 14,
                    "{what}: {value} at {y}, {x}"
                );
            }
            let (_, _, value) = peak(&model.map(&surface(23, 0.7, channels)));
            assert!(value < 1.4 * usual, "{value} {usual}");
        }
    }

    #[test]
    fn good_neighbourhoods_have_the_distances_of_their_number() {
        let good: Vec<Image> = (1..5).map(|seed| surface(seed, 1.0, 1)).collect();
        let model = fitted::<TextureModel>(&good);
        let mean = |values: &[f32]| values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
        // The mean squared Mahalanobis distance of what the statistics were taken of is their dimension.
        let usual = mean(&model.mean_distance) / features(1) as f64;
        assert!((usual - 1.0).abs() < 0.02, "{usual}");
        // Of these images the map is in units of it, unless they are measured by their own medians.
        let model = TextureModel { medians: [1.0; 2], ..model };
        let mapped = mean(&good.iter().flat_map(|image| model.map(image)).collect::<Vec<_>>());
        assert!((mapped - 1.0).abs() < 0.02, "{mapped}");
    }

    #[test]
    fn an_image_is_measured_by_its_own_median_as_far_as_good_ones_go() {
        let good: Vec<Image> = (1..25).map(|seed| surface(seed, 0.7, 1)).collect();
        let model = fitted::<TextureModel>(&good);
        let plain = TextureModel { medians: [1.0; 2], mean_distance: vec![1.0; 96 * 128], ..model.clone() };
        let mut medians: Vec<f32> = good.iter().map(|image| median_of(&plain.map(image))).collect();
        medians.sort_unstable_by(f32::total_cmp);
        // Of 24 images one lies above what one in twenty exceeds.
        assert_eq!(model.medians, [medians[11], medians[22]]);
        let image = surface(30, 0.7, 1);
        let map = plain.map(&image);
        let own = median_of(&map);
        for (middle, most, by) in
            [(0.5 * own, 2.0 * own, 2.0), (0.5 * own, 0.75 * own, 1.5), (2.0 * own, 3.0 * own, 1.0)]
        {
            let measured = TextureModel { medians: [middle, most], ..plain.clone() }.map(&image);
            assert!(measured.iter().zip(&map).all(|(v, raw)| (v * by - raw).abs() < 1e-4 * raw), "{by}");
        }
        // What covers a whole image is a defect still.
        let [usual, covered] =
            [surface(31, 0.7, 1), surface(32, 1.0, 1)].map(|image| median_of(&model.map(&image)));
        assert!(covered > 2.0 * usual, "{covered} {usual}");
    }

    #[test]
    fn light_that_falls_off_is_no_defect() {
        let lit = |seed| {
            let mut image = surface(seed, 0.7, 1);
            image.pixels.iter_mut().enumerate().for_each(|(i, v)| *v += 3.0 * (i % 128) as f32 / 128.0);
            image
        };
        let good: Vec<Image> = (1..17).map(lit).collect();
        let model = fitted::<TextureModel>(&good);
        let map = model.map(&lit(30));
        let mean = |inside: fn(usize) -> bool| {
            let (sum, count) = map
                .iter()
                .enumerate()
                .filter(|(i, _)| inside(i % 128))
                .fold((0.0, 0.0), |(sum, count), (_, v)| (sum + v, count + 1.0));
            sum / count
        };
        let (dark, middle) = (mean(|x| x < 16), mean(|x| (48..80).contains(&x)));
        assert!(dark < 1.5 * middle, "{dark} {middle}");
    }

    #[test]
    fn images_of_any_size_have_no_places() {
        let cut =
            |seed: u64, height: usize, width: usize| surface(seed, 1.0, 1).part([0, 0], [height, width]);
        let images = [cut(1, 96, 128), cut(2, 50, 128), cut(3, 96, 40)];
        let config = config_of_any_size(&images[0]);
        let model: TextureModel = fitted_as(&images, &config);
        assert_eq!((model.mean.len(), model.mean_distance.len()), (features(1), 1));
        // The mean squared distance of what the statistics were taken of is their dimension.
        let usual = f64::from(model.mean_distance[0]) / features(1) as f64;
        assert!((usual - 1.0).abs() < 0.02, "{usual}");
        assert_eq!(model.map(&cut(4, 33, 77)).len(), 33 * 77);
        let mut tensors = Weights::new();
        model.save(&mut tensors);
        assert_eq!(TextureModel::load(&mut tensors.clone(), &config).unwrap(), model);
        assert!(TextureModel::load(&mut tensors, &config_of(&images[0])).is_err());
    }

    #[test]
    fn a_value_that_others_determine_harms_nothing() {
        let flat = Image::filled(32, 32, 3, 0.5);
        let model = fitted::<TextureModel>(&[flat.clone(), flat.clone()]);
        assert!(model.map(&flat).iter().all(|v| v.is_finite()));
    }

    #[test]
    fn whitening_by_hand() {
        // L = [[2, 0], [1, 3]].
        assert_eq!(whitening(&[4.0, 2.0, 2.0, 10.0], 2), [0.5, 0.0, -1.0 / 6.0, 1.0 / 3.0]);
    }
}

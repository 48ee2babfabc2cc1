//! How a surface looks in the neighbourhood of each pixel: what stains, holes, rubbed and rough places change.
//!
//! A neighbourhood is described by its local means and the logarithms of its energies in octave bands, as models of texture
//! have it (Portilla and Simoncelli 2000 start from such), and judged by its squared Mahalanobis distance from those of good
//! pictures, wherever they lie (the Gaussian of PaDiM, Defard et al. 2021, without its places and its network).

use rayon::prelude::*;

use crate::data::Image;
use crate::kernels::blur::blur_same_reflect;
use crate::kernels::simd::run;
use crate::rarity::{PICTURES, Rarity};

/// Standard deviations of the neighbourhoods whose means count, pixels.
const MEANS: [f32; 2] = [4.0, 8.0];
/// Standard deviations between which bands lie, pixels; 0: the picture itself.
const BANDS: [f32; 5] = [0.0, 1.0, 2.0, 4.0, 8.0];
/// Standard deviations of the neighbourhoods in which the energy of each band is taken.
const ENERGIES: [f32; 4] = [4.0, 4.0, 6.0, 8.0];
/// The same for the energies of vertical and horizontal differences.
const SLOPES: f32 = 4.0;
/// Added to energies: a normalised picture's spread is 0.4, so that this is a fortieth of it.
const FLOOR: f32 = 1e-3;
/// How far means are smoothed over places, standard deviation, pixels.
const LIGHT: f32 = 16.0;
/// Pixels that are judged at a time: what is known of them stays in a cache.
const SOME: usize = 2048;
/// Pixels that the statistics take one of.
const STEP: usize = 7;

/// The neighbourhoods of good surfaces.
#[derive(Clone, Debug, PartialEq)]
pub struct Grain {
    /// Mean description, a smooth plane for each value, `[F, H, W]`: light may fall off towards an edge.
    pub mean: Vec<f32>,
    /// What turns a difference from the mean into independent numbers of variance 1, `[F, F]`, lower triangular.
    pub whitening: Vec<f32>,
    /// Mean squared distance of good pictures from it, `[H, W]`, smoothed, above 0: edges vary more than the middle.
    pub usual: Vec<f32>,
    /// The median squared distance that a picture has from it: of the middle one of the good pictures, and what one in twenty
    /// exceeds. Both above 0, the second at least the first.
    pub medians: [f32; 2],
    /// How rare its values are on good pictures that it was not learnt from, once that is known.
    pub rarity: Option<Rarity>,
}

/// Values of a description of a picture with so many channels.
pub fn features(channels: usize) -> usize {
    MEANS.len() * channels + ENERGIES.len() + 2
}

impl Grain {
    /// Of normalised `images`, all of one size; `None` without any.
    pub fn fit(images: &[Image]) -> Option<Self> {
        let Image { height, width, channels, .. } = *images.first()?;
        let count = features(channels);
        // Sums of products, picture by picture: the same on any number of threads.
        let products = |planes: &[Vec<f32>]| {
            let mut sums = vec![0.0; count * count];
            let mut values = vec![0.0; count];
            for at in (0..height * width).step_by(STEP) {
                values.iter_mut().zip(planes).for_each(|(v, plane)| *v = f64::from(plane[at]));
                for (row, a) in sums.chunks_exact_mut(count).zip(&values) {
                    row.iter_mut().zip(&values).for_each(|(sum, b)| *sum += a * b);
                }
            }
            sums
        };
        let (mut means, mut covariance) = (vec![vec![0.0; height * width]; count], vec![0.0; count * count]);
        let each = images.len() as f32;
        let samples = (height * width).div_ceil(STEP) as f64;
        // A few at a time: a description is many times as large as its picture.
        for some in images.chunks(8) {
            let described = some.par_iter().map(|image| {
                let planes = describe(image);
                (products(&planes), planes)
            });
            for (products, planes) in described.collect::<Vec<_>>() {
                let scale = f64::from(each) * samples;
                covariance.iter_mut().zip(products).for_each(|(total, sum)| *total += sum / scale);
                for (mean, plane) in means.iter_mut().zip(&planes) {
                    mean.iter_mut().zip(plane).for_each(|(mean, v)| *mean += v / each);
                }
            }
        }
        // Of the differences from a smooth mean s: E[(x - s)(x - s)^T] = E[x x^T] - m s^T - s m^T + s s^T, place by place.
        let smooth: Vec<Vec<f32>> =
            means.par_iter().map(|mean| blur_same_reflect(mean, height, width, LIGHT)).collect();
        for (i, row) in covariance.chunks_exact_mut(count).enumerate() {
            for (j, v) in row.iter_mut().enumerate() {
                let at = |at: usize| {
                    let [m, s] = [&means, &smooth].map(|planes| [i, j].map(|k| f64::from(planes[k][at])));
                    m[0] * s[1] + s[0] * m[1] - s[0] * s[1]
                };
                *v -= (0..height * width).step_by(STEP).map(at).sum::<f64>() / samples;
            }
            row[i] += 1e-6;
        }
        let whitening = whitening(&covariance, count).into_iter().map(|v| v as f32).collect();
        let ones = vec![1.0; height * width];
        let mut grain =
            Self { mean: smooth.concat(), whitening, usual: ones, medians: [1.0; 2], rarity: None };
        let (mut usual, mut medians) = (vec![0.0; height * width], Vec::new());
        for some in images.chunks(8) {
            for map in some.par_iter().map(|image| grain.map(image)).collect::<Vec<_>>() {
                usual.iter_mut().zip(&map).for_each(|(sum, v)| *sum += v / each);
                medians.push(median(&map));
            }
        }
        medians.sort_unstable_by(f32::total_cmp);
        let exceeded_by = |part: usize| medians[medians.len() - 1 - medians.len() / part].max(1e-3);
        grain.medians = [exceeded_by(2), exceeded_by(PICTURES)];
        grain.usual = blur_same_reflect(&usual, height, width, LIGHT);
        grain.usual.iter_mut().for_each(|v| *v = v.max(1e-3));
        Some(grain)
    }

    /// How far the neighbourhood of each pixel of `image` is from good ones, `[H, W]`: as a squared Mahalanobis distance over
    /// the usual one there, or by the [`Rarity`] of that on good pictures.
    ///
    /// A picture that is stranger than most throughout is measured by its own median, but only as far as good pictures'
    /// medians go: what covers a picture is a defect as well.
    pub fn map(&self, image: &Image) -> Vec<f32> {
        let (mut planes, pixels) = (describe(image), image.height * image.width);
        planes.par_iter_mut().zip(self.mean.par_chunks_exact(pixels)).for_each(|(plane, mean)| {
            plane.iter_mut().zip(mean).for_each(|(v, mean)| *v -= mean);
        });
        let mut squares = vec![0.0; pixels];
        squares.par_chunks_mut(SOME).enumerate().for_each(|(at, squares)| {
            let mut mixed = [0.0; SOME];
            run(
                #[inline(always)]
                || {
                    for (row, i) in self.whitening.chunks_exact(planes.len()).zip(1..) {
                        mixed.fill(0.0);
                        for (plane, weight) in planes[..i].iter().zip(row) {
                            let plane = &plane[at * SOME..][..squares.len()];
                            mixed.iter_mut().zip(plane).for_each(|(out, v)| *out += weight * v);
                        }
                        squares.iter_mut().zip(&mixed).for_each(|(sum, v)| *sum += v * v);
                    }
                },
            );
        });
        let [middle, most] = self.medians;
        let throughout = median(&squares).clamp(middle, most) / middle;
        squares.par_iter_mut().zip(&self.usual).for_each(|(v, usual)| {
            let strange = *v / (usual * throughout);
            *v = self.rarity.as_ref().map_or(strange, |rarity| rarity.of(strange));
        });
        squares
    }
}

/// The median of a map, of one of [`STEP`] pixels.
fn median(map: &[f32]) -> f32 {
    let mut some: Vec<f32> = map.iter().step_by(STEP).copied().collect();
    let middle = some.len() / 2;
    *some.select_nth_unstable_by(middle, f32::total_cmp).1
}

/// The description of every pixel, a plane `[H, W]` for each value.
fn describe(image: &Image) -> Vec<Vec<f32>> {
    let Image { height, width, channels, .. } = *image;
    let blur = |plane: &[f32], sigma: f32| blur_same_reflect(plane, height, width, sigma);
    let channel = |c: usize| image.pixels.iter().skip(c).step_by(channels).copied().collect::<Vec<f32>>();
    let grey = image.grey();
    let levels: Vec<Vec<f32>> = BANDS.par_iter().map(|&sigma| blur(&grey, sigma)).collect();
    let smooth = &levels[1];
    let between = |low: usize, high: usize| 0.5 * (smooth[high] - smooth[low]);
    let down = |i: usize| {
        let y = i / width;
        between(i - width * usize::from(y > 0), i + width * usize::from(y + 1 < height))
    };
    let across = |i: usize| {
        let x = i % width;
        between(i - usize::from(x > 0), i + usize::from(x + 1 < width))
    };
    let energy = |values: Vec<f32>, sigma: f32| -> Vec<f32> {
        let squares: Vec<f32> = values.iter().map(|v| v * v).collect();
        blur(&squares, sigma).into_iter().map(|v| (v + FLOOR).ln()).collect()
    };
    let means = channels * MEANS.len();
    let plane = |at: usize| match at.checked_sub(means) {
        None => blur(&channel(at / MEANS.len()), MEANS[at % MEANS.len()]),
        Some(band) if band < ENERGIES.len() => {
            let [fine, coarse] = [&levels[band], &levels[band + 1]];
            energy(fine.iter().zip(coarse).map(|(fine, coarse)| fine - coarse).collect(), ENERGIES[band])
        }
        Some(slope) if slope == ENERGIES.len() => energy((0..smooth.len()).map(down).collect(), SLOPES),
        Some(_) => energy((0..smooth.len()).map(across).collect(), SLOPES),
    };
    (0..features(channels)).into_par_iter().map(plane).collect()
}

/// The inverse of the lower triangle `L` of `covariance = L Lᵀ` (Cholesky).
fn whitening(covariance: &[f64], count: usize) -> Vec<f64> {
    let mut lower = vec![0.0; count * count];
    for i in 0..count {
        for j in 0..=i {
            let rest: f64 = (0..j).map(|k| lower[i * count + k] * lower[j * count + k]).sum();
            let value = covariance[i * count + j] - rest;
            // Rounding may leave nothing of a value that others determine.
            lower[i * count + j] = if i == j { value.max(1e-9).sqrt() } else { value / lower[j * count + j] };
        }
    }
    let mut inverse = vec![0.0; count * count];
    for column in 0..count {
        for i in column..count {
            let rest: f64 = (column..i).map(|k| lower[i * count + k] * inverse[k * count + column]).sum();
            let unit = if i == column { 1.0 } else { 0.0 };
            inverse[i * count + column] = (unit - rest) / lower[i * count + i];
        }
    }
    inverse
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Grain that is finer or coarser by `sigma`.
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
            let grain = Grain::fit(&good[..5]).unwrap();
            let usual = good[5..].iter().map(|image| peak(&grain.map(image)).2).sum::<f32>() / 3.0;
            assert_eq!(grain.mean.len(), features(channels) * 96 * 128);
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
                let (y, x, value) = peak(&grain.map(&image));
                assert!(
                    value > 1.5 * usual && y.abs_diff(40) < 14 && x.abs_diff(70) < 14,
                    "{what}: {value} at {y}, {x}"
                );
            }
            let (_, _, value) = peak(&grain.map(&surface(23, 0.7, channels)));
            assert!(value < 1.4 * usual, "{value} {usual}");
        }
        assert!(Grain::fit(&[]).is_none());
    }

    #[test]
    fn good_neighbourhoods_have_the_distances_of_their_number() {
        let good: Vec<Image> = (1..5).map(|seed| surface(seed, 1.0, 1)).collect();
        let grain = Grain::fit(&good).unwrap();
        let mean = |values: &[f32]| values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
        // The mean squared Mahalanobis distance of what the statistics were taken of is their dimension.
        let usual = mean(&grain.usual) / features(1) as f64;
        assert!((usual - 1.0).abs() < 0.02, "{usual}");
        // Of these pictures the map is in units of it, unless they are measured by their own medians.
        let grain = Grain { medians: [1.0; 2], ..grain };
        let mapped = mean(&good.iter().flat_map(|image| grain.map(image)).collect::<Vec<_>>());
        assert!((mapped - 1.0).abs() < 0.02, "{mapped}");
    }

    #[test]
    fn a_picture_is_measured_by_its_own_median_as_far_as_good_ones_go() {
        let good: Vec<Image> = (1..25).map(|seed| surface(seed, 0.7, 1)).collect();
        let grain = Grain::fit(&good).unwrap();
        let plain = Grain { medians: [1.0; 2], usual: vec![1.0; 96 * 128], ..grain.clone() };
        let mut medians: Vec<f32> = good.iter().map(|image| median(&plain.map(image))).collect();
        medians.sort_unstable_by(f32::total_cmp);
        // Of 24 pictures one lies above what one in twenty exceeds.
        assert_eq!(grain.medians, [medians[11], medians[22]]);
        let image = surface(30, 0.7, 1);
        let map = plain.map(&image);
        let own = median(&map);
        for (middle, most, by) in
            [(0.5 * own, 2.0 * own, 2.0), (0.5 * own, 0.75 * own, 1.5), (2.0 * own, 3.0 * own, 1.0)]
        {
            let measured = Grain { medians: [middle, most], ..plain.clone() }.map(&image);
            assert!(measured.iter().zip(&map).all(|(v, raw)| (v * by - raw).abs() < 1e-4 * raw), "{by}");
        }
        // What covers a whole picture is a defect still.
        let [usual, covered] =
            [surface(31, 0.7, 1), surface(32, 1.0, 1)].map(|image| median(&grain.map(&image)));
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
        let grain = Grain::fit(&good).unwrap();
        let map = grain.map(&lit(30));
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
    fn a_value_that_others_determine_harms_nothing() {
        let flat = Image::filled(32, 32, 3, 0.5);
        let grain = Grain::fit(&[flat.clone(), flat.clone()]).unwrap();
        assert!(grain.map(&flat).iter().all(|v| v.is_finite()));
    }

    #[test]
    fn whitening_by_hand() {
        // L = [[2, 0], [1, 3]].
        assert_eq!(whitening(&[4.0, 2.0, 2.0, 10.0], 2), [0.5, 0.0, -1.0 / 6.0, 1.0 / 3.0]);
    }
}

//! The line filter as a detector part: responses in units of what good images show.

mod filters;

use self::filters::responses;
use super::{DetectorPart, FitInput, put, take};
use crate::config::Config;
use crate::engine::Weights;
use crate::error::Result;
use crate::image::Image;
use blemish_kernels::blur::blur_same_reflect;

/// Images that it is fitted on, at most: from 50 a standard deviation is only known to a tenth of itself.
const IMAGES: usize = 256;
/// How far good images' statistics are smoothed, pixels.
const SMOOTH: f32 = 6.0;
/// Smallest standard deviation that responses are divided by.
const FLOOR: f64 = 0.05;

/// The line filter's responses on good images of a surface.
#[derive(Clone, Debug, PartialEq)]
pub struct LineFilter {
    /// Of what follows: that of the view, or 1 x 1 where views have sizes of their own and so no places.
    size: [usize; 2],
    /// Mean response, `[H, W]`, smoothed.
    mean: Vec<f32>,
    /// Standard deviation of the responses, `[H, W]`, smoothed, above 0.
    deviation: Vec<f32>,
}

impl DetectorPart for LineFilter {
    fn takes_any_size() -> bool {
        true
    }

    fn fit(input: &FitInput<'_>) -> Result<Self> {
        let images = input.images.at_most(IMAGES);
        let size @ [height, width] = input.config.one_size().unwrap_or([1, 1]);
        let (mut sum, mut squares) = (vec![0.0f64; height * width], vec![0.0f64; height * width]);
        let mut count = 0.0;
        images.for_each(input.progress, responses, |map| {
            count += (map.len() / sum.len()) as f64;
            for map in map.chunks_exact(sum.len()) {
                for ((sum, square), &v) in sum.iter_mut().zip(&mut squares).zip(map) {
                    *sum += f64::from(v);
                    *square += f64::from(v) * f64::from(v);
                }
            }
        })?;
        let mean: Vec<f32> = sum.iter().map(|sum| (sum / count) as f32).collect();
        let deviation = |(sum, square): (&f64, &f64)| {
            (square / count - (sum / count).powi(2)).max(0.0).sqrt().max(FLOOR) as f32
        };
        let deviation: Vec<f32> = sum.iter().zip(&squares).map(deviation).collect();
        let smooth = |map: &[f32]| blur_same_reflect(map, height, width, SMOOTH);
        Ok(Self { size, mean: smooth(&mean), deviation: smooth(&deviation) })
    }

    /// How far each pixel's response is above that of good images there (or anywhere), in their standard deviations.
    fn map(&self, image: &Image) -> Vec<f32> {
        let mut map = responses(image);
        if let ([mean], [deviation]) = (&self.mean[..], &self.deviation[..]) {
            map.iter_mut().for_each(|v| *v = (*v - mean) / deviation);
            return map;
        }
        let statistics = self.mean.iter().zip(&self.deviation);
        map.iter_mut().zip(statistics).for_each(|(v, (mean, deviation))| *v = (*v - mean) / deviation);
        map
    }

    fn save(&self, tensors: &mut Weights) {
        put(tensors, "lines.mean", &self.size, &self.mean);
        put(tensors, "lines.deviation", &self.size, &self.deviation);
    }

    fn load(tensors: &mut Weights, config: &Config) -> Result<Self, String> {
        let size = config.one_size().unwrap_or([1, 1]);
        let (mean, deviation) = (take(tensors, "lines.mean")?, take(tensors, "lines.deviation")?);
        if [mean.len(), deviation.len()] != [size[0] * size[1]; 2] {
            return Err("its planes have another size than the view".to_owned());
        }
        if !deviation.iter().all(|&v| v > 0.0) {
            return Err("a standard deviation is not above 0".to_owned());
        }
        Ok(Self { size, mean, deviation })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::filters::tests::surface;
    use super::*;
    use crate::parts::testing::{config_of, config_of_any_size, fitted, fitted_as};

    /// A line of single pixels, weaker than the texture.
    fn scratched(mut image: Image) -> Image {
        (20..80).for_each(|i| image.pixels[(30 + i / 3) * 128 + i] -= 0.25);
        image
    }

    #[test]
    fn a_scratch_below_the_texture_stands_out_where_it_is() {
        let good: Vec<Image> = (1..9).map(|seed| surface(seed, 0.3)).collect();
        let filter: LineFilter = fitted(&good[..5]);
        let largest = |image: &Image| filter.map(image).into_iter().fold(0.0, f32::max);
        let usual = good[5..].iter().map(largest).sum::<f32>() / 3.0;
        let map = filter.map(&scratched(surface(20, 0.3)));
        let peak = (0..map.len()).max_by(|&a, &b| map[a].total_cmp(&map[b])).unwrap();
        let (y, x) = (peak / 128, peak % 128);
        assert!((18..82).contains(&x) && (30 + x / 3).abs_diff(y) <= 3, "({y}, {x})");
        assert!(map[peak] > 1.3 * usual, "{} {usual}", map[peak]);
        // Contrast alone is no defect.
        let strong = largest(&surface(21, 0.9));
        assert!(strong < 1.3 * usual, "{strong} {usual}");
    }

    #[test]
    fn images_of_any_size_have_no_places() {
        let cut = |seed: u32, height: usize, width: usize| surface(seed, 0.3).part([0, 0], [height, width]);
        let images = [cut(1, 96, 128), cut(2, 50, 128), cut(3, 96, 40)];
        let config = config_of_any_size(&images[0]);
        let filter: LineFilter = fitted_as(&images, &config);
        // In units of all their pixels, wherever they lie.
        let values: Vec<f64> = images.iter().flat_map(|image| filter.map(image)).map(f64::from).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64 - mean * mean;
        assert!(mean.abs() < 1e-3 && (variance - 1.0).abs() < 1e-3, "{mean} {variance}");
        assert_eq!(filter.map(&cut(4, 33, 77)).len(), 33 * 77);
        let mut tensors = Weights::new();
        filter.save(&mut tensors);
        assert_eq!(LineFilter::load(&mut tensors.clone(), &config).unwrap(), filter);
        assert!(LineFilter::load(&mut tensors, &config_of(&images[0])).unwrap_err().contains("another size"));
    }

    #[test]
    fn tensors_give_it_back_and_others_are_refused() {
        let images: Vec<Image> = (1..4).map(|seed| surface(seed, 0.3)).collect();
        let (filter, config): (LineFilter, _) = (fitted(&images), config_of(&images[0]));
        let saved = || {
            let mut tensors = Weights::new();
            filter.save(&mut tensors);
            tensors
        };
        assert_eq!(LineFilter::load(&mut saved(), &config).unwrap(), filter);
        let mut tensors = saved();
        tensors.get_mut("lines.deviation").unwrap().values[7] = 0.0;
        assert!(LineFilter::load(&mut tensors, &config).unwrap_err().contains("above 0"));
        let mut tensors = saved();
        tensors.remove("lines.mean");
        assert!(LineFilter::load(&mut tensors, &config).unwrap_err().contains("lines.mean"));
    }
}

//! How saturated each place is, compared with good images.

use super::{DetectorPart, FitInput, put, take};
use crate::config::Config;
use crate::engine::Weights;
use crate::error::Result;
use crate::image::Image;

/// Mean saturation of good images, `[H, W]`.
#[derive(Debug)]
pub struct Saturation {
    size: [usize; 2],
    mean: Vec<f32>,
}

fn saturation(image: &Image) -> Vec<f32> {
    let range =
        |p: &[f32]| p.iter().fold(f32::MIN, |a, &b| a.max(b)) - p.iter().fold(f32::MAX, |a, &b| a.min(b));
    image.pixels.chunks_exact(image.channels).map(range).collect()
}

impl DetectorPart for Saturation {
    fn fit(input: &FitInput<'_>) -> Result<Self> {
        let size = input.images.size();
        let mut sums = vec![0.0f64; size[0] * size[1]];
        input.images.for_each(input.progress, saturation, |map| {
            sums.iter_mut().zip(map).for_each(|(sum, v)| *sum += f64::from(v));
        })?;
        let count = input.images.len() as f64;
        Ok(Self { size, mean: sums.into_iter().map(|sum| (sum / count) as f32).collect() })
    }

    fn map(&self, image: &Image) -> Vec<f32> {
        saturation(image).iter().zip(&self.mean).map(|(v, mean)| (v - mean).abs()).collect()
    }

    fn save(&self, tensors: &mut Weights) {
        put(tensors, "saturation.mean", &self.size, &self.mean);
    }

    fn load(tensors: &mut Weights, config: &Config) -> Result<Self, String> {
        let size = config.view_size();
        let mean = take(tensors, "saturation.mean")?;
        if mean.len() != size[0] * size[1] {
            return Err("its mean has another size than the view".to_owned());
        }
        Ok(Self { size, mean })
    }
}

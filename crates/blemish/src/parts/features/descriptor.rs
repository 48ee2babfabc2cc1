//! What describes a place: a group of the network's levels around it.

use rayon::prelude::*;

use super::super::places::mean_3x3;
use super::network::Levels;
use crate::engine::FeatureMap;
use crate::error::{Error, Result};
use crate::image::Image;

/// Pixels between places.
pub const STRIDE: usize = 8;

/// Rows and columns of places of a view.
pub fn grid_of(size: [usize; 2]) -> [usize; 2] {
    size.map(|side| side.div_ceil(STRIDE))
}

/// A group of the feature network's levels on views of one size, and how they are scaled.
#[derive(Debug)]
pub struct Descriptor {
    levels: Levels,
    grid: [usize; 2],
    /// What each channel is multiplied by, level after level.
    scale: Vec<f32>,
}

impl Descriptor {
    /// By these levels on views of `size`; unscaled.
    pub fn new(size: [usize; 2], levels: Levels) -> Self {
        let scale = vec![1.0; levels.channels().iter().sum()];
        Self { levels, grid: grid_of(size), scale }
    }

    /// With every level's channels in units of their standard deviation in `sample`, unscaled vectors of good images, and all levels
    /// alike in sum; the sample is scaled likewise.
    ///
    /// # Errors
    /// Values that are not finite.
    pub fn scaled_to(mut self, sample: &mut [f32]) -> Result<Self> {
        let count = self.values();
        let n = (sample.len() / count) as f64;
        let (mut sums, mut squares) = (vec![0.0f64; count], vec![0.0f64; count]);
        for vector in sample.chunks_exact(count) {
            for ((sum, square), &v) in sums.iter_mut().zip(&mut squares).zip(vector) {
                *sum += f64::from(v);
                *square += f64::from(v) * f64::from(v);
            }
        }
        let deviation: Vec<f64> = sums
            .iter()
            .zip(&squares)
            .map(|(sum, square)| (square / n - (sum / n).powi(2)).max(0.0).sqrt())
            .collect();
        if !sums.iter().chain(&deviation).all(|v| v.is_finite()) {
            let reason = "the feature network's values are not finite: its weights cannot be those of a trained network";
            return Err(Error::Training(reason.to_owned()));
        }
        let mut at = 0;
        for &channels in self.levels.channels() {
            let level = &deviation[at..at + channels];
            // A channel that hardly varies on these images is not blown up beyond the level's own measure.
            let rms = (level.iter().map(|d| d * d).sum::<f64>() / channels as f64).sqrt().max(1e-9);
            for (scale, d) in self.scale[at..at + channels].iter_mut().zip(level) {
                *scale = (1.0 / (d.max(0.3 * rms) * (channels as f64).sqrt())) as f32;
            }
            at += channels;
        }
        self.scale_all(sample);
        Ok(self)
    }

    /// Multiplies vectors by the scale.
    fn scale_all(&self, vectors: &mut [f32]) {
        for vector in vectors.chunks_exact_mut(self.values()) {
            vector.iter_mut().zip(&self.scale).for_each(|(v, scale)| *v *= scale);
        }
    }

    /// With this scale of every value.
    ///
    /// # Errors
    /// A sentence: another number of values, or one that is not above 0.
    pub fn with_scale(mut self, scale: Vec<f32>) -> Result<Self, String> {
        if scale.len() != self.scale.len() || !scale.iter().all(|&v| v > 0.0) {
            return Err("the scale of its levels is of another network".to_owned());
        }
        self.scale = scale;
        Ok(self)
    }

    /// What each value is multiplied by.
    pub fn scale(&self) -> &[f32] {
        &self.scale
    }

    /// Rows and columns of places.
    pub fn grid(&self) -> [usize; 2] {
        self.grid
    }

    /// The number of places.
    pub fn places(&self) -> usize {
        self.grid[0] * self.grid[1]
    }

    /// Values of a description.
    pub fn values(&self) -> usize {
        self.scale.len()
    }

    /// The description of every place of a normalised view, `[places, values]`.
    pub fn describe(&self, image: &Image) -> Vec<f32> {
        let maps = self.levels.maps(image);
        let levels: Vec<Vec<f32>> = maps.par_iter().map(|map| on_grid(map, self.grid)).collect();
        let mut out = Vec::with_capacity(self.places() * self.values());
        for place in 0..self.places() {
            for (level, &channels) in levels.iter().zip(self.levels.channels()) {
                out.extend_from_slice(&level[place * channels..][..channels]);
            }
        }
        self.scale_all(&mut out);
        out
    }
}

/// Means over 3 x 3 cells of a level, on the grid of places: means where it is finer, bilinear where it is coarser.
fn on_grid(map: &FeatureMap, grid: [usize; 2]) -> Vec<f32> {
    let FeatureMap { height, width, channels, values } = map;
    let (h, w, c) = (*height, *width, *channels);
    let means = mean_3x3(values, [h, w], c);
    if [h, w] == grid {
        return means;
    }
    let mut out = vec![0.0; grid[0] * grid[1] * c];
    let place = |i: usize, to: usize, from: usize| {
        let at = ((i as f32 + 0.5) * from as f32 / to as f32 - 0.5).clamp(0.0, (from - 1) as f32);
        let low = at as usize;
        (low, (low + 1).min(from - 1), at - low as f32)
    };
    for y in 0..grid[0] {
        let (top, bottom, v) = place(y, grid[0], h);
        for x in 0..grid[1] {
            let (left, right, u) = place(x, grid[1], w);
            let out = &mut out[(y * grid[1] + x) * c..][..c];
            let corners = [
                (top, left, (1.0 - v) * (1.0 - u)),
                (top, right, (1.0 - v) * u),
                (bottom, left, v * (1.0 - u)),
                (bottom, right, v * u),
            ];
            for (row, column, weight) in corners.into_iter().filter(|(_, _, weight)| *weight > 0.0) {
                let cell = &means[(row * w + column) * c..][..c];
                out.iter_mut().zip(cell).for_each(|(out, v)| *out += weight * v);
            }
        }
    }
    out
}

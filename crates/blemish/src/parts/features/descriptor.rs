//! What describes a place: a group of the network's levels around it.

use rayon::prelude::*;

use super::super::memory::Components;
use super::super::places::mean_3x3;
use super::super::put;
use super::taken;
use crate::engine::{FeatureMap, Weights};
use crate::error::{Error, Result};

/// Pixels between places.
const STRIDE: usize = 8;

/// Principal components that describe a place.
const COMPONENTS: usize = 64;

/// Rows and columns of places of a view.
pub fn grid_of(size: [usize; 2]) -> [usize; 2] {
    size.map(|side| side.div_ceil(STRIDE))
}

/// How a group of levels becomes a vector for every place.
#[derive(Debug)]
pub struct Descriptor {
    grid: [usize; 2],
    /// What each channel is multiplied by, level after level.
    scale: Vec<f32>,
    components: Components,
}

impl Descriptor {
    /// From `sample`, what [`joined`] gives for good images, of levels that have so many `channels`: every level's channels in units
    /// of their standard deviation, all levels alike in sum, and the principal components of that.
    ///
    /// # Errors
    /// Values that are not finite.
    pub fn fit(grid: [usize; 2], channels: &[usize], mut sample: Vec<f32>) -> Result<Self> {
        let scale = scale_of(channels, &sample)?;
        scale_all(&mut sample, &scale);
        let components = Components::new(&sample, scale.len(), COMPONENTS);
        Ok(Self { grid, scale, components })
    }

    /// Values of a vector.
    pub fn length(&self) -> usize {
        self.components.count()
    }

    /// What describes every place of a view that has these levels, `[places, length]`.
    pub fn vectors(&self, levels: &[FeatureMap]) -> Vec<f32> {
        let mut values = joined(levels, self.grid);
        scale_all(&mut values, &self.scale);
        self.components.project(&values)
    }

    /// Adds what it has been fitted to to a model file's tensors.
    pub fn save(&self, tensors: &mut Weights, name: &str) {
        let Components { mean, basis } = &self.components;
        put(tensors, &format!("{name}.scale"), &[self.scale.len()], &self.scale);
        put(tensors, &format!("{name}.mean"), &[mean.len()], mean);
        put(tensors, &format!("{name}.basis"), &[mean.len(), self.components.count()], basis);
    }

    /// Takes what [`save`](Self::save) has added, for levels that have so many `channels`.
    ///
    /// # Errors
    /// A sentence: a tensor that is missing or does not fit.
    pub fn load(
        grid: [usize; 2],
        channels: &[usize],
        tensors: &mut Weights,
        name: &str,
    ) -> Result<Self, String> {
        let [scale, mean, basis] =
            ["scale", "mean", "basis"].map(|what| taken(tensors, &format!("{name}.{what}")));
        let (scale, mean, basis) = (scale?, mean?, basis?);
        let values = channels.iter().sum::<usize>();
        if scale.len() != values || !scale.iter().all(|&v| v > 0.0) {
            return Err("the scale of its levels is of another network".to_owned());
        }
        let components = Components::from_parts(mean, basis)
            .filter(|components| components.mean.len() == values)
            .ok_or("its components are of another network")?;
        Ok(Self { grid, scale, components })
    }
}

/// The levels' values at every place, `[places, channels of all levels]`.
pub fn joined(levels: &[FeatureMap], grid: [usize; 2]) -> Vec<f32> {
    let on_grid: Vec<Vec<f32>> = levels.par_iter().map(|map| on_grid(map, grid)).collect();
    let places = grid[0] * grid[1];
    let mut out = Vec::with_capacity(places * levels.iter().map(|map| map.channels).sum::<usize>());
    for place in 0..places {
        for (values, map) in on_grid.iter().zip(levels) {
            out.extend_from_slice(&values[place * map.channels..][..map.channels]);
        }
    }
    out
}

/// What brings every channel to units of its standard deviation in `sample`, and all levels to the same sum.
fn scale_of(channels: &[usize], sample: &[f32]) -> Result<Vec<f32>> {
    let count = channels.iter().sum();
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
        let reason =
            "the feature network's values are not finite: its weights cannot be those of a trained network";
        return Err(Error::Training(reason.to_owned()));
    }
    let mut rest = &deviation[..];
    let mut scale = Vec::with_capacity(count);
    for &channels in channels {
        let (level, others) = rest.split_at(channels);
        // A channel that hardly varies on these images is not blown up beyond the level's own measure.
        let rms = (level.iter().map(|d| d * d).sum::<f64>() / channels as f64).sqrt().max(1e-9);
        scale.extend(level.iter().map(|d| (1.0 / (d.max(0.3 * rms) * (channels as f64).sqrt())) as f32));
        rest = others;
    }
    Ok(scale)
}

/// Multiplies vectors by the scale.
fn scale_all(vectors: &mut [f32], scale: &[f32]) {
    for vector in vectors.chunks_exact_mut(scale.len()) {
        vector.iter_mut().zip(scale).for_each(|(v, scale)| *v *= scale);
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

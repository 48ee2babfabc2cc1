//! What describes a place: a group of the network's levels around it.

use rayon::prelude::*;

use super::super::memory::Components;
use super::super::put;
use super::network::LevelGroup;
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
    levels: Vec<Level>,
    /// What each value is multiplied by.
    scale: Vec<f32>,
    components: Components,
}

impl Descriptor {
    /// From `sample`, what [`joined`] gives for good images: every channel in units of its standard deviation, all means and all largest
    /// values of a level alike in sum, and of that what the group's projection or, where none was learnt, the principal components keep.
    ///
    /// # Errors
    /// Values that are not finite.
    pub fn fit(grid: [usize; 2], group: &LevelGroup, mut sample: Vec<f32>) -> Result<Self> {
        let scale = scale_of(&group.levels, &sample)?;
        scale_all(&mut sample, &scale);
        let components = match &group.projection {
            // Only differences between places count, but a common offset would cost digits of them.
            Some(basis) => Components::with_basis(&sample, scale.len(), basis.clone()),
            None => Components::new(&sample, scale.len(), COMPONENTS),
        };
        Ok(Self { grid, levels: group.levels.clone(), scale, components })
    }

    /// Values of a vector.
    pub fn length(&self) -> usize {
        self.components.count()
    }

    /// What describes every place of a view that has these levels, `[places, length]`.
    pub fn vectors(&self, maps: &[FeatureMap]) -> Vec<f32> {
        let mut values = joined(&self.levels, maps, self.grid);
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

    /// Takes what [`save`](Self::save) has added, for these levels.
    ///
    /// # Errors
    /// A sentence: a tensor that is missing or does not fit.
    pub fn load(
        grid: [usize; 2],
        levels: &[Level],
        tensors: &mut Weights,
        name: &str,
    ) -> Result<Self, String> {
        let [scale, mean, basis] =
            ["scale", "mean", "basis"].map(|what| taken(tensors, &format!("{name}.{what}")));
        let (scale, mean, basis) = (scale?, mean?, basis?);
        let values = values_of(levels);
        if scale.len() != values || !scale.iter().all(|&v| v > 0.0) {
            let reason = "the scale of its levels is of another network; a model of an earlier version has to be fitted anew";
            return Err(reason.to_owned());
        }
        let components = Components::from_parts(mean, basis)
            .filter(|components| components.mean.len() == values)
            .ok_or("its components are of another network")?;
        Ok(Self { grid, levels: levels.to_vec(), scale, components })
    }
}

/// A level that describes places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Its channels.
    pub channels: usize,
    /// Whether its largest values at a place count beside its means: where it is finer than places are, something thin moves those, but
    /// hardly a mean.
    pub largest: bool,
}

impl Level {
    /// One of so many channels, at a stride in pixels.
    pub fn new(channels: usize, stride: usize) -> Self {
        Self { channels, largest: stride < STRIDE }
    }

    /// Runs of its channels in what describes a place.
    fn runs(&self) -> usize {
        1 + usize::from(self.largest)
    }
}

/// Values that describe a place by these levels.
pub fn values_of(levels: &[Level]) -> usize {
    levels.iter().map(|level| level.channels * level.runs()).sum()
}

/// The levels' values at every place, `[places, values]`, level after level: means and, where they count, the largest values.
pub fn joined(levels: &[Level], maps: &[FeatureMap], grid: [usize; 2]) -> Vec<f32> {
    let of = |(level, map): (&Level, &FeatureMap)| {
        let largest = level.largest.then(|| largest(map, grid));
        [Some(means(map, grid)), largest].into_iter().flatten().map(|run| (run, level.channels)).collect()
    };
    let runs: Vec<Vec<(Vec<f32>, usize)>> = levels.par_iter().zip(maps).map(of).collect();
    let places = grid[0] * grid[1];
    let mut out = Vec::with_capacity(places * values_of(levels));
    for place in 0..places {
        for (run, channels) in runs.iter().flatten() {
            out.extend_from_slice(&run[place * channels..][..*channels]);
        }
    }
    out
}

/// What brings every channel to units of its standard deviation in `sample`, and all means and largest values of a level to the same sum.
pub fn scale_of(levels: &[Level], sample: &[f32]) -> Result<Vec<f32>> {
    let count = values_of(levels);
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
    for channels in levels.iter().flat_map(|level| std::iter::repeat_n(level.channels, level.runs())) {
        let (run, others) = rest.split_at(channels);
        // A channel that hardly varies on these images is not blown up beyond the others' measure.
        let rms = (run.iter().map(|d| d * d).sum::<f64>() / channels as f64).sqrt().max(1e-9);
        scale.extend(run.iter().map(|d| (1.0 / (d.max(0.3 * rms) * (channels as f64).sqrt())) as f32));
        rest = others;
    }
    Ok(scale)
}

/// Multiplies vectors by the scale.
pub fn scale_all(vectors: &mut [f32], scale: &[f32]) {
    for vector in vectors.chunks_exact_mut(scale.len()) {
        vector.iter_mut().zip(scale).for_each(|(v, scale)| *v *= scale);
    }
}

/// The largest values of a level that is finer than the grid of places, over the cells of each place and one more to every side.
fn largest(map: &FeatureMap, grid: [usize; 2]) -> Vec<f32> {
    let FeatureMap { height, width, channels, values } = map;
    let cells = |i: usize, to: usize, from: usize| {
        (i * from / to).saturating_sub(1)..(((i + 1) * from).div_ceil(to) + 1).min(from)
    };
    let mut out = vec![f32::NEG_INFINITY; grid[0] * grid[1] * channels];
    let mut row = vec![f32::NEG_INFINITY; width * channels];
    for (y, out) in out.chunks_exact_mut(grid[1] * channels).enumerate() {
        row.fill(f32::NEG_INFINITY);
        for own in cells(y, grid[0], *height) {
            raise(&mut row, &values[own * width * channels..]);
        }
        for (x, out) in out.chunks_exact_mut(*channels).enumerate() {
            for own in cells(x, grid[1], *width) {
                raise(out, &row[own * channels..]);
            }
        }
    }
    out
}

/// Raises values to others where these are larger.
fn raise(values: &mut [f32], others: &[f32]) {
    values.iter_mut().zip(others).for_each(|(v, &other)| *v = v.max(other));
}

/// Means over 3 x 3 cells of a level (fewer at the border), on the grid of places: bilinear between the nearest ones.
fn means(map: &FeatureMap, grid: [usize; 2]) -> Vec<f32> {
    let FeatureMap { height, width, channels, values } = map;
    let (w, c) = (*width, *channels);
    let mut out = vec![0.0; grid[0] * grid[1] * c];
    let across: Vec<_> = (0..grid[1]).map(|x| shares(x, grid[1], w)).collect();
    let mut row = vec![0.0; w * c];
    for (y, out) in out.chunks_exact_mut(grid[1] * c).enumerate() {
        row.fill(0.0);
        for (own, share) in shares(y, grid[0], *height) {
            let cells = &values[own * w * c..][..w * c];
            row.iter_mut().zip(cells).for_each(|(sum, v)| *sum += share * v);
        }
        for (out, shares) in out.chunks_exact_mut(c).zip(&across) {
            for &(own, share) in shares {
                out.iter_mut().zip(&row[own * c..]).for_each(|(sum, v)| *sum += share * v);
            }
        }
    }
    out
}

/// The cells along an axis of `from` that place `i` of `to` is a mean of, and the share of each.
fn shares(i: usize, to: usize, from: usize) -> Vec<(usize, f32)> {
    let at = ((i as f32 + 0.5) * from as f32 / to as f32 - 0.5).clamp(0.0, (from - 1) as f32);
    let low = at as usize;
    let along = at - low as f32;
    let mut shares: Vec<(usize, f32)> = Vec::new();
    for (centre, weight) in [(low, 1.0 - along), (low + 1, along)].into_iter().filter(|(_, w)| *w > 0.0) {
        let around = centre.saturating_sub(1)..(centre + 2).min(from);
        let each = weight / around.len() as f32;
        for cell in around {
            match shares.iter_mut().find(|(own, _)| *own == cell) {
                Some((_, share)) => *share += each,
                None => shares.push((cell, each)),
            }
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_and_largest_values_by_hand() {
        // A level twice as fine as the grid of two places; only its last cell is not 0.
        let fine = FeatureMap {
            height: 2,
            width: 4,
            channels: 1,
            values: vec![0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 8.0],
        };
        // One as fine as the grid, of two channels.
        let same = FeatureMap { height: 1, width: 2, channels: 2, values: vec![1.0, 2.0, 3.0, 6.0] };
        let levels = [Level::new(1, 4), Level::new(2, 8)];
        assert_eq!(values_of(&levels), 4);
        // Of 2 x 3 cells a sixth of 8, of 2 x 2 a quarter, each weighing half: the second place's means over 3 x 3 are 4/3 and 2. The largest
        // value of the first place is that of its cells and of the next column.
        let places = joined(&levels, &[fine.clone(), same], [1, 2]);
        let by_hand = [0.0, 0.0, 2.0, 4.0, 5.0 / 3.0, 8.0, 2.0, 4.0];
        assert!(places.iter().zip(by_hand).all(|(a, b)| (a - b).abs() < 1e-6), "{places:?}");
        let next = FeatureMap { values: vec![0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 5.0, -8.0], ..fine };
        assert_eq!(largest(&next, [1, 2]), [5.0, 5.0]);
        // All negative, and a grid that does not divide the level: rows 0 to 2 and 0 to 3 of three.
        let odd = FeatureMap { height: 3, width: 1, channels: 1, values: vec![-3.0, -2.0, -1.0] };
        assert_eq!(largest(&odd, [2, 1]), [-1.0, -1.0]);
        assert_eq!(
            largest(&FeatureMap { height: 4, values: vec![-4.0, -3.0, -2.0, -1.0], ..odd }, [2, 1]),
            [-2.0, -1.0]
        );
    }
}

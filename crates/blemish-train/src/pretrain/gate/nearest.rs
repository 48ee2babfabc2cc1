//! Distances to the nearest vector of reference images.

use std::ops::Range;

use super::readings::Maps;
use blemish::engine::FeatureMap;
use blemish::parts::nearest::Searched;
use blemish::parts::places::{mean_3x3, squared_distance};

/// References that are compared with everywhere; of more, every n-th is.
const MOST: usize = 3072;
/// Cells that a place may be away from its reference, either way.
const REACH: usize = 2;

/// Vectors of all images, `[B, height, width, channels]`.
pub struct Vectors {
    height: usize,
    width: usize,
    channels: usize,
    values: Vec<f32>,
}

impl Vectors {
    /// Means over 3 x 3 cells of a map's vectors; with `unit`, of vectors of length 1.
    pub fn new(map: &FeatureMap, unit: bool) -> Self {
        let FeatureMap { height, width, channels, values } = map;
        let (h, w, c) = (*height, *width, *channels);
        let mut given = values.clone();
        if unit {
            for vector in given.chunks_exact_mut(c) {
                let length = vector.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-6);
                vector.iter_mut().for_each(|v| *v /= length);
            }
        }
        let values = given.chunks_exact(h * w * c).flat_map(|given| mean_3x3(given, [h, w], c)).collect();
        Self { height: h, width: w, channels: c, values }
    }

    fn cells(&self) -> usize {
        self.height * self.width
    }

    fn vector(&self, image: usize, cell: usize) -> &[f32] {
        &self.values[(image * self.cells() + cell) * self.channels..][..self.channels]
    }

    fn maps(&self, values: Vec<f32>) -> Maps {
        Maps { height: self.height, width: self.width, values }
    }
}

/// Distance of every vector of the images `queries` to the nearest one of the first `references` images.
pub fn anywhere(vectors: &Vectors, references: usize, queries: Range<usize>) -> Maps {
    let (cells, c) = (vectors.cells(), vectors.channels);
    let every = (references * cells).div_ceil(MOST);
    let bank = vectors.values[..references * cells * c].chunks_exact(c).step_by(every).flatten().copied();
    let bank = Searched::new(bank.collect(), c);
    let queries = &vectors.values[queries.start * cells * c..queries.end * cells * c];
    let pairs = queries.chunks_exact(c).zip(bank.nearest(queries, &|_| false));
    vectors.maps(pairs.map(|(query, i)| squared_distance(query, bank.vector(i)).sqrt()).collect())
}

/// Distance of every vector of the images `queries` to the nearest one of the first `references` images within
/// [`REACH`] cells of its place.
pub fn near(vectors: &Vectors, references: usize, queries: Range<usize>) -> Maps {
    let (h, w) = (vectors.height, vectors.width);
    let mut distances = Vec::with_capacity(queries.len() * h * w);
    for image in queries {
        for cell in 0..h * w {
            let query = vectors.vector(image, cell);
            let (y, x) = (cell / w, cell % w);
            let mut nearest = f32::MAX;
            for reference in 0..references {
                for ny in y.saturating_sub(REACH)..(y + REACH + 1).min(h) {
                    for nx in x.saturating_sub(REACH)..(x + REACH + 1).min(w) {
                        let other = vectors.vector(reference, ny * w + nx);
                        nearest = nearest.min(squared_distance(query, other));
                    }
                }
            }
            distances.push(nearest.sqrt());
        }
    }
    vectors.maps(distances)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_found_anywhere_and_near() {
        // One row of six cells; the query's first cell is like the reference's last.
        let map = FeatureMap {
            height: 1,
            width: 6,
            channels: 1,
            values: vec![9., 1., 2., 3., 4., 0., 0., 0., 0., 0., 0., 0.],
        };
        let vectors = Vectors { height: 1, width: 6, channels: 1, values: map.values };
        assert_eq!(anywhere(&vectors, 1, 1..2).values[..1], [0.0]);
        assert_eq!(near(&vectors, 1, 1..2).values, [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
    }
}

//! Distances to the nearest vector of reference images.

use std::ops::Range;

use super::readings::Maps;
use blemish::engine::FeatureMap;
use blemish::kernels::matmul::matmul;
use blemish::kernels::panels::Matrix;
use blemish::kernels::product::Init;
use blemish::parts::places::squared_distance;

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
        let mut means = vec![0.0; given.len()];
        for (mean, given) in means.chunks_exact_mut(h * w * c).zip(given.chunks_exact(h * w * c)) {
            for y in 0..h {
                for x in 0..w {
                    let out = &mut mean[(y * w + x) * c..][..c];
                    let mut count = 0.0;
                    for ny in y.saturating_sub(1)..(y + 2).min(h) {
                        for nx in x.saturating_sub(1)..(x + 2).min(w) {
                            out.iter_mut().zip(&given[(ny * w + nx) * c..][..c]).for_each(|(o, v)| *o += v);
                            count += 1.0;
                        }
                    }
                    out.iter_mut().for_each(|v| *v /= count);
                }
            }
        }
        Self { height: h, width: w, channels: c, values: means }
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

fn square(vector: &[f32]) -> f32 {
    vector.iter().map(|v| v * v).sum()
}

/// Distance of every vector of the images `queries` to the nearest one of the first `references` images.
pub fn anywhere(vectors: &Vectors, references: usize, queries: Range<usize>) -> Maps {
    let (cells, c) = (vectors.cells(), vectors.channels);
    let every = (references * cells).div_ceil(MOST);
    let bank: Vec<f32> =
        vectors.values[..references * cells * c].chunks_exact(c).step_by(every).flatten().copied().collect();
    let rows = bank.len() / c;
    let squares: Vec<f32> = bank.chunks_exact(c).map(square).collect();
    let mut products = vec![0.0; cells * rows];
    let mut distances = Vec::with_capacity(queries.len() * cells);
    for image in queries {
        let queries = &vectors.values[image * cells * c..][..cells * c];
        let (a, b) = (Matrix::rows(queries, c), Matrix::rows(&bank, c).transposed());
        matmul(&mut products, a, b, [cells, c, rows], Init::Zero);
        for (query, products) in queries.chunks_exact(c).zip(products.chunks_exact(rows)) {
            let nearest = products.iter().zip(&squares).map(|(p, s)| s - 2.0 * p).fold(f32::MAX, f32::min);
            distances.push((nearest + square(query)).max(0.0).sqrt());
        }
    }
    vectors.maps(distances)
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

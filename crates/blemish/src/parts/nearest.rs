//! The search for the vector of good images that a place is compared with: exact, by Euclidean distance.

use std::ops::Range;

use rayon::prelude::*;

use super::places::{squared_distance, squared_length};
use blemish_kernels::matmul::matmul;
use blemish_kernels::panels::Matrix;
use blemish_kernels::product::Init;

/// Queries at a time, whose products stay in a cache.
const BLOCK: usize = 32;

/// Vectors that are searched, with their squared lengths.
#[derive(Clone, Debug, PartialEq)]
pub struct Searched {
    channels: usize,
    vectors: Vec<f32>,
    squares: Vec<f32>,
}

impl Searched {
    /// Of `vectors`, `[N, channels]`.
    pub fn new(vectors: Vec<f32>, channels: usize) -> Self {
        let squares = vectors.chunks_exact(channels).map(squared_length).collect();
        Self { channels, vectors, squares }
    }

    /// All of them, `[N, channels]`.
    pub fn vectors(&self) -> &[f32] {
        &self.vectors
    }

    /// Values of each.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// One of them.
    pub fn vector(&self, i: usize) -> &[f32] {
        &self.vectors[i * self.channels..][..self.channels]
    }

    /// For every query, `[n, channels]`, the nearest vector that `skipped` does not name; the first of equally near ones.
    pub fn nearest(&self, queries: &[f32], skipped: &(dyn Fn(usize) -> bool + Sync)) -> Vec<usize> {
        let (rows, c) = (self.squares.len(), self.channels);
        let squares: Vec<f32> =
            (0..rows).map(|i| if skipped(i) { f32::MAX } else { self.squares[i] }).collect();
        let block = |queries: &[f32]| -> Vec<usize> {
            let n = queries.len() / c;
            let mut products = vec![0.0; n * rows];
            let (a, b) = (Matrix::rows(queries, c), Matrix::rows(&self.vectors, c).transposed());
            matmul(&mut products, a, b, [n, c, rows], Init::Zero);
            products
                .chunks_exact_mut(rows)
                .map(|products| {
                    products.iter_mut().zip(&squares).for_each(|(p, s)| *p = s - 2.0 * *p);
                    smallest(products)
                })
                .collect()
        };
        queries.par_chunks(BLOCK * c).flat_map_iter(block).collect()
    }
}

/// Where the smallest value is; the first of equal ones.
fn smallest(values: &[f32]) -> usize {
    let mut least = [f32::INFINITY; 16];
    let (chunks, rest) = values.as_chunks::<16>();
    for chunk in chunks {
        least.iter_mut().zip(chunk).for_each(|(least, v)| *least = least.min(*v));
    }
    let least = least.iter().chain(rest).copied().fold(f32::INFINITY, f32::min);
    values.iter().position(|v| *v <= least).unwrap_or(0)
}

/// For every place of `queries`, `[rows, columns, channels]`, the nearest vector of `bank`, `[places, each, channels]`, at most
/// `reach` places away up, down and to the sides: its index among all. `skipped` leaves vectors out; a place with none left
/// takes its own first one.
pub fn nearest_near(
    queries: &[f32],
    bank: &[f32],
    [rows, columns]: [usize; 2],
    each: usize,
    channels: usize,
    reach: usize,
    skipped: &(dyn Fn(usize) -> bool + Sync),
) -> Vec<usize> {
    let around =
        |at: usize, end: usize| -> Range<usize> { at.saturating_sub(reach)..(at + reach + 1).min(end) };
    let at = |place: usize| {
        let query = &queries[place * channels..][..channels];
        let (mut least, mut nearest) = (f32::INFINITY, place * each);
        for y in around(place / columns, rows) {
            for x in around(place % columns, columns) {
                let first = (y * columns + x) * each;
                let vectors = bank[first * channels..][..each * channels].chunks_exact(channels);
                for (i, vector) in vectors.enumerate().map(|(i, vector)| (first + i, vector)) {
                    if skipped(i) {
                        continue;
                    }
                    let distance = squared_distance(query, vector);
                    if distance < least {
                        (least, nearest) = (distance, i);
                    }
                }
            }
        }
        nearest
    };
    (0..rows * columns).into_par_iter().map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_found_anywhere_and_near() {
        // One row of four places, one value and two vectors each.
        let bank = [0.0, 0.5, 1.0, 1.0, 2.0, 2.0, 3.0, 9.0];
        let queries = [9.0, 1.25, 2.0, 0.0];
        let searched = Searched::new(bank.to_vec(), 1);
        assert_eq!(searched.nearest(&queries, &|_| false), [7, 2, 4, 0]);
        assert_eq!(searched.nearest(&queries, &|i| i % 2 == 1), [6, 2, 4, 0]);
        let near = |reach| nearest_near(&queries, &bank, [1, 4], 2, 1, reach, &|_| false);
        assert_eq!(near(0), [1, 2, 4, 6]);
        assert_eq!(near(1), [2, 2, 4, 4]);
        assert_eq!(nearest_near(&queries, &bank, [1, 4], 2, 1, 1, &|i| i % 2 == 0), [3, 3, 5, 5]);
    }
}

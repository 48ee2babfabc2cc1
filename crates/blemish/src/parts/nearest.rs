//! The search for the vector of good images that a place is compared with: exact, by Euclidean distance.

use std::ops::Range;

use rayon::prelude::*;

use super::places::{squared_distance, squared_length};
use blemish_kernels::panels::{Matrix, Panels, pack};
use blemish_kernels::product::{Init, Product, Segment};
use blemish_kernels::{scratch, simd};

/// Queries at a time, and vectors that they meet at a time: their products stay in a cache.
const BLOCK: usize = 32;
const PIECE: usize = 96;

/// Vectors that are searched.
#[derive(Clone, Debug, PartialEq)]
pub struct Searched {
    channels: usize,
    vectors: Vec<f32>,
    /// The same, packed for the product, a piece after the other, and their squared lengths.
    packed: Vec<f32>,
    squares: Vec<f32>,
}

impl Searched {
    /// Of `vectors`, `[N, channels]`.
    pub fn new(vectors: Vec<f32>, channels: usize) -> Self {
        let squares = vectors.chunks_exact(channels).map(squared_length).collect();
        let mut packed = Vec::new();
        for piece in vectors.chunks(PIECE * channels) {
            let (from, n) = (packed.len(), piece.len() / channels);
            packed.resize(from + Panels::len(channels, n), 0.0);
            let columns = Matrix::rows(piece, channels).transposed();
            pack(&mut packed[from..], channels, n, 0, channels, columns);
        }
        Self { channels, vectors, packed, squares }
    }

    /// All of them, `[N, channels]`.
    pub fn vectors(&self) -> &[f32] {
        &self.vectors
    }

    /// One of them.
    pub fn vector(&self, i: usize) -> &[f32] {
        &self.vectors[i * self.channels..][..self.channels]
    }

    /// For every query, `[n, channels]`, the nearest vector that `skipped` does not name; the first of equally near ones.
    pub fn nearest(&self, queries: &[f32], skipped: &(dyn Fn(usize) -> bool + Sync)) -> Vec<usize> {
        let squares: Vec<f32> =
            (0..self.squares.len()).map(|i| if skipped(i) { f32::MAX } else { self.squares[i] }).collect();
        let blocks = queries.par_chunks(BLOCK * self.channels);
        blocks.flat_map_iter(|block| self.nearest_of(block, &squares, |_| true)).collect()
    }

    /// Lowers `distances`, one for every query, `[n, channels]`, to that of the nearest vector where it is nearer, and says of each which one
    /// that is. The last two values of a vector are a place; `blocks` are numbers of queries whose places lie together. Exact: what is
    /// left out lies too far away.
    pub fn lower(&self, queries: &[f32], blocks: &[Vec<usize>], distances: &mut [f32]) -> Vec<Option<usize>> {
        let c = self.channels;
        let bounds: Vec<Bounds> = self.vectors.chunks(PIECE * c).map(|piece| Bounds::of(piece, c)).collect();
        let lowered = |block: &Vec<usize>| -> Vec<(f32, usize)> {
            let own: Vec<f32> = block.iter().flat_map(|&i| &queries[i * c..][..c]).copied().collect();
            let most = block.iter().map(|&i| distances[i]).fold(0.0, f32::max);
            let around = Bounds::of(&own, c);
            let nearest = self.nearest_of(&own, &self.squares, |piece| {
                bounds[piece].squared_distance(&around) < most * most
            });
            let pairs = own.chunks_exact(c).zip(nearest);
            pairs.map(|(query, i)| (squared_distance(query, self.vector(i)).sqrt(), i)).collect()
        };
        let all: Vec<Vec<(f32, usize)>> = blocks.par_iter().map(lowered).collect();
        let mut nearer = vec![None; distances.len()];
        for (&i, &(found, vector)) in blocks.iter().flatten().zip(all.iter().flatten()) {
            if found < distances[i] {
                (distances[i], nearer[i]) = (found, Some(vector));
            }
        }
        nearer
    }

    /// The nearest vector of each of a block of queries, among those in the pieces that are `wanted`; the first vector where none is.
    fn nearest_of(&self, queries: &[f32], squares: &[f32], wanted: impl Fn(usize) -> bool) -> Vec<usize> {
        let c = self.channels;
        let n = queries.len() / c;
        let mut least = vec![(f32::INFINITY, 0); n];
        scratch::with(n * (c + PIECE), |buffer| {
            let (scaled, products) = buffer.split_at_mut(n * c);
            scaled.iter_mut().zip(queries).for_each(|(scaled, q)| *scaled = -2.0 * q);
            let length = Panels::len(c, PIECE);
            for (piece, squares) in squares.chunks(PIECE).enumerate().filter(|(piece, _)| wanted(*piece)) {
                let columns = squares.len();
                let packed = &self.packed[piece * length..][..Panels::len(c, columns)];
                // |v|^2 - 2 q v
                Product {
                    x: scaled,
                    x_line: 0,
                    x_row: c,
                    x_k: 1,
                    segments: &[Segment { x: 0, k0: 0, k: c }],
                    panels: Panels::new(packed, c, columns),
                    init: Init::Bias(squares),
                    lines: 1,
                    rows: n,
                    out: &mut products[..n * columns],
                    out_line: 0,
                    out_row: columns,
                }
                .run();
                simd::run(
                    #[inline(always)]
                    || {
                        for (least, products) in least.iter_mut().zip(products.chunks_exact(columns)) {
                            let smallest = smallest(products);
                            if smallest < least.0 {
                                let at = products.iter().position(|v| *v <= smallest).unwrap_or(0);
                                *least = (smallest, piece * PIECE + at);
                            }
                        }
                    },
                );
            }
        });
        least.into_iter().map(|(_, i)| i).collect()
    }
}

/// What encloses the places of some vectors.
struct Bounds {
    low: [f32; 2],
    high: [f32; 2],
}

impl Bounds {
    /// Of vectors `[n, channels]` that end with their places.
    fn of(vectors: &[f32], channels: usize) -> Self {
        let mut enclosing = Self { low: [f32::INFINITY; 2], high: [f32::NEG_INFINITY; 2] };
        for vector in vectors.chunks_exact(channels) {
            for axis in 0..2 {
                let at = vector[channels - 2 + axis];
                enclosing.low[axis] = enclosing.low[axis].min(at);
                enclosing.high[axis] = enclosing.high[axis].max(at);
            }
        }
        enclosing
    }

    /// Of the nearest places in both.
    fn squared_distance(&self, other: &Self) -> f32 {
        let apart =
            |axis: usize| (self.low[axis] - other.high[axis]).max(other.low[axis] - self.high[axis]).max(0.0);
        (0..2).map(|axis| apart(axis).powi(2)).sum()
    }
}

/// The smallest value that is a number; infinity where there is none.
#[inline(always)]
pub(super) fn smallest(values: &[f32]) -> f32 {
    // `f32::min` takes three instructions where this takes one.
    let smaller = |a: f32, b: f32| if b < a { b } else { a };
    let mut least = [f32::INFINITY; 16];
    let (chunks, rest) = values.as_chunks::<16>();
    for chunk in chunks {
        least.iter_mut().zip(chunk).for_each(|(least, v)| *least = smaller(*least, *v));
    }
    least.iter().chain(rest).copied().fold(f32::INFINITY, smaller)
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
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

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

    #[test]
    fn only_what_may_be_nearer_is_searched_and_nothing_is_missed() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut vectors = |n: usize| -> Vec<f32> {
            let vector = |_| {
                let place = [rng.random_range(0.0..8.0f32), rng.random_range(0.0..8.0)];
                [rng.random_range(-1.0..1.0), rng.random_range(-1.0..1.0), place[0], place[1]]
            };
            let mut all: Vec<[f32; 4]> = (0..n).map(vector).collect();
            all.sort_by(|a, b| a[2].total_cmp(&b[2]));
            all.concat()
        };
        let (bank, queries) = (vectors(1000), vectors(70));
        let searched = Searched::new(bank.clone(), 4);
        let blocks: Vec<Vec<usize>> = (0..70).collect::<Vec<_>>().chunks(9).map(<[usize]>::to_vec).collect();
        for known in [0.0, 0.2, 0.5, 3.0] {
            let mut found = vec![known; 70];
            let which = searched.lower(&queries, &blocks, &mut found);
            for ((query, found), which) in queries.chunks_exact(4).zip(found).zip(which) {
                let distance = |v: &[f32]| squared_distance(v, query).sqrt();
                let nearest = bank.chunks_exact(4).map(distance).fold(known, f32::min);
                assert!((found - nearest).abs() < 1e-5, "{known}: {found} {nearest}");
                assert!((which.map_or(known, |i| distance(searched.vector(i))) - found).abs() < 1e-5);
            }
        }
        // It leaves out some.
        let [piece, query] = [&bank[..4 * PIECE], &queries[4 * 69..]].map(|vectors| Bounds::of(vectors, 4));
        assert!(piece.squared_distance(&query) > 4.0 && query.squared_distance(&query) == 0.0);
    }
}

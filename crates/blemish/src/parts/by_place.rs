//! Vectors of good images, kept place by place: what good products show there, for views that show the same place at the same pixel.

use std::ops::Range;

use rayon::prelude::*;

use super::memory::k_centres;
use super::nearest::{nearest_near, smallest};
use super::places::squared_distance;
use crate::error::Result;
use crate::good::Progress;
use blemish_kernels::bf16;
use blemish_kernels::panels::{Matrix, Panels, pack};
use blemish_kernels::product::{Init, Product, Segment};
use blemish_kernels::{scratch, simd};

/// Neighbouring places that a vector may be compared with, either way.
pub const REACH: usize = 1;

/// Bytes of all images' vectors that are held at once while they are chosen from: those of 256 images of 256 x 256 pixels.
pub const BUDGET: usize = 64 << 20;

/// Kept vectors of every place.
#[derive(Clone, Debug, PartialEq)]
pub struct ByPlace {
    /// Rows and columns of places.
    grid: [usize; 2],
    /// Values of a vector.
    count: usize,
    /// `[places, each, count]`, bf16 numbers.
    kept: Vec<f32>,
    /// The upper halves of the same vectors packed for the product, and their squared lengths, a place after the other.
    packed: Vec<u16>,
    squares: Vec<f32>,
}

/// What [`ByPlace::chosen`] chooses from.
pub struct Choice<'a> {
    /// Rows and columns of places.
    pub grid: [usize; 2],
    /// Values of a vector.
    pub count: usize,
    /// How many images there are.
    pub images: usize,
    /// Vectors kept at each place, at most.
    pub keep: usize,
    /// Bytes of vectors that are held at once, about.
    pub budget: usize,
    /// Where a stop is asked for.
    pub progress: &'a Progress<'a>,
}

impl ByPlace {
    /// Of `kept`, `[places, each, count]`, rounded to bf16 numbers.
    pub fn new(grid: [usize; 2], count: usize, mut kept: Vec<f32>) -> Self {
        kept.iter_mut().for_each(|v| *v = bf16::rounded(*v));
        let places = grid[0] * grid[1];
        let each = kept.len() / places;
        let n = each / count;
        let mut panels = vec![0.0; Panels::len(count, n)];
        let mut packed = Vec::with_capacity(panels.len() * places);
        for place in kept.chunks_exact(each) {
            pack(&mut panels, count, n, 0, count, Matrix::rows(place, count).transposed());
            packed.extend(panels.iter().copied().map(upper_half));
        }
        let squares = kept.chunks_exact(count).map(|p| p.iter().map(|v| v * v).sum()).collect();
        Self { grid, count, kept, packed, squares }
    }

    /// The vectors of each place that lie furthest apart, as bf16 numbers, and the image that each is of. `vectors` gives an image's,
    /// of some rows of places. They are gone through band by band of rows, for each of which every image is asked again, so that
    /// memory does not grow with their number; the result does not depend on it.
    ///
    /// # Errors
    /// Those of `vectors`; [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn chosen(
        choice: &Choice<'_>,
        vectors: impl Fn(usize, Range<usize>) -> Result<Vec<f32>> + Sync,
    ) -> Result<(Self, Vec<usize>)> {
        let &Choice { grid: [rows, columns], count, images, budget, progress, .. } = choice;
        let keep = choice.keep.min(images);
        let mut kept = vec![0.0; rows * columns * keep * count];
        let mut owners = vec![0; rows * columns * keep];
        let band = (budget / (images * columns * count * size_of::<u16>()).max(1)).clamp(1, rows);
        let outs = kept.chunks_mut(band * columns * keep * count);
        for (k, (out, owners)) in outs.zip(owners.chunks_mut(band * columns * keep)).enumerate() {
            let band = k * band..rows.min((k + 1) * band);
            let of = |i: usize| -> Result<Vec<u16>> {
                progress.check()?;
                // As bf16 numbers, which make half the memory, and half the file.
                Ok(vectors(i, band.clone())?.into_iter().map(|v| upper_half(bf16::rounded(v))).collect())
            };
            let all: Vec<Vec<u16>> = (0..images).into_par_iter().map(of).collect::<Result<_>>()?;
            let places = out.par_chunks_exact_mut(keep * count).zip(owners.par_chunks_exact_mut(keep));
            places.enumerate().try_for_each(|(place, (out, owners))| {
                progress.check()?;
                let here = all.iter().flat_map(|p| &p[place * count..][..count]);
                let here: Vec<f32> = here.copied().map(from_upper_half).collect();
                let chosen = k_centres(&here, count, keep, progress)?;
                for ((out, owner), i) in out.chunks_exact_mut(count).zip(owners).zip(chosen) {
                    out.copy_from_slice(&here[i * count..][..count]);
                    *owner = i;
                }
                Result::Ok(())
            })?;
        }
        Ok((Self::new([rows, columns], count, kept), owners))
    }

    /// All vectors, `[places, each, count]`.
    pub fn kept(&self) -> &[f32] {
        &self.kept
    }

    /// The number of places.
    pub fn places(&self) -> usize {
        self.grid[0] * self.grid[1]
    }

    /// Vectors of a place.
    pub fn each(&self) -> usize {
        self.squares.len() / self.places()
    }

    /// One vector.
    pub fn vector(&self, i: usize) -> &[f32] {
        &self.kept[i * self.count..][..self.count]
    }

    /// Which vector within [`REACH`] places is nearest to each of `queries`, `[places, count]`, leaving out what `skipped` names.
    pub fn nearest(&self, queries: &[f32], skipped: &(dyn Fn(usize) -> bool + Sync)) -> Vec<usize> {
        nearest_near(queries, &self.kept, self.grid, self.each(), self.count, REACH, skipped)
    }

    /// Distance of each of `queries`, `[places, count]`, to the nearest vector within [`REACH`] places.
    pub fn distances(&self, queries: &[f32]) -> Vec<f32> {
        self.least(queries).into_iter().map(|(distance, _)| distance).collect()
    }

    /// The same, and which vector that is.
    pub fn references(&self, queries: &[f32]) -> (Vec<f32>, Vec<usize>) {
        let (each, [_, columns]) = (self.each(), self.grid);
        let reference = |(place, (distance, row)): (usize, (f32, usize))| {
            let query = &queries[place * self.count..][..self.count];
            let x = place % columns;
            let (from, to) = (x.saturating_sub(REACH), (x + REACH + 1).min(columns));
            let near = (row * columns + from) * each..(row * columns + to) * each;
            let nearest = near
                .map(|i| (squared_distance(query, self.vector(i)), i))
                .fold((f32::INFINITY, place * each), |a, b| if b.0 < a.0 { b } else { a });
            (distance, nearest.1)
        };
        self.least(queries).into_par_iter().enumerate().map(reference).unzip()
    }

    /// Distance of each of `queries`, `[places, count]`, to the nearest vector within [`REACH`] places, and the row of places that keeps it.
    fn least(&self, queries: &[f32]) -> Vec<(f32, usize)> {
        let ([rows, columns], reach) = (self.grid, REACH);
        let (count, n) = (self.count, self.each());
        let span = 2 * reach + 1;
        // -2 q, framed so that each place meets the same number of queries.
        let line = (columns + 2 * reach) * count;
        let mut framed = vec![0.0; (rows + 2 * reach) * line];
        for (y, row) in queries.chunks_exact(columns * count).enumerate() {
            let out = &mut framed[(y + reach) * line + reach * count..][..columns * count];
            out.iter_mut().zip(row).for_each(|(out, q)| *out = -2.0 * q);
        }
        let (per_place, near) = (Panels::len(count, n), span * count);
        // Row by row of places: the least of `|p|^2 - 2 q p` for each query within reach. The queries of a place are brought together, so
        // that one product has them all, and its vectors are half as long on their way from memory.
        let nearest: Vec<Vec<f32>> = (0..rows)
            .into_par_iter()
            .map(|y| {
                let mut least = vec![f32::INFINITY; span * (columns + 2 * reach)];
                scratch::with(per_place + span * near + span * span * n, |buffer| {
                    let (panels, buffer) = buffer.split_at_mut(per_place);
                    let (around, products) = buffer.split_at_mut(span * near);
                    for x in 0..columns {
                        let place = y * columns + x;
                        let packed = &self.packed[place * per_place..][..per_place];
                        simd::run(
                            #[inline(always)]
                            || {
                                panels
                                    .iter_mut()
                                    .zip(packed)
                                    .for_each(|(v, half)| *v = from_upper_half(*half))
                            },
                        );
                        for (around, line) in
                            around.chunks_exact_mut(near).zip(framed[y * line..].chunks(line))
                        {
                            around.copy_from_slice(&line[x * count..][..near]);
                        }
                        Product {
                            x: around,
                            x_line: 0,
                            x_row: count,
                            x_k: 1,
                            segments: &[Segment { x: 0, k0: 0, k: count }],
                            panels: Panels::new(panels, count, n),
                            init: Init::Bias(&self.squares[place * n..][..n]),
                            lines: 1,
                            rows: span * span,
                            out: products,
                            out_line: 0,
                            out_row: n,
                        }
                        .run();
                        simd::run(
                            #[inline(always)]
                            || {
                                for (k, products) in products.chunks_exact(n).enumerate() {
                                    let least = &mut least[k / span * (columns + 2 * reach) + x + k % span];
                                    *least = least.min(smallest(products));
                                }
                            },
                        );
                    }
                });
                least
            })
            .collect();
        let width = columns + 2 * reach;
        (0..rows * columns)
            .map(|i| {
                let (y, x) = (i / columns, i % columns);
                // Places `y - reach ..= y + reach`: each saw this query in another of its lines.
                let places = y.saturating_sub(reach)..(y + reach + 1).min(rows);
                let (least, row) = places
                    .map(|p| (nearest[p][(y + reach - p) * width + x + reach], p))
                    .fold((f32::INFINITY, y), |a, b| if b.0 < a.0 { b } else { a });
                let square: f32 = queries[i * count..][..count].iter().map(|q| q * q).sum();
                ((least + square).max(0.0).sqrt(), row)
            })
            .collect()
    }
}

/// The upper half of a number: all of it, of a bf16 number.
fn upper_half(v: f32) -> u16 {
    (v.to_bits() >> 16) as u16
}

/// The bf16 number with this upper half.
#[inline(always)]
fn from_upper_half(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}

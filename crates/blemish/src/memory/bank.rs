//! The remembered patches, and the distance of a picture's patches to the nearest of them.

use rayon::prelude::*;

use super::MemoryConfig;
use super::patches::{Components, Grid};
use crate::data::Image;
use crate::kernels::bf16;
use crate::kernels::panels::{Matrix, Panels, pack};
use crate::kernels::product::{Init, Product, Segment};
use crate::kernels::scratch;

/// Patches that the principal components are found from, at most.
const SAMPLE: usize = 40_000;

/// What is remembered of patches of one size.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    /// Where patches lie.
    pub grid: Grid,
    /// What describes them.
    pub components: Components,
    /// Remembered patches of each place, `[places, prototypes, components]`.
    pub prototypes: Vec<f32>,
    /// What a good picture's largest distance is like; distances are given in units of it.
    pub unit: f32,
    /// The same patches packed for the product, and their squared lengths, a place after the other.
    packed: Vec<f32>,
    squares: Vec<f32>,
}

/// A memory of good pictures of one size.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    size: [usize; 2],
    reach: usize,
    scales: Vec<Scale>,
}

impl Scale {
    /// Puts a scale together; `None` where the lengths do not fit.
    pub fn new(grid: Grid, components: Components, prototypes: Vec<f32>, unit: f32) -> Option<Self> {
        let count = components.count();
        let fits = components.mean.len() == grid.values()
            && count > 0
            && !prototypes.is_empty()
            && prototypes.len().is_multiple_of(grid.places() * count)
            && unit > 0.0;
        if !fits {
            return None;
        }
        let each = prototypes.len() / grid.places();
        let n = each / count;
        let mut packed = vec![0.0; Panels::len(count, n) * grid.places()];
        for (out, place) in packed.chunks_exact_mut(Panels::len(count, n)).zip(prototypes.chunks_exact(each))
        {
            pack(out, count, n, 0, count, Matrix::rows(place, count).transposed());
        }
        let squares = prototypes.chunks_exact(count).map(|p| p.iter().map(|v| v * v).sum()).collect();
        Some(Self { grid, components, prototypes, unit, packed, squares })
    }

    fn fit(images: &[Image], grid: Grid, config: &MemoryConfig) -> Option<Self> {
        let (values, places) = (grid.values(), grid.places());
        let step = (images.len() * places).div_ceil(SAMPLE);
        // A step that does not divide the number of places: else every picture would be sampled at the same ones.
        let step = (step..).find(|step| *step == 1 || !places.is_multiple_of(*step)).unwrap_or(1);
        // All patches of all pictures at once would be the most memory that a training needs: they are taken twice.
        let sampled = |(i, image): (usize, &Image)| -> Vec<f32> {
            let first = (i * places).next_multiple_of(step) - i * places;
            grid.patches(image).chunks_exact(values).skip(first).step_by(step).flatten().copied().collect()
        };
        let sample: Vec<Vec<f32>> = images.par_iter().enumerate().map(sampled).collect();
        let components = Components::new(&sample.concat(), values, config.components);
        // As bf16 numbers, which make half the memory, and half the file.
        let short = |v: f32| (bf16::rounded(v).to_bits() >> 16) as u16;
        let projected = |image: &Image| -> Vec<u16> {
            components.project(&grid.patches(image)).into_iter().map(short).collect()
        };
        let projected: Vec<Vec<u16>> = images.par_iter().map(projected).collect();
        let count = components.count();
        let keep = config.prototypes.min(images.len());
        let mut prototypes = vec![0.0; places * keep * count];
        prototypes.par_chunks_exact_mut((keep * count).max(1)).enumerate().for_each(|(place, out)| {
            let here = projected.iter().flat_map(|p| &p[place * count..][..count]);
            let here: Vec<f32> = here.map(|&bits| f32::from_bits(u32::from(bits) << 16)).collect();
            for (out, i) in out.chunks_exact_mut(count).zip(k_centres(&here, count, keep)) {
                out.copy_from_slice(&here[i * count..][..count]);
            }
        });
        Self::new(grid, components, prototypes, 1.0)
    }

    /// Distance of every patch of `image` to the nearest remembered one within `reach` places, `[rows, columns]`.
    fn distances(&self, image: &Image, reach: usize) -> Vec<f32> {
        let Grid { rows, columns, .. } = self.grid;
        let count = self.components.count();
        let queries = self.components.project(&self.grid.patches(image));
        let (span, n) = (2 * reach + 1, self.prototypes.len() / (rows * columns * count));
        // -2 q, framed so that each place meets the same number of queries.
        let line = (columns + 2 * reach) * count;
        let mut framed = vec![0.0; (rows + 2 * reach) * line];
        for (y, row) in queries.chunks_exact(columns * count).enumerate() {
            let out = &mut framed[(y + reach) * line + reach * count..][..columns * count];
            out.iter_mut().zip(row).for_each(|(out, q)| *out = -2.0 * q);
        }
        let per_place = Panels::len(count, n);
        // Row by row of places: the least of `|p|^2 - 2 q p` for each query within reach.
        let nearest: Vec<Vec<f32>> = (0..rows)
            .into_par_iter()
            .map(|y| {
                let mut least = vec![f32::INFINITY; span * (columns + 2 * reach)];
                scratch::with(span * span * n, |products| {
                    for x in 0..columns {
                        let place = y * columns + x;
                        Product {
                            x: &framed[y * line + x * count..],
                            x_line: line,
                            x_row: count,
                            x_k: 1,
                            segments: &[Segment { x: 0, k0: 0, k: count }],
                            panels: Panels::new(&self.packed[place * per_place..][..per_place], count, n),
                            init: Init::Bias(&self.squares[place * n..][..n]),
                            lines: span,
                            rows: span,
                            out: products,
                            out_line: span * n,
                            out_row: n,
                        }
                        .run();
                        for (k, products) in products.chunks_exact(n).enumerate() {
                            let least = &mut least[k / span * (columns + 2 * reach) + x + k % span];
                            *least = products.iter().fold(*least, |a, &b| if b < a { b } else { a });
                        }
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
                let least = places
                    .map(|p| nearest[p][(y + reach - p) * width + x + reach])
                    .fold(f32::INFINITY, f32::min);
                let square: f32 = queries[i * count..][..count].iter().map(|q| q * q).sum();
                (least + square).max(0.0).sqrt()
            })
            .collect()
    }
}

impl Memory {
    /// Remembers `images`, at least one, normalised, all of one size with sides that are multiples of 16.
    pub fn fit(images: &[Image], config: &MemoryConfig) -> Option<Self> {
        let first = images.first()?;
        let size = [first.height, first.width];
        let fit = |&scale: &usize| Scale::fit(images, Grid::new(scale, size, first.channels), config);
        let scales = config.scales.iter().map(fit).collect::<Option<Vec<_>>>()?;
        (!scales.is_empty()).then_some(Self { size, reach: config.reach, scales })
    }

    /// Puts a memory together from its scales.
    pub fn new(size: [usize; 2], reach: usize, scales: Vec<Scale>) -> Self {
        Self { size, reach, scales }
    }

    /// What it holds.
    pub fn scales(&self) -> &[Scale] {
        &self.scales
    }

    /// The same memory, its distances in units of what `good` pictures, which it has not seen, have at the most.
    #[must_use]
    pub fn in_units_of(mut self, good: &[Image]) -> Self {
        if good.is_empty() {
            return self;
        }
        for scale in &mut self.scales {
            let largest = |image: &Image| scale.distances(image, self.reach).into_iter().fold(0.0, f32::max);
            let sum: f32 = good.iter().map(largest).sum();
            scale.unit = (sum / good.len() as f32).max(f32::MIN_POSITIVE);
        }
        self
    }

    /// The same memory in the units of `other`, which has the same scales.
    #[must_use]
    pub fn in_units_like(mut self, other: &Self) -> Self {
        self.scales.iter_mut().zip(&other.scales).for_each(|(scale, other)| scale.unit = other.unit);
        self
    }

    /// How far `image` is from what is remembered, per pixel, `[H, W]`: the mean over the scales of the distance to the
    /// nearest remembered patch, 1 = the most that good pictures have on average.
    pub fn map(&self, image: &Image) -> Vec<f32> {
        let mut map = vec![0.0; self.size[0] * self.size[1]];
        for scale in &self.scales {
            let weight = 1.0 / (scale.unit * self.scales.len() as f32);
            let Grid { rows: height, columns: width, .. } = scale.grid;
            let distances = Image { height, width, channels: 1, pixels: scale.distances(image, self.reach) };
            map.iter_mut().zip(distances.enlarged(self.size)).for_each(|(v, d)| *v += weight * d);
        }
        map
    }
}

/// Greedy k-centre selection: the point nearest the mean, then ever again the one that is furthest from all chosen ones.
fn k_centres(points: &[f32], dims: usize, keep: usize) -> Vec<usize> {
    let n = points.len() / dims;
    let point = |i: usize| &points[i * dims..][..dims];
    let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
    let mut mean = vec![0.0; dims];
    for i in 0..n {
        mean.iter_mut().zip(point(i)).for_each(|(m, v)| *m += v / n as f32);
    }
    let mut chosen: Vec<usize> = (0..n)
        .min_by(|&a, &b| distance(point(a), &mean).total_cmp(&distance(point(b), &mean)))
        .into_iter()
        .collect();
    let mut away = vec![f32::INFINITY; n];
    while chosen.len() < keep.min(n) {
        let latest = chosen.last().map_or(&[][..], |&i| point(i));
        for (i, away) in away.iter_mut().enumerate() {
            *away = away.min(distance(point(i), latest));
        }
        chosen.extend((0..n).max_by(|&a, &b| away[a].total_cmp(&away[b])));
    }
    chosen
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::Keep;
    use super::*;

    fn config(prototypes: usize, reach: usize) -> MemoryConfig {
        MemoryConfig { keep: Keep::Always, scales: vec![2, 4], components: 6, prototypes, reach }
    }

    fn picture(seed: usize) -> Image {
        let pixels = (0..32 * 48)
            .map(|i| ((i * 7 + seed * 13) as f32 * 0.11).sin() + (i % 48) as f32 * 0.02)
            .collect();
        Image { height: 32, width: 48, channels: 1, pixels }
    }

    #[test]
    fn distances_are_those_of_the_nearest_within_reach() {
        let images: Vec<Image> = (0..7).map(picture).collect();
        for reach in [0, 1, 2] {
            let memory = Memory::fit(&images, &config(7, reach)).unwrap();
            let query = picture(20);
            for scale in memory.scales() {
                let (grid, count) = (scale.grid, scale.components.count());
                let projected = scale.components.project(&grid.patches(&query));
                let expected = |place: usize| {
                    let (y, x) = (place / grid.columns, place % grid.columns);
                    let near = |other: &usize| {
                        (other / grid.columns).abs_diff(y) <= reach
                            && (other % grid.columns).abs_diff(x) <= reach
                    };
                    let each = scale.prototypes.len() / grid.places();
                    let candidates = (0..grid.places())
                        .filter(near)
                        .flat_map(|p| scale.prototypes[p * each..][..each].chunks(count));
                    let query = &projected[place * count..][..count];
                    candidates
                        .map(|c| c.iter().zip(query).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt())
                        .fold(f32::INFINITY, f32::min)
                };
                for (place, distance) in scale.distances(&query, reach).into_iter().enumerate() {
                    assert!((distance - expected(place)).abs() < 2e-3, "{reach} {place}: {distance}");
                }
            }
        }
    }

    #[test]
    fn what_was_seen_is_near_and_a_spot_is_far_where_it_is() {
        let images: Vec<Image> = (0..8).map(picture).collect();
        let memory = Memory::fit(&images, &config(8, 1)).unwrap().in_units_of(&[picture(30), picture(31)]);
        assert!(memory.map(&images[3]).iter().all(|&d| d < 0.05));
        let mut spoilt = images[3].clone();
        (0..64).for_each(|i| spoilt.pixels[(12 + i / 8) * 48 + 30 + i % 8] = 5.0);
        let map = memory.map(&spoilt);
        let peak = (0..map.len()).max_by(|&a, &b| map[a].total_cmp(&map[b])).unwrap();
        assert!((8..24).contains(&(peak / 48)) && (26..42).contains(&(peak % 48)), "{peak}");
        assert!(map[peak] > 1.0);
    }

    #[test]
    fn centres_are_spread_and_never_more_than_there_are_points() {
        let points = [0.0, 0.1, 0.2, 5.0, 5.1, -9.0];
        let mut chosen = k_centres(&points, 1, 3);
        chosen.sort_unstable();
        assert!(chosen.contains(&5) && chosen.iter().any(|i| (3..5).contains(i)), "{chosen:?}");
        assert_eq!(k_centres(&points, 1, 9).len(), 6);
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let memory = Memory::fit(&[picture(0)], &config(1, 0)).unwrap();
        let Scale { grid, components, prototypes, .. } = memory.scales()[0].clone();
        assert!(Scale::new(grid, components.clone(), prototypes[1..].to_vec(), 1.0).is_none());
        assert!(Scale::new(grid, components.clone(), prototypes.clone(), 0.0).is_none());
        assert!(Scale::new(grid, components, prototypes, 1.0).is_some());
        assert!(Memory::fit(&[], &config(1, 0)).is_none());
        // Without pictures to measure by, the unit stays.
        assert_eq!(memory.clone().in_units_of(&[]), memory);
    }
}

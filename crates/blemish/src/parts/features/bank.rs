//! The vectors that are kept, and the distance to the nearest of them.

use super::super::by_place::ByPlace;
use super::super::nearest::Searched;
use super::super::places::squared_distance;
use super::super::put;
use super::taken;
use crate::engine::{Array, Weights};

/// How far apart, in descriptions, two places are that lie a view's longer side apart.
const AWAY: f32 = 8.0;
/// Rows and columns of places that are compared with vectors of any place together.
const TILE: [usize; 2] = [4, 8];

/// How many values a vector has, and whether its place counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Values of a vector.
    pub length: usize,
    /// Rows and columns of places, where views show the same place at the same pixel.
    pub places: Option<[usize; 2]>,
}

impl Layout {
    /// Values of a vector that is compared with those of any place: the vector and, where it counts, its place, so that what is seen
    /// elsewhere is further away the further its place is.
    pub fn long(&self) -> usize {
        self.length + if self.places.is_some() { 2 } else { 0 }
    }

    /// A view's vectors, `[places, length]`, as they are compared with those of any place: `[places, long]`.
    pub fn lengthened(&self, vectors: Vec<f32>) -> Vec<f32> {
        let Some([rows, columns]) = self.places else { return vectors };
        let step = AWAY / rows.max(columns) as f32;
        let vector = |(place, own): (usize, &[f32])| {
            let at = [place / columns, place % columns].map(|at| at as f32 * step);
            own.iter().copied().chain(at).collect::<Vec<f32>>()
        };
        vectors.chunks_exact(self.length).enumerate().flat_map(vector).collect()
    }
}

/// Vectors of good images: some of any place and, where the place counts, some of each.
#[derive(Clone, Debug)]
pub struct Bank {
    /// How long they are.
    pub layout: Layout,
    /// Those of any place, `[N, long]`.
    pub anywhere: Searched,
    /// Those of each place, where the place counts.
    pub by_place: Option<ByPlace>,
}

/// How the vectors of a view differ from their references.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// How far each is; what is seen elsewhere is further away.
    pub distances: Vec<f32>,
    /// What each differs by, `[places, length]`.
    pub residuals: Vec<f32>,
    /// Values of a vector.
    pub length: usize,
}

impl Compared {
    /// What the vector of a place differs by.
    pub fn residual(&self, place: usize) -> &[f32] {
        &self.residuals[place * self.length..][..self.length]
    }

    /// The same in a unit.
    pub fn over(mut self, unit: f32) -> Self {
        self.distances.iter_mut().chain(&mut self.residuals).for_each(|v| *v /= unit);
        self
    }
}

/// The image that each of a bank's vectors is of.
pub struct Owners {
    /// Of those of any place.
    pub anywhere: Vec<usize>,
    /// Of those of each place.
    pub by_place: Vec<usize>,
}

impl Bank {
    /// How every place's vector differs from the nearest one, its reference.
    pub fn compared(&self, queries: Vec<f32>) -> Compared {
        let length = self.layout.length;
        let long = self.layout.lengthened(queries.clone());
        let (distances, references): (Vec<f32>, Vec<&[f32]>) = match (&self.by_place, self.layout.places) {
            (Some(bank), Some(grid)) => {
                let (mut distances, nearest) = bank.references(&queries);
                let anywhere = self.anywhere.lower(&long, &tiles(grid), &mut distances);
                let reference = |(i, at): (Option<usize>, usize)| match i {
                    Some(i) => &self.anywhere.vector(i)[..length],
                    None => bank.vector(at),
                };
                (distances, anywhere.into_iter().zip(nearest).map(reference).collect())
            }
            _ => {
                let nearest = self.anywhere.nearest(&long, &|_| false);
                let references = nearest.iter().map(|&i| &self.anywhere.vector(i)[..length]).collect();
                (distances_to(&long, nearest, |i| self.anywhere.vector(i)), references)
            }
        };
        let mut residuals = queries;
        for (residual, reference) in residuals.chunks_exact_mut(length).zip(references) {
            residual.iter_mut().zip(reference).for_each(|(v, reference)| *v -= reference);
        }
        Compared { distances, residuals, length }
    }

    /// Distance of every place's vector of image `image` to the nearest one of another; `None` where there is no other.
    pub fn distances_without(&self, image: usize, queries: Vec<f32>, owners: &Owners) -> Option<Vec<f32>> {
        if owners.anywhere.iter().all(|&owner| owner == image) {
            return None;
        }
        let near = self.by_place.as_ref().map(|bank| {
            let nearest = bank.nearest(&queries, &|i| owners.by_place[i] == image);
            distances_to(&queries, nearest, |i| bank.vector(i))
        });
        let queries = self.layout.lengthened(queries);
        let nearest = self.anywhere.nearest(&queries, &|i| owners.anywhere[i] == image);
        Some(nearer(distances_to(&queries, nearest, |i| self.anywhere.vector(i)), near))
    }

    /// Adds the vectors to a model file's tensors.
    pub fn save(&self, tensors: &mut Weights, name: &str) {
        let (vectors, long) = (self.anywhere.vectors(), self.layout.long());
        put(tensors, &format!("{name}.bank"), &[vectors.len() / long, long], vectors);
        if let Some(bank) = &self.by_place {
            let shape = [bank.places(), bank.each(), self.layout.length];
            put(tensors, &format!("{name}.places"), &shape, bank.kept());
        }
    }

    /// Takes what [`save`](Self::save) has added.
    ///
    /// # Errors
    /// A sentence: what is missing or does not fit.
    pub fn load(tensors: &mut Weights, name: &str, layout: Layout) -> Result<Self, String> {
        let mut own = |what: &str, fits: &dyn Fn(&Array) -> bool| {
            let name = format!("{name}.{what}");
            if tensors.get(&name).is_some_and(|bank| !fits(bank)) {
                return Err(format!("{name} is of another network or view"));
            }
            taken(tensors, &name)
        };
        let long = layout.long();
        let anywhere =
            own("bank", &|bank| matches!(bank.shape[..], [count, values] if count > 0 && values == long))?;
        let by_place = match layout.places {
            Some(grid) => {
                let kept = own("places", &|bank| {
                    let places = grid[0] * grid[1];
                    matches!(bank.shape[..], [n, each, values] if n == places && each > 0 && values == layout.length)
                })?;
                Some(ByPlace::new(grid, layout.length, kept))
            }
            None => None,
        };
        Ok(Self { layout, anywhere: Searched::new(anywhere, long), by_place })
    }
}

/// The places of each tile of a grid.
fn tiles([rows, columns]: [usize; 2]) -> Vec<Vec<usize>> {
    let tile = |top: usize, left: usize| {
        let across = left..(left + TILE[1]).min(columns);
        let places =
            (top..(top + TILE[0]).min(rows)).flat_map(|y| across.clone().map(move |x| y * columns + x));
        places.collect()
    };
    let tops = (0..rows).step_by(TILE[0]);
    tops.flat_map(|top| (0..columns).step_by(TILE[1]).map(move |left| tile(top, left))).collect()
}

/// The part of a view, an eighth of its longer side each way, that a vector is of which ends with its place.
pub fn part_of(vector: &[f32]) -> [usize; 2] {
    let place = &vector[vector.len() - 2..];
    [place[0], place[1]].map(|at| (at / (AWAY / 8.0)) as usize)
}

fn distances_to<'a>(queries: &[f32], nearest: Vec<usize>, vector: impl Fn(usize) -> &'a [f32]) -> Vec<f32> {
    let pairs = queries.chunks_exact(queries.len() / nearest.len().max(1)).zip(nearest);
    pairs.map(|(query, i)| squared_distance(query, vector(i)).sqrt()).collect()
}

/// The smaller distances.
fn nearer(mut distances: Vec<f32>, others: Option<Vec<f32>>) -> Vec<f32> {
    if let Some(others) = others {
        distances.iter_mut().zip(others).for_each(|(v, other)| *v = v.min(other));
    }
    distances
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_of_any_place_and_of_the_place_by_hand() {
        // Two places, half a view's longer side apart: 4.
        let layout = Layout { length: 1, places: Some([1, 2]) };
        assert_eq!(layout.lengthened(vec![3.0, 5.0]), [3.0, 0.0, 0.0, 5.0, 0.0, 4.0]);
        let anywhere = Searched::new(vec![0.0, 0.0, 0.0, 20.0, 0.0, 4.0], 3);
        let bank = Bank { layout, anywhere, by_place: Some(ByPlace::new([1, 2], 1, vec![4.0, 7.0])) };
        // At the second place 1 is 3 from what its neighbour keeps, and the root of 1 + 16 from what was seen elsewhere.
        let close = |found: Vec<f32>, by_hand: [f32; 2]| {
            assert!(found.iter().zip(by_hand).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?} {by_hand:?}");
        };
        close(bank.compared(vec![0.5, 1.0]).distances, [0.5, 3.0]);
        close(bank.compared(vec![0.5, 1.0]).residuals, [0.5, -3.0]);
        close(bank.compared(vec![7.0, 19.0]).distances, [0.0, 1.0]);
        close(bank.compared(vec![7.0, 19.0]).residuals, [0.0, -1.0]);
        // Without the image that has the first of any place and the first of each: 0.5 is 6.5 from 7, and 1 is 6.
        let owners = Owners { anywhere: vec![0, 1], by_place: vec![0, 1] };
        close(bank.distances_without(0, vec![0.5, 1.0], &owners).unwrap_or_default(), [6.5, 6.0]);
        let alone = Owners { anywhere: vec![0, 0], by_place: vec![0, 0] };
        assert_eq!(bank.distances_without(0, vec![0.5, 1.0], &alone), None);
    }
}

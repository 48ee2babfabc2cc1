//! The vectors that are kept, and the distance to the nearest of them.

use super::super::by_place::ByPlace;
use super::super::nearest::Searched;
use super::super::places::squared_distance;
use super::super::put;
use super::taken;
use crate::engine::{Array, Weights};

/// How far apart, in descriptions, two places are that lie a view's longer side apart.
const AWAY: f32 = 8.0;

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
    pub layout: Layout,
    /// `[N, long]`
    pub anywhere: Searched,
    pub by_place: Option<ByPlace>,
}

/// The image that each of a bank's vectors is of.
pub struct Owners {
    pub anywhere: Vec<usize>,
    pub by_place: Vec<usize>,
}

impl Bank {
    /// Distance of every place's vector to the nearest one.
    pub fn distances(&self, queries: Vec<f32>) -> Vec<f32> {
        let near = self.by_place.as_ref().map(|bank| bank.distances(&queries));
        let queries = self.layout.lengthened(queries);
        let nearest = self.anywhere.nearest(&queries, &|_| false);
        nearer(distances_to(&queries, nearest, |i| self.anywhere.vector(i)), near)
    }

    /// The largest distance of a place's vector to the nearest one of another image than `image`; `None` where there is no other.
    pub fn furthest_of(&self, image: usize, queries: Vec<f32>, owners: &Owners) -> Option<f32> {
        if owners.anywhere.iter().all(|&owner| owner == image) {
            return None;
        }
        let near = self.by_place.as_ref().map(|bank| {
            let nearest = bank.nearest(&queries, &|i| owners.by_place[i] == image);
            distances_to(&queries, nearest, |i| bank.vector(i))
        });
        let queries = self.layout.lengthened(queries);
        let nearest = self.anywhere.nearest(&queries, &|i| owners.anywhere[i] == image);
        let distances = nearer(distances_to(&queries, nearest, |i| self.anywhere.vector(i)), near);
        Some(distances.into_iter().fold(0.0, f32::max))
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

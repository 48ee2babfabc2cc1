//! Positional tables on another grid: stored for one, resampled bilinearly to any other, so that weights learned at one
//! image size serve every size.

use super::weights::{Array, Weights};

/// The tables that belong to a grid.
const TABLES: [&str; 2] = ["pos_embed.learnable", "decoder_pos_embed.learnable"];

/// The weights of a model on the grid `from` as those of the same model on the grid `to` (rows, columns of patches). On
/// the same grid they are what they were, to the bit.
///
/// # Errors
/// A sentence that names the table that does not fit `from`.
pub fn weights_for_grid(mut weights: Weights, from: [usize; 2], to: [usize; 2]) -> Result<Weights, String> {
    for name in TABLES {
        let Some(table) = weights.get_mut(name) else { continue };
        let rows = from[0] * from[1];
        let dim = match table.shape[..] {
            [stored, dim] if stored == rows && dim > 0 && table.values.len() == rows * dim => dim,
            _ => {
                let [height, width] = from;
                return Err(format!(
                    "parameter {name} has shape {:?}: it is not a table for {height} x {width} patches",
                    table.shape
                ));
            }
        };
        if from != to {
            *table = resampled(table, dim, from, to);
        }
    }
    Ok(weights)
}

fn resampled(table: &Array, dim: usize, from: [usize; 2], to: [usize; 2]) -> Array {
    let places = to[0] * to[1];
    let mut values = vec![0.0; places * dim];
    let matrix = resampling(from, to);
    for (out, weights) in values.chunks_exact_mut(dim).zip(matrix.chunks_exact(from[0] * from[1])) {
        for (weight, row) in weights.iter().zip(table.values.chunks_exact(dim)).filter(|(w, _)| **w != 0.0) {
            out.iter_mut().zip(row).for_each(|(out, v)| *out += weight * v);
        }
    }
    Array { shape: vec![places, dim], values }
}

/// Bilinear resampling between grids as a matrix, corners of the outermost cells upon each other, no value beyond the
/// outermost centres; the identity where the grids are the same.
///
/// # Shapes
/// `[to[0] * to[1], from[0] * from[1]]`, rows of which sum to 1
pub fn resampling(from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    let [down, across] = [0, 1].map(|side| line(from[side], to[side]));
    let mut matrix = Vec::with_capacity(to[0] * to[1] * from[0] * from[1]);
    for y in down.chunks_exact(from[0]) {
        for x in across.chunks_exact(from[1]) {
            matrix.extend(y.iter().flat_map(|v| x.iter().map(move |u| v * u)));
        }
    }
    matrix
}

/// Linear resampling of `from` samples to `to`, `[to, from]`.
fn line(from: usize, to: usize) -> Vec<f32> {
    let mut matrix = vec![0.0; to * from];
    for (i, row) in matrix.chunks_exact_mut(from.max(1)).enumerate() {
        let at = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).clamp(0.0, (from - 1) as f64);
        let low = at as usize;
        let share = (at - low as f64) as f32;
        row[low] += 1.0 - share;
        if share > 0.0 {
            row[low + 1] += share;
        }
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(values: &[f32], dim: usize) -> Weights {
        let array = |values: &[f32]| Array { shape: vec![values.len() / dim, dim], values: values.to_vec() };
        [("pos_embed.learnable".to_owned(), array(values)), ("stem".to_owned(), array(&vec![7.0; dim]))]
            .into()
    }

    #[test]
    fn its_own_grid_changes_nothing() {
        let given = weights(&[0.1, -0.2, 0.3, 0.7, 1e-30, 3.0], 1);
        assert_eq!(weights_for_grid(given.clone(), [2, 3], [2, 3]), Ok(given));
        let identity = resampling([2, 2], [2, 2]);
        assert_eq!(identity, [1., 0., 0., 0., 0., 1., 0., 0., 0., 0., 1., 0., 0., 0., 0., 1.]);
    }

    #[test]
    fn halving_takes_means_and_doubling_quarters() {
        let half = weights_for_grid(weights(&[1., 10., 3., 30., 5., 50., 7., 70.], 2), [1, 4], [1, 2]);
        let half = half.unwrap_or_default();
        assert_eq!(half["pos_embed.learnable"], Array { shape: vec![2, 2], values: vec![2., 20., 6., 60.] });
        assert_eq!(half["stem"].values, [7.0, 7.0]);
        let double = weights_for_grid(weights(&[0., 4.], 1), [1, 2], [2, 4]).unwrap_or_default();
        assert_eq!(double["pos_embed.learnable"].values, [0., 1., 3., 4., 0., 1., 3., 4.]);
    }

    #[test]
    fn rows_of_any_resampling_sum_to_one() {
        for (from, to) in [([16, 16], [8, 8]), ([16, 16], [25, 12]), ([1, 5], [7, 1]), ([3, 2], [64, 3])] {
            for row in resampling(from, to).chunks_exact(from[0] * from[1]) {
                assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn a_table_of_another_grid_is_refused_by_name() {
        let refused = weights_for_grid(weights(&[1.0; 6], 1), [2, 2], [4, 4]).err().unwrap_or_default();
        assert!(refused.contains("pos_embed.learnable") && refused.contains("2 x 2"), "{refused}");
    }
}

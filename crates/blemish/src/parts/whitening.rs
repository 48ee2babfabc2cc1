//! Brings correlated values to independent ones of variance 1.

use nalgebra::{Cholesky, DMatrix};

/// The inverse of the lower triangle `L` of `covariance = L L^T` (Cholesky), `[count, count]` row by row.
pub fn whitening(covariance: &[f64], count: usize) -> Vec<f64> {
    let symmetric = DMatrix::from_row_slice(count, count, covariance);
    // Rounding may leave nothing of a value that others determine.
    let inverse = Cholesky::new_with_substitute(symmetric, 1e-9)
        .and_then(|cholesky| cholesky.l().solve_lower_triangular(&DMatrix::identity(count, count)));
    inverse.unwrap_or_else(|| DMatrix::identity(count, count)).transpose().as_slice().to_vec()
}

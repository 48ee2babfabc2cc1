//! Small systems of linear equations.

/// Solves `a x = b` by elimination with pivots; `None` where `a` is singular.
pub(super) fn solve<const N: usize>(mut a: [[f64; N]; N], mut b: [f64; N]) -> Option<[f64; N]> {
    for column in 0..N {
        let pivot = (column..N).max_by(|&i, &j| a[i][column].abs().total_cmp(&a[j][column].abs()))?;
        a.swap(column, pivot);
        b.swap(column, pivot);
        if a[column][column].abs() < 1e-9 {
            return None;
        }
        let (pivot_row, pivot_value) = (a[column], b[column]);
        for row in (0..N).filter(|&row| row != column) {
            let factor = a[row][column] / pivot_row[column];
            a[row].iter_mut().zip(pivot_row).for_each(|(v, p)| *v -= factor * p);
            b[row] -= factor * pivot_value;
        }
    }
    Some(std::array::from_fn(|i| b[i] / a[i][i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solves_what_has_one_solution() {
        // The first pivot is 0: rows must be swapped.
        let x = solve([[0.0, 2.0, 1.0], [1.0, 1.0, 0.0], [3.0, 0.0, -1.0]], [7.0, 3.0, 0.0]);
        assert!(
            x.is_some_and(|x| x.iter().zip([1.0, 2.0, 3.0]).all(|(a, b)| (a - b).abs() < 1e-12)),
            "{x:?}"
        );
        assert_eq!(solve([[1.0, 2.0], [2.0, 4.0]], [1.0, 2.0]), None);
    }
}

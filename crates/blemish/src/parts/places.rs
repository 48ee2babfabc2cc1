//! Vectors at the places of a view: their distances, and their means over neighbouring places.

/// The squared length.
pub(super) fn squared_length(vector: &[f32]) -> f32 {
    vector.iter().map(|v| v * v).sum()
}

/// The squared Euclidean distance, in sixteen sums, so that it is computed in vectors.
pub fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 16];
    let (a_chunks, a_rest) = a.as_chunks::<16>();
    let (b_chunks, b_rest) = b.as_chunks::<16>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += (a - b) * (a - b);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| (a - b) * (a - b)).sum();
    sums.iter().sum::<f32>() + rest
}

/// Means over 3 x 3 places, fewer at the border.
///
/// # Shapes
/// `values` and the result: `[rows, columns, channels]`
pub fn mean_3x3(values: &[f32], [rows, columns]: [usize; 2], channels: usize) -> Vec<f32> {
    let mut out = vec![0.0; values.len()];
    for (place, out) in out.chunks_exact_mut(channels).enumerate() {
        let (y, x) = (place / columns, place % columns);
        let (ys, xs) = (y.saturating_sub(1)..(y + 2).min(rows), x.saturating_sub(1)..(x + 2).min(columns));
        let weight = 1.0 / (ys.len() * xs.len()) as f32;
        for ny in ys {
            for nx in xs.clone() {
                let there = &values[(ny * columns + nx) * channels..][..channels];
                out.iter_mut().zip(there).for_each(|(out, v)| *out += weight * v);
            }
        }
    }
    out
}

//! The fixed half of the hybrid positional embedding.

use crate::config::Sinusoid;

/// The fixed half of the positional embedding, `[N, D]`, row by row of the grid.
///
/// `TwoD`: the first half of the channels encodes the row, the second the column, each as the sines and then
/// the cosines of `position * w_k`, `w_k = 10000^(-2k / (D/2))` (He et al. 2022, after Vaswani et al. 2017).
/// `Row`: sine and cosine interleaved, `w_k = 10000^(-2k / D)`, of the row alone, as published.
pub fn sinusoid_values(kind: Sinusoid, [rows, columns]: [usize; 2], dim: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(rows * columns * dim);
    let wave = |position: usize, k: usize, width: usize| {
        position as f64 * 10000f64.powf(-2.0 * k as f64 / width as f64)
    };
    for row in 0..rows {
        for column in 0..columns {
            match kind {
                Sinusoid::TwoD => {
                    for position in [row, column] {
                        let angle = |k| wave(position, k, dim / 2);
                        values.extend((0..dim / 4).map(|k| angle(k).sin() as f32));
                        values.extend((0..dim / 4).map(|k| angle(k).cos() as f32));
                    }
                }
                Sinusoid::Row => {
                    for k in 0..dim / 2 {
                        let angle = wave(row, k, dim);
                        values.extend([angle.sin() as f32, angle.cos() as f32]);
                    }
                }
            }
        }
    }
    values
}

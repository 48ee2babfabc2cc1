//! The hybrid positional embedding: a learnable table plus a fixed sinusoid.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};

use super::grid::resampling;
use super::init::Init;
use crate::config::Sinusoid;

/// `tokens + learnable + sinusoid`.
#[derive(Module, Debug)]
pub struct PosEmbed {
    /// `[N, D]` of the stored grid
    pub learnable: Param<Tensor<2>>,
    stored: [usize; 2],
    grid: [usize; 2],
    #[module(skip)]
    sinusoid: Sinusoid,
}

impl PosEmbed {
    /// A table for a grid of tokens of width `dim`, truncated normal with standard deviation 0.02.
    pub fn new(sinusoid: Sinusoid, grid: [usize; 2], dim: usize, init: &mut Init<'_>) -> Self {
        Self {
            learnable: init.truncated_normal([grid[0] * grid[1], dim], 0.02),
            stored: grid,
            grid,
            sinusoid,
        }
    }

    /// The same table, resampled bilinearly to tokens on `grid` at every pass ([`resampling`]); as it is on its own grid.
    pub fn on_grid(&self, grid: [usize; 2]) -> Self {
        Self { grid, ..self.clone() }
    }

    /// # Shapes
    /// `[B, N, D]` -> `[B, N, D]`
    pub fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [_, dim] = self.learnable.dims();
        let fixed = sinusoid(self.sinusoid, self.grid, dim, &tokens.device());
        let learnable = if self.grid == self.stored {
            self.learnable.val()
        } else {
            let [from, to] = [self.stored, self.grid].map(|[rows, columns]| rows * columns);
            let matrix = TensorData::new(resampling(self.stored, self.grid), [to, from]);
            Tensor::<2>::from_data(matrix, &tokens.device()).matmul(self.learnable.val())
        };
        tokens + (learnable + fixed).unsqueeze()
    }
}

/// The fixed half, `[N, D]`.
///
/// `TwoD`: the first half of the channels encodes the row, the second the column, each as the sines and then
/// the cosines of `position * w_k`, `w_k = 10000^(-2k / (D/2))` (He et al. 2022, after Vaswani et al. 2017).
/// `Row`: sine and cosine interleaved, `w_k = 10000^(-2k / D)`, of the row alone, as published.
pub fn sinusoid(kind: Sinusoid, grid: [usize; 2], dim: usize, device: &Device) -> Tensor<2> {
    let values = sinusoid_values(kind, grid, dim);
    Tensor::from_data(TensorData::new(values, [grid[0] * grid[1], dim]), device)
}

/// The values of [`sinusoid`], row by row.
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

//! The hybrid positional embedding: a learnable table plus a fixed sinusoid.

use blemish::config::Sinusoid;
use blemish::engine::{resampling, sinusoid_values};
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};

use super::init::Init;

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
pub fn sinusoid(kind: Sinusoid, grid: [usize; 2], dim: usize, device: &Device) -> Tensor<2> {
    let values = sinusoid_values(kind, grid, dim);
    Tensor::from_data(TensorData::new(values, [grid[0] * grid[1], dim]), device)
}

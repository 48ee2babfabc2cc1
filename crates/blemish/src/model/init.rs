//! How parameters start: one seeded generator, so that the same seed gives the same weights on every device.

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Makes parameters from a seeded generator.
pub struct Init<'a> {
    rng: &'a mut ChaCha8Rng,
    device: Device,
}

impl<'a> Init<'a> {
    /// Draws from `rng`; parameters live on `device`.
    pub fn new(rng: &'a mut ChaCha8Rng, device: &Device) -> Self {
        Self { rng, device: device.clone() }
    }

    /// Every value the same.
    pub fn constant<const D: usize>(&mut self, shape: [usize; D], value: f32) -> Param<Tensor<D>> {
        self.param(shape, vec![value; shape.iter().product()])
    }

    /// Uniform within `sqrt(6 / (inputs + outputs))` (Glorot and Bengio 2010, equation 16).
    pub fn xavier(&mut self, inputs: usize, outputs: usize) -> Param<Tensor<2>> {
        self.uniform([inputs, outputs], (6.0 / (inputs + outputs) as f32).sqrt())
    }

    /// Uniform within `sqrt(6 / inputs)`, for layers before a rectifier (He et al. 2015, equation 10).
    pub fn kaiming(&mut self, inputs: usize, outputs: usize) -> Param<Tensor<2>> {
        self.uniform([inputs, outputs], (6.0 / inputs as f32).sqrt())
    }

    fn uniform(&mut self, shape: [usize; 2], bound: f32) -> Param<Tensor<2>> {
        let values = (0..shape[0] * shape[1]).map(|_| self.rng.random_range(-bound..=bound)).collect();
        self.param(shape, values)
    }

    /// Normal with the given standard deviation, cut at two of them.
    pub fn truncated_normal<const D: usize>(&mut self, shape: [usize; D], std: f32) -> Param<Tensor<D>> {
        let mut draw = || loop {
            let (u, v): (f32, f32) = (self.rng.random(), self.rng.random());
            let z = (-2.0 * (1.0 - u).ln()).sqrt() * (std::f32::consts::TAU * v).cos();
            if z.abs() <= 2.0 {
                return z * std;
            }
        };
        let values = (0..shape.iter().product()).map(|_| draw()).collect();
        self.param(shape, values)
    }

    fn param<const D: usize>(&self, shape: [usize; D], values: Vec<f32>) -> Param<Tensor<D>> {
        Param::from_data(TensorData::new(values, shape), &self.device)
    }
}

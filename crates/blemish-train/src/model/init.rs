//! How parameters start: one seeded generator, so that the same seed gives the same weights on every device; or as zeros,
//! where they are read from a file next.

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Makes parameters from a seeded generator, or without one.
pub struct Init<'a> {
    rng: Option<&'a mut ChaCha8Rng>,
    device: Device,
}

impl<'a> Init<'a> {
    /// Draws from `rng`; parameters live on `device`.
    pub fn new(rng: &'a mut ChaCha8Rng, device: &Device) -> Self {
        Self { rng: Some(rng), device: device.clone() }
    }

    /// Draws nothing: what would be random is 0.
    pub fn zeros(device: &Device) -> Self {
        Self { rng: None, device: device.clone() }
    }

    /// Every value the same.
    pub fn constant<const D: usize>(&mut self, shape: [usize; D], value: f32) -> Param<Tensor<D>> {
        self.param(shape, vec![value; shape.iter().product()])
    }

    /// Uniform within `sqrt(6 / (inputs + outputs))` (Glorot and Bengio 2010, equation 16).
    pub(crate) fn xavier(&mut self, inputs: usize, outputs: usize) -> Param<Tensor<2>> {
        self.uniform([inputs, outputs], (6.0 / (inputs + outputs) as f32).sqrt())
    }

    /// Uniform within `sqrt(6 / inputs)`, for layers before a rectifier (He et al. 2015, equation 10).
    pub(crate) fn kaiming(&mut self, inputs: usize, outputs: usize) -> Param<Tensor<2>> {
        self.uniform([inputs, outputs], (6.0 / inputs as f32).sqrt())
    }

    fn uniform(&mut self, shape: [usize; 2], bound: f32) -> Param<Tensor<2>> {
        self.drawn(shape, |rng| rng.random_range(-bound..=bound))
    }

    /// Normal with the given standard deviation, cut at two of them.
    pub(crate) fn truncated_normal<const D: usize>(
        &mut self,
        shape: [usize; D],
        std: f32,
    ) -> Param<Tensor<D>> {
        self.drawn(shape, |rng| {
            loop {
                let (u, v): (f32, f32) = (rng.random(), rng.random());
                let z = (-2.0 * (1.0 - u).ln()).sqrt() * (std::f32::consts::TAU * v).cos();
                if z.abs() <= 2.0 {
                    return z * std;
                }
            }
        })
    }

    fn drawn<const D: usize>(
        &mut self,
        shape: [usize; D],
        draw: impl Fn(&mut ChaCha8Rng) -> f32,
    ) -> Param<Tensor<D>> {
        let count = shape.iter().product();
        let values = match &mut self.rng {
            Some(rng) => (0..count).map(|_| draw(rng)).collect(),
            None => vec![0.0; count],
        };
        self.param(shape, values)
    }

    fn param<const D: usize>(&self, shape: [usize; D], values: Vec<f32>) -> Param<Tensor<D>> {
        Param::from_data(TensorData::new(values, shape), &self.device)
    }
}

//! Linear maps before they are packed: read by name, and multiplied together where nothing lies between them.

use super::linear::TokenLinear;
use super::{Arithmetic, Linear, Precision};
use crate::engine::Weights;
use blemish_kernels::int8::Linear8;
use blemish_kernels::matmul::matmul;
use blemish_kernels::panels::Matrix;
use blemish_kernels::product::Init;

/// Reads parameters by name.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    weights: &'a Weights,
}

impl<'a> Reader<'a> {
    /// Reads from `weights`.
    pub fn new(weights: &'a Weights) -> Self {
        Self { weights }
    }

    /// The values of `name`, which must be of `shape`.
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<&'a [f32], String> {
        let array = self.weights.get(name).ok_or_else(|| format!("parameter {name} is missing"))?;
        if array.shape != shape {
            return Err(format!("parameter {name} has shape {:?}, not {shape:?}", array.shape));
        }
        Ok(&array.values)
    }

    /// The last axis of `name`.
    pub fn outputs(&self, name: &str) -> Result<usize, String> {
        let array = self.weights.get(name).ok_or_else(|| format!("parameter {name} is missing"))?;
        array.shape.last().copied().ok_or_else(|| format!("parameter {name} has no axes"))
    }

    /// The linear map `name`, `[inputs, outputs]`.
    pub fn dense(&self, name: &str, inputs: usize, outputs: usize) -> Result<Dense, String> {
        Ok(Dense {
            w: self.values(&format!("{name}.weight"), &[inputs, outputs])?.to_vec(),
            bias: self.values(&format!("{name}.bias"), &[outputs])?.to_vec(),
        })
    }

    /// The scale and shift of the norm `name`.
    pub fn scale(&self, name: &str, width: usize) -> Result<[&'a [f32]; 2], String> {
        Ok([
            self.values(&format!("{name}.gamma"), &[width])?,
            self.values(&format!("{name}.beta"), &[width])?,
        ])
    }
}

/// `x W + b`; `W` is `[inputs, outputs]`, row by row.
#[derive(Clone, Debug)]
pub struct Dense {
    /// `[inputs, outputs]`
    pub w: Vec<f32>,
    /// `[outputs]`
    pub bias: Vec<f32>,
}

impl Dense {
    /// The map of `gamma x + beta`, so that the scale and shift of a norm cost nothing.
    pub fn after(mut self, [gamma, beta]: [&[f32]; 2]) -> Self {
        for ((row, gamma), beta) in self.w.chunks_exact_mut(self.bias.len()).zip(gamma).zip(beta) {
            for (w, bias) in row.iter_mut().zip(&mut self.bias) {
                *bias += beta * *w;
                *w *= gamma;
            }
        }
        self
    }

    /// The map of first `self` and then `next`.
    pub fn then(&self, next: &Self) -> Self {
        let (middle, outputs) = (self.bias.len(), next.bias.len());
        let times = |x: &[f32], init: Init<'_>| {
            let rows = x.len() / middle;
            let mut out = vec![0.0; rows * outputs];
            let (x, w) = (Matrix::rows(x, middle), Matrix::rows(&next.w, outputs));
            matmul(&mut out, x, w, [rows, middle, outputs], init);
            out
        };
        Self { w: times(&self.w, Init::Zero), bias: times(&self.bias, Init::Bias(&next.bias)) }
    }

    /// Multiplies columns `range` by `factor`.
    pub fn scaled(mut self, range: std::ops::Range<usize>, factor: f32) -> Self {
        for row in self.w.chunks_exact_mut(self.bias.len()) {
            row[range.clone()].iter_mut().for_each(|w| *w *= factor);
        }
        self.bias[range].iter_mut().for_each(|b| *b *= factor);
        self
    }

    /// Packs it, for rows of tokens.
    pub fn pack(self, arithmetic: Arithmetic) -> TokenLinear {
        let inputs = self.w.len() / self.bias.len();
        if arithmetic == Arithmetic::Int8 && inputs.is_multiple_of(4) {
            return TokenLinear::Int8(Linear8::new(&self.w, self.bias));
        }
        TokenLinear::Float(self.pack_for(arithmetic.floats().where_even(&[inputs])))
    }

    /// Packs it, for rows that the precision allows.
    pub(crate) fn pack_for(self, precision: Precision) -> Linear {
        Linear::new(&self.w, self.bias, precision)
    }
}

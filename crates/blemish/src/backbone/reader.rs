//! Tensors by name and shape.

use super::MAX_CHANNELS;
use crate::engine::{Array, Weights};

/// Reads tensors by name.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    weights: &'a Weights,
}

/// `y = x w + bias`, `w` `[inputs, outputs]`, row by row.
#[derive(Clone, Debug)]
pub struct Linear {
    /// `[inputs, outputs]`
    pub w: Vec<f32>,
    /// `[outputs]`
    pub bias: Vec<f32>,
}

impl Linear {
    /// Adds both to what a model file holds.
    pub fn save(&self, name: &str, out: &mut Vec<(String, Array)>) {
        let (inputs, outputs) = (self.w.len() / self.bias.len(), self.bias.len());
        out.push((format!("{name}.w"), Array { shape: vec![inputs, outputs], values: self.w.clone() }));
        out.push((format!("{name}.bias"), Array { shape: vec![outputs], values: self.bias.clone() }));
    }
}

impl<'a> Reader<'a> {
    /// Reads from `weights`.
    pub fn new(weights: &'a Weights) -> Self {
        Self { weights }
    }

    /// Whether there is one of that name.
    pub fn has(&self, name: &str) -> bool {
        self.weights.contains_key(name)
    }

    /// The names that begin so.
    pub fn names(&self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        let from = self.weights.range(prefix.to_owned()..);
        from.map(|(name, _)| name.as_str()).take_while(move |name| name.starts_with(prefix))
    }

    /// The tensor called `name`; none of its axes is empty.
    pub fn array(&self, name: &str) -> Result<&'a Array, String> {
        let array = self.weights.get(name).ok_or_else(|| format!("tensor {name} is missing"))?;
        if array.values.is_empty() {
            return Err(format!("tensor {name} is empty"));
        }
        Ok(array)
    }

    /// The values of `name`, which must be of `shape`.
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<&'a [f32], String> {
        let array = self.array(name)?;
        if array.shape != shape {
            return Err(format!("tensor {name} has shape {:?}, not {shape:?}", array.shape));
        }
        Ok(&array.values)
    }

    /// The first axis of `name`, a layer's outputs.
    pub fn outputs(&self, name: &str) -> Result<usize, String> {
        let array = self.array(name)?;
        match array.shape.first() {
            Some(&outputs) if outputs <= MAX_CHANNELS => Ok(outputs),
            _ => Err(format!("tensor {name} has shape {:?}: more than {MAX_CHANNELS} channels", array.shape)),
        }
    }

    /// What [`Linear::save`] has added, of so many inputs.
    pub fn saved(&self, name: &str, inputs: usize) -> Result<Linear, String> {
        let bias = format!("{name}.bias");
        let outputs = self.outputs(&bias)?;
        let bias = self.values(&bias, &[outputs])?.to_vec();
        Ok(Linear { w: self.values(&format!("{name}.w"), &[inputs, outputs])?.to_vec(), bias })
    }

    /// Small whole numbers that a model file holds.
    pub fn numbers(&self, name: &str, count: usize) -> Result<Vec<usize>, String> {
        let values = self.values(name, &[count])?;
        let whole = |&v: &f32| (v.fract() == 0.0 && (1.0..=4096.0).contains(&v)).then_some(v as usize);
        let numbers = values.iter().map(whole).collect::<Option<Vec<_>>>();
        numbers.ok_or_else(|| format!("tensor {name} holds something else than numbers from 1 to 4096"))
    }
}

/// `[columns, rows]` of `[rows, columns]`.
pub fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len() / columns;
    (0..columns).flat_map(|c| (0..rows).map(move |r| values[r * columns + c])).collect()
}

/// Numbers as a tensor of a model file.
pub fn numbers(name: &str, values: &[usize]) -> (String, Array) {
    let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
    (name.to_owned(), Array { shape: vec![values.len()], values })
}

//! Parameters by name.

use std::collections::BTreeMap;

/// A named parameter's shape and values.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Lengths of the axes.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f32>,
}

/// Every parameter by its dotted name, such as `encoder.0.attn.qkv.weight`.
pub type Weights = BTreeMap<String, Array>;

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

/// Takes the parameters whose names begin with `prefix`, without it.
pub(crate) fn take_prefixed(weights: &mut Weights, prefix: &str) -> Weights {
    let names: Vec<String> = weights.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
    let taken = names.into_iter().filter_map(|name| weights.remove_entry(&name));
    taken.map(|(name, array)| (name[prefix.len()..].to_owned(), array)).collect()
}

//! What products are computed in.

use super::{bf16, int8};
use serde::{Deserialize, Serialize};

/// What the products of a pass are computed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// Factors rounded to bf16, sums in 32 bits: about twice as fast where the machine has AVX512-BF16, slower
    /// elsewhere. Products whose inputs are odd in number stay in 32 bits.
    Bf16,
}

impl Precision {
    /// What this machine multiplies fastest in.
    pub fn fastest() -> Self {
        if bf16::available() { Self::Bf16 } else { Self::F32 }
    }

    /// Rows of a packed right matrix whose inner dimension is `k`: a word holds two bf16 numbers.
    pub fn depth(self, k: usize) -> usize {
        match self {
            Self::F32 => k,
            Self::Bf16 => k.div_ceil(2),
        }
    }

    /// This precision, where what a product reads in one go is even in length.
    pub fn where_even(self, lengths: &[usize]) -> Self {
        if lengths.iter().all(|len| len.is_multiple_of(2)) { self } else { Self::F32 }
    }
}

/// What the engine multiplies in. Whatever the machine, the same factors are rounded in the same way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arithmetic {
    /// 32-bit floats.
    #[default]
    F32,
    /// Factors rounded to bf16: [`Precision::Bf16`].
    Bf16,
    /// Linear maps of tokens in 8-bit integers, each row and each column in units of its largest value; attention and
    /// convolutions as with `bf16`.
    Int8,
}

impl Arithmetic {
    /// What this machine multiplies fastest in.
    pub fn fastest() -> Self {
        match (bf16::available(), int8::available()) {
            (true, true) => Self::Int8,
            (true, false) => Self::Bf16,
            (false, _) => Self::F32,
        }
    }

    /// The floats in which all but the linear maps of tokens is multiplied.
    pub fn floats(self) -> Precision {
        match self {
            Self::F32 => Precision::F32,
            Self::Bf16 | Self::Int8 => Precision::Bf16,
        }
    }
}

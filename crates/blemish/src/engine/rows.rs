//! What is done to rows of tokens while they lie in a cache: norms, GELU.

use crate::config;
use blemish_kernels::activation::gelu;
use blemish_kernels::math::tanh;
use blemish_kernels::norm::moments;
use blemish_kernels::simd;

/// The variance floor of layer normalisation.
const EPS: f32 = 1e-5;

/// A norm without its scale and shift, which are part of the linear map that follows.
#[derive(Clone, Copy, Debug)]
pub enum Norm {
    /// `tanh(alpha x)`
    Dyt(f32),
    /// `(x - mean) / sqrt(var + eps)`
    LayerNorm,
}

impl Norm {
    /// Reads the norm `name`.
    pub fn read(reader: super::Reader<'_>, kind: config::Norm, name: &str) -> Result<Self, String> {
        Ok(match kind {
            config::Norm::Dyt => Self::Dyt(reader.values(&format!("{name}.alpha"), &[1])?[0]),
            config::Norm::LayerNorm => Self::LayerNorm,
        })
    }

    /// Normalises rows of `width` values.
    pub fn apply(self, x: &[f32], width: usize, out: &mut [f32]) {
        match self {
            Self::Dyt(alpha) => simd::run(
                #[inline(always)]
                || {
                    for (out, &x) in out.iter_mut().zip(x) {
                        *out = tanh(alpha * x);
                    }
                },
            ),
            Self::LayerNorm => simd::run(
                #[inline(always)]
                || {
                    for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
                        let (mean, factor) = moments(x, EPS);
                        for (out, &x) in out.iter_mut().zip(x) {
                            *out = (x - mean) * factor;
                        }
                    }
                },
            ),
        }
    }
}

/// GELU in place.
pub(crate) fn gelu_rows(x: &mut [f32]) {
    simd::run(
        #[inline(always)]
        || x.iter_mut().for_each(|x| *x = gelu(*x)),
    );
}

/// `out += x`.
pub fn add(out: &mut [f32], x: &[f32]) {
    simd::run(
        #[inline(always)]
        || out.iter_mut().zip(x).for_each(|(out, x)| *out += x),
    );
}

//! The fused AdamW update (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019, algorithm 2).

use super::simd::{CHUNK, run};
use rayon::prelude::*;

/// One step's settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    /// Learning rate.
    pub learning_rate: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// What the gradient is multiplied by first: 1, or less where it is clipped.
    pub gradient_scale: f32,
    /// The number of this step, from 1.
    pub step: i32,
}

impl AdamWStep {
    /// Updates a parameter and its two moments in place, as PyTorch's `AdamW` does.
    pub fn update(&self, parameter: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
        let len = parameter.len();
        assert_eq!((gradient.len(), first.len(), second.len()), (len, len, len));
        let Self { learning_rate, beta1, beta2, eps, weight_decay, gradient_scale, step } = *self;
        // The corrections in f64: 1 - 0.999^1 loses four digits in f32.
        let step_size = (f64::from(learning_rate) / (1.0 - f64::from(beta1).powi(step))) as f32;
        let root_scale = (1.0 / (1.0 - f64::from(beta2).powi(step)).sqrt()) as f32;
        let keep = 1.0 - learning_rate * weight_decay;
        let moments = first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK));
        let chunks = parameter.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK)).zip(moments);
        chunks.for_each(|((parameter, gradient), (first, second))| {
            run(
                #[inline(always)]
                || {
                    let moments = first.iter_mut().zip(second);
                    for ((p, &g), (m, v)) in parameter.iter_mut().zip(gradient).zip(moments) {
                        let g = g * gradient_scale;
                        *m = beta1.mul_add(*m, (1.0 - beta1) * g);
                        *v = beta2.mul_add(*v, (1.0 - beta2) * g * g);
                        *p = (*p).mul_add(keep, -step_size * *m / v.sqrt().mul_add(root_scale, eps));
                    }
                },
            );
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, random, wide};
    use super::*;

    #[test]
    fn follows_the_algorithm() {
        let mut p = random(77, 1);
        let (mut m, mut v) = (vec![0.0; 77], vec![0.0; 77]);
        let (mut p64, mut m64, mut v64) = (wide(&p), vec![0.0; 77], vec![0.0; 77]);
        for step in 1..=5 {
            let g = random(77, 10 + step as u64);
            let settings = AdamWStep {
                learning_rate: 1e-2,
                beta1: 0.9,
                beta2: 0.95,
                eps: 1e-8,
                weight_decay: 0.05,
                gradient_scale: 0.5,
                step,
            };
            settings.update(&mut p, &g, &mut m, &mut v);
            for i in 0..77 {
                let g = 0.5 * f64::from(g[i]);
                p64[i] *= 1.0 - 1e-2 * 0.05;
                m64[i] = 0.9 * m64[i] + 0.1 * g;
                v64[i] = 0.95 * v64[i] + 0.05 * g * g;
                let (m, v): (f64, f64) =
                    (m64[i] / (1.0 - 0.9f64.powi(step)), v64[i] / (1.0 - 0.95f64.powi(step)));
                p64[i] -= 1e-2 * m / (v.sqrt() + 1e-8);
            }
        }
        assert_close(&p, &p64, 2e-6);
    }
}

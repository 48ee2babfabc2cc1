//! AdamW (Loshchilov and Hutter 2019, algorithm 2) on named parameters, with global-norm clipping.

use blemish::engine::{Array, Weights};
use blemish::kernels::optim::AdamWStep;
use blemish::kernels::reduce::sum_squares;

use crate::model::Mae;

/// The optimiser's state, kept in checkpoints; beta1 0.9, beta2 0.999, epsilon 1e-8.
#[derive(Clone, Debug, Default)]
pub struct AdamW {
    /// Steps taken.
    pub step: usize,
    /// First moments.
    pub first: Weights,
    /// Second moments.
    pub second: Weights,
}

/// Settings of one step.
#[derive(Clone, Copy, Debug)]
pub struct StepSettings {
    /// Learning rate.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Largest global gradient norm; 0: any.
    pub clip_norm: f64,
}

impl AdamW {
    /// One step; returns the changed model and the gradients' norm before clipping. Where that is not finite nothing changes.
    pub fn step(&mut self, model: Mae, gradients: Weights, settings: StepSettings) -> (Mae, f64) {
        self.change(model, &gradients, settings, |model, update| model.update(update))
    }

    /// The same of parameters by name.
    pub fn step_of(
        &mut self,
        weights: Weights,
        gradients: Weights,
        settings: StepSettings,
    ) -> (Weights, f64) {
        self.change(weights, &gradients, settings, |mut weights, update| {
            weights.iter_mut().for_each(|(name, array)| update(name, &mut array.values));
            weights
        })
    }

    /// `with` has every parameter's values changed in place.
    fn change<P>(
        &mut self,
        parameters: P,
        gradients: &Weights,
        settings: StepSettings,
        with: impl FnOnce(P, &mut dyn FnMut(&str, &mut [f32])) -> P,
    ) -> (P, f64) {
        let norm = gradients.values().map(|g| sum_squares(&g.values)).sum::<f64>().sqrt();
        if !norm.is_finite() {
            return (parameters, norm);
        }
        self.step += 1;
        let scale = if settings.clip_norm > 0.0 && norm > settings.clip_norm {
            settings.clip_norm / norm
        } else {
            1.0
        };
        let parameters = with(parameters, &mut |name, values| {
            let Some(gradient) = gradients.get(name) else { return };
            let zeros = || Array { shape: gradient.shape.clone(), values: vec![0.0; gradient.values.len()] };
            let first = self.first.entry(name.to_owned()).or_insert_with(zeros);
            let second = self.second.entry(name.to_owned()).or_insert_with(zeros);
            let decay = if decays(name) { settings.weight_decay } else { 0.0 };
            let update = AdamWStep {
                learning_rate: settings.learning_rate as f32,
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-8,
                weight_decay: decay as f32,
                gradient_scale: scale as f32,
                step: self.step as i32,
            };
            update.update(values, &gradient.values, &mut first.values, &mut second.values);
        });
        (parameters, norm)
    }
}

/// Norms, biases and embeddings are left out of weight decay.
fn decays(name: &str) -> bool {
    name.ends_with(".weight")
}

//! The network at work: the engine on a CPU, the model itself on any other device.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use burn::tensor::{Tensor, TensorData};

use crate::config::Precision;
use crate::engine::Engine;
use crate::model::{Mae, Mask, Reconstruction, Weights};

/// A model, and the engine that stands in for its forward pass on a CPU; made when it is first needed.
#[derive(Clone, Debug)]
pub struct Scorer {
    model: Mae,
    precision: Precision,
    engine: Arc<OnceLock<Option<Engine>>>,
}

impl Scorer {
    /// Scores with `unset` once it has `weights`.
    ///
    /// # Errors
    /// A sentence that names the parameter that does not fit.
    pub fn load(unset: Mae, weights: Weights, precision: Precision) -> Result<Self, String> {
        // Packed before the model takes the weights: a copy less.
        let engine = unset.is_on_cpu().then(|| engine(&unset, &weights, precision)).transpose()?;
        Ok(Self { model: unset.with_weights(weights)?, precision, engine: Arc::new(engine.into()) })
    }

    /// Scores with `model`, which needs no gradients; `precision` is that of the engine.
    pub fn new(model: Mae, precision: Precision) -> Self {
        Self { model, precision, engine: Arc::default() }
    }

    /// The engine, where the model lives on a CPU.
    pub fn engine(&self) -> Option<&Engine> {
        let engine = || engine(&self.model, &self.model.weights(), self.precision).ok();
        self.engine.get_or_init(|| self.model.is_on_cpu().then(engine).flatten()).as_ref()
    }

    /// [`Mae::forward`].
    pub fn forward(&self, images: Tensor<4>, mask: Option<&Mask>) -> Reconstruction {
        let Some(engine) = self.engine() else { return self.model.forward(images, mask) };
        let [b, h, w, c] = images.dims();
        let device = images.device();
        let values: Vec<f32> = images.into_data().try_into_vec().unwrap_or_default();
        let output = engine.forward(&values, mask, &[]);
        let map = |values: Vec<f32>, channels| {
            Tensor::from_data(TensorData::new(values, [b, h, w, channels]), &device)
        };
        let logit = self.config().defect_logit.then(|| map(output.extra, 1));
        Reconstruction { image: map(output.image, c), logit }
    }
}

fn engine(model: &Mae, weights: &Weights, precision: Precision) -> Result<Engine, String> {
    Engine::new(model.config(), model.image_size(), model.channels(), weights, precision)
}

impl Deref for Scorer {
    type Target = Mae;

    fn deref(&self) -> &Mae {
        &self.model
    }
}

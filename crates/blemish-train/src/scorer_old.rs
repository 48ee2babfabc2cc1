//! The network at work: the engine on a CPU, the model itself on any other device.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use burn::tensor::{Tensor, TensorData};

use blemish::config::Arithmetic;
use blemish::engine::{Engine, Output};
use blemish::engine::{Complementary, Mask, Weights};
use crate::model::{Mae, Reconstruction};

/// A model, and the engine that stands in for its forward pass on a CPU; made when it is first needed.
#[derive(Clone, Debug)]
pub struct Scorer {
    model: Mae,
    arithmetic: Arithmetic,
    engine: Arc<OnceLock<Option<Engine>>>,
}

impl Scorer {
    /// Scores with `unset` once it has `weights`.
    ///
    /// # Errors
    /// A sentence that names the parameter that does not fit.
    pub fn load(unset: Mae, weights: Weights, arithmetic: Arithmetic) -> Result<Self, String> {
        // Packed before the model takes the weights: a copy less.
        let engine = unset.is_on_cpu().then(|| engine(&unset, &weights, arithmetic)).transpose()?;
        Ok(Self { model: unset.with_weights(weights)?, arithmetic, engine: Arc::new(engine.into()) })
    }

    /// Scores with `model`, which needs no gradients; `arithmetic` is that of the engine.
    pub fn new(model: Mae, arithmetic: Arithmetic) -> Self {
        Self { model, arithmetic, engine: Arc::default() }
    }

    /// The engine, where the model lives on a CPU.
    pub fn engine(&self) -> Option<&Engine> {
        let engine = || engine(&self.model, &self.model.weights(), self.arithmetic).ok();
        self.engine.get_or_init(|| self.model.is_on_cpu().then(engine).flatten()).as_ref()
    }

    /// [`Mae::forward`].
    pub fn forward(&self, images: Tensor<4>, mask: Option<&Mask>) -> Reconstruction {
        match self.engine() {
            Some(engine) => self.on_engine(images, |values| engine.forward(values, mask, &[])),
            None => self.model.forward(images, mask),
        }
    }

    /// One image, `[1, H, W, C]`, every patch of it as [`Mae::forward`] gives it with the mask that judges it.
    pub fn forward_judged(&self, image: Tensor<4>, parts: &Complementary) -> Reconstruction {
        match self.engine() {
            Some(engine) => self.on_engine(image, |values| engine.forward_judged(values, parts)),
            None => self.on_model(image, parts),
        }
    }

    fn on_engine(&self, images: Tensor<4>, run: impl FnOnce(&[f32]) -> Output) -> Reconstruction {
        let [b, h, w, c] = images.dims();
        let device = images.device();
        let values: Vec<f32> = images.into_data().try_into_vec().unwrap_or_default();
        let output = run(&values);
        let map = |values: Vec<f32>, channels| {
            Tensor::from_data(TensorData::new(values, [b, h, w, channels]), &device)
        };
        let logit = self.config().defect_logit.then(|| map(output.extra, 1));
        Reconstruction { image: map(output.image, c), logit }
    }

    /// [`forward_judged`](Self::forward_judged) from whole passes.
    fn on_model(&self, image: Tensor<4>, parts: &Complementary) -> Reconstruction {
        let ([_, h, w, _], passes) = (image.dims(), parts.masks().batch());
        let judged = TensorData::new(parts.pixels(self.config().patch_size), [passes, h, w, 1]);
        let judged = Tensor::<4>::from_data(judged, &image.device());
        let output = self.model.forward(image.repeat_dim(0, passes), Some(parts.masks()));
        let joined = |output: Tensor<4>| (output * judged.clone()).sum_dim(0);
        Reconstruction { image: joined(output.image), logit: output.logit.map(joined) }
    }
}

fn engine(model: &Mae, weights: &Weights, arithmetic: Arithmetic) -> Result<Engine, String> {
    Engine::new(model.config(), model.image_size(), model.channels(), weights, arithmetic)
}

impl Deref for Scorer {
    type Target = Mae;

    fn deref(&self) -> &Mae {
        &self.model
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use blemish::config::{Preset, RunConfig};

    #[test]
    fn the_engine_and_whole_passes_judge_alike() {
        for preset in [Preset::Light, Preset::Diyt] {
            let mut config = RunConfig::preset(preset).model;
            (config.depth, config.embed_dim) = (3, 96);
            let rng = &mut ChaCha8Rng::seed_from_u64(5);
            let model = Mae::new(&config, [112, 80], 3, rng, &Device::flex());
            let model =
                model.update(|_, values| values.iter_mut().for_each(|v| *v += rng.random_range(-0.1..0.1)));
            let scorer = Scorer::new(model, Arithmetic::F32);
            let values: Vec<f32> = (0..112 * 80 * 3).map(|_| rng.random()).collect();
            let image = Tensor::from_data(TensorData::new(values, [1, 112, 80, 3]), &Device::flex());
            let parts = Complementary::bands([7, 5], 4);
            let [fast, slow] = [scorer.forward_judged(image.clone(), &parts), scorer.on_model(image, &parts)];
            let far = |a: Tensor<4>, b: Tensor<4>| (a - b).abs().max().into_scalar::<f32>();
            assert!(far(fast.image, slow.image) < 1e-4);
            if let (Some(fast), Some(slow)) = (fast.logit, slow.logit) {
                assert!(far(fast, slow) < 1e-4);
            }
        }
    }
}

//! The network itself, learnt on three photos of every scene.

use std::path::PathBuf;

use super::batch::{Draw, Triples, generator};
use super::checkpoint::Progress;
use super::config::{CHANNELS, PretrainConfig};
use super::event::PretrainEvent;
use super::filters::begin_with_filters;
use super::objective::{Loss, objective};
use super::run::{Learner, Looked, PretrainOptions, Rates, run};
use super::tensors::value;
use crate::model::Mae;
use crate::train::{AdamW, StepSettings};
use blemish::Result;
use blemish::config::Precision;
use blemish::engine::Weights;
use blemish::pretrained::{Pretrained, PretrainedOrigin};

/// Pre-trains the network, and returns the weights' file.
///
/// # Errors
/// Settings or a checkpoint that cannot be used, files that cannot be written, [`Error::Interrupted`](blemish::Error::Interrupted)
/// when asked to stop.
pub fn pretrain(
    config: &PretrainConfig,
    options: &PretrainOptions,
    listener: &mut dyn FnMut(&PretrainEvent),
) -> Result<PathBuf> {
    config.validate()?;
    run(config, options, listener, |before| Network::begin(config, options, before))
}

struct Network {
    config: PretrainConfig,
    model: Mae,
    precision: Precision,
}

impl Network {
    fn begin(
        config: &PretrainConfig,
        options: &PretrainOptions,
        before: Option<Weights>,
    ) -> Result<Self, String> {
        let device = options.device.clone().autodiff();
        let (model, weights) = match before {
            Some(weights) => (Mae::unset(&config.model, config.image_size, CHANNELS, &device), weights),
            None => {
                let rng = &mut generator(config.seed, Draw::Weights, 0, 0);
                let model = Mae::new(&config.model, config.image_size, CHANNELS, rng, &device);
                let mut weights = model.weights();
                begin_with_filters(&mut weights);
                if let Some(init) = &options.init {
                    weights.extend(init.iter().map(|(name, array)| (name.clone(), array.clone())));
                }
                (model, weights)
            }
        };
        let model = model.with_weights(weights)?;
        Ok(Self { config: config.clone(), model, precision: options.precision })
    }
}

impl Learner for Network {
    type Config = PretrainConfig;
    type Drawn = Triples;

    fn rates(&self) -> Rates {
        let PretrainConfig { learning_rate, warmup, weight_decay, clip_norm, ema_decay, .. } = self.config;
        Rates { learning_rate, warmup, weight_decay, clip_norm, ema_decay }
    }

    fn drawing(&self) -> impl Fn(usize) -> Result<Triples> + Send + 'static {
        let config = self.config.clone();
        move |step| Ok(Triples::draw(&config, step))
    }

    fn scenes(drawn: &Triples) -> usize {
        drawn.scenes
    }

    fn weights(&self) -> Weights {
        self.model.weights()
    }

    fn look(&self, drawn: &Triples) -> Looked {
        let model = self.model.at_size(drawn.size);
        let Loss { total, parts } = objective(&self.config, &model, drawn, self.precision);
        Looked {
            loss: value(&total),
            parts: parts.into_iter().map(|(name, part)| (name, value(&part))).collect(),
            gradients: model.gradients(total.backward()),
        }
    }

    fn follow(&mut self, optimizer: &mut AdamW, gradients: Weights, settings: StepSettings) {
        (self.model, _) = optimizer.step(self.model.clone(), gradients, settings);
    }

    fn learnt(
        &self,
        average: Weights,
        progress: &Progress<PretrainConfig>,
        options: &PretrainOptions,
    ) -> Pretrained {
        let &Progress { step, steps, scenes, taken, .. } = progress;
        let origin = PretrainedOrigin {
            command: options.command.clone(),
            commit: options.commit.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seed: self.config.seed,
            steps: step,
            of_steps: steps,
            changed: progress.changed.clone(),
            skipped: step - taken,
            images: scenes,
            families: super::scenes::FAMILIES.to_owned(),
            objective: serde_json::to_value(&self.config.objective).unwrap_or_default(),
        };
        Pretrained {
            model: self.config.model.clone(),
            image_size: self.config.image_size,
            channels: CHANNELS,
            weights: average,
            projections: Vec::new(),
            decoder: Weights::new(),
            origin,
        }
    }
}

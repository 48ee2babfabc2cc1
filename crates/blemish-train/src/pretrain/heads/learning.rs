//! What is the same for everything that is learnt on what a pre-trained network shows of generated scenes.

use std::marker::PhantomData;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};

use super::super::checkpoint::Progress;
use super::super::run::{Learner, Looked, PretrainOptions, Rates};
use super::super::tensors::{read, value};
use super::HeadConfig;
use crate::train::{AdamW, StepSettings};
use blemish::Result;
use blemish::engine::{Array, Weights};
use blemish::parts::features::described::Describer;
use blemish::pretrained::Pretrained;

/// What learning starts from.
#[derive(Clone)]
pub struct Start {
    /// The settings.
    pub config: HeadConfig,
    /// The network, which stays as it is.
    pub network: Arc<Pretrained>,
    /// What it shows of images.
    pub describer: Arc<Describer>,
}

/// Something that is learnt.
pub trait Task {
    /// What a scene tells.
    type Scene: Send + 'static;

    /// The first weights, by name.
    ///
    /// # Errors
    /// A sentence: values that are not finite, a network that lacks something.
    fn first(start: &Start) -> Result<Weights, String>;

    /// # Errors
    /// A sentence: weights that do not fit the network.
    fn check(start: &Start, weights: &Weights) -> Result<(), String>;

    /// Draws the scenes of a step.
    ///
    /// # Errors
    /// Values that are not finite.
    fn draw(start: &Start, step: usize) -> Result<Vec<Self::Scene>>;

    /// The loss of some scenes, `[1]`, and its parts by name; at least one scene.
    fn loss(scenes: &[Self::Scene], parameters: &Parameters<'_>) -> (Tensor<1>, Vec<(&'static str, f64)>);

    /// Puts what was learnt beside the network.
    fn put(learnt: Weights, pretrained: &mut Pretrained);
}

/// Weights as tensors that have a gradient.
pub struct Parameters<'a> {
    /// The weights.
    pub weights: &'a Weights,
    /// Where they are computed with.
    pub device: &'a Device,
    /// Their values, in the order of their names.
    leaves: Vec<Tensor<1>>,
}

impl<'a> Parameters<'a> {
    /// Of weights.
    pub fn new(weights: &'a Weights, device: &'a Device) -> Self {
        let leaf = |array: &Array| {
            let data = TensorData::new(array.values.clone(), [array.values.len()]);
            Tensor::<1>::from_data(data, device).require_grad()
        };
        Self { weights, device, leaves: weights.values().map(leaf).collect() }
    }

    /// A vector, by name.
    pub fn vector(&self, name: &str) -> Tensor<1> {
        let at = self.weights.keys().position(|own| own == name);
        self.leaves[at.unwrap_or_else(|| unreachable!("{name} is one of them"))].clone()
    }

    /// A matrix, by name.
    pub fn matrix(&self, name: &str) -> Tensor<2> {
        let shape = &self.weights[name].shape;
        self.vector(name).reshape([shape[0], shape[1]])
    }

    /// The gradients of a loss, by name.
    fn gradients(&self, loss: &Tensor<1>) -> Weights {
        let gradients = loss.backward();
        let of = |((name, array), leaf): ((&String, &Array), &Tensor<1>)| {
            let values = leaf.grad(&gradients).map(|gradient| read(&gradient))?;
            Some((name.clone(), Array { shape: array.shape.clone(), values }))
        };
        self.weights.iter().zip(&self.leaves).filter_map(of).collect()
    }
}

/// A task that is being learnt.
pub struct Learning<T> {
    start: Start,
    device: Device,
    weights: Weights,
    task: PhantomData<T>,
}

impl<T: Task> Learning<T> {
    /// With what was learnt before, or else its first weights.
    ///
    /// # Errors
    /// A sentence: see [`Task`].
    pub fn begin(start: Start, options: &PretrainOptions, before: Option<Weights>) -> Result<Self, String> {
        let weights = match before {
            Some(weights) => weights,
            None => T::first(&start)?,
        };
        T::check(&start, &weights)?;
        Ok(Self { start, device: options.device.clone().autodiff(), weights, task: PhantomData })
    }
}

impl<T: Task + 'static> Learner for Learning<T> {
    type Config = HeadConfig;
    type Drawn = Vec<T::Scene>;

    fn rates(&self) -> Rates {
        self.start.config.rates()
    }

    fn drawing(&self) -> impl Fn(usize) -> Result<Self::Drawn> + Send + 'static {
        let start = self.start.clone();
        move |step| T::draw(&start, step)
    }

    fn scenes(drawn: &Self::Drawn) -> usize {
        drawn.len()
    }

    fn weights(&self) -> Weights {
        self.weights.clone()
    }

    fn look(&self, drawn: &Self::Drawn) -> Looked {
        if drawn.is_empty() {
            return Looked::default();
        }
        let parameters = Parameters::new(&self.weights, &self.device);
        let (total, parts) = T::loss(drawn, &parameters);
        Looked { loss: value(&total), parts, gradients: parameters.gradients(&total) }
    }

    fn follow(&mut self, optimizer: &mut AdamW, gradients: Weights, settings: StepSettings) {
        (self.weights, _) = optimizer.step_of(std::mem::take(&mut self.weights), gradients, settings);
    }

    /// Where the network came from is noted with the command of this run; the file of a run that is resumed has it.
    fn learnt(&self, average: Weights, _: &Progress<HeadConfig>, options: &PretrainOptions) -> Pretrained {
        let mut pretrained = Pretrained::clone(&self.start.network);
        if !options.resume {
            let command = &mut pretrained.origin.command;
            let separator = if command.is_empty() { "" } else { "; " };
            *command += &format!("{separator}{}", options.command);
        }
        T::put(average, &mut pretrained);
        pretrained
    }
}

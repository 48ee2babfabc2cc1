//! Batches: drawn from seeds alone, augmented, normalised.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use blemish::fit::Views;
use blemish::history::Stage;
use blemish::image::PixelMask;
use blemish::view::foreground;
use blemish::{Error, Image, Result};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::augment::{DefectGenerator, GeometricConfig, PhotometricConfig};
use crate::config::{RunConfig, StageConfig, Task};

/// What one step is computed from; all channels-last, flattened.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Images.
    pub size: usize,
    /// What the model sees, `[B, H, W, C]`.
    pub input: Vec<f32>,
    /// What it should give, `[B, H, W, C]`.
    pub target: Vec<f32>,
    /// Where a synthetic defect is, `[B, H, W, 1]`; empty unless the task is repair.
    pub defect: Vec<f32>,
}

impl Batch {
    fn of(examples: Vec<Example>) -> Self {
        let mut batch =
            Self { size: examples.len(), input: Vec::new(), target: Vec::new(), defect: Vec::new() };
        for example in examples {
            batch.input.extend(example.input.pixels);
            batch.target.extend(example.target.pixels);
            batch.defect.extend(example.defect.into_iter().flat_map(|mask| mask.pixels).map(f32::from));
        }
        batch
    }
}

/// One training example.
struct Example {
    /// What the model sees.
    input: Image,
    /// What it should give.
    target: Image,
    /// Where a synthetic defect is.
    defect: Option<PixelMask>,
}

/// The generator of one place in a run: the same place always draws the same numbers, whatever ran before.
pub fn generator(seed: u64, stage: Stage, epoch: usize, item: usize) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    for (slot, value) in key.chunks_exact_mut(8).zip([seed, stage as u64 + 1, epoch as u64, item as u64]) {
        slot.copy_from_slice(&value.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// The settings of a stage.
pub(crate) fn stage_config(config: &RunConfig, stage: Stage) -> &StageConfig {
    match stage {
        Stage::Pretrain => &config.train.pretrain,
        Stage::Finetune => &config.train.finetune,
    }
}

/// What a stage's loss compares.
pub fn task(config: &RunConfig, stage: Stage) -> Task {
    match stage {
        Stage::Pretrain => Task::Masked,
        Stage::Finetune => config.task_of_finetuning(),
    }
}

/// Makes batches of the views that the network is trained on.
pub struct Batches<'a> {
    config: &'a RunConfig,
    views: &'a Views,
    train: Range<usize>,
    stop: &'a AtomicBool,
    geometric: GeometricConfig,
    photometric: PhotometricConfig,
    defects: DefectGenerator,
}

impl<'a> Batches<'a> {
    /// Of the views in `train`; ends with [`Error::Interrupted`] once `stop` is set.
    pub fn new(config: &'a RunConfig, views: &'a Views, train: Range<usize>, stop: &'a AtomicBool) -> Self {
        let pose = config.train.pose;
        Self {
            config,
            views,
            train,
            stop,
            geometric: pose.geometric(),
            photometric: pose.photometric(),
            defects: DefectGenerator::new(&config.train.defects, pose.fills()),
        }
    }

    /// How many views there are.
    pub fn available(&self) -> usize {
        self.train.len()
    }

    /// How many images an epoch has: `train.epoch_images`, or every image once.
    pub fn epoch_images(&self) -> usize {
        match self.config.train.epoch_images {
            0 => self.available(),
            images => images,
        }
    }

    /// Steps of an epoch.
    pub fn steps(&self) -> usize {
        self.epoch_images().div_ceil(self.config.train.batch_size)
    }

    /// The order of an epoch: every image equally often, shuffled.
    pub fn order(&self, stage: Stage, epoch: usize) -> Vec<usize> {
        let (available, wanted) = (self.available(), self.epoch_images());
        let mut rng = generator(self.config.detector.seed, stage, epoch, usize::MAX);
        let mut order = Vec::with_capacity(wanted + available);
        while order.len() < wanted {
            let mut round: Vec<usize> = (0..available).collect();
            round.shuffle(&mut rng);
            order.extend(round);
        }
        order.truncate(wanted);
        order
    }

    /// The batch of the images that are `chosen`, the first of which is item `first` of its epoch.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Interrupted`].
    pub fn batch(&self, stage: Stage, epoch: usize, first: usize, chosen: &[usize]) -> Result<Batch> {
        let drawn = chosen.par_iter().enumerate().map(|(k, &index)| {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let mut rng = generator(self.config.detector.seed, stage, epoch, first + k);
            self.example(task(self.config, stage), index, &mut rng)
        });
        Ok(Batch::of(drawn.collect::<Result<_>>()?))
    }

    fn example(&self, task: Task, index: usize, rng: &mut ChaCha8Rng) -> Result<Example> {
        let normalize = self.config.detector.data.normalize;
        let mut clean = self.geometric.apply(&self.views.get(self.train.start + index)?, rng);
        self.photometric.apply(&mut clean, rng);
        if task != Task::Repair {
            let target = normalize.apply(&clean);
            return Ok(Example { input: target.clone(), target, defect: None });
        }
        let other = self.views.get(self.train.start + rng.random_range(0..self.train.len()))?;
        let centres = foreground(&clean);
        let defective = self.defects.corrupt(&clean, &other, Some(&centres), rng);
        // The clean image is normalised as its defective twin is: that is what the model will see.
        let affine = normalize.affine(&defective.image);
        let (mut input, mut target) = (defective.image, clean);
        affine.apply(&mut input);
        affine.apply(&mut target);
        Ok(Example { input, target, defect: Some(defective.mask) })
    }
}

//! Batches: drawn from seeds alone, augmented, and prepared on another thread while the model works.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::augment::corrupt;
use blemish::view::foreground;
use blemish::config::{RunConfig, StageConfig, Task};
use blemish::image::{ByteImage, Image, PixelMask};
use blemish::history::Stage;

/// What one step learns from; all channels-last, flattened.
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

/// One training example.
pub struct Example {
    /// What the model sees.
    pub input: Image,
    /// What it should give.
    pub target: Image,
    /// Where a synthetic defect is.
    pub defect: Option<PixelMask>,
}

impl Example {
    /// A part of it, of `size` pixels (height, width), anywhere; itself where it is no larger.
    fn part(self, size: [usize; 2], rng: &mut ChaCha8Rng) -> Self {
        let view = [self.target.height, self.target.width];
        if view == size {
            return self;
        }
        let corner = [0, 1].map(|side| rng.random_range(0..=view[side] - size[side]));
        Self {
            input: self.input.part(corner, size),
            target: self.target.part(corner, size),
            defect: self.defect.map(|mask| mask.part(corner, size)),
        }
    }
}

/// The generator of one place in a run: the same place always draws the same numbers, whatever ran before.
pub fn generator(seed: u64, stage: Stage, epoch: usize, item: usize) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    for (slot, value) in key.chunks_exact_mut(8).zip([seed, stage as u64 + 1, epoch as u64, item as u64]) {
        slot.copy_from_slice(&value.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// How many images an epoch has: `train.epoch_images`, or every image once.
pub fn epoch_images(config: &RunConfig, available: usize) -> usize {
    if config.train.epoch_images == 0 { available } else { config.train.epoch_images }
}

/// The order of an epoch: every image equally often, shuffled.
fn order(config: &RunConfig, stage: Stage, epoch: usize, available: usize) -> Vec<usize> {
    let wanted = epoch_images(config, available);
    let mut rng = generator(config.seed, stage, epoch, usize::MAX);
    let mut order = Vec::with_capacity(wanted + available);
    while order.len() < wanted {
        let mut round: Vec<usize> = (0..available).collect();
        round.shuffle(&mut rng);
        order.extend(round);
    }
    order.truncate(wanted);
    order
}

/// Starts preparing an epoch's batches; they arrive in order.
pub fn prepare(
    config: &RunConfig,
    stage: Stage,
    epoch: usize,
    images: &Arc<Vec<ByteImage>>,
) -> Receiver<Batch> {
    // Two batches ahead: enough to never wait, little to keep.
    let (sender, receiver) = sync_channel(2);
    let (config, images) = (config.clone(), Arc::clone(images));
    std::thread::spawn(move || {
        let order = order(&config, stage, epoch, images.len());
        for (i, chunk) in order.chunks(config.train.batch_size).enumerate() {
            let first = i * config.train.batch_size;
            // The receiver is gone when training stopped: nothing is left to do.
            if sender.send(batch(&config, stage, (epoch, first), &images, chunk)).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Examples of the `chosen` ones among `images`, the first of which is item `first` of its epoch.
pub fn batch(
    config: &RunConfig,
    stage: Stage,
    (epoch, first): (usize, usize),
    images: &[ByteImage],
    chosen: &[usize],
) -> Batch {
    let drawn = chosen.par_iter().enumerate().map(|(k, &index)| {
        let mut rng = generator(config.seed, stage, epoch, first + k);
        let whole = example(config, stage_config(config, stage), epoch, images, index, &mut rng);
        // The view, or a tile of it.
        whole.part(config.input_size(), &mut rng)
    });
    collate(drawn.collect())
}

/// The settings of a stage.
pub fn stage_config(config: &RunConfig, stage: Stage) -> &StageConfig {
    match stage {
        Stage::Pretrain => &config.train.pretrain,
        Stage::Finetune => &config.train.finetune,
    }
}

fn collate(examples: Vec<Example>) -> Batch {
    let mut batch = Batch { size: examples.len(), input: Vec::new(), target: Vec::new(), defect: Vec::new() };
    for example in examples {
        batch.input.extend(example.input.pixels);
        batch.target.extend(example.target.pixels);
        batch.defect.extend(example.defect.into_iter().flat_map(|mask| mask.pixels).map(f32::from));
    }
    batch
}

fn example(
    config: &RunConfig,
    stage: &StageConfig,
    epoch: usize,
    images: &[ByteImage],
    index: usize,
    rng: &mut ChaCha8Rng,
) -> Example {
    let train = &config.train;
    let mut clean = train.geometric.apply(&images[index].to_image(), rng);
    train.photometric.apply(&mut clean, rng);
    if stage.task != Task::Repair {
        let target = config.data.normalize.apply(&clean);
        let input = noisy(&target, train.noise as f32, rng).unwrap_or_else(|| target.clone());
        return Example { input, target, defect: None };
    }
    let other = images[rng.random_range(0..images.len())].to_image();
    let reached = epoch as f32 / (stage.epochs().max(2) - 1) as f32;
    let difficulty = if train.defects.curriculum { reached } else { 1.0 };
    let centres = foreground(&clean);
    let defective = corrupt(&clean, &other, Some(&centres), &train.defects, difficulty, rng);
    // The clean picture is normalised as its defective twin is: that is what the model will see.
    let affine = config.data.normalize.affine(&defective.image);
    let (mut input, mut target) = (defective.image, clean);
    affine.apply(&mut input);
    affine.apply(&mut target);
    if train.noise > 0.0 {
        // Noise that stays in the target anchors normal images to the identity (Bauer and Mueller 2025).
        for (i, t) in input.pixels.iter_mut().zip(&mut target.pixels) {
            let n = normal(rng) * train.noise as f32;
            *i += n;
            *t += n;
        }
    }
    Example { input, target, defect: Some(defective.mask) }
}

fn noisy(image: &Image, sigma: f32, rng: &mut ChaCha8Rng) -> Option<Image> {
    (sigma > 0.0).then(|| {
        let mut image = image.clone();
        image.pixels.iter_mut().for_each(|v| *v += normal(rng) * sigma);
        image
    })
}

/// A standard normal draw (Box and Muller 1958).
fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let (u, v): (f32, f32) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f32::consts::TAU * v).cos()
}

//! The batches of a pre-training: functions of seed and step alone, prepared on another thread while the model works.

use std::sync::mpsc::{Receiver, sync_channel};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::config::PretrainConfig;
use super::triple::{Triple, triple};
use blemish::Result;

/// What a draw is for; the number is part of its generator's key.
#[derive(Clone, Copy, Debug)]
pub enum Draw {
    /// The first weights.
    Weights = 1,
    /// The image side of a step.
    Side = 2,
    /// Three photos of a scene.
    Triple = 3,
    /// The masks of a step.
    Mask = 4,
    /// The places that the contrast of a step takes.
    Places = 5,
    /// A scene that projections are learnt from.
    Projections = 6,
    /// A scene that the decoder is learnt from.
    Decoder = 7,
    /// A scene whose principal components projections begin with.
    Components = 8,
}

/// The generator of one draw: the same place always draws the same numbers, whatever ran before.
pub fn generator(seed: u64, what: Draw, step: usize, item: usize) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    // Far from what training draws by the same seed.
    let what = 0x7072_6500 + what as u64;
    for (slot, value) in key.chunks_exact_mut(8).zip([seed, what, step as u64, item as u64]) {
        slot.copy_from_slice(&value.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// The images of a step: three photos of each of its scenes, normalised as scoring does.
#[derive(Clone, Debug, PartialEq)]
pub struct Triples {
    /// The step.
    pub step: usize,
    /// Height and width.
    pub size: [usize; 2],
    /// Scenes.
    pub scenes: usize,
    /// The first photos, perhaps with defects, `[S, H, W, 3]`.
    pub first: Vec<f32>,
    /// The same without their defects, `[S, H, W, 3]`.
    pub clean: Vec<f32>,
    /// Where they are defective, `[S, H, W, 1]`.
    pub defect: Vec<f32>,
    /// Good photos that the others are compared with, `[S, H, W, 3]`.
    pub reference: Vec<f32>,
    /// Good photos that are compared, `[S, H, W, 3]`.
    pub good: Vec<f32>,
    /// By scene, whether a place is to be compared with those around it only.
    pub near: Vec<bool>,
}

/// The image side of a step.
pub fn side(config: &PretrainConfig, step: usize) -> usize {
    let mut drawn: f64 = generator(config.seed, Draw::Side, step, 0).random();
    for (side, share) in &config.sides {
        if drawn < *share {
            return *side;
        }
        drawn -= share;
    }
    config.sides.first().map_or(config.model.patch_size * 2, |(side, _)| *side)
}

impl Triples {
    /// The images of a step.
    pub fn draw(config: &PretrainConfig, step: usize) -> Self {
        let side = side(config, step);
        let scenes = config.scenes(side);
        let size = [side, side];
        let triples: Vec<Triple> =
            (0..scenes).into_par_iter().map(|item| triple(config, size, step, item)).collect();
        let all = |of: fn(&Triple) -> &[f32]| triples.iter().flat_map(of).copied().collect();
        Self {
            step,
            size,
            scenes,
            first: all(|triple| &triple.first.pixels),
            clean: all(|triple| &triple.clean.pixels),
            defect: triples
                .iter()
                .flat_map(|triple| &triple.mask)
                .map(|&v| f32::from(u8::from(v != 0)))
                .collect(),
            reference: all(|triple| &triple.reference.pixels),
            good: all(|triple| &triple.good.pixels),
            near: triples.iter().map(|triple| triple.near).collect(),
        }
    }
}

/// Starts drawing what `steps` need on another thread; it arrives in order.
pub fn prepare<D: Send + 'static>(
    draw: impl Fn(usize) -> Result<D> + Send + 'static,
    steps: std::ops::Range<usize>,
) -> Receiver<Result<D>> {
    // Two ahead: enough to never wait, little to keep.
    let (sender, receiver) = sync_channel(2);
    std::thread::spawn(move || {
        for step in steps {
            // The receiver is gone when training stopped: nothing is left to do.
            if sender.send(draw(step)).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_a_function_of_seed_and_step() {
        let config =
            PretrainConfig { batch_size: 2, sides: vec![(64, 0.5), (96, 0.5)], ..Default::default() };
        let drawn = Triples::draw(&config, 3);
        assert_eq!(drawn, Triples::draw(&config, 3));
        assert_ne!(drawn.first, Triples::draw(&config, 4).first);
        assert_ne!(drawn.first, Triples::draw(&PretrainConfig { seed: 1, ..config }, 3).first);
        let [h, w] = drawn.size;
        for photos in [&drawn.first, &drawn.clean, &drawn.reference, &drawn.good] {
            assert_eq!(photos.len(), drawn.scenes * h * w * 3);
            assert!(photos.iter().all(|v| v.is_finite()));
        }
        assert_eq!(drawn.defect.len(), drawn.scenes * h * w);
    }

    #[test]
    fn sides_are_drawn_by_their_shares() {
        let config = PretrainConfig::default();
        let drawn: Vec<usize> = (0..1000).map(|step| side(&config, step)).collect();
        let share = |side| drawn.iter().filter(|s| **s == side).count();
        assert!((760..840).contains(&share(128)) && (80..160).contains(&share(192)));
        assert_eq!(share(128) + share(192) + share(256), 1000);
    }
}

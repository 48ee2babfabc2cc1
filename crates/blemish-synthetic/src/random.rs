//! Random numbers: a seeded generator for what is drawn once, a hash of lattice points for infinite fields.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The generator behind every draw.
pub(crate) type Random = ChaCha8Rng;

/// The generator of one purpose (`stream`) of one seed; streams are independent.
pub(crate) fn random(seed: u64, stream: u64) -> Random {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

/// Uniform in `[low, high)`.
pub(crate) fn uniform(rng: &mut Random, low: f32, high: f32) -> f32 {
    low + (high - low) * rng.random::<f32>()
}

/// Uniform in the logarithm, in `[low, high)`; both positive.
pub(crate) fn log_uniform(rng: &mut Random, low: f32, high: f32) -> f32 {
    uniform(rng, low.ln(), high.ln()).exp()
}

/// True with probability `p`.
pub(crate) fn chance(rng: &mut Random, p: f32) -> bool {
    rng.random::<f32>() < p
}

/// An integer in `low..=high`.
pub(crate) fn between(rng: &mut Random, low: usize, high: usize) -> usize {
    rng.random_range(low..=high)
}

/// One of `of`, which must not be empty.
pub(crate) fn pick<T: Copy>(rng: &mut Random, of: &[T]) -> T {
    of[rng.random_range(0..of.len())]
}

/// Standard normal, by Box and Muller.
pub(crate) fn normal(rng: &mut Random) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f32>()).max(1e-9).ln()).sqrt();
    radius * (std::f32::consts::TAU * rng.random::<f32>()).cos()
}

/// 32 random bits of a lattice point.
#[inline]
pub(crate) fn hash(seed: u32, y: i32, x: i32) -> u32 {
    mix(seed ^ (y as u32).wrapping_mul(0x9E37_79B1) ^ (x as u32).wrapping_mul(0x85EB_CA77).rotate_left(13))
}

/// Further random bits from random bits.
#[inline]
pub(crate) fn mix(mut h: u32) -> u32 {
    h ^= h >> 16;
    h = h.wrapping_mul(0x7FEB_352D);
    h ^= h >> 15;
    h = h.wrapping_mul(0x846C_A68B);
    h ^ (h >> 16)
}

/// Random bits as a number about standard normal: the sum of their four bytes.
#[inline]
pub(crate) fn bell(h: u32) -> f32 {
    let sum: u32 = h.to_le_bytes().map(u32::from).iter().sum();
    (sum as f32 - 510.0) / 147.8
}

/// Random bits as a number in [0, 1).
#[inline]
pub(crate) fn unit(h: u32) -> f32 {
    (h >> 8) as f32 / 16_777_216.0
}

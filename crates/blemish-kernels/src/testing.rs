//! What the tests of the kernels share.

use rand::{Rng, SeedableRng};

/// `len` values in [-1, 1).
pub fn random(len: usize, seed: u64) -> Vec<f32> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| rng.random_range(-1.0f32..1.0)).collect()
}

/// `all`, or the first `few` of them under Miri, which is thousands of times slower.
pub fn sizes<T>(all: &[T], few: usize) -> &[T] {
    if cfg!(miri) { &all[..few] } else { all }
}

/// In `f64`.
pub fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// Every error is below `tolerance` of the greatest expected magnitude.
#[track_caller]
pub fn assert_close(actual: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len());
    let scale = expected.iter().fold(1e-3, |scale: f64, value| scale.max(value.abs()));
    for (i, (&actual, &expected)) in actual.iter().zip(expected).enumerate() {
        let error = (f64::from(actual) - expected).abs() / scale;
        assert!(error <= tolerance, "[{i}]: {actual} is not {expected} (error {error:e})");
    }
}

/// The gradient of `sum(dy * f(x))` by central differences in `f64`.
pub fn differences(x: &[f32], dy: &[f32], f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let step = 1e-5;
    let mut x = wide(x);
    let dot = |y: Vec<f64>| -> f64 { y.iter().zip(dy).map(|(y, &dy)| y * f64::from(dy)).sum() };
    (0..x.len())
        .map(|i| {
            let middle = x[i];
            x[i] = middle + step;
            let above = dot(f(&x));
            x[i] = middle - step;
            let below = dot(f(&x));
            x[i] = middle;
            (above - below) / (2.0 * step)
        })
        .collect()
}

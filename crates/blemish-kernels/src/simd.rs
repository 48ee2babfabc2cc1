//! Plain loops, compiled for the widest instruction set that the machine has.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Elements per parallel task of an element-wise kernel: 64 KiB, small enough for a first-level or second-level cache.
pub const CHUNK: usize = 16 * 1024;

/// Runs `work` compiled for AVX-512, AVX2 with FMA, or the baseline. What it calls must be inlined into it to profit.
#[inline(always)]
pub fn run<R>(work: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(work)
}

/// The number of `f32` in a vector of this machine.
pub(crate) fn lanes() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    Arch::new().dispatch(Lanes)
}

/// `out[i] = f(x[i])`, threaded.
#[inline(always)]
pub fn map(x: &[f32], out: &mut [f32], f: impl Fn(f32) -> f32 + Sync + Copy) {
    assert_eq!(x.len(), out.len());
    out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(out, x)| {
        run(
            #[inline(always)]
            || {
                for (out, &x) in out.iter_mut().zip(x) {
                    *out = f(x);
                }
            },
        );
    });
}

/// `out[i] = f(a[i], b[i])`, threaded.
#[inline(always)]
pub(crate) fn zip_map(a: &[f32], b: &[f32], out: &mut [f32], f: impl Fn(f32, f32) -> f32 + Sync + Copy) {
    assert_eq!((a.len(), b.len()), (out.len(), out.len()));
    out.par_chunks_mut(CHUNK).zip(a.par_chunks(CHUNK).zip(b.par_chunks(CHUNK))).for_each(|(out, (a, b))| {
        run(
            #[inline(always)]
            || {
                for (out, (&a, &b)) in out.iter_mut().zip(a.iter().zip(b)) {
                    *out = f(a, b);
                }
            },
        );
    });
}

/// Accumulators of a horizontal reduction: enough for two AVX-512 or four AVX2 additions in flight.
const WIDTH: usize = 32;

/// Folds `f` over a row in 32 interleaved accumulators, which are then combined with `join`, in a fixed order.
#[inline(always)]
pub fn fold(x: &[f32], start: f32, f: impl Fn(f32, f32) -> f32, join: impl Fn(f32, f32) -> f32) -> f32 {
    let (blocks, rest) = x.as_chunks::<WIDTH>();
    let mut acc = [start; WIDTH];
    for block in blocks {
        for (acc, &x) in acc.iter_mut().zip(block) {
            *acc = f(*acc, x);
        }
    }
    for (acc, &x) in acc.iter_mut().zip(rest) {
        *acc = f(*acc, x);
    }
    let mut width = WIDTH / 2;
    while width > 0 {
        for i in 0..width {
            acc[i] = join(acc[i], acc[i + width]);
        }
        width /= 2;
    }
    acc[0]
}

/// The sum of a row.
#[inline(always)]
pub fn sum(x: &[f32]) -> f32 {
    fold(x, 0.0, |acc, x| acc + x, |a, b| a + b)
}

/// The greatest value of a row.
#[inline(always)]
pub fn max(x: &[f32]) -> f32 {
    // A comparison, not `f32::max`: one instruction.
    let greater = |a: f32, b: f32| if a > b { a } else { b };
    fold(x, f32::NEG_INFINITY, greater, greater)
}

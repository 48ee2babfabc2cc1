//! Infinite noise fields, evaluated point by point from hashes: gradient noise, its octaves, and Voronoi cells.

use crate::random::{hash, mix, unit};

/// Arithmetic that every field needs for every pixel. The standard functions guard against overflow and signed zeros,
/// which costs several times as much; here values are moderate.
pub(crate) trait Fast {
    /// `sqrt(self^2 + other^2)`.
    fn norm(self, other: Self) -> Self;
    /// The whole number at or below, for magnitudes under 2^31.
    fn below(self) -> Self;
}

impl Fast for f32 {
    #[inline]
    fn norm(self, other: Self) -> Self {
        (self * self + other * other).sqrt()
    }

    #[inline]
    fn below(self) -> Self {
        let near = self as i32 as Self;
        if near > self { near - 1.0 } else { near }
    }
}

/// `0` below `low`, `1` above `high`, smooth between them.
#[inline]
pub(crate) fn smoothstep(low: f32, high: f32, v: f32) -> f32 {
    let t = ((v - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// `a` at `t = 0`, `b` at `t = 1`.
#[inline]
pub(crate) fn lerp(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}

/// The whole number below `v`, and what is left of it.
#[inline]
pub(crate) fn split(v: f32) -> (i32, f32) {
    let whole = v.below();
    (whole as i32, v - whole)
}

#[inline]
fn slope(h: u32, dy: f32, dx: f32) -> f32 {
    const S: f32 = std::f32::consts::FRAC_1_SQRT_2;
    const DIRECTIONS: [[f32; 2]; 8] =
        [[1., 0.], [-1., 0.], [0., 1.], [0., -1.], [S, S], [-S, S], [S, -S], [-S, -S]];
    let [gy, gx] = DIRECTIONS[(h >> 29) as usize];
    gy * dy + gx * dx
}

/// Gradient noise (Perlin 2002) of unit cell size, about -1 to 1, mean 0.
#[inline]
pub(crate) fn gradient(seed: u32, y: f32, x: f32) -> f32 {
    let ((i, v), (j, u)) = (split(y), split(x));
    let fade = |t: f32| t * t * t * (t * (t * 6.0 - 15.0) + 10.0);
    let (fv, fu) = (fade(v), fade(u));
    let a = slope(hash(seed, i, j), v, u);
    let b = slope(hash(seed, i, j + 1), v, u - 1.0);
    let c = slope(hash(seed, i + 1, j), v - 1.0, u);
    let d = slope(hash(seed, i + 1, j + 1), v - 1.0, u - 1.0);
    1.5 * lerp(lerp(a, b, fu), lerp(c, d, fu), fv)
}

/// Octaves of gradient noise, each half as large and `gain` as strong as the one before: a power-law spectrum whose
/// exponent follows from `gain`. About -1 to 1.
#[inline]
pub(crate) fn octaves(seed: u32, count: u32, gain: f32, y: f32, x: f32) -> f32 {
    let (mut sum, mut total, mut weight, mut scale) = (0.0, 0.0, 1.0, 1.0);
    for k in 0..count {
        let shift = 17.3 * k as f32;
        sum += weight * gradient(seed.wrapping_add(k * 0x51ED), y * scale + shift, x * scale - shift);
        total += weight * weight;
        weight *= gain;
        scale *= 2.03;
    }
    sum / f32::sqrt(total)
}

/// What a point sees of the Voronoi cells of unit spacing around it.
#[derive(Clone, Copy)]
pub(crate) struct Cell {
    /// Distance to the nearest centre.
    pub near: f32,
    /// Distance to the border of the cell.
    pub edge: f32,
    /// The cell's random bits.
    pub id: u32,
    /// The point relative to the cell's centre.
    pub offset: [f32; 2],
}

/// The Voronoi cell (Worley 1996) at a point; `jitter` 0 is a square lattice, 1 fully irregular.
#[inline]
pub(crate) fn cell(seed: u32, jitter: f32, y: f32, x: f32) -> Cell {
    let ((i, v), (j, u)) = (split(y), split(x));
    let (mut best, mut second) = (f32::MAX, f32::MAX);
    let (mut id, mut at, mut other) = (0, [0.0; 2], [0.0; 2]);
    for dy in -1..=1 {
        for dx in -1..=1 {
            let h = hash(seed, i + dy, j + dx);
            let cy = dy as f32 + 0.5 + jitter * ((h & 0xFFFF) as f32 / 65536.0 - 0.5) - v;
            let cx = dx as f32 + 0.5 + jitter * ((h >> 16) as f32 / 65536.0 - 0.5) - u;
            let d = cy * cy + cx * cx;
            if d < best {
                (second, other) = (best, at);
                (best, at, id) = (d, [cy, cx], h);
            } else if d < second {
                (second, other) = (d, [cy, cx]);
            }
        }
    }
    let apart = (other[0] - at[0]).norm(other[1] - at[1]).max(1e-3);
    Cell { near: best.sqrt(), edge: 0.5 * (second - best) / apart, id: mix(id), offset: [-at[0], -at[1]] }
}

/// Calls `each` with (random bits, y, x relative to the centre) of the nine scattered points around a point; the points
/// lie one in each unit square.
#[inline]
pub(crate) fn scattered(seed: u32, y: f32, x: f32, mut each: impl FnMut(u32, f32, f32)) {
    let ((i, v), (j, u)) = (split(y), split(x));
    for dy in -1..=1 {
        for dx in -1..=1 {
            let h = hash(seed, i + dy, j + dx);
            let k = mix(h ^ 0xA511_E9B3);
            each(h, v - dy as f32 - unit(h), u - dx as f32 - unit(k));
        }
    }
}

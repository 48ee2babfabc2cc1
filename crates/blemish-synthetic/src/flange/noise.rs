//! Smooth random textures, and the few geometric functions that the product and its defects share.

use crate::noise::{lerp, smoothstep};

/// A point or a direction `[x, y]`; the product's radius is 1, y points down.
pub(super) type Point = [f32; 2];

pub(super) fn minus(a: Point, b: Point) -> Point {
    [a[0] - b[0], a[1] - b[1]]
}

pub(super) fn dot(a: Point, b: Point) -> f32 {
    a[0] * b[0] + a[1] * b[1]
}

pub(super) fn length(a: Point) -> f32 {
    dot(a, a).sqrt()
}

/// The point at a radius and an angle.
pub(super) fn polar(radius: f32, angle: f32) -> Point {
    [radius * angle.cos(), radius * angle.sin()]
}

/// Turns `p` about the origin.
pub(super) fn rotate([x, y]: Point, angle: f32) -> Point {
    let (sin, cos) = angle.sin_cos();
    [x * cos - y * sin, x * sin + y * cos]
}

/// Value noise in [-1, 1] with one random value per unit of `x` and `y`; it repeats after `period` units of `x`.
pub(super) fn value_noise(seed: u32, x: f32, y: f32, period: i32) -> f32 {
    let (x0, y0) = (x.floor(), y.floor());
    let (u, v) = (smoothstep(0.0, 1.0, x - x0), smoothstep(0.0, 1.0, y - y0));
    let at = |dx: i32, dy: i32| hash(seed, (x0 as i32 + dx).rem_euclid(period), y0 as i32 + dy);
    lerp(lerp(at(0, 0), at(1, 0), u), lerp(at(0, 1), at(1, 1), u), v)
}

/// A random value in [-1, 1] of a lattice point.
fn hash(seed: u32, x: i32, y: i32) -> f32 {
    let mut h = seed ^ (x as u32).wrapping_mul(0x9E37_79B1) ^ (y as u32).wrapping_mul(0x85EB_CA77);
    h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
    h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
    h ^= h >> 15;
    h as f32 / (u32::MAX as f32 / 2.0) - 1.0
}

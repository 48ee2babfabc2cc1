//! Outlines as signed distances: negative inside.

use std::f32::consts::{PI, TAU};

use crate::noise::Fast;

/// An outline around the origin; lengths in units of the image's shorter side.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// Radius.
    Disc(f32),
    /// Half height, half width, corner radius.
    Box(f32, f32, f32),
    /// Corners, radius.
    Polygon(u8, f32),
    /// Radius of the middle of the rim, half its width.
    Ring(f32, f32),
    /// Teeth, radius, depth of a tooth.
    Gear(u8, f32, f32),
    /// Half length (along x), half width, pitch and depth of a thread.
    Thread(f32, f32, f32, f32),
    /// Half height, half width of an ellipse.
    Ellipse(f32, f32),
    /// Half length, half width of the arms.
    Cross(f32, f32),
    /// Radius, half width, half the opening angle.
    Arc(f32, f32, f32),
    /// Half length, half widths at either end.
    Taper(f32, f32, f32),
    /// Radius, lobes, depth: a smooth blob.
    Blob(f32, u8, f32),
}

fn rounded_box(y: f32, x: f32, hy: f32, hx: f32, r: f32) -> f32 {
    let (qy, qx) = (y.abs() - hy + r, x.abs() - hx + r);
    qy.max(0.0).norm(qx.max(0.0)) + qy.max(qx).min(0.0) - r
}

impl Shape {
    /// Signed distance of a point, in the shape's units; near the outline exact enough for smooth edges.
    pub fn distance(self, y: f32, x: f32) -> f32 {
        match self {
            Self::Disc(r) => y.norm(x) - r,
            Self::Box(hy, hx, r) => rounded_box(y, x, hy, hx, r),
            Self::Polygon(n, r) => {
                let sector = TAU / f32::from(n);
                let angle = (y.atan2(x) + 0.5 * sector).rem_euclid(sector) - 0.5 * sector;
                y.norm(x) * angle.cos() - r * (PI / f32::from(n)).cos()
            }
            Self::Ring(r, w) => (y.norm(x) - r).abs() - w,
            Self::Gear(n, r, depth) => {
                let wave = (f32::from(n) * y.atan2(x)).sin();
                0.7 * (y.norm(x) - r - 0.5 * depth * (3.0 * wave).clamp(-1.0, 1.0))
            }
            Self::Thread(long, wide, pitch, depth) => {
                let tooth = 2.0 * ((x / pitch + if y > 0.0 { 0.5 } else { 0.0 }).rem_euclid(1.0) - 0.5).abs();
                0.8 * (y.abs() - wide + depth * tooth).max(x.abs() - long)
            }
            Self::Ellipse(a, b) => ((y / a).norm(x / b) - 1.0) * a.min(b),
            Self::Cross(long, wide) => {
                rounded_box(y, x, long, wide, 0.0).min(rounded_box(y, x, wide, long, 0.0))
            }
            Self::Arc(r, w, open) => {
                let angle = y.atan2(x).abs();
                if angle > open {
                    (y.norm(x) - r).abs() - w
                } else {
                    let end = [r * open.sin(), r * open.cos()];
                    (y.abs() - end[0]).norm(x - end[1]) - w
                }
            }
            Self::Taper(long, a, b) => {
                let wide = a + (b - a) * (x / long * 0.5 + 0.5).clamp(0.0, 1.0);
                (y.abs() - wide).max(x.abs() - long)
            }
            Self::Blob(r, n, depth) => {
                let angle = y.atan2(x);
                let wave = (f32::from(n) * angle).sin() + 0.6 * (f32::from(n + 1) * angle + 1.0).cos();
                0.8 * (y.norm(x) - r * (1.0 + depth * wave))
            }
        }
    }

    /// No point of the shape is farther from the origin.
    pub fn reach(self) -> f32 {
        match self {
            Self::Disc(r) | Self::Polygon(_, r) => r,
            Self::Box(a, b, _) | Self::Ellipse(a, b) | Self::Cross(a, b) => a.norm(b),
            Self::Ring(r, w) | Self::Arc(r, w, _) => r + w,
            Self::Gear(_, r, depth) => r + depth,
            Self::Thread(a, b, _, _) => a.norm(b),
            Self::Taper(long, a, b) => long.norm(a.max(b)),
            Self::Blob(r, _, depth) => r * (1.0 + 1.7 * depth),
        }
    }
}

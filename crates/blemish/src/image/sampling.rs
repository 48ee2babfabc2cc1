//! Images read between their pixels.

use serde::{Deserialize, Serialize};

use super::Image;

/// What lies outside an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Border {
    /// The nearest edge pixel: right for objects on a plain background.
    #[default]
    Replicate,
    /// The image mirrored at its edge pixels: right for textures.
    Reflect,
}

/// Writes the colour of `image` at `(x, y)`, pixels from the centre of the top-left pixel, to `out` (bilinear).
pub fn sample(image: &Image, x: f32, y: f32, border: Border, out: &mut [f32]) {
    let (x0, x1, tx) = neighbours(x, image.width, border);
    let (y0, y1, ty) = neighbours(y, image.height, border);
    let pixel = |y: usize, x: usize| {
        let start = (y * image.width + x) * image.channels;
        &image.pixels[start..start + out.len()]
    };
    let (a, b, c, d) = (pixel(y0, x0), pixel(y0, x1), pixel(y1, x0), pixel(y1, x1));
    for (k, v) in out.iter_mut().enumerate() {
        let above = a[k] + (b[k] - a[k]) * tx;
        let below = c[k] + (d[k] - c[k]) * tx;
        *v = above + (below - above) * ty;
    }
}

/// The two pixels around coordinate `at` on an axis of `length` pixels, and the weight of the second.
fn neighbours(at: f32, length: usize, border: Border) -> (usize, usize, f32) {
    let last = (length - 1) as f32;
    let inside = match border {
        _ if (0.0..=last).contains(&at) => at,
        Border::Replicate => at.clamp(0.0, last),
        Border::Reflect => last - (at.rem_euclid(2.0 * last.max(0.5)) - last).abs(),
    };
    let first = inside.max(0.0) as usize;
    (first, (first + 1).min(length - 1), inside - first as f32)
}

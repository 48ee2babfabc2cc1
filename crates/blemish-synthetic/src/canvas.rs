//! What is drawn before light and camera: colour, height, print and where the product is.

/// The planes of a scene at some size, row by row.
#[derive(Clone)]
pub(crate) struct Canvas {
    /// Rows and columns.
    pub size: [usize; 2],
    /// One plane (grey) or three.
    pub colour: Vec<Vec<f32>>,
    /// Height of parts, dents and rims in pixels.
    pub relief: Vec<f32>,
    /// Height of the texture in pixels.
    pub fine: Vec<f32>,
    /// How much of a pixel the product covers, 0 to 1; 1 throughout where it fills the image.
    pub object: Vec<f32>,
}

impl Canvas {
    /// Black, flat and empty.
    pub fn new(size: [usize; 2], channels: usize) -> Self {
        let n = size[0] * size[1];
        Self {
            size,
            colour: vec![vec![0.0; n]; channels],
            relief: vec![0.0; n],
            fine: vec![0.0; n],
            object: vec![0.0; n],
        }
    }

    /// `colour` in the channels of this canvas.
    pub fn channel(&self, colour: [f32; 3], channel: usize) -> f32 {
        if self.colour.len() == 1 {
            0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]
        } else {
            colour[channel]
        }
    }

    /// Blends `colour` over the pixel `at` by `alpha`.
    pub fn blend(&mut self, at: usize, colour: [f32; 3], alpha: f32) {
        for channel in 0..self.colour.len() {
            let target = self.channel(colour, channel);
            let value = &mut self.colour[channel][at];
            *value += alpha * (target - *value);
        }
    }

    /// The value of a plane at a fractional position, by the four pixels around it; beyond the border the border.
    pub fn bilinear(size: [usize; 2], plane: &[f32], y: f32, x: f32) -> f32 {
        let [height, width] = size;
        let y = y.clamp(0.0, (height - 1) as f32);
        let x = x.clamp(0.0, (width - 1) as f32);
        let (i, j) = (y as usize, x as usize);
        let (v, u) = (y - i as f32, x - j as f32);
        let (below, right) = ((i + 1).min(height - 1), (j + 1).min(width - 1));
        let row = |i: usize| plane[i * width + j] * (1.0 - u) + plane[i * width + right] * u;
        row(i) * (1.0 - v) + row(below) * v
    }
}

/// A plane blurred by a Gaussian of `sigma` px, its border repeated.
pub(crate) fn blur(size: [usize; 2], plane: &[f32], sigma: f32) -> Vec<f32> {
    if sigma < 0.15 {
        return plane.to_vec();
    }
    let [height, width] = size;
    let reach = ((2.5 * sigma).ceil() as usize).max(1);
    let mut taps: Vec<f32> = (0..=reach).map(|k| (-0.5 * (k as f32 / sigma).powi(2)).exp()).collect();
    let total = taps[0] + 2.0 * taps[1..].iter().sum::<f32>();
    taps.iter_mut().for_each(|tap| *tap /= total);
    let mut rows = vec![0.0; plane.len()];
    let mut padded = vec![0.0; width + 2 * reach];
    for (line, out) in plane.chunks_exact(width).zip(rows.chunks_exact_mut(width)) {
        for (k, v) in padded.iter_mut().enumerate() {
            *v = line[k.saturating_sub(reach).min(width - 1)];
        }
        for (x, out) in out.iter_mut().enumerate() {
            let mut sum = taps[0] * padded[x + reach];
            for (k, tap) in taps.iter().enumerate().skip(1) {
                sum += tap * (padded[x + reach - k] + padded[x + reach + k]);
            }
            *out = sum;
        }
    }
    let mut blurred = vec![0.0; plane.len()];
    for (y, out) in blurred.chunks_exact_mut(width).enumerate() {
        for (k, tap) in taps.iter().enumerate() {
            let (up, down) = (y.saturating_sub(k), (y + k).min(height - 1));
            let (a, b) = (&rows[up * width..][..width], &rows[down * width..][..width]);
            if k == 0 {
                out.iter_mut().zip(a).for_each(|(out, a)| *out += tap * a);
            } else {
                out.iter_mut().zip(a.iter().zip(b)).for_each(|(out, (a, b))| *out += tap * (a + b));
            }
        }
    }
    blurred
}

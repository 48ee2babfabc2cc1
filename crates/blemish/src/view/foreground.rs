//! A guess at where the product is, from one image.

use crate::image::{Image, median};

/// Weights `[H, W]` for the centres of defects: 1 on the product and a little around it, 0 on a plain background; all 1
/// when the image has no plain background (a texture, or a product that fills the frame).
///
/// The background is plain when the frame's grey levels (a 32nd of the side wide) vary little beside those of the whole
/// image; the product is then what differs from the frame's median colour.
pub fn foreground(image: &Image) -> Vec<f32> {
    let Image { height, width, channels, .. } = *image;
    let everywhere = || vec![1.0; height * width];
    let band = (height.min(width) / 32).max(1);
    let in_frame = |i: usize| {
        let (y, x) = (i / width, i % width);
        y.min(height - 1 - y).min(x).min(width - 1 - x) < band
    };
    let frame: Vec<&[f32]> = (0..height * width)
        .filter(|&i| in_frame(i))
        .map(|i| &image.pixels[i * channels..(i + 1) * channels])
        .collect();
    let colour: Vec<f32> =
        (0..channels).map(|c| median(&mut frame.iter().map(|pixel| pixel[c]).collect::<Vec<_>>())).collect();
    let distance = |pixel: &[f32]| pixel.iter().zip(&colour).map(|(v, c)| (v - c).abs()).fold(0.0, f32::max);

    let mut rim: Vec<f32> = frame.iter().map(|pixel| distance(pixel)).collect();
    let noise = quantile(&mut rim, 0.8);
    let distances: Vec<f32> = image.pixels.chunks_exact(channels).map(distance).collect();
    let contrast = quantile(&mut distances.clone(), 0.98);
    // A texture differs from its own frame by about as much as the frame does from itself.
    if contrast < 0.05 || noise > 0.25 * contrast {
        return everywhere();
    }
    let threshold = (3.0 * noise).max(0.3 * contrast);
    let product: Vec<bool> = distances.iter().map(|&d| d > threshold).collect();
    let weights = dilate(&product, width, band);
    let share = weights.iter().sum::<f32>() / weights.len() as f32;
    if (0.005..0.9).contains(&share) { weights } else { everywhere() }
}

/// Reorders `values`, which must not be empty.
fn quantile(values: &mut [f32], q: f32) -> f32 {
    let rank = ((values.len() - 1) as f32 * q) as usize;
    *values.select_nth_unstable_by(rank, f32::total_cmp).1
}

/// 1 within `reach` pixels of a set pixel along the rows and then the columns, else 0.
fn dilate(set: &[bool], width: usize, reach: usize) -> Vec<f32> {
    let mut rows = vec![false; set.len()];
    for (source, target) in set.chunks_exact(width).zip(rows.chunks_exact_mut(width)) {
        for x in (0..width).filter(|&x| source[x]) {
            target[x.saturating_sub(reach)..(x + reach + 1).min(width)].fill(true);
        }
    }
    let mut out = vec![0.0; set.len()];
    for i in (0..set.len()).filter(|&i| rows[i]) {
        let (y, x) = (i / width, i % width);
        for row in y.saturating_sub(reach)..(y + reach + 1).min(set.len() / width) {
            out[row * width + x] = 1.0;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn a_disc_on_a_plain_ground_is_found() {
        for channels in [1, 3] {
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            let mut image = Image::filled(64, 96, channels, 0.0);
            let inside = |i: usize| (i as f32 / 96.0 - 32.0).hypot((i % 96) as f32 - 48.0) < 15.0;
            for (i, pixel) in image.pixels.chunks_exact_mut(channels).enumerate() {
                pixel.fill(if inside(i) { 0.2 } else { 0.8 } + rng.random_range(-0.01..0.01));
            }
            let weights = foreground(&image);
            assert!((0..weights.len()).filter(|&i| inside(i)).all(|i| weights[i] == 1.0));
            let share = weights.iter().sum::<f32>() / weights.len() as f32;
            assert!(share < 0.2, "{share}");
        }
    }

    #[test]
    fn textures_and_blank_images_count_everywhere() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let pixels = (0..64 * 64).map(|_| rng.random::<f32>()).collect();
        let texture = Image { height: 64, width: 64, channels: 1, pixels };
        for image in [texture, Image::filled(1, 1, 3, 0.5), Image::filled(20, 3, 1, 0.5)] {
            assert!(foreground(&image).iter().all(|&w| w == 1.0));
        }
    }
}

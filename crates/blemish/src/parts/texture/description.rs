//! What describes the neighbourhood of a pixel: local means, and the logarithms of the energies of octave bands and slopes
//! (Portilla and Simoncelli 2000 start from such).

use rayon::prelude::*;

use crate::image::Image;
use blemish_kernels::blur::blur_same_reflect;

/// Standard deviations of the neighbourhoods whose means count, pixels.
const MEANS: [f32; 2] = [4.0, 8.0];
/// Standard deviations between which bands lie, pixels; 0: the image itself.
const BANDS: [f32; 5] = [0.0, 1.0, 2.0, 4.0, 8.0];
/// Standard deviations of the neighbourhoods in which the energy of each band is taken.
const ENERGIES: [f32; 4] = [4.0, 4.0, 6.0, 8.0];
/// The same for the energies of vertical and horizontal differences.
const SLOPES: f32 = 4.0;
/// Added to energies: a normalised image's spread is 0.4, so that this is a fortieth of it.
const FLOOR: f32 = 1e-3;

/// Values of a description of an image with so many channels.
pub fn features(channels: usize) -> usize {
    MEANS.len() * channels + ENERGIES.len() + 2
}

/// The description of every pixel, a plane `[H, W]` for each value.
pub fn describe(image: &Image) -> Vec<Vec<f32>> {
    let Image { height, width, channels, .. } = *image;
    let blur = |plane: &[f32], sigma: f32| blur_same_reflect(plane, height, width, sigma);
    let channel = |c: usize| image.pixels.iter().skip(c).step_by(channels).copied().collect::<Vec<f32>>();
    let grey = image.grey();
    let levels: Vec<Vec<f32>> = BANDS.par_iter().map(|&sigma| blur(&grey, sigma)).collect();
    let smooth = &levels[1];
    let between = |low: usize, high: usize| 0.5 * (smooth[high] - smooth[low]);
    let down = |i: usize| {
        let y = i / width;
        between(i - width * usize::from(y > 0), i + width * usize::from(y + 1 < height))
    };
    let across = |i: usize| {
        let x = i % width;
        between(i - usize::from(x > 0), i + usize::from(x + 1 < width))
    };
    let energy = |values: Vec<f32>, sigma: f32| -> Vec<f32> {
        let squares: Vec<f32> = values.iter().map(|v| v * v).collect();
        blur(&squares, sigma).into_iter().map(|v| (v + FLOOR).ln()).collect()
    };
    let means = channels * MEANS.len();
    let plane = |at: usize| match at.checked_sub(means) {
        None => blur(&channel(at / MEANS.len()), MEANS[at % MEANS.len()]),
        Some(band) if band < ENERGIES.len() => {
            let [fine, coarse] = [&levels[band], &levels[band + 1]];
            energy(fine.iter().zip(coarse).map(|(fine, coarse)| fine - coarse).collect(), ENERGIES[band])
        }
        Some(slope) if slope == ENERGIES.len() => energy((0..smooth.len()).map(down).collect(), SLOPES),
        Some(_) => energy((0..smooth.len()).map(across).collect(), SLOPES),
    };
    (0..features(channels)).into_par_iter().map(plane).collect()
}

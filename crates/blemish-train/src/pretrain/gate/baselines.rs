//! What needs no network: raw patches, and plain filters.

use std::collections::BTreeMap;

use super::nearest::{Vectors, anywhere, near};
use super::readings::{Maps, feature_map};
use blemish::Image;
use blemish::engine::FeatureMap;

/// Pixels between patches, and side of a patch.
const STEP: usize = 4;
const PATCH: usize = 8;
/// Box blurs before each scale of the filters.
const SCALES: [usize; 3] = [0, 2, 8];

/// The readings of patches and filters, by name.
pub fn readings(references: &[Image], tests: &[Image]) -> BTreeMap<String, Maps> {
    let images: Vec<&Image> = references.iter().chain(tests).collect();
    let mut readings = BTreeMap::new();
    for (name, map) in [("patches 8 x 8", patches(&images)), ("plain filters", filters(&images))] {
        let (memory, queries) = (references.len(), references.len()..images.len());
        for (kind, vectors) in Vectors::of(&map, memory) {
            readings.insert(format!("{name} {kind} anywhere"), anywhere(&vectors, memory, queries.clone()));
            readings.insert(format!("{name} {kind} near"), near(&vectors, memory, queries.clone()));
        }
    }
    readings
}

/// Grey levels of 8 x 8 pixels, their mean over 2 x 2, every 4 pixels: 16 numbers.
fn patches(images: &[&Image]) -> FeatureMap {
    let (rows, columns) = ((images[0].height - PATCH) / STEP + 1, (images[0].width - PATCH) / STEP + 1);
    let mut values = Vec::new();
    for image in images {
        let half = Image { channels: 1, pixels: image.grey(), ..**image }.averaged(2);
        for y in 0..rows {
            for x in 0..columns {
                for line in 0..PATCH / 2 {
                    let at = (y * STEP / 2 + line) * half.width + x * STEP / 2;
                    values.extend_from_slice(&half.pixels[at..][..PATCH / 2]);
                }
            }
        }
    }
    feature_map(rows, columns, PATCH * PATCH / 4, values)
}

/// At three scales: grey level, both derivatives' magnitudes and the Laplacian's, means over 4 x 4 pixels.
fn filters(images: &[&Image]) -> FeatureMap {
    let (height, width) = (images[0].height, images[0].width);
    let (rows, columns) = (height / STEP, width / STEP);
    let channels = 4 * SCALES.len();
    let mut values = vec![0.0; images.len() * rows * columns * channels];
    for (image, out) in images.iter().zip(values.chunks_exact_mut(rows * columns * channels)) {
        let mut grey = image.grey();
        let mut done = 0;
        for (scale, blurs) in SCALES.into_iter().enumerate() {
            for _ in done..blurs {
                grey = blur(&grey, height, width);
            }
            done = blurs;
            let at = |y: usize, x: usize| grey[y.min(height - 1) * width + x.min(width - 1)];
            for y in 0..rows * STEP {
                for x in 0..columns * STEP {
                    let v = at(y, x);
                    let (up, left) = (at(y.saturating_sub(1), x), at(y, x.saturating_sub(1)));
                    let (down, right) = (at(y + 1, x), at(y, x + 1));
                    let responses = [
                        v,
                        (right - left).abs(),
                        (down - up).abs(),
                        (up + down + left + right - 4.0 * v).abs(),
                    ];
                    let cell = &mut out[((y / STEP) * columns + x / STEP) * channels + 4 * scale..][..4];
                    cell.iter_mut().zip(responses).for_each(|(c, r)| *c += r / (STEP * STEP) as f32);
                }
            }
        }
    }
    feature_map(rows, columns, channels, values)
}

fn blur(grey: &[f32], height: usize, width: usize) -> Vec<f32> {
    let mut out = grey.to_vec();
    for y in 0..height {
        for x in 0..width {
            let (mut sum, mut count) = (0.0, 0.0);
            for ny in y.saturating_sub(1)..(y + 2).min(height) {
                for nx in x.saturating_sub(1)..(x + 2).min(width) {
                    sum += grey[ny * width + nx];
                    count += 1.0;
                }
            }
            out[y * width + x] = sum / count;
        }
    }
    out
}

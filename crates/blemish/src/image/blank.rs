//! Frames without an image: what a dead camera, a closed shutter, a lamp that is off or much too bright send.

use serde::{Deserialize, Serialize};

use super::{Image, median};

/// One step of 8 bits.
const STEP: f32 = 1.0 / 255.0;
/// Range of grey levels, but for the half per cent at each end, below which an image is of one level.
const FLAT: f32 = 2.5 * STEP;
/// Share of the pixels that are white in an over-exposed frame.
const WHITE_SHARE: f64 = 0.995;
/// From which grey level on a pixel is white.
const WHITE: f32 = 253.5 * STEP;
/// Mean grey level of a dark frame, at most.
const DARK: f32 = 0.06;
/// Standard deviation of a sensor's noise at most; what varies more is taken for a texture, however irregular.
const NOISE: f32 = 5.0 * STEP;
/// Distances, in pixels, at which noise does not correlate.
const LAGS: [usize; 4] = [1, 2, 4, 8];
/// Correlation from which neighbours are alike, on large images.
const CORRELATED: f64 = 0.06;
/// Sides of the blocks whose means are compared, pixels.
const BLOCKS: [usize; 2] = [8, 32];
/// Deviations beyond which a pixel is no noise, and the share of such pixels that are no hot pixels either.
const BEYOND: f32 = 7.0;
const BEYOND_SHARE: f64 = 0.0004;

/// Why a frame is taken to show nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlankReason {
    /// All pixels have (nearly) one grey level.
    Constant,
    /// All pixels are (nearly) black, but for noise.
    Dark,
    /// (Nearly) all pixels are white.
    Saturated,
    /// There is noise, and no structure that neighbouring pixels share.
    Noise,
    /// There is next to no contrast beside what good images have.
    Faint,
}

impl BlankReason {
    /// The reason in words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Constant => "blank: every pixel has (nearly) the same grey level",
            Self::Dark => "blank: all pixels are (nearly) black; no light, or a closed shutter",
            Self::Saturated => "blank: (nearly) all pixels are white; over-exposed",
            Self::Noise => "blank: nothing but sensor noise",
            Self::Faint => {
                "blank: far less contrast than good images have; no light, over-exposed, or a covered lens"
            }
        }
    }
}

/// Whether an image, read in its detector's range, shows nothing at all.
///
/// Structure is what neighbouring pixels share: grey levels that correlate a few pixels apart, blocks whose means differ by more
/// than the noise allows, or a group of pixels far beyond the noise. A fabric of low contrast has it, sensor noise has not.
pub fn is_blank(image: &Image) -> Option<BlankReason> {
    let grey = image.grey();
    if grey.is_empty() {
        return Some(BlankReason::Constant);
    }
    let mean = (grey.iter().map(|&v| f64::from(v)).sum::<f64>() / grey.len() as f64) as f32;
    let of_level = |other| match mean {
        mean if mean <= DARK => BlankReason::Dark,
        mean if mean >= WHITE => BlankReason::Saturated,
        _ => other,
    };
    let white = grey.iter().filter(|&&v| v >= WHITE).count();
    if white as f64 >= WHITE_SHARE * grey.len() as f64 {
        return Some(BlankReason::Saturated);
    }
    let noise = noise(&grey, image.width);
    if has_outliers(&grey, noise) {
        return None;
    }
    let rank = grey.len() / 200;
    let mut sorted = grey.clone();
    let [low, high] =
        [rank, grey.len() - 1 - rank].map(|rank| *sorted.select_nth_unstable_by(rank, f32::total_cmp).1);
    if high - low < FLAT {
        return Some(of_level(BlankReason::Constant));
    }
    if noise > NOISE || correlates(&grey, image.width) || blocks_differ(&grey, image.width) {
        return None;
    }
    Some(of_level(BlankReason::Noise))
}

/// Standard deviation of white noise whose neighbours differ as much as these do; medians ignore edges.
fn noise(grey: &[f32], width: usize) -> f32 {
    let across =
        grey.chunks_exact(width).flat_map(|row| row.windows(2).map(|pair| (pair[1] - pair[0]).abs()));
    let down = grey.iter().zip(grey.iter().skip(width)).map(|(a, b)| (b - a).abs());
    let mut differences: Vec<f32> = across.chain(down).collect();
    if differences.is_empty() {
        return 0.0;
    }
    // Half of all differences of two normal values are below 0.6745 times the root of 2 standard deviations.
    median(&mut differences) / (0.6745 * std::f32::consts::SQRT_2)
}

/// Whether more pixels lie far from the median than noise, and a few hot pixels, can explain.
fn has_outliers(grey: &[f32], noise: f32) -> bool {
    let median = median(&mut grey.to_vec());
    let limit = (BEYOND * noise).max(FLAT);
    let beyond = grey.iter().filter(|&&v| (v - median).abs() > limit).count();
    beyond as f64 > (BEYOND_SHARE * grey.len() as f64).max(2.0)
}

/// Whether pixels a few rows or columns apart are alike.
fn correlates(grey: &[f32], width: usize) -> bool {
    let mean = grey.iter().map(|&v| f64::from(v)).sum::<f64>() / grey.len() as f64;
    let centred: Vec<f64> = grey.iter().map(|&v| f64::from(v) - mean).collect();
    let variance = centred.iter().map(|v| v * v).sum::<f64>() / centred.len() as f64;
    let limit = CORRELATED.max(4.5 / (centred.len() as f64).sqrt()) * variance;
    LAGS.iter().any(|&lag| {
        let (mut across, mut pairs) = (0.0, 0usize);
        for row in centred.chunks_exact(width) {
            across += row.iter().zip(row.iter().skip(lag)).map(|(a, b)| a * b).sum::<f64>();
            pairs += width.saturating_sub(lag);
        }
        let down = centred.iter().zip(centred.iter().skip(lag * width)).map(|(a, b)| a * b).sum::<f64>();
        let below = centred.len().saturating_sub(lag * width);
        (across / pairs.max(1) as f64).abs() > limit || (down / below.max(1) as f64).abs() > limit
    })
}

/// Whether the means of blocks vary by more than twice what white noise would give.
fn blocks_differ(grey: &[f32], width: usize) -> bool {
    let image = Image { height: grey.len() / width, width, channels: 1, pixels: grey.to_vec() };
    let variance = |values: &[f32]| {
        let count = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
        values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count
    };
    let whole = variance(grey);
    BLOCKS.iter().any(|&side| {
        let means = image.averaged(side).pixels;
        // Fewer blocks vary more by chance: six standard deviations of a variance.
        let count = means.len() as f64;
        means.len() >= 16
            && variance(&means) > whole / (side * side) as f64 * (1.0 + 6.0 * (2.0 / count).sqrt())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// 8-bit levels, rounded and clamped, of a level at each place and normal noise (a sum of twelve uniform values).
    fn frame(deviation: f32, seed: u64, level: impl Fn(f32, f32) -> f32) -> Image {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut image = Image::filled(160, 200, 1, 0.0);
        for (i, v) in image.pixels.iter_mut().enumerate() {
            let normal = (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0;
            *v = (level((i / 200) as f32, (i % 200) as f32) + deviation * normal).round().clamp(0.0, 255.0)
                / 255.0;
        }
        image
    }

    #[test]
    fn frames_that_show_nothing() {
        for (level, reason) in
            [(0.0, BlankReason::Dark), (0.5, BlankReason::Constant), (1.0, BlankReason::Saturated)]
        {
            for channels in [1, 3] {
                assert_eq!(is_blank(&Image::filled(64, 64, channels, level)), Some(reason));
            }
        }
        for seed in 0..8 {
            for deviation in [0.5, 1.0, 2.0, 4.0] {
                assert_eq!(
                    is_blank(&frame(deviation, seed, |_, _| 4.0)),
                    Some(BlankReason::Dark),
                    "{deviation}"
                );
            }
            assert_eq!(is_blank(&frame(2.0, seed, |_, _| 128.0)), Some(BlankReason::Noise));
            assert_eq!(is_blank(&frame(3.0, seed, |_, _| 262.0)), Some(BlankReason::Saturated));
        }
        // A hot pixel or two are no image.
        let mut hot = frame(1.0, 9, |_, _| 3.0);
        (hot.pixels[77], hot.pixels[20_001]) = (1.0, 0.8);
        assert_eq!(is_blank(&hot), Some(BlankReason::Dark));
        assert_eq!(is_blank(&Image::filled(1, 1, 1, 0.3)), Some(BlankReason::Constant));
    }

    #[test]
    fn images_of_low_contrast_are_images() {
        let weave = |y: f32, x: f32| 120.0 + 2.5 * (y * 1.3).sin() + 2.5 * (x * 1.1).sin();
        let light = |y: f32, x: f32| 100.0 + 0.03 * y + 0.02 * x;
        let spot = |y: f32, x: f32| if (y - 80.0).hypot(x - 90.0) < 6.0 { 60.0 } else { 12.0 };
        let thin = |y: f32, x: f32| if y > 30.0 && x == 50.0 { 150.0 } else { 130.0 };
        for seed in 0..4 {
            for deviation in [0.0, 1.0, 2.0] {
                assert_eq!(is_blank(&frame(deviation, seed, weave)), None, "weave {deviation}");
                assert_eq!(is_blank(&frame(deviation, seed, light)), None, "light {deviation}");
                assert_eq!(is_blank(&frame(deviation, seed, spot)), None, "spot {deviation}");
                assert_eq!(is_blank(&frame(deviation, seed, thin)), None, "thin {deviation}");
            }
            // A surface of grains as small as pixels, stronger than any sensor's noise.
            assert_eq!(is_blank(&frame(12.0, seed, |_, _| 128.0)), None);
            // A part on a ground of pure white.
            let part = |y: f32, x: f32| if (y - 80.0).hypot(x - 90.0) < 20.0 { 90.0 } else { 255.0 };
            assert_eq!(is_blank(&frame(0.0, seed, part)), None);
        }
    }
}

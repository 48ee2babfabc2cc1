//! Images of more than 8 bits: which of their values become black and white.
//!
//! A camera of 12 bits writes 0 to 4095 into files that could hold 65535, a thermal one 29000 to 31000. Divided by what the file
//! could hold, such images would be all but black, and nothing that is meant for photographs would suit them. So the good images
//! settle a range, and every image to come is read in it. Nothing is clamped.

use super::Image;

/// Largest values of cameras' depths in 16-bit files.
const DEPTHS: [f32; 4] = [255.0, 1023.0, 4095.0, 16383.0];
/// The largest value of a 16-bit file.
const LARGEST: f32 = 65535.0;
/// Share of an image's values, at each end, that are left out of its range: hot and dead pixels.
const ENDS: f32 = 0.001;
/// Images whose values cover less than this share of their depth are stretched.
const COVERED: f64 = 1.0 / 16.0;
/// Values of one image that are sampled, about.
const SAMPLED: usize = 1 << 16;

impl Image {
    /// Whether it holds values that 8 bits cannot.
    pub fn is_deep(&self) -> bool {
        self.pixels.iter().any(|v| (v * 255.0 - (v * 255.0).round()).abs() > 1e-3)
    }

    /// The same image with `low` become 0 and `high` become 1; nothing is clamped.
    #[must_use]
    pub fn in_range(mut self, [low, high]: [f64; 2]) -> Self {
        let gain = 1.0 / (high - low);
        self.pixels.iter_mut().for_each(|v| *v = ((f64::from(*v) - low) * gain) as f32);
        self
    }
}

/// The values that become 0 and 1, as shares of the largest that the depth can hold, for images like these, which were decoded
/// without a range; `None` where none of them holds more than 8 bits.
///
/// It runs from 0 to the largest value of the depth, of 8, 10, 12, 14 or 16 bits, that holds them, so that an image looks the same
/// in every depth. Where they cover less than a sixteenth of that, they are brought to the middle half.
pub fn depth_range(images: &[Image]) -> Option<[f64; 2]> {
    if !images.iter().any(Image::is_deep) {
        return None;
    }
    let ends = images.iter().map(|image| {
        let step = (image.pixels.len() / SAMPLED).max(1);
        let mut values: Vec<f32> = image.pixels.iter().step_by(step).copied().collect();
        let rank = ((values.len() - 1) as f32 * ENDS) as usize;
        let last = values.len() - 1 - rank;
        [rank, last].map(|rank| *values.select_nth_unstable_by(rank, f32::total_cmp).1)
    });
    let [low, high] = ends.fold([f32::INFINITY, 0.0f32], |[low, high], [a, b]| [low.min(a), high.max(b)]);
    let white = DEPTHS.into_iter().find(|&most| high * LARGEST <= most + 0.5).unwrap_or(LARGEST);
    let white = f64::from(white / LARGEST);
    let (low, high) = (f64::from(low), f64::from(high));
    let covered = high - low;
    if covered >= COVERED * white || covered <= 0.0 {
        return Some([0.0, white]);
    }
    Some([low - 0.5 * covered, high + 0.5 * covered])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `values` of a file of 16 bits.
    fn deep(values: impl Iterator<Item = u32>) -> Image {
        let pixels: Vec<f32> = values.map(|v| v as f32 / LARGEST).collect();
        Image { height: 1, width: pixels.len(), channels: 1, pixels }
    }

    #[test]
    fn the_same_image_looks_the_same_in_every_depth() {
        for most in [255u32, 1023, 4095, 16383, 65535] {
            let image = deep((0..1000).map(|i| most * i / 999));
            let range = depth_range(std::slice::from_ref(&image)).expect("a range");
            assert_eq!(range, [0.0, f64::from(most as f32 / LARGEST)], "{most}");
            let read = image.in_range(range);
            let ends = [read.pixels[0], read.pixels[500], read.pixels[999]];
            assert!(
                (ends[1] - 0.5).abs() < 0.005 && (ends[2] - 1.0).abs() < 1e-5 && ends[0] == 0.0,
                "{ends:?}"
            );
        }
    }

    #[test]
    fn small_ranges_are_brought_to_the_middle_half() {
        let image = deep((0..2001).map(|i| 29_000 + i));
        let read = image.clone().in_range(depth_range(&[image]).expect("a range"));
        assert!((read.pixels[0] - 0.25).abs() < 0.01 && (read.pixels[2000] - 0.75).abs() < 0.01);
        // One value everywhere has no range of its own.
        assert_eq!(
            depth_range(&[deep([300u32; 9].into_iter())]),
            Some([0.0, f64::from(1023.0f32 / LARGEST)])
        );
    }

    #[test]
    fn eight_bits_have_no_range() {
        let bytes = |scale: u32| deep((0..256).map(move |v| v * scale));
        assert_eq!(depth_range(&[bytes(257)]), None);
        assert!(depth_range(&[bytes(257), bytes(16)]).is_some());
        assert_eq!(depth_range(&[]), None);
        // A few hot pixels do not make 12 bits 16.
        let hot = deep((0..100_000).map(|i| if i % 5000 == 0 { 65_535 } else { i % 4096 }));
        assert_eq!(depth_range(&[hot]), Some([0.0, f64::from(4095.0f32 / LARGEST)]));
    }
}

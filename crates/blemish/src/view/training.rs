//! What the training images are like, and how an image differs from them, in words.

use serde::{Deserialize, Serialize};

use crate::image::ImageFacts;

/// Relative difference of the shape (height over width) that is remarked on, beyond what the training images show.
const SHAPE: f64 = 0.05;
/// By how much longer or shorter the sides are, relative to the training images', before it is remarked on.
const SCALE: f64 = 1.5;
/// Grey levels, of 0 to 1, beyond the range of the training images' brightness that are remarked on.
const BRIGHTNESS: f32 = 0.1;

/// What the training images are like: sizes, channels, depth, brightness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingFacts {
    /// Median height and width.
    pub size: [usize; 2],
    /// Least and largest height over width.
    pub shape: [f64; 2],
    /// Whether any shape will do: images of a surface that keep their scale.
    #[serde(default)]
    pub any_shape: bool,
    /// Least and largest length of the longer side.
    pub longer: [usize; 2],
    /// 1 where all are grey, else 3.
    pub channels: usize,
    /// Bits a sample of most of them.
    pub bits: u32,
    /// Least and largest mean grey level.
    pub brightness: [f32; 2],
}

impl TrainingFacts {
    /// What these images have in common; `None` without images.
    pub fn of(images: &[ImageFacts]) -> Option<Self> {
        let first = images.first()?;
        let median = |side: usize| {
            let mut sides: Vec<usize> = images.iter().map(|facts| facts.size[side]).collect();
            sides.sort_unstable();
            sides[sides.len() / 2]
        };
        let ends = |of: &dyn Fn(&ImageFacts) -> f64| {
            images.iter().map(of).fold([f64::INFINITY, 0.0f64], |[low, high], v| [low.min(v), high.max(v)])
        };
        let count = |bits: u32| images.iter().filter(|facts| facts.bits == bits).count();
        let brightness = ends(&|facts| f64::from(facts.brightness));
        Some(Self {
            size: [median(0), median(1)],
            shape: ends(&shape),
            any_shape: false,
            longer: ends(&|facts| longer(facts) as f64).map(|side| side as usize),
            channels: images.iter().map(|facts| facts.channels).max()?,
            bits: images.iter().map(|facts| facts.bits).max_by_key(|&bits| count(bits)).unwrap_or(first.bits),
            brightness: brightness.map(|v| v as f32),
        })
    }

    /// The same, where the shape of an image says nothing.
    #[must_use]
    pub fn of_any_shape(self, any_shape: bool) -> Self {
        Self { any_shape, ..self }
    }
}

fn shape(facts: &ImageFacts) -> f64 {
    facts.size[0] as f64 / facts.size[1].max(1) as f64
}

fn longer(facts: &ImageFacts) -> usize {
    facts.size[0].max(facts.size[1])
}

/// How an image differs from the training images, one sentence each; nothing where it is like them.
pub fn unlike(image: &ImageFacts, training: &TrainingFacts) -> Vec<String> {
    let mut differences = Vec::new();
    let ([height, width], [median_height, median_width]) = (image.size, training.size);
    let sizes =
        format!("{width} x {height} pixels, where the training images have {median_width} x {median_height}");
    let [flattest, tallest] = training.shape;
    let shapes = flattest / (1.0 + SHAPE)..=tallest * (1.0 + SHAPE);
    if !training.any_shape && !shapes.contains(&shape(image)) {
        differences.push(format!("another shape: {sizes}"));
    } else {
        let side = longer(image) as f64;
        let [shortest, longest] = training.longer.map(|side| side as f64);
        if side * SCALE < shortest || side > longest * SCALE {
            differences.push(format!("another scale: {sizes}"));
        }
    }
    let colours = |channels: usize| if channels == 1 { "grey" } else { "in colour" };
    if image.channels != training.channels {
        let (own, training) = (colours(image.channels), colours(training.channels));
        differences.push(format!("the image is {own}, where the training images are {training}"));
    }
    if image.bits != training.bits {
        let (own, training) = (image.bits, training.bits);
        differences.push(format!("another depth: {own} bits, where the training images have {training}"));
    }
    let [darkest, brightest] = training.brightness;
    let than = |word: &str, end: &str, of: f32| {
        let percent = |v: f32| 100.0 * v;
        format!(
            "{word}: a mean grey level of {:.0} % of white, where the {end} training image has {:.0} %",
            percent(image.brightness),
            percent(of)
        )
    };
    if image.brightness < darkest - BRIGHTNESS {
        differences.push(than("much darker", "darkest", darkest));
    } else if image.brightness > brightest + BRIGHTNESS {
        differences.push(than("much brighter", "brightest", brightest));
    }
    differences
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn facts(size: [usize; 2], channels: usize, bits: u32, brightness: f32) -> ImageFacts {
        ImageFacts { size, channels, bits, brightness }
    }

    #[test]
    fn differences_are_named_one_by_one() {
        let images: Vec<ImageFacts> =
            (0..9u8).map(|i| facts([200, 300], 3, 8, 0.4 + 0.01 * f32::from(i))).collect();
        let training = TrainingFacts::of(&images).unwrap();
        assert_eq!((training.size, training.channels, training.bits), ([200, 300], 3, 8));
        assert!(images.iter().all(|image| unlike(image, &training).is_empty()));
        assert!(unlike(&facts([220, 330], 3, 8, 0.35), &training).is_empty());
        for (image, words) in [
            (
                facts([300, 200], 3, 8, 0.4),
                "another shape: 200 x 300 pixels, where the training images have 300 x 200",
            ),
            (facts([200, 256], 3, 8, 0.4), "another shape"),
            (facts([1000, 1500], 3, 8, 0.4), "another scale"),
            (facts([100, 150], 3, 8, 0.4), "another scale"),
            (facts([200, 300], 1, 8, 0.4), "the image is grey, where the training images are in colour"),
            (facts([200, 300], 3, 16, 0.4), "another depth: 16 bits, where the training images have 8"),
            (facts([200, 300], 3, 8, 0.1), "much darker"),
            (facts([200, 300], 3, 8, 0.9), "much brighter: a mean grey level of 90 % of white"),
        ] {
            let differences = unlike(&image, &training);
            assert!(differences.len() == 1 && differences[0].contains(words), "{differences:?}");
        }
        assert_eq!(unlike(&facts([90, 90], 1, 16, 0.0), &training).len(), 4);
    }

    #[test]
    fn images_of_many_sizes_allow_what_lies_between() {
        let sizes = [[100, 400], [400, 100], [300, 300]];
        let training = TrainingFacts::of(&sizes.map(|size| facts(size, 1, 8, 0.5))).unwrap();
        assert!(unlike(&facts([200, 250], 1, 8, 0.5), &training).is_empty());
        assert_eq!(unlike(&facts([50, 400], 1, 8, 0.5), &training).len(), 1);
        assert!(unlike(&facts([50, 400], 1, 8, 0.5), &training.clone().of_any_shape(true)).is_empty());
        assert_eq!(TrainingFacts::of(&[]), None);
    }
}

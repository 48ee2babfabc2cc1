//! What the training images are like, and how an image differs from them, in words.

use serde::{Deserialize, Serialize};

use crate::image::{BlankReason, ImageFacts};
use crate::number::some_of;

/// Relative difference of the shape (height over width) that is remarked on, beyond what the training images show.
const SHAPE: f64 = 0.05;
/// By how much longer or shorter the sides are, relative to the training images', before it is remarked on.
const SCALE: f64 = 1.5;
/// Grey levels, of 0 to 1, beyond the range of the training images' brightness that are remarked on.
const BRIGHTNESS: f32 = 0.1;
/// An image with less than these shares of the least and of the median contrast of good images shows nothing: the light is off or the frame
/// over-exposed. The least contrast is 0.5 to 0.86 of the median on three real sets.
const FAINT: [f32; 2] = [0.5, 0.3];
/// Of the median contrast, an image with less than this share is not learnt: good images may differ, and the next image is compared with the
/// least of them.
const NOT_LEARNT: f32 = 0.2;

/// What the training images are like: sizes, channels, depth, brightness, contrast.
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
    /// Least and median contrast; models of earlier versions do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contrast: Option<[f32; 2]>,
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
        let mut contrasts: Vec<f32> = images.iter().map(|facts| facts.contrast).collect();
        contrasts.sort_unstable_by(f32::total_cmp);
        Some(Self {
            size: [median(0), median(1)],
            shape: ends(&shape),
            any_shape: false,
            longer: ends(&|facts| longer(facts) as f64).map(|side| side as usize),
            channels: images.iter().map(|facts| facts.channels).max()?,
            bits: images.iter().map(|facts| facts.bits).max_by_key(|&bits| count(bits)).unwrap_or(first.bits),
            brightness: brightness.map(|v| v as f32),
            contrast: Some([contrasts[0], contrasts[contrasts.len() / 2]]),
        })
    }

    /// Why an image shows nothing beside the training images.
    pub fn blank(&self, image: &ImageFacts) -> Option<BlankReason> {
        let [least, median] = self.contrast?;
        let limit = (FAINT[0] * least).min(FAINT[1] * median);
        (image.contrast < limit).then_some(BlankReason::Faint)
    }

    /// The same, where the shape of an image says nothing.
    #[must_use]
    pub fn of_any_shape(self, any_shape: bool) -> Self {
        Self { any_shape, ..self }
    }
}

/// Why an image of this contrast shows nothing beside those to be learnt, which have this median contrast.
pub(crate) fn faint(contrast: f32, median: f32) -> Option<BlankReason> {
    (contrast < NOT_LEARNT * median).then_some(BlankReason::Faint)
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

/// How many of some images are unlike the training images, and how the first of these is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Differences {
    seen: usize,
    unlike: usize,
    first: Option<String>,
}

impl Differences {
    /// Adds the image called `name`; without facts of the training images none is unlike them.
    pub(crate) fn add(&mut self, name: &str, image: &ImageFacts, training: Option<&TrainingFacts>) {
        self.seen += 1;
        let differences = training.map(|training| unlike(image, training)).unwrap_or_default();
        if !differences.is_empty() {
            self.unlike += 1;
            self.first.get_or_insert_with(|| format!("{name}: {}", differences.join("; ")));
        }
    }

    /// How many are unlike them.
    pub(crate) fn count(&self) -> usize {
        self.unlike
    }

    /// The same in a sentence, where there are some; `what` is what one of the images is called.
    pub(crate) fn in_words(&self, what: &str) -> Option<String> {
        let first = self.first.as_ref()?;
        let those = some_of(self.unlike, self.seen, what);
        Some(format!("{those} unlike those that the model was fitted on, such as {first}"))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn facts(size: [usize; 2], channels: usize, bits: u32, brightness: f32) -> ImageFacts {
        ImageFacts { size, channels, bits, brightness, contrast: 0.4 }
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
    fn next_to_no_contrast_is_blank_beside_images_that_have_some() {
        let of = |contrast: f32| ImageFacts { contrast, ..facts([20, 30], 1, 8, 0.4) };
        let training = TrainingFacts::of(&[of(0.4), of(0.6)]).unwrap();
        assert_eq!(training.contrast, Some([0.4, 0.6]));
        assert_eq!(training.blank(&of(0.17)), Some(BlankReason::Faint));
        assert_eq!(training.blank(&of(0.19)), None);
        let varied = TrainingFacts::of(&[of(0.1), of(0.6), of(0.6)]).unwrap();
        assert_eq!([0.04, 0.06].map(|contrast| varied.blank(&of(contrast)).is_some()), [true, false]);
        assert_eq!([0.11, 0.13].map(|contrast| faint(contrast, 0.6).is_some()), [true, false]);
        let earlier = TrainingFacts { contrast: None, ..training };
        assert_eq!(earlier.blank(&of(0.0)), None);
    }

    #[test]
    fn differences_are_counted_and_the_first_is_named() {
        let training = TrainingFacts::of(&[facts([200, 300], 3, 8, 0.4)]).unwrap();
        let mut differences = Differences::default();
        differences.add("a.png", &facts([200, 300], 3, 8, 0.4), Some(&training));
        differences.add("b.png", &facts([90, 90], 1, 8, 0.4), None);
        assert_eq!((differences.count(), differences.in_words("image")), (0, None));
        differences.add("c.png", &facts([200, 300], 1, 8, 0.4), Some(&training));
        let told = "1 of 3 images is unlike those that the model was fitted on, such as c.png: the image is grey, where the \
                    training images are in colour";
        assert_eq!(differences.in_words("image").unwrap(), told);
        differences.add("d.png", &facts([200, 300], 3, 16, 0.4), Some(&training));
        assert!(differences.in_words("image").unwrap().starts_with("2 of 4 images are unlike"));
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

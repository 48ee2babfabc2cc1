//! Defects put on photos: for an estimate of what a detector finds on a product that nobody has modelled.

use blemish::Image;
use blemish::fit::DefectSource;

use crate::defect::{Region, walk};
use crate::random::{Random, chance, pick, random, uniform};

/// Which of a seed's random streams places a defect.
const PLACE: u64 = 11;
/// The least range of grey levels that a contrast is a share of.
const LEAST_RANGE: f32 = 0.1;

/// Scratches, spots and stains of a stated contrast: a share of the range of the photo's grey levels (from the 2nd percentile to
/// the 98th), darker or brighter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhotoDefects;

/// A kind: its name, its contrast, how it is drawn.
struct Kind {
    name: &'static str,
    contrast: f32,
    draw: fn(&mut Random, [usize; 2], [f32; 2], f32) -> Region,
}

const KINDS: [Kind; 3] = [
    Kind {
        name: "scratches",
        contrast: 0.25,
        draw: |rng, size, centre, length| {
            let width = uniform(rng, 1.0, 2.0);
            Region::strokes(size, &[walk(rng, centre, length, [width, 0.03], 0.0)])
        },
    },
    Kind {
        name: "spots",
        contrast: 0.25,
        draw: |rng, size, centre, length| Region::blob(rng, size, centre, length, 0.2),
    },
    Kind {
        name: "stains",
        contrast: 0.12,
        draw: |rng, size, centre, length| Region::blob(rng, size, centre, length, 0.8),
    },
];

impl PhotoDefects {
    /// What the kinds are, in words: contrast and shape.
    pub fn describe() -> &'static str {
        "generated scratches (1 to 2 px wide) and spots of a quarter, soft stains of an eighth of the range of grey levels"
    }
}

impl DefectSource for PhotoDefects {
    fn kinds(&self) -> Vec<String> {
        KINDS.iter().map(|kind| kind.name.to_owned()).collect()
    }

    fn draw(&self, image: &Image, allowed: &[f32], kind: usize, size: f32, seed: u64) -> Option<Image> {
        let kind = KINDS.get(kind)?;
        let mut rng = random(seed, PLACE);
        let places: Vec<usize> = (0..allowed.len()).filter(|&at| allowed[at] > 0.0).collect();
        if places.is_empty() || !(size.is_finite() && size > 0.0) {
            return None;
        }
        let at = pick(&mut rng, &places);
        let centre = [(at / image.width) as f32, (at % image.width) as f32];
        let region = (kind.draw)(&mut rng, [image.height, image.width], centre, size).within(allowed);
        let mut grey = image.grey();
        let [low, high] = [0.02, 0.98].map(|share: f32| {
            let rank = (share * (grey.len() - 1) as f32) as usize;
            *grey.select_nth_unstable_by(rank, f32::total_cmp).1
        });
        let delta = kind.contrast * (high - low).max(LEAST_RANGE);
        let channels = image.channels;
        let here = image.pixels[at * channels];
        // Whichever way there is room.
        let up = if here + delta > 1.0 { false } else { here < delta || chance(&mut rng, 0.5) };
        let (mut out, mut drawn) = (image.clone(), 0.0);
        region.each(|at, _, _, alpha| {
            drawn += alpha;
            for v in &mut out.pixels[at * channels..][..channels] {
                *v = (*v + if up { delta } else { -delta } * alpha).clamp(0.0, 1.0);
            }
        });
        (drawn > 0.5).then_some(out)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn photo(channels: usize) -> Image {
        let pixels =
            (0..64 * 64 * channels).map(|i| 0.3 + 0.4 * ((i / channels * 7 % 64) as f32 / 64.0)).collect();
        Image { height: 64, width: 64, channels, pixels }
    }

    fn changed(a: &Image, b: &Image) -> Vec<usize> {
        let pixels = a.pixels.chunks(a.channels).zip(b.pixels.chunks(a.channels));
        pixels.enumerate().filter(|(_, (a, b))| a != b).map(|(at, _)| at).collect()
    }

    #[test]
    fn defects_have_their_size_their_place_and_their_contrast() {
        let image = photo(3);
        let mut allowed = vec![0.0; 64 * 64];
        (0..64 * 64).filter(|at| at % 64 >= 32).for_each(|at| allowed[at] = 1.0);
        for kind in 0..3 {
            let mut areas = Vec::new();
            for size in [4.0, 8.0, 16.0] {
                let mut area = 0;
                for seed in 0..10 {
                    let drawn = PhotoDefects.draw(&image, &allowed, kind, size, seed).unwrap();
                    assert_eq!(drawn, PhotoDefects.draw(&image, &allowed, kind, size, seed).unwrap());
                    let at = changed(&image, &drawn);
                    assert!(at.iter().all(|at| at % 64 >= 32) && !at.is_empty());
                    let most = drawn
                        .pixels
                        .iter()
                        .zip(&image.pixels)
                        .map(|(a, b)| (a - b).abs())
                        .fold(0.0, f32::max);
                    assert!((0.03..0.11).contains(&most), "{kind} {size}: {most}");
                    area += at.len();
                }
                areas.push(area);
            }
            assert!(areas.is_sorted_by(|a, b| a < b), "{kind}: {areas:?}");
        }
    }

    #[test]
    fn what_cannot_be_drawn_is_none() {
        let image = photo(1);
        assert!(PhotoDefects.draw(&image, &[0.0; 64 * 64], 0, 8.0, 0).is_none());
        assert!(PhotoDefects.draw(&image, &[1.0; 64 * 64], 9, 8.0, 0).is_none());
        assert!(PhotoDefects.draw(&image, &[1.0; 64 * 64], 0, f32::NAN, 0).is_none());
    }
}

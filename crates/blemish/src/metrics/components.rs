//! 8-connected regions of a ground-truth mask, and of an anomaly map above a threshold.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::image::PixelMask;

/// The 8-connected components of a mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Components {
    /// `[H, W]`: 0 = good, 1 ..= `count` = the component, numbered by its first pixel in row-major order.
    pub labels: Vec<u32>,
    /// How many there are.
    pub count: usize,
}

/// Share of a region's peak below which its border lies. A map falls off around a defect over the width of what it was made from: from
/// a defect that is many times beyond what is normal, even what lies far beside it is beyond that.
const BORDER: f32 = 0.25;

/// A connected part of an anomaly map at or above a threshold, with its bounding box in pixels of that map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// Leftmost column.
    pub x: usize,
    /// Topmost row.
    pub y: usize,
    /// Columns of the box, at least 1.
    pub width: usize,
    /// Rows of the box, at least 1.
    pub height: usize,
    /// Pixels of the region itself, at most `width * height`.
    pub area: usize,
    /// The highest score in it.
    pub peak: f32,
}

impl Region {
    /// The same region in an image that is `[y, x]` times as large: the box rounded outwards, the area to the nearest
    /// number of pixels, at least 1.
    pub fn scaled(self, [y, x]: [f32; 2]) -> Self {
        // A factor such as 500 / 224 is not exact: a thousandth of a pixel must not cost a whole one.
        const SLACK: f64 = 1e-3;
        let span = |start: usize, length: usize, factor: f32| {
            let factor = f64::from(factor);
            let first = (start as f64 * factor + SLACK).floor() as usize;
            let end = ((start + length) as f64 * factor - SLACK).ceil() as usize;
            (first, end.saturating_sub(first).max(1))
        };
        let (left, width) = span(self.x, self.width, x);
        let (top, height) = span(self.y, self.height, y);
        let area = (self.area as f64 * f64::from(y) * f64::from(x)).round().max(1.0) as usize;
        Self { x: left, y: top, width, height, area, ..self }
    }
}

/// Labels the 8-connected components of `mask`, `[H, W]`: pixels that touch at a side or a corner belong
/// together.
///
/// # Errors
/// [`Error::Metric`] if the mask does not have `height * width` pixels.
pub fn connected_components(mask: &PixelMask) -> Result<Components> {
    let PixelMask { height, width, ref pixels } = *mask;
    if height.checked_mul(width) != Some(pixels.len()) {
        let pixels = pixels.len();
        return Err(Error::Metric(format!("{pixels} pixels do not make up {height} rows of {width}")));
    }
    let (mut labels, mut count, mut open) = (vec![0; pixels.len()], 0, Vec::new());
    for first in 0..pixels.len() {
        if pixels[first] == 0 || labels[first] != 0 {
            continue;
        }
        count += 1;
        labels[first] = count;
        open.push(first);
        while let Some(at) = open.pop() {
            let (y, x) = (at / width, at % width);
            for y in y.saturating_sub(1)..height.min(y + 2) {
                for near in y * width + x.saturating_sub(1)..y * width + width.min(x + 2) {
                    if pixels[near] != 0 && labels[near] == 0 {
                        labels[near] = count;
                        open.push(near);
                    }
                }
            }
        }
    }
    Ok(Components { labels, count: count as usize })
}

/// The 8-connected regions of `map`, `[H, W]`, with scores >= `threshold`; the highest peak first, then the
/// largest area, then row-major order. There may be none.
///
/// # Errors
/// [`Error::Metric`] if the map does not have `height * width` values, or if a value or the threshold is NaN.
pub fn regions(map: &[f32], height: usize, width: usize, threshold: f64) -> Result<Vec<Region>> {
    if threshold.is_nan() || map.iter().any(|score| score.is_nan()) {
        return Err(Error::Metric("the anomaly map or the threshold holds NaN".into()));
    }
    let pixels = map.iter().map(|&score| u8::from(f64::from(score) >= threshold)).collect();
    let labels = connected_components(&PixelMask { height, width, pixels })?.labels;

    let mut regions: Vec<Region> = Vec::new();
    for (at, (&label, &score)) in labels.iter().zip(map).enumerate().filter(|(_, (label, _))| **label != 0) {
        let (y, x) = (at / width, at % width);
        if label as usize > regions.len() {
            // Components are numbered by their first pixel, so a new one always comes next, at its topmost
            // row.
            regions.push(Region { x, y, width: 1, height: 1, area: 0, peak: score });
        }
        let region = &mut regions[label as usize - 1];
        let right = (region.x + region.width).max(x + 1);
        region.x = region.x.min(x);
        region.width = right - region.x;
        region.height = y + 1 - region.y;
        region.area += 1;
        region.peak = region.peak.max(score);
    }
    regions.sort_by(|a, b| b.peak.total_cmp(&a.peak).then(b.area.cmp(&a.area)));
    Ok(regions)
}

/// Which pixels of a map of whole rows of `width` are outlined: those of its [`regions`] at or above `from`, as far as they reach a quarter
/// of their region's peak. Each region keeps its peak, whatever lies beside it. What is no number is not outlined.
pub fn outlined(map: &[f32], width: usize, from: f32) -> Vec<bool> {
    let pixels = map.iter().map(|&score| u8::from(score >= from)).collect();
    let mask = PixelMask { height: map.len() / width.max(1), width, pixels };
    let Ok(Components { labels, count }) = connected_components(&mask) else { return vec![false; map.len()] };
    let mut borders = vec![from; count + 1];
    for (&label, &score) in labels.iter().zip(map) {
        let border = &mut borders[label as usize];
        *border = border.max(BORDER * score);
    }
    labels.iter().zip(map).map(|(&label, &score)| label != 0 && score >= borders[label as usize]).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn an_outline_ends_at_a_quarter_of_its_own_region_s_peak() {
        let map = [0.9, 1.9, 2.1, 8.0, 1.5, 0.0, 1.1];
        assert_eq!(outlined(&map, 7, 1.0), [false, false, true, true, false, false, true]);
        // Up to four times the threshold everything above it is outlined.
        assert_eq!(outlined(&[1.0, 4.0, 0.9], 3, 1.0), [true, true, false]);
        assert_eq!(outlined(&map, 7, f32::INFINITY), [false; 7]);
        assert_eq!(outlined(&[f32::NAN, 2.0], 1, 1.0), [false, true]);
        assert_eq!(outlined(&[], 0, 1.0), [false; 0]);
    }

    /// A mask drawn with `#`, one string a row.
    fn mask(rows: &[&str]) -> PixelMask {
        let pixels: Vec<u8> = rows.concat().bytes().map(|b| u8::from(b == b'#')).collect();
        PixelMask { height: rows.len(), width: rows[0].len(), pixels }
    }

    #[test]
    fn corners_connect_and_labels_follow_row_major_order() {
        let components = connected_components(&mask(&["#..#", ".#..", "...#"])).unwrap();
        assert_eq!(components.labels, [1, 0, 0, 2, 0, 1, 0, 0, 0, 0, 0, 3]);
        assert_eq!(components.count, 3);
    }

    #[test]
    fn scaling_rounds_boxes_outwards() {
        let region = Region { x: 1, y: 2, width: 3, height: 1, area: 3, peak: 0.5 };
        let scaled = Region { x: 2, y: 1, width: 8, height: 1, area: 4, peak: 0.5 };
        assert_eq!(region.clone().scaled([0.5, 2.5]), scaled);
        assert_eq!(region.clone().scaled([1.0, 1.0]), region);
        // The right and the lower edge stay within the image.
        for side in 1..5000 {
            let edge = Region { x: 200, y: 0, width: 24, height: 224, area: 1, peak: 0.5 };
            let factor = side as f32 / 224.0;
            let scaled = edge.scaled([factor, factor]);
            assert_eq!((scaled.height, scaled.x + scaled.width), (side, side));
        }
    }

    #[test]
    fn rows_do_not_wrap_around() {
        let components = connected_components(&mask(&["...#", "#..."])).unwrap();
        assert_eq!(components.count, 2);
    }

    #[test]
    fn arms_that_meet_late_are_one_component() {
        assert_eq!(connected_components(&mask(&["#.#.#", "#.#.#", ".#.#."])).unwrap().count, 1);
        let spiral = mask(&["######", ".....#", "####.#", "#..#.#", "#.##.#", "#....#", "######"]);
        assert_eq!(connected_components(&spiral).unwrap().count, 1);
    }

    #[test]
    fn empty_full_and_sizeless_masks() {
        assert_eq!(connected_components(&PixelMask::empty(3, 4)).unwrap().count, 0);
        assert_eq!(connected_components(&PixelMask::empty(0, 4)).unwrap().count, 0);
        let full = PixelMask { height: 3, width: 2, pixels: vec![255; 6] };
        assert_eq!(connected_components(&full).unwrap(), Components { labels: vec![1; 6], count: 1 });
    }

    #[test]
    fn a_size_that_does_not_fit_is_an_error() {
        let broken = PixelMask { height: 3, width: 2, pixels: vec![1; 5] };
        assert!(connected_components(&broken).is_err());
        let overflowing = PixelMask { height: usize::MAX, width: 2, pixels: vec![1; 5] };
        assert!(connected_components(&overflowing).is_err());
        assert!(regions(&[0.0; 5], 2, 3, 0.5).unwrap_err().to_string().contains("5 pixels"));
    }

    #[test]
    fn regions_have_boxes_and_come_by_peak() {
        #[rustfmt::skip]
        let map = [
            0.0, 0.5, 0.0, 0.0, 0.9,
            0.6, 0.0, 0.0, 0.0, 0.0,
            0.0, 0.7, 0.8, 0.0, 0.9,
            0.0, 0.0, 0.0, 0.0, 0.9,
        ];
        let expected = [
            Region { x: 4, y: 2, width: 1, height: 2, area: 2, peak: 0.9 },
            Region { x: 4, y: 0, width: 1, height: 1, area: 1, peak: 0.9 },
            Region { x: 0, y: 0, width: 3, height: 3, area: 4, peak: 0.8 },
        ];
        assert_eq!(regions(&map, 4, 5, 0.5).unwrap(), expected);
        assert_eq!(regions(&map, 4, 5, 0.95).unwrap(), []);
    }

    #[test]
    fn nan_is_refused() {
        assert!(regions(&[f32::NAN], 1, 1, 0.5).is_err());
        assert!(regions(&[0.0], 1, 1, f64::NAN).is_err());
    }
}

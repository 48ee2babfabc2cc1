//! What was found in an image, drawn into it at its own size and shape, with score, threshold, verdict and colour scale below.

use super::font;
use super::heatmap::{FOUND_COLOUR, TRUTH_COLOUR, colour_map, draw_outline, mix, to_rgb};
use super::number::significant;
use crate::image::{ByteImage, PixelMask};

/// Largest share of the heat colour: what lies below must remain visible.
const TINT: f32 = 0.3;
/// Columns at the least, for the text.
const LEAST_WIDTH: usize = 290;
const PAPER: [u8; 3] = [22, 25, 29];
const INK: [u8; 3] = [236, 240, 244];

/// What is written below the image, and how its map is coloured.
#[derive(Clone, Debug)]
pub struct Caption {
    /// `good`, `defective` or such.
    pub verdict: String,
    /// The image's score.
    pub score: f32,
    /// What it was compared with.
    pub threshold: f32,
    /// Whether the verdict is written in the colour of an alarm.
    pub alarm: bool,
    /// From which map value on a pixel is outlined.
    pub outlined_from: f32,
    /// Map value shown in the hottest colour.
    pub scale_max: f32,
}

/// The image with a faint tint where the map comes near the threshold, a line around what is found, one around the ground
/// truth, where that is known, and the caption below. It is never smaller than the image, whose pixels keep their size.
///
/// # Shapes
/// `map` and `truth` have the image's height and width.
pub fn annotated(image: &ByteImage, map: &[f32], caption: &Caption, truth: Option<&PixelMask>) -> ByteImage {
    let mut drawn = to_rgb(image);
    let mut found = vec![false; image.height * image.width];
    // Most of a good image comes near half the threshold: that is no finding.
    let tinted_from = 0.4 * caption.scale_max;
    for ((pixel, found), &value) in drawn.pixels.chunks_exact_mut(3).zip(&mut found).zip(map) {
        *found = value >= caption.outlined_from;
        let share = TINT * ((value - tinted_from) / (0.5 * tinted_from + f32::MIN_POSITIVE)).clamp(0.0, 1.0);
        if share > 0.0 {
            let base = [pixel[0], pixel[1], pixel[2]];
            pixel.copy_from_slice(&mix(base, colour_map(value / caption.scale_max), share));
        }
    }
    draw_outline(&mut drawn, &found, FOUND_COLOUR);
    if let Some(truth) = truth.filter(|m| (m.height, m.width) == (image.height, image.width)) {
        let truth: Vec<bool> = truth.pixels.iter().map(|&v| v != 0).collect();
        draw_outline(&mut drawn, &truth, TRUTH_COLOUR);
    }
    with_caption(&drawn, caption)
}

fn with_caption(image: &ByteImage, caption: &Caption) -> ByteImage {
    let width = image.width.max(LEAST_WIDTH);
    let [score, threshold] = [caption.score, caption.threshold].map(|v| significant(Some(f64::from(v))));
    let rest = format!("score {score}  threshold {threshold}");
    let verdict = caption.verdict.to_uppercase();
    let letters = (verdict.len() + 2 + rest.len()) * font::ADVANCE;
    let wanted = (image.height.max(image.width) as f32 / 450.0).round() as usize;
    let scale = wanted.min(width / (letters + 12)).max(1);
    let (margin, line) = (6 * scale, (font::HEIGHT + 4) * scale);
    let height = image.height + 2 * margin + 2 * line;
    let mut page = ByteImage {
        height,
        width,
        channels: 3,
        pixels: PAPER.iter().copied().cycle().take(height * width * 3).collect(),
    };
    for (row, pixels) in image.pixels.chunks_exact((image.width * 3).max(1)).enumerate() {
        page.pixels[row * width * 3..][..pixels.len()].copy_from_slice(pixels);
    }
    let top = image.height + margin;
    let colour = if caption.alarm { [255, 120, 190] } else { [130, 220, 170] };
    write(&mut page, &verdict, [top, margin], scale, colour);
    write(&mut page, &rest, [top, margin + (verdict.len() + 2) * font::ADVANCE * scale], scale, INK);
    draw_scale(&mut page, caption, [top + line, margin], scale);
    page
}

/// The colours from 0 to the hottest, with a mark where a pixel is as anomalous as the threshold.
fn draw_scale(page: &mut ByteImage, caption: &Caption, [top, left]: [usize; 2], scale: usize) {
    let last = significant(Some(f64::from(caption.scale_max)));
    let text = |letters: usize| letters * font::ADVANCE * scale;
    let begin = left + text(2);
    let end = page.width.saturating_sub(left + text(last.len() + 1)).min(begin + 240 * scale);
    write(page, "0", [top, left], scale, INK);
    write(page, &last, [top, end + text(1) / 2], scale, INK);
    let long = end.saturating_sub(begin).max(1);
    let mark = (caption.threshold / caption.scale_max * long as f32) as usize;
    for x in 0..long {
        let marked = x.abs_diff(mark) < scale.max(2) / 2 + 1;
        let colour = if marked { INK } else { colour_map(x as f32 / long as f32) };
        let rows = if marked { 0..font::HEIGHT * scale } else { scale..(font::HEIGHT - 1) * scale };
        rows.for_each(|y| put(page, top + y, begin + x, colour));
    }
}

fn write(page: &mut ByteImage, text: &str, [top, left]: [usize; 2], scale: usize, colour: [u8; 3]) {
    for [row, column] in font::pixels(text) {
        for (y, x) in (0..scale).flat_map(|y| (0..scale).map(move |x| (y, x))) {
            put(page, top + row * scale + y, left + column * scale + x, colour);
        }
    }
}

fn put(page: &mut ByteImage, y: usize, x: usize, colour: [u8; 3]) {
    if y < page.height && x < page.width {
        page.pixels[3 * (y * page.width + x)..][..3].copy_from_slice(&colour);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caption(outlined_from: f32) -> Caption {
        let (verdict, alarm) = ("defective".to_owned(), true);
        Caption { verdict, score: 1.5, threshold: 1.0, alarm, outlined_from, scale_max: 2.0 }
    }

    fn pixel(image: &ByteImage, y: usize, x: usize) -> [u8; 3] {
        let i = 3 * (y * image.width + x);
        [image.pixels[i], image.pixels[i + 1], image.pixels[i + 2]]
    }

    #[test]
    fn size_and_shape_stay_and_a_defect_shows_through() {
        let image = ByteImage { height: 300, width: 400, channels: 1, pixels: vec![100; 120_000] };
        let mut map = vec![0.0; 120_000];
        (100..110).for_each(|y| map[y * 400 + 50..y * 400 + 60].fill(2.0));
        let drawn = annotated(&image, &map, &caption(1.0), None);
        assert_eq!(drawn.width, 400);
        assert!((300..360).contains(&drawn.height), "{}", drawn.height);
        assert_eq!(pixel(&drawn, 0, 0), [100; 3]);
        assert_eq!(pixel(&drawn, 99, 55), FOUND_COLOUR);
        // 0.7 * 100 + 0.3 * [252, 255, 164]: the image keeps most of its contrast.
        assert_eq!(pixel(&drawn, 105, 55), [146, 147, 119]);
        assert!((300..drawn.height).any(|y| (0..400).any(|x| pixel(&drawn, y, x) == INK)));
    }

    #[test]
    fn small_images_get_room_for_the_text_and_nonsense_does_no_harm() {
        let image = ByteImage { height: 3, width: 2, channels: 3, pixels: vec![9; 18] };
        let truth = PixelMask { height: 3, width: 2, pixels: vec![0, 0, 0, 0, 0, 1] };
        let drawn = annotated(&image, &[f32::NAN; 6], &caption(f32::INFINITY), Some(&truth));
        assert_eq!(drawn.width, LEAST_WIDTH);
        assert_eq!([pixel(&drawn, 0, 0), pixel(&drawn, 2, 0)], [[9; 3], TRUTH_COLOUR]);
        let odd = Caption { scale_max: 0.0, score: f32::NAN, threshold: f32::INFINITY, ..caption(0.0) };
        annotated(&image, &[], &odd, None);
    }
}

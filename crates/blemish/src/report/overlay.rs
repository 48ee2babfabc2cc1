//! What was found in an image, drawn into it at its own size and shape, with score, threshold, verdict and colour scale below.

use super::font;
use super::heatmap::{FOUND_COLOUR, TRUTH_COLOUR, colour_map, draw_outline, found, heat, mix, to_rgb};
use crate::image::{ByteImage, PixelMask};
use crate::number::significant;

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

/// What is drawn beside an image: what a good product looks like in its place, and how that was found.
#[derive(Clone, Debug)]
pub struct Beside {
    /// In a word or two.
    pub title: &'static str,
    /// Of the size that [`beside_size`] says.
    pub image: ByteImage,
}

/// From this length of the longer side on, pixels, what is beside an image has half its size: the file must not grow too much.
const HALVED_FROM: usize = 512;
/// Pixels between an image and what is beside it.
const GAP: usize = 4;

/// Height and width of what is drawn beside an image of `size`.
pub fn beside_size(size: [usize; 2]) -> [usize; 2] {
    if is_halved(size) { size.map(|side| side / 2) } else { size }
}

fn is_halved(size: [usize; 2]) -> bool {
    size.iter().any(|side| *side >= HALVED_FROM)
}

/// The image with a faint tint where the map comes near the threshold, a line around what is found, one around the ground
/// truth, where that is known, and the caption below. It is never smaller than the image, whose pixels keep their size and place.
/// To its right what a good product looks like there, where that is known, and the map in the colours of the scale.
///
/// # Shapes
/// `map` and `truth` have the image's height and width.
pub fn annotated(
    image: &ByteImage,
    map: &[f32],
    caption: &Caption,
    truth: Option<&PixelMask>,
    beside: Option<&Beside>,
) -> ByteImage {
    let mut drawn = to_rgb(image);
    let found = found(map, image, caption.outlined_from);
    // Most of a good image comes near half the threshold: that is no finding.
    let tinted_from = 0.4 * caption.scale_max;
    for (pixel, &value) in drawn.pixels.chunks_exact_mut(3).zip(map) {
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
    let size = beside_size([image.height, image.width]);
    let fits = |beside: &&Beside| [beside.image.height, beside.image.width] == size;
    match beside.filter(fits) {
        Some(beside) => with_caption(&with_beside(&drawn, map, caption, beside), caption),
        None => with_caption(&drawn, caption),
    }
}

/// The image, and to its right what is expected and the map: one above the other at half the size, else side by side.
fn with_beside(drawn: &ByteImage, map: &[f32], caption: &Caption, beside: &Beside) -> ByteImage {
    let ByteImage { height, width, .. } = *drawn;
    let [h, w] = beside_size([height, width]);
    let step = height / h.max(1);
    let values: Vec<f32> =
        (0..h * w).map(|i| map.get(i / w * step * width + i % w * step).copied().unwrap_or(0.0)).collect();
    let panels = [(beside.title, to_rgb(&beside.image)), ("map", heat(&values, h, w, caption.scale_max))];
    let columns = if is_halved([height, width]) { 1 } else { 2 };
    let mut page = paper(height, width + columns * (GAP + w));
    paste(&mut page, drawn, [0, 0]);
    for (i, (title, panel)) in panels.iter().enumerate() {
        let corner = match columns {
            1 => [i * (height - h), width + GAP],
            _ => [0, width + GAP + i * (w + GAP)],
        };
        paste(&mut page, panel, corner);
        // The title on a strip of its own, as far as there is room.
        let scale = (h / 200).max(1);
        let long = ((title.len() * font::ADVANCE + 3) * scale).min(w);
        let strip = paper(((font::HEIGHT + 2) * scale).min(h), long);
        paste(&mut page, &strip, corner);
        if long == (title.len() * font::ADVANCE + 3) * scale {
            write(&mut page, title, corner.map(|at| at + 2 * scale), scale, INK);
        }
    }
    page
}

fn paper(height: usize, width: usize) -> ByteImage {
    let pixels = PAPER.iter().copied().cycle().take(height * width * 3).collect();
    ByteImage { height, width, channels: 3, pixels }
}

/// Lays `image` upon `page`, its upper left pixel at `top` and `left`; it must fit.
fn paste(page: &mut ByteImage, image: &ByteImage, [top, left]: [usize; 2]) {
    for (row, pixels) in image.pixels.chunks_exact((image.width * 3).max(1)).enumerate() {
        page.pixels[((top + row) * page.width + left) * 3..][..pixels.len()].copy_from_slice(pixels);
    }
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
    let mut page = paper(height, width);
    paste(&mut page, image, [0, 0]);
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
        let drawn = annotated(&image, &map, &caption(1.0), None, None);
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
        let drawn = annotated(&image, &[f32::NAN; 6], &caption(f32::INFINITY), Some(&truth), None);
        assert_eq!(drawn.width, LEAST_WIDTH);
        assert_eq!([pixel(&drawn, 0, 0), pixel(&drawn, 2, 0)], [[9; 3], TRUTH_COLOUR]);
        let odd = Caption { scale_max: 0.0, score: f32::NAN, threshold: f32::INFINITY, ..caption(0.0) };
        annotated(&image, &[], &odd, None, None);
    }

    #[test]
    fn what_is_expected_and_the_map_are_drawn_beside_an_image_that_stays_in_its_place() {
        for (size, page) in [([20, 30], [20, 98]), ([300, 512], [300, 772])] {
            let [height, width] = size;
            let image = ByteImage { height, width, channels: 1, pixels: vec![100; height * width] };
            let [h, w] = beside_size(size);
            let grey = ByteImage { height: h, width: w, channels: 1, pixels: vec![200; h * w] };
            let beside = Beside { title: "nearest good", image: grey };
            let map = vec![0.0; height * width];
            let drawn = annotated(&image, &map, &caption(1.0), None, Some(&beside));
            assert_eq!(drawn.width, page[1].max(LEAST_WIDTH), "{size:?}");
            assert_eq!([pixel(&drawn, 0, 0), pixel(&drawn, height - 1, width - 1)], [[100; 3]; 2]);
            assert_eq!(pixel(&drawn, h - 1, width + GAP), [200; 3]);
            // The map is black throughout, and lies beside or below.
            let at = if h < height { [height - 1, width + GAP] } else { [h - 1, width + 2 * GAP + w] };
            assert_eq!(pixel(&drawn, at[0], at[1]), colour_map(0.0));
            // One of another size is left out.
            let other =
                Beside { title: "x", image: ByteImage { height: 1, width: 1, channels: 1, pixels: vec![0] } };
            let plain = annotated(&image, &map, &caption(1.0), None, Some(&other));
            assert_eq!(plain.pixels, annotated(&image, &map, &caption(1.0), None, None).pixels);
        }
    }
}

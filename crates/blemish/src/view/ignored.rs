//! What parts see where nothing is to be found: nothing that is new there.

use crate::image::Image;

/// What a view shows where it is ignored. Parts look further than a pixel: what is only ignored on their maps would still disturb its
/// surroundings.
#[derive(Debug)]
pub struct Ignored {
    /// 1 where nothing is to be found, `[H, W]`.
    mask: Vec<f32>,
    filled: Vec<Filled>,
}

/// Pixels by their numbers.
#[derive(Debug)]
struct Filled {
    /// Ignored.
    at: usize,
    /// Inspected, and about the nearest.
    beside: usize,
    /// Inspected, and as far beyond that as the ignored one is on this side; the one beside it where there is none.
    mirrored: usize,
}

impl Ignored {
    /// Of `mask`, rows of `width`, which leaves something.
    pub fn new(mask: Vec<f32>, width: usize) -> Self {
        let (height, inspected) = (mask.len() / width, |at: usize| mask[at] == 0.0);
        // From all inspected pixels at once, a step further each time.
        let mut beside: Vec<Option<usize>> = (0..mask.len()).map(|at| inspected(at).then_some(at)).collect();
        let mut front: Vec<usize> = (0..mask.len()).filter(|&at| inspected(at)).collect();
        while !front.is_empty() {
            let mut next = Vec::new();
            for at in front {
                let (y, x) = (at / width, at % width);
                for row in y.saturating_sub(1)..(y + 2).min(height) {
                    for near in row * width + x.saturating_sub(1)..row * width + (x + 2).min(width) {
                        if beside[near].is_none() {
                            beside[near] = beside[at];
                            next.push(near);
                        }
                    }
                }
            }
            front = next;
        }
        let fill = |(at, beside): (usize, Option<usize>)| {
            let beside = beside.filter(|_| !inspected(at))?;
            let across = |from: usize, to: usize, end: usize| (2 * to).checked_sub(from).filter(|&v| v < end);
            let y = across(at / width, beside / width, height);
            let x = across(at % width, beside % width, width);
            let mirrored = y.zip(x).map(|(y, x)| y * width + x).filter(|&at| inspected(at));
            Some(Filled { at, beside, mirrored: mirrored.unwrap_or(beside) })
        };
        let filled = beside.into_iter().enumerate().filter_map(fill).collect();
        Self { mask, filled }
    }

    /// 1 where nothing is to be found, `[H, W]`.
    pub fn mask(&self) -> &[f32] {
        &self.mask
    }

    /// Replaces what is ignored by the mirror image of what lies beside it.
    pub fn mirror(&self, view: &mut Image) {
        for Filled { at, mirrored, .. } in &self.filled {
            for channel in 0..view.channels {
                view.pixels[at * view.channels + channel] = view.pixels[mirrored * view.channels + channel];
            }
        }
    }

    /// Replaces what is ignored and does not follow `mean`, the grey levels of the mean image in the view's light, by what that has there and
    /// what the view differs from it beside. A seam would be seen where the view looks as it should.
    pub fn follow(&self, view: &mut Image, mean: &[f32], follows: &[bool]) {
        for Filled { at, beside, .. } in self.filled.iter().filter(|filled| !follows[filled.at]) {
            for channel in 0..view.channels {
                let apart = view.pixels[beside * view.channels + channel] - mean[*beside];
                view.pixels[at * view.channels + channel] = mean[*at] + apart;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_mirrored_or_the_mean_by_hand() {
        let mask = [0.0, 0.0, 1.0, 1.0, 1.0, 0.0];
        let ignored = Ignored::new(mask.to_vec(), 6);
        assert_eq!(ignored.mask(), mask);
        let row = || Image { height: 1, width: 6, channels: 1, pixels: vec![1.0, 2.0, 9.0, 9.0, 9.0, 5.0] };
        let mut view = row();
        ignored.mirror(&mut view);
        // The fourth would mirror what is left of the view, the fifth what is right of it.
        assert_eq!(view.pixels, [1.0, 2.0, 1.0, 2.0, 5.0, 5.0]);
        let mut view = row();
        ignored.follow(&mut view, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], &[true, true, false, true, false, true]);
        // On the left the view is 1 above the mean, on the right as the mean.
        assert_eq!(view.pixels, [1.0, 2.0, 3.0, 9.0, 4.0, 5.0]);
        // In the colour of what lies beside.
        let mut view = Image { height: 1, width: 2, channels: 3, pixels: vec![0.2, 0.3, 0.7, 9.0, 9.0, 9.0] };
        Ignored::new(vec![0.0, 1.0], 2).follow(&mut view, &[0.0, 1.0], &[true, false]);
        let off: f32 =
            view.pixels.iter().zip([0.2, 0.3, 0.7, 1.2, 1.3, 1.7]).map(|(a, b)| (a - b).abs()).sum();
        assert!(off < 1e-5, "{:?}", view.pixels);
    }

    #[test]
    fn nothing_that_is_ignored_is_left() {
        let size = 40usize;
        let inside = |i: usize| (i / size).pow(2) + (i % size).pow(2) < 30usize.pow(2);
        let mask = (0..size * size).map(|i| f32::from(u8::from(inside(i)))).collect();
        let pixels = (0..size * size).map(|i| if inside(i) { 7.0 } else { (i % 5) as f32 * 0.1 }).collect();
        let mut view = Image { height: size, width: size, channels: 1, pixels };
        Ignored::new(mask, size).mirror(&mut view);
        assert!(view.pixels.iter().all(|v| *v < 1.0));
    }
}

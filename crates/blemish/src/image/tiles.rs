//! Tiles: how an image that is larger than what a part takes at once is cut for it, and how its maps are joined.
//!
//! Neighbouring tiles overlap by at least half. Where they do, their maps are weighted by Hann windows, so that no
//! seam is left: a step between two tiles of as much as `d` climbs by no more than about `pi d / side` from pixel to pixel.

use std::f32::consts::PI;

use rayon::prelude::*;

use super::Image;

/// Where the tiles of a view lie.
#[derive(Clone, Debug, PartialEq)]
pub struct Tiles {
    view: [usize; 2],
    tile: [usize; 2],
    /// First rows, and first columns, of the tiles.
    firsts: [Vec<usize>; 2],
}

/// How images that keep their own size are brought before a part: whole where it takes any size, else in tiles; what is too
/// small is continued as its own mirror image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pieces {
    /// Whole, at least 32 pixels along each side; an image beyond a megapixel in tiles, to bound memory.
    AnySize,
    /// In tiles of this size.
    OfSize([usize; 2]),
}

impl Pieces {
    /// Fewest pixels along a side that a part is given.
    const LEAST: usize = 32;
    /// Most pixels that a part is given at once.
    const MOST: usize = 1 << 20;
    /// Longest side of the tiles of an image with more than that.
    const TILE: usize = 768;

    /// The size of the pieces of an image of `size`.
    fn tile(self, size: [usize; 2]) -> [usize; 2] {
        match self {
            Self::OfSize(tile) => tile,
            Self::AnySize => {
                let whole = size.map(|side| side.max(Self::LEAST));
                let most = if whole[0] * whole[1] > Self::MOST { Self::TILE } else { usize::MAX };
                whole.map(|side| side.min(most))
            }
        }
    }

    /// Where the pieces of an image of `size` lie.
    fn tiles(self, size: [usize; 2]) -> Tiles {
        let tile = self.tile(size);
        Tiles::new([0, 1].map(|k| size[k].max(tile[k])), tile)
    }

    /// How many pieces an image of `size` has.
    pub fn count(self, size: [usize; 2]) -> usize {
        self.tiles(size).corners().count()
    }

    /// Piece `i` of an image.
    pub fn cut(self, image: Image, i: usize) -> Image {
        let tiles = self.tiles([image.height, image.width]);
        let corner = tiles.corners().nth(i).unwrap_or_default();
        let image = image.mirrored_to(tiles.view);
        if tiles.view == tiles.tile { image } else { image.part(corner, tiles.tile) }
    }

    /// The map `[H, W]` of an image, joined from what `map` gives of its pieces.
    pub fn map(self, image: &Image, map: impl Fn(&Image) -> Vec<f32> + Sync) -> Vec<f32> {
        let tiles = self.tiles([image.height, image.width]);
        let [height, width] = tiles.view;
        if tiles.view == tiles.tile && [image.height, image.width] == tiles.view {
            return map(image);
        }
        let image_size = [image.height, image.width];
        let image = image.clone().mirrored_to(tiles.view);
        let maps: Vec<Vec<f32>> = tiles.cut(&image).par_iter().map(&map).collect();
        let pixels = tiles.join(&maps);
        Image { height, width, channels: 1, pixels }.part([0, 0], image_size).pixels
    }
}

impl Tiles {
    /// As few tiles of `tile` pixels (height, width) as cover a `view` that is at least as large, overlapping by half or more.
    pub fn new(view: [usize; 2], tile: [usize; 2]) -> Self {
        Self { view, tile, firsts: [0, 1].map(|side| firsts(view[side], tile[side])) }
    }

    /// The upper left corners, row by row.
    pub fn corners(&self) -> impl Iterator<Item = [usize; 2]> {
        let [rows, columns] = &self.firsts;
        rows.iter().flat_map(|&top| columns.iter().map(move |&left| [top, left]))
    }

    /// The tiles of an image of the view's size, row by row.
    pub fn cut(&self, image: &Image) -> Vec<Image> {
        self.corners().map(|corner| image.part(corner, self.tile)).collect()
    }

    /// One map, `[H, W]` of the view, from those of all tiles.
    pub fn join(&self, maps: &[Vec<f32>]) -> Vec<f32> {
        let ([height, width], [_, tile_width]) = (self.view, self.tile);
        let [down, across] = self.tile.map(hann_window);
        let (mut sum, mut weight) = (vec![0.0; height * width], vec![0.0; height * width]);
        for ([top, left], map) in self.corners().zip(maps) {
            for (y, row) in map.chunks_exact(tile_width).enumerate() {
                let at = (top + y) * width + left;
                let (sum, weight) = (&mut sum[at..][..tile_width], &mut weight[at..][..tile_width]);
                for (((sum, weight), value), across) in sum.iter_mut().zip(weight).zip(row).zip(&across) {
                    let share = down[y] * across;
                    *sum += share * value;
                    *weight += share;
                }
            }
        }
        sum.iter_mut().zip(weight).for_each(|(sum, weight)| *sum /= weight);
        sum
    }
}

/// Where tiles of `tile` pixels begin along a side of `view`.
fn firsts(view: usize, tile: usize) -> Vec<usize> {
    let rest = view.saturating_sub(tile);
    let steps = (2 * rest).div_ceil(tile);
    (0..=steps).map(|i| (rest * i).checked_div(steps).unwrap_or(0)).collect()
}

/// What a tile's map counts for along one side: most in the middle, next to nothing at the ends, never nothing.
fn hann_window(side: usize) -> Vec<f32> {
    (0..side).map(|i| (PI * (i as f32 + 0.5) / side as f32).sin().powi(2)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(height: usize, width: usize, value: impl Fn(usize, usize) -> f32) -> Image {
        let pixels = (0..height * width).map(|i| value(i / width, i % width)).collect();
        Image { height, width, channels: 1, pixels }
    }

    #[test]
    fn tiles_cover_the_view_and_overlap_by_half() {
        for (side, tile) in [(256, 256), (512, 256), (816, 416), (768, 256), (272, 256), (1000, 48)] {
            let firsts = firsts(side, tile);
            assert_eq!((firsts.first(), firsts.last()), (Some(&0), Some(&(side - tile))));
            assert!(firsts.windows(2).all(|pair| (1..=tile.div_ceil(2)).contains(&(pair[1] - pair[0]))));
        }
        assert_eq!(
            Tiles::new([512, 256], [256, 256]).corners().collect::<Vec<_>>(),
            [[0, 0], [128, 0], [256, 0]]
        );
    }

    #[test]
    fn what_was_cut_is_joined_again() {
        let image = view(80, 112, |y, x| (y * 7 + x * x) as f32 * 1e-3);
        let tiles = Tiles::new([80, 112], [32, 48]);
        let maps: Vec<Vec<f32>> = tiles.cut(&image).into_iter().map(|tile| tile.pixels).collect();
        let joined = tiles.join(&maps);
        assert!(joined.iter().zip(&image.pixels).all(|(a, b)| (a - b).abs() < 1e-5));
        let whole = Tiles::new([80, 112], [80, 112]);
        assert_eq!(whole.cut(&image), [image]);
    }

    #[test]
    fn images_of_any_size_come_in_pieces_and_their_maps_have_their_size() {
        let own = |image: &Image| image.pixels.clone();
        for (pieces, height, width, count, tile) in [
            (Pieces::AnySize, 40, 70, 1, [40, 70]),
            (Pieces::AnySize, 5, 70, 1, [32, 70]),
            (Pieces::AnySize, 1, 1, 1, [32, 32]),
            (Pieces::AnySize, 40, 9000, 1, [40, 9000]),
            (Pieces::AnySize, 1100, 1100, 4, [768, 768]),
            (Pieces::OfSize([32, 48]), 20, 100, 4, [32, 48]),
        ] {
            let image = view(height, width, |y, x| (y * 7 + x * x % 91) as f32 * 1e-3);
            assert_eq!(pieces.count([height, width]), count, "{height} x {width}");
            let last = pieces.cut(image.clone(), count - 1);
            assert_eq!([last.height, last.width], tile);
            let map = pieces.map(&image, own);
            assert!(
                map.len() == height * width
                    && map.iter().zip(&image.pixels).all(|(a, b)| (a - b).abs() < 1e-4)
            );
        }
    }

    #[test]
    fn tiles_that_disagree_leave_no_seam() {
        let tiles = Tiles::new([128, 96], [64, 64]);
        let count = tiles.corners().count();
        let maps: Vec<Vec<f32>> = (0..count).map(|tile| vec![(tile % 2) as f32; 64 * 64]).collect();
        let joined = tiles.join(&maps);
        let most = PI / 64.0 * 1.1;
        assert!(joined.chunks(96).all(|row| row.windows(2).all(|pair| (pair[1] - pair[0]).abs() < most)));
        assert!(joined.windows(97).all(|pair| (pair[96] - pair[0]).abs() < most));
        assert!(joined.iter().any(|&v| v < 0.1) && joined.iter().any(|&v| v > 0.9));
    }
}

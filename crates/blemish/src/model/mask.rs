//! Which patches are hidden: drawn outside the model, from a seeded generator, with an exact count per image.

use rand::Rng;
use rand::seq::SliceRandom;

use crate::config::{MaskConfig, MaskStrategy};

/// Hidden patches of a batch, in image order (row by row); 1 = hidden. Every image hides the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    grid: [usize; 2],
    hidden: Vec<Vec<bool>>,
}

impl Mask {
    /// A mask from one row of flags per image, row by row of the grid.
    ///
    /// # Panics
    /// If a row has another length than the grid, or the rows hide different numbers.
    pub fn new(grid: [usize; 2], hidden: Vec<Vec<bool>>) -> Self {
        let count = |row: &[bool]| row.iter().filter(|&&h| h).count();
        for row in &hidden {
            assert_eq!(row.len(), grid[0] * grid[1], "a mask has one flag per patch");
            assert_eq!(count(row), count(&hidden[0]), "every image hides the same number of patches");
        }
        Self { grid, hidden }
    }

    /// Draws one mask per image: `round(mask_ratio N)` hidden patches, at least 1 and at most N - 1.
    pub fn draw(config: &MaskConfig, grid: [usize; 2], batch: usize, rng: &mut impl Rng) -> Self {
        let n = grid[0] * grid[1];
        let count = ((n as f64 * config.mask_ratio).round() as usize).clamp(1, (n - 1).max(1));
        let hidden = (0..batch)
            .map(|_| {
                let order = match config.strategy {
                    MaskStrategy::Block => block_order(config, grid, rng),
                    MaskStrategy::Random => {
                        let mut order: Vec<usize> = (0..n).collect();
                        order.shuffle(rng);
                        order
                    }
                };
                flags(n, &order[..count])
            })
            .collect();
        Self { grid, hidden }
    }

    /// Rows and columns of the patch grid.
    pub fn grid(&self) -> [usize; 2] {
        self.grid
    }

    /// Images.
    pub fn batch(&self) -> usize {
        self.hidden.len()
    }

    /// Hidden patches per image.
    pub fn hidden_count(&self) -> usize {
        self.hidden.first().map_or(0, |row| row.iter().filter(|&&h| h).count())
    }

    /// The flags of one image.
    pub fn hidden(&self, image: usize) -> &[bool] {
        &self.hidden[image]
    }

    /// Indices of the visible patches into the flattened batch `[B * N]`, ascending: `ids_keep`.
    pub fn ids_keep(&self) -> Vec<i64> {
        let all = self.hidden.iter().flatten().enumerate();
        all.filter(|(_, hidden)| !**hidden).map(|(i, _)| i as i64).collect()
    }

    /// For every patch of the flattened batch, its row among the visible ones, or `B * N_visible` (where the
    /// mask token is put) when it is hidden: `ids_restore`.
    pub fn ids_restore(&self) -> Vec<i64> {
        let token = self.ids_keep().len() as i64;
        let mut next = -1;
        let row_of = |&hidden: &bool| {
            if hidden {
                return token;
            }
            next += 1;
            next
        };
        self.hidden.iter().flatten().map(row_of).collect()
    }

    /// 1 where a pixel is hidden, `[B, H, W, 1]` flattened, for patches of side `p`.
    pub fn pixels(&self, p: usize) -> Vec<f32> {
        pixels(self.grid, self.hidden.iter().cloned(), p)
    }
}

/// 1 at the pixels of the patches that are flagged, image by image.
pub(super) fn pixels(
    [rows, columns]: [usize; 2],
    flags: impl ExactSizeIterator<Item = Vec<bool>>,
    p: usize,
) -> Vec<f32> {
    let mut values = Vec::with_capacity(flags.len() * rows * columns * p * p);
    for image in flags {
        for row in image.chunks_exact(columns) {
            let start = values.len();
            for &flag in row {
                values.extend(std::iter::repeat_n(f32::from(u8::from(flag)), p));
            }
            for _ in 1..p {
                values.extend_from_within(start..start + columns * p);
            }
        }
    }
    values
}

/// All cells, those of random rectangles first: a prefix of any length is block-wise and exact.
fn block_order(config: &MaskConfig, [rows, columns]: [usize; 2], rng: &mut impl Rng) -> Vec<usize> {
    let n = rows * columns;
    let largest = config.block_max.unwrap_or(rows.min(columns) / 2).max(1);
    let smallest = config.block_min.min(largest);
    let mut taken = vec![false; n];
    let mut order = Vec::with_capacity(n);
    while order.len() < n {
        let height = rng.random_range(smallest..=largest).min(rows);
        let width = rng.random_range(smallest..=largest).min(columns);
        let top = rng.random_range(0..=rows - height);
        let left = rng.random_range(0..=columns - width);
        for y in top..top + height {
            for x in left..left + width {
                let cell = y * columns + x;
                if !std::mem::replace(&mut taken[cell], true) {
                    order.push(cell);
                }
            }
        }
    }
    order
}

fn flags(n: usize, cells: &[usize]) -> Vec<bool> {
    let mut hidden = vec![false; n];
    for &cell in cells {
        hidden[cell] = true;
    }
    hidden
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::config::{Preset, RunConfig};

    #[test]
    fn every_image_hides_the_exact_count() {
        for (seed, strategy) in (0..20).zip([MaskStrategy::Block, MaskStrategy::Random].into_iter().cycle()) {
            let config = MaskConfig { strategy, ..RunConfig::preset(Preset::Diyt).mask };
            let mask = Mask::draw(&config, [16, 12], 3, &mut ChaCha8Rng::seed_from_u64(seed));
            assert_eq!(mask.hidden_count(), 144);
            for image in 0..3 {
                assert_eq!(mask.hidden(image).iter().filter(|&&h| h).count(), 144);
            }
        }
    }

    #[test]
    fn keep_and_restore_are_inverse() {
        let mask = Mask::new([1, 3], vec![vec![true, false, false], vec![false, true, false]]);
        assert_eq!(mask.ids_keep(), [1, 2, 3, 5]);
        assert_eq!(mask.ids_restore(), [4, 0, 1, 2, 4, 3]);
        assert_eq!(mask.pixels(2)[..12], [1., 1., 0., 0., 0., 0., 1., 1., 0., 0., 0., 0.]);
    }

    #[test]
    fn blocks_hang_together() {
        let config = RunConfig::preset(Preset::Diyt).mask;
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let neighbours = |mask: &Mask| {
            let h = mask.hidden(0);
            (0..16)
                .flat_map(|y| (0..15).map(move |x| (y, x)))
                .filter(|&(y, x)| h[y * 16 + x] == h[y * 16 + x + 1])
                .count()
        };
        let block: usize = (0..20).map(|_| neighbours(&Mask::draw(&config, [16, 16], 1, &mut rng))).sum();
        let random = MaskConfig { strategy: MaskStrategy::Random, ..config };
        let single: usize = (0..20).map(|_| neighbours(&Mask::draw(&random, [16, 16], 1, &mut rng))).sum();
        assert!(block > single + 20 * 20, "{block} against {single}");
    }
}

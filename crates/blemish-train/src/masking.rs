//! Which patches are hidden while training: drawn outside the model, from a seeded generator.

use blemish::Result;
use blemish::config::require;
use blemish::engine::Mask;
use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

/// What is hidden while training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaskConfig {
    /// How hidden patches are drawn.
    pub strategy: MaskStrategy,
    /// Share of the patches that is hidden, above 0 and below 1.
    pub mask_ratio: f64,
    /// Smallest side of a block, patches.
    pub block_min: usize,
    /// Largest side of a block, patches; absent: half the grid's shorter side.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub block_max: Option<usize>,
}

/// How hidden patches are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskStrategy {
    /// Rectangles, trimmed to the exact count.
    Block,
    /// Single patches, uniformly.
    Random,
}

impl MaskConfig {
    /// # Errors
    /// [`Error::Config`](blemish::Error::Config) naming the first field that is out of range.
    pub fn validate(&self) -> Result<()> {
        let ok = self.mask_ratio > 0.0 && self.mask_ratio < 1.0;
        require(ok, "mask.mask_ratio", "must be above 0 and below 1")?;
        require(self.block_min > 0, "mask.block_min", "must be at least 1")?;
        let ok = self.block_max.is_none_or(|m| m >= self.block_min);
        require(ok, "mask.block_max", "must be at least mask.block_min")
    }
}

/// Draws one mask per image: `round(mask_ratio N)` hidden patches, at least 1 and at most N - 1.
pub fn draw_mask(config: &MaskConfig, grid: [usize; 2], batch: usize, rng: &mut impl Rng) -> Mask {
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
    Mask::new(grid, hidden)
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

    fn config(strategy: MaskStrategy) -> MaskConfig {
        MaskConfig { strategy, mask_ratio: 0.75, block_min: 2, block_max: None }
    }

    #[test]
    fn every_image_hides_the_exact_count() {
        for (seed, strategy) in (0..20).zip([MaskStrategy::Block, MaskStrategy::Random].into_iter().cycle()) {
            let mask = draw_mask(&config(strategy), [16, 12], 3, &mut ChaCha8Rng::seed_from_u64(seed));
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
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let neighbours = |mask: &Mask| {
            let h = mask.hidden(0);
            (0..16)
                .flat_map(|y| (0..15).map(move |x| (y, x)))
                .filter(|&(y, x)| h[y * 16 + x] == h[y * 16 + x + 1])
                .count()
        };
        let block: usize = (0..20)
            .map(|_| neighbours(&draw_mask(&config(MaskStrategy::Block), [16, 16], 1, &mut rng)))
            .sum();
        let single: usize = (0..20)
            .map(|_| neighbours(&draw_mask(&config(MaskStrategy::Random), [16, 16], 1, &mut rng)))
            .sum();
        assert!(block > single + 20 * 20, "{block} against {single}");
    }
}

//! Masks of one image under which every patch is scored while it is hidden.

use super::Mask;

/// Rows of patches in a band, about: with two, a patch is two or three from one that is shown, and a convolution that
/// scores bands computes few lines twice.
const BAND: usize = 2;

/// K masks of one image, and for every patch the one under which it is scored (the partition of RIAD, Zavrtanik et al.
/// 2021, with as little shown as MAE shows, He et al. 2022).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complementary {
    masks: Mask,
    scored_in: Vec<usize>,
}

impl Complementary {
    /// Masks of one image, and for every patch of the grid, row by row, the mask under which it is scored.
    ///
    /// # Panics
    /// If there is not one such mask for every patch.
    pub fn new(masks: Mask, scored_in: Vec<usize>) -> Self {
        assert_eq!(scored_in.len(), masks.grid()[0] * masks.grid()[1], "a mask for every patch");
        assert!(scored_in.iter().all(|&pass| pass < masks.batch()), "each is one of the masks");
        Self { masks, scored_in }
    }

    /// `passes` masks, at most one per patch. The patches are cut, row by row, into bands, which are dealt out to the
    /// passes in turn; each pass shows its own, `N / passes` patches, and hides all others. A band is scored while the
    /// one before it is shown, the first while the second is.
    ///
    /// Where N is no multiple of `passes`, some have one patch more, which is never shown: every mask hides the same
    /// number.
    pub fn bands([rows, columns]: [usize; 2], passes: usize) -> Self {
        let n = rows * columns;
        let passes = passes.clamp(1, n);
        let turns = ((rows + BAND * passes / 2) / (BAND * passes)).max(1);
        let (mut hidden, mut scored_in) = (vec![vec![true; n]; passes], Vec::with_capacity(n));
        for band in 0..turns * passes {
            let (turn, pass) = (band / passes, band % passes);
            let share = (pass + 1) * n / passes - pass * n / passes;
            for own in turn * share / turns..(turn + 1) * share / turns {
                hidden[pass][scored_in.len()] = own >= n / passes;
                scored_in.push(if band == 0 { 1 % passes } else { (band - 1) % passes });
            }
        }
        Self::new(Mask::new([rows, columns], hidden), scored_in)
    }

    /// The masks, as those of a batch.
    pub fn masks(&self) -> &Mask {
        &self.masks
    }

    /// For every patch, row by row, the mask under which it is scored.
    pub fn scored_in(&self) -> &[usize] {
        &self.scored_in
    }

    /// 1 where a pixel is scored under a mask, `[K, H, W, 1]` flattened, for patches of side `p`.
    pub fn pixels(&self, p: usize) -> Vec<f32> {
        let scores = |pass| self.scored_in.iter().map(|&scored_in| scored_in == pass).collect();
        super::mask::pixels(self.masks.grid(), (0..self.masks.batch()).map(scores), p)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_patch_is_scored_while_it_is_hidden() {
        for (grid, passes) in
            [([16, 16], 4), ([5, 7], 2), ([5, 7], 3), ([3, 5], 4), ([25, 10], 4), ([2, 2], 9)]
        {
            let parts = Complementary::bands(grid, passes);
            let n = grid[0] * grid[1];
            let masks = parts.masks();
            assert_eq!(masks.batch(), passes.min(n));
            assert_eq!(n - masks.hidden_count(), n / masks.batch());
            let mut shown = vec![0; n];
            for pass in 0..masks.batch() {
                shown
                    .iter_mut()
                    .zip(masks.hidden(pass))
                    .for_each(|(shown, hidden)| *shown += usize::from(!hidden));
            }
            assert!(shown.iter().all(|&shown| shown <= 1));
            for (patch, &pass) in parts.scored_in().iter().enumerate() {
                assert!(masks.hidden(pass)[patch], "{grid:?}, {passes} passes, patch {patch}");
            }
        }
    }

    #[test]
    fn a_patch_is_scored_near_one_that_is_shown() {
        let even = [([16, 16], 2, 2), ([16, 16], 4, 2), ([12, 20], 3, 2), ([16, 5], 8, 2)];
        let odd = [([25, 10], 4, 3), ([10, 25], 4, 3), ([5, 7], 2, 3), ([16, 16], 6, 3)];
        for (grid, passes, most) in even.into_iter().chain(odd) {
            let parts = Complementary::bands(grid, passes);
            for (patch, &pass) in parts.scored_in().iter().enumerate() {
                let place = |patch: usize| [patch / grid[1], patch % grid[1]];
                let [y, x] = place(patch);
                let near = |other: usize| {
                    let [oy, ox] = place(other);
                    !parts.masks().hidden(pass)[other] && oy.abs_diff(y).max(ox.abs_diff(x)) <= most
                };
                assert!((0..grid[0] * grid[1]).any(near), "{grid:?}, {passes} passes, patch {patch}");
            }
        }
    }

    #[test]
    fn pixels_of_the_scored_patches() {
        let parts = Complementary::bands([1, 2], 2);
        assert_eq!(parts.scored_in(), [1, 0]);
        assert_eq!(parts.pixels(2), [0., 0., 1., 1., 0., 0., 1., 1., 1., 1., 0., 0., 1., 1., 0., 0.]);
    }
}

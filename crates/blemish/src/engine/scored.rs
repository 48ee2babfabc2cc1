//! Several masked passes of one image, each computed only as far as the patches that are scored in it need.

use super::map::{MapShape, Maps};
use super::plan::Plan;
use super::{Engine, Output, embed};
use crate::engine::Complementary;

impl Engine {
    /// One image, every patch of it as [`forward`](Self::forward) gives it with the mask under which it is scored, for
    /// little more than an unmasked pass where each mask shows little and scores whole rows of patches.
    ///
    /// # Shapes
    /// `image`: `[H, W, C]`
    ///
    /// # Panics
    /// If the image or the grid of the masks is of another size.
    pub fn forward_scored(&self, image: &[f32], parts: &Complementary) -> Output {
        let (MapShape { height, width, channels, .. }, p) = (self.maps[0], self.config.patch_size);
        assert_eq!(image.len(), height * width * channels, "one image");
        assert_eq!(parts.masks().grid(), [height / p, width / p], "a flag per patch");
        let plan = Plan::scored(&self.config, &self.maps, parts, self.blank());
        let passes = self.pass(image, &plan, Some(parts.masks()), &[]);
        let join = |passes: &[f32]| join(passes, parts, [height, p]);
        Output { image: join(&passes.image), extra: join(&passes.extra), features: Vec::new() }
    }

    /// The stem's maps of an image that is hidden altogether; none without a stem.
    fn blank(&self) -> &[Maps] {
        self.blank.get_or_init(|| {
            let mut buffers = self.workspace();
            let MapShape { height, width, channels, .. } = self.maps[0];
            let plan = Plan::whole(&self.config, &self.maps, 1);
            if plan.levels.is_empty() {
                return Vec::new();
            }
            let image = vec![embed::BLANK; height * width * channels];
            embed::load(&image, &mut buffers.maps[0], &plan, self.config.patch_size, None);
            self.embed.run(&mut buffers, &plan, &self.skip, &self.positions);
            buffers.maps
        })
    }
}

/// `[K, H, W, ..]` to `[H, W, ..]`, every patch from the pass in which it is scored.
fn join(passes: &[f32], parts: &Complementary, [height, patch_size]: [usize; 2]) -> Vec<f32> {
    let columns = parts.masks().grid()[1];
    let image = passes.len() / parts.masks().batch();
    let piece = image / (height * columns);
    let mut joined = Vec::with_capacity(image);
    for line in 0..height {
        let scored_in = &parts.scored_in()[line / patch_size * columns..][..columns];
        for (column, pass) in scored_in.iter().enumerate() {
            let at = pass * image + (line * columns + column) * piece;
            joined.extend_from_slice(&passes[at..at + piece]);
        }
    }
    joined
}

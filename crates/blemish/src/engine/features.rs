//! Intermediate features, for scores that compare them.

use super::{Engine, Masked, Workspace};
use crate::config::{Head, PatchEmbed};

/// A map inside the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// The stem's level 0, 1 or 2, at stride 2, 4 or 8.
    Level(usize),
    /// The encoder's tap 0, 1 or 2, at the stride of the patches; zeros where a patch is hidden.
    Tap(usize),
    /// The pyramid head's map 0, 1 or 2, at stride 8, 4 or 2, after its GELU.
    Head(usize),
}

/// A feature's values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeatureMap {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels.
    pub channels: usize,
    /// `[B, height, width, channels]`
    pub values: Vec<f32>,
}

impl Engine {
    /// Whether the model has that feature.
    pub fn has(&self, feature: Feature) -> bool {
        match feature {
            Feature::Level(i) => {
                self.config.patch_embed == PatchEmbed::ConvStem && i < self.config.stem_dims.len()
            }
            Feature::Tap(i) => i < self.encoder.tap_count(),
            Feature::Head(i) => self.config.head == Head::Pyramid && i < self.config.stem_dims.len(),
        }
    }

    /// Buffers for the head's maps, the coarsest first; empty where not wanted.
    pub(super) fn head_buffers(&self, batch: usize, wanted: &[Feature]) -> Vec<Vec<f32>> {
        let buffer = |i: usize| {
            let Some((shape, dim)) = self.level(self.config.stem_dims.len() - 1 - i) else {
                return Vec::new();
            };
            let wanted = wanted.contains(&Feature::Head(i));
            vec![0.0; if wanted { batch * shape[0] * shape[1] * dim } else { 0 }]
        };
        (0..self.config.stem_dims.len()).map(buffer).collect()
    }

    /// Rows and columns, and channels of level `i`, the finest first.
    fn level(&self, i: usize) -> Option<([usize; 2], usize)> {
        let shape = self.maps.get(i + 1)?;
        Some(([shape.height, shape.width], self.config.stem_dims[i]))
    }

    pub(super) fn feature(
        &self,
        buffers: &Workspace,
        feature: Feature,
        head: &[Vec<f32>],
        batch: usize,
        masked: Option<&Masked>,
    ) -> FeatureMap {
        assert!(self.has(feature), "the model has no {feature:?}");
        let map = |([height, width], channels): ([usize; 2], usize), values: Vec<f32>| FeatureMap {
            height,
            width,
            channels,
            values,
        };
        match feature {
            Feature::Level(i) => {
                let (shape, dim) = self.level(i).unwrap_or_default();
                let maps = &buffers.maps[i + 1];
                let image = |b: usize| maps.shape.load(maps.image(b), dim, self.skip[i]);
                map((shape, dim), (0..batch).flat_map(image).collect())
            }
            Feature::Head(i) => {
                let shape = self.level(self.config.stem_dims.len() - 1 - i).unwrap_or_default();
                map(shape, head[i].clone())
            }
            Feature::Tap(i) => {
                let (dim, p) = (self.config.embed_dim, self.config.patch_size);
                let grid = [self.maps[0].height / p, self.maps[0].width / p];
                let mut values = vec![0.0; batch * grid[0] * grid[1] * dim];
                let step = self.encoder.tap_count() * dim;
                for (at, out) in values.chunks_exact_mut(dim).enumerate() {
                    if let Some(row) = masked.map_or(Some(at), |masked| masked.restore[at]) {
                        out.copy_from_slice(&buffers.taps[row * step + i * dim..][..dim]);
                    }
                }
                map((grid, dim), values)
            }
        }
    }
}

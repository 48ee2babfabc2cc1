//! What a pre-trained network shows of the places of a product's photos, before it is brought to fewer values: what those maps are
//! learnt from.

use std::sync::Arc;

use rayon::prelude::*;

use super::descriptor::{grid_of, joined, scale_all, scale_of, values_of};
use super::network::{FeatureNetwork, Levels};
use crate::config::Config;
use crate::engine::Arithmetic;
use crate::error::Result;
use crate::image::Image;
use crate::pretrained::Pretrained;

/// A network on views of one size.
#[derive(Debug)]
pub struct Describer {
    levels: Levels,
    size: [usize; 2],
}

impl Describer {
    /// Of normalised views of `size`, in f32.
    ///
    /// # Errors
    /// A sentence: weights that do not fit the view.
    pub fn new(pretrained: &Pretrained, size: [usize; 2]) -> Result<Self, String> {
        let mut config = Config::default();
        config.network.precision = Some(Arithmetic::F32);
        let levels = FeatureNetwork::Pretrained(Arc::new(pretrained.clone())).on_views(size, &config)?;
        Ok(Self { levels, size })
    }

    /// Rows and columns of places.
    pub fn grid(&self) -> [usize; 2] {
        grid_of(self.size)
    }

    /// By group of levels, the number of values that describe a place.
    pub fn values(&self) -> Vec<usize> {
        self.levels.groups().iter().map(|group| values_of(&group.levels)).collect()
    }

    /// By group, what describes the places of a product's photos, `[photos, places, values]`, in units of what varies in the first
    /// `references`.
    ///
    /// # Errors
    /// Values that are not finite.
    pub fn described(&self, photos: &[Image], references: usize) -> Result<Vec<Vec<f32>>> {
        let all: Vec<_> = photos.par_iter().map(|photo| self.levels.maps(photo)).collect();
        let group = |(i, group): (usize, &super::network::LevelGroup)| {
            let of_photo = all.iter().map(|maps| joined(&group.levels, &maps[i], self.grid()));
            let each: Vec<Vec<f32>> = of_photo.collect();
            let scale = scale_of(&group.levels, &each[..references].concat())?;
            let mut values = each.concat();
            scale_all(&mut values, &scale);
            Ok(values)
        };
        self.levels.groups().iter().enumerate().map(group).collect()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::path::Path;

    use super::super::descriptor::Descriptor;
    use super::*;

    const LIGHT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../weights/light.safetensors");

    /// A memory of the first photos describes places by the same values, around their mean, brought to fewer by the file's projections.
    #[test]
    fn places_are_described_as_a_memory_does() {
        let pretrained = Pretrained::load(Path::new(LIGHT)).unwrap();
        let photo = |seed: usize| {
            let pixels = (0..48 * 32).map(|i| ((i * (7 + seed) + seed * 13) as f32 * 0.11).sin()).collect();
            Image { height: 48, width: 32, channels: 1, pixels }
        };
        let photos: Vec<Image> = (0..3).map(photo).collect();
        let describer = Describer::new(&pretrained, [48, 32]).unwrap();
        assert_eq!((describer.grid(), describer.values()), ([6, 4], vec![240, 384]));
        let described = describer.described(&photos, 2).unwrap();
        for (i, group) in describer.levels.groups().iter().enumerate() {
            let maps: Vec<_> = photos.iter().map(|photo| describer.levels.maps(photo)[i].clone()).collect();
            let sample = maps[..2].iter().flat_map(|maps| joined(&group.levels, maps, [6, 4])).collect();
            let vectors = Descriptor::fit([6, 4], group, sample).unwrap().vectors(&maps[2]);
            let (count, projection) = (describer.values()[i], &pretrained.projections[i]);
            let fewer = projection.shape[1];
            let brought = |place: &[f32]| -> Vec<f32> {
                let column = |k: usize| -> f32 {
                    place.iter().enumerate().map(|(j, v)| v * projection.values[j * fewer + k]).sum()
                };
                (0..fewer).map(column).collect()
            };
            let own: Vec<f32> = described[i].chunks_exact(count).skip(2 * 24).flat_map(brought).collect();
            // Differences between places are what counts.
            for (a, b) in own.chunks_exact(fewer).zip(vectors.chunks_exact(fewer)).skip(1) {
                let differ = |(k, (a, b)): (usize, (&f32, &f32))| (a - own[k]) - (b - vectors[k]);
                assert!(a.iter().zip(b).enumerate().map(differ).all(|d| d.abs() < 1e-4));
            }
        }
    }
}

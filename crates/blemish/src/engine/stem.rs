//! The convolutional stem by itself, where nothing above it is wanted.

use super::Precision;
use super::dense::Reader;
use super::embed::level;
use super::features::FeatureMap;
use super::lines::Lines;
use super::map::{Conv, MapShape, Maps};
use super::weights::Weights;
use crate::config::{ModelConfig, PatchEmbed};

/// The stem of the masked autoencoder, ready for images of one size. It computes in f32, whatever the machine.
#[derive(Debug)]
pub struct Stem {
    image: MapShape,
    /// Each with the map that it writes.
    convs: Vec<(Conv, MapShape)>,
}

impl Stem {
    /// Packs `weights` for images of that height and width, multiples of 8.
    ///
    /// # Errors
    /// A sentence that names the first parameter that is missing or of another shape.
    pub fn new(
        config: &ModelConfig,
        [height, width]: [usize; 2],
        channels: usize,
        weights: &Weights,
    ) -> Result<Self, String> {
        if config.patch_embed != PatchEmbed::ConvStem {
            return Err("is of a network without a convolutional stem".to_owned());
        }
        let map = |level: usize, channels| MapShape {
            height: height >> level,
            width: width >> level,
            channels,
            precision: Precision::F32,
        };
        let image = map(0, channels);
        let (mut convs, mut input) = (Vec::new(), image);
        for (i, &outputs) in config.stem_dims.iter().enumerate() {
            let dense =
                Reader::new(weights).dense(&format!("stem.convs.{i}"), 9 * input.channels, outputs)?;
            let output = map(i + 1, outputs);
            convs.push((Conv::new(dense.pack_for(Precision::F32), input, (0, input.channels), 2), output));
            input = output;
        }
        Ok(Self { image, convs })
    }

    /// The levels of one image, `[H, W, C]`: strides 2, 4 and 8.
    ///
    /// # Panics
    /// If the image is of another size.
    pub fn levels(&self, image: &[f32]) -> Vec<FeatureMap> {
        let shape = self.image;
        assert_eq!(image.len(), shape.height * shape.width * shape.channels, "an image of the stem's size");
        let mut input = Maps::new(shape);
        shape.store(image, shape.channels, 0, &mut input.take(1)[shape.inside()..]);
        let mut levels = Vec::with_capacity(self.convs.len());
        for (conv, shape) in &self.convs {
            let MapShape { height, width, channels, .. } = *shape;
            let mut output = Maps::new(*shape);
            level(conv, &input, &mut output, 0, 1, &Lines::all(1, height));
            let values = shape.load(output.image(0), channels, 0);
            levels.push(FeatureMap { height, width, channels, values });
            input = output;
        }
        levels
    }
}

//! The network whose levels describe places: the masked autoencoder, pre-trained, or one that others have trained.

use std::path::Path;
use std::sync::Arc;

use super::FitInput;
use super::decoder::Decoder;
use super::descriptor::{Level, values_of};
use crate::backbone::Backbone;
use crate::config::Config;
use crate::engine::{Array, Engine, Feature, FeatureMap, Weights};
use crate::error::{Error, Result};
use crate::image::Image;
use crate::pretrained::Pretrained;
use crate::provenance::PretrainedOrigin;
use crate::read::read_whole;
use crate::tensors::header_of;

/// The stem's levels, at strides 2, 4 and 8: where something fine is.
const FINE: [Feature; 3] = [Feature::Level(0), Feature::Level(1), Feature::Level(2)];
/// The encoder's middle tap and the pyramid head's levels at strides 8 and 4: what is around a place.
const WIDE: [Feature; 3] = [Feature::Tap(1), Feature::Head(0), Feature::Head(1)];

/// What brings the contrast of a normalised view to that of a photo, whose standard deviation is about 0.22 (ImageNet's).
const CONTRAST: f32 = 0.35;

/// A network whose levels describe places.
#[derive(Clone, Debug)]
pub enum FeatureNetwork {
    /// Of `blemish pretrain`.
    Pretrained(Arc<Pretrained>),
    /// Of someone else.
    Backbone(Arc<Backbone>),
}

impl FeatureNetwork {
    /// The one that the configuration names, or that comes with the program.
    ///
    /// # Errors
    /// Those of reading it; there is none.
    pub fn of(input: &FitInput<'_>) -> Result<Self> {
        match (&input.config.features.weights, input.builtin) {
            (Some(path), _) => Self::load(path),
            (None, Some(bytes)) => Ok(Self::Pretrained(Arc::new(Pretrained::builtin(bytes)?))),
            (None, None) => Err(Error::config(
                "features.weights",
                "must name a file of pre-trained weights (`blemish pretrain`): this program has none",
            )),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Model`] that says what is wrong with it, or [`Error::Io`].
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = read_whole(path)?;
        if header_of(path, &bytes)?.is_some() {
            return Ok(Self::Pretrained(Arc::new(Pretrained::from_bytes(path, &bytes)?)));
        }
        Ok(Self::Backbone(Arc::new(Backbone::from_bytes(path, &bytes)?)))
    }

    /// What corrects distances to references that so many values describe, where it has that.
    ///
    /// # Errors
    /// A sentence: one that does not fit.
    pub fn decoder(&self, values: usize) -> Result<Option<Decoder>, String> {
        match self {
            Self::Pretrained(pretrained) => Decoder::new(&pretrained.decoder, "", values),
            Self::Backbone(_) => Ok(None),
        }
    }

    /// Where its weights come from, where that is known.
    pub fn origin(&self) -> Option<&PretrainedOrigin> {
        match self {
            Self::Pretrained(pretrained) => Some(&pretrained.origin),
            Self::Backbone(_) => None,
        }
    }

    /// Adds its parameters to a model file's tensors, their names behind `prefix`.
    pub fn put(&self, tensors: &mut Weights, prefix: &str) {
        match self {
            Self::Pretrained(pretrained) => pretrained.put(tensors, prefix),
            Self::Backbone(backbone) => backbone.put(tensors, prefix),
        }
    }

    /// Takes what [`put`](Self::put) has added.
    ///
    /// # Errors
    /// A sentence: a tensor that is missing or does not fit.
    pub fn take(tensors: &mut Weights, prefix: &str) -> Result<Self, String> {
        if Backbone::is_in(tensors, prefix) {
            return Ok(Self::Backbone(Arc::new(Backbone::take(tensors, prefix)?)));
        }
        Ok(Self::Pretrained(Arc::new(Pretrained::take(tensors, prefix)?)))
    }

    /// Its levels, made ready for views of `size`.
    ///
    /// # Errors
    /// A sentence: weights that do not fit the view.
    pub fn on_views(&self, size: [usize; 2], config: &Config) -> Result<Levels, String> {
        Ok(match self {
            Self::Pretrained(pretrained) => {
                let level = |of| Level::new(pretrained.channels_of(of), pretrained.stride_of(of));
                let mut learnt = pretrained.projections.iter().cloned();
                let groups =
                    [FINE, WIDE].map(|group| LevelGroup::new(group.map(level).to_vec(), learnt.next()));
                Levels {
                    groups: groups.into_iter().collect::<Result<_, String>>()?,
                    source: Source::Engine(Box::new(pretrained.engine(size, config)?)),
                }
            }
            Self::Backbone(backbone) => {
                let levels = backbone.channels().map(|channels| Level { channels, largest: false });
                Levels {
                    groups: vec![LevelGroup { levels: levels.to_vec(), projection: None }],
                    source: Source::Backbone(Arc::clone(backbone)),
                }
            }
        })
    }
}

/// A feature network's levels on views of one size. They form groups; places are described and compared by each group apart.
#[derive(Debug)]
pub struct Levels {
    source: Source,
    groups: Vec<LevelGroup>,
}

/// Levels that describe places together.
#[derive(Clone, Debug)]
pub struct LevelGroup {
    /// The levels.
    pub levels: Vec<Level>,
    /// What brings their values to fewer, `[values, fewer]`, where that was learnt.
    pub projection: Option<Vec<f32>>,
}

impl LevelGroup {
    fn new(levels: Vec<Level>, projection: Option<Array>) -> Result<Self, String> {
        let values = values_of(&levels);
        if projection.as_ref().is_some_and(|matrix| matrix.shape.first() != Some(&values)) {
            return Err(format!("its projections must have {values} rows, one for each value of the levels"));
        }
        Ok(Self { levels, projection: projection.map(|matrix| matrix.values) })
    }
}

#[derive(Debug)]
enum Source {
    Engine(Box<Engine>),
    Backbone(Arc<Backbone>),
}

impl Levels {
    /// The groups of levels.
    pub fn groups(&self) -> &[LevelGroup] {
        &self.groups
    }

    /// The levels of a normalised view, group after group.
    pub fn maps(&self, image: &Image) -> Vec<Vec<FeatureMap>> {
        match &self.source {
            Source::Engine(engine) => {
                let wanted = [FINE, WIDE].concat();
                let mut fine = engine.features(&image.in_three_channels(), &wanted);
                let wide = fine.split_off(FINE.len());
                vec![fine, wide]
            }
            Source::Backbone(backbone) => vec![backbone.levels(&natural(image)).to_vec()],
        }
    }
}

/// A normalised view with about the contrast of photos, which other networks were trained on.
fn natural(image: &Image) -> Image {
    let pixels = image.pixels.iter().map(|v| 0.5 + CONTRAST * (v - 0.5)).collect();
    Image { pixels, ..*image }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn projections_must_fit_the_levels() {
        let bytes = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../weights/light.safetensors"))
            .as_slice();
        let pretrained = Pretrained::builtin(bytes).unwrap();
        let levels = |rows: [usize; 2]| {
            let matrix = |rows: usize| Array { shape: vec![rows, 2], values: vec![0.5; rows * 2] };
            let learnt = Pretrained { projections: rows.map(matrix).to_vec(), ..pretrained.clone() };
            FeatureNetwork::Pretrained(Arc::new(learnt)).on_views([32, 32], &Config::default())
        };
        let groups = levels([240, 384]).unwrap().groups;
        assert_eq!(groups.iter().map(|group| values_of(&group.levels)).collect::<Vec<_>>(), [240, 384]);
        assert!(groups.iter().all(|group| group.projection.as_ref().is_some_and(|matrix| matrix[0] == 0.5)));
        assert!(levels([240, 240]).unwrap_err().contains("384 rows"));
    }
}

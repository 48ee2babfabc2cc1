//! Detector parts: each gives an anomaly map of an image, and lives in a folder of its own, behind one trait.
//!
//! A part is fitted on good images and gives an anomaly map for any other. Maps are calibrated against good images that
//! the part was not fitted on ([`Calibration`]), so that 1 is about the most that good images show, and a pixel is as
//! anomalous as the part that finds it most anomalous says.

#[cfg(test)]
mod adding_a_part;
pub mod by_place;
pub mod features;
pub mod line_filter;
pub mod memory;
pub mod nearest;
pub mod network;
pub mod places;
#[cfg(test)]
mod saturation;
#[cfg(test)]
pub mod testing;
pub mod texture;
mod whitening;

use std::fmt::Debug;

use self::features::Features;
use self::line_filter::LineFilter;
use self::memory::Memory;
use self::network::Network;
use self::texture::TextureModel;
use crate::calibrate::{Calibration, CommonScale, PlaceCorrection, Side, roots};
use crate::config::{Config, NetworkMap, Use};
use crate::engine::{Array, Weights};
use crate::error::Result;
use crate::good::{GoodImages, Progress};
use crate::image::{Image, Pieces};
use crate::pretrained::PretrainedOrigin;

/// A detector part.
pub trait DetectorPart: Debug + Send + Sync + 'static {
    /// Whether it maps images of any size whole; else it is given tiles of one size.
    fn takes_any_size() -> bool
    where
        Self: Sized,
    {
        false
    }

    /// Fits the part on good images.
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::Error::Interrupted), and whatever keeps the part from being fitted.
    fn fit(input: &FitInput<'_>) -> Result<Self>
    where
        Self: Sized;

    /// The same part on some of the images that this one was fitted on, where that is faster than fitting anew; `None` where it is not.
    fn refit(&self, input: &FitInput<'_>) -> Option<Result<Box<dyn DetectorPart>>> {
        let _ = input;
        None
    }

    /// The uncalibrated anomaly map of a normalised view, `[H, W]`, higher = more anomalous.
    fn map(&self, image: &Image) -> Vec<f32>;

    /// What is compared with good images at the same place where maps are [standardised](PlaceRule::Standardised), `[H, W]`, of any
    /// sign: the square root of the map, whose spread depends less on its mean.
    fn comparable(&self, image: &Image) -> Vec<f32> {
        roots(&self.map(image))
    }

    /// The largest value of this map of the image, before it was brought to the view's size where that is known; what [`Calibration::Unit`] is
    /// taken from.
    fn peak(&self, image: &Image, map: &[f32]) -> f32 {
        let _ = image;
        map.iter().copied().fold(0.0, f32::max)
    }

    /// What a good product looks like in place of this normalised view, as far as the part knows: a view of the same size and
    /// channels. It is for people to look at; it costs another pass.
    fn expected(&self, image: &Image) -> Option<Expected> {
        let _ = image;
        None
    }

    /// Where the pre-trained weights came from that it holds, where it does.
    fn pretrained(&self) -> Option<&PretrainedOrigin> {
        None
    }

    /// Whether it was trained on the very images that it is fitted on, so that only held-out images can calibrate it.
    fn has_seen_all(&self) -> bool {
        false
    }

    /// Adds what was fitted to a model file's tensors, all under names that begin with [`PartKind::name`].
    fn save(&self, tensors: &mut Weights);

    /// Takes what [`save`](Self::save) has added.
    ///
    /// # Errors
    /// A sentence that says what does not fit the configuration.
    fn load(tensors: &mut Weights, config: &Config) -> Result<Self, String>
    where
        Self: Sized;
}

/// What a good product looks like in an image's place.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// How it was found, in a word or two: `reconstruction`, `nearest good`.
    pub title: &'static str,
    /// The image.
    pub image: Image,
}

/// What a part is fitted on.
#[derive(Clone, Copy)]
pub struct FitInput<'a> {
    /// Good images.
    pub images: &'a GoodImages<'a>,
    /// The settled configuration.
    pub config: &'a Config,
    /// Pre-trained weights that come with the program, a safetensors file.
    pub builtin: Option<&'static [u8]>,
    /// Weights of the network, where it was trained on these images.
    pub trained: Option<&'a Weights>,
    /// Where progress is told, and where a stop is asked for.
    pub progress: &'a Progress<'a>,
}

/// How a part's maps become comparable with those of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalibrationRule {
    /// Divided by the mean peak of good images.
    Unit,
    /// By how rare a value is on good images.
    Tail,
}

/// How a part's maps become comparable from place to place, where views show the same place at the same pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceRule {
    /// They are as they are.
    AsTheyAre,
    /// In standard deviations from the mean of good images at the place.
    Standardised(Side),
    /// As they are, or in standard deviations, whichever is more ([`Raised`](crate::calibrate::PlaceCorrection::Raised)); before that, where
    /// `divided`, places that vary far more than the rest on good images, such as a serial number, are divided by how much more.
    Raised {
        /// Whether such places are looked for, which takes fewer images.
        divided: bool,
    },
}

type Fit = fn(&FitInput<'_>) -> Result<Box<dyn DetectorPart>>;
type Load = fn(&mut Weights, &Config) -> Result<Box<dyn DetectorPart>, String>;

/// A kind of part: its names, when it is used, and how it is made.
#[derive(Debug)]
pub struct PartKind {
    /// How its settings and tensors begin.
    pub name: &'static str,
    /// What it is called in messages and reports.
    pub title: &'static str,
    /// How its maps are calibrated.
    pub calibration: CalibrationRule,
    /// What is done to its maps before, in a settled configuration.
    pub places: fn(&Config) -> PlaceRule,
    /// Whether a settled configuration uses it.
    pub is_used: fn(&Config) -> bool,
    /// Whether its map is scored apart from that of the others, where there are others: it tells defective images better than
    /// where on them the defect lies.
    pub scored_apart: bool,
    takes_any_size: fn() -> bool,
    fit: Fit,
    load: Load,
}

impl PartKind {
    const fn of<P: DetectorPart>(
        name: &'static str,
        title: &'static str,
        calibration: CalibrationRule,
        is_used: fn(&Config) -> bool,
    ) -> Self {
        Self {
            name,
            title,
            calibration,
            places: |_| PlaceRule::AsTheyAre,
            is_used,
            scored_apart: false,
            takes_any_size: P::takes_any_size,
            fit: |input| Ok(Box::new(P::fit(input)?)),
            load: |tensors, config| Ok(Box::new(P::load(tensors, config)?)),
        }
    }

    /// The same, whose maps are corrected by place.
    const fn corrected(mut self, places: fn(&Config) -> PlaceRule) -> Self {
        self.places = places;
        self
    }

    /// The same, scored apart from the others.
    const fn scored_apart(mut self) -> Self {
        self.scored_apart = true;
        self
    }

    /// Which side of the mean is anomalous where its maps are compared with those of good images by place; `None` where they are not.
    pub(crate) fn side(&self, config: &Config) -> Option<Side> {
        match (self.places)(config) {
            PlaceRule::Standardised(side) => Some(side),
            PlaceRule::Raised { .. } => Some(Side::Above),
            PlaceRule::AsTheyAre => None,
        }
    }

    /// How images are brought before it where they have sizes of their own; `None` where all have one size.
    fn pieces(&self, config: &Config) -> Option<Pieces> {
        let own = if (self.takes_any_size)() { Pieces::AnySize } else { Pieces::OfSize(config.view_size()) };
        config.one_size().is_none().then_some(own)
    }
}

/// Every kind of part. A new one is a folder and a line here; see `docs/adding-a-part.md`.
pub static PARTS: [PartKind; 5] = [
    PartKind::of::<Features>("features", "memory of the network's features", CalibrationRule::Unit, |c| {
        c.features.usage == Use::Always
    })
    .corrected(|_| PlaceRule::Raised { divided: false })
    .scored_apart(),
    PartKind::of::<Network>("network", "network", CalibrationRule::Unit, |c| c.network.usage == Use::Always)
        .corrected(|config| match config.network.map {
            NetworkMap::Defect => PlaceRule::Standardised(Side::Above),
            // Of a signed error: brighter and darker.
            NetworkMap::Reconstruction => PlaceRule::Standardised(Side::Both),
        }),
    PartKind::of::<Memory>("memory", "memory of good patches", CalibrationRule::Unit, |c| {
        c.memory.usage == Use::Always
    })
    .corrected(|_| PlaceRule::Raised { divided: true }),
    PartKind::of::<LineFilter>("lines", "line filter", CalibrationRule::Tail, |c| c.lines == Use::Always),
    PartKind::of::<TextureModel>("texture", "Gaussian texture model", CalibrationRule::Tail, |c| {
        c.texture == Use::Always
    }),
];

/// The kinds that a settled configuration uses.
pub fn used(config: &Config) -> impl Iterator<Item = &'static PartKind> {
    PARTS.iter().filter(|kind| (kind.is_used)(config))
}

/// A part in use: what was fitted, and its calibration.
#[derive(Debug)]
pub struct FittedPart {
    /// What it is.
    pub kind: &'static PartKind,
    /// What was fitted.
    pub part: Box<dyn DetectorPart>,
    /// How its values are made comparable.
    pub calibration: Calibration,
    /// What is done to its map before, place by place.
    pub places: PlaceCorrection,
    /// How its values are brought to the scale of the others', where it is scored apart.
    pub common_scale: Option<CommonScale>,
    /// How images are brought before it, where they have sizes of their own.
    pub pieces: Option<Pieces>,
}

impl FittedPart {
    /// A part that takes views as they are, as it is before it is calibrated.
    pub fn new(kind: &'static PartKind, part: Box<dyn DetectorPart>) -> Self {
        let (calibration, places) = (Calibration::None, PlaceCorrection::None);
        Self { kind, part, calibration, places, common_scale: None, pieces: None }
    }

    /// Fits a part; its calibration is still to come.
    ///
    /// # Errors
    /// As [`DetectorPart::fit`].
    pub fn fit(kind: &'static PartKind, input: &FitInput<'_>) -> Result<Self> {
        Self::made(kind, input, kind.fit)
    }

    /// Fits the same part on some of the images that this one was fitted on; its calibration is still to come.
    ///
    /// # Errors
    /// As [`DetectorPart::fit`].
    pub fn refit(&self, input: &FitInput<'_>) -> Result<Self> {
        Self::made(self.kind, input, |input| self.part.refit(input).unwrap_or_else(|| (self.kind.fit)(input)))
    }

    fn made(
        kind: &'static PartKind,
        input: &FitInput<'_>,
        make: impl Fn(&FitInput<'_>) -> Result<Box<dyn DetectorPart>>,
    ) -> Result<Self> {
        let pieces = kind.pieces(input.config);
        let cut = pieces.map(|pieces| input.images.in_pieces(pieces));
        let part = make(&FitInput { images: cut.as_ref().unwrap_or(input.images), ..*input })?;
        Ok(Self { pieces, ..Self::new(kind, part) })
    }

    /// The uncalibrated map of a normalised view, `[H, W]`; what is compared with good images where it is standardised.
    pub fn raw_map(&self, image: &Image) -> Vec<f32> {
        match (&self.places, self.pieces) {
            (PlaceCorrection::Standardised(_), _) => self.part.comparable(image),
            (_, Some(pieces)) => pieces.map(image, |piece| self.part.map(piece)),
            (_, None) => self.part.map(image),
        }
    }

    /// As [`DetectorPart::expected`]; `None` where images have sizes of their own.
    pub fn expected(&self, image: &Image) -> Option<Expected> {
        if self.pieces.is_some() { None } else { self.part.expected(image) }
    }

    /// The calibrated map of a normalised view, `[H, W]`.
    pub fn map(&self, image: &Image) -> Vec<f32> {
        let mut map = self.raw_map(image);
        self.calibrate(&mut map);
        map
    }

    /// Whether 1 is about the most that its map shows of good images.
    pub fn is_calibrated(&self) -> bool {
        self.calibration != Calibration::None
    }

    /// Makes the values of its map comparable.
    pub fn calibrate(&self, map: &mut [f32]) {
        self.places.apply(map);
        self.calibration.apply(map);
    }

    /// Adds its tensors.
    pub fn save(&self, tensors: &mut Weights) {
        self.part.save(tensors);
        for (name, values) in self.places.tensors() {
            put(tensors, &format!("{}.{name}", self.kind.name), &[values.len()], values);
        }
        if let Some(values) = self.calibration.values() {
            let name = format!("{}.{}", self.kind.name, self.calibration.name());
            tensors.insert(name, Array { shape: vec![values.len()], values });
        }
        if let Some(scale) = &self.common_scale {
            put(tensors, &format!("{}.common_scale", self.kind.name), &[3], &scale.values());
        }
    }

    /// Takes its tensors.
    ///
    /// # Errors
    /// A sentence that says what does not fit.
    pub fn load(kind: &'static PartKind, tensors: &mut Weights, config: &Config) -> Result<Self, String> {
        let mut own = |name: &str| tensors.remove(&format!("{}.{name}", kind.name)).map(|array| array.values);
        let calibration = Calibration::take(&mut own)
            .ok_or_else(|| format!("the calibration of its {} is not a growing scale", kind.title))?;
        let pixels = config.view_size().iter().product::<usize>();
        let places = PlaceCorrection::take(pixels, kind.side(config), &mut own)
            .ok_or_else(|| format!("what its {} has at each place does not fit the view", kind.title))?;
        let scale = own("common_scale").map(|values| {
            let reason =
                || format!("what brings its {} to the scale of other parts is not three numbers", kind.title);
            CommonScale::from_values(&values).ok_or_else(reason)
        });
        let common_scale = scale.transpose()?;
        let part = (kind.load)(tensors, config)
            .map_err(|reason| format!("what it holds of the {} does not fit: {reason}", kind.title))?;
        let pieces = kind.pieces(config);
        if pieces.is_some() && places != PlaceCorrection::None {
            return Err(format!("the {} is corrected at each place, but has views of any size", kind.title));
        }
        Ok(Self { kind, part, calibration, places, common_scale, pieces })
    }
}

/// Takes the values of the tensor called `name`.
///
/// # Errors
/// A sentence that it is missing.
pub fn take(tensors: &mut Weights, name: &str) -> Result<Vec<f32>, String> {
    tensors.remove(name).map(|array| array.values).ok_or_else(|| format!("{name} is missing"))
}

/// Adds a tensor.
pub fn put(tensors: &mut Weights, name: &str, shape: &[usize], values: &[f32]) {
    tensors.insert(name.to_owned(), Array { shape: shape.to_vec(), values: values.to_vec() });
}

//! How images are read.

use serde::{Deserialize, Serialize};

use super::{Normalize, ViewConfig, require};
use crate::error::Result;
use crate::image::{DecodeOptions, Image};

/// How images are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Height and width of anomaly maps, and of what the model sees unless `view` says otherwise, pixels.
    pub image_size: [usize; 2],
    /// How many times larger, along each side, the view is than what the network takes in at once; above 1 it looks at
    /// overlapping tiles, and maps are joined without seams. 1 to 16.
    pub tiles: usize,
    /// What becomes of images that are not of that shape, and of products that lie anyhow.
    pub fit: Fit,
    /// What the model looks at; absent: the whole image at `image_size`. With `fit = "auto"` found from the training images.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub view: Option<ViewConfig>,
    /// Whether views are laid exactly upon the training images' mean picture.
    pub align: Align,
    /// 1 (grey) or 3 (RGB); absent: 1 when the training images are grey, otherwise 3.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub channels: Option<usize>,
    /// Which values of images of more than 8 bits become black and white, as shares of the largest that the depth can hold
    /// (floating point: the values themselves); absent: found from the training images, see
    /// [`depth_range`](crate::image::depth_range). To be touched where floating point files hold other values than 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub range: Option<[f64; 2]>,
    /// Per-image normalisation before the model.
    pub normalize: Normalize,
    /// Images with more pixels than this are refused before they are decoded.
    pub max_pixels: u64,
}

/// How an image is fitted to the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// Single products that lie anyhow are turned to lie alike; long images keep their shape; a surface's images of many sizes
    /// keep their scale; see
    /// [`Survey::view`](crate::view::Survey::view).
    Auto,
    /// The whole image is stretched to `image_size`.
    Stretch,
}

/// Whether views are laid exactly upon each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Align {
    /// Where the product was photographed lying (nearly) the same way.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            image_size: [256, 256],
            tiles: 1,
            fit: Fit::Auto,
            view: None,
            align: Align::Auto,
            channels: None,
            range: None,
            normalize: Normalize::Robust,
            max_pixels: 100_000_000,
        }
    }
}

impl DataConfig {
    /// Looks so many times as closely: at pictures of so many times the pixels along each side, in tiles of what was the
    /// whole before.
    #[must_use]
    pub fn closer(mut self, times: usize) -> Self {
        self.image_size = self.image_size.map(|side| side.saturating_mul(times));
        if let Some(view) = &mut self.view {
            view.size = view.size.map(|side| side.saturating_mul(times));
            view.scale = view.scale.map(|scale| scale * times as f64);
        }
        self.tiles = self.tiles.saturating_mul(times);
        self
    }

    /// How files are decoded.
    pub fn decoding(&self) -> DecodeOptions {
        DecodeOptions { max_pixels: self.max_pixels, channels: self.channels, range: self.range }
    }

    /// The least spread of grey levels that normalisation stretches: the step between two values of the images' depth, 1 / 255
    /// where they are of 8 bits, 1 / 65535 of what the file can hold where they are of more.
    pub fn least_spread(&self) -> f32 {
        self.range.map_or(Normalize::FLOOR, |[low, high]| (1.0 / 65535.0 / (high - low)) as f32)
    }

    /// A view as the detector's parts see it.
    pub fn normalised(&self, view: &Image) -> Image {
        self.normalize.apply_from(view, self.least_spread())
    }

    pub(super) fn validate(&self, patch_size: usize) -> Result<()> {
        let p = patch_size;
        require(p > 0, "model.patch_size", "must be at least 1")?;
        require((1..=16).contains(&self.tiles), "data.tiles", "must be 1 to 16")?;
        let view = self.view.iter().flat_map(|view| view.size).map(|side| ("data.view.size", side));
        for (field, side) in self.image_size.map(|side| ("data.image_size", side)).into_iter().chain(view) {
            let ok = side >= p && side.is_multiple_of(p) && side <= 4096;
            require(ok, field, format!("{side} is not a multiple of patch_size {p} up to 4096"))?;
        }
        let product = self.view.iter().filter_map(|view| view.product).flatten();
        let ok = product.into_iter().all(|side| side > 0.0 && side <= 4.0);
        require(
            ok,
            "data.view.product",
            "must be above 0 and at most 4, in units of the image's longer side",
        )?;
        let scale = self.view.iter().find_map(|view| view.scale.map(|scale| (scale, view.product.is_none())));
        let ok = scale.is_none_or(|(scale, whole)| whole && (1e-3..=64.0).contains(&scale));
        require(ok, "data.view.scale", "must be 0.001 to 64, and has no meaning with data.view.product")?;
        let ok = self.range.is_none_or(|[low, high]| low.is_finite() && high.is_finite() && low < high);
        require(ok, "data.range", "must be two numbers, the value of black below that of white")?;
        require(matches!(self.channels, None | Some(1 | 3)), "data.channels", "must be 1 or 3")?;
        require(self.max_pixels > 0, "data.max_pixels", "must be at least 1")
    }
}

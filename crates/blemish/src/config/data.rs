//! How images are read.

use serde::{Deserialize, Serialize};

use super::{Normalize, ViewConfig, require};
use crate::error::Result;
use crate::image::DecodeOptions;
use crate::view::Normaliser;

/// How images are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Height and width of anomaly maps, and of the view unless `view` says otherwise, pixels.
    pub image_size: [usize; 2],
    /// What becomes of images that are not of that shape, and of products in arbitrary orientation.
    pub fit: Fit,
    /// The view; absent: the whole image at `image_size`. With `fit = "auto"` found from the training images;
    /// it cannot be set.
    #[doc(hidden)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub view: Option<ViewConfig>,
    /// Whether views are registered to the training images' mean image.
    pub align: Align,
    /// 1 (grey) or 3 (RGB); absent: 1 when the training images are grey, otherwise 3.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub channels: Option<usize>,
    /// Which values of images of more than 8 bits become black and white, as shares of the largest that the depth can hold
    /// (floating point: the values themselves); absent: found from the training images, see
    /// [`depth_range`](crate::image::depth_range). To be touched where floating point files hold other values than 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub range: Option<[f64; 2]>,
    /// Per-image normalisation before parts map a view.
    pub normalize: Normalize,
    /// Images with more pixels than this are refused before they are decoded.
    pub max_pixels: u64,
}

/// How an image becomes a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// Single products in arbitrary orientation are rectified; long images keep their shape; a surface's images of many sizes keep
    /// their scale; see [`Survey::view`](crate::view::Survey::view).
    Auto,
    /// The whole image is stretched to `image_size`.
    Stretch,
}

/// Whether views are registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Align {
    /// Where the product's pose is (nearly) fixed.
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
    /// How files are decoded.
    pub fn decoding(&self) -> DecodeOptions {
        DecodeOptions { max_pixels: self.max_pixels, channels: self.channels, range: self.range }
    }

    /// The least spread of grey levels that normalisation stretches: the step between two values of the images' depth, 1 / 255
    /// where they are of 8 bits, 1 / 65535 of what the file can hold where they are of more.
    fn least_spread(&self) -> f32 {
        self.range.map_or(Normalize::FLOOR, |[low, high]| (1.0 / 65535.0 / (high - low)) as f32)
    }

    /// What makes of a view what the detector's parts see.
    pub fn normaliser(&self) -> Normaliser {
        Normaliser::new(self.normalize, self.least_spread())
    }

    pub(super) fn validate(&self, patch_size: usize) -> Result<()> {
        let p = patch_size;
        require(p > 0, "model.patch_size", "must be at least 1")?;
        let view = self.view.iter().flat_map(|view| view.size).map(|side| ("data.view.size", side));
        for (field, side) in self.image_size.map(|side| ("data.image_size", side)).into_iter().chain(view) {
            let ok = side >= p && side.is_multiple_of(p) && side <= 4096;
            require(ok, field, format!("{side} is not a multiple of {p}, the side of a patch, up to 4096"))?;
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

//! The view of an image: the whole at its own shape, or the product, rectified.

mod foreground;
mod framed;
mod ignored;
mod normaliser;
mod placement;
mod product;
mod registration;
mod survey;
mod training;

use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use self::foreground::foreground;
pub use self::framed::Framed;
pub use self::normaliser::Normaliser;
use self::placement::Placement;
pub use self::product::{Product, find_product};
pub use self::registration::{Pose, Template};
pub use self::survey::{Survey, shrunk};
pub(crate) use self::training::Differences;
pub(crate) use self::training::faint;
pub use self::training::{TrainingFacts, unlike};
use crate::error::{Error, Result};
use crate::image::{Border, Image, resize, sample};

/// How many pixels of an image may fall on one of the view before the image is shrunk, with a filter, to the view's scale: what
/// follows reads single pixels.
const SHRUNK_FROM: f64 = 1.25;
/// Places along each side at which the share of the image that a view covers is counted.
const COVER_GRID: usize = 64;

/// How views are cut.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewConfig {
    /// Height and width of the view, pixels. With `scale`: of the tiles in which a part that takes one size only is given a
    /// view.
    pub size: [usize; 2],
    /// Height and width that it covers, in units of the image's longer side. Absent: the whole image, stretched.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub product: Option<[f64; 2]>,
    /// Pixels of the view for one of the image, along each side: a view shows the whole image at a size of its own, as
    /// for a surface whose images have many sizes. Absent: all views have one size.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub scale: Option<f64>,
}

impl ViewConfig {
    /// The whole image, stretched to `size`.
    pub fn whole(size: [usize; 2]) -> Self {
        Self { size, product: None, scale: None }
    }

    /// Height and width of the view of an image of `original` height and width.
    pub fn size_of(&self, original: [usize; 2]) -> [usize; 2] {
        match self.scale {
            Some(scale) => original.map(|side| ((side as f64 * scale).round() as usize).max(1)),
            None => self.size,
        }
    }

    /// How many pixels of an image of `original` height and width one of its view is long.
    pub(crate) fn pixels_of_image(&self, [height, width]: [usize; 2]) -> f64 {
        let [rows, columns] = self.size_of([height, width]);
        let [height, width] = [height as f64, width as f64];
        let covered = match self.product {
            Some([across, along]) => across * along * height.max(width).powi(2),
            None => height * width,
        };
        (covered / (rows * columns) as f64).sqrt()
    }

    /// The same in the middle of images of these sizes; 1 without any.
    pub(crate) fn usual_pixels_of_image(&self, sizes: &[[usize; 2]]) -> f64 {
        let mut scales: Vec<f64> = sizes.iter().map(|&size| self.pixels_of_image(size)).collect();
        scales.sort_unstable_by(f64::total_cmp);
        scales.get(scales.len() / 2).copied().unwrap_or(1.0)
    }
}

/// The part of an image that is inspected, and where it lies in it.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// The image.
    pub image: Image,
    /// What the view was sampled from, at about the view's own scale; `None` where that is the view itself, unmoved.
    source: Option<Arc<Image>>,
    placement: Placement,
    pose: Pose,
    product_found: Option<bool>,
}

impl View {
    /// The view of a decoded image.
    ///
    /// Where the configuration asks for the product and none is found, the view is cut from the image's middle, not
    /// turned.
    ///
    /// # Errors
    /// [`Error::Config`] for sizes that are not sizes.
    pub fn new(original: &Image, config: &ViewConfig) -> Result<Self> {
        if config.scale.is_some() {
            return Ok(Self::whole(resize(original, config.size_of([original.height, original.width]))?));
        }
        let [height, width] = config.size;
        let Some(extent) = config.product else {
            let view = Self::whole(resize(original, config.size)?);
            // An image that is not shrunk can be sampled once more, where the view is registered.
            let enlarged =
                original.height <= height && original.width <= width && original.height * original.width > 0;
            let source = (enlarged && [original.height, original.width] != config.size)
                .then(|| Arc::new(original.clone()));
            return Ok(Self { source, ..view });
        };
        if height == 0 || width == 0 || original.height == 0 || original.width == 0 {
            return Err(Error::config("data.image_size", format!("{height} x {width} is not a size")));
        }
        let longer = original.height.max(original.width) as f64;
        let whole = [original.height, original.width].map(|side| side as f64 / longer);
        let middle = Product { centre: whole.map(|side| 0.5 * side), axis: [0.0, 1.0], extent };
        let per_pixel = extent[1] * longer / width as f64;
        let shrunk = || {
            if per_pixel <= SHRUNK_FROM {
                return Ok(original.clone());
            }
            let side = |length: usize| ((length as f64 / per_pixel).round() as usize).max(1);
            resize(original, [side(original.height), side(original.width)])
        };
        let (found, source) = rayon::join(|| find_product(original), shrunk);
        let (product, source) = (found.unwrap_or(middle), source?);
        let placement =
            Placement::Rectified { centre: product.centre, axis: product.axis, extent, image: whole };
        let image = cut(&source, config.size, &placement, &Pose::default());
        let product_found = Some(found.is_some());
        Ok(Self { image, source: Some(Arc::new(source)), placement, pose: Pose::default(), product_found })
    }

    /// An image that is its own view.
    pub fn whole(image: Image) -> Self {
        Self { image, source: None, placement: Placement::Whole, pose: Pose::default(), product_found: None }
    }

    /// The same view, registered to the good images' mean.
    pub fn registered(self, template: &Template) -> Self {
        let pose = template.pose(&self.image);
        self.in_pose(pose)
    }

    /// The same view in this pose, sampled once from what the view was cut from.
    pub(crate) fn in_pose(self, pose: Pose) -> Self {
        if pose == self.pose {
            return self;
        }
        let size = [self.image.height, self.image.width];
        let image = match &self.source {
            Some(source) => cut(source, size, &self.placement, &pose),
            None => pose.apply(&self.image),
        };
        // An unmoved view that is its own source must be kept for the next pose.
        let source = self.source.or_else(|| Some(Arc::new(self.image)));
        Self { image, source, pose, ..self }
    }

    /// Whether it was sampled from an image that is not the view itself, so that registering it means to cut it anew.
    pub(crate) fn is_cut(&self) -> bool {
        self.source.is_some()
    }

    /// Whether a product was found, where the view is one of the product; else it shows the image's middle.
    pub(crate) fn product_found(&self) -> Option<bool> {
        self.product_found
    }

    /// The share of the whole image that it shows, 0 to 1.
    pub fn inspected(&self) -> f32 {
        if self.placement == Placement::Whole && self.pose == Pose::default() {
            return 1.0;
        }
        let place = |i: usize| (i as f64 + 0.5) / COVER_GRID as f64;
        let places = (0..COVER_GRID * COVER_GRID).map(|i| [place(i / COVER_GRID), place(i % COVER_GRID)]);
        let (height, width) = (self.image.height as f32, self.image.width as f32);
        let within = |[y, x]: [f32; 2]| (-1.0..=height).contains(&y) && (-1.0..=width).contains(&x);
        let inside = places.filter(|&at| self.place_of(at).is_some_and(within)).count();
        inside as f32 / (COVER_GRID * COVER_GRID) as f32
    }

    /// Where a place of the image (shares of its height and width) lies in the view, pixels from the centre of the top-left one;
    /// `None` where the view did not reach before it was registered.
    fn place_of(&self, at: [f64; 2]) -> Option<[f32; 2]> {
        let (height, width) = (self.image.height as f32, self.image.width as f32);
        let [y, x] = self.placement.of(at);
        if !(0.0..=1.0).contains(&y) || !(0.0..=1.0).contains(&x) {
            return None;
        }
        let (y, x) = (y as f32 * height - 0.5, x as f32 * width - 0.5);
        // Where the view was registered to the mean image, the map is too.
        let centre = [0.5 * (height - 1.0), 0.5 * (width - 1.0)];
        let [y, x] = self.pose.inverse([y - centre[0], x - centre[1]]);
        Some([y + centre[0], x + centre[1]])
    }

    /// A map of the view, `[H, W]` of the view's size, as a map of the whole image at size `frame`; 0 where the view does not reach.
    ///
    /// # Errors
    /// [`Error::Config`] when the map is not of the view's size.
    pub fn to_frame(&self, map: Vec<f32>, frame: [usize; 2]) -> Result<Vec<f32>> {
        let (height, width) = (self.image.height, self.image.width);
        if map.len() != height * width {
            return Err(Error::config("map", format!("has {} values, not {height} x {width}", map.len())));
        }
        if self.placement == Placement::Whole && self.pose == Pose::default() && frame == [height, width] {
            return Ok(map);
        }
        let map = Image { height, width, channels: 1, pixels: map };
        Ok(self.in_frame(&map, frame, 0.0).pixels)
    }

    /// An image of the view's size, as a part of the whole image at size `frame`; `ground` where the view does not reach.
    pub(crate) fn in_frame(&self, image: &Image, frame: [usize; 2], ground: f32) -> Image {
        let mut out = Image::filled(frame[0], frame[1], image.channels, ground);
        out.pixels.par_chunks_exact_mut((frame[1] * image.channels).max(1)).enumerate().for_each(
            |(row, out)| {
                for (column, out) in out.chunks_exact_mut(image.channels).enumerate() {
                    let at = [(row as f64 + 0.5) / frame[0] as f64, (column as f64 + 0.5) / frame[1] as f64];
                    if let Some([y, x]) = self.place_of(at) {
                        sample(image, x, y, Border::Replicate, out);
                    }
                }
            },
        );
        out
    }
}

/// Samples a view of `size` in this placement and pose from `source`, once.
fn cut(source: &Image, [height, width]: [usize; 2], placement: &Placement, pose: &Pose) -> Image {
    let mut image = Image::filled(height, width, source.channels, 0.0);
    let centre = [0.5 * (height as f32 - 1.0), 0.5 * (width as f32 - 1.0)];
    let sides = [source.height as f64, source.width as f64];
    image.pixels.par_chunks_exact_mut(width * source.channels).enumerate().for_each(|(row, pixels)| {
        for (column, pixel) in pixels.chunks_exact_mut(source.channels).enumerate() {
            let [y, x] = pose.place([row as f32 - centre[0], column as f32 - centre[1]]);
            let [y, x] = [(y + centre[0] + 0.5) / height as f32, (x + centre[1] + 0.5) / width as f32];
            let [y, x] = placement.back([f64::from(y), f64::from(x)]);
            let [y, x] = [y * sides[0] - 0.5, x * sides[1] - 0.5].map(|at| at as f32);
            sample(source, x, y, Border::Replicate, pixel);
        }
    });
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient(height: usize, width: usize) -> Image {
        let pixels = (0..height * width).map(|i| (i % width * 3 + i / width) as f32 / 255.0).collect();
        Image { height, width, channels: 1, pixels }
    }

    #[test]
    fn a_whole_view_is_resized_and_its_map_comes_back() {
        let config = ViewConfig::whole([8, 24]);
        let view = View::new(&gradient(16, 48), &config).expect("a view");
        assert_eq!((view.image.height, view.image.width), (8, 24));
        let map: Vec<f32> = (0..8 * 24).map(|i| (i % 24) as f32).collect();
        let frame = view.to_frame(map, [4, 12]).expect("a map");
        assert!((0..48).all(|i| (frame[i] - ((i % 12) as f32 * 2.0 + 0.5)).abs() < 1e-4), "{frame:?}");
        assert!(view.to_frame(vec![0.0; 3], [4, 12]).is_err());
    }

    /// A dark arrow-like triangle whose tip points along `angle`, with a bright spot near the tip.
    fn arrow(angle: f64) -> (Image, [f64; 2]) {
        let (sin, cos) = angle.sin_cos();
        let spot = [100.0 + 20.0 * sin, 100.0 + 20.0 * cos];
        let pixels = (0..200 * 200)
            .map(|i| {
                let (y, x) = ((i / 200) as f64 + 0.5, (i % 200) as f64 + 0.5);
                let (dy, dx) = (y - 100.0, x - 100.0);
                let (along, across) = (dy * sin + dx * cos, dx * sin - dy * cos);
                match () {
                    () if (y - spot[0]).hypot(x - spot[1]) < 4.0 => 250.0 / 255.0,
                    () if (-40.0..=60.0).contains(&along) && across.abs() < 0.3 * (60.0 - along) => {
                        60.0 / 255.0
                    }
                    () => 180.0 / 255.0,
                }
            })
            .collect();
        (Image { height: 200, width: 200, channels: 1, pixels }, spot)
    }

    #[test]
    fn turned_products_look_alike_and_maps_find_their_way_back() {
        let config = ViewConfig { product: Some([0.32, 0.56]), ..ViewConfig::whole([64, 112]) };
        let views: Vec<_> = [0.3, 1.9, 4.0]
            .map(|angle| {
                let (image, spot) = arrow(angle);
                (View::new(&image, &config).expect("a view"), spot)
            })
            .into();
        for (view, spot) in &views {
            let different = view
                .image
                .pixels
                .iter()
                .zip(&views[0].0.image.pixels)
                .filter(|(a, b)| (*a - *b).abs() > 60.0 / 255.0);
            assert!(different.count() < 64 * 112 / 20, "the views agree but for their edges");
            // The spot, marked in the view, is found in the frame where it was drawn.
            let map = view.image.pixels.iter().map(|&v| f32::from(u8::from(v > 215.0 / 255.0))).collect();
            let frame = view.to_frame(map, [100, 100]).expect("a map");
            let total: f32 = frame.iter().sum();
            let mean = |of: fn(usize) -> usize| {
                (0..frame.len()).map(|i| (of(i) as f32 + 0.5) * frame[i]).sum::<f32>() / total * 2.0
            };
            let found = [mean(|i| i / 100), mean(|i| i % 100)];
            assert!((0..2).all(|k| (f64::from(found[k]) - spot[k]).abs() < 2.0), "{found:?} {spot:?}");
        }
    }

    #[test]
    fn without_a_product_the_middle_is_seen() {
        let config = ViewConfig { product: Some([0.5, 0.5]), ..ViewConfig::whole([16, 16]) };
        let view = View::new(&gradient(32, 32), &config).expect("a view");
        assert_eq!(view.image.pixels[0], gradient(32, 32).pixels[8 * 32 + 8]);
    }

    /// Smooth waves, which bilinear sampling hardly blurs, at continuous coordinates in pixels of a side of 96.
    fn waves(y: f32, x: f32) -> f32 {
        0.5 + 0.2 * (y * 0.11).sin() + 0.2 * (x * 0.13 + 0.4 * y * 0.11).cos()
    }

    #[test]
    fn a_registered_view_is_sampled_once_from_its_source() {
        let pose = Pose::of([2.3, -1.6], 0.05, 0.02);
        let level = |i: usize| waves((i / 96) as f32 + 0.5, (i % 96) as f32 + 0.5);
        let original =
            Image { height: 96, width: 96, channels: 1, pixels: (0..96 * 96).map(level).collect() };
        // Enlarged, of the same size, and cut from the middle: what a place of the view shows is what lies there.
        for (size, product, scale) in [([144, 192], None, [96.0 / 144.0, 0.5]), ([96, 96], None, [1.0, 1.0])]
            .into_iter()
            .chain([([48, 48], Some([0.5, 0.5]), [1.0, 1.0])])
        {
            let config = ViewConfig { product, ..ViewConfig::whole(size) };
            let view = View::new(&original, &config).expect("a view").in_pose(pose);
            let centre = size.map(|side| 0.5 * (side as f32 - 1.0));
            for i in 0..size[0] * size[1] {
                let from_middle = [(i / size[1]) as f32 - centre[0], (i % size[1]) as f32 - centre[1]];
                let [y, x] = pose.place(from_middle);
                let [y, x] = [48.0 + y * scale[0], 48.0 + x * scale[1]];
                if (1.0..95.0).contains(&y) && (1.0..95.0).contains(&x) {
                    assert!((view.image.pixels[i] - waves(y, x)).abs() < 2e-3, "{size:?} {i}");
                }
            }
            // Another pose starts from the source again, not from what the last one left.
            let again = view.clone().in_pose(Pose::of([9.0, 9.0], 0.2, 0.0)).in_pose(pose);
            let pairs = again.image.pixels.iter().zip(&view.image.pixels);
            assert!(pairs.clone().all(|(a, b)| (a - b).abs() < 1e-4), "{size:?}");
            assert!(view.inspected() <= 1.0);
        }
    }

    #[test]
    fn sharp_detail_survives_being_cut_and_registered() {
        // A checkerboard's contrast falls with every resampling between pixels; composed, one is left.
        let board = |i: usize| f32::from(u8::from((i / 128 / 2 + i % 128 / 2).is_multiple_of(2)));
        let original =
            Image { height: 128, width: 128, channels: 1, pixels: (0..128 * 128).map(board).collect() };
        let config = ViewConfig { product: Some([0.46, 0.46]), ..ViewConfig::whole([60, 60]) };
        let view = View::new(&original, &config).expect("a view");
        let pose = Pose::of([0.5, 0.5], 0.0, 0.0);
        let twice = pose.apply(&view.image);
        let spread = |image: &Image| crate::image::image_statistics(image).spread;
        let once = view.in_pose(pose);
        assert!(spread(&once.image) > spread(&twice), "{} {}", spread(&once.image), spread(&twice));
    }
}

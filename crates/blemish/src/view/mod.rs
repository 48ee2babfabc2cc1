//! What the model looks at of an image: the whole at its own shape, or the product, turned to lie always the same way.

mod foreground;
mod product;
mod registration;
mod solve;
mod survey;

use serde::{Deserialize, Serialize};

pub use self::foreground::foreground;
pub use self::product::{Product, find_product};
pub use self::registration::{Pose, Template};
pub use self::survey::Survey;
use crate::error::{Error, Result};
use crate::image::{Border, Image, resize, sample};

/// How views are cut.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewConfig {
    /// Height and width of the view, pixels: what the model takes.
    pub size: [usize; 2],
    /// Height and width that it covers, in units of the image's longer side. Absent: the whole image, stretched.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub product: Option<[f64; 2]>,
}

/// A picture for the model, and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// The picture.
    pub image: Image,
    placement: Placement,
    pose: Pose,
}

/// A decoded image as a detector takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Framed {
    /// The whole image at the size of anomaly maps.
    pub image: Image,
    /// What the model sees of it.
    pub view: View,
    /// Height and width before resizing, upright.
    pub original_size: [usize; 2],
}

impl Framed {
    /// Brings a decoded image to the size of anomaly maps, and cuts its view.
    ///
    /// # Errors
    /// [`Error::Config`] for sizes that are not sizes.
    pub fn new(original: &Image, image_size: [usize; 2], view: &ViewConfig) -> Result<Self> {
        let original_size = [original.height, original.width];
        let image = resize(original, image_size)?;
        let view = if view.product.is_none() && view.size == image_size {
            View::whole(image.clone())
        } else {
            View::new(original, view)?
        };
        Ok(Self { image, view, original_size })
    }
}

/// From places in the frame to places in the view.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Placement {
    /// The view is the whole frame, at its own size.
    Whole,
    /// The view is a turned rectangle.
    Turned {
        /// Its centre `[y, x]`, in units of the image's longer side.
        centre: [f64; 2],
        /// The unit vector `[y, x]` that its width runs along.
        axis: [f64; 2],
        /// Height and width in the same units.
        extent: [f64; 2],
        /// Height and width of the whole image in the same units.
        image: [f64; 2],
    },
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
        let Some(extent) = config.product else {
            return Ok(Self {
                image: resize(original, config.size)?,
                placement: Placement::Whole,
                pose: Pose::default(),
            });
        };
        let longer = original.height.max(original.width) as f64;
        let whole = [original.height, original.width].map(|side| side as f64 / longer);
        let middle = Product { centre: whole.map(|side| 0.5 * side), axis: [0.0, 1.0], extent };
        let product = find_product(original).unwrap_or(middle);

        // Shrunk first, with a filter, to about the view's own scale: what follows reads single pixels.
        let per_pixel = extent[1] * longer / config.size[1] as f64;
        let shrunk = if per_pixel > 1.25 {
            let side = |length: usize| ((length as f64 / per_pixel).round() as usize).max(1);
            resize(original, [side(original.height), side(original.width)])?
        } else {
            original.clone()
        };
        let source = shrunk;
        let scale = source.height.max(source.width) as f64;
        let [height, width] = config.size;
        let mut image = Image::filled(height, width, source.channels, 0.0);
        let (step, axis) = ([0, 1].map(|k| extent[k] * scale / config.size[k] as f64), product.axis);
        for (i, pixel) in image.pixels.chunks_exact_mut(source.channels).enumerate() {
            let v = ((i / width) as f64 + 0.5 - 0.5 * height as f64) * step[0];
            let u = ((i % width) as f64 + 0.5 - 0.5 * width as f64) * step[1];
            let y = product.centre[0] * scale + u * axis[0] + v * axis[1] - 0.5;
            let x = product.centre[1] * scale + u * axis[1] - v * axis[0] - 0.5;
            sample(&source, x as f32, y as f32, Border::Replicate, pixel);
        }
        let placement = Placement::Turned { centre: product.centre, axis, extent, image: whole };
        Ok(Self { image, placement, pose: Pose::default() })
    }

    /// A picture that is its own view.
    pub fn whole(image: Image) -> Self {
        Self { image, placement: Placement::Whole, pose: Pose::default() }
    }

    /// The same view, registered to the good images' mean.
    pub fn registered(self, template: &Template) -> Self {
        let pose = template.pose(&self.image);
        self.in_pose(pose)
    }

    /// The same view in this pose.
    pub fn in_pose(self, pose: Pose) -> Self {
        Self { image: pose.apply(&self.image), placement: self.placement, pose }
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
        let mut out = vec![0.0; frame[0] * frame[1]];
        for (i, out) in out.iter_mut().enumerate() {
            let at = [(i / frame[1]) as f64 + 0.5, (i % frame[1]) as f64 + 0.5];
            let [y, x] = self.placement.of([at[0] / frame[0] as f64, at[1] / frame[1] as f64]);
            if (0.0..=1.0).contains(&y) && (0.0..=1.0).contains(&x) {
                let (height, width) = (height as f32, width as f32);
                let (y, x) = (y as f32 * height - 0.5, x as f32 * width - 0.5);
                // Where the view was laid upon the mean picture, the map lies there too.
                let centre = [0.5 * (height - 1.0), 0.5 * (width - 1.0)];
                let [y, x] = self.pose.inverse([y - centre[0], x - centre[1]]);
                sample(&map, x + centre[1], y + centre[0], Border::Replicate, std::slice::from_mut(out));
            }
        }
        Ok(out)
    }
}

impl Placement {
    /// Where a place of the frame lies in the view, both as shares of height and width.
    fn of(&self, [y, x]: [f64; 2]) -> [f64; 2] {
        match self {
            Self::Whole => [y, x],
            Self::Turned { centre, axis, extent, image } => {
                let (dy, dx) = (y * image[0] - centre[0], x * image[1] - centre[1]);
                let (u, v) = (dy * axis[0] + dx * axis[1], dy * axis[1] - dx * axis[0]);
                [v / extent[0] + 0.5, u / extent[1] + 0.5]
            }
        }
    }
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
        let config = ViewConfig { size: [8, 24], product: None };
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
                    () if (-40.0..=60.0).contains(&along) && across.abs() < 0.3 * (60.0 - along) => 60.0 / 255.0,
                    () => 180.0 / 255.0,
                }
            })
            .collect();
        (Image { height: 200, width: 200, channels: 1, pixels }, spot)
    }

    #[test]
    fn turned_products_look_alike_and_maps_find_their_way_back() {
        let config = ViewConfig { size: [64, 112], product: Some([0.32, 0.56]) };
        let views: Vec<_> = [0.3, 1.9, 4.0]
            .map(|angle| {
                let (image, spot) = arrow(angle);
                (View::new(&image, &config).expect("a view"), spot)
            })
            .into();
        for (view, spot) in &views {
            let different =
                view.image.pixels.iter().zip(&views[0].0.image.pixels).filter(|(a, b)| (*a - *b).abs() > 60.0 / 255.0);
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
        let config = ViewConfig { size: [16, 16], product: Some([0.5, 0.5]) };
        let view = View::new(&gradient(32, 32), &config).expect("a view");
        assert_eq!(view.image.pixels[0], gradient(32, 32).pixels[8 * 32 + 8]);
    }
}

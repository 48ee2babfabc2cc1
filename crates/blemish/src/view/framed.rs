//! A decoded image as a detector takes it.

use super::{View, ViewConfig};
use crate::error::Result;
use crate::image::{BlankReason, Image, ImageFacts, is_blank, resize};

/// A decoded image as a detector takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Framed {
    /// The whole image at the size of anomaly maps: `data.image_size`, or a size of its own where the view has a scale.
    pub image: Image,
    /// The part of it that is inspected, at the view's size.
    pub view: View,
    /// Height and width before resizing, upright.
    pub original_size: [usize; 2],
    /// What its file is like.
    pub facts: ImageFacts,
    /// Share of the image that the view covers, 0 to 1; what lies outside is not inspected.
    pub inspected: f32,
    /// Whether a product was found, where the detector looks for one; where it was not, the view shows the image's middle.
    pub product_found: Option<bool>,
    /// Why it shows nothing, where it shows nothing.
    pub blank: Option<BlankReason>,
}

impl Framed {
    /// Brings a decoded image, whose file is like `facts`, to the size of anomaly maps, and cuts its view.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for sizes that are not sizes.
    pub fn new(
        original: &Image,
        facts: ImageFacts,
        image_size: [usize; 2],
        view: &ViewConfig,
    ) -> Result<Self> {
        let original_size = [original.height, original.width];
        let is_whole = view.scale.is_some() || view.product.is_none() && view.size == image_size;
        let (view, blank) = rayon::join(|| View::new(original, view), || is_blank(original));
        let view = view?;
        let image = if is_whole { view.image.clone() } else { resize(original, image_size)? };
        let (inspected, product_found) = (view.inspected(), view.product_found());
        Ok(Self { image, view, original_size, facts, inspected, product_found, blank })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// A dark bar, a twentieth of the image, on a light ground with a little texture.
    fn bar() -> Image {
        let level = |i: usize| {
            let (y, x) = (i / 100, i % 100);
            let inside = (45..55).contains(&y) && (20..70).contains(&x);
            if inside { 0.2 } else { 0.7 + 0.01 * (i % 3) as f32 }
        };
        Image { height: 100, width: 100, channels: 1, pixels: (0..10_000).map(level).collect() }
    }

    #[test]
    fn what_is_not_inspected_is_known() {
        let framed =
            |image: &Image, view: &ViewConfig| Framed::new(image, ImageFacts::of(image), [32, 32], view);
        let whole = framed(&bar(), &ViewConfig::whole([32, 48])).unwrap();
        assert_eq!((whole.inspected, whole.product_found, whole.original_size), (1.0, None, [100, 100]));
        let config = ViewConfig { product: Some([0.25, 0.5]), ..ViewConfig::whole([16, 32]) };
        let found = framed(&bar(), &config).unwrap();
        assert_eq!((found.product_found, found.blank), (Some(true), None));
        assert!((found.inspected - 0.125).abs() < 0.03, "{}", found.inspected);
        let empty = framed(&Image::filled(100, 100, 1, 0.7), &config).unwrap();
        assert_eq!((empty.product_found, empty.blank), (Some(false), Some(BlankReason::Constant)));
    }
}

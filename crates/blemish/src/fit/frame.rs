//! What is known of a frame before any part looks at it.
//!
//! The one place that asks, so that fitting and predicting cannot differ.

use crate::view::Framed;

/// Spread of grey levels, as [`Normalize::Robust`](crate::image::Normalize::Robust) has it, below which there is nothing to see.
const FLOOR: f64 = 0.004;

/// Why a frame shows nothing, where it does.
pub fn blank_reason(framed: &Framed) -> Option<String> {
    let mut grey = framed.image.grey();
    let median = crate::image::median(&mut grey);
    let root = grey.iter().map(|v| f64::from((v - median).abs().sqrt())).sum::<f64>() / grey.len() as f64;
    (root * root < FLOOR).then(|| "blank: it has no structure".to_owned())
}

/// Share of the image that the view covers, 0 to 1.
pub fn inspected(_framed: &Framed) -> f32 {
    1.0
}

/// Whether a product was found, where the detector looks for one.
pub fn product_found(_framed: &Framed) -> Option<bool> {
    None
}

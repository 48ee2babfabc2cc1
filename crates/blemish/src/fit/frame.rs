//! What is known of a frame before any part looks at it.
//!
//! The one place that asks, so that fitting and predicting cannot differ.

use crate::view::Framed;

/// Why a frame shows nothing, where it does.
pub fn blank_reason(framed: &Framed) -> Option<String> {
    framed.blank.map(|reason| reason.describe().to_owned())
}

/// Share of the image that the view covers, 0 to 1.
pub fn inspected(framed: &Framed) -> f32 {
    framed.inspected
}

/// Whether a product was found, where the detector looks for one.
pub fn product_found(framed: &Framed) -> Option<bool> {
    framed.product_found
}

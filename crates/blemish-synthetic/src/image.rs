//! The image type that the generator returns.

/// An image of `f32`, `[H, W, C]` interleaved, in [0, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// 3 for every generated image; grey scenes have three equal channels.
    pub channels: usize,
    /// `height * width * channels` values.
    pub pixels: Vec<f32>,
}

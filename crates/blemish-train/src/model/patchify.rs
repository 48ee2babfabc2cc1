//! Images to patches and back, in one order everywhere: (row, column, channel) within a patch.

use burn::tensor::Tensor;

/// Cuts channels-last images into patches of side `p`, row by row.
///
/// # Shapes
/// `[B, H, W, C]` -> `[B, (H / p) (W / p), p p C]`
pub fn patchify(images: Tensor<4>, p: usize) -> Tensor<3> {
    let [b, h, w, c] = images.dims();
    let (rows, columns) = (h / p, w / p);
    images.reshape([b, rows, p, columns, p * c]).swap_dims(2, 3).reshape([b, rows * columns, p * p * c])
}

/// Undoes [`patchify`].
///
/// # Shapes
/// `[B, N, p p C]` -> `[B, H, W, C]`
pub fn unpatchify(patches: Tensor<3>, p: usize, [h, w]: [usize; 2]) -> Tensor<4> {
    let [b, _, d] = patches.dims();
    let c = d / (p * p);
    let (rows, columns) = (h / p, w / p);
    patches.reshape([b, rows, columns, p, p * c]).swap_dims(2, 3).reshape([b, h, w, c])
}

//! The arithmetic of the model on a CPU: pure functions on contiguous row-major `f32` slices, forward and backward.
//!
//! Three ideas carry all of it:
//! - [`product`]: one register-tiled matrix product on packed [`panels`], written once against `pulp::Simd` and
//!   compiled for AVX2, AVX-512 and plain code, chosen at run time. Linear layers, 3 x 3 convolutions (no im2col:
//!   the rows of a padded image *are* the columns, overlapping) and attention are different strides into it.
//! - [`simd`]: element-wise work is written as plain loops and compiled for the same instruction sets.
//! - Work is cut into parts whose sizes depend on the shapes alone and whose sums are added in a fixed order, so no
//!   result depends on how many threads there are.
//!
//! Layouts: tokens `[B, N, D]`; feature maps channels last, `[B, H, W, C]`; linear weights `[in, out]`; 3 x 3 weights
//! `[3, 3, in, out]`. Every function panics when a slice's length contradicts the shape it is given.

pub mod activation;
pub mod aligned;
pub mod attention;
pub mod bf16;
pub mod blur;
pub mod buffers;
pub mod conv;
pub mod conv_gradient;
pub mod dyt;
pub mod int8;
pub mod linear;
pub mod losses;
pub mod math;
pub mod matmul;
pub mod norm;
pub mod optim;
pub mod panels;
pub mod pixel_shuffle;
pub mod precision;
pub mod product;
pub mod reduce;
pub mod scratch;
pub mod simd;
#[cfg(test)]
mod testing;

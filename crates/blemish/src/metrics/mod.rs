//! How good a detector is: image and pixel AUROC, F1, AUPRO, and the regions of a mask or a map.
//!
//! Everything here is exact (sorted scores, no sampled thresholds, ties counted as ties) and works on plain
//! slices: scores are `f32`, higher = more defective, of any finite value; maps are `[H, W]` slices beside a
//! [`PixelMask`] of the same size, and images of one data set may differ in size. What is not defined (no
//! defective image, a score that is not finite, lengths that differ) is an [`Error::Metric`] naming what is
//! missing, never NaN and never a silent 0 or 1.
//!
//! [`PixelMask`]: crate::image::PixelMask
//! [`Error::Metric`]: crate::error::Error::Metric

mod components;
mod f1;
mod interval;
mod pro;
mod ranking;
mod roc;
mod streamed;

#[doc(hidden)]
pub use components::{Components, connected_components};
pub use components::{Region, outlined, regions};
#[doc(hidden)]
pub use f1::{Confusion, f1_all_positive, f1_at};
pub use f1::{F1Max, f1_max};
pub(crate) use interval::{Z95, wilson};
pub use pro::{aupro, pro_curve};
pub use roc::{RocPoint, auroc, pixel_auroc, roc_curve};
pub(crate) use streamed::{MapSource, PixelMetrics, pixel_metrics};

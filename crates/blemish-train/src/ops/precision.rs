//! What the products of the operations are computed in, for the duration of a forward pass.

use std::cell::Cell;

use blemish::kernels::precision::Precision;

thread_local! {
    static PRECISION: Cell<Precision> = const { Cell::new(Precision::F32) };
}

/// Calls `work`; the linear layers and convolutions that this thread runs on the CPU meanwhile compute their products
/// in `precision`, and so do their gradients, whenever and wherever those are computed: each operation keeps what it
/// was made with. Outside it is [`Precision::F32`].
///
/// Weights, gradients and all else are 32-bit floats in either precision. Other devices take no notice.
pub fn with_precision<R>(precision: Precision, work: impl FnOnce() -> R) -> R {
    /// Puts the former precision back, after a panic too.
    struct Former(Precision);
    impl Drop for Former {
        fn drop(&mut self) {
            PRECISION.set(self.0);
        }
    }
    let _former = Former(PRECISION.replace(precision));
    work()
}

/// The precision of an operation that is made now.
pub fn precision() -> Precision {
    PRECISION.get()
}

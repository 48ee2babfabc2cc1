//! The C interface: what `include/blemish.h` declares. That header is made from this crate by `cbindgen`, see `tests/header.rs`.
//!
//! No call trusts a handle: a model or a prediction is a number in the guise of a pointer, looked up in a [table](handle) and
//! never dereferenced, so that one that was freed, or never was one, is an error. What is dereferenced are the caller's own
//! buffers and the places for answers, after they were checked as far as they can be. No panic crosses the boundary.
//!
//! `unsafe` is confined to [`boundary`] and [`buffer`].

pub mod boundary;
pub mod buffer;
pub mod failure;
pub mod handle;
pub mod result;
mod store;

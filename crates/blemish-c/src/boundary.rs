//! The functions that C calls.
#![expect(unsafe_code, reason = "pointers of C callers, exported names")]

use std::ffi::{CStr, c_char};
use std::path::PathBuf;
use std::ptr;
use std::sync::Arc;

use blemish::config::ThresholdRule;
use blemish::pools::shared;
use blemish::{Detector, ImageView, Prediction};

use crate::buffer::{BlemishImage, with_view};
use crate::failure::{self, BlemishStatus, Failure, guard};
use crate::result::{BlemishResult, Stored};
use crate::store::{MODELS, Model, PREDICTIONS};

/// A fitted detector. Not an address: it can only be given to functions of this library.
#[derive(Debug)]
pub struct BlemishModel {
    _not_made_in_rust: (),
}

/// What a detector says of one image. Not an address: it can only be given to functions of this library.
#[derive(Debug)]
pub struct BlemishPrediction {
    _not_made_in_rust: (),
}

fn argument(message: impl Into<String>) -> Failure {
    Failure::new(BlemishStatus::Argument, message)
}

/// The failure of a handle that names nothing.
fn gone(what: &str) -> Failure {
    Failure::new(BlemishStatus::Handle, format!("this {what} was freed, or never was a {what}"))
}

/// Where an answer goes, if it can be written there.
fn place<T>(at: *mut T, name: &str) -> Result<*mut T, Failure> {
    if at.is_null() {
        return Err(argument(format!("{name} is null")));
    }
    if !at.is_aligned() {
        return Err(argument(format!("{name} is not aligned")));
    }
    Ok(at)
}

fn model_of(model: *const BlemishModel) -> Result<Arc<Model>, Failure> {
    if model.is_null() {
        return Err(argument("model is null"));
    }
    MODELS.get(model.addr()).ok_or_else(|| gone("model"))
}

/// # Safety
/// `path` is null or ends with a zero byte.
unsafe fn path_of(path: *const c_char) -> Result<PathBuf, Failure> {
    if path.is_null() {
        return Err(argument("path is null"));
    }
    // SAFETY: not null, and ends with a zero byte (contract).
    let path = unsafe { CStr::from_ptr(path) };
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        Ok(PathBuf::from(std::ffi::OsStr::from_bytes(path.to_bytes())))
    }
    #[cfg(not(unix))]
    {
        Ok(PathBuf::from(path.to_str().map_err(|_| argument("path is not UTF-8"))?))
    }
}

/// # Safety
/// `out` can be written.
unsafe fn give_model(out: *mut *mut BlemishModel, detector: Detector) -> Result<(), Failure> {
    let handle = MODELS.insert(Model::new(detector));
    let handle = handle.ok_or_else(|| Failure::new(BlemishStatus::Internal, "too many models"))?;
    // SAFETY: can be written (contract).
    unsafe { out.write(ptr::without_provenance_mut(handle)) };
    Ok(())
}

/// # Safety
/// `out` can be written.
unsafe fn give_prediction(out: *mut *mut BlemishPrediction, prediction: Prediction) -> Result<(), Failure> {
    let handle = PREDICTIONS.insert(Stored::new(prediction));
    let handle =
        handle.ok_or_else(|| Failure::new(BlemishStatus::Internal, "too many predictions: free them"))?;
    // SAFETY: can be written (contract).
    unsafe { out.write(ptr::without_provenance_mut(handle)) };
    Ok(())
}

/// The library's version, such as "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn blemish_version() -> *const c_char {
    const VERSION: &[u8] = concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes();
    VERSION.as_ptr().cast()
}

/// What went wrong in the last call on this thread that failed, UTF-8; empty before that, never null. It is good until the next
/// failure on this thread.
#[unsafe(no_mangle)]
pub extern "C" fn blemish_last_error() -> *const c_char {
    failure::last()
}

/// Loads the model file at `path` (UTF-8 on Windows, elsewhere as the system has it) and writes the model to `*model`, to be
/// freed by `blemish_free`. On failure `*model` is null.
///
/// # Safety
/// `path` must end with a zero byte; `model` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn blemish_load(path: *const c_char, model: *mut *mut BlemishModel) -> BlemishStatus {
    guard(|| {
        let model = place(model, "model")?;
        // SAFETY: not null and aligned; writable (contract).
        unsafe { model.write(ptr::null_mut()) };
        // SAFETY: null, or ends with a zero byte (contract).
        let path = unsafe { path_of(path)? };
        let detector = shared(|| Detector::load(path))?;
        // SAFETY: as above.
        unsafe { give_model(model, detector) }
    })
}

/// Loads the `size` bytes of a model file and writes the model to `*model`, to be freed by `blemish_free`. The bytes are not
/// needed any more afterwards. On failure `*model` is null.
///
/// # Safety
/// `bytes` must be readable for `size` bytes; `model` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn blemish_load_memory(
    bytes: *const u8,
    size: usize,
    model: *mut *mut BlemishModel,
) -> BlemishStatus {
    guard(|| {
        let model = place(model, "model")?;
        // SAFETY: not null and aligned; writable (contract).
        unsafe { model.write(ptr::null_mut()) };
        if bytes.is_null() {
            return Err(argument("bytes is null"));
        }
        if isize::try_from(size).is_err() || bytes.addr().checked_add(size).is_none() {
            return Err(argument(format!("{size} bytes are more than memory has")));
        }
        // SAFETY: not null, no more than an object can have; readable (contract).
        let bytes = unsafe { std::slice::from_raw_parts(bytes, size) };
        let detector = shared(|| Detector::from_bytes(bytes))?;
        // SAFETY: as above.
        unsafe { give_model(model, detector) }
    })
}

/// Frees a model; null is allowed. Predictions in progress on other threads end as they would have.
#[unsafe(no_mangle)]
pub extern "C" fn blemish_free(model: *mut BlemishModel) -> BlemishStatus {
    guard(|| {
        if model.is_null() {
            return Ok(());
        }
        MODELS.remove(model.addr()).map(drop).ok_or_else(|| gone("model"))
    })
}

/// Scores an image and locates defects; writes the answer to `*prediction`, to be freed by `blemish_prediction_free`. On failure
/// `*prediction` is null. Any number of threads may predict with one model at the same time.
///
/// # Safety
/// `image` must be readable, as must `image->size` bytes from `image->data` on, which nobody may write meanwhile; `prediction` must
/// be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn blemish_predict(
    model: *const BlemishModel,
    image: *const BlemishImage,
    prediction: *mut *mut BlemishPrediction,
) -> BlemishStatus {
    guard(|| {
        let prediction = place(prediction, "prediction")?;
        // SAFETY: not null and aligned; writable (contract).
        unsafe { prediction.write(ptr::null_mut()) };
        let model = model_of(model)?;
        // SAFETY: not null and aligned; readable (contract). Copied, so that nobody changes it after it was checked.
        let image = unsafe { place(image.cast_mut(), "image")?.read() };
        let work = |view: ImageView<'_>| {
            let detector = model.read();
            Ok(model.pools.run(|| detector.predict(view))?)
        };
        // SAFETY: `data` is readable for `size` bytes, without writers (contract).
        let answer = unsafe { with_view(&image, work)? };
        // SAFETY: as above.
        unsafe { give_prediction(prediction, answer) }
    })
}

/// Reads the image file at `path` (PNG, JPEG, BMP, TIFF, WebP, PNM), then as `blemish_predict`.
///
/// # Safety
/// `path` must end with a zero byte; `prediction` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn blemish_predict_file(
    model: *const BlemishModel,
    path: *const c_char,
    prediction: *mut *mut BlemishPrediction,
) -> BlemishStatus {
    guard(|| {
        let prediction = place(prediction, "prediction")?;
        // SAFETY: not null and aligned; writable (contract).
        unsafe { prediction.write(ptr::null_mut()) };
        let model = model_of(model)?;
        // SAFETY: null, or ends with a zero byte (contract).
        let path = unsafe { path_of(path)? };
        let detector = model.read();
        let answer = model.pools.run(|| detector.predict_file(&path))?;
        // SAFETY: as above.
        unsafe { give_prediction(prediction, answer) }
    })
}

/// Writes what a prediction says to `*result`, whose `struct_size` the caller has set to `sizeof(blemish_result)`. Its pointers are
/// good until the prediction is freed.
///
/// # Safety
/// `result` must be readable and writable for `result->struct_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn blemish_prediction_get(
    prediction: *const BlemishPrediction,
    result: *mut BlemishResult,
) -> BlemishStatus {
    guard(|| {
        let result = place(result, "result")?;
        if prediction.is_null() {
            return Err(argument("prediction is null"));
        }
        let stored = PREDICTIONS.get(prediction.addr()).ok_or_else(|| gone("prediction"))?;
        // SAFETY: not null and aligned; readable (contract).
        let size = unsafe { (&raw const (*result).struct_size).read() };
        // No version has had a smaller struct than this one.
        if size < size_of::<BlemishResult>() {
            return Err(argument(format!("result: struct_size {size} is not sizeof(blemish_result)")));
        }
        let answer = BlemishResult { struct_size: size, ..stored.result() };
        // SAFETY: writable for `size` bytes, which are at least as many (contract).
        unsafe { result.write(answer) };
        Ok(())
    })
}

/// Frees a prediction; null is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn blemish_prediction_free(prediction: *mut BlemishPrediction) -> BlemishStatus {
    guard(|| {
        if prediction.is_null() {
            return Ok(());
        }
        PREDICTIONS.remove(prediction.addr()).map(drop).ok_or_else(|| gone("prediction"))
    })
}

/// Writes the score from which on an image is defective to `*threshold`.
///
/// # Safety
/// `threshold` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn blemish_threshold(model: *const BlemishModel, threshold: *mut f32) -> BlemishStatus {
    guard(|| {
        let threshold = place(threshold, "threshold")?;
        let value = model_of(model)?.read().threshold()?.value as f32;
        // SAFETY: not null and aligned; writable (contract).
        unsafe { threshold.write(value) };
        Ok(())
    })
}

/// From now on an image is defective when its score is at least `threshold`, a finite number.
#[unsafe(no_mangle)]
pub extern "C" fn blemish_set_threshold(model: *mut BlemishModel, threshold: f32) -> BlemishStatus {
    guard(|| {
        let model = model_of(model)?;
        if !threshold.is_finite() {
            return Err(argument(format!("threshold {threshold} is not finite")));
        }
        model.write().set_threshold(threshold);
        Ok(())
    })
}

/// From now on the threshold is that which the share `fpr` of good images is expected to exceed, 0.000001 or more and below 1.
#[unsafe(no_mangle)]
pub extern "C" fn blemish_set_fpr(model: *mut BlemishModel, fpr: f64) -> BlemishStatus {
    guard(|| Ok(model_of(model)?.write().choose_threshold(ThresholdRule::Fpr, Some(fpr))?))
}

/// From now on each prediction has so many threads of its own, at most 1024; 0, as a model is loaded: all predictions share one
/// thread for each core. 1 is best where as many threads predict at once as there are cores. Scores do not depend on it.
#[unsafe(no_mangle)]
pub extern "C" fn blemish_set_threads(model: *mut BlemishModel, threads: usize) -> BlemishStatus {
    guard(|| {
        let model = model_of(model)?;
        if threads > 1024 {
            return Err(argument(format!("{threads} threads are more than 1024")));
        }
        model.pools.set_threads(threads);
        Ok(())
    })
}

//! The boundary under misuse, and at work, called as C calls it. Small enough for Miri: `just miri`.
#![expect(unsafe_code, reason = "calls the functions that C calls")]
#![expect(clippy::unwrap_used, reason = "tests")]

mod tiny;

use std::ffi::CStr;
use std::ptr::{self, null, null_mut};

use blemish_c::boundary::*;
use blemish_c::buffer::{BlemishFormat, BlemishImage};
use blemish_c::failure::BlemishStatus;
use blemish_c::result::BlemishResult;
use tiny::{SIDE, pixels};

fn message() -> String {
    // SAFETY: never null, and good until the next failure on this thread.
    unsafe { CStr::from_ptr(blemish_last_error()) }.to_string_lossy().into_owned()
}

#[track_caller]
fn refused(status: BlemishStatus, expected: BlemishStatus, said: &str) {
    assert_eq!(status, expected, "{}", message());
    assert!(message().contains(said), "{said}: {}", message());
}

fn empty() -> BlemishResult {
    // SAFETY: a struct of numbers and pointers.
    let mut result: BlemishResult = unsafe { std::mem::zeroed() };
    result.struct_size = size_of::<BlemishResult>();
    result
}

fn image(data: &[u8]) -> BlemishImage {
    let (side, format) = (SIDE as u32, BlemishFormat::Rgb8 as u32);
    BlemishImage {
        data: data.as_ptr().cast(),
        size: data.len(),
        stride: 0,
        width: side,
        height: side,
        format,
    }
}

/// A model's bytes. Fitting takes hours in Miri, so that there they come from the file that `fixture` writes.
fn model() -> Option<Vec<u8>> {
    if cfg!(miri) {
        let path = std::env::var_os("BLEMISH_TINY_MODEL")?;
        return Some(std::fs::read(path).unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part.blemish.safetensors");
    tiny::detector(SIDE).unwrap().save(&path).unwrap();
    Some(std::fs::read(path).unwrap())
}

#[test]
fn pointers_that_cannot_be_used() {
    let mut model = ptr::without_provenance_mut(7);
    let mut prediction = ptr::without_provenance_mut(7);
    let data = [0; 4];
    let image = image(&data);
    let mut result = empty();
    let mut threshold = 0.0;
    let foreign = |address: usize| ptr::without_provenance_mut::<BlemishModel>(address);
    // SAFETY: null pointers and handles are checked; all others are of live values.
    unsafe {
        refused(blemish_load(null(), &mut model), BlemishStatus::Argument, "path is null");
        assert!(model.is_null());
        refused(blemish_load(c"x".as_ptr(), null_mut()), BlemishStatus::Argument, "model is null");
        refused(blemish_load_memory(null(), 3, &mut model), BlemishStatus::Argument, "bytes is null");
        let bytes = data.as_ptr();
        refused(blemish_load_memory(bytes, usize::MAX, &mut model), BlemishStatus::Argument, "memory");
        refused(blemish_load_memory(bytes, 4, &mut model), BlemishStatus::Model, "the model");
        refused(blemish_load_memory(bytes, 0, &mut model), BlemishStatus::Model, "the model");

        refused(blemish_predict(null(), &image, &mut prediction), BlemishStatus::Argument, "model is null");
        assert!(prediction.is_null());
        for model in
            [foreign(1), foreign(usize::MAX), foreign(&raw const image as usize), foreign(0xb1 << 56)]
        {
            refused(
                blemish_predict(model, &image, &mut prediction),
                BlemishStatus::Handle,
                "never was a model",
            );
            refused(blemish_threshold(model, &mut threshold), BlemishStatus::Handle, "never was a model");
            refused(blemish_set_threshold(model, 1.0), BlemishStatus::Handle, "never was a model");
            refused(blemish_set_fpr(model, 0.5), BlemishStatus::Handle, "never was a model");
            refused(blemish_set_threads(model, 1), BlemishStatus::Handle, "never was a model");
            refused(blemish_free(model), BlemishStatus::Handle, "never was a model");
            refused(blemish_prediction_get(model.cast(), &mut result), BlemishStatus::Handle, "a prediction");
            refused(blemish_prediction_free(model.cast()), BlemishStatus::Handle, "a prediction");
        }
        refused(blemish_prediction_get(null(), &mut result), BlemishStatus::Argument, "prediction is null");
        let odd = (&raw mut result).wrapping_byte_add(1);
        refused(blemish_prediction_get(foreign(1).cast(), odd), BlemishStatus::Argument, "not aligned");
    }
    assert_eq!(
        (blemish_free(null_mut()), blemish_prediction_free(null_mut())),
        (BlemishStatus::Ok, BlemishStatus::Ok)
    );
}

#[test]
fn a_model_from_its_bytes_to_its_end() {
    let Some(bytes) = model() else {
        eprintln!("left out: no BLEMISH_TINY_MODEL");
        return;
    };
    let (mut model, mut prediction, mut result) = (null_mut(), null_mut(), empty());
    let pixels = pixels(200, true);
    let good = image(&pixels);
    // SAFETY: all pointers are of live values, or null, or handles.
    unsafe {
        refused(
            blemish_load_memory(bytes.as_ptr(), bytes.len() / 2, &mut model),
            BlemishStatus::Model,
            "the model",
        );
        assert_eq!(blemish_load_memory(bytes.as_ptr(), bytes.len(), &mut model), BlemishStatus::Ok);
        drop(bytes);
        refused(blemish_predict(model, null(), &mut prediction), BlemishStatus::Argument, "image is null");
        refused(blemish_predict(model, &good, null_mut()), BlemishStatus::Argument, "prediction is null");
        for (bad, said) in [
            (BlemishImage { data: null(), ..good }, "data is null"),
            (BlemishImage { size: good.size - 1, ..good }, "too few"),
            (BlemishImage { width: 0, ..good }, "no pixels"),
            (BlemishImage { stride: usize::MAX, ..good }, "more than memory"),
            (BlemishImage { stride: 1, ..good }, "a row has"),
            (BlemishImage { format: 99, ..good }, "format 99"),
        ] {
            refused(blemish_predict(model, &bad, &mut prediction), BlemishStatus::Image, said);
            assert!(prediction.is_null());
        }
        assert_eq!(blemish_predict(model, &good, &mut prediction), BlemishStatus::Ok);
        refused(blemish_prediction_get(prediction, null_mut()), BlemishStatus::Argument, "result is null");
        result.struct_size = 8;
        refused(blemish_prediction_get(prediction, &mut result), BlemishStatus::Argument, "struct_size 8");
        result.struct_size = size_of::<BlemishResult>();
        assert_eq!(blemish_prediction_get(prediction, &mut result), BlemishStatus::Ok);

        // The model goes; what it said stays.
        assert_eq!((blemish_free(model), blemish_free(model)), (BlemishStatus::Ok, BlemishStatus::Handle));
        let map = std::slice::from_raw_parts(result.map, result.map_height * result.map_width);
        assert!(map.iter().all(|value| value.is_finite()) && map.len() == SIDE * SIDE);
        let regions = std::slice::from_raw_parts(result.regions, result.region_count);
        assert!(result.score >= result.threshold && regions[0].area > 0);
        assert_eq!(CStr::from_ptr(result.reason), c"anomaly");
        assert_eq!(blemish_prediction_free(prediction), BlemishStatus::Ok);
        refused(blemish_prediction_free(prediction), BlemishStatus::Handle, "was freed");
        refused(blemish_prediction_get(prediction, &mut result), BlemishStatus::Handle, "was freed");
    }
}

#[test]
fn what_is_freed_by_many_threads_is_freed_once() {
    let Some(bytes) = model().filter(|_| !cfg!(miri)) else {
        eprintln!("left out: takes too long in Miri");
        return;
    };
    let (pixels, mut model) = (pixels(200, true), null_mut());
    // SAFETY: live values.
    assert_eq!(unsafe { blemish_load_memory(bytes.as_ptr(), bytes.len(), &mut model) }, BlemishStatus::Ok);
    let model = model.addr();
    let freed: usize = std::thread::scope(|scope| {
        let work = || {
            let model = ptr::without_provenance_mut(model);
            for _ in 0..3 {
                let mut prediction = null_mut();
                // SAFETY: live values, or a handle.
                match unsafe { blemish_predict(model, &image(&pixels), &mut prediction) } {
                    BlemishStatus::Ok => assert_eq!(blemish_prediction_free(prediction), BlemishStatus::Ok),
                    status => assert_eq!((status, prediction), (BlemishStatus::Handle, null_mut())),
                }
            }
            usize::from(blemish_free(model) == BlemishStatus::Ok)
        };
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(freed, 1);
}

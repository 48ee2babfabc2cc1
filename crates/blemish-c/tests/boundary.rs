//! The interface, called as C calls it: the same answers as the library's, from files, bytes and buffers, on many threads.
#![expect(unsafe_code, reason = "calls the functions that C calls")]
#![expect(clippy::unwrap_used, reason = "tests")]

mod tiny;

use std::ffi::{CStr, CString};
use std::ptr::null_mut;
use std::slice;

use blemish::{Detector, ImageView};
use blemish_c::boundary::*;
use blemish_c::buffer::{BlemishFormat, BlemishImage};
use blemish_c::failure::BlemishStatus;
use blemish_c::result::{BlemishResult, BlemishVerdict};
use tiny::{SIDE, pixels};

fn image(pixels: &[u8]) -> BlemishImage {
    let (width, height) = (SIDE as u32, SIDE as u32);
    BlemishImage {
        data: pixels.as_ptr().cast(),
        size: pixels.len(),
        stride: 0,
        width,
        height,
        format: BlemishFormat::Rgb8 as u32,
    }
}

/// Score, verdict, map and number of regions of one prediction.
fn predicted(model: *mut BlemishModel, image: &BlemishImage) -> (f32, u32, Vec<f32>, usize) {
    let mut prediction = null_mut();
    // SAFETY: all pointers are of live values; `image` is of a live buffer.
    assert_eq!(unsafe { blemish_predict(model, image, &mut prediction) }, BlemishStatus::Ok);
    // SAFETY: a struct of numbers and pointers.
    let mut result: BlemishResult = unsafe { std::mem::zeroed() };
    result.struct_size = size_of::<BlemishResult>();
    // SAFETY: `result` is as large as it says.
    assert_eq!(unsafe { blemish_prediction_get(prediction, &mut result) }, BlemishStatus::Ok);
    // SAFETY: the prediction was not freed yet.
    let map = unsafe { slice::from_raw_parts(result.map, result.map_height * result.map_width) }.to_vec();
    // SAFETY: the same.
    let reason = unsafe { CStr::from_ptr(result.reason) };
    let normal = result.verdict == BlemishVerdict::Good as u32;
    assert_eq!(reason, if normal { c"normal" } else { c"anomaly" });
    assert_eq!(blemish_prediction_free(prediction), BlemishStatus::Ok);
    (result.score, result.verdict, map, result.region_count)
}

/// A model's handle may be used by every thread; a raw pointer does not say so.
#[derive(Clone, Copy)]
struct Shared(*mut BlemishModel);
// SAFETY: never dereferenced.
unsafe impl Send for Shared {}
// SAFETY: never dereferenced.
unsafe impl Sync for Shared {}

impl Shared {
    fn model(&self) -> *mut BlemishModel {
        self.0
    }
}

#[test]
fn answers_are_those_of_the_library_on_many_threads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part.blemish.safetensors");
    tiny::detector(SIDE).unwrap().save(&path).unwrap();
    let detector = Detector::load(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();

    let name = CString::new(path.to_str().unwrap()).unwrap();
    let (mut from_file, mut from_memory) = (null_mut(), null_mut());
    // SAFETY: all pointers are of live values.
    assert_eq!(unsafe { blemish_load(name.as_ptr(), &mut from_file) }, BlemishStatus::Ok);
    // SAFETY: as above.
    assert_eq!(
        unsafe { blemish_load_memory(bytes.as_ptr(), bytes.len(), &mut from_memory) },
        BlemishStatus::Ok
    );
    drop(bytes);
    let cases: Vec<_> = [(200, false), (201, true)]
        .map(|(seed, defective)| {
            let pixels = pixels(seed, defective);
            let expected = detector.predict(ImageView::rgb8(&pixels, SIDE, SIDE)).unwrap();
            assert_eq!(expected.is_defective(), defective);
            (pixels, (expected.score, u32::from(defective), expected.map, expected.regions.len()))
        })
        .into();
    for model in [from_file, from_memory] {
        let shared = Shared(model);
        for own_threads in [0, 1] {
            assert_eq!(blemish_set_threads(model, own_threads), BlemishStatus::Ok);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for (pixels, expected) in &cases {
                            assert_eq!(predicted(shared.model(), &image(pixels)), *expected);
                        }
                    });
                }
            });
        }
        assert_eq!(blemish_free(model), BlemishStatus::Ok);
        assert_eq!(blemish_free(model), BlemishStatus::Handle);
    }
}

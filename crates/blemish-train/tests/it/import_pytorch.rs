//! The import of PyTorch state dicts: what is read from them, and what is refused. `parity_model` checks the output.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use blemish::config::Use;
use blemish::dataset::OnError;
use blemish::fit::FitOptions;
use blemish::{Detector, Error, Image, ImageView, Images};
use blemish_train::{ImportOptions, Preset, import_pytorch};

use crate::fixture::path;

/// What is wrong with the file, as the error says it.
fn refusal(path: &Path) -> String {
    match import_pytorch(path, ImportOptions::default()) {
        Err(Error::Model { path: named, reason }) => {
            assert_eq!(named, path);
            reason
        }
        other => panic!("{other:?}"),
    }
}

/// The refusal of a file with these bytes.
fn refusal_of(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.pth");
    fs::write(&file, bytes).unwrap();
    refusal(&file)
}

#[test]
fn sizes_follow_from_shapes() {
    let file = import_pytorch(&path("diyt.pth"), ImportOptions::default()).unwrap();
    let model = &file.config.model;
    assert_eq!((file.config.preset, file.config.data.image_size), (Preset::Diyt, [64, 64]));
    assert_eq!((model.patch_size, model.embed_dim, model.depth, model.mlp_dim()), (16, 16, 3, 16));
    let decoder = (model.decoder_embed_dim, model.decoder_depth, model.decoder_mlp_dim());
    assert_eq!(decoder, (8, 2, 16));
    assert_eq!((model.num_heads, model.decoder_num_heads), (8, 8), "as published: the weights do not tell");
    assert_eq!(file.config.network.usage, Use::Always);
}

#[test]
fn a_checkpoint_from_a_gpu_holds_the_same() {
    let [plain, wrapped] = ["diyt.pth", "diyt_wrapped.pth"]
        .map(|name| import_pytorch(&path(name), ImportOptions::default()).unwrap().weights);
    assert_eq!(plain, wrapped);
}

fn stripes(phase: f32) -> Image {
    let pixels = (0..64 * 64 * 3).map(|i| 0.5 + 0.3 * ((i / 192) as f32 * 0.3 + phase).sin()).collect();
    Image { height: 64, width: 64, channels: 3, pixels }
}

#[test]
fn the_import_survives_the_model_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("model.safetensors");
    let detector =
        import_pytorch(&path("diyt.pth"), ImportOptions::default()).unwrap().uncalibrated().unwrap();
    detector.save(&at).unwrap();
    let loaded = Detector::load(&at).unwrap();
    for view in [stripes(0.0), stripes(1.0)] {
        let [again, before] = [&loaded, &detector].map(|detector| detector.see(&view, [64, 64]).unwrap());
        assert_eq!(again, before);
    }
    assert!(loaded.provenance().split.contains("diyt.pth"));
    let refusal = loaded.predict(ImageView::rgb8(&[0; 64 * 64 * 3], 64, 64)).unwrap_err();
    assert!(matches!(refusal, Error::Model { .. }), "no threshold: {refusal}");
}

#[test]
fn every_good_image_calibrates_the_import() {
    let stop = AtomicBool::new(false);
    let options = FitOptions { on_error: OnError::Stop, listener: &|_| {}, stop: &stop };
    let images = Images::from((0..7u8).map(|i| stripes(0.8 * f32::from(i))).collect::<Vec<_>>());
    let imported = import_pytorch(&path("diyt.pth"), ImportOptions::default()).unwrap();
    let detector = imported.calibrated(&images, &options).unwrap();
    assert_eq!(detector.good_scores().len(), 7);
    assert!(detector.threshold().unwrap().value > 0.0 && detector.provenance().split.contains("diyt.pth"));
}

#[test]
fn hostile_pickles_are_refused_and_not_run() {
    assert!(refusal(&path("hostile.pth")).contains("encoder_norm.beta is no tensor but a"));
    refusal(&path("hostile_bare.pth"));
    assert!(!Path::new("blemish_pickle_was_run").exists());
}

#[test]
fn heads_must_divide_the_width() {
    let options = ImportOptions { num_heads: Some(5), ..ImportOptions::default() };
    let error = import_pytorch(&path("diyt.pth"), options).unwrap_err().to_string();
    assert!(error.contains("model.embed_dim") && error.contains("5 heads"), "{error}");
}

#[test]
fn other_files_are_refused() {
    let missing = import_pytorch(&path("nowhere.pth"), ImportOptions::default());
    assert!(matches!(missing, Err(Error::Io { .. })));
    refusal(&path("mlp.safetensors"));
    refusal_of(b"");
    // A pickled empty dictionary, and a pickled 1.
    assert!(refusal_of(b"\x80\x02}.").contains("patch_embed.proj.weight is missing"));
    assert!(refusal_of(b"\x80\x02K\x01.").contains("no state dict"));
}

#[test]
fn a_wrong_tensor_is_named() {
    let renamed = edited(b"mask_token", b"mask_tokem");
    assert_eq!(refusal_of(&renamed), "tensor mask_token is missing");
    let shortened = edited(b"K\x01K\x01K\x08\x87", b"K\x01K\x01K\x07\x87");
    assert_eq!(refusal_of(&shortened), "tensor mask_token has shape [1, 1, 7], not [1, 1, 8]");
    let transposed = edited(b"K\x08K\x10\x86", b"K\x08K\x0f\x86");
    assert_eq!(refusal_of(&transposed), "tensor decoder_embed.weight has shape [8, 15], not [8, 16]");
}

#[test]
fn cut_and_flipped_files_do_no_harm() {
    let whole = fs::read(path("diyt_wrapped.pth")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("x.pth");
    for end in (0..whole.len()).step_by(4999) {
        refusal_of(&whole[..end]);
    }
    for at_byte in (0..whole.len()).step_by(1999) {
        let mut flipped = whole.clone();
        flipped[at_byte] ^= 0x55;
        fs::write(&at, flipped).unwrap();
        // Either a checksum tells, or the byte did not matter: it never panics.
        let _ = import_pytorch(&at, ImportOptions::default());
    }
}

/// `diyt.pth` with `from` replaced in its pickle, and the archive's checksum of that made right again.
fn edited(from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = fs::read(path("diyt.pth")).unwrap();
    // The central directory's entry: checksum at 16, size at 24, name at 46.
    let name = b"diyt/data.pkl";
    let directory = find_last(&bytes, name) - 46;
    let field = |at: usize| u32::from_le_bytes(*bytes[directory + at..].first_chunk().unwrap());
    let size = field(24) as usize;
    let start = find(&bytes, b"\x80\x02");
    let pickle = start..start + size;
    assert_eq!(crc32(&bytes[pickle.clone()]), field(16));
    let hit = start + find(&bytes[pickle.clone()], from);
    bytes[hit..hit + to.len()].copy_from_slice(to);
    let sum = crc32(&bytes[pickle]).to_le_bytes();
    bytes[directory + 16..directory + 20].copy_from_slice(&sum);
    bytes
}

fn find(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).position(|w| w == what).unwrap()
}

fn find_last(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).rposition(|w| w == what).unwrap()
}

/// The checksum of zip archives.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 })
    };
    !bytes.iter().fold(!0, step)
}

//! Model files that are cut short, newer, hostile, or something else.

use std::fs;
use std::path::Path;

use crate::{blemish, shared, train_network};

fn predict_with(bytes: &[u8], parts: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model.safetensors");
    fs::write(&model, bytes).unwrap();
    let parts: Vec<&str> = parts.iter().copied().chain(["model.safetensors"]).collect();
    blemish([Path::new("predict"), &model, &shared().data()]).fails(4, &parts);
    blemish([Path::new("evaluate"), &model, &shared().data()]).fails(4, &parts);
    blemish([Path::new("inspect"), &model]).fails(4, &parts);
}

#[test]
fn damaged_newer_and_hostile_models_are_refused() {
    let whole = fs::read(shared().run().join("model.safetensors")).unwrap();
    predict_with(b"", &["not a whole safetensors file"]);
    predict_with(b"hello", &["not a whole safetensors file"]);
    predict_with(&whole[..100], &["not a whole safetensors file"]);
    predict_with(&whole[..whole.len() - 1], &["not a whole safetensors file"]);
    let mut huge = whole.clone();
    huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    predict_with(&huge, &["not a whole safetensors file"]);
    let mut nan = whole.clone();
    let end = nan.len();
    nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    predict_with(&nan, &["not finite"]);
    let version = format!(r#"\"version\":{},"#, blemish::model_file::VERSION);
    let newer = replaced(&whole, version.as_bytes(), br#"\"version\":9,"#);
    predict_with(&newer, &["version 9", "update blemish"]);
    predict_with(&replaced(&whole, br#"\"image_size\":[32,32]"#, br#"\"image_size\":[32,48]"#), &[]);
}

#[test]
fn a_folder_of_images_is_told_from_a_missing_one() {
    let folder = tempfile::tempdir().unwrap();
    let (data, missing) = (shared().data(), folder.path().join("missing"));
    let predict = |model: &Path| blemish([Path::new("predict"), model, &data]);
    predict(&missing).fails(6, &["missing", "no such file or folder"]);
    predict(&data).fails(6, &["holds no model", "blemish train"]);
    blemish([Path::new("inspect"), &missing]).fails(6, &["missing", "no such file or folder"]);
    blemish([Path::new("inspect"), folder.path()]).fails(3, &["found nothing"]);
}

#[test]
fn a_checkpoint_is_no_model() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    train_network(&shared().data(), &run, &["--quiet"]).ok();
    predict_with(&fs::read(run.join("checkpoint.safetensors")).unwrap(), &[]);
}

#[test]
fn weights_that_are_no_state_dict_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (weights, out) = (folder.path().join("x.pth"), folder.path().join("x.safetensors"));
    fs::write(&weights, "not a zip file").unwrap();
    blemish([Path::new("import-pytorch"), &weights, Path::new("--out"), &out]).fails(4, &["x.pth"]);
    assert!(!out.exists());
}

/// `bytes` with the first `from` replaced by `to`.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

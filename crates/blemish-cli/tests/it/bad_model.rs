//! Model files that are cut short, newer, hostile, or something else.

use std::fs;
use std::path::Path;

use blemish::model_file::ModelFile;
use blemish::parts::Normal;

use crate::{blemish, shared};

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
    predict_with(b"", &["shorter than its header"]);
    predict_with(b"hello", &["shorter than its header"]);
    predict_with(&whole[..100], &["not a whole safetensors file"]);
    predict_with(&whole[..whole.len() - 1], &["not a whole safetensors file"]);
    let mut huge = whole.clone();
    huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    predict_with(&huge, &["header is too large"]);
    let mut nan = whole.clone();
    let end = nan.len();
    nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    predict_with(&nan, &["not finite"]);
    // Every value is as large as can be, those that say what is normal too.
    let mut vast = whole.clone();
    let start = 8 + u64::from_le_bytes(*whole.first_chunk().unwrap()) as usize;
    vast[start..].chunks_exact_mut(4).for_each(|value| value.copy_from_slice(&f32::MAX.to_le_bytes()));
    predict_with(&vast, &[]);
    predict_with(&replaced(&whole, br#"\"version\":1,"#, br#"\"version\":9,"#), &["version 9"]);
    predict_with(&replaced(&whole, br#"\"embed_dim\":16"#, br#"\"embed_dim\":24"#), &[]);
    predict_with(&replaced(&whole, br#"\"depth\":3,"#, br#"\"depth\":9,"#), &[]);
}

#[test]
fn facts_that_cannot_be_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    let refused = |change: &dyn Fn(&mut ModelFile), part: &str| {
        let mut file = ModelFile::load(&shared().run().join("model.safetensors")).unwrap();
        change(&mut file);
        file.save(&path).unwrap();
        predict_with(&fs::read(&path).unwrap(), &[part]);
    };
    // Beyond what a score can be: nothing would ever be defective.
    refused(&|file| file.thresholds[0].value = 1e300, "not a finite number");
    refused(&|file| file.provenance.spread = -1.0, "between 0 and 1");
    // Finite weights whose sums are not: no map of theirs may pass for that of a good image.
    let vast = |file: &mut ModelFile| {
        file.normal = Normal::default();
        file.weights.values_mut().for_each(|array| array.values.fill(f32::MAX));
    };
    refused(&vast, "not finite");
    refused(&|file| file.config.model.stem_dims = vec![1024; 3], "parameters");
}

#[test]
fn a_model_without_the_threshold_says_which_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    let mut file = ModelFile::load(&shared().run().join("model.safetensors")).unwrap();
    file.config.score.far = 0.3;
    file.save(&path).unwrap();
    let model = path.to_str().unwrap();
    let data = shared().data();
    let data = data.to_str().unwrap();
    blemish(["predict", model, data]).fails(4, &["far at 0.3", "far at 0.05"]);
    file.thresholds.clear();
    file.save(&path).unwrap();
    blemish(["predict", model, data]).fails(4, &["no threshold", "calibrated"]);
    blemish(["evaluate", model, data]).fails(4, &["no threshold"]);
    assert!(blemish(["inspect", model]).ok().stdout().contains("cannot give a verdict"));
}

#[test]
fn checkpoints_and_folders_are_no_models() {
    let run = shared().run();
    let checkpoint = fs::read(run.join("checkpoint.safetensors")).unwrap();
    predict_with(&checkpoint, &["not understood"]);
    let empty = tempfile::tempdir().unwrap();
    blemish([Path::new("predict"), empty.path(), &shared().data()]).fails(6, &["model.safetensors"]);
    blemish([Path::new("predict"), &run.join("none"), &shared().data()]).fails(6, &["none"]);
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

//! A feature network of the user's own.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{blemish, shared, train};

fn weights(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../blemish/tests/fixtures");
    folder.join(format!("{name}.safetensors")).display().to_string()
}

#[test]
fn it_is_used_and_becomes_part_of_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let (run, data) = (folder.path().join("run"), shared().data());
    train(&data, &run, &["--features", &weights("lite_package"), "--no-estimate"]).ok();
    let settings = fs::read_to_string(run.join("run.toml")).unwrap();
    assert!(settings.contains("lite_package.safetensors"), "{settings}");
    let found = blemish([Path::new("predict"), &run, &data.join("test")]).ok().json_lines();
    assert!(!found.is_empty() && found.iter().all(|line| line["score"].as_f64().is_some()));
}

#[test]
fn what_cannot_serve_is_refused_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let refused = |file: &str, more: &[&str], code: i32, parts: &[&str]| {
        train(&shared().data(), &run, &[&["--features", file], more].concat()).fails(code, parts);
    };
    let at = |name: &str| -> PathBuf { folder.path().join(name) };
    refused(
        &weights("backbone_maps"),
        &[],
        4,
        &["backbone_maps", "EfficientNet-Lite0 to Lite4", "ViT", "docs/features.md"],
    );
    refused(&at("missing").display().to_string(), &[], 6, &["missing"]);
    let whole = fs::read(weights("vit")).unwrap();
    fs::write(at("cut"), &whole[..whole.len() - 9]).unwrap();
    refused(&at("cut").display().to_string(), &[], 4, &["cut", "not a whole safetensors file"]);
}

//! Who may import whom inside the library, and that it does without a tensor library.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::source::{check, imported, modules};

/// Every module with what it may import from the crate: only modules above it, so there is no cycle.
const MODULES: [(&str, &[&str]); 20] = [
    ("error", &[]),
    ("history", &[]),
    ("kernels", &[]),
    ("parallel", &[]),
    ("hysteresis", &["kernels"]),
    ("write", &["error"]),
    ("image", &["error"]),
    ("metrics", &["error", "image"]),
    ("view", &["dataset", "error", "image"]),
    ("dataset", &["error", "image", "view"]),
    ("config", &["error", "image", "kernels", "view"]),
    ("calibrate", &["config"]),
    ("engine", &["config", "kernels"]),
    ("evaluation", &["dataset", "metrics"]),
    ("report", &["dataset", "error", "evaluation", "history", "image", "write"]),
    ("parts", &["calibrate", "config", "engine", "error", "fit", "image", "kernels"]),
    (
        "detector",
        &[
            "calibrate",
            "config",
            "error",
            "history",
            "hysteresis",
            "image",
            "metrics",
            "model_file",
            "parts",
            "view",
        ],
    ),
    ("model_file", &["config", "detector", "engine", "error", "fit", "history", "parts", "view", "write"]),
    (
        "fit",
        &[
            "calibrate",
            "config",
            "dataset",
            "detector",
            "engine",
            "error",
            "image",
            "model_file",
            "parts",
            "view",
        ],
    ),
    (
        "evaluate",
        &["calibrate", "dataset", "detector", "error", "evaluation", "image", "metrics", "report", "view"],
    ),
];

/// What still imports a module below: each of these is a cycle that has to go.
const BACKWARDS: [(&str, &str); 4] =
    [("view", "dataset"), ("parts", "fit"), ("detector", "model_file"), ("model_file", "fit")];

#[test]
fn modules_import_only_what_they_may() {
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &MODULES, &BACKWARDS);
}

#[test]
fn there_is_no_tensor_library() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(!fs::read_to_string(root.join("Cargo.toml")).unwrap().contains("burn"));
    for (module, files) in modules(&root.join("src")) {
        assert!(files.iter().all(|code| !code.contains("burn::")), "{module} must not know burn");
    }
}

#[test]
fn grouped_and_nested_paths_are_read() {
    let code = "use crate::{dataset::{Image, Label}, metrics};\nuse crate::error::Error;\nfn f() { crate::write::whole(); crate::Image::new() }";
    assert_eq!(imported(code), BTreeSet::from(["dataset", "error", "metrics", "write"]));
}

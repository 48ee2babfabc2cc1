//! Who may import whom inside the library, and that it does without a tensor library.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::source::{check, imported, modules};

/// Every module with what it may import from the crate: only modules above it, so there is no cycle.
const MODULES: [(&str, &[&str]); 32] = [
    ("error", &[]),
    ("hash", &[]),
    ("number", &[]),
    ("read", &["error"]),
    ("found", &[]),
    ("history", &[]),
    ("parallel", &[]),
    ("pools", &[]),
    ("hysteresis", &[]),
    ("spill", &["error"]),
    ("write", &["error", "read"]),
    ("image", &["error", "hash", "read"]),
    ("metrics", &["error", "image"]),
    ("view", &["error", "image", "metrics", "number"]),
    ("dataset", &["error", "hash", "image", "view"]),
    ("config", &["error", "image", "read", "view"]),
    ("calibrate", &["config", "hysteresis", "number"]),
    ("engine", &["config"]),
    ("prediction", &["metrics"]),
    ("provenance", &["config", "dataset", "found", "view"]),
    ("evaluation", &["dataset", "metrics", "number", "prediction"]),
    ("report", &["dataset", "error", "evaluation", "history", "image", "metrics", "number", "write"]),
    ("tensors", &["config", "engine", "error", "read", "write"]),
    ("pretrained", &["config", "engine", "error", "provenance", "read", "tensors"]),
    ("backbone", &["engine", "error", "image", "read", "tensors"]),
    ("good", &["config", "dataset", "error", "image", "spill", "view"]),
    (
        "parts",
        &[
            "backbone",
            "calibrate",
            "config",
            "engine",
            "error",
            "good",
            "image",
            "pretrained",
            "provenance",
            "read",
            "spill",
            "tensors",
        ],
    ),
    ("scoring", &["config", "hysteresis", "image", "metrics", "parts"]),
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
            "parts",
            "prediction",
            "provenance",
            "scoring",
            "view",
        ],
    ),
    (
        "model_file",
        &[
            "config",
            "detector",
            "engine",
            "error",
            "hash",
            "history",
            "parts",
            "provenance",
            "read",
            "tensors",
            "view",
            "write",
        ],
    ),
    (
        "fit",
        &[
            "calibrate",
            "config",
            "dataset",
            "detector",
            "engine",
            "error",
            "found",
            "good",
            "image",
            "metrics",
            "number",
            "parts",
            "prediction",
            "provenance",
            "scoring",
            "spill",
            "view",
            "write",
        ],
    ),
    (
        "evaluate",
        &[
            "calibrate",
            "dataset",
            "detector",
            "error",
            "evaluation",
            "image",
            "metrics",
            "number",
            "prediction",
            "report",
            "spill",
            "view",
        ],
    ),
];

#[test]
fn modules_import_only_what_they_may() {
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &MODULES, &[]);
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

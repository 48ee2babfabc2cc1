//! Who may import whom inside the crate.

use std::path::Path;

#[path = "../../../blemish/tests/it/source.rs"]
mod source;

/// Every module with what it may import from the crate: only modules above it, so there is no cycle.
const MODULES: [(&str, &[&str]); 12] = [
    ("augment", &[]),
    ("ops", &[]),
    ("lock", &[]),
    ("masking", &[]),
    ("pytorch", &[]),
    ("keys", &[]),
    ("loss", &["ops"]),
    ("model", &["ops"]),
    ("config", &["augment", "keys", "masking"]),
    ("train", &["augment", "config", "lock", "loss", "masking", "model"]),
    ("pretrain", &["augment", "config", "loss", "masking", "model", "ops", "train"]),
    ("settings", &["config", "keys"]),
];

/// The modules that know the tensor library; all others are tested without it, in milliseconds.
const TENSORS: [&str; 5] = ["loss", "model", "ops", "pretrain", "train"];

#[test]
fn modules_import_only_what_they_may() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    source::check(&folder, &MODULES, &[]);
    for (module, files) in source::modules(&folder) {
        let knows = files.iter().any(|code| code.contains("burn::"));
        assert!(!knows || TENSORS.contains(&&*module), "{module} must not know burn");
    }
}

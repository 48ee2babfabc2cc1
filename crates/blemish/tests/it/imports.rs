//! Who may import whom, read from the `crate::` and `burn::` paths of the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every module with what it may import from the crate: only modules above it, so there is no circle.
const MODULES: [(&str, &[&str]); 24] = [
    ("error", &[]),
    ("history", &[]),
    ("kernels", &[]),
    ("parallel", &[]),
    ("write", &["error"]),
    ("data", &["error", "write"]),
    ("memory", &["data", "error", "kernels"]),
    ("rarity", &[]),
    ("ridges", &["data", "kernels", "rarity"]),
    ("grain", &["data", "kernels", "rarity"]),
    ("metrics", &["data", "error"]),
    ("augment", &["data", "error"]),
    ("profile", &["augment", "data", "error"]),
    ("evaluation", &["data", "metrics"]),
    ("report", &["data", "error", "evaluation", "history", "write"]),
    ("config", &["augment", "data", "error", "kernels", "memory", "profile"]),
    ("ops", &["kernels"]),
    ("model", &["config", "ops"]),
    ("engine", &["config", "kernels", "model"]),
    ("loss", &["model", "ops"]),
    ("format", &["config", "error", "history", "model", "score", "write"]),
    (
        "score",
        &[
            "config", "data", "engine", "error", "format", "grain", "history", "kernels", "loss", "memory",
            "metrics", "rarity", "ridges", "model",
        ],
    ),
    (
        "train",
        &[
            "augment", "config", "data", "engine", "error", "format", "grain", "history", "kernels", "loss",
            "memory", "metrics", "model", "profile", "rarity", "ridges", "score",
        ],
    ),
    (
        "evaluate",
        &["augment", "config", "data", "error", "evaluation", "metrics", "report", "score", "train"],
    ),
];

/// The modules that know the tensor library; all others are tested without it, in milliseconds.
const TENSORS: [&str; 6] = ["ops", "model", "loss", "format", "score", "train"];

#[test]
fn modules_import_only_what_they_may() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(&source).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if module == "lib" {
            continue;
        }
        let (_, may) = MODULES.iter().find(|(name, _)| *name == module).expect(&module);
        for file in rust_files(&path) {
            let code = code(&file);
            let where_ = file.display();
            for import in imported(&code).into_iter().filter(|import| *import != module) {
                assert!(may.contains(&import), "{where_}: {module} must not import {import}");
            }
            assert!(
                TENSORS.contains(&&*module) || !code.contains("burn::"),
                "{where_}: {module} must not know burn"
            );
        }
        found.insert(module);
    }
    assert_eq!(found, MODULES.iter().map(|(name, _)| (*name).to_owned()).collect(), "modules and table");
}

#[test]
fn grouped_and_nested_paths_are_read() {
    let code = "use crate::{data::{Image, Label}, metrics};\nuse crate::error::Error;\nfn f() { crate::write::whole(); }";
    assert_eq!(imported(code), BTreeSet::from(["data", "error", "metrics", "write"]));
}

/// The files of a module: a file, or a folder of them; a file beside a folder of its name is an entry of its own.
fn rust_files(path: &Path) -> Vec<PathBuf> {
    if path.is_dir() {
        return fs::read_dir(path).unwrap().flat_map(|entry| rust_files(&entry.unwrap().path())).collect();
    }
    path.extension().filter(|e| *e == "rs").map(|_| path.to_owned()).into_iter().collect()
}

/// A file without its comments.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The first segment after every `crate::`, groups opened.
fn imported(code: &str) -> BTreeSet<&str> {
    code.split("crate::").skip(1).flat_map(segments).collect()
}

fn segments(rest: &str) -> Vec<&str> {
    let Some(group) = rest.strip_prefix('{') else { return vec![identifier(rest)] };
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            ',' if depth == 0 => {
                found.push(identifier(&group[start..]));
                start = i + 1;
            }
            '}' if depth == 0 => {
                found.push(identifier(&group[start..i]));
                break;
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

fn identifier(text: &str) -> &str {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

//! What the modules of a crate import from it, read from the `crate::` paths of its sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of a crate as a table: each with those that it may import.
pub type Table<'a> = &'a [(&'a str, &'a [&'a str])];

/// A module's sources, without comments.
pub type Code = Vec<String>;

/// Every module at the top level of the crate whose sources are in `folder`, but `lib.rs`.
pub fn modules(folder: &Path) -> BTreeMap<String, Code> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let named = entries.map(|path| (name(&path), path)).filter(|(name, _)| name != "lib");
    named.map(|(name, path)| (name, rust_files(&path).iter().map(|file| code(file)).collect())).collect()
}

/// Holds the crate to the table, whose modules import only such as stand above them, but for the pairs in `backwards`.
pub fn check(folder: &Path, table: Table<'_>, backwards: &[(&str, &str)]) {
    let mut above = BTreeSet::new();
    for (module, may) in table {
        for import in *may {
            let pair = (*module, *import);
            assert!(above.contains(import) || backwards.contains(&pair), "{module} stands above {import}");
        }
        above.insert(*module);
    }
    let found = modules(folder);
    for (module, files) in &found {
        let (_, may) = table.iter().find(|(name, _)| name == module).expect(module);
        for import in files.iter().flat_map(|code| imported(code)).filter(|import| import != module) {
            assert!(may.contains(&import), "{module} must not import {import}");
        }
    }
    assert_eq!(
        found.into_keys().collect::<Vec<_>>(),
        above.into_iter().collect::<Vec<_>>(),
        "modules and table"
    );
}

/// The files of a module: a file, or a folder of them.
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

/// The modules after every `crate::`, groups opened; what begins with a capital is no module.
pub fn imported(code: &str) -> BTreeSet<&str> {
    let all = code.split("crate::").skip(1).flat_map(segments);
    all.filter(|name| name.starts_with(char::is_lowercase)).collect()
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
    found
}

fn identifier(text: &str) -> &str {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

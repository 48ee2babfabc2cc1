//! `metrics.jsonl` in the folder of a run: a line of JSON for each record.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use blemish::{Error, write_whole};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::Result;

/// The file's name.
pub const METRICS: &str = "metrics.jsonl";

/// Adds a record to the file at `path`, which is made if needed.
///
/// # Errors
/// The file cannot be written.
pub fn append(path: &Path, record: &impl Serialize) -> Result<()> {
    let failed = |e| Error::io(path, e);
    let line = serde_json::to_string(record).map_err(|e| failed(e.into()))? + "\n";
    let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
    Ok(file.write_all(line.as_bytes()).map_err(failed)?)
}

/// Drops the records for which `is_kept` is false, and lines that are none: what an interruption lost is computed again.
///
/// # Errors
/// The file cannot be read or written.
pub fn retain<T: DeserializeOwned>(path: &Path, is_kept: impl Fn(&T) -> bool) -> Result<()> {
    let text = fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    let is_kept = |line: &&str| serde_json::from_str(line).is_ok_and(|record| is_kept(&record));
    let kept: String = text.lines().filter(is_kept).map(|line| format!("{line}\n")).collect();
    Ok(write_whole(path, kept.as_bytes())?)
}

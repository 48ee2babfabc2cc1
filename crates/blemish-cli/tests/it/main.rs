//! The program as a person runs it: real processes on small generated data.
#![expect(clippy::unwrap_used, reason = "tests")]

mod bad_data;
mod bad_model;
mod commands;
mod disk;
mod features;
mod field;
mod outputs;
mod predict;
mod resume;
mod usage;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use blemish_synthetic::flange::{SyntheticConfig, generate};
use serde_json::Value;

/// A detector that is fitted in well under a second.
const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/tiny.toml");

/// The same with a network that is trained for a few seconds.
const NETWORK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/network.toml");

/// A folder of generated data and the model trained on it, shared by all tests that only read them.
struct Shared {
    folder: PathBuf,
}

impl Shared {
    fn data(&self) -> PathBuf {
        self.folder.join("data/flange")
    }

    fn run(&self) -> PathBuf {
        self.folder.join("run")
    }
}

fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        // Statics are not dropped: what the last test run left is removed here.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shared");
        fs::remove_dir_all(&folder).ok();
        let shared = Shared { folder };
        make_data(&shared.data());
        train(&shared.data(), &shared.run(), &[]).ok();
        shared
    })
}

/// Generates a small grey data set.
fn make_data(folder: &Path) {
    let config = SyntheticConfig {
        image_size: 40,
        train: 12,
        test_good: 5,
        test_defective: 5,
        channels: 1,
        ..SyntheticConfig::default()
    };
    generate(&config, folder).unwrap();
}

/// What a run of the program gave.
struct Run(Output);

impl Run {
    fn code(&self) -> i32 {
        self.0.status.code().unwrap_or(-1)
    }

    fn stdout(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    fn stderr(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }

    /// It must have worked.
    fn ok(self) -> Self {
        assert_eq!(self.code(), 0, "{}", self.stderr());
        self
    }

    /// It must have failed with `code`, an error that has every one of `parts`, nothing on standard output, no panic.
    fn fails(self, code: i32, parts: &[&str]) -> Self {
        let stderr = self.stderr();
        assert_eq!(self.code(), code, "{stderr}");
        let error =
            stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or_else(|| panic!("{stderr}"));
        for part in parts {
            assert!(stderr[stderr.find(error).unwrap()..].contains(part), "no `{part}` in: {stderr}");
        }
        assert!(!stderr.contains("panicked"), "{stderr}");
        assert_eq!(self.stdout(), "");
        self
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout()).unwrap()
    }

    fn json_lines(&self) -> Vec<Value> {
        self.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_blemish"))
}

fn blemish(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run {
    Run(command().args(args).output().unwrap())
}

/// `blemish train DATA --out RUN` with the tiny configuration.
fn train(data: &Path, run: &Path, more: &[&str]) -> Run {
    Run(train_command(data, run).args(more).output().unwrap())
}

fn train_command(data: &Path, run: &Path) -> Command {
    let mut command = command();
    command.arg("train").arg(data).arg("--out").arg(run).arg("--config").arg(TINY);
    command
}

/// The same with the network's configuration, which trains one.
fn train_network(data: &Path, run: &Path, more: &[&str]) -> Run {
    let mut command = command();
    command.arg("train").arg(data).arg("--out").arg(run).arg("--config").arg(NETWORK).args(more);
    Run(command.output().unwrap())
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

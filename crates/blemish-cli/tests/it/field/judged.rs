//! Running the program on a case's folders.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::inputs::{part, save};
use crate::{Run, blemish, command};

/// A case's folder: `good/` is trained on, `ok/` and `bad/` are judged.
pub struct Case(TempDir);

impl Case {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn folder(&self) -> PathBuf {
        self.0.path().to_path_buf()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn run(&self) -> String {
        self.path("run").display().to_string()
    }

    /// Twenty good parts and twenty with a notch, none of which was trained on.
    pub fn unseen(&self, depth: f32) {
        for n in 0..20 {
            save(&self.path(&format!("ok/{n:03}.png")), &part(1000 + n, 0.0, 96));
            save(&self.path(&format!("bad/{n:03}.png")), &part(2000 + n, depth, 96));
        }
    }

    /// `blemish train good --out run` at this image size.
    pub fn train(&self, side: usize, more: &[&str]) -> Run {
        Run(self.train_command(side, "run", more).output().unwrap())
    }

    pub fn train_command(&self, side: usize, run: &str, more: &[&str]) -> Command {
        let mut command = command();
        command.arg("train").arg(self.path("good")).arg("--out").arg(self.path(run)).arg("--no-estimate");
        command.args(["--set", &format!("data.image_size=[{side}, {side}]")]).args(more);
        command
    }

    pub fn train_on(&self, data: &Path, side: usize, run: &Path, more: &[&str]) -> Run {
        let mut command = command();
        command.arg("train").arg(data).arg("--out").arg(run).arg("--no-estimate");
        command.args(["--set", &format!("data.image_size=[{side}, {side}]")]).args(more);
        Run(command.output().unwrap())
    }

    pub fn predict(&self, folder: &str, more: &[&str]) -> Run {
        let (run, path) = (self.run(), self.path(folder));
        blemish(["predict", &run, path.to_str().unwrap()].iter().chain(more))
    }

    /// How many of `bad/` are defective, and how many of `ok/`; there are twenty each.
    pub fn found_and_alarms(&self, more: &[&str]) -> (u32, u32) {
        let [bad, ok] = ["bad", "ok"].map(|folder| self.predict(folder, more).ok().json_lines());
        assert_eq!((bad.len(), ok.len()), (20, 20));
        (count(&bad, "defective"), count(&ok, "defective"))
    }
}

/// How many answers have this verdict.
pub fn count(answers: &[Value], verdict: &str) -> u32 {
    answers.iter().map(|answer| u32::from(answer["verdict"] == verdict)).sum()
}

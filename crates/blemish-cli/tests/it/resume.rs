//! Runs that are killed or interrupted go on as if nothing had happened; one at a time in a folder.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use blemish::Detector;

use crate::{NETWORK, Run, command, names, shared, train, train_command};

/// The same training on one thread, where sums have one order.
fn slow(run: &Path) -> Command {
    let mut command = command();
    command
        .arg("train")
        .arg(shared().data())
        .arg("--out")
        .arg(run)
        .args(["--config", NETWORK, "--set", "train.finetune.epochs=12"])
        .env("RAYON_NUM_THREADS", "1");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn resume(run: &Path) -> Run {
    let mut command = command();
    command
        .arg("train")
        .arg(shared().data())
        .arg("--out")
        .arg(run)
        .arg("--resume")
        .env("RAYON_NUM_THREADS", "1");
    Run(command.output().unwrap())
}

/// Starts a run and waits until it has done a few epochs.
fn started(run: &Path) -> Child {
    let mut child = slow(run).spawn().unwrap();
    let start = Instant::now();
    while fs::read_to_string(run.join("metrics.jsonl")).map_or(0, |text| text.lines().count()) < 4 {
        assert!(start.elapsed() < Duration::from_secs(120), "no epoch in time");
        assert!(child.try_wait().unwrap().is_none(), "ended before it could be stopped");
        sleep(Duration::from_millis(2));
    }
    child
}

#[test]
fn a_killed_run_goes_on_to_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    Run(slow(&whole).output().unwrap()).ok();
    let mut child = started(&broken);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!broken.join("model.safetensors").exists());
    // What a run leaves that is killed while it writes.
    fs::write(broken.join(".checkpoint.safetensors.x47aB1.tmp"), "half").unwrap();
    let resumed = resume(&broken).ok();
    assert!(resumed.stderr().contains("continuing after epoch"));
    assert!(names(&broken).iter().all(|name| !name.ends_with(".tmp")), "{:?}", names(&broken));
    let load = |run: &Path| Detector::load(run.join("model.safetensors")).unwrap();
    let weights = |detector: &Detector| {
        let mut tensors = blemish::engine::Weights::new();
        detector.parts().iter().for_each(|part| part.save(&mut tensors));
        tensors
    };
    let (whole_model, resumed_model) = (load(&whole), load(&broken));
    assert!(weights(&whole_model) == weights(&resumed_model));
    assert_eq!(whole_model.good_scores(), resumed_model.good_scores());
    let lines = |run: &Path| fs::read_to_string(run.join("metrics.jsonl")).unwrap().lines().count();
    assert_eq!((lines(&whole), lines(&broken)), (13, 13));
}

#[test]
fn ctrl_c_says_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let child = started(&run);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    Run(child.wait_with_output().unwrap()).fails(130, &["continue with: blemish train", "--resume"]);
    resume(&run).ok();
}

#[test]
fn only_a_run_of_the_same_product_can_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    resume(&folder.path().join("none")).fails(2, &["no run to resume"]);
    let mut other = command();
    other
        .arg("train")
        .arg(shared().data().join("train/good"))
        .arg("--out")
        .arg(shared().run())
        .arg("--resume");
    Run(other.output().unwrap()).fails(2, &["'flange'", "'good'"]);
}

#[test]
fn two_runs_in_one_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut child = started(&run);
    train(&shared().data(), &run, &["--overwrite"]).fails(6, &["is at work in this folder"]);
    child.kill().unwrap();
    child.wait().unwrap();
    // What was killed locks nobody out.
    train(&shared().data(), &run, &["--overwrite"]).ok();
}

/// While parts are fitted, too: within a second, and nothing is left half-written; what was there stays.
#[test]
fn ctrl_c_stops_a_fit_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    train(&shared().data(), &run, &[]).ok();
    let before = fs::read(run.join("model.safetensors")).unwrap();
    let mut command = train_command(&shared().data(), &run);
    // Many prototypes on large views take their time.
    command.args(["--overwrite", "--set", "data.image_size=[512, 512]"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    sleep(Duration::from_millis(700));
    let asked = Instant::now();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    Run(child.wait_with_output().unwrap()).fails(130, &["interrupted", "--resume"]);
    assert!(asked.elapsed() < Duration::from_millis(1500), "{:?}", asked.elapsed());
    assert!(fs::read(run.join("model.safetensors")).unwrap() == before);
    assert!(names(&run).iter().all(|name| !name.ends_with(".tmp")), "{:?}", names(&run));
}

//! Folders and disks that cannot be written to.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use crate::{Run, blemish, names, shared, train, train_command};

/// The same command where no file can grow beyond 20 KiB, as on a full disk.
fn cramped(command: &Command) -> Run {
    let script = "trap '' XFSZ; ulimit -f 20; exec \"$0\" \"$@\"";
    let mut bash = Command::new("bash");
    bash.args(["-c", script]).arg(command.get_program()).args(command.get_args());
    Run(bash.output().unwrap())
}

#[test]
fn unwritable_folders_fail_before_any_work() {
    let (data, run) = (shared().data(), shared().run());
    for out in ["/dev/null/run", "/proc/run"] {
        let failed = train(&data, Path::new(out), &[]).fails(6, &[out]);
        assert!(!failed.stderr().contains("good images"));
        blemish([Path::new("evaluate"), &run, &data, Path::new("--out"), Path::new(out)]).fails(6, &[out]);
        blemish([Path::new("predict"), &run, &data, Path::new("--overlays"), Path::new(out)])
            .fails(6, &[out]);
        blemish(["demo", "--out", out]).fails(6, &[out]);
    }
}

#[test]
fn a_full_disk_leaves_nothing_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    cramped(&train_command(&shared().data(), &out)).fails(6, &[]);
    let left = if out.exists() { names(&out) } else { Vec::new() };
    assert!(left.iter().all(|name| ["data.json", "run.toml"].contains(&name.as_str())), "{left:?}");
    // With room again it goes on.
    train(&shared().data(), &out, &[]).ok();
    // What is there stays in use until the new one is done.
    let before = fs::read(out.join("model.safetensors")).unwrap();
    let mut again = train_command(&shared().data(), &out);
    again.args(["--overwrite", "--seed", "7"]);
    cramped(&again).fails(6, &[]);
    assert!(fs::read(out.join("model.safetensors")).unwrap() == before);
    assert_eq!(names(&out), ["data.json", "model.safetensors", "run.toml"]);

    let demo = folder.path().join("demo");
    let mut command = crate::command();
    command.arg("demo").arg("--out").arg(&demo);
    cramped(&command).fails(6, &[".png"]);
    assert!(!demo.exists());

    let report = folder.path().join("report");
    let mut evaluate = crate::command();
    evaluate.arg("evaluate").args([&shared().run(), &shared().data()]).arg("--out").arg(&report);
    // The maps, which are kept beside memory, or the report: whichever comes first.
    cramped(&evaluate).fails(6, &["File too large"]);
    assert!(!report.exists());
}

#[test]
fn standard_output_may_be_full_or_closed() {
    let (run, data) = (shared().run(), shared().data());
    let mut predict = crate::command();
    predict.arg("predict").args([&run, &data]);
    let full = Run(predict.stdout(File::create("/dev/full").unwrap()).output().unwrap());
    full.fails(6, &["standard output"]);
    let script = format!(
        "'{}' predict '{}' '{}' --threshold sigma | true",
        env!("CARGO_BIN_EXE_blemish"),
        run.display(),
        data.display()
    );
    let closed = Run(Command::new("bash").args(["-o", "pipefail", "-c", &script]).output().unwrap()).ok();
    assert_eq!(closed.stderr(), "");
    let mut noisy = train_command(&data, &fs::canonicalize(std::env::temp_dir()).unwrap().join("never"));
    noisy.args(["--set", "model.depth=1"]).stderr(File::create("/dev/full").unwrap());
    assert_eq!(Run(noisy.output().unwrap()).code(), 5);
}

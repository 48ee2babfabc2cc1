//! How images are named to `predict`, and how it answers.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::{Run, blemish, command, shared};

fn good() -> PathBuf {
    shared().data().join("test/good")
}

fn predict(more: &[&str]) -> Run {
    let run = shared().run();
    blemish(["predict", run.to_str().unwrap()].iter().chain(more))
}

pub fn predict_from(input: &[u8], more: &[&str]) -> Run {
    let mut command = command();
    command.arg("predict").arg(shared().run()).args(more);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    Run(child.wait_with_output().unwrap())
}

#[test]
fn images_are_named_in_many_ways() {
    let folder = tempfile::tempdir().unwrap();
    let good = good();
    let shown = good.display();
    let first = good.join("000.png");
    assert_eq!(predict(&[good.to_str().unwrap()]).ok().json_lines().len(), 5);
    assert_eq!(predict(&[&format!("{shown}/00[12].png")]).ok().json_lines().len(), 2);
    assert_eq!(
        predict(&[&format!("{}/test/*/000.png", shared().data().display())]).ok().json_lines().len(),
        2
    );
    let list = folder.path().join("list.txt");
    fs::write(&list, format!("{shown}/000.png\r\n\n{shown}/001.png\n")).unwrap();
    let listed = predict(&[&format!("@{}", list.display()), first.to_str().unwrap()]).ok().json_lines();
    assert_eq!(listed.len(), 3);
    let names = predict_from(&fs::read(&list).unwrap(), &["-"]).ok().json_lines();
    assert_eq!(names, listed[..2]);
    let bytes = predict_from(&fs::read(&first).unwrap(), &["-"]).ok().json_lines();
    assert_eq!((&bytes[0]["path"], &bytes[0]["score"]), (&"-".into(), &listed[0]["score"]));
    predict(&["@/no/such/list"]).fails(6, &["/no/such/list"]);
    predict(&["-", "-"]).fails(2, &["twice"]);
    let nothing = predict(&[&format!("{shown}/*.gif")]);
    assert_eq!(nothing.code(), 3);
    assert!(nothing.stderr().contains("nothing matches"), "{}", nothing.stderr());
}

#[test]
fn answers_are_for_people_programs_and_tables() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("table.csv");
    let test = shared().data().join("test");
    let test = test.to_str().unwrap();
    let run = predict(&[test, "--format", "text", "--csv", table.to_str().unwrap()]).ok();
    let text = run.stdout();
    assert_eq!(text.lines().count(), 10);
    let column = |line: &str| line.find(test).unwrap();
    assert!(text.lines().all(|line| column(line) == column(text.lines().next().unwrap())), "{text}");
    assert!(text.lines().any(|line| line.starts_with("good ")), "{text}");
    let csv = fs::read_to_string(&table).unwrap();
    assert_eq!(csv.lines().count(), 11);
    assert!(csv.starts_with("path,verdict,reason,score,"), "{csv}");
    assert_eq!(predict(&[test, "--format", "csv"]).ok().stdout(), csv);
    let defective = text.lines().filter(|line| line.starts_with("defective ")).count();
    assert!(run.stderr().contains(&format!("{defective} of 10 defective")), "{}", run.stderr());
    assert_eq!(predict(&[test, "--quiet", "--threshold", "sigma"]).ok().stderr(), "");
    // Refused before any work.
    predict(&[test, "--csv", "/no/such/folder/x.csv"]).fails(6, &["x.csv"]);
}

#[test]
fn any_threshold_and_any_rate_decide() {
    let image = good().join("000.png");
    let image = image.to_str().unwrap();
    let line = |more: &[&str]| predict(&[&[image], more].concat()).json_lines().remove(0);
    let score = line(&[])["score"].as_f64().unwrap();
    let above = line(&["--threshold", &(score + 1.0).to_string()]);
    assert_eq!((&above["verdict"], above["regions"].as_array().unwrap().len()), (&"good".into(), 0));
    let below = line(&["--threshold", &(score - 1e-3).to_string()]);
    assert_eq!(below["verdict"], "defective");
    assert!(!below["regions"].as_array().unwrap().is_empty());
    let [often, rarely] = ["0.4", "0.1"].map(|rate| line(&["--fpr", rate])["threshold"].as_f64().unwrap());
    assert!(often < rarely, "{often} {rarely}");
    assert_eq!(line(&["--far", "0.1"])["threshold"].as_f64(), Some(rarely));
    assert!(line(&["--threshold", "sigma"])["threshold"].is_number());
    predict(&[image, "--threshold", "sigma", "--fpr", "0.1"]).fails(2, &["--fpr"]);
    predict(&[image, "--threshold", "0.5", "--fpr", "0.1"]).fails(2, &["--fpr"]);
    let low = (score - 1e-3).to_string();
    let found = predict(&[image, "--threshold", &low, "--fail-on-defect"]);
    assert_eq!((found.code(), found.stderr().trim()), (10, "1 of 1 defective"));
    let high = (score + 1.0).to_string();
    predict(&[image, "--threshold", &high, "--fail-on-defect"]).ok();
    let all = [image, "missing.png", "--threshold", &low, "--fail-on-defect"];
    assert_eq!(predict(&all).code(), 3);
}

/// Every file is judged or named, and nothing that is no file is waited for.
#[cfg(unix)]
#[test]
fn files_that_are_not_judged_are_counted_and_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(good().join("000.png"), folder.path().join("a.png")).unwrap();
    fs::write(folder.path().join("notes.txt"), "x").unwrap();
    assert!(
        std::process::Command::new("mkfifo").arg(folder.path().join("pipe.png")).status().unwrap().success()
    );
    let photos = folder.path().to_str().unwrap();
    let run = predict(&[photos]).ok();
    assert_eq!(run.json_lines().len(), 3);
    for part in ["of 3 defective, 2 not judged", "notes.txt", "pipe.png"] {
        assert!(run.stderr().contains(part), "{part}: {}", run.stderr());
    }
    let strict = predict(&[photos, "--strict"]);
    assert_eq!(strict.code(), 3, "{}", strict.stderr());
}

#[test]
fn images_unlike_the_training_images_are_remarked_on_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let photo = folder.path().join("wide.png");
    image::GrayImage::from_fn(160, 40, |x, y| image::Luma([(x * y % 200) as u8])).save(&photo).unwrap();
    let photo = photo.to_str().unwrap();
    let run = predict(&[photo]).ok();
    assert!(run.json_lines()[0]["remarks"].to_string().contains("another shape"), "{}", run.stdout());
    assert!(run.stderr().contains("1 image is unlike the training images"), "{}", run.stderr());
    let strict = predict(&[photo, "--strict"]);
    assert_eq!(strict.code(), 3);
    assert!(strict.json_lines()[0]["error"].as_str().unwrap().contains("another shape"));
}

#[test]
fn the_limit_of_pixels_is_named_and_can_be_set() {
    let image = good().join("000.png");
    let image = image.to_str().unwrap();
    let refused = predict(&[image, "--max-pixels", "100"]);
    assert_eq!(refused.code(), 3);
    assert!(refused.stderr().contains("max") && refused.stderr().contains("100"), "{}", refused.stderr());
    predict(&[image, "--max-pixels", "1600"]).ok();
}

#[test]
fn a_table_is_whole_or_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("t.csv");
    let run = shared().run();
    let args = [Path::new("predict"), &run, Path::new("missing.png"), Path::new("--csv"), &table];
    assert_eq!(blemish(args).code(), 3);
    assert!(fs::read_to_string(&table).unwrap().contains("missing.png,not judged"));
    assert_eq!(crate::names(folder.path()), ["t.csv"]);
}

//! Figures that must hold: thresholds and rates from images that can show them, frames that a camera sends, exit codes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::inputs::{part, save};
use crate::{Run, blemish, command, names, shared};

/// Sharp enough that every image is good.
const ALL_GOOD: [&str; 2] = ["--threshold", "1e9"];

fn run(command: &str, paths: &[&Path], more: &[&str]) -> Run {
    let mut args = vec![PathBuf::from(command), shared().run()];
    args.extend(paths.iter().map(PathBuf::from));
    args.extend(more.iter().map(PathBuf::from));
    blemish(args)
}

fn trained_on() -> PathBuf {
    shared().data().join("train/good")
}

fn others() -> PathBuf {
    shared().data().join("test/good")
}

fn defective() -> Vec<PathBuf> {
    let test = shared().data().join("test");
    names(&test).into_iter().filter(|name| name != "good").map(|name| test.join(name)).collect()
}

/// Copies the first `count` images of a folder, under other names.
fn copy(from: &Path, to: &Path, count: usize) {
    fs::create_dir_all(to).unwrap();
    for name in names(from).into_iter().take(count) {
        let ending = from.file_name().unwrap().to_string_lossy();
        fs::copy(from.join(&name), to.join(format!("{ending}_copy_{name}"))).unwrap();
    }
}

/// Two good images of another shape than those that were fitted on.
fn flat(folder: &Path) {
    (0..2).for_each(|n| save(&folder.join(format!("flat{n}.png")), &part(n, 0.0, 40).rows(5, 35)));
}

fn warnings(json: &Value) -> String {
    json["warnings"].to_string()
}

/// Images that the model was fitted on score too low: thresholds are computed without them, wherever they lie.
#[test]
fn calibrate_leaves_out_what_was_fitted_on() {
    let folder = tempfile::tempdir().unwrap();
    copy(&trained_on(), folder.path(), 12);
    let on = |paths: &[&Path], more: &[&str]| run("calibrate", paths, &[&["--dry-run"], more].concat());
    on(&[folder.path()], &[])
        .fails(3, &["12 of 12 good images are among those that the model was fitted on"]);
    let alone = on(&[&others()], &["--json"]).ok().json();
    assert_eq!((&alone["fitted_on"], warnings(&alone).as_str()), (&0.into(), "[]"));
    let mixed = on(&[folder.path(), &others()], &["--json"]).ok();
    let told = "12 of 17 good images are among those that the model was fitted on, and left out";
    assert!(mixed.stderr().contains(&format!("warning: {told}")), "{}", mixed.stderr());
    let mixed = mixed.json();
    assert!(warnings(&mixed).contains(told), "{mixed}");
    assert_eq!((&mixed["fitted_on"], &mixed["good"]), (&12.into(), &5.into()));
    assert_eq!((&mixed["threshold"], &mixed["curve"]), (&alone["threshold"], &alone["curve"]));
}

#[test]
fn one_photo_is_not_good_and_defective() {
    let folder = tempfile::tempdir().unwrap();
    copy(&others(), folder.path(), 1);
    let (good, twice) = (others(), folder.path().display().to_string());
    let both = ["--dry-run", "--defects", twice.as_str()];
    run("calibrate", &[&good], &both).fails(3, &["good_copy_000.png", "is the same photo as", "000.png"]);
}

/// A data set whose test images were fitted on shows nothing of new ones, and its figures say so.
#[test]
fn evaluate_says_which_images_were_fitted_on() {
    let folder = tempfile::tempdir().unwrap();
    let (data, report) = (folder.path().join("ds"), folder.path().join("report"));
    let evaluate = |data: &Path, more: &[&str]| run("evaluate", &[data], more);
    let clean = evaluate(&shared().data(), &["--json"]).ok().json();
    assert_eq!((&clean["counts"]["fitted_on"], warnings(&clean).as_str()), (&0.into(), "[]"));
    copy(&trained_on(), &data.join("train/good"), 12);
    copy(&trained_on(), &data.join("test/good"), 7);
    defective().iter().for_each(|kind| copy(kind, &data.join("test/cut"), 9));
    let told = "7 of 7 good test images are among those that the model was fitted on";
    let json = evaluate(&data, &["--json", "--out", report.to_str().unwrap()]).ok().json();
    assert_eq!((&json["counts"]["good"], &json["counts"]["fitted_on"]), (&7.into(), &7.into()));
    assert!(warnings(&json).contains(told), "{json}");
    assert!(fs::read_to_string(report.join("report.html")).unwrap().contains(told));
    let text = evaluate(&data, &[]).ok().stdout();
    assert!(text.contains(&format!("Warning: {told}: the false-alarm rate and AUROC say nothing")), "{text}");
    // One that is named as defective was learnt as normal.
    fs::remove_dir_all(data.join("test/good")).unwrap();
    copy(&others(), &data.join("test/good"), 5);
    copy(&trained_on(), &data.join("test/cut"), 1);
    let json = evaluate(&data, &["--json"]).ok().json();
    assert_eq!(json["counts"]["fitted_on"], 1);
    assert!(warnings(&json).contains("1 of 6 defective test images is among those"), "{json}");
}

#[test]
fn evaluate_and_calibrate_remark_on_images_unlike_the_training_images() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("ds");
    copy(&trained_on(), &data.join("train/good"), 12);
    copy(&others(), &data.join("test/good"), 5);
    flat(&data.join("test/good"));
    let kinds = defective();
    kinds.iter().for_each(|kind| copy(kind, &data.join("test/cut"), 9));
    let told = "2 of 12 images are unlike those that the model was fitted on, such as ";
    let json = run("evaluate", &[&data], &["--json"]).ok().json();
    assert_eq!(json["counts"]["unlike"], 2);
    assert!(warnings(&json).contains(told) && warnings(&json).contains("another shape"), "{json}");
    let text = run("evaluate", &[&data], &[]).ok().stdout();
    assert!(text.contains(&format!("Warning: {told}")), "{text}");
    let (good, bad) = (data.join("test/good"), data.join("test/cut"));
    let more = ["--dry-run", "--json", "--defects", bad.to_str().unwrap()];
    let calibrated = run("calibrate", &[&good], &more).ok();
    assert_eq!(calibrated.json()["unlike"], 2);
    assert!(calibrated.stderr().contains(&format!("warning: {told}")), "{}", calibrated.stderr());
}

/// A rate that the good images cannot show is told by `predict`, too; one that lets no defect be found is refused.
#[test]
fn rates_that_cannot_be_shown() {
    let (image, data) = (others().join("000.png"), shared().data());
    let predict = |more: &[&str]| run("predict", &[&image], more);
    let rare = predict(&["--fpr", "0.001"]).ok();
    let told = "cannot show a rate of 0.1 %: at least 999 are needed";
    assert!(rare.stderr().contains(told), "{}", rare.stderr());
    assert!(rare.json_lines()[0]["threshold_warning"].as_str().unwrap().contains(told), "{}", rare.stdout());
    let shown = predict(&["--fpr", "0.4"]).ok();
    assert!(!shown.stderr().contains("needed") && shown.json_lines()[0]["threshold_warning"].is_null());
    let rarest = predict(&["--fpr", "0.000001"]).ok();
    assert!(rarest.json_lines()[0]["threshold"].is_number());
    let refused = ["0.000001", "no defect would be found"];
    for rate in ["1e-20", "9e-7", "0", "1", "nan"] {
        predict(&["--fpr", rate]).fails(2, &refused);
    }
    run("evaluate", &[&data], &["--fpr", "1e-20"]).fails(2, &refused);
    run("calibrate", &[&others()], &["--fpr", "1e-20"]).fails(2, &refused);
    let train = |more: [&str; 2]| {
        let out = tempfile::tempdir().unwrap();
        let out = out.path().join("run").display().to_string();
        blemish(["train", data.to_str().unwrap(), "--out", &out].iter().chain(&more))
    };
    train(["--fpr", "1e-20"]).fails(2, &refused);
    train(["--set", "score.fpr=1e-20"]).fails(5, &["score.fpr", refused[0]]);
    train(["--set", "score.review_fpr=1e-20"]).fails(5, &["score.review_fpr", refused[0]]);
}

/// The same frame again and again is no answer about the product; a copied file is.
#[test]
fn frozen() {
    let folder = tempfile::tempdir().unwrap();
    let (good, of) = (others(), |name: &str| folder.path().join(name));
    let names = ["a.png", "b.png", "c.png", "d.pgm", "e.png", "f.png"];
    for (name, from) in names.iter().zip(["001.png", "000.png", "000.png", "000.png", "000.png", "002.png"]) {
        if name.ends_with("pgm") {
            // Other bytes, the same pixels.
            image::open(good.join(from)).unwrap().save(of(name)).unwrap();
        } else {
            fs::copy(good.join(from), of(name)).unwrap();
        }
    }
    let judge = |names: &[&str], more: &[&str]| {
        let paths: Vec<PathBuf> = names.iter().map(|name| of(name)).collect();
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        run("predict", &paths, &[&ALL_GOOD, more].concat())
    };
    let verdicts = |run: &Run| -> Vec<String> {
        run.json_lines().iter().map(|line| line["verdict"].as_str().unwrap().to_owned()).collect()
    };
    let all = judge(&names, &[]).ok();
    assert_eq!(verdicts(&all), ["good", "good", "good", "defective", "defective", "good"]);
    assert!(all.stderr().contains("3 images have the same pixels as the image before"), "{}", all.stderr());
    assert!(!all.stderr().contains("unlike"), "{}", all.stderr());
    let lines = all.json_lines();
    for (i, line) in lines.iter().enumerate() {
        let remarks = line["remarks"].to_string();
        assert_eq!(remarks.contains("before it: is the camera frozen?"), (2..5).contains(&i), "{line}");
        assert!(i != 3 || remarks.contains("c.png before it"), "{line}");
        let reason = if (3..5).contains(&i) { "blank" } else { "normal" };
        assert_eq!(line["reason"], reason, "{line}");
    }
    assert!(lines[3]["score"].as_f64() >= lines[3]["threshold"].as_f64(), "{}", lines[3]);
    // Among others, no frame repeats the one before it.
    let turned = judge(&["b.png", "a.png", "c.png", "f.png", "d.pgm"], &[]).ok();
    assert_eq!(verdicts(&turned), ["good"; 5]);
    assert!(!turned.stderr().contains("frozen"), "{}", turned.stderr());
    let strict = judge(&["b.png", "c.png", "a.png"], &["--strict"]).ok();
    assert_eq!(verdicts(&strict), ["good", "defective", "good"]);
    assert_eq!(judge(&names, &["--fail-on-defect"]).code(), 10);
}

/// Whoever stops reading still gets the exit code of what was found until then.
#[test]
fn the_exit_code_outlives_the_reader() {
    let code = |threshold: &str, more: &[&str]| {
        let mut command: Command = command();
        command.arg("predict").arg(shared().run()).arg(others()).args(["--threshold", threshold]).args(more);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        drop(child.stdout.take());
        child.wait().unwrap().code()
    };
    assert_eq!(code("0", &["--fail-on-defect"]), Some(10));
    assert_eq!(code("1e9", &["--fail-on-defect"]), Some(0));
    assert_eq!(code("0", &[]), Some(0));
}

/// Numbers that differ are written so that they do.
#[test]
fn digits_that_tell_apart() {
    let mut args = vec![PathBuf::from("calibrate"), shared().run(), others(), "--dry-run".into()];
    args.push("--defects".into());
    args.extend(defective());
    let text = blemish(&args).ok().stdout();
    let lines = text.lines().skip_while(|line| !line.contains("false alarms %")).skip(1);
    let curve: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    let first: Vec<&str> = curve.iter().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert!(first.len() > 2 && first.windows(2).all(|pair| pair[0] != pair[1]), "{text}");
    let text = run("evaluate", &[&shared().data()], &["--fpr", "0.0001"]).ok().stdout();
    let used = text.lines().find(|line| line.starts_with("fpr (used)")).unwrap();
    assert_eq!(used.split_whitespace().nth(3), Some("0.01"), "{text}");
    let one = run("calibrate", &[&others().join("000.png")], &["--dry-run"]).ok().stdout();
    assert!(
        one.contains("calibrated on 1 good image\n") && one.contains("the scores of 1 good image "),
        "{one}"
    );
    assert!(!one.contains("1 good images"), "{one}");
}

/// A bit that turned on the way is found; a file without a checksum is one of an earlier version.
#[test]
fn damaged_models() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model.safetensors");
    let whole = fs::read(shared().run().join("model.safetensors")).unwrap();
    let start = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let predict = || blemish([Path::new("predict"), &model, &others()]);
    for i in 0..8 {
        let mut bytes = whole.clone();
        bytes[start + (whole.len() - start) * i / 8] ^= 1;
        fs::write(&model, bytes).unwrap();
        predict().fails(4, &["model.safetensors", "is damaged: its checksum does not match"]);
    }
    let key = br#"\"checksum\":"#;
    let at = whole.windows(key.len()).position(|window| window == key).unwrap() + key.len();
    let mut earlier = whole;
    // As long as the 16 digits in their quotation marks, each of which has a backslash.
    earlier[at..at + 20].copy_from_slice(b"null                ");
    fs::write(&model, &earlier).unwrap();
    assert_eq!(predict().ok().json_lines().len(), 5);
}

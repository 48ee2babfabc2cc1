//! Images that cannot be used: which file, why, an exit code of its own, nothing left behind.

use std::fs;
use std::path::Path;

use blemish::image::ByteImage;
use blemish::report::save_png;

use crate::{blemish, make_data, names, shared, train, train_network};

/// The header of a BMP image of 60000 x 60000 pixels.
const HUGE: &[u8] = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x60\xea\0\0\x60\xea\0\0\x01\0\x18\0\
                      \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

#[test]
fn folders_without_good_images() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    train(&data, &run, &[]).fails(3, &["data", "no such file or folder"]);
    fs::create_dir(&data).unwrap();
    train(&data, &run, &[]).fails(3, &["looked for", "found nothing"]);
    fs::write(data.join("notes.txt"), "").unwrap();
    train(&data, &run, &[]).fails(3, &["looked for", "`notes.txt`"]);
    fs::create_dir_all(data.join("train/good")).unwrap();
    fs::create_dir_all(data.join("test/good")).unwrap();
    train(&data, &run, &[]).fails(3, &["no good image"]);
    train(&data, &run, &["--category", "screw"]).fails(3, &["`screw`", "`train`"]);
    assert!(!run.exists());
}

#[test]
fn unusable_images_stop_the_training_or_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    make_data(&data);
    let whole = fs::read(data.join("train/good/000.png")).unwrap();
    let bad: [(&str, &[u8], &str); 4] = [
        ("empty.png", b"", "empty"),
        ("text.jpg", b"not an image", "not an image"),
        ("cut.png", &whole[..whole.len() / 2], "cut.png"),
        ("huge.bmp", HUGE, "3600000000 pixels"),
    ];
    let run = folder.path().join("run");
    let path = |name: &str| data.join("train/good").join(name);
    for (name, bytes, reason) in bad {
        fs::write(path(name), bytes).unwrap();
        train(&data, &run, &[]).fails(3, &[name, reason]);
        assert!(!run.exists(), "{name}");
        fs::remove_file(path(name)).unwrap();
    }
    bad.iter().for_each(|(name, bytes, _)| fs::write(path(name), bytes).unwrap());
    let trained = train(&data, &run, &["--on-error", "skip", "--json"]).ok();
    assert_eq!(trained.json()["problems"].as_array().unwrap().len(), 4);
    for (name, ..) in bad {
        assert!(trained.stderr().contains(name), "{name}");
    }
    let inspected = blemish(["inspect", data.to_str().unwrap(), "--json"]).ok().json();
    assert_eq!(inspected["problems"].as_array().unwrap().len(), 4);
}

#[test]
fn predict_names_what_it_cannot_use_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let good = shared().data().join("test/good");
    fs::write(folder.path().join("a.png"), "").unwrap();
    fs::write(folder.path().join("b.bmp"), HUGE).unwrap();
    fs::copy(good.join("000.png"), folder.path().join("c.png")).unwrap();
    let missing = folder.path().join("missing.png");
    let run = blemish([Path::new("predict"), &shared().run(), folder.path(), &missing]);
    assert_eq!(run.code(), 3);
    assert!(
        run.stderr().contains("0 of 4 defective, 3 not judged")
            || run.stderr().contains("1 of 4 defective, 3 not judged")
    );
    assert!(run.stderr().contains("3 of 4 files were not judged"));
    let lines = run.json_lines();
    let errors: Vec<bool> = lines.iter().map(|line| line["error"].is_string()).collect();
    assert_eq!(errors, [true, true, false, true]);
    assert!(lines[1]["error"].as_str().unwrap().contains("more than the limit"));
    assert!(lines[3]["path"].as_str().unwrap().ends_with("missing.png"));
}

#[test]
fn masks_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    make_data(&data);
    let masks = data.join("ground_truth/dent");
    let mask = masks.join(&names(&masks)[0]);
    fs::write(&mask, "").unwrap();
    let evaluate = ["evaluate", shared().run().to_str().unwrap(), data.to_str().unwrap()].map(str::to_owned);
    blemish(&evaluate).fails(3, &["_mask.png", "empty"]);
    let skipped =
        blemish(evaluate.iter().map(String::as_str).chain(["--on-error", "skip", "--json"])).ok().json();
    assert_eq!((&skipped["counts"]["defective"], skipped["pixel_auroc"].is_number()), (&5.into(), true));
    assert!(skipped["problems"].to_string().contains("mask: empty or not an image"));
    assert!(skipped["notes"].to_string().contains("pixel metrics: 1 of 5 defective"), "{}", skipped["notes"]);
    save_png(&ByteImage { height: 40, width: 40, channels: 1, pixels: vec![0; 1600] }, &mask).unwrap();
    let inspected = blemish(["inspect", data.to_str().unwrap(), "--json"]).ok().json();
    assert!(inspected["problems"].to_string().contains("mask: empty, though"), "{}", inspected["problems"]);
    let evaluated = blemish(&evaluate).ok().stdout();
    assert!(evaluated.contains("mask that is empty at this resolution"), "{evaluated}");
}

#[test]
fn the_published_split_needs_test_images() {
    let folder = tempfile::tempdir().unwrap();
    let good = shared().data().join("train/good");
    train_network(&good, &folder.path().join("run"), &["--split", "diyt"])
        .fails(3, &["diyt", "there are none"]);
}

/// Names can hold anything: neither an escape sequence nor bytes that are no text may reach the terminal or break JSON.
#[cfg(unix)]
#[test]
fn strange_names_do_no_harm() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    make_data(&data);
    for name in [&b"\x1b[31mred.png"[..], b"\xff\xfe.png"] {
        fs::write(data.join("train/good").join(OsStr::from_bytes(name)), "").unwrap();
    }
    let run = folder.path().join("run");
    let failed = train(&data, &run, &[]).fails(3, &[".png", "empty"]);
    assert!(!failed.stderr().contains('\u{1b}'));
    let trained = train(&data, &run, &["--on-error", "skip", "--json"]).ok();
    assert!(!trained.stderr().contains('\u{1b}'), "{}", trained.stderr());
    assert_eq!(trained.json()["problems"].as_array().unwrap().len(), 2);
    let shown = blemish(["inspect", data.to_str().unwrap()]).ok().stdout();
    assert!(shown.contains("red.png") && !shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn evaluation_without_test_images() {
    let (run, data) = (shared().run(), shared().data().join("train/good"));
    blemish([Path::new("evaluate"), &run, &data]).fails(3, &["no test image"]);
}

#[test]
fn configurations_that_cannot_work_name_the_field() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    for (setting, field) in [
        ("model.depth=2", "model.depth"),
        ("network.passes=4", "network.passes"),
        ("data.image_size=[30, 32]", "data.image_size"),
        ("score.no_such_field=1", "score.no_such_field"),
        ("train.batch_size=many", "invalid type"),
        ("nonsense", "key=value"),
        ("preset=diyt", "--preset"),
    ] {
        train(&shared().data(), &run, &["--set", setting]).fails(5, &[field]);
        assert!(!run.exists(), "{setting}");
    }
    let missing = ["train", "data", "--out", run.to_str().unwrap(), "--config", "no.toml"];
    blemish(missing).fails(3, &["data"]);
}

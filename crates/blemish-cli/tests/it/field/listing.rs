//! What is read from folders and lists: all that is left out is counted and named.

use std::fs;
use std::path::Path;

use image::GrayImage;
use serde_json::Value;

use super::inputs::{part, save};
use super::judged::Case;
use crate::predict::predict_from;
use crate::{Run, blemish, command, make_data, names, shared, train};

fn judge(paths: &[&Path]) -> Run {
    blemish([Path::new("predict"), &shared().run()].iter().chain(paths))
}

/// A command on a path, with the shared model where it needs one.
fn on(name: &str, path: &Path, more: &[&str]) -> Run {
    let mut command = command();
    command.arg(name);
    if name != "inspect" {
        command.arg(shared().run());
    }
    Run(command.arg(path).args(more).output().unwrap())
}

/// How many images `inspect` finds, by group.
fn groups(data: &Path) -> Vec<(String, u64)> {
    let groups = on("inspect", data, &["--json"]).ok().json()["groups"].clone();
    let group =
        |group: &Value| (group["name"].as_str().unwrap().to_owned(), group["images"].as_u64().unwrap());
    groups.as_array().unwrap().iter().map(group).collect()
}

/// Parts at these paths.
fn parts(case: &Case, paths: &[impl AsRef<str>]) {
    for (n, path) in (0..).zip(paths) {
        save(&case.path(path.as_ref()), &part(n, 0.0, 64));
    }
}

#[test]
fn photos_among_outputs_are_counted_and_named() {
    let case = Case::new();
    let data = case.path("ds");
    make_data(&data);
    let good = data.join("test/good");
    fs::copy(good.join("000.png"), good.join("000.png.overlay.png")).unwrap();
    fs::write(good.join(".blemish-output"), "").unwrap();
    let said = "5 images in a folder of blemish's outputs are left out; move photos elsewhere";
    let judged = judge(&[&data.join("test")]).ok();
    assert_eq!(judged.json_lines().len(), 6);
    for part in ["of 10 defective", "5 not judged", said] {
        assert!(judged.stderr().contains(part), "{part}: {}", judged.stderr());
    }
    let strict = on("predict", &data.join("test"), &["--strict"]);
    assert!(strict.code() == 3 && strict.stderr().contains(said), "{}", strict.stderr());
    for command in ["evaluate", "inspect"] {
        let told = on(command, &data, &[]).ok().stdout();
        assert!(told.contains(said), "{command}: {told}");
    }
    let told = on("evaluate", &data, &[]).ok().stderr();
    assert!(told.contains("measured on 0 good and 5 defective images"), "{told}");
    let out = ["calibrated", "extended"]
        .map(|name| case.path(name).with_extension("safetensors").display().to_string());
    for told in [
        train(&data, &case.path("run"), &[]).ok(),
        on("calibrate", &data.join("test"), &["--out", &out[0]]),
        on("extend", &data.join("test"), &["--out", &out[1]]),
    ] {
        assert!(told.stderr().contains(said), "{}", told.stderr());
    }
    // The same where the very folder that is named is marked.
    fs::rename(good.join(".blemish-output"), data.join(".blemish-output")).unwrap();
    let refused = "in a folder of blemish's outputs";
    train(&data, &case.path("other"), &[]).fails(3, &[refused]);
    for command in ["inspect", "evaluate"] {
        on(command, &data, &[]).fails(3, &[refused]);
    }
    let other = case.path("other.safetensors").display().to_string();
    for command in ["calibrate", "extend"] {
        on(command, &data, &["--out", &other]).fails(3, &[refused]);
    }
    let judged = judge(&[&data]);
    assert!(judged.code() == 3 && judged.stderr().contains(refused), "{}", judged.stderr());
}

#[test]
fn outputs_of_blemish_are_known_by_their_names() {
    let case = Case::new();
    let data = case.path("ds");
    make_data(&data);
    let good = data.join("train/good");
    for name in ["000.png.overlay.png", "000.png.mask.png", "000.png.map.tiff"] {
        fs::copy(good.join("000.png"), good.join(name)).unwrap();
    }
    assert!(groups(&data).contains(&("train/good".to_owned(), 12)), "{:?}", groups(&data));
    let told = train(&data, &case.path("run"), &[]).ok().stderr();
    assert_eq!(told.matches("called like a file that blemish writes").count(), 3, "{told}");
    let judged = judge(&[&good]).ok();
    assert_eq!(judged.json_lines().iter().filter(|answer| answer["score"].is_number()).count(), 12);
    assert!(judged.stderr().contains("3 not judged"), "{}", judged.stderr());
}

#[test]
fn hidden_images_are_counted_in_every_layout() {
    let hidden = ["/.x.png", "/._y.png", "/.cam/0.png", "/__MACOSX/good/z.png"];
    for (layout, visible) in [
        ("mvtec", &["/train/good/0.png", "/train/good/1.png", "/test/good/2.png", "/test/cut/3.png"][..]),
        ("sorted", &["/good/0.png", "/good/1.png", "/good/2.png", "/bad/3.png"]),
        ("flat", &["/0.png", "/1.png", "/2.png", "/3.png"]),
        ("cameras", &["/cam0/0.png", "/cam0/1.png", "/cam1/2.png", "/cam1/3.png"]),
    ] {
        let case = Case::new();
        let paths: Vec<String> =
            visible.iter().chain(&hidden).map(|name| format!("{layout}{name}")).collect();
        parts(&case, &paths);
        let data = case.path(layout);
        let told = on("inspect", &data, &["--json"]).ok().json();
        let problems = told["problems"].to_string();
        assert!(problems.contains("4 hidden files are left out"), "{layout}: {problems}");
        let images: u64 = groups(&data).iter().map(|(_, images)| images).sum();
        assert_eq!(images, 4, "{layout}: {:?}", groups(&data));
        let judged = judge(&[&data]).ok();
        assert_eq!(judged.json_lines().iter().filter(|answer| answer["score"].is_number()).count(), 4);
        assert!(
            judged.stderr().contains("of 8 defective") && judged.stderr().contains("4 not judged"),
            "{layout}: {}",
            judged.stderr()
        );
    }
}

#[test]
fn folders_that_differ_in_case_are_joined() {
    let case = Case::new();
    parts(&case, &["ds/train/good/0.png", "ds/Train/Good/1.png", "ds/TEST/good/2.png", "ds/Test/cut/3.png"]);
    let expected = [("train/good", 2), ("test/cut", 1), ("test/good", 1)];
    assert_eq!(groups(&case.path("ds")), expected.map(|(name, images)| (name.to_owned(), images)));
}

#[test]
fn a_test_beside_good_images_is_no_kind_of_defect() {
    let case = Case::new();
    let test = ["ds/test/good/2.png", "ds/test/bad/3.png", "ds/reports/0.png.overlay.png"];
    parts(&case, &[&["ds/good/0.png", "ds/good/1.png"][..], &test].concat());
    let expected = [("train/good", 2), ("test/bad", 1), ("test/good", 1)];
    assert_eq!(groups(&case.path("ds")), expected.map(|(name, images)| (name.to_owned(), images)));
}

/// Whoever runs the tests as root may read every folder: then the program runs as nobody.
#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_read_is_left_out_or_stops() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let case = Case::new();
    let (data, run) = (case.path("ds"), shared().run());
    make_data(&data);
    let closed = data.join("test/good");
    let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    allow(&case.folder(), 0o777);
    allow(&closed, 0o000);
    let is_root = fs::read_dir(&closed).is_ok();
    let as_other = |args: &[&Path]| {
        let mut command = command();
        command.args(args);
        if is_root {
            command.uid(65534);
        }
        command.output().map(Run)
    };
    let out = case.path("run");
    let evaluate = [Path::new("evaluate"), &run, &data];
    let skip = [Path::new("--on-error"), Path::new("skip")];
    let inspected = as_other(&[Path::new("inspect"), &data]);
    let evaluated = as_other(&[&evaluate[..], &skip].concat());
    let stopped = as_other(&evaluate);
    let untrained = as_other(&[Path::new("train"), &data, Path::new("--out"), &out]);
    allow(&closed, 0o755);
    let (Ok(inspected), Ok(evaluated), Ok(stopped), Ok(untrained)) =
        (inspected, evaluated, stopped, untrained)
    else {
        // The program lies where nobody may run it.
        return assert!(is_root);
    };
    for told in [inspected.ok().stdout(), evaluated.ok().stdout()] {
        assert!(told.contains("test/good: this folder cannot be read, and is left out"), "{told}");
    }
    for stopped in [stopped, untrained] {
        stopped.fails(3, &["test/good", "this folder cannot be read", "--on-error skip"]);
    }
}

#[test]
fn lists_are_read_in_every_coding() {
    let case = Case::new();
    let good = shared().data().join("test/good");
    let [first, second] = ["000.png", "001.png"].map(|name| good.join(name).display().to_string());
    let expected = judge(&[first.as_ref(), second.as_ref()]).ok().json_lines();
    let lines = format!("{first}\r\n{second}\r\n");
    let utf_16 = |bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        format!("\u{feff}{lines}").encode_utf16().flat_map(bytes).collect()
    };
    let list = case.path("list.txt");
    for (coding, bytes) in [
        ("mark", format!("\u{feff}{lines}").into_bytes()),
        ("little", utf_16(u16::to_le_bytes)),
        ("big", utf_16(u16::to_be_bytes)),
        ("quotes", format!("\"{first}\"\r\n\n \"{second}\"\n").into_bytes()),
        ("nul", format!("{first}\0{second}\0").into_bytes()),
        ("no end", format!("{first}\n{second}").into_bytes()),
    ] {
        fs::write(&list, &bytes).unwrap();
        let from_file = judge(&[format!("@{}", list.display()).as_ref()]).ok().json_lines();
        assert_eq!(from_file, expected, "{coding}");
        assert_eq!(predict_from(&bytes, &["-"]).ok().json_lines(), expected, "{coding}");
    }
    // Images on standard input are told from lists by how they begin; names may begin alike.
    let image = image::open(&first).unwrap();
    for ending in ["png", "bmp", "tif", "pgm"] {
        let path = case.path(&format!("P5 image.{ending}"));
        image.to_luma8().save(&path).unwrap();
        let answers = predict_from(&fs::read(&path).unwrap(), &["-"]).ok().json_lines();
        assert_eq!((answers.len(), &answers[0]["path"]), (1, &"-".into()), "{ending}");
    }
    let short = Run(command().arg("predict").arg(shared().run()).arg("P5_none.png").output().unwrap());
    let named = predict_from(b"P5_none.png\n", &["-"]);
    assert_eq!((named.code(), named.json_lines()), (3, short.json_lines()));
    assert_eq!(predict_from(b"GIF89a\x01\0\x01\0", &["-"]).json_lines()[0]["path"], "-");
}

#[test]
fn nothing_to_judge_is_no_success() {
    let case = Case::new();
    let list = case.path("list.txt");
    for nothing in [&b""[..], b"\n \r\n", "\u{feff}".as_bytes(), b"\0"] {
        fs::write(&list, nothing).unwrap();
        let from_list = judge(&[format!("@{}", list.display()).as_ref()]);
        for run in [from_list, predict_from(nothing, &["-"])] {
            assert_eq!(run.code(), 3, "{nothing:?}");
            assert!(run.stderr().contains("names no image"), "{}", run.stderr());
        }
    }
}

#[test]
fn masks_of_another_shape_and_inverted_ones() {
    let case = Case::new();
    let data = case.path("ds");
    make_data(&data);
    let truth = data.join("ground_truth");
    let mut masks = Vec::new();
    for folder in names(&truth).iter().map(|kind| truth.join(kind)) {
        masks.extend(names(&folder).iter().map(|name| folder.join(name)));
    }
    let evaluate = |more: &[&str]| on("evaluate", &data, more);
    assert!(!evaluate(&[]).ok().stdout().contains("inverted"));
    for path in &masks {
        let mut mask = image::open(path).unwrap().into_luma8();
        mask.pixels_mut().for_each(|pixel| pixel.0[0] = 255 - pixel.0[0]);
        mask.save(path).unwrap();
    }
    for told in [evaluate(&[]).ok().stdout(), on("inspect", &data, &[]).ok().stdout()] {
        assert!(told.contains("the masks may be inverted"), "{told}");
    }
    // At half the size it is the same shape, at half the height another.
    GrayImage::new(20, 20).save(&masks[0]).unwrap();
    evaluate(&[]).ok();
    GrayImage::new(40, 20).save(&masks[0]).unwrap();
    let words = ["20 x 40 pixels", "its image 40 x 40", "another shape"];
    evaluate(&[]).fails(3, &words);
    for told in [evaluate(&["--on-error", "skip"]).ok().stdout(), on("inspect", &data, &[]).ok().stdout()] {
        assert!(words.iter().all(|word| told.contains(word)), "{told}");
    }
}

#[test]
fn no_image_is_fitted_on_twice() {
    let case = Case::new();
    let good = shared().data().join("train/good");
    let again = good.join("../good/.");
    let mut ways = vec![good.clone(), again, good.join("000.png")];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&good, case.path("link")).unwrap();
        ways.push(case.path("link"));
    }
    let mut command = command();
    command.arg("train").args(&ways).arg("--out").arg(case.path("run"));
    let run = Run(command.args(["--config", crate::TINY, "--json"]).output().unwrap()).ok();
    assert_eq!(run.json()["images"], 12);
}

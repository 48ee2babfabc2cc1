//! Cases from the field: inputs on which inspection software fails, and what must happen with them. The whole program, from files
//! to answers, one test a case.

mod figures;
mod inputs;
mod judged;
mod listing;
mod outputs;

use std::fs;
use std::path::Path;

use serde_json::Value;

use self::inputs::{Grey, part, save, save_deep, sets, surface, with_code};
use self::judged::{Case, count};
use crate::{Run, blemish};

/// A mean image of pure white must not round to more than white: what `train` writes loads.
#[test]
fn saturated() {
    let case = Case::new();
    for n in 0..209 {
        let mut image = part(n, 0.0, 48);
        image.each(|y, x, v| if (y - 0.5).hypot(x - 0.5) > 0.42 { 1.0 } else { v });
        save(&case.path(&format!("good/{n:03}.png")), &image);
    }
    case.train(48, &[]).ok();
    assert_eq!(case.predict("good", &[]).ok().json_lines().len(), 209);
}

/// A code that differs on every part, in one corner.
#[test]
fn serial() {
    let case = Case::new();
    sets(&case.folder(), 24, 0.25, with_code);
    let told = case.train(96, &[]).ok().stderr();
    assert!(told.contains("varies far more than the rest"), "{told}");
    let (found, alarms) = case.found_and_alarms(&[]);
    assert!(found >= 18 && alarms <= 3, "{found} {alarms}");
    // The code is ignored where a mask says so, by 'train', 'predict' and 'evaluate'.
    let mut mask = Grey::filled(96, 0.0);
    // With a margin: patches beside the code see it.
    mask.each(|y, x, _| if y < 0.2 && x < 0.2 { 1.0 } else { 0.0 });
    let mask_file = case.path("mask.png");
    save(&mask_file, &mask);
    let mask = mask_file.to_str().unwrap();
    let masked = Run(case.train_command(96, "masked", &["--ignore", mask]).output().unwrap()).ok();
    assert!(!masked.stderr().contains("varies far more"), "{}", masked.stderr());
    let answers = case.predict("ok", &["--ignore", mask]).ok().json_lines();
    assert!(answers.iter().all(|answer| answer["inspected"].as_f64().unwrap() < 0.995));
    blemish(["evaluate", &case.run(), case.folder().to_str().unwrap(), "--ignore", mask]).ok();
}

/// A camera of 12 bits, in files of 16.
#[test]
fn mono12() {
    let case = Case::new();
    let deep = |path: &Path, image: &Grey| save_deep(path, image, 4095.0);
    for n in 0..40 {
        deep(&case.path(&format!("good/{n:03}.png")), &part(n, 0.0, 96));
    }
    for n in 0..20 {
        deep(&case.path(&format!("ok/{n:03}.png")), &part(1000 + n, 0.0, 96));
        deep(&case.path(&format!("bad/{n:03}.png")), &part(2000 + n, 0.12, 96));
    }
    case.train(96, &[]).ok();
    let (found, alarms) = case.found_and_alarms(&[]);
    assert!(found >= 18 && alarms <= 3, "{found} {alarms}");
}

/// Six frames each of ten parts.
#[test]
fn burst() {
    let case = Case::new();
    for n in 0..60 {
        let mut frame = part(n / 6, 0.0, 96);
        frame.add_noise(n, 0.008);
        save(&case.path(&format!("good/{:02}_{}.png", n / 6, n % 6)), &frame);
    }
    case.unseen(0.25);
    let told = case.train(96, &[]).ok().stderr();
    assert!(told.contains("50 of 60 good images are near-duplicates"), "{told}");
    let (_, alarms) = case.found_and_alarms(&[]);
    assert!(alarms <= 3, "{alarms}");
}

/// Three, five and ten good parts: the rate holds within its interval, and a warning says why that is wide.
#[test]
fn few() {
    for n in [3, 5, 10] {
        let case = Case::new();
        sets(&case.folder(), n, 0.25, |image, _| image);
        let told = case.train(96, &["--json"]).ok();
        let high = told.json()["thresholds"][0]["interval"][1].as_f64().unwrap();
        assert!(told.stderr().contains("at least 19 are needed"), "{}", told.stderr());
        let (_, alarms) = case.found_and_alarms(&[]);
        assert!(f64::from(alarms) <= 20.0 * high && alarms <= 3, "{n}: {alarms} of {high}");
    }
}

/// One frame with the light off among good ones.
#[test]
fn outlier() {
    let case = Case::new();
    sets(&case.folder(), 24, 0.12, |image, _| image);
    case.train(96, &[]).ok();
    let (before, _) = case.found_and_alarms(&[]);
    save(&case.path("good/900.png"), &Grey::filled(96, 0.01));
    case.train(96, &["--overwrite"]).ok();
    let (after, alarms) = case.found_and_alarms(&[]);
    assert!(before.abs_diff(after) <= 2 && before >= 10 && alarms <= 3, "{before} {after} {alarms}");
}

/// Files of other kinds and names in a folder: every one is judged or named.
#[test]
fn skipped() {
    let case = Case::new();
    sets(&case.folder(), 12, 0.25, |image, _| image);
    case.train(96, &[]).ok();
    let image = part(0, 0.0, 96);
    for name in ["a.png", "b.webp", "c.pgm"] {
        save(&case.path(&format!("mix/{name}")), &image);
    }
    save(&case.path("d.jpg"), &image);
    fs::rename(case.path("d.jpg"), case.path("mix/d.jfif")).unwrap();
    fs::copy(case.path("mix/a.png"), case.path("mix/e")).unwrap();
    fs::write(case.path("mix/notes.txt"), "not an image\n").unwrap();
    let run = case.predict("mix", &[]);
    let answers = run.json_lines();
    let named = |end: &str| answers.iter().find(|a| a["path"].as_str().unwrap().ends_with(end)).unwrap();
    assert_eq!(answers.len(), 6, "{}", run.stdout());
    for judged in ["a.png", "b.webp", "c.pgm", "d.jfif"] {
        assert!(named(judged)["score"].is_number(), "{}", named(judged));
    }
    assert!(named("notes.txt")["error"].is_string());
    assert!(
        run.stderr().contains("of 6 defective") && run.stderr().contains("not judged"),
        "{}",
        run.stderr()
    );
}

/// `good/` beside `bad/`; good images in folders by camera; upper-case names.
#[test]
fn layouts() {
    let case = Case::new();
    for n in 0..12 {
        for path in [
            format!("sorted/good/{n}.png"),
            format!("cameras/cam{}/{n}.png", n % 2),
            format!("upper/Train/Good/{n}.png"),
        ] {
            save(&case.path(&path), &part(n, 0.0, 64));
        }
    }
    for n in 0..6 {
        save(&case.path(&format!("sorted/bad/{n}.png")), &part(2000 + n, 0.25, 64));
        save(&case.path(&format!("upper/Test/Good/{n}.PNG")), &part(1000 + n, 0.0, 64));
        save(&case.path(&format!("upper/Test/cut/{n}.PNG")), &part(2000 + n, 0.25, 64));
    }
    for layout in ["sorted", "cameras", "upper"] {
        let (data, run) = (case.path(layout), case.path(&format!("run-{layout}")));
        case.train_on(&data, 64, &run, &[]).ok();
        let told = blemish([Path::new("inspect"), &data]).ok().stdout();
        assert!(told.contains(if layout == "sorted" { "18 images" } else { "12" }), "{told}");
        if layout == "upper" {
            let figures = blemish([Path::new("evaluate"), &run, &data, Path::new("--json")]).ok().json();
            assert_eq!((&figures["counts"]["good"], &figures["counts"]["defective"]), (&6.into(), &6.into()));
        }
    }
}

/// Masks of any two values and usual names.
#[test]
fn masks() {
    let case = Case::new();
    for n in 0..12 {
        save(&case.path(&format!("train/good/{n}.png")), &part(n, 0.0, 64));
    }
    let written = [(1, "_mask"), (100, "_mask"), (64, "_gt"), (255, "_label"), (255, ""), (255, "_MASK")];
    for (n, (value, name)) in (0..6).zip(written) {
        save(&case.path(&format!("test/good/{n}.png")), &part(1000 + n, 0.0, 64));
        let (whole, cut) = (part(2000 + n, 0.0, 64), part(2000 + n, 0.25, 64));
        save(&case.path(&format!("test/cut/{n}.png")), &cut);
        let mut mask = Grey::filled(64, 0.0);
        for (v, (a, b)) in mask.pixels.iter_mut().zip(whole.pixels.iter().zip(&cut.pixels)) {
            *v = if a - b > 0.1 { value as f32 / 255.0 } else { 0.0 };
        }
        save(&case.path(&format!("ground_truth/cut/{n}{name}.png")), &mask);
    }
    case.train_on(&case.folder(), 64, Path::new(&case.run()), &[]).ok();
    let figures = blemish(["evaluate", &case.run(), case.folder().to_str().unwrap(), "--json"]).ok().json();
    assert_eq!(figures["problems"], Value::Array(Vec::new()));
    assert!(figures["aupro"].as_f64().unwrap() > 0.5, "{}", figures["aupro"]);
    assert!(!figures["notes"].to_string().contains("mask"), "{}", figures["notes"]);
}

/// What transparent pixels hide makes no difference.
#[test]
fn alpha() {
    let case = Case::new();
    let cut = |name: String, image: &Grey, hidden: u8| inputs::save_cut_out(&case.path(&name), image, hidden);
    for n in 0..24 {
        cut(format!("good/{n:03}.png"), &part(n, 0.0, 160), 0);
    }
    for n in 0..20 {
        cut(format!("ok/{n:03}.png"), &part(1000 + n, 0.0, 160), 255);
        cut(format!("bad/{n:03}.png"), &part(2000 + n, 0.25, 160), 255);
    }
    case.train(160, &[]).ok();
    let (found, alarms) = case.found_and_alarms(&[]);
    assert!(found >= 18 && alarms <= 3, "{found} {alarms}");
}

/// Grey files on a model of colour, and images of another shape.
#[test]
fn other() {
    let case = Case::new();
    for n in 0..24 {
        inputs::save_tinted(&case.path(&format!("good/{n:03}.png")), &part(n, 0.0, 96));
    }
    for n in 0..4 {
        save(&case.path(&format!("grey/{n:03}.png")), &part(1000 + n, 0.0, 96));
        inputs::save_tinted(
            &case.path(&format!("cropped/{n:03}.png")),
            &part(1000 + n, 0.0, 96).rows(10, 86),
        );
    }
    case.train(96, &[]).ok();
    for (folder, words) in [("grey", "grey"), ("cropped", "another shape")] {
        let run = case.predict(folder, &[]).ok();
        assert!(
            run.json_lines().iter().all(|a| a["remarks"].to_string().contains(words)),
            "{}",
            run.stdout()
        );
        assert!(run.stderr().contains("unlike the training images"), "{}", run.stderr());
        let strict = case.predict(folder, &["--strict"]);
        assert_eq!(strict.code(), 3);
        assert!(strict.json_lines().iter().all(|a| a["error"].to_string().contains(words)));
    }
}

/// What a dead camera, a closed shutter and a white sheet send.
#[test]
fn blank() {
    let case = Case::new();
    for n in 0..30 {
        save(&case.path(&format!("good/{n:03}.png")), &surface(n, 96));
    }
    for (i, level) in [0.0, 0.5, 1.0].into_iter().enumerate() {
        save(&case.path(&format!("blank/flat{i}.png")), &Grey::filled(96, level));
    }
    let mut dark = Grey::filled(96, 4.0 / 255.0);
    dark.add_noise(1, 2.0 / 255.0);
    save(&case.path("blank/dark_noise.png"), &dark);
    for n in 0..10u8 {
        let mut image = surface(2000 + u64::from(n), 96);
        let (top, left) = (0.1 + 0.06 * f32::from(n), 0.7 - 0.06 * f32::from(n));
        let level = f32::from(n % 2);
        image.each(|y, x, v| {
            if (0.0..0.16).contains(&(y - top)) && (0.0..0.16).contains(&(x - left)) { level } else { v }
        });
        save(&case.path(&format!("squares/{n}.png")), &image);
    }
    case.train(96, &[]).ok();
    for answer in case.predict("blank", &[]).ok().json_lines() {
        assert_eq!(
            (&answer["verdict"], &answer["reason"]),
            (&"defective".into(), &"blank".into()),
            "{answer}"
        );
    }
    assert_eq!(count(&case.predict("squares", &[]).ok().json_lines(), "defective"), 10);
    // Two such frames among good images are never fitted on, and move nothing.
    let threshold = || {
        blemish(["inspect", &case.run(), "--json"]).ok().json()["thresholds"][0]["value"].as_f64().unwrap()
    };
    let before = threshold();
    fs::copy(case.path("blank/flat0.png"), case.path("good/800.png")).unwrap();
    fs::copy(case.path("blank/flat2.png"), case.path("good/801.png")).unwrap();
    let told = case.train(96, &["--overwrite"]).ok().stderr();
    assert!(told.contains("2 good images are blank"), "{told}");
    assert!((threshold() / before - 1.0).abs() < 1e-3, "{before}");
}

/// Good images without any structure.
#[test]
fn constant() {
    let case = Case::new();
    for n in 0..20 {
        save(&case.path(&format!("good/{n:03}.png")), &Grey::filled(64, 1.0));
    }
    case.train(64, &[]).fails(3, &["shows nothing", "all 20 images"]);
    assert!(!Path::new(&case.run()).exists());
}

/// Discs that lie anywhere on pure black: the network applies, and a model comes out.
#[test]
fn scattered() {
    let case = Case::new();
    for n in 0..12 {
        save(&case.path(&format!("good/{n:03}.png")), &inputs::discs(n, 64));
    }
    let network = crate::NETWORK;
    let mut command = crate::command();
    command.arg("train").arg(case.path("good")).args(["--out", &case.run(), "--config", network]);
    Run(command.output().unwrap()).ok();
    let answers = case.predict("good", &[]).ok().json_lines();
    assert!(
        answers.iter().all(|answer| answer["score"].as_f64().unwrap().is_finite()) && answers.len() == 12
    );
}

/// Kinds of TIFF, and images of too many pixels: read, or refused in words that name the setting.
#[test]
fn tiff() {
    let case = Case::new();
    sets(&case.folder(), 12, 0.25, |image, _| image);
    case.train(96, &[]).ok();
    inputs::save_tiffs(&case.path("tiff"), &part(0, 0.0, 96));
    let run = case.predict("tiff", &[]);
    let answers = run.json_lines();
    let named = |end: &str| answers.iter().find(|a| a["path"].as_str().unwrap().ends_with(end)).unwrap();
    for judged in ["big.tif", "float.tif"] {
        assert_eq!(named(judged)["verdict"], "good", "{}", named(judged));
    }
    assert!(named("pages.tif")["error"].to_string().contains("2 pages"), "{}", named("pages.tif"));
    assert_eq!(run.code(), 3);
    let large = case.predict("ok", &["--max-pixels", "9000"]);
    assert_eq!(large.code(), 3);
    assert!(large.json_lines()[0]["error"].to_string().contains("max-pixels"), "{}", large.stdout());
    let all = case.predict("ok", &["--max-pixels", "10000"]).ok().json_lines();
    assert_eq!(all.len(), 20);
}

//! Every layout, built from tiny images, and the messages for folders that fit none.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;

use super::*;

/// Writes small grey PNGs at these paths, and empty files where the name is not an image's.
pub(super) fn tree(root: &Path, paths: &[&str]) {
    for path in paths {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if listing::is_image(&path) {
            let grey = ::image::GrayImage::from_pixel(4, 3, ::image::Luma([100]));
            let mut bytes = std::io::Cursor::new(Vec::new());
            grey.write_to(&mut bytes, ::image::ImageFormat::Png).unwrap();
            fs::write(path, bytes.into_inner()).unwrap();
        } else {
            fs::write(path, "").unwrap();
        }
    }
}

fn temporary(paths: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    tree(folder.path(), paths);
    folder
}

fn kinds(samples: &[Sample]) -> Vec<&str> {
    samples.iter().map(|sample| sample.kind.as_str()).collect()
}

const SCREW: [&str; 9] = [
    "screw/train/good/001.png",
    "screw/train/good/000.PNG",
    "screw/train/good/Thumbs.db",
    "screw/train/good/.DS_Store",
    "screw/test/good/000.png",
    "screw/test/scratch/000.jpg",
    "screw/test/scratch/001.jpg",
    "screw/ground_truth/scratch/000_mask.png",
    "screw/readme.txt",
];

#[test]
fn mvtec_from_the_category_or_from_above() {
    let folder = temporary(&SCREW);
    let set = open(folder.path(), Some("screw")).unwrap();
    assert_eq!(set, open(&folder.path().join("screw"), None).unwrap());
    assert_eq!(set, open(&folder.path().join("screw"), Some("screw")).unwrap());
    assert_eq!((set.layout, set.category.as_str()), (Layout::Mvtec, "screw"));
    let names: Vec<_> = set.train.iter().map(|sample| folder_name(&sample.path)).collect();
    assert_eq!(names, ["000.PNG", "001.png"]);
    assert_eq!(kinds(&set.test), ["good", "scratch", "scratch"]);
    assert!(
        set.test[1].masks.iter().all(|mask| mask.ends_with("scratch/000_mask.png"))
            && set.test[1].masks.len() == 1
    );
    assert_eq!((set.test[2].label, set.test[2].masks.len()), (Label::Defective, 0));
    assert_eq!(set.problems.len(), 1, "{:?}", set.problems);
    assert_eq!(set.problems[0].path, set.test[2].path);
}

#[test]
fn the_relatives_of_mvtec() {
    // VisA after its conversion: masks without a suffix.
    let visa = temporary(&["train/good/0.JPG", "test/bad/0.JPG", "ground_truth/bad/0.png"]);
    assert!(open(visa.path(), None).unwrap().test[0].masks.len() == 1);
    // MVTec AD 2.
    let ad2 = temporary(&[
        "train/good/0.png",
        "validation/good/0.png",
        "test_public/good/0.png",
        "test_public/bad/1.png",
        "test_public/ground_truth/bad/1_mask.png",
    ]);
    let set = open(ad2.path(), None).unwrap();
    assert_eq!(kinds(&set.test), ["bad", "good"]);
    assert!(set.test[0].masks.len() == 1 && set.problems.is_empty());
}

#[test]
fn btad() {
    let folder = temporary(&[
        "01/train/ok/0.bmp",
        "01/test/ok/1.bmp",
        "01/test/ko/2.bmp",
        "01/test/ko/3.png",
        "01/ground_truth/ko/2.png",
        "01/ground_truth/ko/3.BMP",
    ]);
    let set = open(folder.path(), Some("01")).unwrap();
    assert_eq!((set.layout, kinds(&set.train)), (Layout::Btad, vec!["good"]));
    assert_eq!(kinds(&set.test), ["ko", "ko", "good"]);
    assert!(set.test[..2].iter().all(|sample| sample.masks.len() == 1) && set.problems.is_empty());
}

#[test]
fn visa() {
    let folder = temporary(&[
        "candle/Data/Images/Normal/0.JPG",
        "candle/Data/Images/Normal/1.JPG",
        "candle/Data/Images/Anomaly/0.JPG",
        "candle/Data/Masks/Anomaly/0.png",
    ]);
    let missing = open(folder.path(), Some("candle")).unwrap_err().to_string();
    assert!(missing.contains("1cls.csv"), "{missing}");

    let csv = "object,split,label,image,mask\r\n\
        candle,train,normal,candle/Data/Images/Normal/0.JPG,\r\n\
        candle,test,normal,candle/Data/Images/Normal/1.JPG,\r\n\
        candle,test,normal,candle/Data/Images/Normal/2.JPG,\r\n\
        candle,test,anomaly,candle/Data/Images/Anomaly/0.JPG,candle/Data/Masks/Anomaly/0.png\r\n\
        pcb1,train,normal,pcb1/Data/Images/Normal/0.JPG,\r\n";
    fs::create_dir(folder.path().join("split_csv")).unwrap();
    fs::write(folder.path().join("split_csv/1cls.csv"), csv).unwrap();
    let set = open(folder.path(), Some("candle")).unwrap();
    assert_eq!((set.layout, set.train.len()), (Layout::Visa, 1));
    assert_eq!(kinds(&set.test), ["anomaly", "good"]);
    assert!(set.test[0].masks.len() == 1);
    assert!(set.problems.len() == 1 && set.problems[0].path.ends_with("Normal/2.JPG"));

    fs::write(
        folder.path().join("split_csv/1cls.csv"),
        format!("{csv}candle,dev,normal,candle/Data/Images/Normal/0.JPG,"),
    )
    .unwrap();
    let error = open(folder.path(), Some("candle")).unwrap_err().to_string();
    assert!(error.contains("line 7"), "{error}");
}

#[test]
fn one_folder_of_good_images() {
    let folder = temporary(&["b.tif", "a.JPEG", "bad/0.png", "notes.txt"]);
    let set = open(folder.path(), None).unwrap();
    assert_eq!((set.layout, set.train.len(), set.test.len()), (Layout::Folder, 2, 0));
    let names: Vec<_> = set.problems.iter().map(|problem| folder_name(&problem.path)).collect();
    assert_eq!(names, ["notes.txt", "bad"]);
}

#[test]
fn folders_by_name() {
    let folder = temporary(&[
        "ok/0.png",
        "ok/more/1.png",
        "bad/7.png",
        "bad/dent/8.png",
        "m/7.png",
        "m/bad/dent/8_mask.png",
    ]);
    let at = |name: &str| folder.path().join(name);
    let set = open_folders(&[at("ok")], &[at("bad")], Some(&at("m"))).unwrap();
    assert_eq!(set.train.len(), 2);
    assert_eq!(kinds(&set.test), ["bad", "dent"]);
    assert!(set.test[0].masks[0].ends_with("m/7.png"));
    assert!(set.test[1].masks[0].ends_with("8_mask.png"));
    assert!(open_folders(&[at("ok")], &[at("bad")], None).unwrap().problems.is_empty());
    assert!(matches!(open_folders(&[at("ok")], &[at("bad")], Some(&at("none"))), Err(Error::Io { .. })));
    assert!(matches!(open_folders(&[], &[at("bad")], None), Err(Error::Data { .. })));
    assert!(matches!(open_folders(&[at("nowhere")], &[], None), Err(Error::Io { .. })));
}

#[test]
fn categories_are_found_three_levels_deep() {
    let folder = temporary(&SCREW);
    tree(
        folder.path(),
        &["a/b/kos/train/good/0.png", "a/b/c/deep/train/good/0.png", "loose/0.png", "01/train/ok/0.png"],
    );
    assert_eq!(categories(folder.path()).unwrap(), ["01", "a/b/kos", "screw"]);
    assert_eq!(categories(&folder.path().join("screw")).unwrap(), ["screw"]);
    assert_eq!(open(folder.path(), Some("a/b/kos")).unwrap().category, "kos");
    let error = open(folder.path(), None).unwrap_err().to_string();
    assert!(error.contains("name one: 01, a/b/kos, screw"), "{error}");
    let error = open(folder.path(), Some("nut")).unwrap_err().to_string();
    assert!(error.contains("no category `nut`") && error.contains("`screw`"), "{error}");
}

#[test]
fn other_folders_are_explained() {
    let folder = temporary(&["train/images/0.png", "valid/images/0.png"]);
    for error in [open(folder.path(), None).map(drop), categories(folder.path()).map(drop)] {
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("looked for `train/good`") && error.contains("found `train`, `valid`"),
            "{error}"
        );
    }
    let empty = temporary(&["train/good/0.gif", "test/good/0.png"]);
    let error = open(empty.path(), None).unwrap_err().to_string();
    assert!(error.contains("no good image") && error.contains("0.gif"), "{error}");
    assert!(matches!(open(&folder.path().join("none"), None), Err(Error::Data { .. })));
}

#[test]
fn images_of_a_folder_or_a_file() {
    let folder =
        temporary(&["b/1.png", "a.jpg", "b/0.BMP", ".hidden/2.png", "._a.jpg", "notes.txt", "empty/x.txt"]);
    let images = image_files(folder.path()).unwrap();
    assert_eq!(images, ["a.jpg", "b/0.BMP", "b/1.png"].map(|name| folder.path().join(name)));
    assert_eq!(image_files(&images[0]).unwrap(), images[..1]);
    assert!(matches!(image_files(&folder.path().join("empty")), Err(Error::Data { .. })));
    assert!(matches!(image_files(&folder.path().join("none")), Err(Error::Io { .. })));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(folder.path(), folder.path().join("b/loop")).unwrap();
        assert_eq!(image_files(folder.path()).unwrap(), images);
    }
}

#[test]
fn good_beside_other_folders_is_split_once_and_for_all() {
    for (good, bad) in [
        ("good", "bad"),
        ("OK", "ng"),
        ("ok", "NOK"),
        ("Normal", "Anomaly"),
        ("pass", "fail"),
        ("i.O.", "n.i.O."),
    ] {
        let names: Vec<String> = (0..20)
            .map(|i| format!("{good}/cam{}/{i:02}.png", i % 2))
            .chain((0..3).map(|i| format!("{bad}/{i}.PNG")))
            .chain((0..2).map(|i| format!("Scratch/{i}.png")))
            .collect();
        let folder = temporary(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let set = open(folder.path(), None).unwrap();
        let good_test = set.test.iter().filter(|sample| sample.label == Label::Good).count();
        assert_eq!(
            (set.layout, set.train.len(), good_test, set.test.len()),
            (Layout::Sorted, 14, 6, 11),
            "{good}"
        );
        let mut found: Vec<&str> = kinds(&set.test);
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(set.test.iter().all(|sample| !set.train.contains(sample)));
        let note = set.note.clone().unwrap();
        assert!(note.contains("20 good images, 14 are fitted on and 6 are measured"), "{note}");
        assert_eq!(open(folder.path(), None).unwrap(), set);
        assert_eq!(categories(folder.path()).unwrap().len(), 1);
        // A few more good images move few to the other side.
        tree(folder.path(), &[&format!("{good}/90.png"), &format!("{good}/91.png")]);
        let more = open(folder.path(), None).unwrap();
        let moved = more.test.iter().filter(|sample| set.train.contains(sample)).count();
        assert!(moved <= 2, "{moved}");
    }
    // A test beside good images holds what is measured, and good ones for it are not taken from the others; what else is called
    // after a purpose is no kind of defect.
    let folder = temporary(&[
        "good/0.png",
        "good/1.png",
        "test/good/2.png",
        "test/bad/3.png",
        "test/stray.png",
        "train/4.png",
        "reports/3.png.overlay.png",
    ]);
    let set = open(folder.path(), None).unwrap();
    assert_eq!((set.train.len(), kinds(&set.test), set.note), (2, vec!["bad", "good"], None));
    let named: Vec<_> = set.problems.iter().map(|problem| folder_name(&problem.path)).collect();
    assert!(
        ["stray.png", "train", "3.png.overlay.png"].iter().all(|&name| named.contains(&name.to_owned())),
        "{named:?}"
    );
    // Without anything to find there is nothing to measure.
    let folder = temporary(&["good/0.png", "good/1.png", "readme.txt"]);
    let set = open(folder.path(), None).unwrap();
    assert_eq!((set.train.len(), set.test.len(), set.note), (2, 0, None));
}

#[test]
fn folders_of_cameras_or_days_hold_good_images() {
    let folder = temporary(&["cam0/0.png", "cam1/2026-11-28/1.png", "cam1/2026-11-29/2.JPG", "cam1/log.txt"]);
    let set = open(folder.path(), None).unwrap();
    assert_eq!((set.layout, set.train.len(), set.test.len()), (Layout::Folder, 3, 0));
    assert!(set.note.unwrap().contains("below `cam0`, `cam1` are taken for good"));
    assert!(set.problems.len() == 1 && set.problems[0].path.ends_with("log.txt"));
    for names in [&["bad/0.png"][..], &["cam0/0.png", "defects/1.png"], &["cam0/0.png", "masks/0.png"]] {
        assert!(open(temporary(names).path(), None).is_err(), "{names:?}");
    }
}

#[test]
fn case_and_usual_names_do_not_matter() {
    let folder = temporary(&[
        "Train/Good/a/0.PNG",
        "TRAIN/GOOD/1.png",
        "Test/Good/2.PNG",
        "Test/Cut/3.PNG",
        "TEST/dent/5.png",
        "Test/label/4.png",
        "Test/stray.png",
        "Ground_Truth/cut/3_MASK.PNG",
    ]);
    let set = open(folder.path(), None).unwrap();
    assert_eq!((set.layout, set.train.len()), (Layout::Mvtec, 2));
    assert_eq!(kinds(&set.test), ["dent", "Cut", "good", "label"]);
    assert_eq!(set.test[1].masks.len(), 1);
    assert!(set.problems.iter().any(|problem| problem.path.ends_with("stray.png")));
    let normal = temporary(&["training/normal/0.png", "val/Normal/1.png", "val/Abnormal/2.png"]);
    assert_eq!(kinds(&open(normal.path(), None).unwrap().test), ["Abnormal", "good"]);
}

#[test]
fn masks_have_many_names_and_places() {
    for masks in [
        &["ground_truth/cut/7_mask.png"][..],
        &["GT/cut/7_gt.bmp"],
        &["masks/7.tif"],
        &["Mask/cut/7_label.png"],
        &["label/cut/7.png"],
        &["labels/7_LABEL.PNG"],
        &["test/ground_truth/cut/7_ground_truth.png"],
        &["test/cut/masks/7.png"],
        &["test/cut_mask/7.png"],
        &["test/Cut-GT/7_mask.png"],
        &["test/cut/7_mask.png"],
        &["ground_truth/cut/7_mask_0.png", "ground_truth/cut/7_mask1.png", "ground_truth/cut/7_mask_12.png"],
        &["ground_truth/cut/7/000.png", "ground_truth/cut/7/001.png"],
    ] {
        let images = ["train/good/0.png", "test/good/7.png", "test/cut/7.png", "test/cut/8.png"];
        let folder = temporary(&[&images[..], masks].concat());
        let set = open(folder.path(), None).unwrap();
        assert_eq!(kinds(&set.test), ["cut", "cut", "good"], "{masks:?}");
        assert_eq!(set.test[0].masks.len(), masks.len(), "{masks:?}");
        assert!(set.test[1].masks.is_empty() && set.problems.len() == 1, "{:?}", set.problems);
    }
    // A folder of masks for each kind, beside it; a missing label is a kind of its own.
    let folder = temporary(&[
        "good/0.png",
        "bad/7.png",
        "dent/7.png",
        "missing/1.png",
        "missing_label/2.png",
        "bad_masks/7.png",
        "dent_mask/7.png",
    ]);
    let set = open(folder.path(), None).unwrap();
    let defective: Vec<&Sample> = set.test.iter().filter(|sample| sample.kind != "good").collect();
    assert_eq!(defective.len(), 4, "{defective:?}");
    for (kind, masks) in [("bad", "bad_masks"), ("dent", "dent_mask")] {
        let own = defective.iter().find(|sample| sample.kind == kind).unwrap();
        assert!(own.masks.len() == 1 && own.masks[0].parent().unwrap().ends_with(masks), "{own:?}");
    }
    // The same name twice says nothing where masks lie in one folder.
    let folder = temporary(&["good/0.png", "cut/7.png", "dent/7.png", "masks/7_mask.png"]);
    let set = open(folder.path(), None).unwrap();
    assert!(set.test.iter().all(|sample| sample.masks.is_empty()));
    let folder = temporary(&["good/0.png", "good/1.png", "cut/7.png", "label/8.png"]);
    assert!(kinds(&open(folder.path(), None).unwrap().test).contains(&"label"));
}

#[test]
fn several_data_sets_become_one() {
    let folder = temporary(&[
        "a/train/good/0.png",
        "a/test/good/1.png",
        "a/test/cut/2.png",
        "b/3.png",
        "b/4.png",
        "more/5.png",
        "c/good/6.png",
        "c/good/7.png",
        "c/bad/8.png",
    ]);
    let at = |name: &str| folder.path().join(name);
    let set = open_all(&[at("a"), at("b"), at("more/5.png"), at("c")], None).unwrap();
    assert_eq!((set.layout, set.category.as_str()), (Layout::Folder, "a+b+c"));
    assert_eq!((set.train.len(), set.test.len()), (5, 4));
    assert!(set.note.as_ref().is_some_and(|note| note.contains("no split of its own")));
    // What one has for the test is fitted on for none.
    let both = open_all(&[at("a"), at("a/test/good"), at("b")], None).unwrap();
    assert!(both.train.iter().all(|sample| !both.test.iter().any(|test| test.path == sample.path)));
    assert_eq!(both.train.len(), 3);
    assert_eq!(open_all(&[at("a")], None).unwrap(), open(&at("a"), None).unwrap());
    // Other ways to the same folder and file.
    let ways = [at("a"), at("c/../a"), at("b"), at("b/3.png"), at("b/./3.png")];
    assert_eq!(open_all(&ways, None).unwrap().train.len(), 3);
    assert!(matches!(open_all(&[], None), Err(Error::Data { .. })));
    assert!(matches!(open_all(&[at("none")], None), Err(Error::Data { .. })));
}

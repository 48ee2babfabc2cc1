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
    assert!(set.test[1].mask.as_ref().is_some_and(|mask| mask.ends_with("scratch/000_mask.png")));
    assert_eq!((set.test[2].label, &set.test[2].mask), (Label::Defective, &None));
    assert_eq!(set.problems.len(), 1, "{:?}", set.problems);
    assert_eq!(set.problems[0].path, set.test[2].path);
}

#[test]
fn the_relatives_of_mvtec() {
    // VisA after its conversion: masks without a suffix.
    let visa = temporary(&["train/good/0.JPG", "test/bad/0.JPG", "ground_truth/bad/0.png"]);
    assert!(open(visa.path(), None).unwrap().test[0].mask.is_some());
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
    assert!(set.test[0].mask.is_some() && set.problems.is_empty());
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
    assert!(set.test[..2].iter().all(|sample| sample.mask.is_some()) && set.problems.is_empty());
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
    assert!(set.test[0].mask.is_some());
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
    assert!(set.problems.len() == 1 && set.problems[0].path.ends_with("bad"));
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
    assert!(set.test[0].mask.as_ref().is_some_and(|mask| mask.ends_with("m/7.png")));
    assert!(set.test[1].mask.as_ref().is_some_and(|mask| mask.ends_with("8_mask.png")));
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
    let empty = temporary(&["train/good/0.webp", "test/good/0.png"]);
    let error = open(empty.path(), None).unwrap_err().to_string();
    assert!(error.contains("no good image") && error.contains("0.webp"), "{error}");
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

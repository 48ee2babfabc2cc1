//! Adding good images to a model equals fitting on all of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use blemish::dataset::OnError;
use blemish::fit::{FitEvent, FitOptions};
use blemish::model_file::{Provenance, read_tensors};
use blemish::report::save_png;
use blemish::{Config, Detector, Error, Image, Images};
use blemish_synthetic::flange::{SyntheticConfig, generate};

const SIDE: usize = 48;

fn config() -> Config {
    let mut config = Config::default();
    config.data.image_size = [SIDE; 2];
    config
}

/// A folder with good images in `old` and others in `new`.
fn photos(old: usize, new: usize) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let sizes = SyntheticConfig {
        image_size: SIDE,
        train: old + new,
        test_good: 1,
        test_defective: 1,
        seed: 5,
        channels: 1,
    };
    generate(&sizes, &folder.path().join("all")).unwrap();
    let [first, second] = ["old", "new"].map(|name| folder.path().join(name));
    [&first, &second].iter().for_each(|path| fs::create_dir(path).unwrap());
    let mut files: Vec<PathBuf> = fs::read_dir(folder.path().join("all/train/good"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for (i, file) in files.iter().enumerate() {
        let to = if i < old { &first } else { &second };
        fs::rename(file, to.join(file.file_name().unwrap())).unwrap();
    }
    (folder, first, second)
}

fn images(path: &Path) -> Images {
    let mut files: Vec<PathBuf> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    Images::from(files)
}

fn assert_equal(a: &Detector, b: &Detector) {
    let folder = tempfile::tempdir().unwrap();
    let tensors = |detector: &Detector, name: &str| {
        let path = folder.path().join(name);
        detector.save(&path).unwrap();
        read_tensors(&path).unwrap().1
    };
    assert!(tensors(a, "a") == tensors(b, "b"));
    assert_eq!((a.thresholds(), a.good_scores()), (b.thresholds(), b.good_scores()));
    assert_eq!(a.config(), b.config());
}

/// What was told, and what came out.
fn extended(
    detector: &Detector,
    originals: Option<&Images>,
    more: &Images,
    on_error: OnError,
) -> (Vec<String>, blemish::Result<blemish::fit::Extended>) {
    let told = Mutex::new(Vec::new());
    let listener = |event: FitEvent| {
        if let FitEvent::Warning { text } = event {
            told.lock().unwrap().push(text);
        }
    };
    let stop = AtomicBool::new(false);
    let options = FitOptions { on_error, listener: &listener, stop: &stop };
    let result = detector.extend_with(originals, more, &options);
    (told.into_inner().unwrap(), result)
}

#[test]
fn a_model_with_more_images_is_that_of_all_images() {
    let (folder, old, new) = photos(16, 8);
    let all = images(&old).and(&images(&new));
    let expected = Detector::fit(&all, &config()).unwrap();
    let file = folder.path().join("m.safetensors");
    Detector::fit(&images(&old), &config()).unwrap().save(&file).unwrap();
    let mut first = Detector::load(&file).unwrap();
    assert_equal(&first.extend(&images(&new)).unwrap(), &expected);

    // What is named once more is not fitted on twice; twice extended is extended by all.
    let (_, result) = extended(&first, None, &all, OnError::Stop);
    let result = result.unwrap();
    assert_eq!((result.images, result.added, result.known), (24, 8, 16));
    assert_equal(&result.detector, &expected);
    let [some, rest] = [images(&new).some(&[0, 1, 2]), images(&new).some(&[3, 4, 5, 6, 7])];
    assert_equal(&first.extend(&some).unwrap().extend(&rest).unwrap(), &expected);
    let error = first.extend(&images(&old)).unwrap_err().to_string();
    assert!(error.contains("all 16 images are part of the model already"), "{error}");

    // What was chosen since stays.
    first.choose_threshold(blemish::config::ThresholdRule::Fpr, Some(0.2)).unwrap();
    let chosen = first.extend(&images(&new)).unwrap();
    assert_eq!(chosen.threshold().unwrap().target_fpr, Some(0.2));
    let mut mask = blemish::image::PixelMask::empty(SIDE, SIDE);
    mask.pixels[..SIDE * 6].fill(1);
    first.ignore(&mask).unwrap();
    assert_eq!(first.extend(&images(&new)).unwrap().ignored(), first.ignored());
}

#[test]
fn copies_other_sizes_and_images_in_memory() {
    let (_folder, old, new) = photos(12, 6);
    let first = Detector::fit(&images(&old), &config()).unwrap();
    let copied = fs::read_dir(&old).unwrap().next().unwrap().unwrap().path();
    fs::copy(&copied, new.join("copy.png")).unwrap();
    let more = images(&new);
    let longer = first.extend(&more).unwrap();
    assert_equal(&longer, &Detector::fit(&images(&old).and(&more), &config()).unwrap());
    assert_eq!(longer.good_scores().len(), 18, "a copy counts once");

    // Of twice the size: taken, and remarked on.
    let small = blemish::image::decode(&copied, &first.config().data.decoding()).unwrap();
    let mut large = Image::filled(2 * SIDE, 2 * SIDE, 1, 0.0);
    (0..4 * SIDE * SIDE)
        .for_each(|i| large.pixels[i] = small.pixels[i / (2 * SIDE) / 2 * SIDE + i % (2 * SIDE) / 2]);
    save_png(&large.to_bytes(), &new.join("large.png")).unwrap();
    let (told, result) = extended(&first, None, &images(&new), OnError::Stop);
    assert_eq!(result.unwrap().added, 8);
    assert!(told.iter().any(|t| t.contains("1 of 8 new images") && t.contains("another scale")), "{told:?}");

    let memory = |path: &Path| -> Images {
        let all = images(path);
        let read = |i| all.read(i, &first.config().data.decoding()).unwrap();
        Images::from((0..all.len()).map(read).collect::<Vec<Image>>())
    };
    fs::remove_file(new.join("large.png")).unwrap();
    let (before, after) = (memory(&old), memory(&new));
    let fitted = Detector::fit(&before, &config()).unwrap();
    let error = fitted.extend(&after).unwrap_err().to_string();
    assert!(error.contains("images in memory"), "{error}");
    let (_, result) = extended(&fitted, Some(&before), &after, OnError::Stop);
    assert_equal(&result.unwrap().detector, &Detector::fit(&before.and(&after), &config()).unwrap());
}

#[test]
fn what_cannot_be_had_is_named() {
    let (folder, old, new) = photos(10, 4);
    let first = Detector::fit(&images(&old), &config()).unwrap();
    fs::write(new.join("cut.png"), b"\x89PNG\r\n\x1a\n").unwrap();
    let (_, result) = extended(&first, None, &images(&new), OnError::Stop);
    assert!(matches!(&result, Err(Error::Image { path, .. }) if path.ends_with("cut.png")), "{result:?}");
    let (_, result) = extended(&first, None, &images(&new), OnError::Skip);
    let result = result.unwrap();
    assert_eq!((result.added, result.problems.len()), (4, 1));
    let (_, result) = extended(&first, None, &Images::from(vec![new.join("cut.png")]), OnError::Skip);
    assert!(matches!(result, Err(Error::Data { .. })), "{result:?}");
    fs::remove_file(new.join("cut.png")).unwrap();

    // Moved, then found again by content, whatever the names.
    let moved = folder.path().join("archive");
    fs::create_dir(&moved).unwrap();
    for (i, entry) in fs::read_dir(&old).unwrap().enumerate() {
        fs::rename(entry.unwrap().path(), moved.join(format!("{i}.png"))).unwrap();
    }
    let error = first.extend(&images(&new)).unwrap_err().to_string();
    assert!(error.contains("is not there any more") && error.contains("--originals"), "{error}");
    let (_, result) = extended(&first, Some(&images(&moved)), &images(&new), OnError::Stop);
    assert_eq!(result.unwrap().images, 14);
    let one = images(&moved).file(0).unwrap().to_path_buf();
    fs::remove_file(&one).unwrap();
    let (_, result) = extended(&first, Some(&images(&moved)), &images(&new), OnError::Stop);
    assert!(matches!(result, Err(Error::Data { .. })));

    // A file that was replaced is another image.
    let second = Detector::fit(&images(&moved), &config()).unwrap();
    let changed = images(&moved).file(3).unwrap().to_path_buf();
    fs::copy(images(&new).file(0).unwrap(), &changed).unwrap();
    let error = second.extend(&images(&new)).unwrap_err().to_string();
    assert!(error.contains("has changed since"), "{error}");

    // Model files that say something else.
    let mut wrong = config();
    wrong.fit.contamination = 7.0;
    for (settings, words) in [(None, "earlier version"), (Some(Box::new(wrong)), "fit.contamination")] {
        let origin = Provenance { settings, ..first.provenance().clone() };
        let files = origin
            .files
            .iter()
            .map(|file| blemish::fit::GoodFile { path: new.join("0").display().to_string(), ..file.clone() });
        let origin = Provenance { files: files.collect(), ..origin };
        let hostile = Detector::fit(&images(&new), &config()).unwrap().with_origin(origin, Vec::new());
        let (_, result) = extended(
            &hostile,
            Some(&Images::from(vec![Image::filled(SIDE, SIDE, 1, 0.5)])),
            &images(&new),
            OnError::Stop,
        );
        let error = result.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let origin = Provenance { training: "epochs = 1".to_owned(), ..second.provenance().clone() };
    let trained = Detector::fit(&images(&new), &config()).unwrap().with_origin(origin, Vec::new());
    assert!(matches!(trained.extend(&images(&new)), Err(Error::Config { .. })));
}

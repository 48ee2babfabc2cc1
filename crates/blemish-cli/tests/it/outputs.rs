//! Files that `predict` writes: they replace no input, are not taken for one, and mirror the inputs' folders.

use std::fs;
use std::path::{Path, PathBuf};

use image::GenericImageView;

use crate::{blemish, names, shared};

/// A folder of images in two folders that share names, one of them with two endings.
fn photos() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let good = shared().data().join("test/good");
    for name in ["a/0.png", "b/0.png", "b/0.bmp"] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::open(good.join("000.png")).unwrap().save(path).unwrap();
    }
    folder
}

fn predict(photos: &Path, more: &[&Path]) -> crate::Run {
    let run = shared().run();
    blemish([Path::new("predict"), &run, photos, Path::new("--json")].iter().chain(more))
}

#[test]
fn outputs_among_inputs_are_refused() {
    let photos = photos();
    let before = fs::read(photos.path().join("a/0.png")).unwrap();
    let above = photos.path().parent().unwrap();
    for (out, reason) in [
        (photos.path().to_path_buf(), "is the folder of the images"),
        (photos.path().join("a"), "lies in"),
        (photos.path().join("new/maps"), "lies in"),
        (above.to_path_buf(), "holds"),
        (photos.path().join("a/../../").join(photos.path().file_name().unwrap()), "is the folder"),
    ] {
        for option in ["--overlays", "--maps", "--masks", "--heatmaps"] {
            predict(photos.path(), &[option.as_ref(), &out]).fails(2, &[reason, "name another"]);
        }
    }
    // Those of single files, too.
    predict(&photos.path().join("a/0.png"), &["--overlays".as_ref(), &photos.path().join("a")])
        .fails(2, &["is the folder"]);
    assert!(fs::read(photos.path().join("a/0.png")).unwrap() == before);
    assert_eq!(names(photos.path()), ["a", "b"]);
}

#[test]
fn outputs_mirror_their_inputs_and_are_no_inputs() {
    let photos = photos();
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("found");
    let write =
        ["--overlays".as_ref(), folder.as_path(), "--maps".as_ref(), &folder, "--masks".as_ref(), &folder];
    let lines = predict(photos.path(), &write).ok().json_lines();
    assert_eq!(lines.len(), 3);
    assert_eq!(names(&folder), [".blemish-output", "a", "b"]);
    assert_eq!(names(&folder.join("a")), ["0.png.map.npy", "0.png.mask.png", "0.png.overlay.png"]);
    assert_eq!(names(&folder.join("b")).len(), 6);
    for line in &lines {
        let at = |key: &str| PathBuf::from(line[key].as_str().unwrap());
        // At the image's own size; the overlay has a caption below.
        assert_eq!(image::open(at("mask")).unwrap().dimensions(), (40, 40));
        let overlay = image::open(at("overlay")).unwrap().dimensions();
        assert!(overlay.0 >= 40 && overlay.1 > 40, "{overlay:?}");
        assert_eq!(fs::metadata(at("map")).unwrap().len(), 128 + 4 * 40 * 40);
    }
    // Again, beside the photos: none of these is judged.
    let inside = photos.path().join("found");
    fs::rename(&folder, &inside).unwrap();
    let again = predict(photos.path(), &["--masks".as_ref(), &inside]).ok();
    assert_eq!(again.json_lines().len(), 3, "{}", again.stdout());
    let tiff = ["--maps".as_ref(), inside.as_path(), "--map-format".as_ref(), "tiff".as_ref()];
    let lines = predict(&photos.path().join("a/0.png"), &tiff).ok().json_lines();
    let map = image::open(lines[0]["map"].as_str().unwrap()).unwrap().into_luma16();
    let scale = lines[0]["map_scale"].as_f64().unwrap();
    let peak = f64::from(map.pixels().map(|p| p.0[0]).max().unwrap()) / scale;
    assert!((0.0..=2.0 * 32768.0 / scale + 1e-3).contains(&peak), "{peak}");
}

/// Shape and size are the image's, not the model's.
#[test]
fn overlays_keep_the_images_shape() {
    let folder = tempfile::tempdir().unwrap();
    let photo = folder.path().join("photos/long.png");
    fs::create_dir_all(photo.parent().unwrap()).unwrap();
    image::RgbImage::from_fn(700, 300, |x, y| image::Rgb([(x % 251) as u8, (y % 241) as u8, 90]))
        .save(&photo)
        .unwrap();
    let out = folder.path().join("out");
    let lines = predict(&photo, &["--overlays".as_ref(), &out, "--masks".as_ref(), &out]).ok().json_lines();
    let overlay = image::open(lines[0]["overlay"].as_str().unwrap()).unwrap().dimensions();
    // Beside it, at half the size, the nearest good product and the map.
    assert!(overlay.0 == 700 + 4 + 350 && (301..420).contains(&overlay.1), "{overlay:?}");
    assert_eq!(image::open(lines[0]["mask"].as_str().unwrap()).unwrap().dimensions(), (700, 300));
    assert!(lines[0]["remarks"].to_string().contains("shape"), "{}", lines[0]);
}

//! Folders that hold more than images.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::dataset::tests::tree;

fn temporary(paths: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    tree(folder.path(), paths);
    folder
}

fn names(root: &Path, paths: &[PathBuf]) -> Vec<String> {
    paths.iter().map(|path| path.strip_prefix(root).unwrap_or(path).display().to_string()).collect()
}

#[test]
fn every_file_is_an_image_or_named() {
    let folder = temporary(&[
        "a.png",
        "b.webp",
        "c.pgm",
        "d.jfif",
        "e.TIFF",
        "notes.txt",
        "raw.nef",
        "sub/f.JPEG",
        "sub/g.gif",
        ".hidden.png",
        "Thumbs.db",
        "sub/desktop.ini",
        "sub/.DS_Store",
    ]);
    let root = folder.path();
    fs::copy(root.join("a.png"), root.join("bare")).unwrap();
    fs::write(root.join("empty"), "").unwrap();
    let listing = list(&[root.to_path_buf()]).unwrap();
    assert_eq!(
        names(root, &listing.images),
        ["a.png", "b.webp", "bare", "c.pgm", "d.jfif", "e.TIFF", "sub/f.JPEG"]
    );
    let skipped: Vec<PathBuf> = listing.skipped.iter().map(|problem| problem.path.clone()).collect();
    // The last is for what is hidden anywhere.
    assert_eq!(names(root, &skipped), ["empty", "notes.txt", "raw.nef", "sub/g.gif", ""]);
    assert!(listing.skipped[..4].iter().all(|problem| problem.reason.contains("left out: ")));
    assert!(listing.skipped[4].reason.starts_with("1 hidden file is left out"), "{:?}", listing.skipped[4]);
    // Twice named is once listed; a file names itself, whatever it is called.
    let twice = list(&[root.to_path_buf(), root.join("sub"), root.join("notes.txt")]).unwrap();
    assert_eq!(twice.images.len(), 8);
    let error = list(&[root.join("sub/g.gif"), root.join("none")]).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
}

#[test]
fn what_blemish_has_written_is_not_judged() {
    let folder = temporary(&["a.png", "maps/a.png.overlay.png", "maps/deep/a.png.mask.png", "maps/.x.png"]);
    fs::write(folder.path().join("maps").join(OUTPUT_MARKER), "").unwrap();
    let listed = || list(&[folder.path().to_path_buf()]).unwrap();
    assert_eq!(names(folder.path(), &listed().images), ["a.png"]);
    assert!(listed().skipped.is_empty(), "{:?}", listed().skipped);
    // Photos that lie there are counted.
    tree(
        folder.path(),
        &["maps/a.png", "maps/deep/b.png", "maps/notes.txt", "b.png.overlay.png", "c.mask.png"],
    );
    assert_eq!(names(folder.path(), &listed().images), ["a.png", "c.mask.png"]);
    let skipped = listed().skipped;
    let [called, photos] = &skipped[..] else { panic!("{skipped:?}") };
    assert!(
        called.path.ends_with("b.png.overlay.png") && called.reason.contains("called like"),
        "{called:?}"
    );
    assert!(photos.path.ends_with("maps") && photos.files == 2, "{photos:?}");
    assert!(photos.reason.starts_with("2 images in a folder of blemish's outputs are"), "{photos:?}");
    for inside in ["maps", "maps/deep", "maps/deep/b.png"] {
        let error = list(&[folder.path().join(inside)]).unwrap_err().to_string();
        assert!(error.contains("a folder of blemish's outputs"), "{error}");
    }
}

#[test]
fn patterns_and_lists() {
    let folder = temporary(&[
        "a.png",
        "b.PNG",
        "c.jpg",
        "x/d.png",
        "x/y/e.png",
        "x/.hid/f.png",
        "x/__MACOSX/g.png",
        "odd[1].png",
    ]);
    let root = folder.path();
    let matching = |pattern: &str| names(root, &expand(&root.join(pattern)).unwrap());
    assert_eq!(matching("*.png"), ["a.png", "b.PNG", "odd[1].png"]);
    assert_eq!(matching("**/*.png"), ["a.png", "b.PNG", "odd[1].png", "x/d.png", "x/y/e.png"]);
    assert_eq!(matching("?.jpg"), ["c.jpg"]);
    assert_eq!(matching("x/__MACOSX/*.png"), ["x/__MACOSX/g.png"]);
    assert_eq!(matching("odd[1].png"), ["odd[1].png"]);
    assert!(matches!(expand(&root.join("*.bmp")), Err(Error::Data { .. })));
    // Links in circles: all at once they would lead to ever more paths.
    #[cfg(unix)]
    for name in ["u", "v", "w"] {
        std::os::unix::fs::symlink(root, root.join(name)).unwrap();
        assert!(expand(&root.join("**/*.bmp")).is_err());
    }
    assert!(matches!(expand(&root.join("a***b")), Err(Error::Config { .. })));
    assert_eq!(list(&[root.join("x/**/*.png"), root.join("*.jpg")]).unwrap().images.len(), 3);
}

#[cfg(unix)]
#[test]
fn pipes_loops_and_closed_folders_are_named() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    let folder = temporary(&["a/0.png", "b/1.png", "closed/2.png", "real.png"]);
    let at = |name: &str| folder.path().join(name);
    assert!(std::process::Command::new("mkfifo").arg(at("pipe.png")).status().unwrap().success());
    let _socket = UnixListener::bind(at("socket.png")).unwrap();
    symlink("/dev/zero", at("device.png")).unwrap();
    symlink(at("none"), at("broken.png")).unwrap();
    symlink(at("self.png"), at("self.png")).unwrap();
    symlink(at("real.png"), at("a/link.png")).unwrap();
    // Each folder leads into the other, and one back to the top.
    symlink(at("b"), at("a/b")).unwrap();
    symlink(at("a"), at("b/a")).unwrap();
    symlink(folder.path(), at("b/top")).unwrap();
    fs::set_permissions(at("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    let is_closed = fs::read_dir(at("closed")).is_err();

    let listing = list(&[folder.path().to_path_buf()]).unwrap();
    let skipped: Vec<PathBuf> = listing.skipped.iter().map(|problem| problem.path.clone()).collect();
    fs::set_permissions(at("closed"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut expected = vec!["broken.png", "device.png", "pipe.png", "self.png", "socket.png"];
    let mut images = vec!["a/0.png", "a/b/1.png", "a/link.png", "real.png"];
    // Whoever may read everything has no closed folder.
    if is_closed {
        expected.push("closed")
    } else {
        images.insert(3, "closed/2.png")
    }
    let mut found = names(folder.path(), &skipped);
    found.sort_by_key(|name| name == "closed");
    assert_eq!(found, expected);
    assert_eq!(names(folder.path(), &listing.images), images);
    assert!(list(&[at("pipe.png")]).unwrap_err().to_string().contains("not a regular file"));
}

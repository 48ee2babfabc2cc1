// What is fuzzed: each function takes any bytes and must neither panic, nor hang, nor take much memory. Included by the smoke test
// (`crates/blemish/tests/it/fuzz.rs`) and by the loop (`crates/blemish/examples/fuzz.rs`).

use std::fs;
use std::path::{Path, PathBuf};

use blemish::config::Overlay;
use blemish::dataset;
use blemish::image::{DecodeOptions, ImageFacts, decode_bytes};
use blemish::view::{Framed, ViewConfig};
use blemish::{Config, Detector, ImageView, Images};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// A target: its name, what it does with bytes, and how it changes bytes so that they get past the first check.
pub struct Target {
    /// Name, and folder of its corpus.
    pub name: &'static str,
    /// What is fuzzed; whether the bytes were accepted.
    pub run: fn(&[u8]) -> bool,
    /// Makes mutated bytes plausible: lengths and checksums.
    pub mend: fn(&mut [u8]),
}

/// All targets.
pub const TARGETS: [Target; 4] = [
    Target { name: "image", run: image, mend: mend_png },
    Target { name: "model", run: model, mend: mend_header },
    Target { name: "tree", run: tree, mend: |_| {} },
    Target { name: "config", run: config, mend: |_| {} },
];

/// Most pixels of an image that is decoded.
const MAX_PIXELS: u64 = 1 << 18;

/// An image file: decoded in its own channels and in grey, framed, and looked at for a blank frame.
fn image(bytes: &[u8]) -> bool {
    let mut options = DecodeOptions { max_pixels: MAX_PIXELS, ..DecodeOptions::default() };
    let Ok(read) = decode_bytes("fuzzed", bytes, &options) else { return false };
    assert_eq!(read.pixels.len(), read.height * read.width * read.channels);
    assert!(read.pixels.len() as u64 <= 3 * MAX_PIXELS);
    assert!(read.pixels.iter().all(|v| v.is_finite()), "a pixel is no number");
    options.channels = Some(1);
    assert!(decode_bytes("fuzzed", bytes, &options).is_ok());
    for product in [None, Some([0.25, 0.5])] {
        let framed = Framed::new(
            &read,
            ImageFacts::of(&read),
            [32, 32],
            &ViewConfig { product, ..ViewConfig::whole([16, 32]) },
        );
        assert!(framed.is_err() || framed.is_ok_and(|f| (0.0..=1.0).contains(&f.inspected)));
    }
    true
}

/// A model file: loaded, and asked for a verdict.
fn model(bytes: &[u8]) -> bool {
    let Ok(detector) = Detector::from_bytes(bytes) else { return false };
    let [height, width] = detector.config().view_size();
    let frame: usize = detector.config().data.image_size.iter().product();
    // Large views are allowed; they only take long.
    if height * width > 1 << 14 || frame > 1 << 16 {
        return true;
    }
    let pixels: Vec<u8> = (0..20 * 24).map(|i| (i * 37 % 251) as u8).collect();
    if let Ok(found) = detector.predict(ImageView::grey8(&pixels, 24, 20)) {
        assert!(found.map.iter().all(|v| v.is_finite()) && !found.score.is_nan());
    }
    let _ = (detector.thresholds(), detector.active_parts());
    true
}

/// Names that layouts are made of.
const NAMES: [&str; 24] = [
    "good",
    "bad",
    "train",
    "test",
    "ground_truth",
    "Good",
    "TEST",
    "cut",
    "000.png",
    "001.PNG",
    "000_mask.png",
    "000.bmp",
    "x.tif",
    "notes.txt",
    "image_anno.csv",
    "Data",
    "Images",
    "Normal",
    "Anomaly",
    "ok",
    "ng",
    ".hidden.png",
    "e\u{301}.png",
    "split_csv",
];

/// A tree of files that the bytes describe: every layout, listing and pattern is tried on it.
fn tree(bytes: &[u8]) -> bool {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut at = folder.path().to_path_buf();
    let image = b"P5\n2 2\n255\n\x00\x80\xff\x10";
    for pair in bytes.chunks(2).take(64) {
        let (what, name) = (pair[0] % 8, NAMES[*pair.get(1).unwrap_or(&0) as usize % NAMES.len()]);
        let path = at.join(name);
        // Whatever cannot be made, such as a folder where a file is, is not made.
        match what {
            0 | 1 if path.components().count() < 20 => {
                let _ = fs::create_dir(&path);
                if path.is_dir() {
                    at = path;
                }
            }
            2 => {
                if at != folder.path() {
                    at.pop();
                }
            }
            3 | 4 => _ = fs::write(&path, image),
            5 => _ = fs::write(&path, &bytes[..bytes.len().min(200)]),
            6 => link(&at, &path),
            _ => _ = fs::write(&path, b""),
        }
    }
    let root = folder.path();
    let _ = (dataset::categories(root), blemish::images_in(root));
    let _ = dataset::list(&[root.to_path_buf(), root.join("*/good"), root.join("[")]);
    for pattern in ["*", "**/*.png", "*/../*", "good/"] {
        let _ = dataset::expand(&root.join(pattern));
    }
    let opened = dataset::open(root, None);
    let _ = dataset::open(root, Some("good"));
    if let Ok(set) = &opened {
        assert!(set.train.iter().chain(&set.test).all(|sample| sample.path.starts_with(root)));
        let images = Images::from(set);
        let _ = images.detect_channels(MAX_PIXELS);
        for sample in set.test.iter().take(4) {
            for mask in &sample.masks {
                let _ = dataset::decode_mask(mask, [2, 2], MAX_PIXELS);
            }
        }
    }
    opened.is_ok()
}

#[cfg(unix)]
fn link(to: &Path, path: &Path) {
    let _ = std::os::unix::fs::symlink(to, path);
}

#[cfg(not(unix))]
fn link(_: &Path, _: &Path) {}

/// A file of settings, and its lines as single settings: laid over a preset and validated; what is valid is written and read back.
fn config(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), text).expect("a temporary file");
    let mut valid = false;
    let mut try_one = |overlay: blemish::Result<Overlay>| {
        let config = overlay.and_then(|overlay| Config::default().with(&overlay));
        let Ok(config) = config.and_then(|config| config.validate().map(|()| config)) else { return };
        valid = true;
        let _ = (config.grid(), config.one_size(), config.view_size());
        if let Ok(toml) = config.to_toml() {
            let again: Config = toml::from_str(&toml).expect("what was written can be read");
            assert_eq!(again, config);
        }
    };
    try_one(Overlay::default().file(file.path()));
    for line in text.lines().take(40) {
        try_one(Overlay::default().set(line));
    }
    valid
}

/// Writes the checksums of a PNG's chunks anew.
fn mend_png(bytes: &mut [u8]) {
    let mut at = 8;
    while bytes.starts_with(b"\x89PNG") && at + 12 <= bytes.len() {
        let length = u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize;
        let Some(end) =
            at.checked_add(8).and_then(|v| v.checked_add(length)).filter(|end| end + 4 <= bytes.len())
        else {
            return;
        };
        let sum = crc(&bytes[at + 4..end]);
        bytes[end..end + 4].copy_from_slice(&sum.to_be_bytes());
        at = end + 4;
    }
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 },
        )
    })
}

/// Writes the length of a safetensors file's header anew: up to the last brace before the numbers.
fn mend_header(bytes: &mut [u8]) {
    let is_text = |v: &&u8| v.is_ascii_graphic() || **v == b' ';
    let text = bytes.iter().skip(8).take_while(is_text).count();
    if text > 0 {
        bytes[..8].copy_from_slice(&(text as u64).to_le_bytes());
    }
}

/// The files of a target's corpus, in the order of their names.
pub fn corpus(folder: &Path, target: &Target) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder.join(target.name)).expect("the corpus");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("the corpus").path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).expect("the corpus")).collect()
}

/// A change of one of the corpus's files: bits, bytes, numbers, blocks, parts of two files.
pub fn mutated(corpus: &[Vec<u8>], target: &Target, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = corpus[rng.random_range(0..corpus.len())].clone();
    for _ in 0..rng.random_range(1..8) {
        if bytes.is_empty() {
            bytes.push(rng.random());
        }
        // Headers decide more than what follows them.
        let most = if rng.random::<f64>() < 0.5 { bytes.len() } else { bytes.len().min(200) };
        let at = rng.random_range(0..most);
        match rng.random_range(0..9) {
            0 => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes[at] = rng.random(),
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'-', b'9', b'"', b'[', b'\n'][rng.random_range(0..10)],
            3 => {
                let number: u32 =
                    [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX, 0xffff, 0x10000][rng.random_range(0..7)];
                for (byte, v) in bytes[at..].iter_mut().zip(number.to_le_bytes()) {
                    *byte = v;
                }
            }
            4 => bytes.truncate(at),
            5 => {
                let end = (at + rng.random_range(1..16)).min(bytes.len());
                bytes.drain(at..end);
            }
            6 => {
                let end = (at + rng.random_range(1..64)).min(bytes.len());
                let block = bytes[at..end].to_vec();
                bytes.splice(at..at, block);
            }
            7 => {
                let other = &corpus[rng.random_range(0..corpus.len())];
                if !other.is_empty() {
                    let from = rng.random_range(0..other.len());
                    bytes.truncate(at);
                    bytes.extend_from_slice(&other[from..]);
                }
            }
            _ => {
                let words = [
                    "1e999",
                    "-1",
                    "0",
                    "NaN",
                    "18446744073709551615",
                    "null",
                    "{}",
                    "[]",
                    "\"\"",
                    "0.5",
                    "true",
                ];
                bytes.splice(at..at, words[rng.random_range(0..words.len())].bytes());
            }
        }
    }
    bytes.truncate(1 << 18);
    if rng.random::<f64>() < 0.8 {
        (target.mend)(&mut bytes);
    }
    bytes
}

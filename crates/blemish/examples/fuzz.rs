//! Fuzzes one target for some minutes of processor time (of a clock where the system does not tell):
//! `cargo run --release -p blemish --example fuzz -- image 120 [SEED]`; with `corpus` instead of a target it writes the generated
//! part of the corpus. What makes a target panic is written to `fuzz/findings`.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use std::time::Instant;

use blemish::config::Use;
use blemish::{Config, Detector, Image};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

#[path = "../../../fuzz/targets.rs"]
mod targets;

use targets::{TARGETS, corpus, mutated};

/// Files that are kept because they were accepted and differ in length, in a run.
const KEPT: usize = 500;
/// More seconds than this for one input are a finding.
const SLOW: f64 = 5.0;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    if name == "corpus" {
        return write_corpus(&root.join("corpus"));
    }
    let minutes: f64 = arguments.next().and_then(|v| v.parse().ok()).unwrap_or(1.0);
    let seed = arguments.next().and_then(|v| v.parse().ok()).unwrap_or(0);
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        eprintln!("name one of {:?}, then minutes and a seed", TARGETS.map(|target| target.name));
        std::process::exit(2);
    };
    let mut files = corpus(&root.join("corpus"), target);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let clock = Clock { started: Instant::now() };
    let own = files.len();
    let (mut runs, mut accepted, mut findings) = (0u64, 0u64, 0);
    let mut seconds = clock.seconds();
    while seconds < 60.0 * minutes {
        let bytes = mutated(&files, target, &mut rng);
        let before = seconds;
        let outcome = catch_unwind(|| (target.run)(&bytes));
        seconds = clock.seconds();
        let is_slow = seconds - before > SLOW;
        runs += 1;
        match outcome {
            Ok(true) if !is_slow => {
                accepted += 1;
                if bytes.len() < 20_000 {
                    if files.len() < own + KEPT {
                        files.push(bytes)
                    } else {
                        let at = own + runs as usize % KEPT;
                        files[at] = bytes
                    }
                }
            }
            Ok(_) if !is_slow => {}
            _ => {
                findings += 1;
                fs::create_dir_all(root.join("findings")).expect("a folder for findings");
                let kind = if is_slow { "slow" } else { "panic" };
                let file = root.join(format!("findings/{name}-{kind}-{seed}-{runs}"));
                fs::write(&file, &bytes).expect("a finding");
                eprintln!("{kind}: {}", file.display());
            }
        }
    }
    println!(
        "{name}: {runs} inputs in {seconds:.0} s, {accepted} accepted, {findings} findings, seed {seed}"
    );
}

/// Processor time of this process, so that a halted or slowed run neither counts too much nor finds slow inputs.
struct Clock {
    started: Instant,
}

impl Clock {
    fn seconds(&self) -> f64 {
        // Of the fields after the name's bracket the twelfth and thirteenth: user and system time in hundredths of a second (`man 5 proc`).
        let used = fs::read_to_string("/proc/self/stat").ok().and_then(|stat| {
            let fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(2);
            fields.map(|field| field.parse::<f64>().ok()).sum::<Option<f64>>()
        });
        used.map_or_else(|| self.started.elapsed().as_secs_f64(), |hundredths| hundredths / 100.0)
    }
}

/// Small images in every format, a model of every part, trees, settings.
fn write_corpus(folder: &Path) {
    let put = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(folder.join(target)).expect("a folder");
        fs::write(folder.join(target).join(name), bytes).expect("a file");
    };
    let pixel = |i: usize| (i * 31 % 251) as u8;
    let grey = image::GrayImage::from_raw(9, 7, (0..63).map(pixel).collect()).expect("an image");
    let colour = image::RgbImage::from_raw(8, 6, (0..144).map(pixel).collect()).expect("an image");
    let cut = image::RgbaImage::from_raw(6, 6, (0..144).map(pixel).collect()).expect("an image");
    let deep = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(
        6,
        5,
        (0..30u16).map(|i| i * 2000).collect::<Vec<_>>(),
    )
    .expect("an image");
    let all = [
        ("grey", image::DynamicImage::from(grey)),
        ("colour", image::DynamicImage::from(colour)),
        ("alpha", image::DynamicImage::from(cut)),
        ("deep", image::DynamicImage::from(deep)),
    ];
    for (name, image) in all {
        use image::ImageFormat::{Bmp, Jpeg, Png, Pnm, Tiff, WebP};
        for (end, format) in
            [("png", Png), ("jpg", Jpeg), ("bmp", Bmp), ("tif", Tiff), ("webp", WebP), ("pnm", Pnm)]
        {
            let mut bytes = std::io::Cursor::new(Vec::new());
            // Not every format takes every kind of pixel.
            if image.write_to(&mut bytes, format).is_ok() {
                put("image", &format!("{name}.{end}"), bytes.get_ref());
            }
        }
    }
    for (name, product) in [("product", true), ("surface", false)] {
        let images: Vec<Image> = (0..4)
            .map(|k| Image {
                height: 32,
                width: 32,
                channels: 1,
                pixels: (0..1024).map(|i| ((i * 7 + k * 13) as f32 * 0.11).sin() * 0.4 + 0.5).collect(),
            })
            .collect();
        let mut config = Config::default();
        config.data.image_size = [32, 32];
        config.network.usage = Use::Never;
        let usage = |wanted| if wanted { Use::Always } else { Use::Never };
        (config.memory.usage, config.lines, config.texture) =
            (usage(product), usage(!product), usage(!product));
        config.memory.prototypes = 4;
        let detector = Detector::fit(&images.into(), &config).expect("a model");
        let file = tempfile::NamedTempFile::new().expect("a file");
        detector.save(file.path()).expect("a model");
        put("model", name, &fs::read(file.path()).expect("a model"));
    }
    // Pairs: what is done, with which name (`targets.rs`).
    put(
        "tree",
        "mvtec",
        &[
            0, 2, 0, 0, 3, 8, 3, 9, 2, 0, 2, 0, 0, 3, 0, 0, 3, 8, 2, 0, 0, 7, 3, 8, 2, 0, 2, 0, 0, 4, 0, 7,
            3, 10,
        ],
    );
    put("tree", "sorted", &[0, 0, 3, 8, 3, 9, 2, 0, 0, 1, 3, 8]);
    put("tree", "loop", &[0, 0, 3, 8, 6, 1, 6, 8, 0, 1, 2, 0, 5, 12, 7, 9]);
    put("config", "preset.toml", Config::default().to_toml().expect("settings").as_bytes());
    put("config", "lines", b"seed=1\nscore.fpr=0.01\nmemory.prototypes=16\ndata.image_size=[64, 32]\ntexture=never\nscore.threshold=sigma\n");
}

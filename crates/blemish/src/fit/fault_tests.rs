//! Faults on the way to and from the disk: whatever happens, a result is whole, or an error, and what was there before is not lost.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use image::DynamicImage;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::image::{DecodeOptions, TESTED_FORMATS, decode_bytes};
use crate::write::{Step, write_in_steps, write_whole};

/// Where the child that is killed writes; without it that test does nothing.
const VICTIM: &str = "BLEMISH_FAULT_FILE";
/// Bytes of each of the two files that it writes in turn.
const LENGTH: usize = 300_000;

/// Files that a disk fails to take: at every step, at any length, with any size of the pieces.
fn failing_disks(count: usize, rng: &mut ChaCha8Rng) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    for _ in 0..count {
        let (old, new) = (vec![1u8; rng.random_range(0..2000)], vec![2u8; rng.random_range(1..3000)]);
        let block = rng.random_range(1..400);
        let there = rng.random::<f64>() < 0.8;
        let _ = std::fs::remove_file(&path);
        if there {
            std::fs::write(&path, &old).unwrap();
        }
        let steps = 4 + new.len().div_ceil(block);
        let (fails_at, kind) = (rng.random_range(0..steps), rng.random_range(0..3));
        let (mut at, mut renamed) = (0, false);
        let outcome = write_in_steps(&path, &new, block, &mut |step| {
            renamed |= step == Step::SyncFolder;
            at += 1;
            let errors = [io::ErrorKind::StorageFull, io::ErrorKind::PermissionDenied, io::ErrorKind::Other];
            if at > fails_at { Err(errors[kind].into()) } else { Ok(()) }
        });
        assert!(outcome.is_err());
        let found = std::fs::read(&path).ok();
        let right = if renamed { Some(new) } else { there.then_some(old) };
        assert!(found == right, "step {fails_at} of {steps}");
        let left = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, usize::from(found.is_some()), "step {fails_at} of {steps}");
    }
}

/// Model files of which only a part was read: never a detector, never a panic.
fn short_models(count: usize, bytes: &[u8], rng: &mut ChaCha8Rng) {
    for _ in 0..count {
        // Also within the header, which is short.
        let most = if rng.random() { bytes.len() } else { 4000 };
        let length = rng.random_range(0..most);
        assert!(Detector::from_bytes(&bytes[..length]).is_err(), "{length} of {}", bytes.len());
    }
}

/// Image files of which only a part was read: an error, or every pixel.
fn short_images(count: usize, rng: &mut ChaCha8Rng) {
    let pixels = (0..40 * 40 * 3).map(|i| (i * i * 31 % 251) as u8).collect();
    let image = DynamicImage::from(image::RgbImage::from_raw(40, 40, pixels).unwrap());
    let files = TESTED_FORMATS.map(|format| {
        let mut file = io::Cursor::new(Vec::new());
        image.write_to(&mut file, format).unwrap();
        let whole = decode_bytes("whole", file.get_ref(), &DecodeOptions::default()).unwrap();
        (format, file.into_inner(), whole)
    });
    for _ in 0..count {
        let (format, bytes, whole) = &files[rng.random_range(0..files.len())];
        let length = rng.random_range(0..bytes.len());
        if let Ok(read) = decode_bytes("short", &bytes[..length], &DecodeOptions::default()) {
            assert!(read == *whole, "{format:?}: {length} of {} bytes give another image", bytes.len());
        }
    }
}

/// A process that is killed while it writes one file over another: one of them is there, whole.
fn kills(count: usize, rng: &mut ChaCha8Rng) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    write_whole(&path, &vec![1; LENGTH]).unwrap();
    let (mut first, mut second) = (0, 0);
    for _ in 0..count {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "fit::fault_tests::the_child_that_is_killed", "--ignored", "--quiet"])
            .env(VICTIM, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // From before its first write to its hundredth.
        std::thread::sleep(Duration::from_micros(rng.random_range(500..20_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let found = std::fs::read(&path).unwrap();
        assert!(found.len() == LENGTH && found.iter().all(|v| *v == found[0]), "{}", found.len());
        *(if found[0] == 1 { &mut first } else { &mut second }) += 1;
        for entry in std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap()) {
            // What a killed process leaves has a name that the next run of 'train' removes.
            let name = entry.file_name().into_string().unwrap();
            assert!(
                name == "model.safetensors"
                    || (name.starts_with(".model.safetensors.") && name.ends_with(".tmp")),
                "{name}"
            );
            if name.ends_with(".tmp") {
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
    }
    eprintln!("killed {count} times: the first file was there {first} times, the second {second} times");
}

#[test]
#[ignore = "the process that `kills` starts and kills"]
fn the_child_that_is_killed() {
    let Some(path) = std::env::var_os(VICTIM) else { return };
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(5) {
        for v in [2, 1] {
            write_whole(Path::new(&path), &vec![v; LENGTH]).unwrap();
        }
    }
}

/// So many faults of each kind, four in ten of failing disks, two of each other kind.
fn inject(count: usize, seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let started = Instant::now();
    failing_disks(count * 4 / 10, &mut rng);
    let images: Vec<Image> = (0..6)
        .map(|k| Image {
            height: 32,
            width: 32,
            channels: 1,
            pixels: (0..32 * 32).map(|i| ((i * 7 + k * 13) as f32 * 0.11).sin() * 0.4 + 0.5).collect(),
        })
        .collect();
    let mut config = Config::default();
    config.data.image_size = [32, 32];
    config.memory.usage = crate::config::Use::Always;
    let detector = Detector::fit(&images.into(), &config).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    detector.save(file.path()).unwrap();
    short_models(count * 2 / 10, &std::fs::read(file.path()).unwrap(), &mut rng);
    short_images(count * 2 / 10, &mut rng);
    kills(count * 2 / 10, &mut rng);
    eprintln!("{count} faults in {:.0} s, none lost and none half-written", started.elapsed().as_secs_f64());
}

#[test]
fn nothing_is_lost_and_nothing_is_half_written() {
    inject(200, 0);
}

/// `cargo test --release -p blemish --lib -- --ignored --nocapture ten_thousand_faults`: `docs/experiments/faults.md`.
#[test]
#[ignore = "takes minutes"]
fn ten_thousand_faults() {
    inject(10_000, 1);
}

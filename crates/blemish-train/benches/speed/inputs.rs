//! Everything that is measured on: models with random weights, batches, pictures, maps. All of it follows from seeds.

use std::fs;
use std::path::{Path, PathBuf};

use blemish_train::Device;
use blemish::config::{Preset, RunConfig, ThresholdRule};
use blemish::data::synthetic::{DefectKind, product_image};
use blemish::image::{ByteImage, PixelMask};
use blemish_train::model::Mae;
use blemish::detector::Detector;
use blemish::calibrate::Threshold;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Names of the files that [`prepare`] writes.
pub const MODEL: &str = "model.safetensors";
pub const INPUT: &str = "input.f32";
pub const TARGET: &str = "target.f32";
pub const DEFECT: &str = "defect.f32";

/// A detector with random weights, no parameter at a value that hides mistakes.
///
/// Fresh heads give zeros and fresh norms do nothing: every parameter is moved a little.
pub fn detector(preset: Preset, channels: usize, image_size: Option<[usize; 2]>) -> Detector {
    let mut config = RunConfig::preset(preset);
    config.data.channels = Some(channels);
    config.data.image_size = image_size.unwrap_or(config.data.image_size);
    config.score.threshold = ThresholdRule::Val;
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let model = Mae::new(&config.model, config.input_size(), channels, rng, &Device::flex());
    let model = model.update(|_, values| values.iter_mut().for_each(|v| *v += rng.random_range(-0.03..0.03)));
    let how = "made up for the benchmark".to_owned();
    let threshold = Threshold { rule: ThresholdRule::Val, value: 0.9, how, stated_rate: None };
    Detector::new(config, model).with_thresholds(vec![threshold])
}

/// Writes a model and a batch of smooth pictures, some spoilt.
pub fn prepare(folder: &Path, detector: &Detector, images: usize) {
    fs::create_dir_all(folder).unwrap();
    detector.to_file().save(&folder.join(MODEL)).unwrap();
    let ([height, width], channels) = (detector.model().image_size(), detector.model().channels());
    let rng = &mut ChaCha8Rng::seed_from_u64(2);
    let (mut input, mut target, mut defect) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..images {
        let (a, b, phase): (f32, f32, f32) = (rng.random(), rng.random(), rng.random());
        let (top, left) = (rng.random_range(0..height), rng.random_range(0..width));
        for i in 0..height * width {
            let (y, x) = (i / width, i % width);
            let smooth = 0.5 + 0.3 * (6.0 * phase + 0.1 * a * y as f32 + 0.1 * b * x as f32).sin();
            let spoilt = (top..top + height / 8).contains(&y) && (left..left + width / 8).contains(&x);
            defect.push(f32::from(u8::from(spoilt)));
            for channel in 0..channels {
                let value = smooth + 0.1 * channel as f32 * a + 0.05 * rng.random::<f32>();
                target.push(value);
                input.push(if spoilt { 1.0 - value } else { value });
            }
        }
    }
    for (name, values) in [(INPUT, &input), (TARGET, &target), (DEFECT, &defect)] {
        write(&folder.join(name), values);
    }
}

/// Writes pictures as an ordinary encoder does: deflate level 6, adaptive filters.
pub fn pictures(folder: &Path, count: usize, distinct: usize, size: usize, channels: usize) {
    use rayon::prelude::*;
    fs::create_dir_all(folder).unwrap();
    let path = |i: usize| folder.join(format!("{i:04}.png"));
    (0..distinct).into_par_iter().for_each(|i| {
        let rng = &mut ChaCha8Rng::seed_from_u64(i as u64);
        let defect = i.is_multiple_of(4).then(|| DefectKind::ALL[i / 4 % DefectKind::ALL.len()]);
        let ByteImage { pixels, .. } = product_image(rng, size, channels, defect).0.to_bytes();
        let file = std::io::BufWriter::new(fs::File::create(path(i)).unwrap());
        let colour = if channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
        PngEncoder::new_with_quality(file, CompressionType::Level(6), FilterType::Adaptive)
            .write_image(&pixels, size as u32, size as u32, colour)
            .unwrap();
    });
    for i in distinct..count {
        fs::copy(path(i % distinct), path(i)).unwrap();
    }
}

/// Writes maps of noise with a bump at every defect, and the masks; every fourth image is good.
pub fn maps(folder: &Path, count: usize, size: usize) {
    fs::create_dir_all(folder).unwrap();
    let rng = &mut ChaCha8Rng::seed_from_u64(3);
    let (mut maps, mut masks) = (Vec::<f32>::new(), Vec::<u8>::new());
    for image in 0..count {
        let mut mask = vec![0; size * size];
        for _ in 0..if image.is_multiple_of(4) { 0 } else { rng.random_range(1..4) } {
            let radius = rng.random_range(size / 64 + 1..size / 10 + 2) as isize;
            let (cy, cx) = (rng.random_range(0..size) as isize, rng.random_range(0..size) as isize);
            for (i, m) in mask.iter_mut().enumerate() {
                let (dy, dx) = ((i / size) as isize - cy, (i % size) as isize - cx);
                *m |= u8::from(dy * dy + dx * dx <= radius * radius);
            }
        }
        maps.extend(mask.iter().map(|&m| 0.4 * f32::from(m) + rng.random::<f32>()));
        masks.extend(mask);
    }
    write(&folder.join("maps.f32"), &maps);
    fs::write(folder.join("masks.u8"), masks).unwrap();
}

/// What [`maps`] wrote.
pub fn read_maps(folder: &Path, count: usize, size: usize) -> (Vec<Vec<f32>>, Vec<PixelMask>) {
    let pixels = size * size;
    let maps = read(&folder.join("maps.f32"));
    let masks = fs::read(folder.join("masks.u8")).unwrap();
    assert_eq!((maps.len(), masks.len()), (count * pixels, count * pixels));
    let masks = masks.chunks_exact(pixels);
    let masks = masks.map(|m| PixelMask { height: size, width: size, pixels: m.to_vec() }).collect();
    (maps.chunks_exact(pixels).map(<[f32]>::to_vec).collect(), masks)
}

/// Writes little-endian floats.
pub fn write(path: &Path, values: &[f32]) {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    fs::write(path, bytes).unwrap();
}

/// Reads little-endian floats.
pub fn read(path: &Path) -> Vec<f32> {
    let bytes = fs::read(path).unwrap();
    let (values, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty());
    values.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// A fresh folder for one run of the smoke test.
pub fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("blemish-speed-{}-{name}", std::process::id()))
}

//! Everything that is measured on: models with random weights, batches, image files, maps. All of it follows from seeds.

use std::fs;
use std::path::{Path, PathBuf};

use blemish::config::Use;
use blemish::engine::Weights;
use blemish::image::PixelMask;
use blemish::model_file::Provenance;
use blemish::parts::network::Network;
use blemish::parts::{FittedPart, used};
use blemish::{Config, Detector, Image};
use blemish_train::model::Mae;
use blemish_train::{Device, Preset};
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Names of the files that [`prepare`] writes.
pub const MODEL: &str = "model.safetensors";
pub const INPUT: &str = "input.f32";
pub const TARGET: &str = "target.f32";
pub const DEFECT: &str = "defect.f32";

/// A detector whose only part is a network with random weights, no parameter at a value that hides mistakes.
///
/// Fresh heads give zeros and fresh norms do nothing: every parameter is moved a little.
pub fn detector(preset: Preset, channels: usize, image_size: Option<[usize; 2]>) -> Detector {
    let mut config = Config::preset(preset);
    config.data.channels = Some(channels);
    config.data.image_size = image_size.unwrap_or(config.data.image_size);
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let model = Mae::new(&config.model, config.view_size(), channels, rng, &Device::flex());
    let model = model.update(|_, values| values.iter_mut().for_each(|v| *v += rng.random_range(-0.03..0.03)));
    network_alone(&config, model.weights())
}

/// A detector whose only part is the network of these weights; its threshold is 0.9.
pub fn network_alone(config: &Config, weights: Weights) -> Detector {
    let mut config = config.clone();
    (config.network.usage, config.memory.usage) = (Use::Always, Use::Never);
    (config.features.usage, config.lines, config.texture) = (Use::Never, Use::Never, Use::Never);
    let network = Box::new(Network::new(weights, &config).unwrap());
    let kind = used(&config).next().unwrap();
    let part = FittedPart::new(kind, network);
    Detector::new(config.clone(), config.data.normaliser(), vec![part], vec![0.9; 20], Provenance::default())
}

/// Writes a model and a batch of smooth images, some with a defect.
pub fn prepare(folder: &Path, detector: &Detector, images: usize) {
    fs::create_dir_all(folder).unwrap();
    detector.save(folder.join(MODEL)).unwrap();
    let ([height, width], channels) = (detector.config().view_size(), detector.channels());
    let rng = &mut ChaCha8Rng::seed_from_u64(2);
    let (mut input, mut target, mut defect) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..images {
        let (a, b, phase): (f32, f32, f32) = (rng.random(), rng.random(), rng.random());
        let (top, left) = (rng.random_range(0..height), rng.random_range(0..width));
        for i in 0..height * width {
            let (y, x) = (i / width, i % width);
            let smooth = 0.5 + 0.3 * (6.0 * phase + 0.1 * a * y as f32 + 0.1 * b * x as f32).sin();
            let is_defect = (top..top + height / 8).contains(&y) && (left..left + width / 8).contains(&x);
            defect.push(f32::from(u8::from(is_defect)));
            for channel in 0..channels {
                let value = smooth + 0.1 * channel as f32 * a + 0.05 * rng.random::<f32>();
                target.push(value);
                input.push(if is_defect { 1.0 - value } else { value });
            }
        }
    }
    for (name, values) in [(INPUT, &input), (TARGET, &target), (DEFECT, &defect)] {
        write(&folder.join(name), values);
    }
}

/// Writes images as an ordinary encoder does: deflate level 6, adaptive filters.
pub fn images(folder: &Path, count: usize, distinct: usize, size: usize, channels: usize) {
    use rayon::prelude::*;
    fs::create_dir_all(folder).unwrap();
    let path = |i: usize| folder.join(format!("{i:04}.png"));
    (0..distinct).into_par_iter().for_each(|i| {
        let rng = &mut ChaCha8Rng::seed_from_u64(i as u64);
        let pixels = part(rng, size, channels, i.is_multiple_of(4)).to_bytes().pixels;
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

/// A disc with a ring and grain on a plain ground, and on some a dark spot.
fn part(rng: &mut ChaCha8Rng, size: usize, channels: usize, defective: bool) -> Image {
    let (radius, spot) = (0.35 * size as f32, rng.random_range(0.1..0.9) * size as f32);
    let pixels = (0..size * size).flat_map(|i| {
        let (y, x) = ((i / size) as f32, (i % size) as f32);
        let away = (y - 0.5 * size as f32).hypot(x - 0.5 * size as f32);
        let base = if away < 0.6 * radius {
            0.6
        } else if away < radius {
            0.4
        } else {
            0.8
        };
        let dark = defective && (y - spot).hypot(x - spot) < 0.03 * size as f32;
        let value = if dark { 0.1 } else { base + 0.05 * (0.2 * x).sin() };
        (0..channels).map(|_| value + rng.random_range(-0.02..0.02)).collect::<Vec<f32>>()
    });
    Image { height: size, width: size, channels, pixels: pixels.collect() }
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

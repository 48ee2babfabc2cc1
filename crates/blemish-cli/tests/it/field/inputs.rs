//! Small generated inputs: a flange with six holes that lies nearly still, a brushed surface, scattered discs.

use std::f32::consts::{FRAC_PI_3, TAU};
use std::fs;
use std::path::Path;

use image::{DynamicImage, GrayImage, ImageBuffer, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tiff::encoder::{TiffEncoder, colortype};

/// Grey levels in [0, 1].
#[derive(Clone)]
pub struct Grey {
    pub width: usize,
    pub pixels: Vec<f32>,
}

impl Grey {
    pub fn filled(side: usize, level: f32) -> Self {
        Self { width: side, pixels: vec![level; side * side] }
    }

    fn height(&self) -> usize {
        self.pixels.len() / self.width
    }

    /// Sets every pixel, from its place in shares of height and width and its value.
    pub fn each(&mut self, of: impl Fn(f32, f32, f32) -> f32) {
        let (height, width) = (self.height() as f32, self.width as f32);
        for (i, v) in self.pixels.iter_mut().enumerate() {
            *v = of((i / self.width) as f32 / height, (i % self.width) as f32 / width, *v).clamp(0.0, 1.0);
        }
    }

    pub fn add_noise(&mut self, seed: u64, deviation: f32) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x9e37_79b9);
        for v in &mut self.pixels {
            *v = (*v + deviation * normal(&mut rng)).clamp(0.0, 1.0);
        }
    }

    /// Its rows from `top` to before `bottom`.
    pub fn rows(&self, top: usize, bottom: usize) -> Self {
        Self { width: self.width, pixels: self.pixels[top * self.width..bottom * self.width].to_vec() }
    }

    fn bytes(&self) -> Vec<u8> {
        self.pixels.iter().map(|v| (v * 255.0).round() as u8).collect()
    }

    fn size(&self) -> [u32; 2] {
        [self.width as u32, self.height() as u32]
    }
}

/// The sum of twelve numbers: as good as normal.
fn normal(rng: &mut ChaCha8Rng) -> f32 {
    (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0
}

/// The part number `seed`; a `depth` above 0 cuts a dark notch.
pub fn part(seed: u64, depth: f32, side: usize) -> Grey {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (cy, cx) = (0.5 + 0.008 * normal(&mut rng), 0.5 + 0.008 * normal(&mut rng));
    let turn = rng.random_range(0.0..TAU);
    let (ny, nx) = (cy + 0.25 * turn.sin(), cx + 0.25 * turn.cos());
    let mut image = Grey::filled(side, 0.35);
    image.each(|y, x, ground| {
        let d = (y - cy).hypot(x - cx);
        let hole = (0..6).any(|k| {
            let angle = k as f32 * FRAC_PI_3;
            (y - cy - 0.25 * angle.sin()).hypot(x - cx - 0.25 * angle.cos()) < 0.035
        });
        let level = if hole {
            0.2
        } else if (0.14..0.36).contains(&d) {
            0.6
        } else {
            ground
        };
        let notch = (y - ny).abs() < 0.02 && (x - nx).abs() < 0.06;
        level - if notch { depth } else { 0.0 }
    });
    for v in &mut image.pixels {
        *v = (*v + 0.012 * normal(&mut rng)).clamp(0.0, 1.0);
    }
    image
}

/// Brushed metal under uneven light.
pub fn surface(seed: u64, side: usize) -> Grey {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let bend = 2.0 + rng.random::<f32>();
    let mut line = 0.0;
    let lines: Vec<f32> = (0..side)
        .map(|_| {
            line += 0.01 * normal(&mut rng);
            line
        })
        .collect();
    let mean = lines.iter().sum::<f32>() / side as f32;
    let mut image = Grey::filled(side, 0.45);
    image.each(|y, x, v| {
        v + 0.1 * (bend * y).sin() + lines[((x * side as f32).round() as usize).min(side - 1)] - mean
    });
    for v in &mut image.pixels {
        *v = (*v + 0.02 * normal(&mut rng)).clamp(0.0, 1.0);
    }
    image
}

/// Twelve discs anywhere on pure black.
pub fn discs(seed: u64, side: usize) -> Grey {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut image = Grey::filled(side, 0.0);
    for _ in 0..12 {
        let (cy, cx) = (rng.random_range(0.05..0.95), rng.random_range(0.05..0.95));
        let level = rng.random_range(0.35..0.6);
        image.each(|y, x, v: f32| if (y - cy as f32).hypot(x - cx as f32) < 0.04 { level } else { v });
    }
    image
}

/// The same part with a code in its corner.
pub fn with_code(mut image: Grey, seed: u64) -> Grey {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xc0de);
    let code: Vec<f32> = (0..36).map(|_| if rng.random() { 0.9 } else { 0.1 }).collect();
    for i in 0..144 {
        image.pixels[(2 + i / 12) * image.width + 2 + i % 12] = code[i / 12 / 2 * 6 + i % 12 / 2];
    }
    image
}

/// `good/` with so many parts, `ok/` and `bad/` with twenty others each, all passed through `change`.
pub fn sets(folder: &Path, good: u64, depth: f32, change: impl Fn(Grey, u64) -> Grey) {
    let put = |name: String, image: Grey, seed: u64| save(&folder.join(name), &change(image, seed));
    (0..good).for_each(|n| put(format!("good/{n:03}.png"), part(n, 0.0, 96), n));
    for n in 0..20 {
        put(format!("ok/{n:03}.png"), part(1000 + n, 0.0, 96), 500 + n);
        put(format!("bad/{n:03}.png"), part(2000 + n, depth, 96), 900 + n);
    }
}

/// Writes 8 bits in the format that the name says.
pub fn save(path: &Path, image: &Grey) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let [width, height] = image.size();
    let grey = DynamicImage::from(GrayImage::from_raw(width, height, image.bytes()).unwrap());
    let is_webp = path.extension().is_some_and(|end| end == "webp");
    if is_webp { grey.to_rgb8().save(path).unwrap() } else { grey.save(path).unwrap() }
}

/// Writes 16 bits, of which `most` is white.
pub fn save_deep(path: &Path, image: &Grey, most: f32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let [width, height] = image.size();
    let words: Vec<u16> = image.pixels.iter().map(|v| (v * most) as u16).collect();
    ImageBuffer::<Luma<u16>, _>::from_raw(width, height, words).unwrap().save(path).unwrap();
}

/// Writes it in colour.
pub fn save_tinted(path: &Path, image: &Grey) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let [width, height] = image.size();
    let at = |x: u32, y: u32| image.pixels[(y * width + x) as usize];
    let colour = |x, y| Rgb([1.0, 0.9, 0.8].map(|tint: f32| (255.0 * tint * at(x, y)).round() as u8));
    RgbImage::from_fn(width, height, colour).save(path).unwrap();
}

/// Writes it cut out: what lies outside is transparent, and hides this grey level.
pub fn save_cut_out(path: &Path, image: &Grey, hidden: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let [width, height] = image.size();
    let (bytes, side) = (image.bytes(), width as f32);
    let pixel = |x: u32, y: u32| {
        let outside = (y as f32 / side - 0.5).hypot(x as f32 / side - 0.5) > 0.4;
        let v = if outside { hidden } else { bytes[(y * width + x) as usize] };
        Rgba([v, v, v, if outside { 0 } else { 255 }])
    };
    RgbaImage::from_fn(width, height, pixel).save(path).unwrap();
}

/// `big.tif` (BigTIFF), `float.tif`, and `pages.tif` with two.
pub fn save_tiffs(folder: &Path, image: &Grey) {
    fs::create_dir_all(folder).unwrap();
    let ([width, height], bytes) = (image.size(), image.bytes());
    let file = |name: &str| fs::File::create(folder.join(name)).unwrap();
    let mut big = TiffEncoder::new_big(file("big.tif")).unwrap();
    big.write_image::<colortype::Gray8>(width, height, &bytes).unwrap();
    let mut float = TiffEncoder::new(file("float.tif")).unwrap();
    float.write_image::<colortype::Gray32Float>(width, height, &image.pixels).unwrap();
    let mut pages = TiffEncoder::new(file("pages.tif")).unwrap();
    for _ in 0..2 {
        pages.write_image::<colortype::Gray8>(width, height, &bytes).unwrap();
    }
}

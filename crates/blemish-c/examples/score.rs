//! Prints score, threshold and a checksum of the map, bit by bit: `score MODEL FILE...`. The same output comes from
//! `tests/c/score.c` and from `crates/blemish-python/tests/score.py`. Files are images, or buffers as `fixture` writes them.

use std::error::Error;
use std::path::Path;

use blemish::{Detector, ImageView, Prediction, image::Order};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (model, files) = arguments.split_first().ok_or("usage: score MODEL FILE...")?;
    let detector = Detector::load(model)?;
    for file in files {
        let path = Path::new(file);
        let name = path.file_stem().ok_or("a name")?.to_string_lossy().into_owned();
        let prediction = if path.extension().is_some_and(|extension| extension == "raw") {
            let numbers = name.split('-').map(str::parse).collect::<Result<Vec<usize>, _>>()?;
            buffer(&detector, &std::fs::read(path)?, &numbers)?
        } else {
            detector.predict_file(path)?
        };
        let hash = prediction
            .map
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        let Prediction { score, threshold, regions, map_size: [h, w], .. } = &prediction;
        let (defective, regions) = (u8::from(prediction.is_defective()), regions.len());
        println!(
            "{name} {:08x} {:08x} {defective} {regions} {h}x{w} {hash:016x}",
            score.to_bits(),
            threshold.to_bits()
        );
    }
    Ok(())
}

fn buffer(detector: &Detector, bytes: &[u8], numbers: &[usize]) -> Result<Prediction, Box<dyn Error>> {
    let &[width, height, format, stride] = numbers else {
        return Err("WIDTH-HEIGHT-FORMAT-STRIDE.raw".into());
    };
    let order = [Order::Grey, Order::Rgb, Order::Bgr][(format - 1) % 3];
    if format <= 3 {
        return Ok(detector.predict(ImageView::bytes(bytes, width, height, order).with_stride(stride))?);
    }
    let row = width * if order == Order::Grey { 2 } else { 6 };
    let words = bytes
        .chunks(stride)
        .flat_map(|line| line[..row].as_chunks::<2>().0)
        .map(|&pair| u16::from_ne_bytes(pair));
    Ok(detector.predict(ImageView::words(&words.collect::<Vec<_>>(), width, height, order))?)
}

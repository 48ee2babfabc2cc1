//! Writes a small model and images to a folder, for the tests in C and Python: `fixture FOLDER`.
//!
//! `WIDTH-HEIGHT-FORMAT-STRIDE.raw` are buffers: FORMAT is a number of `blemish_format`, STRIDE is in bytes.

use std::error::Error;
use std::path::Path;

#[path = "../tests/tiny/mod.rs"]
mod tiny;

use tiny::{SIDE, detector, pixels};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: fixture FOLDER")?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder.join("good"))?;
    detector(SIDE)?.save(folder.join("part.blemish.safetensors"))?;
    detector(tiny::MIRI_SIDE)?.save(folder.join("miri.blemish.safetensors"))?;
    let side = SIDE as u32;
    for seed in 1..=12 {
        image::RgbImage::from_raw(side, side, pixels(seed, false))
            .ok_or("size")?
            .save(folder.join(format!("good/{seed}.png")))?;
    }
    let (good, bad) = (pixels(100, false), pixels(101, true));
    image::RgbImage::from_raw(side, side, good.clone()).ok_or("size")?.save(folder.join("good.png"))?;
    image::RgbImage::from_raw(side, side, bad.clone()).ok_or("size")?.save(folder.join("defect.png"))?;

    // Every format once, with and without gaps between rows.
    for (format, order, wide) in [
        (1, &[1][..], false),
        (2, &[0, 1, 2], false),
        (3, &[2, 1, 0], false),
        (4, &[1], true),
        (5, &[0, 1, 2], true),
        (6, &[2, 1, 0], true),
    ] {
        for gap in [0, 7] {
            let mut bytes = Vec::new();
            let mut stride = 0;
            for row in bad.chunks(3 * SIDE) {
                let before = bytes.len();
                for pixel in row.as_chunks::<3>().0 {
                    for &channel in order {
                        let value = pixel[channel];
                        // 257 spreads 0..=255 over 0..=65535; the low bits show that 16 are read.
                        let word = (u16::from(value) * 257) ^ 0x15;
                        if wide { bytes.extend(word.to_ne_bytes()) } else { bytes.push(value) }
                    }
                }
                bytes.resize(bytes.len() + gap, 0xee);
                stride = bytes.len() - before;
            }
            bytes.truncate(bytes.len() - gap);
            std::fs::write(folder.join(format!("{SIDE}-{SIDE}-{format}-{stride}.raw")), bytes)?;
        }
    }
    Ok(())
}

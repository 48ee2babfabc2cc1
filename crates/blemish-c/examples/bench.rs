//! The Rust side of `benches/embed.py`: `bench write MODEL RAW` fits a model on generated images of 256 x 256 pixels; `bench MODEL
//! RAW TIMES` answers each line of standard input with the seconds of one prediction, by the clock.

use std::error::Error;
use std::io::BufRead;
use std::time::Instant;

use blemish::{Config, Detector, ImageView, Images};

const SIDE: usize = 256;

fn pixels(seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut pixels = Vec::with_capacity(SIDE * SIDE * 3);
    for y in 0..SIDE {
        for x in 0..SIDE {
            let level =
                if x.abs_diff(128).pow(2) + y.abs_diff(120).pow(2) < 70 * 70 { 180 } else { 60 + x / 8 };
            for value in [level, level / 2, 40 + y / 4] {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                pixels.push((value + (state >> 29) as usize).min(255) as u8);
            }
        }
    }
    pixels
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [first, second, third] = &arguments[..] else { return Err("three arguments".into()) };
    if first == "write" {
        let images: Result<Vec<_>, _> =
            (1..=20).map(|seed| ImageView::rgb8(&pixels(seed), SIDE, SIDE).to_image(3)).collect();
        Detector::fit(&Images::from(images?), &Config::default())?.save(second)?;
        return Ok(std::fs::write(third, pixels(100))?);
    }
    let (detector, bytes, times) = (Detector::load(first)?, std::fs::read(second)?, third.parse::<u32>()?);
    let predict = || detector.predict(ImageView::rgb8(&bytes, SIDE, SIDE)).map(drop);
    for _ in 0..3 {
        predict()?;
    }
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        line?;
        let start = Instant::now();
        for _ in 0..times {
            predict()?;
        }
        println!("{}", start.elapsed().as_secs_f64() / f64::from(times));
    }
    Ok(())
}

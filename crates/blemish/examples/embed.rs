//! `blemish` inside another program: fit on a folder of good images, save, load, predict a buffer from a camera.
//!
//! `cargo run --release -p blemish --example embed -- GOOD_FOLDER IMAGE`

use blemish::image::{DecodeOptions, decode};
use blemish::{Config, Detector, ImageView};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [good, image] = &arguments[..] else { return Err("usage: embed GOOD_FOLDER IMAGE".into()) };

    let images = blemish::images_in(good)?;
    let detector = Detector::fit(&images, &Config::default())?;
    let file = std::env::temp_dir().join("embed.blemish.safetensors");
    detector.save(&file)?;

    let detector = Detector::load(&file)?;
    // A camera would fill this buffer.
    let photo = decode(image.as_ref(), &DecodeOptions { channels: Some(3), ..DecodeOptions::default() })?;
    let buffer: Vec<u8> = photo.pixels.iter().map(|v| (v * 255.0).round() as u8).collect();
    let prediction = detector.predict(ImageView::rgb8(&buffer, photo.width, photo.height))?;
    println!(
        "{:?}: score {:.3}, threshold {:.3}",
        prediction.verdict, prediction.score, prediction.threshold
    );
    for region in &prediction.regions {
        println!("{} x {} pixels at ({}, {})", region.width, region.height, region.x, region.y);
    }
    Ok(())
}

//! The least that a program needs to score images with a model: what a binary of it weighs is what embedding costs.
//!
//! `cargo run --release -p blemish --example predict -- MODEL IMAGE..`

use blemish::Detector;

fn main() -> blemish::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let detector = Detector::load(arguments.next().unwrap_or_default())?;
    for image in arguments {
        let prediction = detector.predict_file(&image)?;
        println!("{image}: {:?} {:.3} {:?}", prediction.verdict, prediction.score, prediction.regions);
    }
    Ok(())
}

//! What each detector part finds on generated products and surfaces that pre-training has not seen.
//!
//! `cargo run --release -p blemish --example parts -- SCENES[:GOOD[:TESTS]] SIDE SETTINGS..`: for every list of settings (separated by
//! commas, such as `features=always,memory.use=never`) image AUROC and AUPRO, averaged over the scenes, and of the worst.
//! `varied:SETS:GOOD:TESTS` takes so many sets of each kind whose good photos differ much, `photos:FOLDER+FOLDER` photos in folders, with
//! generated defects on some; behind `wide:` defects cover much of an image. GOOD is the number of good images to fit on, TESTS that of good
//! and of defective test images.
#![expect(clippy::unwrap_used, reason = "an example")]

mod generated;

use blemish::config::Overlay;
use blemish::image::PixelMask;
use blemish::metrics::{aupro, auroc};
use blemish::{Config, Detector, Images};
use generated::{Set, sets};

fn measure(set: &Set, config: &Config) -> (f64, f64, String) {
    let detector = Detector::fit(&Images::from(set.good.clone()), config).unwrap();
    let (mut scores, mut defective, mut maps, mut masks) = (vec![], vec![], vec![], vec![]);
    for (image, mask) in &set.tests {
        let prediction = detector.predict_framed(&detector.frame(image).unwrap()).unwrap();
        let [height, width] = prediction.map_size;
        scores.push(prediction.score);
        defective.push(mask.is_some());
        masks.push(mask.clone().unwrap_or(PixelMask::empty(height, width)));
        maps.push(prediction.map);
    }
    let maps: Vec<&[f32]> = maps.iter().map(Vec::as_slice).collect();
    let masks: Vec<&PixelMask> = masks.iter().collect();
    (auroc(&scores, &defective).unwrap(), aupro(&maps, &masks, 0.3).unwrap(), detector.active_parts())
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let side: usize = arguments[1].parse().unwrap();
    let sets = sets(&arguments[0], side);
    for settings in &arguments[2..] {
        let overlay = settings
            .split_terminator(',')
            .fold(Overlay::default(), |over, setting| over.set(setting).unwrap())
            .set(&format!("data.image_size=[{side},{side}]"))
            .unwrap();
        let config = Config::default().with(&overlay).unwrap();
        let results: Vec<(f64, f64, String)> = sets.iter().map(|set| measure(set, &config)).collect();
        for surface in [false, true] {
            let of_kind = || sets.iter().zip(&results).filter(|(set, _)| set.surface == surface);
            let n = of_kind().count() as f64;
            if n == 0.0 {
                continue;
            }
            let mean = |of: fn(&(f64, f64, String)) -> f64| of_kind().map(|(_, r)| of(r)).sum::<f64>() / n;
            let worst = of_kind().min_by(|a, b| a.1.0.total_cmp(&b.1.0)).unwrap();
            println!(
                "{settings:60} {:8} n {n:2}  AUROC {:.3}  AUPRO {:.3}  worst {:.3} ({})",
                if surface { "surface" } else { "product" },
                mean(|r| r.0),
                mean(|r| r.1),
                worst.1.0,
                worst.0.name
            );
        }
        if std::env::var_os("VERBOSE").is_some() {
            for (set, (auroc, aupro, parts)) in sets.iter().zip(&results) {
                println!("    {auroc:.3} {aupro:.3} {} [{parts}]", set.name);
            }
        }
    }
}

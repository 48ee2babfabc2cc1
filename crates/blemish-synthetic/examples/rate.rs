//! Images a second at 128 x 128 on all cores: `cargo run --release -p blemish-synthetic --example rate`

use std::time::Instant;

use blemish_synthetic::{Families, Scene};
use rayon::prelude::*;

fn main() {
    const SCENES: u64 = 400;
    for (what, defective) in [("good", false), ("defective, with its clean photo", true)] {
        let start = Instant::now();
        let sum: f32 = (0..SCENES)
            .into_par_iter()
            .map(|seed| {
                let scene = Scene::new(seed, Families::Training);
                (0..2u64)
                    .map(|k| {
                        let size = [128, 128];
                        if defective { scene.defective(k, size).size } else { scene.good(k, size).pixels[0] }
                    })
                    .sum::<f32>()
            })
            .sum();
        let rate = 2.0 * SCENES as f64 / start.elapsed().as_secs_f64();
        println!("{what}: {rate:.0} images/s on {} threads (check {sum:.3})", rayon::current_num_threads());
    }
}

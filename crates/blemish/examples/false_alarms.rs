//! Does the stated false-positive rate hold, and its interval? `cargo run --release -p blemish --example false_alarms [SEEDS]`
//!
//! Scores of good images are drawn from known distributions, so that the rate which a threshold achieves is known exactly:
//! `docs/experiments/false-alarm-rate.md`. With a second argument, that many whole fits on photos of small generated parts follow.

use blemish::calibrate::{Thresholds, suspected};
use blemish::config::Config;
use blemish::{Detector, Image};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// Numbers of good images.
const COUNTS: [usize; 6] = [3, 5, 10, 20, 50, 200];
/// Standard deviation of the logarithms of good scores, where nothing else is said.
const DEVIATION: f64 = 0.2;
/// Largest share of suspected outliers, as `fit.contamination`.
const CONTAMINATION: f64 = 0.1;

/// What good images' scores are like, and what lies among them.
#[derive(Clone, Copy)]
enum Process {
    /// Log-normal, with this standard deviation of the logarithms.
    LogNormal(f64),
    /// Logarithms of Student's t with 4 degrees of freedom.
    HeavyTailed,
    /// Log-normal, with this deviation, and 5 % of the images more that are defective: 2 to 10 times the median score.
    Defects(f64),
    /// Log-normal, and one frame without light that scores 30 times as much.
    BlackFrame,
    /// Log-normal, in bursts of 5 near-duplicates that count once.
    Bursts,
}

impl Process {
    const ALL: [(Self, &'static str); 8] = [
        (Self::LogNormal(DEVIATION), "log-normal"),
        (Self::LogNormal(0.06), "log-normal, narrow (0.06)"),
        (Self::LogNormal(0.5), "log-normal, wide (0.5)"),
        (Self::HeavyTailed, "log-t, 4 degrees of freedom"),
        (Self::Defects(DEVIATION), "5 % hidden defects"),
        (Self::Defects(0.3), "5 % hidden defects, 0.3"),
        (Self::BlackFrame, "one black frame"),
        (Self::Bursts, "bursts of 5"),
    ];

    /// Scores of `n` good images, and of what lies among them; near-duplicates by their largest one.
    fn draw(self, n: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
        let mut normal = || Normal::standard().inverse_cdf(rng.random_range(1e-12..1.0));
        match self {
            Self::HeavyTailed => {
                let t = StudentsT::new(0.0, 1.0, 4.0).expect("a distribution");
                (0..n)
                    .map(|_| (DEVIATION * t.inverse_cdf(rng.random_range(1e-12..1.0))).exp() as f32)
                    .collect()
            }
            Self::Bursts => {
                let mut scores = Vec::new();
                for _ in 0..n.div_ceil(5) {
                    let own = DEVIATION * normal();
                    let frames = (0..5).map(|_| (own + 0.02 * normal()).exp());
                    scores.push(frames.fold(0.0, f64::max) as f32);
                }
                scores
            }
            _ => {
                let deviation = self.deviation();
                let mut scores: Vec<f32> = (0..n).map(|_| (deviation * normal()).exp() as f32).collect();
                if let Self::Defects(_) = self {
                    for _ in 0..(0.05 * n as f64).round() as usize {
                        scores.push((rng.random_range(2f64.ln()..10f64.ln())).exp() as f32);
                    }
                }
                if let Self::BlackFrame = self {
                    scores.push(30.0);
                }
                scores
            }
        }
    }

    fn deviation(self) -> f64 {
        if let Self::LogNormal(deviation) | Self::Defects(deviation) = self { deviation } else { DEVIATION }
    }

    /// The share of good images whose score is at least `threshold`.
    fn rate(self, threshold: f64) -> f64 {
        let z = threshold.ln() / self.deviation();
        match self {
            Self::HeavyTailed => StudentsT::new(0.0, 1.0, 4.0).expect("a distribution").sf(z),
            Self::Bursts => Normal::new(0.0, (1.0 + 0.01f64).sqrt()).expect("a distribution").sf(z),
            _ => Normal::standard().sf(z),
        }
    }
}

fn main() {
    let argument = |k: usize| std::env::args().nth(k).and_then(|v| v.parse::<usize>().ok());
    let seeds = argument(1).unwrap_or(1000);
    println!(
        "| good images | scores | stated | mean achieved | within the interval | above it | below it | threshold |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (process, name) in Process::ALL {
        for n in COUNTS {
            for stated in [0.05, 0.01] {
                score_level(process, name, n, stated, seeds);
            }
        }
    }
    if let Some(fits) = argument(2) {
        println!(
            "\n| products | photos of each | counted | stated | mean rejected of 40 new | agrees with the interval | notches found |"
        );
        println!("|---|---|---|---|---|---|---|");
        for (products, frames) in
            [(3, 1), (5, 1), (10, 1), (20, 1), (2, 10), (3, 5), (3, 8), (4, 8), (6, 4), (10, 6), (20, 2)]
        {
            whole_fits(products, frames, fits);
        }
    }
}

fn score_level(process: Process, name: &str, n: usize, stated: f64, seeds: usize) {
    let (mut sum, mut within, mut above, mut thresholds) = (0.0, 0, 0, Vec::new());
    for seed in 0..seeds {
        let scores = process.draw(n, &mut ChaCha8Rng::seed_from_u64(seed as u64));
        let outlier = suspected(&scores, CONTAMINATION);
        let kept = scores.iter().zip(&outlier).filter(|(_, out)| !**out).map(|(&score, _)| score).collect();
        let left_out = outlier.iter().filter(|&&out| out).count();
        let threshold = Thresholds::new(kept).leaving_out(left_out).at_rate(stated);
        let rate = process.rate(threshold.value);
        let [low, high] = threshold.interval.expect("an interval");
        sum += rate;
        within += usize::from((low..=high).contains(&rate));
        above += usize::from(rate > high);
        thresholds.push(threshold.value);
    }
    thresholds.sort_unstable_by(f64::total_cmp);
    let percent = |count: usize| 100.0 * count as f64 / seeds as f64;
    println!(
        "| {n} | {name} | {:.0} % | {:.1} % | {:.1} % | {:.1} % | {:.1} % | {:.2} |",
        100.0 * stated,
        100.0 * sum / seeds as f64,
        percent(within),
        percent(above),
        percent(seeds - within - above),
        thresholds[seeds / 2],
    );
}

/// Fits on `frames` noisy photos of each of so many products, 40 new good ones and 20 with a notch, `fits` times.
fn whole_fits(products: u64, frames: u64, fits: usize) {
    let (mut counted, mut rejected, mut found, mut agrees) = (0, 0, 0, 0);
    for seed in 0..fits as u64 {
        let photos = |from: u64, count: u64, frames: u64, depth: f32| -> Vec<Image> {
            let own = |product: u64| {
                let part = generated(100_000 * seed + product, depth);
                (0..frames).map(move |frame| in_noise(&part, 100 * product + frame))
            };
            (from..from + count).flat_map(own).collect()
        };
        let mut config = Config::default();
        config.data.image_size = [SIDE, SIDE];
        let detector = Detector::fit(&photos(0, products, frames, 0.0).into(), &config).expect("a fit");
        let count = |images: Vec<Image>| {
            let is = |image: &&Image| {
                let framed = detector.frame(image).expect("a frame");
                detector.predict_framed(&framed).expect("a prediction").is_defective()
            };
            images.iter().filter(is).count()
        };
        let (alarms, notches) = (count(photos(1000, 40, 1, 0.0)), count(photos(2000, 20, 1, 0.25)));
        let [low, high] = detector.threshold().expect("a threshold").interval.expect("an interval");
        // What 40 images show of a rate within the interval, at 95 %.
        let [least, most] = [low, high].map(|rate| 40.0 * rate);
        let slack = |mean: f64| 2.0 * (mean * (1.0 - mean / 40.0)).sqrt();
        let alarms_seen = alarms as f64;
        agrees += usize::from(alarms_seen >= least - slack(least) && alarms_seen <= most + slack(most));
        (rejected, found) = (rejected + alarms, found + notches);
        counted += detector.good_scores().len();
    }
    let share = |count: usize, of: usize| 100.0 * count as f64 / (of * fits) as f64;
    println!(
        "| {products} | {frames} | {:.1} | 5 % | {:.1} % | {:.0} % | {:.0} % |",
        counted as f64 / fits as f64,
        share(rejected, 40),
        share(agrees, 1),
        share(found, 20)
    );
}

/// Another photo of what `image` shows: in other noise and light, in 8 bits.
fn in_noise(image: &Image, seed: u64) -> Image {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let light = rng.random_range(0.98..1.02);
    let mut photo = image.clone();
    for v in &mut photo.pixels {
        *v = ((*v * light + rng.random_range(-NOISE..NOISE)).clamp(0.0, 1.0) * 255.0).round() / 255.0;
    }
    photo
}

/// Largest noise of a photo, of 1.
const NOISE: f32 = 0.014;
const SIDE: usize = 64;

/// A flange with six holes that lies nearly still; a `depth` above 0 cuts a dark notch.
fn generated(seed: u64, depth: f32) -> Image {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = |scale: f32| scale * ((0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0);
    let (cy, cx, turn) = (0.5 + normal(0.008), 0.5 + normal(0.008), normal(3.0));
    let notch = [cy + 0.25 * turn.sin(), cx + 0.25 * turn.cos()];
    let mut image = Image::filled(SIDE, SIDE, 1, 0.35);
    for (i, v) in image.pixels.iter_mut().enumerate() {
        let (y, x) = ((i / SIDE) as f32 / SIDE as f32, (i % SIDE) as f32 / SIDE as f32);
        let d = (y - cy).hypot(x - cx);
        *v = if d > 0.14 && d < 0.36 { 0.6 } else { *v };
        let holes = (0..6)
            .map(|k| k as f32 * std::f32::consts::FRAC_PI_3)
            .any(|a| (y - cy - 0.25 * a.sin()).hypot(x - cx - 0.25 * a.cos()) < 0.035);
        *v = if holes { 0.2 } else { *v };
        if (y - notch[0]).abs() < 0.03 && (x - notch[1]).abs() < 0.06 {
            *v -= depth;
        }
        *v = (*v + normal(0.012)).clamp(0.0, 1.0);
    }
    image
}

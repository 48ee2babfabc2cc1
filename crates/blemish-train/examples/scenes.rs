//! Writes the scenes of pre-training to standard output, for `reference/pretrain.py`:
//! `cargo run --release -p blemish-train --example scenes -- --steps 2000 > scenes.bin`
//!
//! Scenes, sizes and shares are those that `blemish pretrain` draws of the same seed and batch size for a step of triples; the
//! light of the photos is changed by the reader. What is written is a function of the options alone, on any number of threads.
//!
//! A step is a record, all numbers little-endian; photos are by row, column, channel, 8 bits:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `BLMSCEN4` |
//! | 8, 8 | seed, step |
//! | 4, 4, 4 | scenes `S`, side of a photo `W`, references `R` |
//! | S | 1 where the scene is grey |
//! | S | 1 where it is a surface |
//! | 3 S W W | a photo of each scene, perhaps defective |
//! | 3 S W W | the same without its defect |
//! | 3 R S W W | good photos, which the others are compared with: one of each scene, then the next |
//! | 3 S W W | another good photo |
//! | S W W | 1 where the first is defective |

use std::io::{self, BufWriter, ErrorKind, Write};

use blemish::Image;
use blemish_train::pretrain::PretrainConfig;
use blemish_train::pretrain::batch::side;
use blemish_train::pretrain::triple::{Photos, photos};
use rayon::prelude::*;

const USAGE: &str =
    "usage: scenes [--seed N] [--batch-size SCENES] [--side PIXELS] [--first STEP] [--every N] [--steps N]
              [--references N] [--defective PERCENT]
  --seed        of the images (0)
  --batch-size  scenes of a step at 128 pixels, fewer of larger ones (8)
  --side        of all photos, a multiple of 16 (drawn by step: 128, 192 or 256)
  --first       the first step that is written (0)
  --every       every so many steps are written (1): several processes divide the work
  --steps       how many are written (until nobody reads)
  --references  good photos of a scene that others are compared with (1)
  --defective   percentage of scenes with a defect (70)";

const MAGIC: &[u8; 8] = b"BLMSCEN4";

struct Options {
    config: PretrainConfig,
    first: usize,
    every: usize,
    steps: Option<usize>,
    references: usize,
}

fn main() -> io::Result<()> {
    let options = options(std::env::args().skip(1)).unwrap_or_else(|e| {
        eprintln!("{e}\n{USAGE}");
        std::process::exit(2);
    });
    let mut out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let steps = (0..options.steps.unwrap_or(usize::MAX)).map(|i| options.first + i * options.every);
    for step in steps {
        match write(&options, step, &mut out) {
            // Nobody reads any more.
            Err(e) if e.kind() == ErrorKind::BrokenPipe => return Ok(()),
            result => result?,
        }
    }
    Ok(())
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options =
        Options { config: PretrainConfig::default(), first: 0, every: 1, steps: None, references: 1 };
    while let Some(name) = arguments.next() {
        let value = arguments.next().and_then(|v| v.parse::<usize>().ok());
        let value = value.ok_or_else(|| format!("{name} needs a number"))?;
        match name.as_str() {
            "--seed" => options.config.seed = value as u64,
            "--batch-size" if (1..=4096).contains(&value) => options.config.batch_size = value,
            "--side" if value % 16 == 0 && (32..=1024).contains(&value) => {
                options.config.sides = vec![(value, 1.0)];
            }
            "--first" => options.first = value,
            "--every" if value > 0 => options.every = value,
            "--steps" => options.steps = Some(value),
            "--defective" if value <= 100 => options.config.defective = value as f64 / 100.0,
            "--references" if (1..=64).contains(&value) => options.references = value,
            _ => return Err(format!("{name} {value}: there is no such option or value")),
        }
    }
    Ok(options)
}

/// Writes the record of a step.
fn write(options: &Options, step: usize, out: &mut impl Write) -> io::Result<()> {
    let config = &options.config;
    let side = side(config, step);
    // More references than one are instances that the other photos have left.
    let draw = |item| {
        let photos = photos(config, [side; 2], step, item).0;
        let more = (3..).take(options.references - 1);
        let more: Vec<Image> = more.map(|i| photos.scene.draw(i, false, [side; 2]).image).collect();
        (photos, more)
    };
    let drawn: Vec<(Photos, Vec<Image>)> = (0..config.scenes(side)).into_par_iter().map(draw).collect();
    out.write_all(MAGIC)?;
    out.write_all(&config.seed.to_le_bytes())?;
    out.write_all(&(step as u64).to_le_bytes())?;
    for number in [drawn.len(), side, options.references] {
        out.write_all(&(number as u32).to_le_bytes())?;
    }
    for flag in [|p: &Photos| p.is_grey, |p: &Photos| p.scene.is_surface()] {
        let flags: Vec<u8> = drawn.iter().map(|(photos, _)| u8::from(flag(photos))).collect();
        out.write_all(&flags)?;
    }
    let of: [fn(&Photos) -> &Image; 3] = [|p| &p.first.image, |p| &p.first.clean, |p| &p.reference];
    let first = of.into_iter().flat_map(|photo| drawn.iter().map(move |(photos, _)| photo(photos)));
    let more = (0..options.references - 1).flat_map(|i| drawn.iter().map(move |(_, more)| &more[i]));
    for photo in first.chain(more).chain(drawn.iter().map(|(photos, _)| &photos.good)) {
        out.write_all(&in_bytes(photo))?;
    }
    for (photos, _) in &drawn {
        out.write_all(&photos.first.mask)?;
    }
    out.flush()
}

fn in_bytes(image: &Image) -> Vec<u8> {
    image.pixels.iter().map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8).collect()
}

//! Writes the scenes of pre-training to standard output, for `reference/pretrain.py`:
//! `cargo run --release -p blemish-synthetic --example scenes -- --steps 2000 > scenes.bin`
//!
//! Scenes, sizes, shifts and shares are those that `blemish pretrain` draws of the same seed and batch size for a step of views; the
//! light of the views is changed by the reader. What is written is a function of the options alone, on any number of threads.
//!
//! A step is a record, all numbers little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `BLMSCEN1` |
//! | 8, 8 | seed, step |
//! | 4, 4, 4 | scenes `S`, side of a view, side `W` of a scene: a view and the room for the shift |
//! | 2 S | signed: how many pixels further down and right view B begins than view A |
//! | S | 1 where the scene is grey |
//! | 3 S W W | the scenes, perhaps defective, by row, column, channel; 8 bits |
//! | 3 S W W | the scenes without their defects |
//! | S W W | 1 where defective |

use std::io::{self, BufWriter, ErrorKind, Write};

use blemish_synthetic::{Defective, Families, Image, Scene};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

const USAGE: &str =
    "usage: scenes [--seed N] [--batch-size SCENES] [--side PIXELS] [--first STEP] [--every N] [--steps N]
  --seed        of the images (0)
  --batch-size  scenes of a step at 128 pixels, fewer of larger ones (8)
  --side        of all views, a multiple of 16 (drawn by step: 128, 192 or 256)
  --first       the first step that is written (0)
  --every       every so many steps are written (1): several processes divide the work
  --steps       how many are written (until nobody reads)";

const MAGIC: &[u8; 8] = b"BLMSCEN1";
/// Image sides of a step with their shares.
const SIDES: [(usize, f64); 3] = [(128, 0.8), (192, 0.12), (256, 0.08)];
const DEFECTIVE: f64 = 0.5;
const PATCH: i32 = 16;
/// Pixels that a view may begin earlier or later than the other beside whole patches.
const JITTER: i32 = 2;
/// What a draw is for; the number is part of its generator's key.
const SIDE: u64 = 2;
const PAIR: u64 = 3;

struct Options {
    seed: u64,
    batch_size: usize,
    side: Option<usize>,
    first: u64,
    every: u64,
    steps: Option<usize>,
}

struct Drawn {
    shift: [i32; 2],
    is_grey: bool,
    image: Vec<u8>,
    clean: Vec<u8>,
    mask: Vec<u8>,
}

fn main() -> io::Result<()> {
    let options = options(std::env::args().skip(1)).unwrap_or_else(|e| {
        eprintln!("{e}\n{USAGE}");
        std::process::exit(2);
    });
    let mut out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let steps = (0..options.steps.unwrap_or(usize::MAX) as u64).map(|i| options.first + i * options.every);
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
    let mut options = Options { seed: 0, batch_size: 8, side: None, first: 0, every: 1, steps: None };
    while let Some(name) = arguments.next() {
        let value = arguments.next().and_then(|v| v.parse::<u64>().ok());
        let value = value.ok_or_else(|| format!("{name} needs a number"))?;
        match name.as_str() {
            "--seed" => options.seed = value,
            "--batch-size" if (1..=4096).contains(&value) => options.batch_size = value as usize,
            "--side" if value % 16 == 0 && (32..=1024).contains(&value) => {
                options.side = Some(value as usize)
            }
            "--first" => options.first = value,
            "--every" if value > 0 => options.every = value,
            "--steps" => options.steps = Some(value as usize),
            _ => return Err(format!("{name} {value}: there is no such option or value")),
        }
    }
    Ok(options)
}

/// Writes the record of a step.
fn write(options: &Options, step: u64, out: &mut impl Write) -> io::Result<()> {
    let side = options.side.unwrap_or_else(|| side(options.seed, step));
    let whole = side + (PATCH + JITTER) as usize;
    let scenes = (options.batch_size * 128 * 128 / (side * side)).max(2);
    let drawn: Vec<Drawn> =
        (0..scenes as u64).into_par_iter().map(|item| draw(options.seed, step, item, whole)).collect();
    out.write_all(MAGIC)?;
    out.write_all(&options.seed.to_le_bytes())?;
    out.write_all(&step.to_le_bytes())?;
    for number in [scenes, side, whole] {
        out.write_all(&(number as u32).to_le_bytes())?;
    }
    for scene in &drawn {
        out.write_all(&scene.shift.map(|d| (d as i8).cast_unsigned()))?;
    }
    for scene in &drawn {
        out.write_all(&[u8::from(scene.is_grey)])?;
    }
    let parts: [fn(&Drawn) -> &[u8]; 3] = [|scene| &scene.image, |scene| &scene.clean, |scene| &scene.mask];
    for part in parts {
        for scene in &drawn {
            out.write_all(part(scene))?;
        }
    }
    out.flush()
}

/// The image side of a step, as pre-training draws it.
fn side(seed: u64, step: u64) -> usize {
    let mut drawn: f64 = generator(seed, SIDE, step, 0).random();
    for (side, share) in SIDES {
        if drawn < share {
            return side;
        }
        drawn -= share;
    }
    SIDES[0].0
}

/// A scene, as pre-training draws it.
fn draw(seed: u64, step: u64, item: u64, whole: usize) -> Drawn {
    let rng = &mut generator(seed, PAIR, step, item);
    let shift = [0, 1].map(|_| PATCH * rng.random_range(-1..=1) + rng.random_range(-JITTER..=JITTER));
    let defective = rng.random::<f64>() < DEFECTIVE;
    let (scene, size) = (Scene::new(rng.random(), Families::Training), [whole, whole]);
    let (image, clean, mask) = if defective {
        let Defective { image, clean, mask, .. } = scene.defective(0, size);
        (image, clean, mask)
    } else {
        let good = scene.good(0, size);
        (good.clone(), good, vec![0; whole * whole])
    };
    let is_grey = is_grey(&image) && is_grey(&clean);
    Drawn { shift, is_grey, image: in_bytes(&image), clean: in_bytes(&clean), mask }
}

fn is_grey(image: &Image) -> bool {
    image.pixels.chunks_exact(3).all(|p| p[0] == p[1] && p[1] == p[2])
}

fn in_bytes(image: &Image) -> Vec<u8> {
    image.pixels.iter().map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8).collect()
}

/// The generator of one draw: that of `blemish_train::pretrain::batch`.
fn generator(seed: u64, what: u64, step: u64, item: u64) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    for (slot, value) in key.chunks_exact_mut(8).zip([seed, 0x7072_6500 + what, step, item]) {
        slot.copy_from_slice(&value.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

//! A contact sheet of scenes: `cargo run --release -p blemish-synthetic --example contact_sheet -- sheet.png [first
//! seed] [rows] [size] [training|validation|varied|wide] [kind]`.
//! Columns: good, good, clean, defective, mask; with a kind, only scenes whose defect is of that kind. Of sets whose good photos differ
//! much (`varied`) the third column is good, too; `wide` shows validation scenes with defects that cover much of a photo. What each row is goes
//! to the output.

use blemish_synthetic::{Families, Image, Scene, Varied, VariedSet, wide_defect};

const GAP: usize = 4;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let path = arguments
        .first()
        .ok_or("usage: contact_sheet PATH [SEED] [ROWS] [SIZE] [training|validation|varied|wide] [KIND]")?;
    let number = |k: usize, default: usize| arguments.get(k).map_or(Ok(default), |v| v.parse());
    let (seed, rows, size) = (number(1, 0)?, number(2, 8)?, number(3, 128)?);
    let which = arguments.get(4).map_or("training", String::as_str);
    let families = if which == "validation" { Families::Validation } else { Families::Training };
    let pitch = size + GAP;
    // Two scenes beside each other.
    let (wide, tall) = (10 * pitch, rows.div_ceil(2) * pitch);
    let mut sheet = vec![40u8; wide * tall * 3];
    let seeds = seed as u64..;
    let all: Vec<(String, [Image; 4], Vec<u8>)> = if which == "varied" {
        seeds.take(rows).map(|seed| varied(seed, [size, size])).collect()
    } else if which == "wide" {
        seeds.take(rows).map(|seed| widely_defective(seed, [size, size])).collect()
    } else {
        let wanted = |kind: &str| arguments.get(5).is_none_or(|v| v == kind);
        let scenes = seeds.map(|seed| (seed, Scene::new(seed, families)));
        let scenes = scenes.map(|(seed, scene)| (seed, scene.defective(2, [size, size]), scene));
        let scenes = scenes.take(200 * rows).filter(|(_, defective, _)| wanted(defective.kind.name()));
        let row = |(seed, defective, scene): (u64, blemish_synthetic::Defective, Scene)| {
            let kind = defective.kind.name();
            let words = format!("{seed}: {} ({kind}, {:.0} px)", scene.describe(), defective.size);
            let good = |i| scene.good(i, [size, size]);
            (words, [good(0), good(1), defective.clean, defective.image], defective.mask)
        };
        scenes.take(rows).map(row).collect()
    };
    for (row, (words, photos, mask)) in all.into_iter().enumerate() {
        println!("{words}");
        let pixels = mask.iter().flat_map(|&v| [f32::from(v); 3]).collect();
        let mask = Image { height: size, width: size, channels: 3, pixels };
        let cells = photos.iter().chain([&mask]);
        for (column, cell) in cells.enumerate() {
            let (top, left) = (row / 2 * pitch, ((row % 2) * 5 + column) * pitch);
            for (y, line) in cell.pixels.chunks_exact(size * 3).enumerate() {
                let start = ((top + y) * wide + left) * 3;
                for (out, v) in sheet[start..].iter_mut().zip(line) {
                    *out = (255.0 * v).round() as u8;
                }
            }
        }
    }
    image::save_buffer(path, &sheet, wide as u32, tall as u32, image::ColorType::Rgb8)?;
    Ok(())
}

/// A set of each kind in turn.
fn varied(seed: u64, size: [usize; 2]) -> (String, [Image; 4], Vec<u8>) {
    let kind = Varied::ALL[seed as usize % Varied::ALL.len()];
    let set = VariedSet::new(kind, seed);
    let (image, mask) = set.defective(3, size);
    let [a, b, c] = [0, 1, 2].map(|i| set.good(i, size));
    (format!("{seed}: {}", kind.name()), [a, b, c, image], mask)
}

/// A validation scene with a defect that covers much of a photo.
fn widely_defective(seed: u64, size: [usize; 2]) -> (String, [Image; 4], Vec<u8>) {
    let scene = Scene::new(1_000_000 + seed, Families::Validation);
    let [a, b, clean] = [0, 1, 2].map(|i| scene.good(i, size));
    let (image, mask) = wide_defect(&clean, seed);
    (format!("{seed}: {}", scene.describe()), [a, b, clean, image], mask)
}

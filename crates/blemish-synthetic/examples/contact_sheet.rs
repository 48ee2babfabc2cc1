//! A contact sheet of scenes: `cargo run --release -p blemish-synthetic --example contact_sheet -- sheet.png [first
//! seed] [rows] [size] [training|validation] [kind]`.
//! Columns: good, good, clean, defective, mask; with a kind, only scenes whose defect is of that kind. What each row is
//! goes to the output.

use blemish_synthetic::{Families, Image, Scene};

const GAP: usize = 4;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let path = arguments
        .first()
        .ok_or("usage: contact_sheet PATH [SEED] [ROWS] [SIZE] [training|validation] [KIND]")?;
    let number = |k: usize, default: usize| arguments.get(k).map_or(Ok(default), |v| v.parse());
    let (seed, rows, size) = (number(1, 0)?, number(2, 8)?, number(3, 128)?);
    let families = if arguments.get(4).is_some_and(|v| v == "validation") {
        Families::Validation
    } else {
        Families::Training
    };
    let pitch = size + GAP;
    // Two scenes beside each other.
    let (wide, tall) = (10 * pitch, rows.div_ceil(2) * pitch);
    let mut sheet = vec![40u8; wide * tall * 3];
    let wanted = |kind: &str| arguments.get(5).is_none_or(|v| v == kind);
    let scenes = (seed as u64..).map(|seed| (seed, Scene::new(seed, families)));
    let scenes = scenes.map(|(seed, scene)| (seed, scene.defective(2, [size, size]), scene));
    let scenes = scenes.take(200 * rows).filter(|(_, defective, _)| wanted(defective.kind.name()));
    for (row, (seed, defective, scene)) in scenes.take(rows).enumerate() {
        println!("{}: {} ({}, {:.0} px)", seed, scene.describe(), defective.kind.name(), defective.size);
        let pixels = defective.mask.iter().flat_map(|&v| [f32::from(v); 3]).collect();
        let mask = Image { height: size, width: size, channels: 3, pixels };
        let good = [scene.good(0, [size, size]), scene.good(1, [size, size])];
        let cells = [&good[0], &good[1], &defective.clean, &defective.image, &mask];
        for (column, cell) in cells.into_iter().enumerate() {
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

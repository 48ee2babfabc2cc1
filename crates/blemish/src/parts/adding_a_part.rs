//! The part of `docs/adding-a-part.md`, compiled and run, so that the page stays true.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::saturation::Saturation;
use super::testing::{config_of, with_input};
use super::*;

static KIND: PartKind =
    PartKind::of::<Saturation>("saturation", "saturation", CalibrationRule::Tail, |_| true);

/// The page's blocks of code.
fn blocks() -> Vec<String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/adding-a-part.md");
    let page = std::fs::read_to_string(page).unwrap();
    page.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_page_shows_what_is_compiled_here() {
    let blocks = blocks();
    assert_eq!(blocks[0], include_str!("saturation.rs"));
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words(include_str!("adding_a_part.rs")).contains(&words(&blocks[1])), "{}", blocks[1]);
}

#[test]
fn the_part_finds_what_it_is_for_and_comes_back_from_a_file() {
    let grey = |seed: usize| {
        let pixels = (0..32 * 32).flat_map(|i| [((i * 7 + seed * 5) % 11) as f32 * 0.02 + 0.3; 3]);
        Image { height: 32, width: 32, channels: 3, pixels: pixels.collect() }
    };
    let images: Vec<Image> = (0..6).map(grey).collect();
    let config = config_of(&images[0]);
    let part = with_input(&images, &config, |input| FittedPart::fit(&KIND, input)).unwrap();
    let mut stained = grey(9);
    stained.pixels[3 * (10 * 32 + 20)] += 0.4;
    let map = part.map(&stained);
    assert!((map[10 * 32 + 20] - 0.4).abs() < 1e-5 && map.iter().filter(|v| **v > 0.1).count() == 1);
    let mut tensors = Weights::new();
    part.save(&mut tensors);
    assert!(tensors.keys().all(|name| name.starts_with("saturation.")));
    let loaded = FittedPart::load(&KIND, &mut tensors, &config).unwrap();
    assert!(tensors.is_empty() && loaded.map(&stained) == map);
    assert!(FittedPart::load(&KIND, &mut tensors, &config).is_err());
}

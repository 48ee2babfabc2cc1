//! A photo with a defect of the kinds that scenes have.

use blemish::Image;
use blemish::view::foreground;

use crate::Families;
use crate::canvas::Canvas;
use crate::defect::{Damage, DefectKind, apply};
use crate::random::{pick, random};
use crate::render::View;
use crate::scene::{Defective, Scene, judged};

/// Which of a seed's random streams draws the defect.
const DEFECT: u64 = 12;
/// Tries to draw one that is seen.
const TRIES: u32 = 12;
/// The kinds that need no light and no parts; lines and stains twice.
const KINDS: [DefectKind; 19] = [
    DefectKind::HairlineCrack,
    DefectKind::HairlineCrack,
    DefectKind::Scratch,
    DefectKind::Scratch,
    DefectKind::Stain,
    DefectKind::Stain,
    DefectKind::Hole,
    DefectKind::ForeignTexture,
    DefectKind::CutPaste,
    DefectKind::Scar,
    DefectKind::ContrastChange,
    DefectKind::LocalBlur,
    DefectKind::TextureWarp,
    DefectKind::Contamination,
    DefectKind::Fibre,
    DefectKind::ColourChange,
    DefectKind::Pitting,
    DefectKind::Smear,
    DefectKind::Glare,
];

/// A photo, `[H, W, 3]`, of at least 16 pixels a side, with one defect that stands out as those of scenes do ([`Scene::defective`]), on the
/// product where the ground is plain; `None` where none was seen. A pure function of both.
pub fn damaged_photo(photo: &Image, seed: u64) -> Option<Defective> {
    let size = [photo.height, photo.width];
    let pixels = size[0] * size[1];
    let mut rng = random(seed, DEFECT);
    let scene = Scene::new(seed, Families::Validation);
    let view = View::new(&mut rng, &scene.composition, size, seed);
    let colour = (0..3).map(|k| photo.pixels.iter().skip(k).step_by(3).copied().collect()).collect();
    let flat = || vec![0.0; pixels];
    let clean = Canvas { size, colour, relief: flat(), fine: flat(), object: foreground(photo) };
    (0..TRIES).find_map(|attempt| {
        let kind = pick(&mut rng, &KINDS);
        let mut damage = Damage {
            rng: &mut rng,
            composition: &scene.composition,
            view: &view,
            clean: &clean,
            families: Families::Validation,
            length: 0.0,
            amplitude: 0.0,
        };
        let canvas = apply(kind, attempt.min(3), &mut damage)?;
        let value = |i: usize| canvas.colour[i % 3][i / 3].clamp(0.0, 1.0);
        let image = Image { pixels: (0..3 * pixels).map(value).collect(), ..*photo };
        judged(image, photo, kind)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disc with some texture on plain ground.
    fn photo(ground: f32) -> Image {
        let level = |i: usize| {
            let (y, x) = (i / 96, i % 96);
            let inside = y.abs_diff(48).pow(2) + x.abs_diff(48).pow(2) < 30 * 30;
            if inside { 0.5 + 0.02 * ((y * 7 + x * 3) % 5) as f32 } else { ground }
        };
        let pixels = (0..96 * 96).flat_map(|i| [level(i); 3]).collect();
        Image { height: 96, width: 96, channels: 3, pixels }
    }

    #[test]
    fn most_photos_take_a_defect_that_the_mask_covers_on_the_product() {
        let photo = photo(0.9);
        let product = foreground(&photo);
        let all: Vec<Defective> = (0..40).filter_map(|seed| damaged_photo(&photo, seed)).collect();
        assert!(all.len() >= 36, "{}", all.len());
        let mut inside = 0;
        for defective in &all {
            let differs = |at: &usize| {
                let pixel = |image: &Image| image.pixels[3 * at..3 * at + 3].to_vec();
                pixel(&defective.image) != pixel(&photo)
            };
            let masked: Vec<usize> = (0..96 * 96).filter(|&at| defective.mask[at] > 0).collect();
            assert!(masked.iter().any(differs) && defective.clean == photo);
            inside += usize::from(masked.iter().any(|&at| product[at] > 0.0));
        }
        assert!(inside == all.len(), "{inside}");
        let again = |seed| damaged_photo(&photo, seed).map(|defective| (defective.image, defective.mask));
        assert_eq!(again(3), again(3));
    }

    #[test]
    fn a_photo_without_plain_ground_is_all_product() {
        assert!(foreground(&photo(0.9)).contains(&0.0));
        let gradient = (0..32 * 32).flat_map(|i| [(i % 32) as f32 / 32.0; 3]).collect();
        let gradient = Image { height: 32, width: 32, channels: 3, pixels: gradient };
        assert!(foreground(&gradient).iter().all(|v| *v == 1.0));
    }
}

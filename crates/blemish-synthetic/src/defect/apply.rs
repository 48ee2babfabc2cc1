//! Chooses where a defect lies and how strong it is, and hands it to the function that draws its kind.

use super::{DefectKind, lines, parts, patches};
use crate::Families;
use crate::canvas::Canvas;
use crate::product::Composition;
use crate::random::{Random, chance, log_uniform, uniform};
use crate::render::View;

/// What a defect is drawn with.
pub(crate) struct Damage<'a> {
    pub rng: &'a mut Random,
    pub composition: &'a Composition,
    pub view: &'a View,
    pub clean: &'a Canvas,
    pub families: Families,
    /// Its extent in pixels.
    pub length: f32,
    /// How much it changes values, 0 to 1.
    pub amplitude: f32,
}

/// Whether `kind` can be drawn on `composition` at all.
pub(crate) fn fits(kind: DefectKind, composition: &Composition) -> bool {
    let any = |of: fn(&crate::product::Part) -> bool| composition.parts.iter().any(of);
    match kind {
        DefectKind::MissingPart | DefectKind::MovedPart => any(|part| part.loose),
        DefectKind::ChippedEdge => !composition.filling,
        DefectKind::ThreadBreak | DefectKind::DoubledThread => composition.is_surface,
        DefectKind::PrintBleed => composition.is_surface || any(|part| part.print),
        _ => true,
    }
}

/// The canvas with a defect; nothing if this kind found no place. Each try after the first is stronger.
pub(crate) fn apply(kind: DefectKind, attempt: u32, damage: &mut Damage) -> Option<Canvas> {
    let [height, width] = damage.view.size;
    let side = height.min(width) as f32;
    // A third of the image; lines may run through it.
    let most = match kind {
        DefectKind::HairlineCrack | DefectKind::Scratch => 1.2 * side,
        _ => 0.33 * side,
    };
    damage.length = log_uniform(damage.rng, 4.0, most.max(6.0));
    let amplitude = log_uniform(damage.rng, 0.12, 0.6);
    // What is small must be stronger to be seen.
    let small = (12.0 / damage.length).clamp(1.0, 2.0);
    damage.amplitude = (amplitude * small * 1.35f32.powi(attempt as i32)).min(0.8);
    match kind {
        DefectKind::HairlineCrack => lines::crack(damage),
        DefectKind::Scratch => lines::scratch(damage),
        DefectKind::Fibre => lines::fibre(damage),
        DefectKind::ThreadBreak => lines::thread_break(damage),
        DefectKind::DoubledThread => lines::doubled_thread(damage),
        DefectKind::MissingPart => parts::missing(damage),
        DefectKind::MovedPart => parts::moved(damage),
        DefectKind::ChippedEdge => parts::chipped(damage),
        DefectKind::PrintMissing => parts::print_missing(damage),
        DefectKind::PrintBleed => patches::bleed(damage),
        DefectKind::Stain => patches::stain(damage),
        DefectKind::ColourChange => patches::colour_change(damage),
        DefectKind::Contamination => patches::contamination(damage),
        DefectKind::Dent => patches::dent(damage),
        DefectKind::Hole => patches::hole(damage),
        DefectKind::ForeignTexture => patches::foreign_texture(damage),
        DefectKind::CutPaste => patches::cut_paste(damage),
        DefectKind::Scar => patches::scar(damage),
        DefectKind::ContrastChange => patches::contrast_change(damage),
        DefectKind::LocalBlur => patches::local_blur(damage),
        DefectKind::TextureWarp => patches::texture_warp(damage),
        DefectKind::Glare => patches::glare(damage),
        DefectKind::Pitting => patches::pitting(damage),
        DefectKind::Smear => patches::smear(damage),
        DefectKind::Fold => patches::fold(damage),
    }
}

impl Damage<'_> {
    /// A random place on the product.
    pub fn place(&mut self) -> Option<[f32; 2]> {
        let [height, width] = self.view.size;
        for _ in 0..300 {
            let (y, x) = (uniform(self.rng, 0.0, height as f32), uniform(self.rng, 0.0, width as f32));
            if self.clean.object[(y as usize).min(height - 1) * width + (x as usize).min(width - 1)] > 0.6 {
                return Some([y, x]);
            }
        }
        None
    }

    /// Mean colour of the clean canvas around a place.
    pub fn mean(&self, [y, x]: [f32; 2], reach: usize) -> [f32; 3] {
        let [height, width] = self.view.size;
        let (y, x) = (y as usize, x as usize);
        let mut sum = [0.0f32; 3];
        let mut count = 0.0f32;
        let last = self.clean.colour.len() - 1;
        let step = (reach / 6).max(1);
        for i in (y.saturating_sub(reach)..(y + reach).min(height)).step_by(step) {
            for j in (x.saturating_sub(reach)..(x + reach).min(width)).step_by(step) {
                for (k, sum) in sum.iter_mut().enumerate() {
                    *sum += self.clean.colour[k.min(last)][i * width + j];
                }
                count += 1.0;
            }
        }
        sum.map(|v| v / count.max(1.0))
    }

    /// Plus or minus one: towards where there is room, mostly.
    pub fn sign(&mut self, place: [f32; 2]) -> f32 {
        let [r, g, b] = self.mean(place, 4);
        let bright = (r + g + b) / 3.0;
        let darker = if bright < 0.2 {
            0.05
        } else if bright > 0.75 {
            0.95
        } else {
            0.65
        };
        if chance(self.rng, darker) { -1.0 } else { 1.0 }
    }
}

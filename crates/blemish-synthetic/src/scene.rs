//! One product or one surface: drawn once, photographed any number of times, whole or damaged.

use crate::Families;
use crate::canvas::Canvas;
use crate::defect::{Damage, DefectKind, VISIBLE_PIXELS, apply, enlarge, fits, mask};
use crate::photo::{Photo, Style};
use crate::product::Composition;
use crate::random::{Random, chance, pick, random};
use crate::render::View;
use blemish::Image;

/// Which of a seed's random streams is for what.
const DRAWING: u64 = 1;
const INSTANCE: u64 = 2;
const DEFECT: u64 = 3;

/// Tries of the kind drawn first, and of any kind.
const TRIES: [u32; 2] = [5, 16];

/// A product or a surface.
pub struct Scene {
    seed: u64,
    families: Families,
    channels: usize,
    pub(crate) composition: Composition,
    style: Style,
}

/// A photo with a defect.
pub struct Defective {
    /// The photo, `[H, W, 3]`.
    pub image: Image,
    /// The same photo, in the same light and with the same noise, without the defect.
    pub clean: Image,
    /// 1 = defect, `[H, W]`; outside it no channel of the photos differs by more than [`crate::VISIBLE`].
    pub mask: Vec<u8>,
    /// What is wrong.
    pub kind: DefectKind,
    /// Pixels: the longer side of the mask's bounding box for lines, else the square root of its area.
    pub size: f32,
}

impl Scene {
    /// Draws the scene `seed` from the programs of `families`: half of the scenes are surfaces, three in five are grey.
    pub fn new(seed: u64, families: Families) -> Self {
        let seed = match families {
            Families::Training => seed,
            Families::Validation => seed ^ 0x5DEE_CE66_D1CE_4E5B,
        };
        let mut rng = random(seed, DRAWING);
        let coloured = chance(&mut rng, 0.4);
        let composition = if chance(&mut rng, 0.5) {
            Composition::surface(&mut rng, families, coloured)
        } else {
            Composition::product(&mut rng, families, coloured)
        };
        let style = Style::new(&mut rng);
        Self { seed, families, channels: if coloured { 3 } else { 1 }, composition, style }
    }

    /// Whether it is a surface rather than a product.
    pub fn is_surface(&self) -> bool {
        self.composition.is_surface
    }

    /// The names of its arrangement and of its programs.
    pub fn describe(&self) -> String {
        let mut names = self.composition.ground.names();
        let used = |k: &usize| self.composition.parts.iter().any(|part| part.material == *k);
        for k in (0..self.composition.materials.len()).filter(used) {
            names.extend(self.composition.materials[k].names());
        }
        format!("{}: {}", self.composition.name, names.join(", "))
    }

    /// A good photo, `[H, W, 3]`; `size` is height and width, at least 16 each. Every `instance` differs in pose, light
    /// and noise; of an unbounded surface it shows another place.
    pub fn good(&self, instance: u64, size: [usize; 2]) -> Image {
        let (view, photo) = self.instance(instance, size);
        photo.store(size, photo.expose(&self.canvas(&view)))
    }

    /// A photo with one defect: at least 8 pixels differ visibly. Its `clean` equals [`Scene::good`] of the same
    /// instance.
    pub fn defective(&self, instance: u64, size: [usize; 2]) -> Defective {
        let [height, width] = size;
        let (view, photo) = self.instance(instance, size);
        let clean_canvas = self.canvas(&view);
        let exposed = photo.expose(&clean_canvas);
        let clean = photo.store(size, exposed.clone());
        let mut rng = self.stream(instance, DEFECT);
        let mut kind = self.kind(&mut rng);
        for attempt in 0..TRIES[1] {
            if attempt >= TRIES[0] {
                kind = self.kind(&mut rng);
            }
            let mut damage = Damage {
                rng: &mut rng,
                composition: &self.composition,
                view: &view,
                clean: &clean_canvas,
                families: self.families,
                length: 0.0,
                amplitude: 0.0,
            };
            if let Some(canvas) = apply(kind, attempt, &mut damage) {
                let planes = photo.expose(&canvas);
                let near = enlarge(height, width, &differing(&planes, &exposed));
                let mut image = photo.store(size, planes);
                // Compression spreads a defect over its blocks; that is not to count as the defect.
                for (at, _) in near.iter().enumerate().filter(|(_, near)| **near == 0) {
                    image.pixels[3 * at..3 * at + 3].copy_from_slice(&clean.pixels[3 * at..3 * at + 3]);
                }
                if let Some(done) = judged(image, &clean, kind) {
                    return done;
                }
            }
        }
        spot(&clean, size, &mut rng)
    }

    fn stream(&self, instance: u64, purpose: u64) -> Random {
        random(
            self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ instance.wrapping_mul(0xD134_2543_DE82_EF95),
            purpose,
        )
    }

    fn instance(&self, instance: u64, size: [usize; 2]) -> (View, Photo) {
        let mut rng = self.stream(instance, INSTANCE);
        let view = View::new(&mut rng, &self.composition, size, self.seed);
        let photo = Photo::new(&self.style, &mut rng);
        (view, photo)
    }

    fn canvas(&self, view: &View) -> Canvas {
        view.render(&self.composition, &self.composition.parts, self.channels)
    }

    /// Draws a kind that this scene can have; half of the validation's are held out from training.
    fn kind(&self, rng: &mut Random) -> DefectKind {
        let held_out = self.families == Families::Validation && chance(rng, 0.5);
        let fit: Vec<DefectKind> = DefectKind::ALL
            .into_iter()
            .filter(|kind| kind.is_held_out() == held_out && fits(*kind, &self.composition))
            .flat_map(|kind| std::iter::repeat_n(kind, kind.weight()))
            .collect();
        pick(rng, &fit)
    }
}

/// Where any plane differs visibly.
fn differing(planes: &[Vec<f32>], exposed: &[Vec<f32>]) -> Vec<u8> {
    let mut seen = vec![0; exposed[0].len()];
    for (plane, clean) in planes.iter().zip(exposed) {
        for (seen, (a, b)) in seen.iter_mut().zip(plane.iter().zip(clean)) {
            *seen |= u8::from((a - b).abs() > crate::VISIBLE);
        }
    }
    seen
}

/// The defective photo, unless too little of it is visible.
pub(crate) fn judged(image: Image, clean: &Image, kind: DefectKind) -> Option<Defective> {
    let (mask, seen) = mask(&image, clean);
    if seen < VISIBLE_PIXELS {
        return None;
    }
    if !stands_out(&image, clean, &mask, seen) {
        return None;
    }
    let size = extent(&mask, clean.width, kind);
    Some(Defective { image, clean: clean.clone(), mask, kind, size })
}

/// Whether the change is strong for its size and for the texture that it lies in: its root mean square in the mask is above
/// 0.05 (1 + 20 / pixels) and above 0.7 of the clean photo's standard deviation in and around it.
fn stands_out(image: &Image, clean: &Image, mask: &[u8], seen: usize) -> bool {
    let (mut change, mut sum, mut squares, mut count) = (0.0f32, 0.0f32, 0.0f32, 0.0f32);
    let wide = enlarge(clean.height, clean.width, mask);
    for at in wide.iter().enumerate().filter(|(_, v)| **v > 0).map(|(at, _)| at) {
        let mean = |image: &Image| image.pixels[3 * at..3 * at + 3].iter().sum::<f32>() / 3.0;
        let most =
            (3 * at..3 * at + 3).map(|k| (image.pixels[k] - clean.pixels[k]).abs()).fold(0.0, f32::max);
        change += most * most * f32::from(mask[at]);
        let v = mean(clean);
        (sum, squares, count) = (sum + v, squares + v * v, count + 1.0);
    }
    let strength = (change / seen as f32).sqrt();
    let deviation = (squares / count - (sum / count).powi(2)).max(0.0).sqrt();
    strength > 0.05 * (1.0 + 20.0 / seen as f32) && strength > 0.7 * deviation
}

fn extent(mask: &[u8], width: usize, kind: DefectKind) -> f32 {
    let places = || mask.iter().enumerate().filter(|(_, v)| **v > 0).map(|(at, _)| at);
    if !kind.is_line() {
        return (places().count() as f32).sqrt();
    }
    let spread = |of: &dyn Fn(usize) -> usize| {
        let (low, high) =
            places().fold((usize::MAX, 0), |(low, high), at| (low.min(of(at)), high.max(of(at))));
        (high + 1).saturating_sub(low)
    };
    spread(&|at| at / width).max(spread(&|at| at % width)) as f32
}

/// A plain square spot, where nothing else could be seen.
fn spot(clean: &Image, [height, width]: [usize; 2], rng: &mut Random) -> Defective {
    let side = 4.min(height).min(width);
    let top = crate::random::between(rng, 0, height - side);
    let left = crate::random::between(rng, 0, width - side);
    let mut image = clean.clone();
    for y in top..top + side {
        for v in &mut image.pixels[3 * (y * width + left)..3 * (y * width + left + side)] {
            *v += if *v < 0.5 { 0.3 } else { -0.3 };
        }
    }
    let (mask, _) = mask(&image, clean);
    Defective { image, clean: clean.clone(), mask, kind: DefectKind::ColourChange, size: side as f32 }
}

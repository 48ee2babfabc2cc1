//! Products: parts of simple outlines, each of some material, in arrangements drawn once.

mod arrangements;
mod objects;
mod shape;

pub(crate) use shape::Shape;

use crate::Families;
use crate::random::{Random, chance, log_uniform, pick, uniform};
use crate::surface::{Look, Surface, material_look, surface_look};

/// What lies at one place of a product.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Its outline.
    pub shape: Shape,
    /// Where its origin lies (y, x), in units of the image's shorter side, from the middle.
    pub at: [f32; 2],
    /// Its rotation.
    pub angle: f32,
    /// Which of the product's materials.
    pub material: usize,
    /// Width of the bevel in units of the image's side; negative for a recess.
    pub bevel: f32,
    /// Brightness factor.
    pub shade: f32,
    /// A defect may take it away or move it.
    pub loose: bool,
    /// Ink rather than a body: no relief of its own, and a printing defect may touch it.
    pub print: bool,
}

impl Part {
    /// A part with a small bevel.
    pub fn new(shape: Shape, at: [f32; 2], material: usize) -> Self {
        Self { shape, at, angle: 0.0, material, bevel: 0.012, shade: 1.0, loose: false, print: false }
    }

    /// Turned by `angle`.
    pub fn turned(self, angle: f32) -> Self {
        Self { angle, ..self }
    }

    /// With a bevel of another width.
    pub fn bevel(self, bevel: f32) -> Self {
        Self { bevel, ..self }
    }

    /// One that a defect may take away.
    pub fn loose(self) -> Self {
        Self { loose: true, ..self }
    }

    /// Darker or brighter.
    pub fn shaded(self, shade: f32) -> Self {
        Self { shade, ..self }
    }

    /// Ink.
    pub fn ink(self) -> Self {
        Self { print: true, bevel: 0.0, ..self }
    }
}

/// How the good images of a product differ in pose.
#[derive(Clone, Copy)]
pub(crate) struct Pose {
    /// Largest shift, in units of the image's side.
    pub shift: f32,
    /// Largest rotation, radians; at least pi: any.
    pub angle: f32,
    /// Largest relative change of size.
    pub scale: f32,
}

/// Everything of a scene that is drawn once: a ground, materials, and parts upon the ground.
pub(crate) struct Composition {
    /// The arrangement's name.
    pub name: &'static str,
    /// What is behind the parts: the surface itself, for surfaces.
    pub ground: Surface,
    /// The surfaces of the parts.
    pub materials: Vec<Surface>,
    /// The parts, the lowest first.
    pub parts: Vec<Part>,
    /// A surface, not a product.
    pub is_surface: bool,
    /// The ground belongs to the product: defects may lie anywhere.
    pub filling: bool,
    /// How poses differ.
    pub pose: Pose,
    /// Magnification of every texture, so that programs also occur larger than they were written.
    pub zoom: f32,
}

/// What the arrangements are made with.
pub(crate) struct Maker<'a> {
    pub rng: &'a mut Random,
    pub families: Families,
    pub coloured: bool,
}

impl Maker<'_> {
    /// Uniform in `[low, high)`.
    pub fn uniform(&mut self, low: f32, high: f32) -> f32 {
        uniform(self.rng, low, high)
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f32) -> bool {
        chance(self.rng, p)
    }

    /// An integer in `low..=high`.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        crate::random::between(self.rng, low, high)
    }

    /// A quiet ground: plain, white, dark or slightly textured.
    fn ground(&mut self) -> Surface {
        let brightness = pick(self.rng, &[0.95, 0.85, 0.08, 0.2, 0.4, 0.6]) + self.uniform(-0.04, 0.04);
        let contrast = pick(self.rng, &[0.01, 0.03, 0.15]);
        let look = Look { contrast, layers: 1, brightness, coloured: self.coloured && contrast > 0.02 };
        let mut ground = Surface::new(self.rng, self.families, look);
        ground.relief *= 0.2;
        ground
    }

    /// Materials whose brightness differs from one another and from `against`.
    fn materials(&mut self, count: usize, against: f32) -> Vec<Surface> {
        let mut previous = against;
        (0..count)
            .map(|_| {
                let mut look = material_look(self.rng, self.coloured);
                if (look.brightness - previous).abs() < 0.15 {
                    look.brightness += if previous < 0.5 { 0.25 } else { -0.25 };
                }
                previous = look.brightness;
                let mut surface = Surface::new(self.rng, self.families, look);
                surface.fixed = self.chance(0.3);
                surface
            })
            .collect()
    }
}

type Arrange = fn(&mut Maker) -> Vec<Part>;

/// An arrangement of parts.
#[derive(Clone, Copy)]
pub(crate) struct Arrangement {
    /// Its name, unique.
    pub name: &'static str,
    /// Never used for training.
    pub held_out: bool,
    filling: bool,
    /// May lie at any angle.
    turns: bool,
    make: Arrange,
}

/// The arrangements that `families` may use.
pub(crate) fn arrangements(families: Families) -> Vec<Arrangement> {
    let wanted = families == Families::Validation;
    [objects::ALL, arrangements::ALL].concat().into_iter().filter(|each| each.held_out == wanted).collect()
}

impl Composition {
    /// Draws a product.
    pub fn product(rng: &mut Random, families: Families, coloured: bool) -> Self {
        let zoom = log_uniform(rng, 0.8, 1.8);
        let arrangement = pick(rng, &arrangements(families));
        let mut maker = Maker { rng, families, coloured };
        let ground = if arrangement.filling {
            let look = material_look(maker.rng, coloured);
            Surface::new(maker.rng, families, look)
        } else {
            maker.ground()
        };
        let against = ground.colour(0.5)[1];
        let materials = maker.materials(4, against);
        let mut parts = (arrangement.make)(&mut maker);
        parts.iter_mut().for_each(|part| part.material %= materials.len());
        let any = arrangement.turns && maker.chance(0.4);
        let tight = arrangement.filling || maker.chance(0.4);
        let pose = Pose {
            shift: if tight { 0.008 } else { maker.uniform(0.01, 0.06) },
            angle: if any {
                4.0
            } else if tight {
                0.01
            } else {
                maker.uniform(0.02, 0.15)
            },
            scale: if tight { 0.004 } else { 0.025 },
        };
        Self {
            name: arrangement.name,
            ground,
            materials,
            parts,
            is_surface: false,
            filling: arrangement.filling,
            pose,
            zoom,
        }
    }

    /// Draws a surface; one in four has large fixed structure: bands, edges, bars.
    pub fn surface(rng: &mut Random, families: Families, coloured: bool) -> Self {
        let zoom = log_uniform(rng, 0.8, 2.5);
        let look = surface_look(rng, coloured);
        let mut ground = Surface::new(rng, families, look);
        if ground.relief > 0.0 {
            ground.relief *= log_uniform(rng, 0.7, 1.6);
        }
        let mut maker = Maker { rng, families, coloured };
        let banded = maker.chance(0.25);
        let (materials, parts) = if banded {
            let materials = maker.materials(2, look.brightness);
            (materials, bands(&mut maker))
        } else {
            (Vec::new(), Vec::new())
        };
        let angle = if banded { 0.01 } else { pick(rng, &[0.03, 0.06, 4.0]) };
        let pose = Pose { shift: 0.015, angle, scale: 0.01 };
        let name = if banded { "banded surface" } else { "surface" };
        Self { name, ground, materials, parts, is_surface: true, filling: true, pose, zoom }
    }
}

/// Bands across the whole image, upright or lying.
fn bands(maker: &mut Maker) -> Vec<Part> {
    let turn = if maker.chance(0.5) { std::f32::consts::FRAC_PI_2 } else { 0.0 };
    let count = maker.between(1, 4);
    let even = maker.chance(0.5);
    let (wide, start, bevel) =
        (maker.uniform(0.01, 0.12), maker.uniform(-0.45, -0.2), maker.uniform(-0.01, 0.01));
    let step = maker.uniform(0.9, 1.0) * -2.0 * start / count.max(2).saturating_sub(1) as f32;
    (0..count)
        .map(|k| {
            let offset = if even { start + step * k as f32 } else { maker.uniform(-0.5, 0.5) };
            let wide = if even { wide } else { maker.uniform(0.008, 0.2) };
            let at = if turn > 0.0 { [0.0, offset] } else { [offset, 0.0] };
            Part::new(Shape::Box(wide, 4.0, 0.0), at, usize::from(!even && k % 2 == 1))
                .turned(turn)
                .bevel(bevel)
        })
        .collect()
}

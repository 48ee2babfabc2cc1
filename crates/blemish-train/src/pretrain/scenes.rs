//! Where the images come from: the generator of scenes.

use blemish::Image;
use blemish_synthetic::{Defective, Families, Scene};

/// Which families of scenes pre-training sees, for the weights' file.
pub const FAMILIES: &str = "training";

/// A generated image.
pub struct Drawn {
    /// As it is, `[H, W, 3]`.
    pub image: Image,
    /// Without its defect.
    pub clean: Image,
    /// 1 where it is defective, `[H, W]`.
    pub mask: Vec<u8>,
}

/// A scene of a family that pre-training sees.
pub struct TrainingScene(Scene);

impl TrainingScene {
    /// The scene of a seed.
    pub fn new(seed: u64) -> Self {
        Self(Scene::new(seed, Families::Training))
    }

    /// Whether it is a surface rather than a product.
    pub fn is_surface(&self) -> bool {
        self.0.is_surface()
    }

    /// An instance, good or defective.
    pub fn draw(&self, instance: u64, defective: bool, size: [usize; 2]) -> Drawn {
        if defective {
            return defective_of(&self.0, instance, size);
        }
        let clean = self.0.good(instance, size);
        Drawn { image: clean.clone(), clean, mask: vec![0; size[0] * size[1]] }
    }
}

/// A scene of a family that pre-training never sees.
pub struct ValidationScene(Scene);

impl ValidationScene {
    /// The scene of a seed.
    pub fn new(seed: u64) -> Self {
        Self(Scene::new(seed, Families::Validation))
    }

    /// Whether it is a surface rather than a product.
    pub fn is_surface(&self) -> bool {
        self.0.is_surface()
    }

    /// A good instance.
    pub fn good(&self, instance: u64, size: [usize; 2]) -> Image {
        self.0.good(instance, size)
    }

    /// A defective instance.
    pub fn defective(&self, instance: u64, size: [usize; 2]) -> Drawn {
        defective_of(&self.0, instance, size)
    }
}

fn defective_of(scene: &Scene, instance: u64, size: [usize; 2]) -> Drawn {
    let Defective { image, clean, mask, .. } = scene.defective(instance, size);
    Drawn { image, clean, mask }
}

//! Changes of pose: rotation, perspective, crop, flips, scale and shift, in one projective warp and one resampling.

use blemish::image::{Border, Image};
use rand::Rng;

use super::uniform;
use super::warp::{Homography, warp};

/// How the pose may change. The default changes nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct GeometricConfig {
    /// Largest rotation either way, degrees, 0 to 180.
    pub rotation_degrees: f32,
    /// How far a corner may move inwards, as a fraction of half the side, 0 to 0.5 (torchvision `RandomPerspective`).
    pub perspective_distortion: f32,
    /// Share of the images that get a perspective, 0 to 1.
    pub perspective_probability: f32,
    /// Side of the central part that is kept and resized back, as a fraction, 0.1 to 1; 1 keeps all.
    pub center_crop: f32,
    /// Share of the images mirrored left to right, 0 to 1.
    pub horizontal_flip: f32,
    /// Share of the images mirrored top to bottom, 0 to 1.
    pub vertical_flip: f32,
    /// Largest relative change of size either way, 0 to 0.9.
    pub scale: f32,
    /// Largest shift either way, as a fraction of the side, 0 to 1.
    pub translate: f32,
    /// What fills the places that the source does not reach.
    pub border: Border,
}

impl Default for GeometricConfig {
    fn default() -> Self {
        Self {
            rotation_degrees: 0.0,
            perspective_distortion: 0.0,
            perspective_probability: 0.0,
            center_crop: 1.0,
            horizontal_flip: 0.0,
            vertical_flip: 0.0,
            scale: 0.0,
            translate: 0.0,
            border: Border::Replicate,
        }
    }
}

impl GeometricConfig {
    /// Draws a pose for an image of this size: rotation with scale and shift, then perspective, crop, flips.
    pub fn draw(&self, height: usize, width: usize, rng: &mut impl Rng) -> Homography {
        let (h, w) = (height as f32, width as f32);
        let angle = uniform(-1.0, 1.0, rng) * self.rotation_degrees;
        let scale = 1.0 + uniform(-1.0, 1.0, rng) * self.scale;
        let shift = [w, h].map(|side| f64::from(uniform(-1.0, 1.0, rng) * self.translate * side));
        let mut pose = Homography::rotation(f64::from(angle).to_radians())
            .compose(&Homography::scaling(1.0 / f64::from(scale), 1.0 / f64::from(scale)))
            .compose(&Homography::translation(shift[0], shift[1]));
        if rng.random::<f32>() < self.perspective_probability {
            let mut inset =
                |side: f32| f64::from(uniform(0.0, self.perspective_distortion * 0.5 * side, rng));
            let (half_w, half_h) = (f64::from(w) * 0.5, f64::from(h) * 0.5);
            let corners = [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]
                .map(|(x, y)| [x * (half_w - inset(w)), y * (half_h - inset(h))]);
            pose = pose.compose(&Homography::to_corners(half_w, half_h, corners).inverse());
        }
        let mirror =
            |probability: f32, rng: &mut _| if Rng::random::<f32>(rng) < probability { -1.0 } else { 1.0 };
        let crop = f64::from(self.center_crop);
        let (flip_x, flip_y) = (mirror(self.horizontal_flip, rng), mirror(self.vertical_flip, rng));
        pose.compose(&Homography::scaling(crop * flip_x, crop * flip_y))
    }

    /// A copy of `image` in a newly drawn pose, of the same size.
    pub fn apply(&self, image: &Image, rng: &mut impl Rng) -> Image {
        warp(image, &self.draw(image.height, image.width, rng), self.border)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn counting(height: usize, width: usize, channels: usize) -> Image {
        let pixels = (0..height * width * channels).map(|v| v as f32 / 100.0).collect();
        Image { height, width, channels, pixels }
    }

    fn close(a: &[f32], b: &[f32]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5)
    }

    #[test]
    fn the_default_changes_nothing() {
        let image = counting(5, 7, 3);
        let out = GeometricConfig::default().apply(&image, &mut ChaCha8Rng::seed_from_u64(0));
        assert_eq!(out, image);
    }

    #[test]
    fn flips_mirror() {
        let image = Image { height: 2, width: 3, channels: 1, pixels: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0] };
        let flip = GeometricConfig { horizontal_flip: 1.0, vertical_flip: 1.0, ..Default::default() };
        let out = flip.apply(&image, &mut ChaCha8Rng::seed_from_u64(0));
        assert!(close(&out.pixels, &[6.0, 5.0, 4.0, 3.0, 2.0, 1.0]));
    }

    #[test]
    fn every_pose_stays_within_the_values_of_the_source() {
        let image = counting(33, 20, 1);
        let config = GeometricConfig {
            rotation_degrees: 180.0,
            perspective_distortion: 0.5,
            perspective_probability: 1.0,
            scale: 0.9,
            translate: 1.0,
            border: Border::Reflect,
            horizontal_flip: 0.9,
            center_crop: 200.0 / 256.0,
            ..GeometricConfig::default()
        };
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for _ in 0..50 {
            let out = config.apply(&image, &mut rng);
            assert!(out.pixels.iter().all(|v| (-1e-4..6.601).contains(v)));
        }
    }
}

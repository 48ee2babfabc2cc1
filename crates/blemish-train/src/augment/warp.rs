//! Projective maps of the plane, and images seen through them.

use blemish::image::{Border, Image, sample};

/// A projective map from places in the new image to places in the old one, `[x, y, 1]` in pixels from the centre of
/// the image, x to the right, y downwards.
#[derive(Clone, Debug, PartialEq)]
pub struct Homography(pub [[f64; 3]; 3]);

impl Homography {
    /// Turns the image counter-clockwise by `angle` radians.
    pub fn rotation(angle: f64) -> Self {
        let (sin, cos) = angle.sin_cos();
        Self([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    }

    /// Reads the source at `x` and `y` times the given factors: a factor below 1 enlarges, a negative one mirrors.
    pub(crate) fn scaling(x: f64, y: f64) -> Self {
        Self([[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]])
    }

    /// Reads the source `x` pixels to the right and `y` below.
    pub(crate) fn translation(x: f64, y: f64) -> Self {
        Self([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])
    }

    /// First `inner`, then `self`.
    pub(crate) fn compose(&self, inner: &Self) -> Self {
        let product = |i: usize, j: usize| (0..3).map(|k| self.0[i][k] * inner.0[k][j]).sum();
        Self(std::array::from_fn(|i| std::array::from_fn(|j| product(i, j))))
    }

    /// The map that takes the corners of the rectangle `+-half_width, +-half_height`, clockwise from the top left, to
    /// `corners` (Heckbert, "Fundamentals of Texture Mapping and Image Warping", 1989, section 2.2.3).
    pub(super) fn to_corners(half_width: f64, half_height: f64, corners: [[f64; 2]; 4]) -> Self {
        let [[x0, y0], [x1, y1], [x2, y2], [x3, y3]] = corners;
        let (dx1, dx2, sx) = (x1 - x2, x3 - x2, x0 - x1 + x2 - x3);
        let (dy1, dy2, sy) = (y1 - y2, y3 - y2, y0 - y1 + y2 - y3);
        let area = dx1 * dy2 - dx2 * dy1;
        let (g, h) = ((sx * dy2 - dx2 * sy) / area, (dx1 * sy - sx * dy1) / area);
        let from_unit_square = Self([
            [x1 - x0 + g * x1, x3 - x0 + h * x3, x0],
            [y1 - y0 + g * y1, y3 - y0 + h * y3, y0],
            [g, h, 1.0],
        ]);
        let to_unit_square =
            Self([[0.5 / half_width, 0.0, 0.5], [0.0, 0.5 / half_height, 0.5], [0.0, 0.0, 1.0]]);
        from_unit_square.compose(&to_unit_square)
    }

    /// The map backwards, up to a factor that projective maps do not see.
    pub(super) fn inverse(&self) -> Self {
        let m = &self.0;
        let cofactor = |r: usize, c: usize| {
            let ([r1, r2], [c1, c2]) = ([(r + 1) % 3, (r + 2) % 3], [(c + 1) % 3, (c + 2) % 3]);
            m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]
        };
        Self(std::array::from_fn(|i| std::array::from_fn(|j| cofactor(j, i))))
    }
}

/// `image` seen through `map`, of the same size: one bilinear resampling.
pub fn warp(image: &Image, map: &Homography, border: Border) -> Image {
    let Image { height, width, channels, .. } = *image;
    let (cx, cy) = ((width as f64 - 1.0) * 0.5, (height as f64 - 1.0) * 0.5);
    let [mx, my, mw] = map.0;
    let mut pixels = vec![0.0; image.pixels.len()];
    for (y, row) in pixels.chunks_exact_mut(width * channels).enumerate() {
        let at = |m: [f64; 3], x: f64| m[0] * x + m[1] * (y as f64 - cy) + m[2];
        for (x, out) in row.chunks_exact_mut(channels).enumerate() {
            let x = x as f64 - cx;
            let inverse = 1.0 / at(mw, x);
            let source = [at(mx, x) * inverse + cx, at(my, x) * inverse + cy];
            sample(image, source[0] as f32, source[1] as f32, border, out);
        }
    }
    Image { height, width, channels, pixels }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: &[f32], b: &[f32]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5)
    }

    #[test]
    fn a_quarter_turn_is_exact() {
        let image = Image { height: 2, width: 2, channels: 1, pixels: vec![1.0, 2.0, 3.0, 4.0] };
        let turned = warp(&image, &Homography::rotation(std::f64::consts::FRAC_PI_2), Border::Replicate);
        assert!(close(&turned.pixels, &[2.0, 4.0, 1.0, 3.0]), "{:?}", turned.pixels);
    }

    #[test]
    fn shifts_uncover_the_border() {
        let image = Image { height: 1, width: 4, channels: 1, pixels: vec![1.0, 2.0, 3.0, 4.0] };
        let shift = |border| warp(&image, &Homography::translation(2.0, 0.0), border).pixels;
        assert!(close(&shift(Border::Replicate), &[3.0, 4.0, 4.0, 4.0]));
        assert!(close(&shift(Border::Reflect), &[3.0, 4.0, 3.0, 2.0]));
        let half = warp(&image, &Homography::translation(-0.5, 0.0), Border::Replicate).pixels;
        assert!(close(&half, &[1.0, 1.5, 2.5, 3.5]));
    }

    #[test]
    fn a_single_pixel_survives_every_border() {
        let image = Image::filled(1, 1, 3, 0.25);
        for border in [Border::Replicate, Border::Reflect] {
            assert_eq!(warp(&image, &Homography::translation(-7.3, 9.1), border), image);
        }
    }

    #[test]
    fn perspective_takes_corners_to_corners_and_back() {
        let corners = [[-9.0, -7.0], [10.0, -8.0], [8.5, 7.0], [-9.5, 6.5]];
        let map = Homography::to_corners(10.0, 8.0, corners);
        let project = |m: &Homography, [x, y]: [f64; 2]| {
            let [px, py, pw] = m.0.map(|row| row[0] * x + row[1] * y + row[2]);
            [px / pw, py / pw]
        };
        for (from, to) in [[-10.0, -8.0], [10.0, -8.0], [10.0, 8.0], [-10.0, 8.0]].into_iter().zip(corners) {
            let there = project(&map, from);
            let back = project(&map.inverse(), there);
            assert!(there.iter().zip(to).all(|(a, b)| (a - b).abs() < 1e-9));
            assert!(back.iter().zip(from).all(|(a, b)| (a - b).abs() < 1e-9));
        }
    }
}

//! Where a single product lies on a plain ground, and which way it points.

use std::cmp::Reverse;

use nalgebra::{SMatrix, SVector};

use crate::image::{Image, PixelMask, resize};
use crate::metrics::connected_components;

/// Longer side of the thumbnail that is searched.
const SIDE: usize = 128;
/// Terms of the ground's surface: 1, x, y, x x, x y, y y.
const TERMS: usize = 6;
/// Rounds of fitting the ground to what is not product.
const ROUNDS: usize = 6;
/// Least difference from the ground, in grey levels, that counts as product.
const VISIBLE: f64 = 12.0;
/// By how much more it must differ, where what differs less is no single region: a shadow may tie it to the border.
const THRESHOLD_MULTIPLIERS: [f64; 4] = [1.0, 1.5, 2.0, 3.0];
/// Share of the image that one product may cover.
const SHARE: std::ops::RangeInclusive<f64> = 0.01..=0.6;
/// Largest share of the image's border that the product may touch.
const TOUCH: f64 = 0.05;

/// A product's place, in units of the image's longer side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Product {
    /// Middle of its bounding box along and across its axis, `[y, x]`.
    pub centre: [f64; 2],
    /// Unit vector `[y, x]` of its longest axis, towards the end that reaches further from the centre of mass.
    pub axis: [f64; 2],
    /// Sides of that bounding box: across and along the axis.
    pub extent: [f64; 2],
}

/// Finds the largest region that stands out from a smoothly lit ground; `None` where there is no such ground, or what
/// stands out is no single region within the image.
///
/// The ground is a quadratic surface of grey levels, fitted first to the border and then to all that is near it.
pub fn find_product(image: &Image) -> Option<Product> {
    let longer = image.height.max(image.width);
    let size = [image.height, image.width].map(|side| (side * SIDE).div_ceil(longer).max(8));
    let small = resize(image, size).ok()?;
    let grey = small.grey();
    let [height, width] = size;
    let levels: Vec<f64> = grey.iter().map(|&v| f64::from(v) * 255.0).collect();

    let differs = differences(&levels, size)?;
    let on_border = |i: usize| {
        let (y, x) = (i / width, i % width);
        y == 0 || x == 0 || y + 1 == height || x + 1 == width
    };
    let single = |least: f64| {
        let set: Vec<bool> = differs.iter().map(|&d| d > least).collect();
        let product = largest_component(&set, size);
        let count = product.iter().filter(|&&p| p).count();
        let share = count as f64 / product.len() as f64;
        let touching = (0..product.len()).filter(|&i| product[i] && on_border(i)).count();
        let lies_within = touching as f64 <= TOUCH * (2 * (height + width)) as f64;
        (SHARE.contains(&share) && lies_within).then_some(product)
    };
    let product = THRESHOLD_MULTIPLIERS.into_iter().find_map(single)?;
    Some(moments(&product, width, 1.0 / SIDE as f64))
}

/// How far pixels are from the ground, in units of six standard deviations of its noise, or of [`VISIBLE`] grey levels where that is
/// more; `None` where no surface fits.
fn differences(levels: &[f64], [height, width]: [usize; 2]) -> Option<Vec<f64>> {
    let terms = |i: usize| -> [f64; TERMS] {
        let y = (i / width) as f64 / height as f64 - 0.5;
        let x = (i % width) as f64 / width as f64 - 0.5;
        [1.0, x, y, x * x, x * y, y * y]
    };
    let band = (height.min(width) / 16).max(1);
    let mut is_ground: Vec<bool> = (0..levels.len())
        .map(|i| {
            let (y, x) = (i / width, i % width);
            y.min(height - 1 - y).min(x).min(width - 1 - x) < band
        })
        .collect();
    let mut residuals = Vec::new();
    let mut noise = 0.0;
    for _ in 0..ROUNDS {
        let (mut normal, mut right) = (SMatrix::<f64, TERMS, TERMS>::zeros(), SVector::<f64, TERMS>::zeros());
        for i in (0..levels.len()).filter(|&i| is_ground[i]) {
            let t = SVector::from(terms(i));
            normal += t * t.transpose();
            right += t * levels[i];
        }
        let surface = normal.cholesky()?.solve(&right);
        let fit = |i: usize| terms(i).iter().zip(&surface).map(|(t, c)| t * c).sum::<f64>();
        residuals = (0..levels.len()).map(|i| (levels[i] - fit(i)).abs()).collect();
        let mut of_ground: Vec<f64> =
            residuals.iter().zip(&is_ground).filter(|(_, g)| **g).map(|(r, _)| *r).collect();
        let middle = of_ground.len() / 2;
        // The median absolute deviation of a normal distribution is 0.6745 of its standard deviation.
        noise = *of_ground.select_nth_unstable_by(middle, f64::total_cmp).1 / 0.6745;
        is_ground = residuals.iter().map(|&r| r < 3.0 * noise + 2.0).collect();
        if is_ground.iter().filter(|&&g| g).count() < 4 * TERMS {
            return None;
        }
    }
    let least = (6.0 * noise).max(VISIBLE);
    Some(residuals.iter().map(|r| r / least).collect())
}

/// The largest 8-connected set of true pixels.
fn largest_component(set: &[bool], [height, width]: [usize; 2]) -> Vec<bool> {
    let pixels = set.iter().map(|&v| u8::from(v)).collect();
    let Ok(components) = connected_components(&PixelMask { height, width, pixels }) else {
        return vec![false; set.len()];
    };
    let mut sizes = vec![0usize; components.count + 1];
    components.labels.iter().filter(|label| **label != 0).for_each(|&label| sizes[label as usize] += 1);
    let largest = (1..sizes.len()).max_by_key(|&label| (sizes[label], Reverse(label)));
    components.labels.iter().map(|&label| Some(label as usize) == largest).collect()
}

/// Axis and box of a set of pixels, `unit` long each.
fn moments(set: &[bool], width: usize, unit: f64) -> Product {
    let places: Vec<[f64; 2]> = (0..set.len())
        .filter(|&i| set[i])
        .map(|i| [(i / width) as f64 + 0.5, (i % width) as f64 + 0.5])
        .collect();
    let n = places.len() as f64;
    let mean = [0, 1].map(|k| places.iter().map(|p| p[k]).sum::<f64>() / n);
    let second =
        |a: usize, b: usize| places.iter().map(|p| (p[a] - mean[a]) * (p[b] - mean[b])).sum::<f64>() / n;
    // The axis of largest variance of a 2 x 2 covariance.
    let angle = 0.5 * (2.0 * second(0, 1)).atan2(second(1, 1) - second(0, 0));
    let mut axis = [angle.sin(), angle.cos()];
    let along = |axis: [f64; 2], p: &[f64; 2]| (p[0] - mean[0]) * axis[0] + (p[1] - mean[1]) * axis[1];
    if places.iter().map(|p| along(axis, p).powi(3)).sum::<f64>() < 0.0 {
        axis = axis.map(|v| -v);
    }
    let range = |axis: [f64; 2]| {
        let values = || places.iter().map(|p| along(axis, p));
        (values().fold(f64::INFINITY, f64::min) - 0.5, values().fold(f64::NEG_INFINITY, f64::max) + 0.5)
    };
    let side = [axis[1], -axis[0]];
    let ((a0, a1), (b0, b1)) = (range(axis), range(side));
    let (a, b) = (0.5 * (a0 + a1), 0.5 * (b0 + b1));
    Product {
        centre: [0, 1].map(|k| (mean[k] + a * axis[k] + b * side[k]) * unit),
        axis,
        extent: [(b1 - b0) * unit, (a1 - a0) * unit],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dark wedge on an unevenly lit ground: wide end and tip along `angle` from `[y, x]`.
    fn wedge(size: [usize; 2], centre: [f64; 2], angle: f64) -> Image {
        let [height, width] = size;
        let (sin, cos) = angle.sin_cos();
        let pixels = (0..height * width)
            .map(|i| {
                let (y, x) = ((i / width) as f64 + 0.5 - centre[0], (i % width) as f64 + 0.5 - centre[1]);
                let (along, across) = (y * sin + x * cos, x * sin - y * cos);
                let inside = (-40.0..=60.0).contains(&along) && across.abs() < 0.2 * (60.0 - along);
                let ground = 180.0 + 20.0 * x / width as f64 - 15.0 * (y / height as f64).powi(2);
                if inside { 60.0 / 255.0 } else { ground.floor() as f32 / 255.0 }
            })
            .collect();
        Image { height, width, channels: 1, pixels }
    }

    #[test]
    fn a_wedge_is_found_at_every_angle() {
        for step in 0..12 {
            let angle = f64::from(step) * std::f64::consts::TAU / 12.0 + 0.1;
            let product = find_product(&wedge([256, 256], [120.0, 130.0], angle)).expect("a product");
            let (sin, cos) = angle.sin_cos();
            let aligned = product.axis[0] * sin + product.axis[1] * cos;
            assert!(aligned > 0.995, "{step}: {product:?}");
            assert!((product.extent[1] - 100.0 / 256.0).abs() < 0.02, "{step}: {product:?}");
            assert!((product.extent[0] - 40.0 / 256.0).abs() < 0.02, "{step}: {product:?}");
            let middle = [120.0 + 10.0 * sin, 130.0 + 10.0 * cos].map(|v| v / 256.0);
            assert!((0..2).all(|k| (product.centre[k] - middle[k]).abs() < 0.01), "{step}: {product:?}");
        }
    }

    #[test]
    fn a_shadow_does_not_tie_a_product_to_the_border() {
        let plain = wedge([256, 256], [120.0, 130.0], 0.3);
        let mut shaded = plain.clone();
        for (i, v) in shaded.pixels.iter_mut().enumerate() {
            // From the product down to the border, of which it darkens a twelfth.
            let (y, x) = (i / 256, i % 256);
            if *v > 100.0 / 255.0 && y > 120 && (100..185).contains(&x) {
                *v -= 25.0 / 255.0;
            }
        }
        let [plain, shaded] = [plain, shaded].map(|image| find_product(&image).expect("a product"));
        assert!(plain.axis[0] * shaded.axis[0] + plain.axis[1] * shaded.axis[1] > 0.99, "{shaded:?}");
        assert!((0..2).all(|k| (plain.centre[k] - shaded.centre[k]).abs() < 0.02), "{plain:?} {shaded:?}");
    }

    #[test]
    fn units_are_the_longer_side() {
        let product = find_product(&wedge([160, 320], [80.0, 150.0], 0.0)).expect("a product");
        assert!((product.extent[1] - 100.0 / 320.0).abs() < 0.02, "{product:?}");
        assert!((product.centre[0] - 80.0 / 320.0).abs() < 0.01, "{product:?}");
    }

    #[test]
    fn no_product_is_found_where_there_is_none() {
        let blank = |value| Image::filled(64, 64, 1, value);
        let stripes = |i: usize| if (i / 8).is_multiple_of(2) { 40.0 / 255.0 } else { 200.0 / 255.0 };
        let texture =
            Image { height: 64, width: 64, channels: 1, pixels: (0..64 * 64).map(stripes).collect() };
        let tiny = Image { height: 1, width: 1, channels: 3, pixels: vec![9.0 / 255.0; 3] };
        for image in [blank(0.0), blank(1.0), texture, tiny] {
            assert_eq!(find_product(&image), None);
        }
    }
}

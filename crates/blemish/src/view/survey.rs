//! What the good images look like, as far as the view and the choice of parts depend on it.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::foreground::foreground;
use super::{View, ViewConfig, find_product};
use crate::error::{Error, Result};
use crate::image::{Image, resize};

/// Side of the thumbnails that are compared.
const SIDE: usize = 32;
/// Longer side of the images that are surveyed, at most.
const LARGEST: usize = 1280;
/// Mean correlation of an image with the others' mean from which the pose counts as fixed.
const FIXED: f64 = 0.6;
/// The same for what is left of an image once smooth light is taken out. Below it, images have nothing but their light in
/// common: a lamp that stands still is no product that does.
const DETAILED: f64 = 0.35;
/// Degree of the polynomials, along each side, that smooth light is taken for.
const LIGHT: usize = 3;
/// As [`FIXED`] for rectified products, which must agree better to be worth it.
const RECTIFIED: f64 = 0.8;
/// By how much turning must raise the correlation.
const GAIN: f64 = 0.2;
/// Share of the images in which a product must be found for all of them to be rectified: some may show no product.
const FOUND: f64 = 0.9;
/// What a view shows around the largest product, in units of the image's longer side.
const MARGIN: f64 = 0.015;
/// Longer over shorter side, relative to the frame's, from which images keep their own shape.
const OWN_SHAPE: f64 = 1.25;
/// Longest side of a view, pixels.
const LONGEST: usize = 4096;
/// Times as long, from which a tenth of the images, along a side, compared with another tenth, do not have one size: less than
/// that, stretching them to one shape changes nothing.
const MANY_SIZES: f64 = 1.1;
/// By how much, at most, images of a surface are enlarged.
const ENLARGED: f64 = 1.0;
/// By how much, at most, an elongated image is stretched to fit a view's sides.
const STRETCHED: f64 = 2.0;

/// Facts about a set of good images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Survey {
    /// Images that were surveyed.
    pub images: usize,
    /// Mean correlation of each image's thumbnail with the mean of all the others, -1 to 1.
    pub pose_correlation: f64,
    /// The same of what is left of them once smooth light is taken out.
    pub detail_correlation: f64,
    /// As `pose_correlation` after products were rectified, of the images in which one was found.
    pub rectified_correlation: Option<f64>,
    /// Height and width of a box that holds every product found, in units of the image's longer side.
    pub product_box: Option<[f64; 2]>,
    /// Share of the pixels that are product, 1 where no plain background was found.
    pub product_share: f64,
    /// Height over width of the images, the median.
    pub aspect: f64,
    /// Pixels of the images, the median.
    pub area: f64,
    /// By how much the images' sizes differ: of heights and of widths, the ninth tenth over the first, the larger of the two.
    pub size_ratio: f64,
}

impl Survey {
    /// How many images are surveyed, at most.
    pub const IMAGES: usize = 64;

    /// Surveys images as they were decoded.
    pub fn new(images: &[Image]) -> Self {
        Self::of_sizes(images, &images.iter().map(|image| [image.height, image.width]).collect::<Vec<_>>())
    }

    /// Surveys images that had these heights and widths before they were [shrunk](shrunk()).
    pub fn of_sizes(images: &[Image], sizes: &[[usize; 2]]) -> Self {
        let thumbnails: Vec<Vec<f64>> = images.par_iter().map(thumbnail).collect();
        let share = |image: &Image| {
            let small = resize(image, [4 * SIDE; 2]).unwrap_or_else(|_| image.clone());
            let weights = foreground(&small);
            f64::from(weights.iter().sum::<f32>()) / weights.len() as f64
        };
        let shares: Vec<f64> = images.par_iter().map(share).collect();
        let mut aspects: Vec<f64> = images.iter().map(|i| i.height as f64 / i.width as f64).collect();
        aspects.sort_by(f64::total_cmp);
        let product_box = product_box(images);
        let rectified = product_box.map(|product| {
            let config = ViewConfig { product: Some(product), ..ViewConfig::whole([SIDE; 2]) };
            let rectified = |image: &Image| {
                find_product(image)?;
                View::new(image, &config).ok().map(|view| thumbnail(&view.image))
            };
            images.par_iter().filter_map(rectified).collect::<Vec<_>>()
        });
        let light = smooth_light();
        Self {
            images: images.len(),
            pose_correlation: mean_correlation(&thumbnails),
            detail_correlation: mean_correlation(
                &thumbnails.into_iter().map(|t| detail(t, &light)).collect::<Vec<_>>(),
            ),
            rectified_correlation: rectified.map(|thumbnails| mean_correlation(&thumbnails)),
            product_box,
            product_share: shares.iter().sum::<f64>() / shares.len().max(1) as f64,
            aspect: aspects.get(aspects.len() / 2).copied().unwrap_or(1.0),
            area: quantile(sizes, 0.5, |[height, width]| (height * width) as f64),
            size_ratio: [0, 1]
                .map(|k| quantile(sizes, 0.9, |s| s[k] as f64) / quantile(sizes, 0.1, |s| s[k] as f64))
                .into_iter()
                .fold(1.0, f64::max),
        }
    }

    /// Whether the product always lies in the same place and at the same angle, as it was photographed.
    pub fn has_fixed_pose(&self) -> bool {
        self.pose_correlation >= FIXED && self.detail_correlation >= DETAILED && !self.can_rectify()
    }

    /// Whether products in arbitrary orientation can be rectified.
    pub(crate) fn can_rectify(&self) -> bool {
        self.rectified_correlation.is_some_and(|c| c >= RECTIFIED && c >= self.pose_correlation + GAIN)
    }

    /// Whether the images show one surface without a background, or pieces of many sizes that no pose can be found in.
    pub fn is_surface(&self) -> bool {
        let fills_images = self.product_share > 0.95 || self.size_ratio > MANY_SIZES;
        !self.has_fixed_pose() && !self.can_rectify() && fills_images
    }

    /// Whether the images show one surface, cut to many sizes: then they keep their scale, and none is stretched.
    pub fn has_many_sizes(&self) -> bool {
        self.is_surface() && self.size_ratio > MANY_SIZES
    }

    /// The view, in about as many pixels as `frame` has, in multiples of `multiple`: the rectified product, else the whole image in
    /// its own shape where that differs from the frame's, else (`None`) the frame. Of a surface whose images have many sizes all
    /// are scaled alike, so that the median one has about as many pixels as `frame`.
    pub fn view(&self, frame: [usize; 2], multiple: usize) -> Option<ViewConfig> {
        if self.has_many_sizes() {
            let scale = ((frame[0] * frame[1]) as f64 / self.area.max(1.0)).sqrt().min(ENLARGED);
            // Four digits: it is read by people.
            let digits = 10f64.powi(3 - scale.log10().floor() as i32);
            let scale = Some((scale * digits).round() / digits);
            return Some(ViewConfig { scale, ..ViewConfig::whole(frame) });
        }
        let product = self.product_box.filter(|_| self.can_rectify());
        let aspect = product.map_or(self.aspect, |[height, width]| height / width);
        let stretch = aspect / (frame[0] as f64 / frame[1] as f64);
        if product.is_none() && stretch.max(1.0 / stretch) < OWN_SHAPE {
            return None;
        }
        let area = (frame[0] * frame[1]) as f64;
        let side = |length: f64| {
            let most = (LONGEST / multiple).max(1);
            ((length / multiple as f64).round() as usize).clamp(1, most) * multiple
        };
        let height = (area * aspect).sqrt();
        Some(ViewConfig { product, ..ViewConfig::whole([side(height), side(height / aspect)]) })
    }

    /// Refuses images that are so elongated that no view of `frame`'s area, in multiples of `multiple`, can keep their shape.
    ///
    /// # Errors
    /// [`Error::Config`] for `data.image_size`.
    pub(crate) fn require_shape(&self, frame: [usize; 2], multiple: usize) -> Result<()> {
        let Some(view) = self.view(frame, multiple).filter(|view| view.scale.is_none()) else {
            return Ok(());
        };
        let wanted = view.product.map_or(self.aspect, |[height, width]| height / width);
        let stretch = wanted * view.size[1] as f64 / view.size[0] as f64;
        if stretch.max(1.0 / stretch) <= STRETCHED {
            return Ok(());
        }
        let (long, short) = if wanted > 1.0 { (wanted, "height") } else { (1.0 / wanted, "width") };
        let reason = format!(
            "the images are too elongated to keep their shape in {} x {} pixels (their {short} is {long:.0} times the other side): \
             cut them into pieces, or set `data.fit=stretch`",
            frame[0], frame[1]
        );
        Err(Error::config("data.image_size", reason))
    }

    /// What was found, one sentence each.
    pub fn describe(&self) -> Vec<String> {
        let pose = if self.has_fixed_pose() { "fixed" } else { "varies" };
        let mut facts = vec![format!(
            "pose {pose}: thumbnails correlate by {:.2} with the mean of the others, without smooth light by {:.2} (fixed from \
             {FIXED} and {DETAILED})",
            self.pose_correlation, self.detail_correlation
        )];
        if let (false, Some(rectified)) = (self.has_fixed_pose(), self.rectified_correlation) {
            let verdict = if self.can_rectify() { "can be rectified" } else { "rectifying does not help" };
            facts.push(format!("rectified they correlate by {rectified:.2} (from {RECTIFIED}): {verdict}"));
        }
        let kind = if self.is_surface() { "a texture" } else { "an object" };
        facts.push(format!("{kind}: the product covers {:.0} % of the image", 100.0 * self.product_share));
        if self.has_many_sizes() {
            facts.push(format!(
                "images of many sizes, {:.1} times as long as others: all keep their scale, and none is stretched",
                self.size_ratio
            ));
        }
        facts
    }
}

/// The value, over the `sizes`, below which this share of them lies; at least 1, and 1 without any.
fn quantile(sizes: &[[usize; 2]], share: f64, value: impl Fn([usize; 2]) -> f64) -> f64 {
    let mut values: Vec<f64> = sizes.iter().map(|&size| value(size)).collect();
    values.sort_by(f64::total_cmp);
    values.get((share * values.len() as f64) as usize).copied().unwrap_or(1.0).max(1.0)
}

/// An image of 1280 pixels along its longer side at the most: many photographs at once would take gigabytes.
pub fn shrunk(image: Image) -> Result<Image> {
    let longer = image.height.max(image.width);
    if longer <= LARGEST {
        return Ok(image);
    }
    let side = |length: usize| (length * LARGEST / longer).max(1);
    resize(&image, [side(image.height), side(image.width)])
}

/// A box for the largest product of `images`, with a margin; `None` where too few of them show one.
fn product_box(images: &[Image]) -> Option<[f64; 2]> {
    let products: Vec<_> = images.par_iter().filter_map(find_product).collect();
    if images.len() < 2 || (products.len() as f64) < FOUND * images.len() as f64 {
        return None;
    }
    let largest = |k: usize| products.iter().map(|p| p.extent[k]).fold(0.0, f64::max);
    Some([0, 1].map(|k| largest(k) + 2.0 * MARGIN))
}

/// Grey, `SIDE` x `SIDE` block means, zero mean, unit length.
fn thumbnail(image: &Image) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0); SIDE * SIDE];
    for (i, pixel) in image.pixels.chunks_exact(image.channels).enumerate() {
        let (y, x) = (i / image.width, i % image.width);
        let cell = &mut sums[y * SIDE / image.height * SIDE + x * SIDE / image.width];
        cell.0 += pixel.iter().map(|&v| f64::from(v)).sum::<f64>();
        cell.1 += 1.0;
    }
    let mut values: Vec<f64> = sums.iter().map(|(sum, n)| sum / f64::max(*n, 1.0)).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter_mut().for_each(|v| *v -= mean);
    unit(&mut values);
    values
}

/// Orthonormal thumbnails that smooth light is made of: products of polynomials of degree [`LIGHT`] along the sides.
fn smooth_light() -> Vec<Vec<f64>> {
    // Orthonormal polynomials on the thumbnail's rows, which are its columns' too (Gram and Schmidt).
    let mut polynomials: Vec<Vec<f64>> = Vec::new();
    for degree in 0..=LIGHT {
        let place = |i: usize| 2.0 * (i as f64 + 0.5) / SIDE as f64 - 1.0;
        let mut next: Vec<f64> = (0..SIDE).map(|i| place(i).powi(degree as i32)).collect();
        for one in &polynomials {
            let share = dot(&next, one);
            next.iter_mut().zip(one).for_each(|(v, p)| *v -= share * p);
        }
        unit(&mut next);
        polynomials.push(next);
    }
    let product =
        |down: &[f64], across: &[f64]| down.iter().flat_map(|d| across.iter().map(move |a| d * a)).collect();
    polynomials.iter().flat_map(|down| polynomials.iter().map(|across| product(down, across))).collect()
}

/// What is left of a thumbnail once `light` is taken out, unit length.
fn detail(mut thumbnail: Vec<f64>, light: &[Vec<f64>]) -> Vec<f64> {
    for light in light {
        let share = dot(&thumbnail, light);
        thumbnail.iter_mut().zip(light).for_each(|(v, p)| *v -= share * p);
    }
    unit(&mut thumbnail);
    thumbnail
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn unit(values: &mut [f64]) {
    let length = values.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-12);
    values.iter_mut().for_each(|v| *v /= length);
}

fn mean_correlation(thumbnails: &[Vec<f64>]) -> f64 {
    if thumbnails.len() < 2 {
        return 1.0;
    }
    let mut sum = vec![0.0; SIDE * SIDE];
    for t in thumbnails {
        sum.iter_mut().zip(t).for_each(|(s, v)| *s += v);
    }
    let correlation = |t: &Vec<f64>| {
        let mut others: Vec<f64> = sum.iter().zip(t).map(|(s, v)| s - v).collect();
        unit(&mut others);
        dot(&others, t)
    };
    thumbnails.iter().map(correlation).sum::<f64>() / thumbnails.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn bar(vertical: bool) -> Image {
        let on = |i: usize| (24..40).contains(&(if vertical { i % 64 } else { i / 64 }));
        let pixels = (0..64 * 64).map(|i| if on(i) { 200.0 / 255.0 } else { 50.0 / 255.0 }).collect();
        Image { height: 64, width: 64, channels: 1, pixels }
    }

    #[test]
    fn tells_a_fixed_pose_from_a_varying_one() {
        let fixed = Survey::new(&vec![bar(true); 6]);
        assert!(fixed.pose_correlation > 0.999 && fixed.has_fixed_pose());
        let turning: Vec<Image> = (0..6).map(|i| bar(i % 2 == 0)).collect();
        assert!(!Survey::new(&turning).has_fixed_pose());
    }

    /// Texture that no two images share under light that falls off to one side.
    fn lit_grain(seed: u64) -> Image {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let level = |i: usize| 100.0 + (i % 64) as f64 * 1.5 - ((i / 64) as f64 / 8.0).powi(2) * 0.4;
        let pixels =
            (0..64 * 64).map(|i| ((level(i) + rng.random_range(-15.0..15.0)) / 255.0) as f32).collect();
        Image { height: 64, width: 64, channels: 1, pixels }
    }

    #[test]
    fn a_lamp_that_stands_still_is_no_product_that_does() {
        let profile = Survey::new(&(0..8).map(lit_grain).collect::<Vec<_>>());
        assert!(profile.pose_correlation > 0.9 && profile.detail_correlation < 0.2, "{profile:?}");
        assert!(!profile.has_fixed_pose() && profile.is_surface(), "{profile:?}");
    }

    #[test]
    fn images_keep_their_shape_in_as_many_pixels() {
        let tall = Image { height: 100, width: 40, channels: 1, pixels: vec![7.0 / 255.0; 4000] };
        let view = Survey::new(&[tall.clone(), tall]).view([256, 256], 16).expect("a view of its own");
        assert_eq!((view.size, view.product), ([400, 160], None));
        assert_eq!(Survey::new(&vec![bar(true); 3]).view([256, 256], 16), None);
    }

    #[test]
    fn very_elongated_images_have_a_view_of_valid_sides_or_an_error_that_names_a_setting() {
        for (height, width) in [(3000, 3), (3, 3000), (400, 2), (2000, 10), (1, 60)] {
            let image = Image::filled(height, width, 1, 0.4);
            let survey = Survey::new(&[image.clone(), image]);
            let view = survey.view([256, 256], 16).expect("a view of its own");
            assert!(view.size.iter().all(|side| (16..=4096).contains(side) && side % 16 == 0), "{view:?}");
            let shape = height.max(width) / height.min(width);
            match survey.require_shape([256, 256], 16) {
                Ok(()) => assert!(shape < 600, "{shape}"),
                Err(error) => {
                    let error = error.to_string();
                    assert!(
                        shape > 400 && error.contains("data.image_size") && error.contains("data.fit"),
                        "{error}"
                    );
                }
            }
        }
    }

    /// A dark wedge on a light ground at an angle.
    fn wedge(angle: f64) -> Image {
        let (sin, cos) = angle.sin_cos();
        let inside = |i: usize| {
            let (y, x) = ((i / 128) as f64 - 64.0, (i % 128) as f64 - 64.0);
            let (along, across) = (y * sin + x * cos, x * sin - y * cos);
            (-30.0..=45.0).contains(&along) && across.abs() < 0.2 * (45.0 - along)
        };
        let pixels = (0..128 * 128).map(|i| if inside(i) { 60.0 / 255.0 } else { 180.0 / 255.0 }).collect();
        Image { height: 128, width: 128, channels: 1, pixels }
    }

    #[test]
    fn products_in_arbitrary_orientation_are_rectified() {
        let arbitrary: Vec<Image> = (0..12).map(|i| wedge(f64::from(i) * 0.55)).collect();
        let profile = Survey::new(&arbitrary);
        assert!(profile.can_rectify(), "{profile:?}");
        let view = profile.view([256, 256], 16).expect("a view");
        assert!(view.size[1] > 2 * view.size[0] && view.size[0] * view.size[1] <= 256 * 280, "{view:?}");
        let still = Survey::new(&vec![wedge(0.3); 12]);
        assert!(still.has_fixed_pose() && !still.can_rectify());
        assert_eq!(still.view([256, 256], 16), None);
    }

    /// Grain of no fixed place, as many pixels as the image has.
    fn cut(seed: u64, height: usize, width: usize) -> Image {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let pixels = (0..height * width).map(|_| rng.random_range(0.3..0.7)).collect();
        Image { height, width, channels: 1, pixels }
    }

    #[test]
    fn a_surface_cut_to_many_sizes_keeps_its_scale() {
        let sizes = [[300, 400], [200, 600], [500, 200], [100, 280], [400, 300], [350, 350]];
        let images: Vec<Image> =
            (0..12).map(|i| cut(i, sizes[i as usize % 6][0], sizes[i as usize % 6][1])).collect();
        let survey = Survey::new(&images);
        assert!(survey.has_many_sizes() && survey.area == 120_000.0, "{survey:?}");
        let view = survey.view([256, 256], 16).expect("a view");
        assert_eq!((view.scale, view.size_of([300, 401])), (Some(0.739), [222, 296]));
        survey.require_shape([256, 256], 16).expect("any shape will do");
        assert!(survey.describe().iter().any(|fact| fact.contains("many sizes")));
        // Small images are not enlarged.
        let small = Survey::of_sizes(&images, &sizes.map(|size| size.map(|side| side / 4)).repeat(2));
        assert_eq!(small.view([256, 256], 16).expect("a view").scale, Some(1.0));
    }

    #[test]
    fn one_size_odd_ones_and_products_are_no_surface_of_many_sizes() {
        let one: Vec<Image> = (0..20).map(|i| cut(i, 120 + i as usize % 3, 200)).collect();
        assert!(!Survey::new(&one).has_many_sizes());
        let odd: Vec<Image> = (0..20).map(|i| cut(i, if i == 7 { 60 } else { 120 }, 200)).collect();
        assert!(Survey::new(&odd).is_surface() && !Survey::new(&odd).has_many_sizes());
        let product = |i: usize| resize(&bar(true), [40 + 10 * i, 64 + 5 * i]).expect("an image");
        let products: Vec<Image> = (0..8).map(product).collect();
        let survey = Survey::new(&products);
        assert!(survey.has_fixed_pose() && !survey.has_many_sizes(), "{survey:?}");
    }
}

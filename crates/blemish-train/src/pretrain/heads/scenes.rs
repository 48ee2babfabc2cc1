//! What photos of generated scenes show, described as the memory of features does.

use rand::Rng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::super::batch::{Draw, generator};
use super::super::retrieve::shares_of;
use super::super::scenes::{Drawn, TrainingScene};
use super::HeadConfig;
use blemish::Result;
use blemish::image::{Image, Normalize};
use blemish::parts::features::bank::Layout;
use blemish::parts::features::described::Describer;
use blemish::parts::nearest::Searched;

/// Good photos of a scene that others are compared with, and the fewest of them that are taken.
const REFERENCES: usize = 6;
const FEWEST: usize = 3;
/// Places of those that are kept.
const KEPT: usize = 1536;
/// Photos that are compared: one with a defect, the same without, and another good one.
pub const COMPARED: usize = 3;

/// What the photos of a scene show.
pub struct Shown {
    /// By group, what describes a place, `[photos, places, values]`, references first, then those that are compared.
    groups: Vec<Vec<f32>>,
    /// By group, the number of values.
    values: Vec<usize>,
    grid: [usize; 2],
    is_surface: bool,
    /// The places that are kept, counted through the references.
    kept: Vec<usize>,
    /// The share of every place of the first photo that is compared that is defective.
    pub defect: Vec<f32>,
}

/// How the places of what is compared differ from the nearest ones that are kept, their references.
pub struct Differing {
    /// `[COMPARED, places, values]`
    pub residuals: Vec<f32>,
    /// How far the reference's place lies away, squared, `[COMPARED, places]`.
    pub away: Vec<f32>,
}

/// Draws a step's scenes; with `turns` in one of eight orientations each. Those whose defect covers no pixel are left out.
///
/// # Errors
/// Values that are not finite.
pub fn draw(
    config: &HeadConfig,
    describer: &Describer,
    what: Draw,
    step: usize,
    turns: bool,
) -> Result<Vec<Shown>> {
    let one = |item| scene(config, describer, &mut generator(config.seed, what, step, item), turns);
    let drawn: Vec<Option<Shown>> = (0..config.batch_size).into_par_iter().map(one).collect::<Result<_>>()?;
    Ok(drawn.into_iter().flatten().collect())
}

fn scene(
    config: &HeadConfig,
    describer: &Describer,
    rng: &mut ChaCha8Rng,
    turns: bool,
) -> Result<Option<Shown>> {
    let size = [config.side; 2];
    let scene = TrainingScene::new(rng.random());
    let turn = if turns { rng.random() } else { [false; 3] };
    let Drawn { image, clean, mask } = scene.draw(0, true, size);
    if mask.iter().all(|&v| v == 0) {
        return Ok(None);
    }
    let good = (1..).take(REFERENCES + 1).map(|instance| scene.draw(instance, false, size).image);
    let mut photos: Vec<Image> = good.collect();
    photos.splice(REFERENCES..REFERENCES, [image, clean]);
    let photos: Vec<Image> =
        photos.into_iter().map(|photo| turned(&Normalize::Robust.apply(&photo), turn)).collect();
    let mask = mask.into_iter().map(|v| f32::from(u8::from(v != 0))).collect();
    let mask = turned(&Image { height: size[0], width: size[1], channels: 1, pixels: mask }, turn);
    let (grid, values) = (describer.grid(), describer.values());
    let places = grid[0] * grid[1];
    let count = rng.random_range(FEWEST..=REFERENCES);
    let taken = sample(rng, REFERENCES, count).into_vec();
    let kept = sample(rng, taken.len() * places, KEPT.min(taken.len() * places));
    let kept = kept.into_iter().map(|i| taken[i / places] * places + i % places).collect();
    let groups = describer.described(&photos, REFERENCES)?;
    let is_surface = scene.is_surface();
    let defect = shares_of(&mask.pixels, size, config.side / grid[0]);
    Ok(Some(Shown { groups, values, grid, is_surface, kept, defect }))
}

/// A square image upside down, the other way round, and with rows for columns.
fn turned(image: &Image, [down, across, transposed]: [bool; 3]) -> Image {
    let (side, channels) = (image.height, image.channels);
    let mut pixels = Vec::with_capacity(image.pixels.len());
    for y in 0..side {
        for x in 0..side {
            let (y, x) = if transposed { (x, y) } else { (y, x) };
            let (y, x) = (if down { side - 1 - y } else { y }, if across { side - 1 - x } else { x });
            pixels.extend_from_slice(&image.pixels[(y * side + x) * channels..][..channels]);
        }
    }
    Image { pixels, ..*image }
}

impl Shown {
    /// By group, what describes a place, `[photos, places, values]`.
    pub fn groups(&self) -> impl Iterator<Item = (&[f32], usize)> {
        self.groups.iter().map(Vec::as_slice).zip(self.values.iter().copied())
    }

    /// Rows and columns of places.
    pub fn grid(&self) -> [usize; 2] {
        self.grid
    }

    /// Which place of the references is nearest to each of what is compared, by what describes them in fewer values, and how far it lies away,
    /// squared.
    fn nearest(&self, projected: &[f32], length: usize) -> (Vec<usize>, Vec<f32>) {
        let places = self.grid[0] * self.grid[1];
        let layout = Layout { length, places: (!self.is_surface).then_some(self.grid) };
        let long = layout.long();
        let photos: Vec<Vec<f32>> =
            projected.chunks_exact(places * length).map(|photo| layout.lengthened(photo.to_vec())).collect();
        let vector = |i: usize| &photos[i / places][i % places * long..][..long];
        let bank = Searched::new(self.kept.iter().flat_map(|&i| vector(i)).copied().collect(), long);
        let queries = photos[photos.len() - COMPARED..].concat();
        let nearest = bank.nearest(&queries, &|_| false);
        let away = |(query, &i): (&[f32], &usize)| -> f32 {
            let pairs = query[length..].iter().zip(&bank.vector(i)[length..]);
            pairs.map(|(a, b)| (a - b) * (a - b)).sum()
        };
        let away = queries.chunks_exact(long).zip(&nearest).map(away).collect();
        (nearest.into_iter().map(|i| self.kept[i]).collect(), away)
    }

    /// How the places of what is compared differ in `values`, `[photos, places, count]`, from their references: the nearest that are kept
    /// by what describes places in fewer values, `projected`, `[photos, places, length]`.
    pub fn differing(&self, values: &[f32], count: usize, projected: &[f32], length: usize) -> Differing {
        let (references, away) = self.nearest(projected, length);
        let places = self.grid[0] * self.grid[1];
        let first = values.len() - COMPARED * places * count;
        let mut residuals = values[first..].to_vec();
        for (own, i) in residuals.chunks_exact_mut(count).zip(references) {
            own.iter_mut().zip(&values[i * count..][..count]).for_each(|(v, reference)| *v -= reference);
        }
        Differing { residuals, away }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_turned_by_hand() {
        let image = Image { height: 2, width: 2, channels: 1, pixels: vec![1.0, 2.0, 3.0, 4.0] };
        let turned = |turn| turned(&image, turn).pixels;
        assert_eq!(turned([false; 3]), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(turned([true, false, false]), [3.0, 4.0, 1.0, 2.0]);
        assert_eq!(turned([false, true, false]), [2.0, 1.0, 4.0, 3.0]);
        assert_eq!(turned([false, false, true]), [1.0, 3.0, 2.0, 4.0]);
        assert_eq!(turned([true, false, true]), [3.0, 1.0, 4.0, 2.0]);
    }

    #[test]
    fn places_differ_from_the_nearest_that_are_kept_by_hand() {
        // One reference and three photos of two places, described by one value, which is brought to its double.
        let values = vec![1.0, 5.0, 1.5, 4.0, 1.0, 5.0, 6.0, 0.0];
        let projected: Vec<f32> = values.iter().map(|v| 2.0 * v).collect();
        let shown = |is_surface, kept| Shown {
            groups: vec![values.clone()],
            values: vec![1],
            grid: [1, 2],
            is_surface,
            kept,
            defect: vec![0.0; 2],
        };
        let found = shown(true, vec![0, 1]).differing(&values, 1, &projected, 1);
        assert_eq!(found.residuals, [0.5, -1.0, 0.0, 0.0, 1.0, -1.0]);
        assert_eq!(found.away, [0.0; 6]);
        // A product's places lie 4 apart: 6 of the first place is as far from 5 of the second as the root of 4 + 16, from 1 it is 10.
        let found = shown(false, vec![0, 1]).differing(&values, 1, &projected, 1);
        assert_eq!(found.residuals, [0.5, -1.0, 0.0, 0.0, 1.0, -1.0]);
        assert_eq!(found.away, [0.0, 0.0, 0.0, 0.0, 16.0, 16.0]);
        let found = shown(false, vec![1]).differing(&values, 1, &projected, 1);
        assert_eq!(found.residuals, [-3.5, -1.0, -4.0, 0.0, 1.0, -5.0]);
    }
}

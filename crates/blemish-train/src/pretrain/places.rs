//! Which places of two views a step compares, at one level.

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::batch::Views;

/// Defective places that are compared, as a share of the good ones.
const DEFECTIVE: usize = 4;
/// Pixels of a place that must be defective for it to count as such, as a share of its area: one eighth.
const LEAST: usize = 8;

/// Places at one level, as rows of the level's maps `[S * h * w]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Good places in view A.
    pub a: Vec<i64>,
    /// The same places in view B.
    pub b: Vec<i64>,
    /// Defective places in view A.
    pub defective: Vec<i64>,
    /// The scene of each good place.
    pub scene: Vec<usize>,
    /// The scene of each defective place.
    pub defective_scene: Vec<usize>,
}

impl Places {
    /// Draws `count` places, as many of each scene as there are, at a level of `stride`.
    pub fn draw(views: &Views, stride: usize, count: usize, rng: &mut ChaCha8Rng) -> Self {
        let mut places = Self::default();
        let [rows, columns] = views.size.map(|side| side / stride);
        let area = rows * columns;
        let each = count.div_ceil(views.scenes);
        for scene in 0..views.scenes {
            let defective = defective_pixels(views, scene, stride);
            let shift = views.shift[scene].map(|d| (f64::from(d) / stride as f64).round() as i64);
            let mut good = Vec::new();
            let mut bad = Vec::new();
            for (at, &pixels) in defective.iter().enumerate() {
                let row = (scene * area + at) as i64;
                if pixels * LEAST >= stride * stride {
                    bad.push(row);
                }
                let there = [(at / columns) as i64 - shift[0], (at % columns) as i64 - shift[1]];
                let inside = (0..rows as i64).contains(&there[0]) && (0..columns as i64).contains(&there[1]);
                if pixels == 0 && inside {
                    let twin = (scene * area) as i64 + there[0] * columns as i64 + there[1];
                    good.push((row, twin));
                }
            }
            for &(a, b) in chosen(&mut good, each, rng) {
                places.a.push(a);
                places.b.push(b);
                places.scene.push(scene);
            }
            for &row in chosen(&mut bad, each.div_ceil(DEFECTIVE), rng) {
                places.defective.push(row);
                places.defective_scene.push(scene);
            }
        }
        places
    }

    /// For every pair of good places, row by row, whether they are of different scenes.
    pub fn apart(&self) -> Vec<bool> {
        self.scene.iter().flat_map(|a| self.scene.iter().map(move |b| a != b)).collect()
    }

    /// For every defective place and every good one, row by row, whether they are of the same scene.
    pub fn same(&self) -> Vec<bool> {
        self.defective_scene.iter().flat_map(|d| self.scene.iter().map(move |s| s == d)).collect()
    }
}

/// Up to `count` of `all`, any.
fn chosen<'a, T>(all: &'a mut [T], count: usize, rng: &mut impl Rng) -> &'a [T] {
    let count = count.min(all.len());
    all.partial_shuffle(rng, count).0
}

/// Defective pixels in every cell of view A of a scene.
fn defective_pixels(views: &Views, scene: usize, stride: usize) -> Vec<usize> {
    let [height, width] = views.size;
    let columns = width / stride;
    let mut cells = vec![0; height / stride * columns];
    let mask = &views.defect[scene * height * width..][..height * width];
    for (y, line) in mask.chunks_exact(width).enumerate() {
        for (x, v) in line.iter().enumerate() {
            cells[y / stride * columns + x / stride] += usize::from(*v > 0.0);
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn twins_lie_where_the_shift_says_and_defects_are_apart() {
        let side = 8;
        let mut defect = vec![0.0; 2 * side * side];
        defect[..4].fill(1.0); // Cell (0, 0) of scene 0, of stride 4.
        let views = Views {
            step: 0,
            size: [side, side],
            scenes: 2,
            a: Vec::new(),
            clean: Vec::new(),
            b: Vec::new(),
            defect,
            shift: vec![[0, 0], [4, -5]],
        };
        let places = Places::draw(&views, 4, 100, &mut ChaCha8Rng::seed_from_u64(1));
        let mut pairs: Vec<_> = places.a.iter().zip(&places.b).map(|(a, b)| (*a, *b)).collect();
        pairs.sort_unstable();
        // Scene 0: all but the defective cell; scene 1: row 1, column 0 of A is row 0, column 1 of B.
        assert_eq!(pairs, [(1, 1), (2, 2), (3, 3), (6, 5)]);
        assert_eq!((places.defective.clone(), places.defective_scene.clone()), (vec![0], vec![0]));
        assert_eq!(places.same().iter().filter(|same| **same).count(), 3);
        assert_eq!(places.apart().iter().filter(|apart| **apart).count(), 6);
    }
}

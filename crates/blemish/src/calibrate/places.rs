//! How the values of a part's map are made comparable from place to place, where views show the same place at the same pixel.

/// Share of a place's variance that is the mean one of all places.
const SHARED: f64 = 0.4;
/// Least standard deviation, as a share of the size of the mean, over all places.
const LEAST: f64 = 0.05;

/// What is done to a map, `[H, W]`, before it is calibrated.
#[doc(hidden)]
#[derive(Clone, Debug, Default, PartialEq)]
pub enum PlaceCorrection {
    /// Nothing: places are alike, or not known.
    #[default]
    None,
    /// Divided, at each place, by one of these, at least 1.
    Divided(Vec<f32>),
    /// Compared with what good images have at the place.
    Standardised(Standard),
}

impl PlaceCorrection {
    /// Corrects a map.
    pub fn apply(&self, map: &mut [f32]) {
        match self {
            Self::None => {}
            Self::Divided(divisors) => map.iter_mut().zip(divisors).for_each(|(v, by)| *v /= by),
            Self::Standardised(standard) => standard.apply(map),
        }
    }

    /// Its numbers and what they are called, where it has any.
    pub fn tensors(&self) -> Vec<(&'static str, &[f32])> {
        match self {
            Self::None => Vec::new(),
            Self::Divided(divisors) => vec![("place_scale", divisors)],
            Self::Standardised(Standard { mean, deviation, .. }) => {
                vec![("place_mean", mean), ("place_deviation", deviation)]
            }
        }
    }

    /// From the numbers that `take` gives for a name, for views of `pixels`, of a part that is standardised where there is a `side`;
    /// `None` where they are no correction of it.
    pub fn take(
        pixels: usize,
        side: Option<Side>,
        mut take: impl FnMut(&str) -> Option<Vec<f32>>,
    ) -> Option<Self> {
        let fits = |values: &[f32]| values.len() == pixels && values.iter().all(|v| v.is_finite());
        match (take("place_scale"), take("place_mean"), take("place_deviation")) {
            (None, None, None) => Some(Self::None),
            (Some(divisors), None, None) => {
                (fits(&divisors) && divisors.iter().all(|v| *v >= 1.0)).then_some(Self::Divided(divisors))
            }
            (None, Some(mean), Some(deviation)) => {
                let ok = fits(&mean) && fits(&deviation) && deviation.iter().all(|v| *v > 0.0);
                side.filter(|_| ok).map(|side| Self::Standardised(Standard { mean, deviation, side }))
            }
            _ => None,
        }
    }
}

/// Mean and standard deviation, at every place, of what good images have there.
///
/// A network's map is high at every edge and print of a good product too; as deviation from what good images have at the place,
/// what is left is what is new.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq)]
pub struct Standard {
    mean: Vec<f32>,
    deviation: Vec<f32>,
    side: Side,
}

/// Which values are anomalous.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Those above the mean.
    Above,
    /// Those above and those below.
    Both,
}

impl Standard {
    /// By how many standard deviations each value lies above the mean at its place, 0 below; or to either side. NaN stays NaN.
    fn apply(&self, map: &mut [f32]) {
        for ((v, mean), deviation) in map.iter_mut().zip(&self.mean).zip(&self.deviation) {
            let above = (*v - mean) / deviation;
            *v = match self.side {
                _ if v.is_nan() => *v,
                Side::Above => above.max(0.0),
                Side::Both => above.abs(),
            };
        }
    }
}

/// Sums over maps, from which a [`Standard`] of all of them, or of all but some, is computed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moments {
    sums: Vec<f64>,
    squares: Vec<f64>,
    count: f64,
}

impl Moments {
    /// Adds a map, of the same size as the others, `weight` times; -1 takes it out again.
    pub fn add(&mut self, map: &[f32], weight: f64) {
        self.sums.resize(map.len(), 0.0);
        self.squares.resize(map.len(), 0.0);
        for ((sum, square), &v) in self.sums.iter_mut().zip(&mut self.squares).zip(map) {
            let v = f64::from(v);
            *sum += weight * v;
            *square += weight * v * v;
        }
        self.count += weight;
    }

    /// Of all maps. Two fifths of a place's variance are the mean one of all places, so that few images, and places that hardly
    /// vary, decide nothing by chance.
    pub fn standard(&self, side: Side) -> Standard {
        let n = self.count.max(1.0);
        let average = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let mean: Vec<f64> = self.sums.iter().map(|sum| sum / n).collect();
        let variance = |(square, mean): (&f64, &f64)| (square / n - mean * mean).max(0.0);
        let variances: Vec<f64> = self.squares.iter().zip(&mean).map(variance).collect();
        let size: Vec<f64> = mean.iter().map(|v| v.abs()).collect();
        let least = (LEAST * average(&size)).max(1e-6);
        let shared = SHARED * average(&variances) + least * least;
        let deviation = |v: &f64| ((1.0 - SHARED) * v + shared).sqrt() as f32;
        Standard {
            deviation: variances.iter().map(deviation).collect(),
            mean: mean.iter().map(|v| *v as f32).collect(),
            side,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn flat(value: f32) -> Vec<f32> {
        vec![value; 6 * 5]
    }

    #[test]
    fn values_are_compared_with_those_of_good_images_by_hand() {
        let mut moments = Moments::default();
        [1.0, 3.0].into_iter().for_each(|v| moments.add(&flat(v), 1.0));
        // Mean 2, variance 1; the least deviation is 0.05 of 2.
        let standard = moments.standard(Side::Above);
        let deviation = (1.0f32 + 0.01).sqrt();
        let mut map = flat(5.0);
        (map[0], map[1]) = (1.0, f32::NAN);
        standard.apply(&mut map);
        assert!((map[7] - 3.0 / deviation).abs() < 1e-5, "{}", map[7]);
        assert!(map[0] == 0.0 && map[1].is_nan());
        let mut map = flat(1.0);
        moments.standard(Side::Both).apply(&mut map);
        assert!((map[0] - 1.0 / deviation).abs() < 1e-5, "{}", map[0]);
    }

    #[test]
    fn a_map_is_taken_out_again() {
        let mut moments = Moments::default();
        [1.0, 9.0].into_iter().for_each(|v| moments.add(&flat(v), 1.0));
        let before = moments.standard(Side::Above);
        moments.add(&flat(400.0), 1.0);
        assert_ne!(moments.standard(Side::Above), before);
        moments.add(&flat(400.0), -1.0);
        assert_eq!(moments.standard(Side::Above), before);
    }

    #[test]
    fn a_place_that_always_stands_out_counts_for_less() {
        let (mut moments, edge) = (Moments::default(), |i: usize| i % 30 == 15);
        let good = |k: usize| -> Vec<f32> {
            (0..900)
                .map(|i| if edge(i) { 20.0 } else { 1.0 } * (1.0 + 0.1 * ((i * 7 + k) % 3) as f32))
                .collect()
        };
        (0..9).for_each(|k| moments.add(&good(k), 1.0));
        let mut map = good(1);
        map[3 * 30 + 5] = 6.0;
        let largest = |map: &[f32]| map.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
        assert!(edge(largest(&map)));
        moments.standard(Side::Above).apply(&mut map);
        assert_eq!(largest(&map), 3 * 30 + 5);
    }

    #[test]
    fn numbers_give_a_correction_back_and_nonsense_does_not() {
        let mut moments = Moments::default();
        [1.0, 9.0].into_iter().for_each(|v| moments.add(&flat(v), 1.0));
        let standard = PlaceCorrection::Standardised(moments.standard(Side::Above));
        for correction in [PlaceCorrection::None, PlaceCorrection::Divided(flat(2.0)), standard.clone()] {
            let own = correction.tensors();
            let take = |name: &str| own.iter().find(|(own, _)| *own == name).map(|(_, v)| v.to_vec());
            assert_eq!(PlaceCorrection::take(30, Some(Side::Above), take).unwrap(), correction);
            let other = PlaceCorrection::take(31, Some(Side::Above), take);
            assert_eq!(other.is_some(), own.is_empty());
        }
        let own = standard.tensors();
        for (bad, value) in
            [("place_mean", f32::NAN), ("place_deviation", 0.0), ("place_deviation", f32::INFINITY)]
        {
            let take = |name: &str| {
                let values = own.iter().find(|(own, _)| *own == name)?.1.to_vec();
                Some(if name == bad { vec![value; values.len()] } else { values })
            };
            assert!(PlaceCorrection::take(30, Some(Side::Above), take).is_none(), "{bad}");
        }
        let whole = |name: &str| own.iter().find(|(own, _)| *own == name).map(|(_, v)| v.to_vec());
        assert!(PlaceCorrection::take(30, None, whole).is_none());
        let half = |name: &str| (name == "place_mean").then(|| flat(1.0));
        assert!(PlaceCorrection::take(30, Some(Side::Above), half).is_none());
    }
}

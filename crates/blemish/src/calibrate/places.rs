//! How the values of a part's map are made comparable from place to place, where views show the same place at the same pixel.

use super::CommonScale;
use super::robust::median;

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
    /// Raised to what that comparison says, where it is more.
    Raised(Raised),
}

impl PlaceCorrection {
    /// Corrects a map.
    pub fn apply(&self, map: &mut [f32]) {
        match self {
            Self::None => {}
            Self::Divided(divisors) => map.iter_mut().zip(divisors).for_each(|(v, by)| *v /= by),
            Self::Standardised(standard) => standard.apply(map),
            Self::Raised(raised) => raised.apply(map),
        }
    }

    /// The same beside other good images, where it compares with them.
    pub(crate) fn beside(&self, standard: Standard) -> Self {
        match self {
            Self::Standardised(_) => Self::Standardised(standard),
            Self::Raised(Raised { divisors, scale, .. }) => {
                Self::Raised(Raised { divisors: divisors.clone(), standard, scale: *scale })
            }
            other => other.clone(),
        }
    }

    /// Its numbers and what they are called, where it has any.
    pub fn tensors(&self) -> Vec<(&'static str, &[f32])> {
        match self {
            Self::None => Vec::new(),
            Self::Divided(divisors) => vec![("place_scale", divisors)],
            Self::Standardised(standard) => standard.tensors().into(),
            Self::Raised(Raised { divisors, standard, scale }) => {
                let divisors = divisors.iter().map(|divisors| ("place_scale", &divisors[..]));
                divisors.chain(standard.tensors()).chain([("place_reading", &scale.0[..])]).collect()
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
        let divisors = take("place_scale");
        if divisors.as_ref().is_some_and(|divisors| !fits(divisors) || divisors.iter().any(|v| *v < 1.0)) {
            return None;
        }
        let standard = match (take("place_mean"), take("place_deviation")) {
            (None, None) => None,
            (Some(mean), Some(deviation)) => {
                let ok = fits(&mean) && fits(&deviation) && deviation.iter().all(|v| *v > 0.0);
                Some(Standard { mean, deviation, side: side.filter(|_| ok)? })
            }
            _ => return None,
        };
        match (divisors, standard, take("place_reading")) {
            (None, None, None) => Some(Self::None),
            (Some(divisors), None, None) => Some(Self::Divided(divisors)),
            (None, Some(standard), None) => Some(Self::Standardised(standard)),
            (divisors, Some(standard), Some(scale)) => {
                let scale = <[f32; 3]>::try_from(scale).ok()?;
                let ok = scale.iter().all(|v| v.is_finite() && *v > 0.0);
                ok.then_some(Self::Raised(Raised { divisors, standard, scale: ReadingScale(scale) }))
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

/// A map of distances, raised where what it says beside good images at the same place is more.
///
/// Where good images hardly differ, a small distance is unusual; where they differ much, only a large one is a defect, and it may be one
/// although the place is used to large ones. So the larger of both readings counts.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq)]
pub struct Raised {
    /// What values are divided by at each place, at least 1, where some places vary far more than the rest.
    pub(crate) divisors: Option<Vec<f32>>,
    /// Of the roots of values, whose spread depends less on their mean.
    pub(crate) standard: Standard,
    /// What brings standard deviations to the scale of values.
    pub(crate) scale: ReadingScale,
}

/// How a second reading of a map is brought to the scale of the first: by a factor, up to the first reading's median peak of good images;
/// beyond that the excess counts by a slope, so that the peaks of good images spread as much in both. What either sees is then as rare.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReadingScale([f32; 3]);

impl ReadingScale {
    /// From the peaks of good images, at least one, in both readings.
    pub(crate) fn new(first: &[f32], second: &[f32]) -> Self {
        let middles = [first, second].map(|peaks| {
            let mut sorted: Vec<f64> = peaks.iter().map(|&v| f64::from(v)).collect();
            sorted.sort_unstable_by(f64::total_cmp);
            median(&sorted).max(1e-6) as f32
        });
        let relative = |peaks: &[f32], middle: f32| peaks.iter().map(|v| v / middle).collect::<Vec<f32>>();
        let [first, second] = [relative(first, middles[0]), relative(second, middles[1])];
        Self([middles[0] / middles[1], middles[0], CommonScale::new(&first, &second).factor().max(1e-6)])
    }

    fn of(self, value: f32) -> f32 {
        let Self([factor, usual, slope]) = self;
        let scaled = factor * value;
        if scaled > usual { usual + slope * (scaled - usual) } else { scaled }
    }
}

impl Raised {
    fn apply(&self, map: &mut [f32]) {
        let mut beside = roots(map);
        self.standard.apply(&mut beside);
        for (v, by) in map.iter_mut().zip(self.divisors.iter().flatten()) {
            *v /= by;
        }
        for (v, beside) in map.iter_mut().zip(beside) {
            let beside = self.scale.of(beside);
            // NaN stays NaN.
            if beside > *v {
                *v = beside;
            }
        }
    }
}

/// The square roots of a map's values.
pub(crate) fn roots(map: &[f32]) -> Vec<f32> {
    map.iter().map(|&v| if v.is_nan() { v } else { v.max(0.0).sqrt() }).collect()
}

impl Standard {
    /// What a model file keeps of it.
    fn tensors(&self) -> [(&'static str, &[f32]); 2] {
        [("place_mean", &self.mean), ("place_deviation", &self.deviation)]
    }

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
    pub(crate) fn standard(&self, side: Side) -> Standard {
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
    fn the_larger_reading_counts_by_hand() {
        let mut moments = Moments::default();
        // Roots of 1 and 9 where good images differ, of 4 twice where they do not.
        let good = |v: f32| {
            (0..2).flat_map(|differ| vec![if differ == 0 { v } else { 4.0 }; 9]).collect::<Vec<f32>>()
        };
        [1.0, 9.0].into_iter().for_each(|v| moments.add(&roots(&good(v)), 1.0));
        let standard = moments.standard(Side::Above);
        // Means 2; variances 1 and 0, of which two fifths are 0.5; the least deviation is 0.05 of 2.
        let deviation = [(0.6 + 0.2 + 0.01f32).sqrt(), (0.2 + 0.01f32).sqrt()];
        let raised = |divisors: Option<Vec<f32>>, map: &[f32]| {
            let mut map = map.to_vec();
            let standard = standard.clone();
            let scale = ReadingScale([2.0, 8.0, 0.5]);
            PlaceCorrection::Raised(Raised { divisors, standard, scale }).apply(&mut map);
            [map[0], map[9], map[17]]
        };
        let mut map = good(9.0);
        (map[9], map[17]) = (16.0, f32::NAN);
        // 9 is 1.1 deviations above the mean, 16 in the other half 4.4 of them: 8.4 on the scale, less than it is.
        let [differing, unusual, none] = raised(None, &map);
        assert_eq!((differing, unusual), (9.0, 16.0));
        assert!(none.is_nan());
        let [differing, unusual, _] = raised(Some(vec![10.0; 18]), &map);
        assert!((differing - 2.0 * (3.0 - 2.0) / deviation[0]).abs() < 1e-5, "{differing}");
        assert!((unusual - (8.0 + 0.5 * (2.0 * 2.0 / deviation[1] - 8.0))).abs() < 1e-5, "{unusual}");
    }

    #[test]
    fn peaks_of_both_readings_get_one_median_and_one_spread() {
        let peaks = |median: f32, spread: f32| -> Vec<f32> {
            (0..101u8).map(|i| median * (1.0 + spread * (f32::from(i) - 50.0) / 50.0)).collect()
        };
        let scale = ReadingScale::new(&peaks(10.0, 0.1), &peaks(2.0, 0.4));
        // Squares of 1 to 16, and ten images that say 8.5 to 8.5.
        let slope = ((101.0 + 85.0) / (16.0 * 101.0 + 85.0f32)).sqrt();
        for (value, expected) in [(0.0, 0.0), (1.0, 5.0), (2.0, 10.0), (2.8, 10.0 + slope * 4.0)] {
            assert!((scale.of(value) - expected).abs() < 1e-3, "{value}: {} {expected}", scale.of(value));
        }
        // Good images that show nothing are no reason for infinities.
        assert!(ReadingScale::new(&[0.0; 30], &[0.0; 30]).0.iter().all(|v| v.is_finite() && *v > 0.0));
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
        let standard = moments.standard(Side::Above);
        let raised = |divisors| {
            PlaceCorrection::Raised(Raised {
                divisors,
                standard: standard.clone(),
                scale: ReadingScale([0.5, 1.0, 0.2]),
            })
        };
        let [raised, divided] = [None, Some(flat(3.0))].map(raised);
        let standard = PlaceCorrection::Standardised(standard.clone());
        let all = [
            PlaceCorrection::None,
            PlaceCorrection::Divided(flat(2.0)),
            standard.clone(),
            raised.clone(),
            divided,
        ];
        for correction in all {
            let own = correction.tensors();
            let take = |name: &str| own.iter().find(|(own, _)| *own == name).map(|(_, v)| v.to_vec());
            assert_eq!(PlaceCorrection::take(30, Some(Side::Above), take).unwrap(), correction);
            let other = PlaceCorrection::take(31, Some(Side::Above), take);
            assert_eq!(other.is_some(), own.is_empty());
        }
        let own = raised.tensors();
        for (bad, value) in [
            ("place_mean", f32::NAN),
            ("place_deviation", 0.0),
            ("place_deviation", f32::INFINITY),
            ("place_reading", 0.0),
            ("place_reading", f32::NAN),
        ] {
            let take = |name: &str| {
                let values = own.iter().find(|(own, _)| *own == name)?.1.to_vec();
                Some(if name == bad { vec![value; values.len()] } else { values })
            };
            assert!(PlaceCorrection::take(30, Some(Side::Above), take).is_none(), "{bad}");
        }
        let whole = |name: &str| own.iter().find(|(own, _)| *own == name).map(|(_, v)| v.to_vec());
        assert!(PlaceCorrection::take(30, None, whole).is_none());
        for half in ["place_mean", "place_reading"] {
            let half = |name: &str| (name == half).then(|| flat(1.0));
            assert!(PlaceCorrection::take(30, Some(Side::Above), half).is_none());
        }
        let two = |name: &str| if name == "place_reading" { Some(vec![1.0; 2]) } else { whole(name) };
        assert!(PlaceCorrection::take(30, Some(Side::Above), two).is_none());
    }
}

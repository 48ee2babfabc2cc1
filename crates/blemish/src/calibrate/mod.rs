//! Calibration against good images: when a pixel is anomalous, and from which score on an image is defective.

pub(crate) mod rate;
pub(crate) mod robust;
#[cfg(test)]
mod simulation_tests;
mod tail;
mod thresholds;

#[doc(hidden)]
pub use self::robust::suspected;
pub(crate) use self::tail::NORMAL_SHARE;
#[doc(hidden)]
pub use self::tail::TailCalibration;
pub use self::thresholds::Threshold;
#[doc(hidden)]
pub use self::thresholds::Thresholds;

/// Fewer images than this do not say how much their peaks vary.
const FEW: usize = 8;
/// Largest exponent, and one over the smallest.
const STEEP: f32 = 5.0;
/// Standard deviation of logarithms that is taken for none.
const LEAST_SPREAD: f32 = 0.01;

/// How the values of a part's map are made comparable with those of others.
#[doc(hidden)]
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Calibration {
    /// As they are: the part stands alone, or is not calibrated yet.
    #[default]
    None,
    /// Divided by the mean peak of good images, above 0.
    Unit(f32),
    /// By how rare they are on good images.
    Tail(TailCalibration),
    /// `(v / unit)^exponent`, both above 0.
    Power {
        /// What becomes 1.
        unit: f32,
        /// How steeply values grow.
        exponent: f32,
    },
}

impl Calibration {
    /// Calibrates a map.
    pub fn apply(&self, map: &mut [f32]) {
        match self {
            Self::None => {}
            Self::Unit(unit) => {
                let weight = 1.0 / unit;
                map.iter_mut().for_each(|v| *v *= weight);
            }
            Self::Tail(tail) => map.iter_mut().for_each(|v| *v = tail.of(*v)),
            Self::Power { unit, exponent } => {
                map.iter_mut().for_each(|v| *v = (*v / unit).powf(*exponent));
            }
        }
    }

    /// The power that gives good images' peaks `own` the median and the spread, in logarithms, of `others`, the peaks of what the part
    /// stands beside: then a part that varies much on good images neither drowns the others nor is drowned by them. From few images
    /// the medians alone are taken over.
    pub fn aligned(own: &[f32], others: &[f32]) -> Self {
        let ([middle, spread], [other_middle, other_spread]) = (log_quantiles(own), log_quantiles(others));
        let exponent = if own.len() < FEW { 1.0 } else { (other_spread / spread).clamp(1.0 / STEEP, STEEP) };
        Self::Power { unit: (middle - other_middle / exponent).exp(), exponent }
    }

    /// `unit`, `tail`, `power` or, where there is nothing to keep, an empty name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "",
            Self::Unit(_) => "unit",
            Self::Tail(_) => "tail",
            Self::Power { .. } => "power",
        }
    }

    /// Its numbers, where it has any.
    pub fn values(&self) -> Option<Vec<f32>> {
        match self {
            Self::None => None,
            Self::Unit(unit) => Some(vec![*unit]),
            Self::Tail(tail) => Some(tail.knots().to_vec()),
            Self::Power { unit, exponent } => Some(vec![*unit, *exponent]),
        }
    }

    /// From the numbers that `take` gives for a [`name`](Self::name); `None` where they are no calibration.
    pub fn take(mut take: impl FnMut(&str) -> Option<Vec<f32>>) -> Option<Self> {
        let is_scale = |v: f32| v > 0.0 && v.is_finite();
        match (take("unit"), take("tail"), take("power")) {
            (None, None, None) => Some(Self::None),
            (Some(unit), None, None) => match unit[..] {
                [unit] if is_scale(unit) => Some(Self::Unit(unit)),
                _ => None,
            },
            (None, Some(knots), None) => TailCalibration::from_knots(knots).map(Self::Tail),
            (None, None, Some(power)) => match power[..] {
                [unit, exponent] if is_scale(unit) && is_scale(exponent) => {
                    Some(Self::Power { unit, exponent })
                }
                _ => None,
            },
            _ => None,
        }
    }
}

/// The median of the logarithms, and half of what lies between their quantiles at 0.16 and 0.84 (a standard deviation, where they
/// are normal).
fn log_quantiles(values: &[f32]) -> [f32; 2] {
    let mut logarithms: Vec<f32> = values.iter().map(|v| v.max(f32::MIN_POSITIVE).ln()).collect();
    logarithms.sort_unstable_by(f32::total_cmp);
    let last = logarithms.len().saturating_sub(1) as f32;
    let at = |share: f32| logarithms.get((share * last).round() as usize).copied().unwrap_or(0.0);
    [at(0.5), (0.5 * (at(0.84) - at(0.16))).max(LEAST_SPREAD)]
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn numbers_give_a_calibration_back() {
        let tail = TailCalibration::new(vec![1.0, 2.0], vec![3.0]);
        let power = Calibration::Power { unit: 2.5, exponent: 0.5 };
        for calibration in [Calibration::None, Calibration::Unit(2.5), Calibration::Tail(tail), power] {
            let values = calibration.values();
            let back = Calibration::take(|name| values.clone().filter(|_| name == calibration.name()));
            assert_eq!(back.unwrap(), calibration);
        }
        for unit in [vec![0.0], vec![-1.0], vec![f32::NAN], vec![f32::INFINITY], vec![], vec![1.0, 2.0]] {
            assert!(Calibration::take(|name| (name == "unit").then(|| unit.clone())).is_none(), "{unit:?}");
        }
    }

    #[test]
    fn a_power_brings_peaks_to_the_median_and_the_spread_of_others() {
        let own: Vec<f32> = (0..101u8).map(|i| 3.0 + 0.01 * f32::from(i)).collect();
        let others: Vec<f32> = (0..101u8).map(|i| (0.02 * (f32::from(i) - 50.0)).exp()).collect();
        let power = Calibration::aligned(&own, &others);
        let mut map = own.clone();
        power.apply(&mut map);
        let ([middle, spread], [_, wanted]) = (log_quantiles(&map), log_quantiles(&others));
        assert!(middle.abs() < 1e-5 && (spread - wanted).abs() < 1e-4, "{middle} {spread} {wanted}");
        // Of few images only the median, and no spread makes nothing infinite.
        let Calibration::Power { unit, exponent } = Calibration::aligned(&[4.0; 3], &[2.0; 3]) else {
            unreachable!()
        };
        assert!((unit - 2.0).abs() < 1e-5 && exponent == 1.0);
        let Calibration::Power { unit, exponent } = Calibration::aligned(&[0.0; 50], &[2.0; 50]) else {
            unreachable!()
        };
        assert!(unit > 0.0 && exponent == 1.0);
        for power in [vec![0.0, 1.0], vec![1.0, f32::NAN], vec![1.0], vec![1.0, -1.0]] {
            assert!(Calibration::take(|name| (name == "power").then(|| power.clone())).is_none());
        }
    }

    #[test]
    fn a_unit_divides() {
        let mut map = [1.0, 5.0];
        Calibration::Unit(2.0).apply(&mut map);
        assert_eq!(map, [0.5, 2.5]);
    }
}
